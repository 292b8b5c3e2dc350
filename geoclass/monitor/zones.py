"""Districts, concessions, parks: which share of each cell lies in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.products.layers import read_polygons

BLOCK = 32
"""Cells a side of the squares that are looked at first."""


def read_zones(path: Path | str, grid: Grid) -> dict[str, np.ndarray]:
    """Polygons of a vector file, as `weigh_zones` lays them on a grid.

    A zone is named by the first column of texts, or numbered. Raises OutputError for a file that
    holds no polygons, SettingsError where none touches the map.
    """
    return weigh_zones(grid, read_polygons(Path(path), str(grid.crs)))


def weigh_zones(grid: Grid, polygons: Sequence[tuple[str, object]]) -> dict[str, np.ndarray]:
    """float64 (rows · cols,) by name: the share of each cell's area inside the zone.

    `polygons` are in the grid's CRS; those of one name are one zone. Raises SettingsError where
    none touches the map.
    """
    weights: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for name, _ in polygons):
        zone = shapely.make_valid(shapely.union_all([p for other, p in polygons if other == name]))
        weights[name] = _weigh(zone, grid).ravel()
    if not any(share.any() for share in weights.values()):
        raise SettingsError("none of the zones touches the maps: check their places")
    return weights


def _weigh(zone: shapely.Geometry, grid: Grid) -> np.ndarray:
    """float64 (rows, cols): the share of each cell inside the zone.

    Squares of many cells are looked at first, and only those that its border crosses cell by
    cell: cells of a large map are too many to be polygons.
    """
    share = np.zeros((grid.rows, grid.cols))
    shapely.prepare(zone)
    top, left = (np.arange(0, count, BLOCK) for count in (grid.rows, grid.cols))
    tops, lefts = (part.ravel() for part in np.meshgrid(top, left, indexing="ij"))
    bottoms, rights = np.minimum(tops + BLOCK, grid.rows), np.minimum(lefts + BLOCK, grid.cols)
    ring = [
        grid.corners(r, c)
        for r, c in ((tops, lefts), (tops, rights), (bottoms, rights), (bottoms, lefts))
    ]
    blocks = shapely.polygons(np.stack(ring, axis=1))
    inside, touched = shapely.covers(zone, blocks), shapely.intersects(zone, blocks)
    for number in np.flatnonzero(touched):
        here = slice(tops[number], bottoms[number]), slice(lefts[number], rights[number])
        share[here] = 1.0 if inside[number] else _weigh_cells(zone, grid, *here)
    return share


def _weigh_cells(zone: shapely.Geometry, grid: Grid, rows: slice, cols: slice) -> np.ndarray:
    """float64 (rows, cols) of some cells."""
    row, col = np.mgrid[rows, cols]
    cells = grid.polygons(row.ravel(), col.ravel())
    share = shapely.covers(zone, cells).astype(np.float64)
    cut = np.flatnonzero(shapely.intersects(zone, cells) & (share == 0))
    share[cut] = shapely.area(shapely.intersection(cells[cut], zone)) / shapely.area(cells[cut])
    weighed: np.ndarray = share.reshape(row.shape)
    return weighed
