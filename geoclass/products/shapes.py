"""The polygons of a map and what stands beside them: one a cell, or one a patch of cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geoclass.landcover import FULL_SCALE, LandCoverMap
from geoclass.legend import NODATA
from geoclass.products.patches import find_patches


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shapes:
    """Arrays (n,), cells without data left out; of a patch, means are weighted by pixels."""

    polygons: np.ndarray
    """Shapely polygons."""
    class_id: np.ndarray
    """uint8: the class, unknown or masked."""
    best_class: np.ndarray
    """uint8: the likeliest class, of a patch that of most of its cells; 255 where there is none."""
    mask_reason: np.ndarray
    """uint8, by MASK_REASONS."""
    confidence: np.ndarray
    """float64, 0–1; NaN where not classified."""
    probabilities: np.ndarray
    """float64 (n, classes), 0–1; NaN where not classified."""
    valid_share: np.ndarray
    """float64, 0–1."""
    area_ha: np.ndarray
    """float64."""
    row: np.ndarray
    """int: of the cell, or of a patch's first, row by row from the upper left."""
    col: np.ndarray
    """int."""
    cells: np.ndarray
    """int: how many."""


def shape_cells(landcover: LandCoverMap, *, probabilities: bool) -> Shapes:
    """A polygon a cell; without `probabilities` there are those of no class."""
    every_row = shape_rows(landcover, landcover.grid.rows, probabilities=probabilities)
    return next(every_row)


def shape_rows(landcover: LandCoverMap, at_a_time: int, *, probabilities: bool) -> Iterator[Shapes]:
    """The same, some rows of cells after the other: polygons take more room than the map."""
    grid = landcover.grid
    confidence, area_ha = landcover.confidence, grid.areas_ha()
    classes = landcover.probabilities.shape[2] if probabilities else 0
    for first in range(0, grid.rows, at_a_time):
        row, col = np.nonzero(landcover.class_id[first : first + at_a_time] != NODATA)
        row += first
        best = landcover.best_class[row, col]
        shares = landcover.probabilities[row, col, :classes] / FULL_SCALE
        shares[best == NODATA] = np.nan
        yield Shapes(
            polygons=grid.polygons(row, col),
            class_id=landcover.class_id[row, col],
            best_class=best,
            mask_reason=landcover.mask_reason[row, col],
            confidence=confidence[row, col],
            probabilities=shares,
            valid_share=landcover.valid_share[row, col] / FULL_SCALE,
            area_ha=area_ha[row, col],
            row=row,
            col=col,
            cells=np.ones(len(row), dtype=np.int64),
        )


def shape_patches(landcover: LandCoverMap, *, probabilities: bool) -> Shapes:
    """A polygon for neighbouring cells of one class, or masked for one reason, or unknown.

    Cells are neighbours where they share a side. Areas are sums of those of the cells; without
    `probabilities` there are those of no class.
    """
    wanted = landcover.class_id != NODATA
    kind = landcover.class_id.astype(np.uint16) << 8 | landcover.mask_reason
    patches = find_patches(kind, wanted, landcover.grid)
    n = len(patches.polygons)
    number = patches.number[wanted]
    row, col = np.nonzero(wanted)
    _, first = np.unique(number, return_index=True)
    area = landcover.grid.areas_ha()[wanted]
    weight = landcover.grid.pixel_counts()[wanted].astype(np.float64)
    best = landcover.best_class[wanted]
    looked_at = best != NODATA

    def average(values: np.ndarray, among: np.ndarray) -> np.ndarray:
        """float64 (n,): weighted means of values (cells,) that are `among` the counted."""
        inside, weights = number[among], weight[among]
        total = np.bincount(inside, weights * values[among], minlength=n)
        share = np.bincount(inside, weights, minlength=n)
        means: np.ndarray = np.divide(total, share, out=np.full(n, np.nan), where=share > 0)
        return means

    everywhere = np.ones(len(number), dtype=bool)
    classes = landcover.probabilities.shape[2] if probabilities else 0
    shares = np.empty((n, classes))
    for k in range(classes):
        shares[:, k] = average(landcover.probabilities[:, :, k][wanted] / FULL_SCALE, looked_at)
    return Shapes(
        polygons=patches.polygons,
        class_id=landcover.class_id[row[first], col[first]],
        best_class=_find_commonest(number, best),
        mask_reason=landcover.mask_reason[row[first], col[first]],
        confidence=average(landcover.confidence[wanted], looked_at),
        probabilities=shares,
        valid_share=average(landcover.valid_share[wanted] / FULL_SCALE, everywhere),
        area_ha=np.bincount(number, area, minlength=n),
        row=row[first],
        col=col[first],
        cells=np.bincount(number, minlength=n),
    )


def _find_commonest(number: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """uint8 (patches,): the commonest code of each patch, of equals the first."""
    pairs, counts = np.unique(number.astype(np.int64) << 8 | codes, return_counts=True)
    patch, code = pairs >> 8, (pairs & 255).astype(np.uint8)
    order = np.lexsort((code, -counts, patch))
    _, first = np.unique(patch[order], return_index=True)
    commonest: np.ndarray = code[order][first]
    return commonest
