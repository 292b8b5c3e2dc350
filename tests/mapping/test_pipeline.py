"""The main loop, with a classifier that needs no weights, so that maps are known exactly."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from geoclass.errors import SceneError, SettingsError
from geoclass.landcover import MASK_REASONS, LandCoverMap
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping.pipeline import estimate_bytes, estimate_work, run_map
from geoclass.mapping.plan import MapPlan, plan_map
from geoclass.mapping.settings import MapRequest, MapSettings, PostprocessingSettings
from geoclass.model.classifier import Prediction
from geoclass.products.files import write_map
from geoclass.products.formats import DISSOLVED_FROM, FileSettings
from geoclass.scene.settings import FrameSettings, MaskSettings
from tests.conftest import (
    COLORS,
    STRANGE,
    TRANSFORM,
    UTM,
    FakeClassifier,
    FakeDenseClassifier,
    assert_equal_maps,
    make_contract,
    make_landcover,
    paint,
)

Make = Callable[..., Path]
CLASSES = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]


def plan(path: Path, classifier: FakeClassifier, **settings: Any) -> MapPlan:
    return plan_map(
        path, classifier.contract, "ab" * 32, MapRequest(settings=MapSettings(**settings))
    )


def map_file(
    path: Path, classifier: FakeClassifier, strip_pixels: int = 10**9, **settings: Any
) -> LandCoverMap:
    return run_map(plan(path, classifier, **settings), classifier, strip_pixels=strip_pixels)


def test_each_cell_gets_its_class(make_scene: Make, classifier: FakeClassifier) -> None:
    landcover = map_file(make_scene(paint(CLASSES)), classifier)
    np.testing.assert_array_equal(landcover.class_id, CLASSES)
    np.testing.assert_array_equal(landcover.best_class, CLASSES)
    np.testing.assert_allclose(landcover.confidence, 0.9)
    assert (landcover.valid_share == 250).all()


def test_georeference_is_the_scenes(make_scene: Make, classifier: FakeClassifier) -> None:
    path = make_scene(paint(CLASSES))
    landcover = map_file(path, classifier)
    with rasterio.open(path) as file:
        bounds, crs = file.bounds, file.crs
    polygon = landcover.grid.polygons(np.array([0]), np.array([0]))[0]
    assert polygon.bounds == (bounds.left, bounds.top - 640, bounds.left + 640, bounds.top)
    assert rasterio.CRS.from_wkt(landcover.grid.crs) == crs == rasterio.CRS.from_string(UTM)


@pytest.mark.parametrize("profile", [{}, {"tiled": True, "blockxsize": 128, "blockysize": 128}])
def test_strips_of_any_height_give_the_same_map(
    make_scene: Make, classifier: FakeClassifier, profile: dict[str, Any]
) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (3, 330, 150)).astype(np.uint8)
    pixels[:, 40:200, 20:90] = 0
    path = make_scene(pixels, **profile)
    whole = map_file(path, classifier)
    for strip_pixels in (1, 150 * 64, 150 * 128, 150 * 200):
        assert_equal_maps(map_file(path, classifier, strip_pixels), whole)


def test_edge_cells_are_classified_from_a_tile_moved_inward(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    pixels = paint([[0, 1], [2, 3]])[:, :100, :100]
    landcover = map_file(make_scene(pixels), classifier)
    assert landcover.class_id.shape == (2, 2)
    (tiles,) = classifier.seen
    np.testing.assert_array_equal(tiles[3], pixels[:, 36:, 36:])
    np.testing.assert_allclose(landcover.grid.areas_ha()[1], [0.64 * 36, 0.36 * 36])


def test_cell_with_few_valid_pixels_is_nodata(make_scene: Make, classifier: FakeClassifier) -> None:
    pixels = paint([[0, 1, 2]])
    pixels[:, :33, :64] = 0  # 31 of 64 rows valid
    pixels[:, :32, 64:128] = 0  # half
    landcover = map_file(make_scene(pixels), classifier)
    assert landcover.class_id.tolist() == [[NODATA, 1, 2]]
    assert landcover.valid_share.tolist() == [[round(31 / 64 * 250), 125, 250]]
    assert landcover.probabilities[0, 0].sum() == 0
    assert np.isnan(landcover.confidence[0, 0])


def test_least_valid_share_can_be_chosen(make_scene: Make, classifier: FakeClassifier) -> None:
    pixels = paint([[0, 1]])
    pixels[:, :40, :64] = 0
    path = make_scene(pixels)
    assert map_file(path, classifier).class_id[0, 0] == NODATA
    assert map_file(path, classifier, min_valid_share=0.3).class_id[0, 0] == 0


def test_narrow_edge_cell_beside_a_hole_is_nodata(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    """Its own pixels are valid, but nearly all that the network would see are not."""
    pixels = paint([[0, 1]])[:, :, :72]
    pixels[:, :, :64] = 0
    landcover = map_file(make_scene(pixels), classifier, frame=FrameSettings(force=True))
    assert landcover.class_id.tolist() == [[NODATA, NODATA]]


def test_missing_pixels_do_not_darken_a_tile(make_scene: Make, classifier: FakeClassifier) -> None:
    pixels = paint([[8]])
    pixels[:, :, :31] = 0
    landcover = map_file(make_scene(pixels), classifier)
    assert landcover.class_id.tolist() == [[8]]
    np.testing.assert_array_equal(classifier.seen[0][0], paint([[8]]))


def test_strange_tiles_are_unknown_but_keep_their_best_class(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    pixels = paint([[0, 1]])
    pixels[:, :, 64:] = STRANGE[:, None, None]
    path = make_scene(pixels)
    landcover = map_file(path, classifier)
    assert landcover.class_id.tolist() == [[0, UNKNOWN]]
    assert landcover.best_class[0, 1] == 4
    assert map_file(path, classifier, keep_unknown=True).class_id.tolist() == [[0, 4]]


def test_scene_of_nothing_is_all_nodata(make_scene: Make, classifier: FakeClassifier) -> None:
    path = make_scene(np.zeros((3, 64, 128), np.uint8))
    with pytest.raises(SceneError, match="not one cell of .* could be classified"):
        map_file(path, classifier)
    landcover = map_file(path, classifier, frame=FrameSettings(force=True))
    assert (landcover.class_id == NODATA).all()
    assert classifier.seen == []


def test_all_cells_are_reported(make_scene: Make, classifier: FakeClassifier) -> None:
    done: list[int] = []
    scene = make_scene(paint(CLASSES))
    run_map(plan(scene, classifier), classifier, strip_pixels=1, on_cells=done.append)
    assert done == [4, 4, 4]


def test_fingerprint_changes_with_all_that_can_change_a_label(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    path = make_scene(paint(CLASSES))
    contract, request = classifier.contract, MapRequest()
    first = plan_map(path, contract, "ab" * 32, request).provenance
    again = plan_map(path, contract, "ab" * 32, MapRequest(command="other")).provenance
    assert first.fingerprint == again.fingerprint
    others = [
        plan_map(path, contract, "cd" * 32, request),
        plan_map(path, contract, "ab" * 32, MapRequest(settings=MapSettings(min_valid_share=0.4))),
        plan_map(path, contract, "ab" * 32, MapRequest(bands=(3, 2, 1))),
        plan_map(make_scene(paint(CLASSES[:2])), contract, "ab" * 32, request),
    ]
    assert len({first.fingerprint, *(p.provenance.fingerprint for p in others)}) == 5


def test_scene_smaller_than_a_tile_is_refused(make_scene: Make, classifier: FakeClassifier) -> None:
    with pytest.raises(SceneError, match="63×64 pixels is smaller than one tile of 64×64"):
        plan(make_scene(paint([[0]])[:, :, :63]), classifier)


def test_coarser_scene_is_refined_with_a_warning(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    scene = make_scene(paint([[0]]), transform=rasterio.Affine(20, 0, 500000, 0, -20, 5800000))
    coarse = plan(scene, classifier)
    (warning,) = coarse.warnings
    assert "pixels of 20.0 m have less detail than the 10 m" in warning
    assert (coarse.grid.height, coarse.grid.width) == (128, 128)


def test_cells_are_masked_for_the_main_reason(make_scene: Make, classifier: FakeClassifier) -> None:
    """Half cloud, a little snow: masked; a quarter: seen; without data: nodata, cloud or not."""
    scl = np.full((1, 64, 256), 4, np.uint8)
    scl[0, :, :40] = 9
    scl[0, :, 40:50] = 11
    scl[0, :, 64:80] = 3
    scl[0, :, 192:] = 8
    pixels = np.concatenate([paint([[0, 1, 2, 3]]), scl])
    pixels[:3, :40, 192:] = 0
    path = make_scene(pixels, descriptions=("B04", "B03", "B02", "SCL"), photometric="minisblack")
    landcover = map_file(path, classifier)
    assert landcover.class_id.tolist() == [[MASKED, 1, 2, NODATA]]
    assert [MASK_REASONS[i] for i in landcover.mask_reason[0]] == ["cloud", "", "", ""]
    assert landcover.valid_share.tolist() == [[round(14 / 64 * 250), round(0.75 * 250), 250, 0]]
    assert landcover.best_class.tolist() == [[NODATA, 1, 2, NODATA]]
    (tiles,) = classifier.seen
    # What is masked is not shown to the network.
    assert (tiles[0] == COLORS[1][:, None, None]).all()
    everything = map_file(path, classifier, masks=MaskSettings(masked_classes=()))
    assert everything.class_id.tolist() == [[0, 1, 2, NODATA]]


def test_number_for_nothing_can_be_given(make_scene: Make, classifier: FakeClassifier) -> None:
    """White collars without a tag, as old exports have them."""
    pixels = paint([[0, 1]])
    pixels[:, :, :64] = 255
    path = make_scene(pixels)
    masks = MaskSettings(nodata=255)
    assert map_file(path, classifier, masks=masks).class_id.tolist() == [[NODATA, 1]]


def test_cells_outside_the_region_are_left_out(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    """A triangle around the centres of five of nine cells."""
    path = make_scene(paint([[0, 1, 2], [3, 4, 5], [6, 7, 8]]))
    x, y = TRANSFORM.c, TRANSFORM.f
    ring = [(x, y), (x, y - 1920), (x + 1920, y - 1920), (x, y)]
    aoi = path.with_suffix(".geojson")
    gpd.GeoDataFrame(geometry=[shapely.Polygon(ring).buffer(1)], crs=UTM).to_crs(3857).to_file(aoi)
    landcover = map_file(path, classifier, frame=FrameSettings(aoi=str(aoi)))
    expected = [[0, NODATA, NODATA], [3, 4, NODATA], [6, 7, 8]]
    assert landcover.class_id.tolist() == expected
    assert (landcover.valid_share == np.where(landcover.class_id == NODATA, 0, 250)).all()


def test_part_of_a_scene_has_the_cells_of_the_whole(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    path = make_scene(paint(CLASSES)[:, :170, :220])
    whole = map_file(path, classifier)
    box = FrameSettings(bbox=(330700, 5820000, 340000, 5821500), bbox_crs=UTM)
    part = map_file(path, classifier, frame=box)
    np.testing.assert_array_equal(part.class_id, whole.class_id[1:, 1:])
    ours, theirs = (
        grid.polygons(np.array([0]), np.array([i]))[0]
        for grid, i in ((part.grid, 0), (whole.grid, 1))
    )
    assert ours.bounds[0] == theirs.bounds[0]


def test_region_and_frame_are_part_of_the_fingerprint(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    path = make_scene(paint(CLASSES))
    wishes = [
        {},
        {"snap": True},
        {"bbox": (330000, 5820000, 331000, 5822000), "bbox_crs": UTM},
        {"resolution": 5.0},
        {"resolution": 5.0, "resampling": "nearest"},
    ]
    plans = [plan(path, classifier, frame=FrameSettings(**wish)) for wish in wishes]
    assert len({p.provenance.fingerprint for p in plans}) == len(wishes)


def test_scene_outside_europe_is_mapped_with_a_word(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    """Only for models trained there: the test's own model was not."""
    path = make_scene(paint(CLASSES), crs="EPSG:32733")
    assert plan(path, classifier).warnings == ()
    record = replace(classifier.contract.training, data_set="EuroSAT_RGB.zip")
    contract = make_contract(training=record)
    (doubt,) = plan_map(path, contract, "ab" * 32, MapRequest()).warnings
    assert "outside Europe" in doubt


def test_warped_map_does_not_depend_on_the_strips(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (3, 600, 400)).astype(np.uint8)
    pixels[:, 40:200, 20:90] = 0
    degrees = rasterio.Affine(1.4e-4, 0, 12.5, 0, -9e-5, 52.5)
    path = make_scene(pixels, crs="EPSG:4326", transform=degrees)
    whole = map_file(path, classifier)
    for strip_pixels in (1, 400 * 200):
        assert_equal_maps(map_file(path, classifier, strip_pixels), whole)


def test_scene_without_a_place_is_mapped_in_pixels(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    landcover = map_file(make_scene(paint(CLASSES), crs=None), classifier)
    np.testing.assert_array_equal(landcover.class_id, CLASSES)
    assert landcover.grid.crs is None
    areas = landcover.areas()
    assert all(np.isnan(row.area_ha) for row in areas if row.cells)
    assert sum(row.share for row in areas) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.0, 1.1, -1.0])
def test_impossible_valid_share_is_refused(share: float) -> None:
    with pytest.raises(SettingsError, match="least valid share"):
        MapSettings(min_valid_share=share)


def test_estimate_grows_with_the_cells(make_scene: Make, classifier: FakeClassifier) -> None:
    small = estimate_work(plan(make_scene(paint([[0]])), classifier), classifier, "gpkg")
    large = estimate_work(plan(make_scene(paint(CLASSES)), classifier), classifier, "gpkg")
    assert 0 < small.seconds < large.seconds
    assert 0 < small.output_bytes < large.output_bytes


@pytest.mark.parametrize("dissolve", [None, True, False])
def test_estimate_is_near_the_files_size(
    tmp_path: Path, dissolve: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of land in patches of some twenty cells; of a plan, grid and classes are looked at."""
    monkeypatch.setitem(DISSOLVED_FROM, "gpkg", 1000)
    land = np.random.default_rng(0).integers(0, 10, (15, 15), np.uint8)
    land = land.repeat(4, axis=0).repeat(4, axis=1)
    landcover = make_landcover(60, 60, class_id=land, best_class=land)
    settings = FileSettings(dissolve=dissolve)
    write_map(landcover, tmp_path / "map.gpkg", settings=settings)
    expected = estimate_bytes(landcover, "gpkg", settings)
    assert (tmp_path / "map.gpkg").stat().st_size == pytest.approx(expected, rel=0.15)


def test_estimate_with_a_detail_is_that_of_its_patches() -> None:
    """Tiles of a GeoPackage are never dissolved beside a detail; copies have no tiles."""
    landcover = make_landcover(60, 60)
    detail = replace(landcover.grid, stride=4)
    planned = SimpleNamespace(grid=landcover.grid, detail=detail, contract=landcover.contract)
    dissolved = FileSettings(dissolve=True)
    assert estimate_bytes(planned, "gpkg", dissolved) == estimate_bytes(planned, "gpkg")
    without_tiles = replace(planned.grid, height=64, width=64)
    small = SimpleNamespace(grid=without_tiles, detail=detail, contract=landcover.contract)
    assert estimate_bytes(planned, "fgb") == estimate_bytes(small, "fgb")
    assert estimate_bytes(planned, "gpkg") > estimate_bytes(small, "gpkg")


class ForgetfulClassifier(FakeClassifier):
    """Keeps no tile that it has seen."""

    def predict(self, images: np.ndarray) -> Prediction:
        prediction = super().predict(images)
        self.seen.clear()
        return prediction


def test_memory_does_not_grow_with_the_height_of_the_scene(make_scene: Make) -> None:
    classifier = ForgetfulClassifier()
    peaks = []
    for rows in (20, 120):
        path = make_scene(paint([[i % 10] * 4 for i in range(rows)]), blockysize=64)
        tall = plan(path, classifier)
        tracemalloc.start()
        run_map(tall, classifier, strip_pixels=4 * 64 * 64)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Six times the height; how many strips are in memory at once varies from run to run.
    assert peaks[1] < 2 * peaks[0]


def test_speckle_can_be_taken_out(make_scene: Make, classifier: FakeClassifier) -> None:
    """By area or by smoothing; unknown cells stay, and both are part of the fingerprint."""
    classes = [[0] * 7 for _ in range(7)]
    classes[3][3] = 1
    pixels = paint(classes)
    pixels[:, :64, :64] = STRANGE[:, None, None]
    path = make_scene(pixels)
    plain, small, smooth = (
        map_file(path, classifier, postprocessing=PostprocessingSettings(**wish))
        for wish in ({}, {"min_area_ha": 41.0}, {"smooth": 20.0})
    )
    assert [m.class_id[3, 3] for m in (plain, small, smooth)] == [1, 0, 0]
    assert [m.best_class[3, 3] for m in (plain, small, smooth)] == [1, 1, 0]
    assert all(m.class_id[0, 0] == UNKNOWN for m in (plain, small, smooth))
    assert len({m.provenance.fingerprint for m in (plain, small, smooth)}) == 3
    assert small.provenance.options["calm"]["min_area_ha"] == 41.0


def test_map_that_memory_cannot_hold_is_refused(
    make_scene: Make, dense_classifier: FakeDenseClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_scene(paint(CLASSES))
    monkeypatch.setattr("geoclass.mapping.plan.find_memory_bytes", lambda: 100_000)
    assert plan(path, dense_classifier, stride=16, detail="none").grid.rows == 12
    with pytest.raises(SceneError, match="map of 3072 cells of 4 pixels, which needs .* GB of"):
        plan(path, dense_classifier)
