"""Maps as GeoPackages: polygons with styles, areas, and the arrays of the cells."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import OutputError
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
from geoclass.products.layers import DATASET_OPTIONS, read_layer_items
from geoclass.products.shapes import name_columns, shape_patches, shape_rows
from geoclass.products.styles import VectorStyle, map_styles, write_style_table
from geoclass.vectors import unwarned, vector_name

CELLS_AT_A_TIME = 500_000
"""Cells written at a time: a polygon takes 1 kB of memory."""

TITLES = {"landcover": "Land cover", "detail": "Land cover in detail"}


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
    areas = pd.DataFrame(landcover.areas()).round({"area_ha": 4, "share": 6})
    areas = areas.rename(columns={"name": "class_name", "title": "class_title"})
    pyogrio.write_dataframe(areas, path, layer="areas", driver="GPKG")
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
        for name in _name_arrays(classes, colored=colored)
    }
    arrays = read_blobs(path, sizes)
    landcover = document.build(
        _shape_arrays(arrays, prefix, grid, classes, colored=colored)
        for prefix, grid, colored in levels
    )
    return apply_edits(path, landcover)


_PREFIXES = ("", "detail ")
"""Prefixes of array names of the map and of its detail."""


def _name_arrays(classes: int, *, colored: bool) -> list[str]:
    """Names of the arrays of one level, without its prefix."""
    return [*PLANES, *(f"p{k}" for k in range(classes)), *(COLORS if colored else ())]


def _list_arrays(landcover: LandCoverMap) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays, uint8 (rows, cols), of both levels."""
    for prefix, level in zip(_PREFIXES, landcover.levels, strict=False):
        planes = [getattr(level, name) for name in PLANES]
        planes.extend(level.probabilities.transpose(2, 0, 1))
        if level.colors is not None:
            planes.extend(pack_colors(level.colors).transpose(2, 0, 1))
        names = _name_arrays(len(level.legend), colored=level.colors is not None)
        for name, plane in zip(names, planes, strict=True):
            yield f"{prefix}{name}", plane


def _shape_arrays(
    arrays: dict[str, np.ndarray], prefix: str, grid: Grid, classes: int, *, colored: bool
) -> dict[str, np.ndarray]:
    """Arrays of one level for its map; they are removed from `arrays`."""
    shape = (grid.rows, grid.cols)
    planes = {name: arrays.pop(f"{prefix}{name}").reshape(shape) for name in PLANES}
    probabilities = np.empty((*shape, classes), dtype=np.uint8)
    for k in range(classes):
        probabilities[:, :, k] = arrays.pop(f"{prefix}p{k}").reshape(shape)
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
    classes = range(len(document.contract.legend))
    probabilities = np.stack([_to_integers(cells[f"p{k}"], 256) for k in classes], axis=1)
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
