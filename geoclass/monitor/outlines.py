"""Cells as polygons: each for itself, or of large maps those together that are alike."""

from __future__ import annotations

import numpy as np
import shapely

from geoclass.grid import Grid
from geoclass.products.formats import DISSOLVED_FROM
from geoclass.products.patches import OUTSIDE, find_patches


def outline_cells(grid: Grid, cell: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The polygon of each row, int (rows,), and the polygons.

    `cell` is int (rows,), indices into the flat grid in ascending order; a cell may have several
    rows, one after the other. `kind` is an integer (rows,), 0 or more: of large maps, neighbours
    of one kind share a polygon where they are at the same turn in their cells.
    """
    fresh = np.diff(cell, prepend=-1) != 0
    starts = np.flatnonzero(fresh)
    if len(starts) <= DISSOLVED_FROM["gpkg"]:
        squares = grid.polygons(*np.divmod(cell[starts], grid.cols))
        return np.arange(len(cell)), squares[fresh.cumsum() - 1]
    turn = np.arange(len(cell)) - np.repeat(starts, np.diff(np.append(starts, len(cell))))
    place, polygons = np.empty(len(cell), dtype=np.int64), [np.empty(0, dtype=object)]
    for number in range(int(turn.max()) + 1):
        own = np.flatnonzero(turn == number)
        kinds = np.full((grid.rows, grid.cols), OUTSIDE, dtype=np.int64)
        kinds.ravel()[cell[own]] = kind[own]
        patches = find_patches(kinds, kinds != OUTSIDE, grid)
        place[own] = patches.number.ravel()[cell[own]] + sum(map(len, polygons))
        polygons.append(shapely.from_wkb(patches.wkb))
    return place, np.concatenate(polygons)


def find_firsts(place: np.ndarray) -> np.ndarray:
    """int64 (polygons,): the first row of each polygon."""
    firsts = np.empty(place.max(initial=-1) + 1, dtype=np.int64)
    firsts[place[::-1]] = np.arange(len(place))[::-1]
    return firsts
