"""The script that measures maps by reference labels of real ground."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from geopandas import GeoDataFrame

from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.legend import EUROSAT, MASKED, NODATA, UNKNOWN
from geoclass.mapping.pipeline import run_map
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from tests.conftest import ROOT, TRANSFORM, UTM, FakeDenseClassifier, make_landcover, paint
from tests.test_scripts import load

CROP, FOREST, PASTURE, LAKE = 0, 1, 5, 9
GROUPS = ("built_up", "crops", "forest", "grassland", "water")
PLACE = {"crs": UTM, "transform": TRANSFORM}


@pytest.fixture
def scores() -> ModuleType:
    return load("ground_scores")


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch, dense_classifier: FakeDenseClassifier) -> ModuleType:
    """The data sets, mapped by the colour of plain cells and tiles."""
    monkeypatch.syspath_prepend(ROOT / "scripts")

    def make_map(scene: Path, _: Any, stride: int, **_settings: Any) -> LandCoverMap:
        wishes = MapSettings(stride=stride)
        return run_map(
            plan_map(scene, dense_classifier.contract, "ab", MapRequest(settings=wishes)),
            dense_classifier,
        )

    module = load("ground_sets")
    monkeypatch.setattr(module, "make_map", make_map)
    return module


@pytest.fixture
def bench(sets: ModuleType, tmp_path: Path) -> Callable[[str], Any]:
    def choose(half: str) -> Any:
        return sets.Bench(folder=tmp_path, scenes=tmp_path / "scenes", model=None, half=half)

    return choose


def write_labels(path: Path, labels: np.ndarray, **profile: Any) -> None:
    height, width = labels.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8", **profile
    ) as file:
        file.write(labels.astype(np.uint8), 1)


def lay_grid(side: int, stride: int) -> Grid:
    return Grid(height=side, width=side, transform=Affine.scale(1, -1), crs=None, stride=stride)


def test_measures_equal_those_computed_by_hand(scores: ModuleType) -> None:
    names = ("forest", "other")
    # Right, right, called other, called forest, of another group, unknown, masked, not scored.
    truth = np.array([[0, 0, 0, 1, 1, 0, 1, scores.IGNORED]], dtype=np.uint8)
    found = np.array([[0, 0, 1, 0, 2, 3, 4, 0]], dtype=np.uint8)
    score = scores.score_pixels(found, np.full(truth.shape, 0.9), truth, names)
    assert score.confusion.tolist() == [[2, 1, 0, 1, 0], [1, 0, 1, 0, 1]]
    assert score.accuracy == pytest.approx(2 / 7)
    assert score.classified_accuracy == pytest.approx(2 / 5)
    assert score.iou("forest") == pytest.approx(2 / 5)
    assert score.iou("other") == 0
    assert score.status("unknown") == score.status("masked") == pytest.approx(1 / 7)
    doubled = score + score
    assert doubled.accuracy == score.accuracy
    assert doubled.describe(names)["pixels"] == 14


def test_calibration_error_is_the_mean_gap_of_fifteen_bins(scores: ModuleType) -> None:
    truth = np.zeros((1, 10), dtype=np.uint8)
    # Four at .95, of which two are right, and six at .30, of which three are; 1.0 has a bin, too.
    found = np.array([[0, 0, 1, 1, 0, 0, 0, 1, 1, 1]], dtype=np.uint8)
    confidence = np.array([[0.95] * 4 + [0.30] * 6])
    score = scores.score_pixels(found, confidence, truth, ("forest", "other"))
    assert score.calibration_error == pytest.approx(0.4 * 0.45 + 0.6 * 0.20)
    sure = scores.score_pixels(truth, np.ones(truth.shape), truth, ("forest", "other"))
    assert sure.bins[-1].tolist() == [10, 10, 10]
    assert sure.calibration_error == 0


def test_unknown_pixels_have_no_confidence_to_calibrate(scores: ModuleType) -> None:
    truth = np.zeros((1, 2), dtype=np.uint8)
    found = np.array([[0, 3]], dtype=np.uint8)
    score = scores.score_pixels(found, np.array([[1.0, 0.0]]), truth, ("forest", "other"))
    assert score.bins[:, 0].sum() == 1


def test_groups_without_a_name_are_other(scores: ModuleType) -> None:
    codes = scores.find_codes(EUROSAT, ("water", "forest", "other"))
    assert codes[[LAKE, FOREST, CROP, PASTURE]].tolist() == [0, 1, 2, 2]
    assert codes[[UNKNOWN, MASKED, NODATA]].tolist() == [4, 5, 5]
    assert scores.find_codes(EUROSAT, ("water",))[FOREST] == 1  # of another group


def test_confidence_is_the_sum_of_the_groups_classes(scores: ModuleType) -> None:
    landcover = make_landcover()
    codes = scores.find_codes(landcover.legend, GROUPS)
    confidence = scores.find_confidence(landcover, codes)
    row, col = 1, 1
    group = landcover.legend[int(landcover.class_id[row, col])].group
    members = [c.class_id for c in landcover.legend.classes if c.group == group]
    expected = landcover.probabilities[row, col, members].sum() / 250
    assert confidence[row, col] == pytest.approx(expected)
    assert confidence.flat[:3].tolist() == [0, 0, 0]  # unknown, masked, nodata


def test_cells_are_spread_to_the_pixels_of_clipped_edges(scores: ModuleType) -> None:
    landcover = make_landcover()
    pixels = scores.spread(landcover.class_id, landcover.grid)
    assert pixels.shape == (landcover.grid.height, landcover.grid.width)
    assert (pixels[-1, -1], pixels[0, 63], pixels[64, 64]) == tuple(
        landcover.class_id[[-1, 0, 1], [-1, 0, 1]]
    )


def test_best_map_has_the_commonest_label_of_each_cell(scores: ModuleType) -> None:
    truth = np.zeros((64, 64), dtype=np.uint8)
    truth[:, 40:] = 1  # 24 of 64 columns
    truth[:, :20] = scores.IGNORED
    whole = scores.find_best_map(truth, lay_grid(64, 64), GROUPS)
    assert (whole == 1).all()  # 24 against 20 columns
    # Cells begin at columns 0, 16, 32, 48: the third holds 8 columns each, a tie.
    finer = scores.find_best_map(truth, lay_grid(64, 16), GROUPS)
    score = scores.score_pixels(finer, np.ones(truth.shape), truth, GROUPS)
    assert score.accuracy == pytest.approx(1 - 8 / 44)


def test_borders_are_where_five_pixels_around_have_two_labels(scores: ModuleType) -> None:
    labels = np.full((9, 9), 4)
    labels[:, 6:] = 3
    uniform = scores.find_uniform(labels)
    assert uniform[0].tolist() == [True] * 4 + [False] * 4 + [True]
    assert (uniform == uniform[0]).all()


@pytest.mark.parametrize(
    ("name", "half"), [("norcia_20150711", "choose"), ("norcia_20171018", "report")]
)
def test_odd_days_are_for_choosing(sets: ModuleType, name: str, half: str) -> None:
    assert sets.find_half(name) == half


def test_west_is_for_choosing_and_east_for_reporting(sets: ModuleType) -> None:
    west, east = (sets.find_side(lay_grid(64, 64), half) for half in ("choose", "report"))
    assert west[:, :32].all()
    assert (west ^ east).all()


def test_chips_without_a_place_are_scored_by_pixel(
    sets: ModuleType, bench: Any, make_scene: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "s2glc" / "choose"
    folder.mkdir(parents=True)
    pixels = paint([[FOREST, CROP], [LAKE, LAKE]])
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        make_scene(pixels, "s2glc/choose/001_l2a.tif", crs=None, transform=Affine.identity())
    labels = np.full((128, 128), 9)
    labels[:64, :64] = 5
    labels[:64, 64:] = 4  # forest that is called crops
    labels[64:, :32] = 1  # cloud
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write_labels(folder / "001_labels.tif", labels)
    measures = sets.measure_s2glc(bench("choose"), 64)
    assert measures["pixels"] == 128 * 128 - 64 * 32
    assert measures["accuracy"] == pytest.approx(10 / 14)
    assert measures["forest IoU"] == pytest.approx(1 / 2)
    assert measures["water IoU"] == 1
    assert measures["upper bound of accuracy"] == 1
    assert measures["away from borders"]["pixels"] < measures["pixels"]


def test_labels_in_degrees_are_warped_to_the_map(
    sets: ModuleType, bench: Any, make_scene: Any, tmp_path: Path
) -> None:
    (tmp_path / "oscd").mkdir()
    (tmp_path / "scenes" / "oscd").mkdir(parents=True)
    at = {"crs": "EPSG:4326", "transform": Affine(1.4e-4, 0, 12.5, 0, -9e-5, 52.5)}
    make_scene(paint([[FOREST] * 4, [LAKE] * 4]), "scenes/oscd/spree_20150711.tif", **at)
    labels = np.full((128, 256), 1)
    labels[:64] = 2
    write_labels(tmp_path / "oscd" / "spree_20150711_masks.tif", labels, nodata=0, **at)
    write_labels(tmp_path / "oscd" / "spree_20150712_masks.tif", labels, nodata=0, **at)
    measures = sets.measure_oscd(bench("choose"), 16)
    assert list(measures["scenes"]) == ["spree_20150711"]
    # All but the cells on the border and at the slanting edges.
    assert measures["accuracy"] > 0.9
    assert measures["pixels"] == pytest.approx(128 * 256 * 0.95, rel=0.1)


def test_woods_of_two_hectares_and_fields_called_water(
    sets: ModuleType, bench: Any, make_scene: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "havelland_osm"
    folder.mkdir()
    make_scene(paint([[FOREST, LAKE, CROP, CROP]]), "havelland_osm/havelland_l1c_rgb.tif")
    left, top = TRANSFORM.c, TRANSFORM.f

    def box(west: int, east: int, south: int) -> shapely.Polygon:
        return shapely.box(left + 10 * west, top - 10 * south, left + 10 * east, top)

    polygons = {
        "forest": [box(32, 96, 10), box(0, 10, 10)],  # half of it lake; too small
        "farm": [box(0, 256, 60)],  # west: half forest, half lake
    }
    rows = [{"fclass": k, "geometry": shape} for k, shapes in polygons.items() for shape in shapes]
    GeoDataFrame(rows, crs=UTM).to_file(folder / "gis_osm_landuse.gpkg")
    measures = sets.measure_havelland(bench("choose"), 64)
    assert measures["woods mapped as forest"] == pytest.approx(0.5)
    assert measures["fields mapped as water"] == pytest.approx(0.5)
    assert measures["pixels"] == {"woods": 640, "waters": 0, "fields": 128 * 60}
    assert sets.measure_havelland(bench("report"), 64)["fields mapped as water"] == 0


def test_clouds_drawn_by_hand_lie_where_the_sample_scene_is_white(
    sets: ModuleType, bench: Any
) -> None:
    measures = sets.measure_clouds(bench("choose"), 4)
    assert set(measures) == {"broken", "dense", "streak", "all"}
    # The fake masks what is white all over.
    assert measures["dense"]["masked"] > 0.03 > measures["broken"]["masked"]
    assert measures["all"]["masked or unknown"] >= measures["all"]["masked"]


def test_table_has_a_column_for_each_stride(sets: ModuleType) -> None:
    assert sets.MEASURES
    module = load("measure_ground", "measure_ground")
    results = {
        "s2glc": {
            64: {"accuracy": 0.5, "forest IoU": 0.25, "pixels": 3, "inner": {"accuracy": 1.0}},
            16: {"accuracy": 0.75, "forest IoU": float("nan"), "inner": {"accuracy": 0.0}},
        }
    }
    assert list(module.write_table(results, [64, 16])) == [
        "| data set | measure | stride 64 | stride 16 |",
        "|---|---|---|---|",
        "| s2glc | accuracy | 50.0 % | 75.0 % |",
        "| s2glc | forest IoU | .250 |  |",
        "| s2glc | inner: accuracy | 100.0 % | 0.0 % |",
    ]
    assert "NaN" not in json.dumps(module.replace_nan(results))
    assert module.parse_strides("64,4") == [64, 4]
    sys.modules.pop("measure_ground")
