"""Grids: every pixel in one cell, every tile inside the scene, areas true on the ground."""

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geoclass.errors import SceneError
from geoclass.grid import Grid

UTM = pyproj.CRS.from_epsg(32633).to_wkt()
sizes = st.integers(64, 700)


def make_grid(height: int, width: int, stride: int = 64, **changes: object) -> Grid:
    fields = {"transform": Affine(10, 0, 330000, 0, -10, 5822040), "crs": UTM, **changes}
    return Grid(height=height, width=width, stride=stride, **fields)


@given(sizes, sizes, st.sampled_from([8, 16, 32, 64]))
def test_cells_cover_every_pixel_once(height: int, width: int, stride: int) -> None:
    grid = make_grid(height, width, stride)
    for edges, size in ((grid.row_edges, height), (grid.col_edges, width)):
        assert edges[0] == 0
        assert edges[-1] == size
        assert (np.diff(edges) > 0).all()
    assert len(grid.row_edges) == grid.rows + 1


@given(sizes, sizes, st.sampled_from([8, 16, 32, 64]))
def test_tiles_lie_inside_the_scene_and_cover_their_cell(
    height: int, width: int, stride: int
) -> None:
    grid = make_grid(height, width, stride)
    assert grid.tile_rows.min() >= 0
    assert grid.tile_rows.max() + 64 <= height
    assert (grid.tile_rows <= grid.row_edges[:-1]).all()
    assert (grid.tile_rows + 64 >= grid.row_edges[1:]).all()
    assert (grid.tile_cols + 64 >= grid.col_edges[1:]).all()


def test_last_tile_is_moved_inward() -> None:
    grid = make_grid(150, 128)
    assert grid.tile_rows.tolist() == [0, 64, 86]
    assert grid.tile_cols.tolist() == [0, 64]


def test_finer_cells_have_their_tile_around_the_middle() -> None:
    assert make_grid(256, 256, 16).tile_cols[8] == 8 * 16 + 8 - 32


def test_polygons_are_clipped_to_the_scene() -> None:
    grid = make_grid(100, 130)
    rows, cols = np.divmod(np.arange(grid.rows * grid.cols), grid.cols)
    polygons = grid.polygons(rows, cols)
    assert shapely.union_all(polygons).equals(
        shapely.box(330000, 5822040 - 1000, 330000 + 1300, 5822040)
    )
    assert polygons[0].equals(shapely.box(330000, 5822040 - 640, 330640, 5822040))
    assert shapely.area(polygons).sum() == pytest.approx(1000 * 1300)


def test_rotated_scene_has_rotated_cells() -> None:
    transform = Affine.translation(500000, 5000000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    grid = make_grid(128, 128, transform=transform)
    polygon = grid.polygons(np.array([0]), np.array([0]))[0]
    assert polygon.area == pytest.approx(640 * 640)
    assert polygon.exterior.coords[1] == pytest.approx(transform @ (64, 0))


def test_utm_areas_are_planar() -> None:
    areas = make_grid(128, 100).areas_ha()
    assert areas[0, 0] == pytest.approx(40.96)
    assert areas[0, 1] == pytest.approx(64 * 36 * 100 / 1e4)


def test_feet_become_metres() -> None:
    crs = pyproj.CRS.from_epsg(2263).to_wkt()  # New York, US survey feet
    grid = make_grid(64, 64, crs=crs, transform=Affine(10, 0, 1000000, 0, -10, 200000))
    assert grid.areas_ha()[0, 0] == pytest.approx(640**2 * 0.3048006096**2 / 1e4, rel=1e-3)


@pytest.mark.parametrize("epsg", [4326, 3857, 32633, 3035, 27700])
@pytest.mark.parametrize("latitude", [50.5, 55.0, 58.0])
def test_areas_are_those_on_the_ellipsoid(epsg: int, latitude: float) -> None:
    """Within 0.1 %, the tolerance; pyproj's geodesic polygons are the oracle."""
    crs = pyproj.CRS.from_epsg(epsg)
    to_crs = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    longitude = -2.0 if epsg == 27700 else 15.5
    x, y = to_crs.transform(longitude, latitude)
    pixel = 1e-4 if crs.is_geographic else 10
    grid = make_grid(128, 128, crs=crs.to_wkt(), transform=Affine(pixel, 0, x, 0, -pixel, y))
    # Straight lines on the map are no geodesics: the outline needs more points than four.
    outline = shapely.segmentize(grid.polygons(np.array([1]), np.array([1]))[0], pixel)
    lon, lat = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(
        *np.array(outline.exterior.coords).T
    )
    expected = abs(pyproj.Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)[0]) / 1e4
    assert grid.areas_ha()[1, 1] == pytest.approx(expected, rel=1.2e-3)


@pytest.mark.parametrize(("epsg", "longitude"), [(32760, 180), (32701, -180), (3832, 180)])
def test_areas_are_the_same_on_either_side_of_180_degrees(epsg: int, longitude: float) -> None:
    crs = pyproj.CRS.from_epsg(epsg)
    to_crs = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    x, y = to_crs.transform(longitude, -17.0)
    grid = make_grid(640, 640, crs=crs.to_wkt(), transform=Affine(10, 0, x - 3100, 0, -10, y))
    areas = grid.areas_ha()
    # Metres of Mercator are longer than those on the ground.
    expected = 40.96 * (np.cos(np.radians(17)) ** 2 if epsg == 3832 else 1)
    np.testing.assert_allclose(areas, expected, rtol=1e-2)


def test_gsd_is_the_side_of_a_mean_pixel() -> None:
    assert make_grid(128, 128).gsd_m == pytest.approx(10)


def test_json_round_trip() -> None:
    grid = make_grid(100, 130, 32)
    assert Grid.from_json(grid.to_json()) == grid


def test_scene_smaller_than_a_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="63×100 pixels is smaller than one tile"):
        make_grid(100, 63)


def test_impossible_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="stride must be 1 … 64, got 0"):
        make_grid(100, 100, 0)


def test_scene_beyond_its_projection_is_refused() -> None:
    grid = make_grid(128, 128, transform=Affine(1e6, 0, 1e9, 0, -1e6, 1e9))
    with pytest.raises(SceneError, match="extends beyond the domain of"):
        grid.areas_ha()


def test_heights_do_not_make_another_system() -> None:
    plain = make_grid(128, 128, crs=pyproj.CRS("EPSG:25833").to_wkt())
    compound = make_grid(128, 128, crs=pyproj.CRS("EPSG:25833+5783").to_wkt())
    assert plain.has_same_crs(compound)
    assert compound.has_same_crs(plain)
    assert not compound.has_same_crs(make_grid(128, 128))
