"""Classes that a person has corrected by hand in a map's layers, as in QGIS.

The layers are drawings of arrays that the file keeps beside them. What a person changes there is
found by comparing both, and counts as certain: in all of the tile that was changed, or the patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import OutputError
from geoclass.landcover import FULL_SCALE, LandCoverMap
from geoclass.legend import MASKED, NODATA, STATUS_STYLES, UNKNOWN
from geoclass.vectors import vector_name

_COLUMNS = ("class_name", "class_id", "class_title")
"""That say the class; what a person has changed in the first of them counts."""


def apply_edits(path: Path, landcover: LandCoverMap) -> LandCoverMap:
    """The map with what a person has changed in layers `landcover` and `detail` of its file.

    Raises OutputError where a class is given that the map's legend does not have.
    """
    own = _find_edits(path, "landcover", landcover)
    edited, count = _correct(landcover, own), int((own != NODATA).sum())
    if landcover.detail is not None:
        detail = landcover.detail
        size = landcover.grid.stride // detail.grid.stride
        rows, cols = (np.arange(n) // size for n in (detail.grid.rows, detail.grid.cols))
        fine = _find_edits(path, "detail", detail)
        count += int((fine != NODATA).sum())
        fine = np.where(fine != NODATA, fine, own[np.ix_(rows, cols)])
        edited = replace(edited, detail=_correct(detail, fine))
    if not count:
        return landcover
    told = f"{count} cells were corrected by hand in the layers of {path.name}"
    noted = replace(landcover.provenance, warnings=(*landcover.provenance.warnings, told))
    finer = edited.detail and replace(edited.detail, provenance=noted)
    return replace(edited, provenance=noted, detail=finer)


def _correct(level: LandCoverMap, codes: np.ndarray) -> LandCoverMap:
    """The map with other classes where `codes`, uint8 (rows, cols), is not 255."""
    classes = len(level.legend)
    here = (codes != NODATA) & (codes != UNKNOWN)
    likely = level.probabilities.copy()
    likely[here] = np.eye(classes, dtype=np.uint8)[codes[here]] * np.uint8(FULL_SCALE)
    return replace(
        level,
        class_id=np.where(codes != NODATA, codes, level.class_id),
        best_class=np.where(here, codes, level.best_class),
        probabilities=likely,
        mask_reason=np.where(here, np.uint8(0), level.mask_reason),
    )


def _find_edits(path: Path, layer: str, level: LandCoverMap) -> np.ndarray:
    """Uint8 (rows, cols): the class that a person gave a cell, or unknown; 255 for none."""
    found = np.full(level.class_id.shape, NODATA, dtype=np.uint8)
    try:
        table = pyogrio.read_dataframe(vector_name(path), layer=layer, read_geometry=False)
    except (DataLayerError, DataSourceError):
        return found
    if not {*_COLUMNS, "area_ha"} <= set(table.columns):
        return found
    if {"row", "col"} <= set(table.columns):
        table = table[table.row.between(0, level.grid.rows - 1)]
        table = table[table.col.between(0, level.grid.cols - 1)]
        rows, cols = table.row.to_numpy(np.int64), table.col.to_numpy(np.int64)
        hidden = level.class_id[rows, cols]
        codes = _read_codes(path, layer, level, table, hidden)
        changed = codes != hidden
        found[rows[changed], cols[changed]] = codes[changed]
    elif not _covers_same(table, level):
        _find_edited_patches(path, layer, level, found)
    return found


def _covers_same(table: pd.DataFrame, level: LandCoverMap) -> bool:
    """Whether patches of each class cover as much as the cells do: then none was changed."""
    area = np.bincount(level.class_id.ravel(), level.grid.areas_ha().ravel(), minlength=256)
    for column, texts in _name_codes(level).items():
        codes = table[column].map(texts)
        if codes.isna().any():
            return False
        drawn = np.bincount(codes.astype(int), table.area_ha, minlength=256)
        # Areas of patches are rounded to a square metre.
        if (np.abs(drawn - area)[:NODATA] > 1e-4 * (1 + len(table))).any():
            return False
    return True


def _find_edited_patches(path: Path, layer: str, level: LandCoverMap, found: np.ndarray) -> None:
    """Fill in the cells of patches whose class is not that of the cells that they were drawn of."""
    frame = pyogrio.read_dataframe(vector_name(path), layer=layer)
    frame = frame[~(frame.geometry.isna() | frame.geometry.is_empty)]
    x, y = level.grid.centres()
    tree = shapely.STRtree(shapely.points(x.ravel(), y.ravel()))
    patch, cell = tree.query(frame.geometry.to_numpy(), predicate="contains")
    hidden = level.class_id.ravel()[cell]
    codes = _read_codes(path, layer, level, frame.iloc[patch], hidden)
    changed = codes != hidden
    found.ravel()[cell[changed]] = codes[changed]


def _name_codes(level: LandCoverMap) -> Mapping[str, Mapping[object, int]]:
    """By column what stands for which class or status."""
    kinds = [(c.class_id, c.name, c.title) for c in level.legend.classes]
    kinds += [(s.code, s.name, s.title) for s in STATUS_STYLES]
    return {
        "class_name": {name: code for code, name, _ in kinds},
        "class_id": {code: code for code, _, _ in kinds},
        "class_title": {title: code for code, _, title in kinds},
    }


def _read_codes(
    path: Path, layer: str, level: LandCoverMap, table: pd.DataFrame, hidden: np.ndarray
) -> np.ndarray:
    """Uint8 (n,): what rows say now, by the first column that is not what the cells are."""
    codes = hidden.copy()
    for column, known in _name_codes(level).items():
        told = table[column].map(known)
        strange = told.isna() & table[column].notna()
        if strange.any():
            raise OutputError(
                f"layer {layer} of {path} gives a cell the {column} "
                f"{table[column][strange].iloc[0]}, which is none of the map's: "
                f"{', '.join(map(str, known))}"
            )
        now = told.fillna(NODATA).to_numpy(np.uint8)
        ours = (now == UNKNOWN) | (now < min(UNKNOWN, MASKED))
        codes = np.where((codes == hidden) & ours & (now != hidden), now, codes)
    return codes
