"""Cells smaller than a tile: what all tiles that cover them say, weighted to the middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from geoclass.grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileLabels:
    """What the network says of the tile of each cell; arrays are (rows, cols) of cells."""

    seen: np.ndarray
    """bool: cells whose tile has been looked at."""
    probabilities: np.ndarray
    """float32 (rows, cols, classes), 0–1; 0 where not seen."""
    unknown: np.ndarray
    """bool: tiles unlike the training data."""


def blend_tiles(tiles: TileLabels, grid: Grid) -> TileLabels:
    """The same of cells: the weighted mean of the tiles around each; works in place.

    A tile's weight falls from 1, where its middle is the cell's, to 0, where the cell's middle
    lies on its border: linearly with the distance along rows, times the same along columns. So
    with a stride of half a tile each cell has its own tile alone, but for those at the scene's
    edge, whose tiles are moved inward. A cell is unknown where unknown tiles outweigh others.
    """
    if grid.stride == grid.tile_size:
        return tiles
    mean = _average_around(tiles.seen, grid)
    for plane in np.moveaxis(tiles.probabilities, 2, 0):
        plane[:] = mean(plane)
    tiles.unknown[:] = mean(tiles.unknown) > 0.5
    return tiles


def _average_around(seen: np.ndarray, grid: Grid) -> Callable[[np.ndarray], np.ndarray]:
    """What makes of a value a tile, (rows, cols), its mean over the tiles of each seen cell."""
    along_rows = _weigh_tiles(grid.row_edges, grid.tile_rows, grid)
    along_cols = _weigh_tiles(grid.col_edges, grid.tile_cols, grid).T.tocsr()

    def add_up(values: np.ndarray) -> np.ndarray:
        total: np.ndarray = along_rows @ values.astype(np.float32) @ along_cols
        return total

    weight = np.where(seen, add_up(seen), 1)
    return lambda values: np.where(seen, add_up(np.where(seen, values, 0)) / weight, 0)


def _weigh_tiles(edges: np.ndarray, origins: np.ndarray, grid: Grid) -> csr_matrix:
    """float32 (cells, tiles): the weight of each tile in each cell, along one axis."""
    centres = (edges[:-1] + edges[1:]) / 2
    middles = origins + grid.tile_size / 2
    reach = -(-grid.tile_size // grid.stride)
    cell = np.arange(len(centres))[:, None]
    tile = cell + np.arange(-reach, reach + 1)
    cell, tile = np.broadcast_to(cell, tile.shape), np.clip(tile, 0, len(middles) - 1)
    weight = 1 - np.abs(centres[cell] - middles[tile]) / (grid.tile_size / 2)
    wanted = (weight > 0) & (tile == cell + np.arange(-reach, reach + 1))
    places = (cell[wanted], tile[wanted])
    return csr_matrix(
        (weight[wanted].astype(np.float32), places), shape=(len(centres), len(middles))
    )
