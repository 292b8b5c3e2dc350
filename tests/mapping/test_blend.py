"""Cells smaller than a tile, against the definition written out as loops."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from geoclass.grid import Grid
from geoclass.mapping.blend import TileLabels, blend_tiles


def make_tiles(grid: Grid, seed: int = 0) -> TileLabels:
    generator = np.random.default_rng(seed)
    shape = (grid.rows, grid.cols)
    seen = generator.random(shape) > 0.2
    probabilities = generator.dirichlet(np.ones(3), shape).astype(np.float32)
    probabilities[~seen] = 0
    return TileLabels(
        seen=seen, probabilities=probabilities, unknown=seen & (generator.random(shape) > 0.5)
    )


def weigh(grid: Grid, cell: tuple[int, int], tile: tuple[int, int]) -> float:
    half = grid.tile_size / 2
    weight = 1.0
    for i, j, edges, origins in (
        (cell[0], tile[0], grid.row_edges, grid.tile_rows),
        (cell[1], tile[1], grid.col_edges, grid.tile_cols),
    ):
        away = abs((edges[i] + edges[i + 1]) / 2 - origins[j] - half)
        weight *= max(0, 1 - away / half)
    return weight


@pytest.mark.parametrize(
    ("stride", "height", "width"), [(32, 130, 200), (16, 101, 150), (8, 70, 97)]
)
def test_cells_are_weighted_means_of_the_tiles_that_cover_them(
    stride: int, height: int, width: int
) -> None:
    grid = Grid(height=height, width=width, transform=Affine.identity(), crs=None, stride=stride)
    tiles = make_tiles(grid)
    places = list(zip(*np.nonzero(tiles.seen), strict=True))
    expected = np.zeros_like(tiles.probabilities)
    unknown = np.zeros_like(tiles.unknown)
    for cell in places:
        weights = np.array([weigh(grid, cell, tile) for tile in places])
        around = [tiles.probabilities[tile] for tile in places]
        expected[cell] = np.average(around, axis=0, weights=weights)
        unknown[cell] = np.average([tiles.unknown[t] for t in places], weights=weights) > 0.5
    cells = blend_tiles(tiles, grid)
    np.testing.assert_allclose(cells.probabilities, expected, atol=1e-5)
    assert (cells.unknown != unknown).mean() < 0.01  # where weights are even but for rounding
    assert cells.probabilities[tiles.seen].sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("stride", "alone"), [(64, True), (32, True), (16, False)])
def test_cells_of_half_a_tile_have_their_own_tile_alone(stride: int, alone: bool) -> None:
    grid = Grid(height=256, width=256, transform=Affine.identity(), crs=None, stride=stride)
    tiles = make_tiles(grid)
    before = tiles.probabilities.copy()
    inner = slice(2, -2) if stride < 64 else slice(None)
    after = blend_tiles(tiles, grid).probabilities
    assert np.array_equal(after[inner, inner], before[inner, inner]) == alone
