"""GeoPackages: maps, and other layers and tables, with styles; polygons of any vector file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from geoclass.grid import Grid
from geoclass.landcover import COLORS, LandCoverMap
from geoclass.products.blobs import pack_colors, read_blobs, unpack_colors, write_blobs
from geoclass.products.document import (
    PLANES,
    Document,
    describe_map,
    parse_document,
    summarise_map,
)
from geoclass.products.edits import apply_edits
from geoclass.products.formats import AS_USUAL, FileSettings
from geoclass.products.qml import write_style_table
from geoclass.products.shapes import name_columns, shape_patches, shape_rows
from geoclass.products.styles import VectorStyle, map_styles
from geoclass.vectors import unwarned, vector_name

CELLS_AT_A_TIME = 500_000
"""Cells written at a time: a polygon takes 1 kB of memory."""

TITLES = {"landcover": "Land cover", "detail": "Land cover in detail"}

# QGIS 3.22 warns about newer versions.
DATASET_OPTIONS = {"VERSION": "1.2"}


def write_geopackage(
    landcover: LandCoverMap, path: Path, settings: FileSettings = AS_USUAL
) -> None:
    """Write layers `detail`, if there is one, and `landcover`, `areas`, arrays and styles."""
    styles = {}
    if landcover.detail is not None:  # QGIS draws the first layer of a file on top
        styles["detail"] = _write_polygons(
            landcover.detail, path, "detail", settings, dissolve=settings.dissolve is not False
        )
    dissolve = landcover.detail is None and settings.wants_patches(landcover.class_id.size, "gpkg")
    styles["landcover"] = _write_polygons(
        landcover,
        path,
        "landcover",
        settings,
        dissolve=dissolve,
        items=describe_map(landcover, settings),
    )
    pyogrio.write_dataframe(_areas_table(landcover), path, layer="areas", driver="GPKG")
    write_style_table(path, styles)
    write_blobs(path, _list_arrays(landcover))


def _write_polygons(
    level: LandCoverMap,
    path: Path,
    layer: str,
    settings: FileSettings,
    *,
    dissolve: bool,
    items: Mapping[str, str] | None = None,
) -> dict[str, VectorStyle]:
    """Write a layer in parts and return its styles."""
    shares = settings.probabilities
    if dissolve:
        parts = iter([shape_patches(level, probabilities=shares)])
    else:
        rows = max(1, CELLS_AT_A_TIME // level.grid.cols)
        parts = shape_rows(level, rows, probabilities=shares)
    for number, part in enumerate(parts):
        pyogrio.raw.write(
            path,
            part.wkb,
            list(part.columns.values()),
            list(part.columns),
            crs=level.grid.crs,
            layer=layer,
            driver="GPKG",
            geometry_type="Polygon",
            append=number > 0,
            # Of the layer: for metadata of the file, GDAL writes a .aux.xml whenever it is opened.
            layer_metadata=items,
            dataset_options=DATASET_OPTIONS,
            layer_options={
                "GEOMETRY_NAME": "geom",
                "SPATIAL_INDEX": "YES",
                "IDENTIFIER": TITLES[layer],
                "DESCRIPTION": summarise_map(level),
            },
        )
    aliases = name_columns(
        level.legend,
        probabilities=shares,
        dissolve=dissolve,
        detailed=level.detail is not None,
    )
    return map_styles(level.legend, aliases)


def read_geopackage(path: Path) -> LandCoverMap:
    """A map with the manual corrections in its layers; OutputError for other files."""
    document = parse_document(str(path), read_layer_items(path))
    if document.version < 3:
        return document.build([_read_cells(path, document)])
    classes = len(document.contract.legend)
    levels = list(zip(_PREFIXES, document.grids, document.colored, strict=False))
    sizes = {
        f"{prefix}{name}": grid.rows * grid.cols
        for prefix, grid, colored in levels
        for name in (*PLANES, *_name_probabilities(classes), *(COLORS if colored else ()))
    }
    arrays = read_blobs(path, sizes)
    landcover = document.build(
        _shape_arrays(arrays, prefix, grid, classes, colored=colored)
        for prefix, grid, colored in levels
    )
    return apply_edits(path, landcover)


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


_PREFIXES = ("", "detail ")
"""Prefixes of array names of the map and of its detail."""


def _name_probabilities(classes: int) -> list[str]:
    return [f"p{k}" for k in range(classes)]


def _list_arrays(landcover: LandCoverMap) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays, uint8 (rows, cols), of both levels."""
    for prefix, level in zip(_PREFIXES, landcover.levels, strict=False):
        for name in PLANES:
            yield f"{prefix}{name}", getattr(level, name)
        for k, name in enumerate(_name_probabilities(len(level.legend))):
            yield f"{prefix}{name}", level.probabilities[:, :, k]
        if level.colors is not None:
            packed = pack_colors(level.colors)
            for k, name in enumerate(COLORS):
                yield f"{prefix}{name}", packed[:, :, k]


def _shape_arrays(
    arrays: dict[str, np.ndarray], prefix: str, grid: Grid, classes: int, *, colored: bool
) -> dict[str, np.ndarray]:
    """Arrays of one level for its map; they are removed from `arrays`."""
    shape = (grid.rows, grid.cols)
    planes = {name: arrays.pop(f"{prefix}{name}").reshape(shape) for name in PLANES}
    probabilities = np.empty((*shape, classes), dtype=np.uint8)
    for k, name in enumerate(_name_probabilities(classes)):
        probabilities[:, :, k] = arrays.pop(f"{prefix}{name}").reshape(shape)
    shaped = {**planes, "probabilities": probabilities}
    if colored:
        packed = [arrays.pop(f"{prefix}{name}").reshape(shape) for name in COLORS]
        shaped["colors"] = unpack_colors(np.stack(packed, axis=-1))
    return shaped


@unwarned()
def _read_cells(path: Path, document: Document) -> dict[str, np.ndarray]:
    """The table of cells of a map of schema version 1 or 2."""
    try:
        cells = pyogrio.read_dataframe(vector_name(path), layer="cells")
    except (DataLayerError, DataSourceError) as error:
        raise OutputError(f"the table of cells in {path} cannot be read: {error}") from error
    (grid,) = document.grids
    shape = (grid.rows, grid.cols)
    if len(cells) != grid.rows * grid.cols:
        raise OutputError(f"{path} has {len(cells)} cells, expected {grid.rows * grid.cols}")
    if "mask_reason" not in cells:
        cells["mask_reason"] = 0
    places = _to_integers(cells["row"], 2**31) * grid.cols + _to_integers(cells["col"], grid.cols)
    if not np.array_equal(np.sort(places), np.arange(len(cells))):
        raise OutputError(f"the table of cells in {path} does not have each cell once")
    cells = cells.iloc[np.argsort(places)]
    names = _name_probabilities(len(document.contract.legend))
    probabilities = np.stack([_to_integers(cells[name], 256) for name in names], axis=1)
    planes = {
        name: _to_integers(cells[name], 256).astype(np.uint8).reshape(shape) for name in PLANES
    }
    return {**planes, "probabilities": probabilities.astype(np.uint8).reshape(*shape, -1)}


def _to_integers(column: pd.Series, below: int) -> np.ndarray:
    """int64 (n,); ValueError, which names the column, for values that are not 0 … below − 1."""
    numbers: np.ndarray = column.to_numpy(np.float64)
    if not ((numbers >= 0) & (numbers < below) & (numbers == np.floor(numbers))).all():
        raise ValueError(f"{column.name} must be whole numbers from 0 to {below - 1}")
    return numbers.astype(np.int64)


def _areas_table(landcover: LandCoverMap) -> pd.DataFrame:
    rows = landcover.areas()
    return pd.DataFrame(
        {
            "class_id": [row.class_id for row in rows],
            "class_name": [row.name for row in rows],
            "class_title": [row.title for row in rows],
            "group": [row.group for row in rows],
            "cells": [row.cells for row in rows],
            "area_ha": [round(row.area_ha, 4) for row in rows],
            "share": [round(row.share, 6) for row in rows],
        }
    )


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
