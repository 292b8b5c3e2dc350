"""Reading features of any vector file, and writing features for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from geoclass.errors import OutputError
from geoclass.files.writing import drafted
from geoclass.products.layers import Layer, write_csv, write_layers
from geoclass.vectors import unwarned, vector_name

FEATURE_SUFFIXES = (".geojson", ".gpkg", ".csv")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """The features of a layer."""

    shapes: np.ndarray
    """Shapely geometries of any type (n,); None if missing or invalid."""
    columns: Mapping[str, np.ndarray]
    """(n,) each."""
    crs: str | None
    """In any form that pyproj parses; None if not in the file."""


def read_features(path: Path) -> Features:
    """All features of the only layer with geometries; OutputError for other files."""
    if not path.exists():
        raise OutputError(f"no file at {path}: check the path")
    try:
        with unwarned():
            name = vector_name(path)
            layers = [str(title) for title, kind in pyogrio.list_layers(name) if kind is not None]
            if len(layers) != 1:
                raise OutputError(
                    f"{path} holds {len(layers)} layers with places, "
                    f"{', '.join(layers) or 'none'}: give a file with only one of them"
                )
            meta, _, shapes, values = pyogrio.raw.read(name, layer=layers[0])
    except (DataLayerError, DataSourceError, FeatureError, ValueError) as error:
        raise OutputError(
            f"cannot read {path} as a vector file ({error}): give a GeoPackage, GeoJSON or "
            "shapefile"
        ) from error
    if not len(shapes):
        raise OutputError(f"{path} holds no features: give a file that has some")
    return Features(
        shapes=shapely.from_wkb(shapes, on_invalid="ignore"),
        columns=dict(zip(meta["fields"], values, strict=True)),
        crs=meta["crs"],
    )


def write_features(layer: Layer, path: Path, items: Mapping[str, str]) -> None:
    """Write polygons atomically as GeoPackage with styles, as GeoJSON, or as CSV without geometry.

    `items` are metadata; GeoJSON stores their values as its description. Raises OutputError.
    """
    if path.suffix.lower() == ".gpkg":
        write_layers(path, [layer], items)
        return
    if path.suffix.lower() == ".csv":
        write_csv(path, layer.columns)
        return
    with drafted(path, DataSourceError, DataLayerError) as draft:
        _write_geojson(layer, draft, " ".join(filter(None, items.values())))


def _write_geojson(layer: Layer, path: Path, description: str) -> None:
    texts = {name: _spell_days(values) for name, values in layer.columns.items()}
    layer = replace(layer, columns=texts)
    pyogrio.raw.write(
        path,
        shapely.to_wkb(layer.polygons),
        list(layer.columns.values()),
        list(layer.columns),
        layer=layer.name,
        driver="GeoJSON",
        geometry_type="Unknown",
        crs=layer.crs,
        layer_options={"RFC7946": "YES", "DESCRIPTION": description},
    )


def _spell_days(values: np.ndarray) -> np.ndarray:
    """Dates as text for GeoJSON."""
    if not np.issubdtype(values.dtype, np.datetime64):
        return values
    days = values.astype("datetime64[D]").astype(object)
    return np.array([None if day is None else day.isoformat() for day in days], dtype=object)
