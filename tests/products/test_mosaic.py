"""Many maps in one file: each place once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.products.mosaic import is_mosaic, merge_maps, parse_crs, write_mosaic
from geoclass.products.shapes import to_geodataframe
from tests.conftest import UTM, make_detailed, make_landcover


def place(x: float, y: float, crs: str, *, scene: str, day: str | None, seed: int) -> LandCoverMap:
    """Four by four cells of 640 m with their upper left corner at x, y; all classified."""
    landcover = make_landcover(4, 4, seed=seed)
    grid = Grid(
        height=256,
        width=256,
        transform=Affine(10, 0, x, 0, -10, y),
        crs=rasterio.CRS.from_string(crs).to_wkt(),
    )
    return replace(
        landcover,
        grid=grid,
        class_id=landcover.best_class.clip(max=9),
        valid_share=np.full((4, 4), 250, np.uint8),
        mask_reason=np.zeros((4, 4), np.uint8),
        provenance=replace(landcover.provenance, scene=scene, date=day),
    )


def check_partition(cells: gpd.GeoDataFrame, maps: list[LandCoverMap]) -> None:
    """Nothing twice, nothing lost: the areas add up to that of the union."""
    shapes = cells.geometry.to_numpy()
    outlines = [to_geodataframe(m).to_crs(cells.crs).geometry.union_all() for m in maps]
    union = shapely.union_all(outlines)
    covered = shapely.union_all(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(shapely.area(covered), rel=1e-9)
    assert shapely.area(covered) == pytest.approx(shapely.area(union), rel=1e-9)


def test_cells_on_one_grid_go_to_the_more_confident() -> None:
    one = place(330_000, 5_822_000, "EPSG:32633", scene="a", day="2020-01-01", seed=1)
    two = place(331_280, 5_822_000, "EPSG:32633", scene="b", day="2021-01-01", seed=2)
    cells = merge_maps([one, two])
    assert len(cells) == 24  # of 16 and 16, 8 coincide
    check_partition(cells, [one, two])
    frames = [to_geodataframe(m) for m in (one, two)]
    best = np.fmax(
        frames[0]["confidence"].to_numpy().reshape(4, 4)[:, 2:],
        frames[1]["confidence"].to_numpy().reshape(4, 4)[:, :2],
    )
    shared = cells[cells.geometry.centroid.x.between(331_280, 332_560)]
    np.testing.assert_allclose(np.sort(shared["confidence"]), np.sort(best.ravel()))


def test_later_cells_win_where_that_is_asked_for() -> None:
    one = place(330_000, 5_822_000, "EPSG:32633", scene="a", day="2020-01-01", seed=1)
    two = place(331_280, 5_822_000, "EPSG:32633", scene="b", day="2021-01-01", seed=2)
    undated = place(330_000, 5_822_000, "EPSG:32633", scene="c", day=None, seed=3)
    counts = merge_maps([undated, one, two], prefer="latest")["scene"].value_counts()
    assert counts.to_dict() == {"b": 16, "a": 8}


def test_unknown_cells_give_way() -> None:
    one = place(330_000, 5_822_000, "EPSG:32633", scene="a", day=None, seed=1)
    unknown = replace(
        place(330_000, 5_822_000, "EPSG:32633", scene="b", day="2022-01-01", seed=2),
        class_id=np.full((4, 4), 253, np.uint8),
    )
    assert set(merge_maps([unknown, one], prefer="latest")["scene"]) == {"a"}


@pytest.mark.parametrize("crs", [None, "EPSG:3035", "EPSG:4326"])
def test_zones_meet_without_gaps_or_doubles(crs: str | None) -> None:
    """Three maps about the border of two UTM zones, 12° east."""
    maps = [
        place(705_000, 5_540_000, "EPSG:32632", scene="a", day=None, seed=1),
        place(283_900, 5_541_200, "EPSG:32633", scene="b", day=None, seed=2),
        place(705_900, 5_539_100, "EPSG:32632", scene="c", day=None, seed=3),
    ]
    cells = merge_maps(maps, crs=crs)
    assert cells.crs == (crs or "EPSG:32632")
    assert cells["scene"].nunique() == 3
    assert len(cells) > 32
    check_partition(cells, maps)
    ground = cells.to_crs("EPSG:3035").area.sum() / 1e4
    assert cells["area_ha"].sum() == pytest.approx(ground, rel=2e-3)


def test_maps_apart_are_left_as_they_are() -> None:
    one = place(330_000, 5_822_000, "EPSG:32633", scene="a", day=None, seed=1)
    two = place(400_000, 5_822_000, "EPSG:32633", scene="b", day=None, seed=2)
    assert len(merge_maps([one, two])) == 32


def test_other_legends_and_no_crs_are_refused() -> None:
    one = place(330_000, 5_822_000, "EPSG:32633", scene="a", day=None, seed=1)
    with pytest.raises(SettingsError, match="nowhere is not a CRS"):
        merge_maps([one], crs="nowhere")
    first, *others = one.legend.classes
    legend = replace(one.legend, classes=(replace(first, color="#000000"), *others))
    other = replace(one, contract=replace(one.contract, legend=legend))
    with pytest.raises(SettingsError, match="different legends"):
        merge_maps([one, other])


@pytest.mark.parametrize("crs", ["EPSG:5714", "EPSG:4978", "EPSG:4979"])
def test_crs_of_no_flat_map_is_refused(crs: str) -> None:
    with pytest.raises(SettingsError, match=f"{crs} is a .* CRS, not a projected or"):
        parse_crs(crs)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:6933"])
def test_crs_that_tears_cells_apart_at_180_degrees_is_refused(crs: str) -> None:
    one = place(818_000, 8_118_000, "EPSG:32760", scene="a", day=None, seed=1)
    with pytest.raises(SettingsError, match=r"a crosses 180°.* give a projected --map-crs"):
        merge_maps([one], crs=crs)
    west = place(700_000, 8_118_000, "EPSG:32760", scene="b", day=None, seed=1)
    assert len(merge_maps([west], crs=crs)) == 16


@pytest.mark.parametrize(
    ("x", "y", "crs", "target"),
    [
        (818_000, 8_118_000, "EPSG:32760", "EPSG:3832"),
        (818_000, 8_118_000, "EPSG:32760", "EPSG:32701"),
        (-1_280, 1_280, "EPSG:3413", "EPSG:3995"),  # about the pole
        (500_000, 9_600_000, "EPSG:32633", "EPSG:3857"),  # stretched
    ],
)
def test_cells_that_stay_whole_are_merged(x: float, y: float, crs: str, target: str) -> None:
    one = place(x, y, crs, scene="a", day=None, seed=1)
    cells = merge_maps([one], crs=target)
    assert len(cells) == 16
    assert shapely.area(cells.union_all()) == pytest.approx(cells.area.sum())


def test_file_has_layer_tables_and_style(tmp_path: Path) -> None:
    one = place(330_000, 5_822_000, "EPSG:32633", scene="a", day="2020-01-01", seed=1)
    two = place(331_500, 5_822_300, "EPSG:32633", scene="b", day="2021-01-01", seed=2)
    cells = merge_maps([one, two])
    write_mosaic(cells, [one, two], tmp_path / "all.gpkg")
    assert is_mosaic(tmp_path / "all.gpkg")
    layers = {name for name, _ in pyogrio.list_layers(tmp_path / "all.gpkg")}
    assert {"landcover", "areas", "scenes", "layer_styles"} <= layers
    read = gpd.read_file(tmp_path / "all.gpkg", layer="landcover")
    assert len(read) == len(cells)
    areas = pyogrio.read_dataframe(tmp_path / "all.gpkg", layer="areas")
    assert areas["area_ha"].sum() == pytest.approx(cells["area_ha"].sum())
    scenes = pyogrio.read_dataframe(tmp_path / "all.gpkg", layer="scenes")
    assert scenes["scene"].tolist() == ["a", "b"]


def place_detailed(x: float, y: float, crs: str, *, scene: str, seed: int) -> LandCoverMap:
    """The same with a detail of cells of 80 m."""
    whole = place(x, y, crs, scene=scene, day=None, seed=seed)
    grid = replace(whole.grid, stride=8)
    detail = make_detailed(4, 4, seed=seed, stride=8).detail
    assert detail is not None
    shape = (grid.rows, grid.cols)
    planes = {
        name: np.resize(getattr(detail, name), shape)
        for name in ("class_id", "best_class", "valid_share", "mask_reason")
    }
    probabilities = np.resize(detail.probabilities, (*shape, 10))
    detail = replace(whole, grid=grid, probabilities=probabilities, **planes)
    return replace(whole, detail=detail)


@pytest.mark.parametrize("shift", [1280, 1000])
def test_places_show_the_detail_of_the_map_that_won_them(tmp_path: Path, shift: float) -> None:
    """Also where tiles are cut."""
    maps = [
        place_detailed(330_000 + shift * i, 5_822_000, UTM, scene=f"s{i}", seed=i) for i in (0, 1)
    ]
    cells = merge_maps(maps)
    path = tmp_path / "all.gpkg"
    write_mosaic(cells, maps, path)
    assert pyogrio.list_layers(path)[:2, 0].tolist() == ["detail", "landcover"]
    patches = gpd.read_file(path, layer="detail")
    shapes = patches.geometry.to_numpy()
    assert shapely.area(shapes).sum() == pytest.approx(shapely.area(shapely.union_all(shapes)))
    np.testing.assert_allclose(patches["area_ha"], patches.area / 1e4, atol=1e-3)
    areas = pyogrio.read_dataframe(path, layer="areas")
    assert areas["area_ha"].sum() == pytest.approx(patches["area_ha"].sum())
    for number, landcover in enumerate(maps, start=1):
        mine = cells[cells["map"] == number].geometry.union_all()
        finest = to_geodataframe(landcover.finest)
        finest = finest[finest.centroid.within(mine)]
        points = gpd.GeoDataFrame(finest[["class_id"]], geometry=finest.centroid)
        joined = points.sjoin(patches[["class_id", "geometry"]], predicate="within")
        assert len(joined) == len(points)
        assert (joined["class_id_left"] == joined["class_id_right"]).all()
