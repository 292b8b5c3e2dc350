"""Land-cover maps as GeoPackage: polygons to look at, all cells to read back, styles inside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import OutputError
from geoclass.landcover import MASK_REASONS, STATUS_NAMES, LandCoverMap
from geoclass.legend import STATUS_STYLES, Legend
from geoclass.products.document import describe_map, parse_document, summarise_map
from geoclass.products.formats import AS_USUAL, DISSOLVED_FROM, FileSettings
from geoclass.products.shapes import Shapes, shape_cells, shape_patches, shape_rows
from geoclass.products.style_table import write_style_table
from geoclass.products.styles import map_styles

ALIASES = (
    ("class_id", "Class number"),
    ("class_name", "Class"),
    ("class_title", "Name of the class"),
    ("group", "Group"),
    ("best_class", "Likeliest class"),
    ("confidence", "Confidence (0–1)"),
    ("status", "Status"),
    ("mask_reason", "Masked for"),
    ("valid_share", "Share of valid pixels"),
    ("area_ha", "Area (ha)"),
    ("row", "Row"),
    ("col", "Column"),
    ("scene", "Scene"),
    ("date", "Date of sensing"),
)

CELLS_AT_A_TIME = 500_000
"""Written at a time: a large map's table would be held twice, and its polygons take 1 kB each."""

# 1.2 holds all that is written here; QGIS 3.22 warns of anything newer than it knows.
DATASET_OPTIONS = {"VERSION": "1.2"}


def write_geopackage(
    landcover: LandCoverMap, path: Path, settings: FileSettings = AS_USUAL
) -> None:
    """Write layers `landcover`, `areas` and `cells`, and the styles, into a new file."""
    dissolve = settings.wants_patches(landcover.class_id.size, usual_from=DISSOLVED_FROM["gpkg"])
    _write_polygons(landcover, path, settings, dissolve=dissolve)
    _write_table(_areas_table(landcover), path, "areas")
    for first in range(0, landcover.class_id.size, CELLS_AT_A_TIME):
        _write_table(_cells_table(landcover, first), path, "cells", append=first > 0)
    aliases = name_columns(
        landcover.legend, probabilities=settings.probabilities, dissolve=dissolve
    )
    write_style_table(path, {"landcover": map_styles(landcover.legend, aliases)})


def _write_polygons(
    landcover: LandCoverMap, path: Path, settings: FileSettings, *, dissolve: bool
) -> None:
    """The layer `landcover`; cells that are not dissolved some rows after the other."""
    if dissolve:
        parts = iter([shape_patches(landcover, probabilities=settings.probabilities)])
    else:
        rows = max(1, CELLS_AT_A_TIME // landcover.grid.cols)
        parts = shape_rows(landcover, rows, probabilities=settings.probabilities)
    for number, shapes in enumerate(parts):
        pyogrio.write_dataframe(
            _tabulate(shapes, landcover, probabilities=settings.probabilities, dissolve=dissolve),
            path,
            layer="landcover",
            driver="GPKG",
            geometry_type="Polygon",
            append=number > 0,
            # Of the layer: for metadata of the whole file, GDAL leaves a .aux.xml at every opening.
            layer_metadata=describe_map(landcover, settings),
            dataset_options=DATASET_OPTIONS,
            # GDAL makes the index when the first part is there, and adds the others to it.
            layer_options={
                "GEOMETRY_NAME": "geom",
                "SPATIAL_INDEX": "YES",
                "IDENTIFIER": "Land cover",
                "DESCRIPTION": summarise_map(landcover),
            },
        )


def read_geopackage(path: Path) -> LandCoverMap:
    """The map that `write_geopackage` wrote; OutputError for any other file."""
    document = parse_document(str(path), read_items(path))
    try:
        cells = pyogrio.read_dataframe(path, layer="cells")
    except (DataLayerError, DataSourceError) as error:
        raise OutputError(f"the table of cells in {path} cannot be read: {error}") from error
    grid, contract = document["grid"], document["contract"]
    shape = (grid.rows, grid.cols)
    if len(cells) != grid.rows * grid.cols:
        raise OutputError(f"{path} has {len(cells)} cells, expected {grid.rows * grid.cols}")
    cells = cells.sort_values(["row", "col"])
    if "mask_reason" not in cells:  # as in maps of schema version 1
        cells["mask_reason"] = 0
    planes = [cells[name].to_numpy(np.uint8).reshape(shape) for name in _CELL_PLANES]
    probabilities = cells[_probability_columns(len(contract.legend))].to_numpy(np.uint8)
    return LandCoverMap(
        **document,
        **dict(zip(_CELL_PLANES, planes, strict=True)),
        probabilities=probabilities.reshape(*shape, -1),
    )


def read_items(path: Path | str) -> dict[str, str] | None:
    """Metadata items of a GeoPackage; OutputError if it cannot be opened."""
    try:
        items: dict[str, str] | None = pyogrio.read_info(path, layer="landcover")["layer_metadata"]
    except DataLayerError:
        return None
    except DataSourceError as error:
        raise OutputError(f"cannot open {path} as a GeoPackage: {error}") from error
    return items


_CELL_PLANES = ("class_id", "best_class", "valid_share", "mask_reason")


def _probability_columns(classes: int) -> list[str]:
    return [f"p{i}" for i in range(classes)]


def name_columns(
    legend: Legend, *, probabilities: bool, dissolve: bool = False
) -> list[tuple[str, str]]:
    """(column, name for people) of `to_geodataframe`."""
    named = [(f"p_{c.name}", f"Probability of {c.title} (0–1)") for c in legend.classes]
    counted = [("cells", "Cells")] if dissolve else []
    return [*ALIASES, *counted, *(named if probabilities else [])]


def to_geodataframe(
    landcover: LandCoverMap, *, probabilities: bool = False, dissolve: bool = False
) -> gpd.GeoDataFrame:
    """One row a cell that is not nodata: its polygon and the columns of the GeoPackage.

    class_id, class_name, group, best_class, confidence (0–1), status, mask_reason, valid_share
    (0–1), area_ha, row, col, scene, date; with `probabilities` also p_CLASS (0–1) for each class.
    Confidence and probabilities are NaN where a cell was not classified.

    With `dissolve` one row a patch of neighbouring cells of one class and status, as
    `shape_patches` describes it, with a column `cells`, how many.
    """
    shape = shape_patches if dissolve else shape_cells
    return _tabulate(
        shape(landcover, probabilities=probabilities),
        landcover,
        probabilities=probabilities,
        dissolve=dissolve,
    )


def _tabulate(
    shapes: Shapes, landcover: LandCoverMap, *, probabilities: bool, dissolve: bool
) -> gpd.GeoDataFrame:
    """Some rows of what `to_geodataframe` gives."""
    legend, provenance = landcover.legend, landcover.provenance
    n, codes = len(shapes.polygons), shapes.class_id
    statuses = _look_up({c.class_id: "classified" for c in legend.classes} | STATUS_NAMES)
    names = _look_up({c.class_id: c.name for c in legend.classes} | STATUS_NAMES)
    titles = _look_up(
        {c.class_id: c.title for c in legend.classes} | {s.code: s.title for s in STATUS_STYLES}
    )
    groups = _look_up({c.class_id: c.group for c in legend.classes})
    reasons = _look_up({i: name or None for i, name in enumerate(MASK_REASONS)})
    class_names = _look_up({c.class_id: c.name for c in legend.classes})
    day = pd.Timestamp(date.fromisoformat(provenance.date)) if provenance.date else pd.NaT
    counted = {"cells": shapes.cells.astype(np.int32)} if dissolve else {}
    columns = dict(enumerate(legend.names)) if probabilities else {}
    return gpd.GeoDataFrame(
        {
            "class_id": codes.astype(np.int32),
            "class_name": names[codes],
            "class_title": titles[codes],
            "group": groups[codes],
            "best_class": class_names[shapes.best_class],
            "confidence": shapes.confidence,
            "status": statuses[codes],
            "mask_reason": reasons[shapes.mask_reason],
            "valid_share": shapes.valid_share,
            "area_ha": shapes.area_ha.round(4),
            "row": shapes.row.astype(np.int32),
            "col": shapes.col.astype(np.int32),
            "scene": np.full(n, provenance.scene, dtype=object),
            "date": pd.Series([day] * n, dtype="datetime64[ms]"),
            **counted,
            **{f"p_{name}": shapes.probabilities[:, i] for i, name in columns.items()},
        },
        geometry=shapes.polygons,
        crs=landcover.grid.crs,
    )


def _look_up(texts: Mapping[int, str | None]) -> np.ndarray:
    """Object (256,): text by code, None where there is none."""
    table = np.full(256, None, dtype=object)
    for code, text in texts.items():
        table[code] = text
    return table


def _cells_table(landcover: LandCoverMap, first: int) -> pd.DataFrame:
    """Some cells as they are stored in memory, row by row from the upper left."""
    grid = landcover.grid
    cells = np.arange(first, min(first + CELLS_AT_A_TIME, grid.rows * grid.cols))
    rows, cols = np.divmod(cells.astype(np.int32), grid.cols)
    table = {"row": rows, "col": cols}
    for name in _CELL_PLANES:
        table[name] = getattr(landcover, name)[rows, cols].astype(np.int16)
    for i, column in enumerate(_probability_columns(len(landcover.legend))):
        table[column] = landcover.probabilities[rows, cols, i].astype(np.int16)
    return pd.DataFrame(table)


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


def _write_table(table: pd.DataFrame, path: Path, layer: str, *, append: bool = False) -> None:
    pyogrio.write_dataframe(table, path, layer=layer, driver="GPKG", append=append)
