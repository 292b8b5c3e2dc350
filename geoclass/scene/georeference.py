"""Whether a scene lies where a grid can be laid on it."""

from __future__ import annotations

from geoclass.errors import SceneError
from geoclass.scene.source import SceneSource


def check_georeference(source: SceneSource) -> str:
    """The scene's CRS as WKT; SceneError where it has none, or no usable transform."""
    if source.crs is None:
        raise SceneError(
            f"{source.shown} has no coordinate reference system: assign the right one, for "
            f"example with rio edit-info --crs EPSG:32633 {source.name}"
        )
    if source.transform.is_identity or source.transform.determinant == 0:
        raise SceneError(
            f"{source.shown} has no georeference (no usable transform): assign one, for example "
            f"with rio edit-info --transform … {source.name}"
        )
    return source.crs
