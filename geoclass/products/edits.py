"""Manual corrections of classes in a map's layers, for example in QGIS.

Corrections are the differences between the layers and the arrays in the file. They apply with
probability 1 to the whole tile or patch.
"""

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
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.vectors import unwarned, vector_name


@unwarned()
def apply_edits(path: Path, landcover: LandCoverMap) -> LandCoverMap:
    """The map with the corrections in layers `landcover` and `detail` of its file.

    Raises OutputError for a class that is not in the legend.
    """
    own = _find_edits(path, "landcover", landcover)
    edited, count = _correct(landcover, own), int((own != NODATA).sum())
    if landcover.detail is not None:
        detail = landcover.detail
        fine = _find_edits(path, "detail", detail)
        count += int((fine != NODATA).sum())
        fine = np.where(fine != NODATA, fine, own[landcover.grid.spread(detail.grid)])
        edited = replace(edited, detail=_correct(detail, fine))
    if not count:
        return landcover
    warning = f"{count} cells were corrected by hand in the layers of {path.name}"
    noted = replace(landcover.provenance, warnings=(*landcover.provenance.warnings, warning))
    finer = edited.detail and replace(edited.detail, provenance=noted)
    return replace(edited, provenance=noted, detail=finer)


def _correct(level: LandCoverMap, codes: np.ndarray) -> LandCoverMap:
    """The map with the classes `codes`, uint8 (rows, cols), where they are not 255."""
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
    """Uint8 (rows, cols): corrected class or unknown; 255 where nothing was corrected."""
    found = np.full(level.class_id.shape, NODATA, dtype=np.uint8)
    try:
        table = pyogrio.read_dataframe(vector_name(path), layer=layer, read_geometry=False)
    except (DataLayerError, DataSourceError):
        return found
    if not {*_name_codes(level), "area_ha"} <= set(table.columns):
        return found
    if {"row", "col"} <= set(table.columns):
        table = table[table.row.between(0, level.grid.rows - 1)]
        table = table[table.col.between(0, level.grid.cols - 1)]
        cell = table.row.to_numpy(np.int64) * level.grid.cols + table.col.to_numpy(np.int64)
    elif _covers_same(table, level):
        return found
    else:
        frame = pyogrio.read_dataframe(vector_name(path), layer=layer)
        frame = frame[~(frame.geometry.isna() | frame.geometry.is_empty)]
        x, y = level.grid.centres()
        tree = shapely.STRtree(shapely.points(x.ravel(), y.ravel()))
        patch, cell = tree.query(frame.geometry.to_numpy(), predicate="contains")
        table = frame.iloc[patch]
    stored = level.class_id.ravel()[cell]
    codes = _read_codes(path, layer, level, table, stored)
    changed = codes != stored
    found.ravel()[cell[changed]] = codes[changed]
    return found


def _covers_same(table: pd.DataFrame, level: LandCoverMap) -> bool:
    """Whether patches and cells of each class have equal areas: then nothing was corrected."""
    area = np.bincount(level.class_id.ravel(), level.grid.areas_ha().ravel(), minlength=256)
    for column, texts in _name_codes(level).items():
        codes = table[column].map(texts)
        if codes.isna().any():
            return False
        drawn = np.bincount(codes.astype(int), table.area_ha, minlength=256)
        # Areas of patches are rounded to 1 m².
        if (np.abs(drawn - area)[:NODATA] > 1e-4 * (1 + len(table))).any():
            return False
    return True


def _name_codes(level: LandCoverMap) -> Mapping[str, Mapping[object, int]]:
    """Column → value → code of the class or status; the first corrected column counts."""
    entries = level.legend.entries
    return {
        "class_name": {e.name: e.class_id for e in entries},
        "class_id": {e.class_id: e.class_id for e in entries},
        "class_title": {e.title: e.class_id for e in entries},
    }


def _read_codes(
    path: Path, layer: str, level: LandCoverMap, table: pd.DataFrame, stored: np.ndarray
) -> np.ndarray:
    """Uint8 (n,): classes of rows."""
    codes = stored.copy()
    for column, known in _name_codes(level).items():
        found = table[column].map(known)
        invalid = found.isna() & table[column].notna()
        if invalid.any():
            raise OutputError(
                f"layer {layer} of {path} has the {column} {table[column][invalid].iloc[0]}, "
                f"which is not in the legend: give one of {', '.join(map(str, known))}"
            )
        now = found.fillna(NODATA).to_numpy(np.uint8)
        allowed = (now == UNKNOWN) | (now < min(UNKNOWN, MASKED))
        codes = np.where((codes == stored) & allowed & (now != stored), now, codes)
    return codes
