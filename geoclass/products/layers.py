"""Tables and polygon layers of any kind as one GeoPackage, with their styles inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import OutputError
from geoclass.products.blobs import write_blobs
from geoclass.products.geopackage import DATASET_OPTIONS
from geoclass.products.qml import write_style_table
from geoclass.products.styles import VectorStyle
from geoclass.products.writing import check_not_open, draft_folder, move_into_place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One layer of a GeoPackage."""

    name: str
    columns: Mapping[str, np.ndarray]
    """(n,) each; dates as datetime64[D], texts as object."""
    polygons: np.ndarray | None = None
    """Shapely geometries (n,); None for a table."""
    crs: str = ""
    """WKT; for polygons."""
    styles: Mapping[str, VectorStyle] = field(default_factory=dict)
    """By name; the first is the default."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def write_layers(
    path: Path,
    layers: Sequence[Layer],
    items: Mapping[str, str],
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a GeoPackage, whole or not at all; OutputError where that fails.

    `items` become metadata of the first layer, `arrays`, uint8, can be read back by
    `read_blobs`.
    """
    check_not_open(path)
    try:
        with draft_folder(path) as folder:
            draft = Path(folder) / "draft.gpkg"
            for i, layer in enumerate(layers):
                _write_layer(layer, draft, items if i == 0 else None)
            write_style_table(draft, {layer.name: layer.styles for layer in layers})
            write_blobs(draft, (arrays or {}).items())
            move_into_place(draft, path)
    except (OSError, DataSourceError, DataLayerError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def read_layer_items(path: Path, layer: str) -> dict[str, str] | None:
    """Metadata items of a layer; None where there are none. OutputError for no GeoPackage."""
    if not path.is_file():
        raise OutputError(f"no file at {path}: check the path")
    try:
        items: dict[str, str] | None = pyogrio.read_info(path, layer=layer)["layer_metadata"]
    except DataLayerError:
        return None
    except DataSourceError as error:
        raise OutputError(f"cannot open {path} as a GeoPackage: {error}") from error
    return items


def read_columns(path: Path, layer: str) -> dict[str, np.ndarray]:
    """The columns of a layer or table, without geometry; OutputError where there is none."""
    try:
        table = pyogrio.read_dataframe(path, layer=layer, read_geometry=False)
    except (DataLayerError, DataSourceError) as error:
        raise OutputError(f"cannot read {layer} in {path}: {error}") from error
    return {name: table[name].to_numpy() for name in table.columns}


def read_polygons(path: Path, crs: str, name_field: str | None = None) -> list[tuple[str, object]]:
    """(name, geometry in the CRS) of each polygon of any vector file; OutputError if it is none.

    Without a name field: the first column of texts, or the number. Of several layers the one that
    holds polygons is read; where more of them do, none would be the right one to choose.
    """
    try:
        kinds = {name: kind or "" for name, kind in pyogrio.list_layers(path)}
        layers = [name for name, kind in kinds.items() if "Polygon" in kind or kind == "Unknown"]
        if len(layers) > 1:
            raise OutputError(
                f"{path} holds {len(layers)} layers of polygons, {', '.join(layers)}: "
                "give a file with just the one that is meant"
            )
        frame = gpd.read_file(path, layer=next(iter([*layers, *kinds]), None))
    except (DataLayerError, DataSourceError, ValueError) as error:
        raise OutputError(f"cannot read {path} as polygons: {error}") from error
    if not isinstance(frame, gpd.GeoDataFrame) or frame.crs is None or not len(frame):
        raise OutputError(f"{path} holds no polygons with a coordinate reference system")
    if not frame.geom_type.isin(["Polygon", "MultiPolygon"]).all():
        raise OutputError(f"{path} holds {', '.join(set(frame.geom_type))}, expected polygons")
    texts = [c for c in frame.columns if c != frame.geometry.name and _is_text(frame[c])]
    column = name_field or (texts[0] if texts else None)
    names = frame[column].astype(str) if column else map(str, range(1, len(frame) + 1))
    return list(zip(names, frame.to_crs(crs).geometry, strict=True))


def write_csv(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table as CSV; OutputError where that fails."""
    try:
        pd.DataFrame(dict(columns)).to_csv(path, index=False)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def read_csv(path: Path) -> dict[str, np.ndarray]:
    """The columns of a CSV file, all as text; OutputError where it is none."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {path} as a table: {error}") from error
    return {name: table[name].to_numpy() for name in table.columns}


def _is_text(column: pd.Series) -> bool:
    return bool(pd.api.types.is_string_dtype(column) or pd.api.types.is_object_dtype(column))


def _write_layer(layer: Layer, path: Path, items: Mapping[str, str] | None) -> None:
    columns = {
        name: pd.Series(values.astype("datetime64[ms]"))
        if np.issubdtype(values.dtype, np.datetime64)
        else values
        for name, values in layer.columns.items()
    }
    if layer.polygons is None:
        pyogrio.write_dataframe(
            pd.DataFrame(columns), path, layer=layer.name, driver="GPKG", append=False,
            layer_metadata=dict(items or {}), dataset_options=DATASET_OPTIONS,
        )  # fmt: skip
        return
    pyogrio.write_dataframe(
        gpd.GeoDataFrame(columns, geometry=layer.polygons, crs=layer.crs),
        path,
        layer=layer.name,
        driver="GPKG",
        geometry_type="MultiPolygon",
        promote_to_multi=True,
        layer_metadata=dict(items or {}),
        dataset_options=DATASET_OPTIONS,
        layer_options={"GEOMETRY_NAME": "geom", "SPATIAL_INDEX": "YES"},
    )
