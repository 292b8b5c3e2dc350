"""Layers and tables of GeoPackages and CSV, and polygons of any vector file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from geoclass.errors import OutputError
from geoclass.files.writing import Target, check_not_open, drafted, write_whole
from geoclass.products.blobs import write_blobs
from geoclass.products.qml import write_style_table
from geoclass.products.styles import VectorStyle
from geoclass.vectors import unwarned, vector_name

# QGIS 3.22 warns about newer versions.
DATASET_OPTIONS = {"VERSION": "1.2"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One layer or table of a GeoPackage."""

    name: str
    columns: Mapping[str, np.ndarray]
    """(n,) each; dates are datetime64[D], texts are objects."""
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
    arrays: Iterable[tuple[str, np.ndarray]] = (),
) -> None:
    """Write a GeoPackage atomically; OutputError if that fails.

    `items` are metadata of the first layer; `read_blobs` reads the named uint8 `arrays`.
    """
    check_not_open(path)
    with drafted(path, DataSourceError, DataLayerError) as draft:
        for i, layer in enumerate(layers):
            write_layer(layer, draft, items if i == 0 else None)
        write_style_table(draft, {layer.name: layer.styles for layer in layers})
        write_blobs(draft, arrays)


@unwarned()
def read_layer_items(path: Path, layer: str = "landcover") -> dict[str, str] | None:
    """Metadata items of a layer, None if it is missing; OutputError if not a GeoPackage."""
    if not path.is_file():
        raise OutputError(f"no file at {path}: check the path")
    try:
        items: dict[str, str] | None = pyogrio.read_info(vector_name(path), layer=layer)[
            "layer_metadata"
        ]
    except DataLayerError:
        return None
    except DataSourceError as error:
        raise OutputError(f"cannot open {path} as a GeoPackage: {error}") from error
    return items


@unwarned()
def has_layer(path: Path, layer: str) -> bool:
    """Whether a GeoPackage has a layer or table; OutputError if not a GeoPackage."""
    return read_layer_items(path, layer) is not None or layer in dict(
        pyogrio.list_layers(vector_name(path))
    )


@unwarned()
def read_columns(path: Path, layer: str) -> dict[str, np.ndarray]:
    """The columns of a layer or table without geometry; OutputError if it is missing."""
    try:
        table = pyogrio.read_dataframe(vector_name(path), layer=layer, read_geometry=False)
    except (DataLayerError, DataSourceError, ValueError) as error:
        raise OutputError(f"cannot read {layer} in {path}: {error}") from error
    return {name: table[name].to_numpy() for name in table.columns}


@unwarned()
def read_polygons(path: Path, crs: str, name_field: str | None = None) -> list[tuple[str, object]]:
    """(name, geometry in the CRS) of each polygon of any vector file; OutputError for others.

    Without a name field, names are the first text column, or numbers. Only one layer may have
    polygons.
    """
    try:
        name = vector_name(path)
        kinds = {title: kind or "" for title, kind in pyogrio.list_layers(name)}
        layers = [title for title, kind in kinds.items() if "Polygon" in kind or kind == "Unknown"]
        if len(layers) > 1:
            raise OutputError(
                f"{path} holds {len(layers)} layers of polygons, {', '.join(layers)}: "
                "give a file with only one of them"
            )
        frame = pyogrio.read_dataframe(name, layer=next(iter([*layers, *kinds]), None))
    except (
        DataLayerError, DataSourceError, FeatureError, ValueError, shapely.GEOSException,
    ) as error:  # fmt: skip
        raise OutputError(f"cannot read {path} as polygons: {error}") from error
    if not isinstance(frame, gpd.GeoDataFrame) or frame.crs is None or not len(frame):
        raise OutputError(f"{path} holds no polygons with a coordinate reference system")
    if not frame.geom_type.isin(["Polygon", "MultiPolygon"]).all():
        kinds_held = ", ".join(sorted(set(frame.geom_type.fillna("nothing"))))
        raise OutputError(f"{path} holds {kinds_held}, expected polygons")
    texts = [c for c in frame.columns if c != frame.geometry.name and _is_text(frame[c])]
    column = name_field or (texts[0] if texts else None)
    names = frame[column].astype(str) if column else map(str, range(1, len(frame) + 1))
    return list(zip(names, frame.to_crs(crs).geometry, strict=True))


def write_csv(path: Target, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table as CSV; OutputError if that fails."""
    table = pd.DataFrame(
        {
            neutralise(name): [neutralise(v) for v in values]
            if values.dtype.kind in "OU"
            else values
            for name, values in columns.items()
        }
    )
    write_whole(path, table.to_csv(index=False).encode())


def neutralise(value: Any) -> Any:
    """Quote text that spreadsheets would evaluate as a formula (CWE-1236)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of formulas (CWE-1236)."""


def _is_text(column: pd.Series) -> bool:
    return bool(pd.api.types.is_string_dtype(column) or pd.api.types.is_object_dtype(column))


def write_layer(
    layer: Layer,
    path: Path,
    items: Mapping[str, str] | None = None,
    *,
    append: bool = False,
    identifier: str | None = None,
) -> None:
    """Add a layer, or rows to one, to a new GeoPackage; DataSourceError if that fails.

    Not with pandas, which has no type for dates.
    """
    options = {} if identifier is None else {"IDENTIFIER": identifier}
    placed = layer.polygons is not None
    pyogrio.raw.write(
        path,
        shapely.to_wkb(layer.polygons) if placed else None,
        list(layer.columns.values()),
        list(layer.columns),
        layer=layer.name,
        driver="GPKG",
        geometry_type="MultiPolygon" if placed else None,
        crs=layer.crs if placed else None,
        promote_to_multi=placed,
        append=append,
        layer_metadata=dict(items or {}),
        dataset_options=DATASET_OPTIONS,
        layer_options={"GEOMETRY_NAME": "geom", **options} if placed else options,
    )
