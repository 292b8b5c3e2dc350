"""Outlines of patches, against unions of cells and GDAL's own polygons."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geoclass.grid import Grid
from geoclass.products.patches import OUTSIDE, find_patches


def make_grid(rows: int, cols: int, transform: Affine | None = None) -> Grid:
    """A grid with a tile a pixel, so that any shape will do."""
    place = transform or Affine(10, 0, 330000, 0, -10, 5822040)
    return Grid(height=rows, width=cols, transform=place, crs=None, tile_size=1, stride=1)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.integers(0, 3),
    )
)
def test_patches_are_unions_of_their_cells(values: np.ndarray) -> None:
    """Also where patches touch themselves at corners, or lie in one another."""
    grid = make_grid(*values.shape)
    wanted = values > 0
    patches = find_patches(values, wanted, grid)
    np.testing.assert_array_equal(patches.number == OUTSIDE, ~wanted)
    polygons = shapely.from_wkb(patches.wkb)
    assert len(polygons) == sum(1 for _ in rasterio.features.shapes(values, wanted))
    assert shapely.is_valid(polygons).all()
    for number, polygon in enumerate(polygons):
        rows, cols = np.nonzero(patches.number == number)
        assert len(set(values[rows, cols])) == 1
        assert shapely.equals(polygon, shapely.union_all(grid.polygons(rows, cols)))


def test_lake_with_an_island_is_a_hole_with_a_patch_in_it() -> None:
    values = np.ones((5, 5), np.uint8)
    values[1:4, 1:4] = 2
    values[2, 2] = 1
    land, lake, island = shapely.from_wkb(find_patches(values, values > 0, make_grid(5, 5)).wkb)
    assert [len(p.interiors) for p in (land, lake, island)] == [1, 1, 0]
    assert [p.area for p in (land, lake, island)] == [1600, 800, 100]
    assert len(land.exterior.coords) == 5  # corners only, and the first again


def test_patches_are_cut_off_where_the_scene_ends() -> None:
    grid = Grid(height=100, width=90, transform=Affine.scale(1, -1), crs=None)
    polygons = shapely.from_wkb(find_patches(np.ones((2, 2)), np.ones((2, 2), bool), grid).wkb)
    assert [p.bounds for p in polygons] == [(0, -100, 90, 0)]


def test_patches_of_a_turned_scene_lie_askew() -> None:
    transform = Affine.translation(100, 200) @ Affine.rotation(30) @ Affine.scale(10, -10)
    grid = make_grid(2, 3, transform)
    (patch,) = shapely.from_wkb(find_patches(np.zeros((2, 3)), np.ones((2, 3), bool), grid).wkb)
    cells = grid.polygons(*np.divmod(np.arange(6), 3))
    assert patch.area == pytest.approx(600)
    assert shapely.hausdorff_distance(patch, shapely.union_all(cells)) < 1e-9


def test_no_cells_make_no_patches() -> None:
    patches = find_patches(np.zeros((3, 3)), np.zeros((3, 3), bool), make_grid(3, 3))
    assert len(patches.wkb) == 0
    assert (patches.number == OUTSIDE).all()
