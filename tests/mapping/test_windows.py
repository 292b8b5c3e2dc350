"""Maps of a network with cells of its own, of all sizes from one look; cells are known exactly."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from geoclass.errors import SceneError, SettingsError
from geoclass.landcover import MASK_REASONS, LandCoverMap
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping import windows
from geoclass.mapping.pipeline import estimate_work, run_map
from geoclass.mapping.plan import MapPlan, plan_map
from geoclass.mapping.settings import MapRequest, MapSettings, PostprocessingSettings
from geoclass.mapping.windows import average_cells, mirror_missing
from geoclass.model.dense import HALO, Window, WindowPrediction
from geoclass.scene.read.strips import STRIP_PIXELS
from geoclass.scene.settings import FrameSettings
from tests.conftest import (
    COLORS,
    HAZE,
    STRANGE,
    TRANSFORM,
    UTM,
    WHITE,
    FakeClassifier,
    FakeDenseClassifier,
    assert_equal_maps,
    paint,
)

Make = Callable[..., Path]


def plan(path: Path, dense_classifier: FakeClassifier, **settings: Any) -> MapPlan:
    return plan_map(
        path, dense_classifier.contract, "ab" * 32, MapRequest(settings=MapSettings(**settings))
    )


def map_file(
    path: Path, dense_classifier: FakeClassifier, strip_pixels: int = STRIP_PIXELS, **settings: Any
) -> LandCoverMap:
    return run_map(
        plan(path, dense_classifier, **settings), dense_classifier, strip_pixels=strip_pixels
    )


def draw(rows: int, cols: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes of squares of `side` pixels, (rows, cols) of them, and their pixels."""
    classes = np.random.default_rng(0).integers(0, 10, (rows, cols)).astype(np.uint8)
    return classes, paint(classes.tolist(), tile=side)


@pytest.mark.parametrize("stride", [4, 8, 16, 32, 64])
def test_cells_of_any_size_get_their_class(
    make_scene: Make, dense_classifier: FakeDenseClassifier, stride: int
) -> None:
    classes, pixels = draw(192 // stride, 320 // stride, stride)
    landcover = map_file(make_scene(pixels), dense_classifier, stride=stride)
    np.testing.assert_array_equal(landcover.class_id, classes)
    np.testing.assert_array_equal(landcover.best_class, classes)
    assert (landcover.valid_share == 250).all()
    assert landcover.finest.grid.stride == 4
    np.testing.assert_array_equal(
        landcover.finest.class_id, classes.repeat(stride // 4, 0).repeat(stride // 4, 1)
    )


def test_detail_is_of_the_same_look(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    classes, pixels = draw(32, 48, 4)
    landcover = map_file(make_scene(pixels), dense_classifier, detail=8)
    assert len(dense_classifier.windows) == 1
    assert landcover.detail is not None
    assert landcover.detail.grid.stride == 8
    assert landcover.detail.provenance == landcover.provenance
    certain = (np.arange(10) == classes[:2, :2].reshape(4, 1)).mean(axis=0)
    expected = np.rint(225 * certain + 3 * (1 - certain))
    np.testing.assert_allclose(landcover.detail.probabilities[0, 0], expected, atol=1)


@pytest.mark.parametrize(
    ("most", "stride", "detail"),
    [(10**6, 64, 4), (1000, 64, 8), (200, 64, 16), (10, 64, 16), (10, 16, None), (10**6, 4, None)],
)
def test_detail_is_as_fine_as_the_scene_is_small(
    make_scene: Make,
    dense_classifier: FakeDenseClassifier,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    stride: int,
    detail: int | None,
) -> None:
    """Of 1,536 cells of 4 pixels."""
    monkeypatch.setattr("geoclass.mapping.plan.MAX_DETAIL", most)
    chosen = plan(make_scene(draw(32, 48, 4)[1]), dense_classifier, stride=stride).detail
    assert (None if chosen is None else chosen.stride) == detail


def test_detail_may_be_left_out(make_scene: Make, dense_classifier: FakeDenseClassifier) -> None:
    path = make_scene(draw(32, 48, 4)[1])
    without, with_it = (map_file(path, dense_classifier, detail=d) for d in ("none", None))
    assert without.detail is None
    np.testing.assert_array_equal(without.class_id, with_it.class_id)
    assert without.provenance.fingerprint != with_it.provenance.fingerprint


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"stride": 48}, "stride must be one of 64, 32, 16, 8 or 4, got 48"),
        ({"stride": 0}, "stride must be one of"),
        ({"detail": 64}, "detail of cells of 64 pixels must be 32, 16, 8, 4 or none, got 64"),
        ({"stride": 8, "detail": 16}, "detail of cells of 8 pixels must be 4 or none, got 16"),
        ({"stride": 4, "detail": 4}, "detail of cells of 4 pixels must be none, got 4"),
    ],
)
def test_impossible_sizes_are_refused(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        MapSettings(**wish)


@pytest.mark.parametrize("wish", [{"stride": 32}, {"detail": 8}])
def test_networks_without_cells_map_tiles_alone(
    make_scene: Make, classifier: FakeClassifier, wish: dict[str, int]
) -> None:
    path = make_scene(paint([[0, 1]]))
    assert map_file(path, classifier).detail is None
    with pytest.raises(SettingsError, match="no cells of its own: leave out --(stride|detail)"):
        plan(path, classifier, **wish)


@pytest.mark.parametrize("size", [(64, 64), (100, 77), (129, 500), (330, 150)])
@pytest.mark.parametrize("profile", [{}, {"tiled": True, "blockxsize": 128, "blockysize": 128}])
def test_windows_and_strips_do_not_show(
    make_scene: Make,
    dense_classifier: FakeDenseClassifier,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    profile: dict[str, Any],
) -> None:
    """Whatever their size, the scene's, and how it is stored: each cell is where it belongs."""
    classes, pixels = draw(83, 125, 4)
    pixels = pixels[:, : size[0], : size[1]]
    pixels[:, 40:60, 20:92] = 0
    path = make_scene(pixels, **profile)
    whole = map_file(path, dense_classifier)
    expected = classes[: -(-size[0] // 4), : -(-size[1] // 4)].copy()
    expected[10:15, 5:23] = NODATA
    tiles = (whole.grid.rows, whole.grid.cols)
    assert tiles == (-(-size[0] // 64), -(-size[1] // 64))
    np.testing.assert_array_equal(whole.finest.class_id, expected)
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 4096 * 2)
    for strip_pixels in (1, size[1] * 130):
        parts = map_file(path, dense_classifier, strip_pixels)
        assert_equal_maps(parts, whole)
        assert_equal_maps(parts.finest, whole.finest)


def test_windows_show_what_lies_around(
    make_scene: Make, dense_classifier: FakeDenseClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has the scene's pixels around it; beyond the scene they are mirrored, and not valid."""
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 4096)
    pixels = np.random.default_rng(0).integers(1, 256, (3, 200, 150)).astype(np.uint8)
    map_file(make_scene(pixels), dense_classifier, strip_pixels=1)
    shown = np.pad(pixels, ((0, 0), (HALO, 128), (HALO, 128)), mode="symmetric")
    valid = np.pad(np.ones((200, 150), bool), ((HALO, 128), (HALO, 128)))
    expected = [
        (top, left, height, width)
        for top, height in ((0, 64), (64, 64), (128, 128))
        for left, width in ((0, 64), (64, 128))
    ]
    assert len(dense_classifier.windows) == len(expected)
    by_place = {window.pixels.tobytes(): window for window in dense_classifier.windows}
    for top, left, height, width in expected:
        part = (slice(top, top + height + 2 * HALO), slice(left, left + width + 2 * HALO))
        window = by_place[np.ascontiguousarray(shown[:, *part]).tobytes()]
        np.testing.assert_array_equal(window.valid, valid[part])
        assert window.shown.all()
        inward = 200 // 8 * 8 - 64 - 128
        assert window.tile_rows.tolist() == ([0, inward] if height > 64 else [0])
        assert window.tile_cols.tolist() == ([0, 150 - 64 - 64 - 6] if width > 64 else [0])


def test_missing_pixels_are_looked_at_cell_by_cell(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    """Half of a cell is enough, less is not; a tile with less than half has cells all the same."""
    pixels = paint([[0, 1]])
    pixels[:, :40, :64] = 0
    pixels[:, 0:2, 64:] = 0  # half of the uppermost cells
    pixels[:, 4:7, 64:] = 0
    landcover = map_file(make_scene(pixels), dense_classifier)
    detail = landcover.finest
    assert landcover.class_id.tolist() == [[NODATA, 1]]
    assert detail.class_id[:, 0].tolist() == [NODATA] * 10 + [0] * 6
    assert detail.class_id[:, 16].tolist() == [1, NODATA] + [1] * 14
    assert detail.valid_share[:2, 16].tolist() == [125, 62]
    assert (detail.probabilities[detail.class_id == NODATA] == 0).all()


def test_land_is_mirrored_across_a_slanting_edge_of_the_data() -> None:
    """Stripes at right angles to the edge run on; masked pixels and what is far stay unseen."""
    row, col = np.mgrid[:120, :120]
    stripes = np.broadcast_to(((row + col) % 251).astype(np.uint8), (3, 120, 120))
    has_data = row > col - 20
    masked = (row > 100) & has_data
    pixels, shown = mirror_missing(stripes * has_data, has_data & ~masked, has_data)
    beside = ~has_data & (row > col - 26) & (row < 60) & (col > 40)
    np.testing.assert_allclose(pixels[:, beside].astype(int), stripes[:, beside], atol=4)
    assert shown[beside].all()
    assert not shown[masked].any()
    assert not shown[0, 20 + 2 * HALO]
    np.testing.assert_array_equal(pixels[:, has_data], stripes[:, has_data])


def test_missing_pixels_beside_a_single_line_show_the_nearest() -> None:
    """One column of data has nothing to mirror but itself."""
    valid = np.zeros((8, 8), dtype=bool)
    valid[:, 0] = True
    pixels = np.zeros((3, 8, 8), dtype=np.uint8)
    pixels[:, :, 0] = np.arange(8)
    filled, shown = mirror_missing(pixels, valid, valid)
    assert shown.all()
    np.testing.assert_array_equal(filled, np.broadcast_to(np.arange(8)[:, None], (3, 8, 8)))


@pytest.mark.parametrize("stride", [4, 8])
def test_colours_are_those_of_the_valid_pixels(
    make_scene: Make, dense_classifier: FakeDenseClassifier, stride: int
) -> None:
    """Means, and means of the darkest quarter of each band, to the nearest whole number."""
    noise = np.random.default_rng(0).integers(20, 200, (3, 128, 128)).astype(np.uint8)
    noise[:, :4, :3] = 0  # a quarter of the first cell is there
    noise[:, 4:8, :2] = 0  # half of the next
    landcover = map_file(make_scene(noise), dense_classifier, detail=stride)
    assert landcover.colors is None
    colors = landcover.finest.colors
    assert colors is not None
    for row, col in ((0, 0), (1, 0), (5, 9), (15, 15)):
        pixels = noise[:, row * stride : (row + 1) * stride, col * stride : (col + 1) * stride]
        valid = pixels[:, pixels[0] > 0]
        seen = valid.shape[1] >= stride**2 / 2
        quarter = np.sort(valid, axis=1)[:, : valid.shape[1] // 4]
        expected = np.rint([*valid.mean(axis=1), *quarter.mean(axis=1)]) if seen else np.zeros(6)
        np.testing.assert_array_equal(colors[row, col], expected)


def test_narrow_edge_cell_beside_a_hole_is_nodata_as_a_tile(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    """Its own pixels are valid, but nearly all of its tile's are not; small cells need no tile."""
    pixels = paint([[0, 1]])[:, :, :72]
    pixels[:, :, :64] = 0
    landcover = map_file(make_scene(pixels), dense_classifier)
    assert landcover.class_id.tolist() == [[NODATA, NODATA]]
    assert landcover.finest.class_id[0].tolist() == [NODATA] * 16 + [1, 1]


def test_clouds_that_the_network_finds_are_masked(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    """Tiles and means where too little is left; the others are of what is left alone."""
    pixels = paint([[0, 1, 2]])
    pixels[:, :40, :64] = WHITE[:, None, None]
    pixels[:, :8, 64:] = WHITE[:, None, None]
    path = make_scene(pixels)
    landcover = map_file(path, dense_classifier)
    detail = landcover.finest
    assert landcover.class_id.tolist() == [[MASKED, 1, 2]]
    assert landcover.best_class.tolist() == [[NODATA, 1, 2]]
    assert landcover.valid_share.tolist() == [[94, 219, 219]]
    for m in (landcover, detail):
        np.testing.assert_array_equal(m.class_id == MASKED, m.mask_reason > 0)
        assert {MASK_REASONS[i] for i in np.unique(m.mask_reason)} == {"", "cloud"}
        assert (m.probabilities[m.class_id == MASKED] == 0).all()
    assert detail.class_id[:, 0].tolist() == [MASKED] * 10 + [0] * 6
    assert detail.class_id[:, 16].tolist() == [MASKED] * 2 + [1] * 14
    middling = map_file(path, dense_classifier, stride=16, detail="none")
    assert middling.class_id[:, 0].tolist() == [MASKED, MASKED, 0, 0]
    assert middling.class_id[:, 4].tolist() == [1, 1, 1, 1]
    assert middling.probabilities[0, 4].max() == 225
    strict = map_file(path, dense_classifier, stride=16, min_valid_share=0.6)
    assert strict.class_id[:, 4].tolist() == [MASKED, 1, 1, 1]


def make_sky(cloud: int) -> np.ndarray:
    """Forest of 8 × 12 tiles with `cloud` tiles of cloud, a hazy tile near them and a far one."""
    pixels = paint([[1] * 12] * 8)
    pixels[:, : 64 * cloud, 64:128] = WHITE[:, None, None]
    pixels[:, :64, 128:192] = HAZE[:, None, None]
    pixels[:, :64, 640:704] = HAZE[:, None, None]
    return pixels


def test_possible_cloud_is_masked_where_much_cloud_is_near(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    landcover = map_file(make_scene(make_sky(4)), dense_classifier)
    expected = np.full((8, 12), 1)
    expected[:4, 1] = MASKED
    expected[0, 2] = MASKED
    expected[0, 10] = landcover.class_id[0, 10]  # haze in clear surroundings is land
    assert expected[0, 10] < 10
    np.testing.assert_array_equal(landcover.class_id, expected)
    detail = landcover.finest
    np.testing.assert_array_equal(detail.class_id, expected.repeat(16, 0).repeat(16, 1))
    for m in (landcover, detail):
        np.testing.assert_array_equal(m.class_id == MASKED, m.mask_reason > 0)
        assert (m.probabilities[m.class_id == MASKED] == 0).all()
        assert (m.valid_share[m.class_id == MASKED] == 0).all()
    middling = map_file(make_scene(make_sky(4)), dense_classifier, stride=16, detail="none")
    np.testing.assert_array_equal(middling.class_id, expected.repeat(4, 0).repeat(4, 1))


def test_possible_cloud_is_land_where_little_cloud_is_near(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    pixels = make_sky(0)
    pixels[:, :64, 64:72] = WHITE[:, None, None]
    detail = map_file(make_scene(pixels), dense_classifier).finest
    assert (detail.class_id == MASKED).sum() == 16 * 2


def test_where_nearly_all_may_be_cloud_only_certain_cloud_is_masked(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    """Such a model does not tell land from cloud; a scene under haze is mapped as before."""
    pixels = make_sky(4)
    pixels[:, 64:, 128:] = HAZE[:, None, None]
    landcover = map_file(make_scene(pixels), dense_classifier)
    assert (landcover.class_id == MASKED).sum() == 4


def test_thin_cloud_does_not_depend_on_windows(
    make_scene: Make, dense_classifier: FakeDenseClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_scene(make_sky(4))
    whole = map_file(path, dense_classifier)
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 2 * 64 * 64)
    parts = map_file(path, dense_classifier, strip_pixels=12 * 64 * 64)
    assert len(dense_classifier.windows) > 40
    assert_equal_maps(whole, parts)


def test_cells_partly_under_thin_cloud_keep_their_class(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    pixels = make_sky(4)
    pixels[:, :64, 152:192] = COLORS[1][:, None, None]
    landcover = map_file(make_scene(pixels), dense_classifier)
    assert landcover.class_id[0, 2] < 10
    assert landcover.valid_share[0, 2] == round(250 * 40 / 64)


def test_masks_of_the_scene_and_of_the_network_are_one(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    """Snow by the scene's own classification and cloud by the network take a tile together."""
    scl = np.full((1, 64, 128), 4, np.uint8)
    scl[0, :24, :64] = 11
    pixels = np.concatenate([paint([[0, 1]]), scl])
    pixels[:3, 24:40, :64] = WHITE[:, None, None]
    names = ("B04", "B03", "B02", "SCL")
    path = make_scene(pixels, descriptions=names, photometric="minisblack")
    landcover = map_file(path, dense_classifier)
    assert landcover.class_id.tolist() == [[MASKED, 1]]
    assert MASK_REASONS[landcover.mask_reason[0, 0]] == "snow"
    reasons = [MASK_REASONS[i] for i in landcover.finest.mask_reason[:, 0]]
    assert reasons == ["snow"] * 6 + ["cloud"] * 4 + [""] * 6


def test_cells_of_strange_tiles_are_unknown(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    pixels = paint([[0, 1]])
    pixels[:, :, 64:] = STRANGE[:, None, None]
    pixels[:, :4, 64:68] = COLORS[7][:, None, None]
    path = make_scene(pixels)
    landcover = map_file(path, dense_classifier)
    assert landcover.class_id.tolist() == [[0, UNKNOWN]]
    assert (landcover.finest.class_id[:, 16:] == UNKNOWN).all()
    assert landcover.finest.best_class[0, 16] == 7
    kept = map_file(path, dense_classifier, keep_unknown=True)
    assert kept.class_id.tolist() == [[0, 4]]
    assert kept.finest.class_id[0, 16] == 7


def test_tiles_that_are_unknown_as_a_whole_have_known_cells(
    make_scene: Make, dense_classifier: FakeDenseClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = dense_classifier.predict_window

    def doubt(window: Window) -> WindowPrediction:
        found = look(window)
        found.unknown[:] = True
        return found

    monkeypatch.setattr(dense_classifier, "predict_window", doubt)
    landcover = map_file(make_scene(paint([[0, 1]])), dense_classifier)
    assert (landcover.class_id == UNKNOWN).all()
    assert set(np.unique(landcover.finest.class_id)) == {0, 1}


def test_each_cell_is_inside_by_its_own_centre(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    """A triangle, whose cells of either size are told apart."""
    path = make_scene(paint([[0, 1, 2], [3, 4, 5], [6, 7, 8]]))
    x, y = TRANSFORM.c, TRANSFORM.f
    ring = [(x, y), (x, y - 1920), (x + 1920, y - 1920), (x, y)]
    aoi = path.with_suffix(".geojson")
    gpd.GeoDataFrame(geometry=[shapely.Polygon(ring).buffer(1)], crs=UTM).to_crs(3857).to_file(aoi)
    landcover = map_file(path, dense_classifier, frame=FrameSettings(aoi=str(aoi)))
    assert landcover.class_id.tolist() == [[0, NODATA, NODATA], [3, 4, NODATA], [6, 7, 8]]
    inside = landcover.finest.class_id != NODATA
    np.testing.assert_array_equal(inside, np.tri(48, dtype=bool))
    assert (landcover.finest.valid_share == np.where(inside, 250, 0)).all()


def test_windows_of_nothing_are_not_looked_at(
    make_scene: Make, dense_classifier: FakeDenseClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is missing nor what lies outside the part that is to be mapped."""
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 4096)
    pixels = paint([[0, 1, 2, 3]])
    pixels[:, :, :128] = 0
    landcover = map_file(make_scene(pixels), dense_classifier, strip_pixels=1)
    assert landcover.class_id.tolist() == [[NODATA, NODATA, 2, 3]]
    assert len(dense_classifier.windows) == 2


def test_all_cells_are_reported(
    make_scene: Make, dense_classifier: FakeDenseClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 4096 * 2)
    done: list[int] = []
    path = make_scene(paint([[0, 1, 2, 3], [4, 5, 6, 7]]))
    run_map(plan(path, dense_classifier), dense_classifier, strip_pixels=1, on_cells=done.append)
    assert done == [2, 2, 2, 2]


def test_speckle_is_taken_out_of_the_finest_cells(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    classes = np.zeros((32, 32), np.uint8)
    classes[8, 8] = 1
    path = make_scene(paint(classes.tolist(), tile=4))
    for wish in ({"min_area_ha": 0.3}, {"smooth": 20.0}):
        plain, calm = (
            map_file(path, dense_classifier, postprocessing=PostprocessingSettings(**w))
            for w in ({}, wish)
        )
        np.testing.assert_array_equal(calm.class_id, plain.class_id)
        assert [m.finest.class_id[8, 8] for m in (plain, calm)] == [1, 0]
    assert calm.finest.probabilities[0, 0].sum() == pytest.approx(250, abs=5)


def test_warped_map_does_not_depend_on_the_strips(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (3, 600, 400)).astype(np.uint8)
    degrees = rasterio.Affine(1.4e-4, 0, 12.5, 0, -9e-5, 52.5)
    path = make_scene(pixels, crs="EPSG:4326", transform=degrees)
    whole = map_file(path, dense_classifier)
    assert_equal_maps(map_file(path, dense_classifier, 1).finest, whole.finest)


def test_scene_thinner_than_a_tile_is_refused(
    make_scene: Make, dense_classifier: FakeDenseClassifier
) -> None:
    with pytest.raises(SceneError, match="63×128 pixels is smaller than one tile"):
        plan(make_scene(paint([[0], [1]])[:, :, :63]), dense_classifier)


class ForgetfulClassifier(FakeDenseClassifier):
    """Keeps no window that it has seen."""

    def predict_window(self, window: Window) -> WindowPrediction:
        found = super().predict_window(window)
        self.windows.clear()
        return found


def test_memory_is_bounded_in_very_wide_scenes(tmp_path: Path) -> None:
    """200 rows of 100,000 columns, mostly of blocks that nobody has written."""
    path = tmp_path / "wide.tif"
    profile = {"crs": UTM, "transform": TRANSFORM, "tiled": True, "SPARSE_OK": True}
    with rasterio.open(
        path, "w", "GTiff", width=100_000, height=200, count=3, dtype="uint8", **profile
    ) as file:
        file.write(paint([[1] * 10] * 3), window=rasterio.windows.Window(0, 0, 640, 192))
        file.update_tags(RADIOMETRY="eurosat-l1c-8bit")
    dense_classifier = ForgetfulClassifier()
    wide = plan(path, dense_classifier)
    tracemalloc.start()
    landcover = run_map(wide, dense_classifier)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (landcover.class_id[:3, :10] == 1).all()
    assert (landcover.class_id[:, 10:] == NODATA).all()
    assert peak < 400e6


def test_mostly_masked_scene(make_scene: Make, dense_classifier: FakeDenseClassifier) -> None:
    scl = np.full((1, 192, 192), 9, np.uint8)
    scl[0, 70:74, 70:78] = 4
    pixels = np.concatenate([paint([[0, 1, 2]] * 3), scl])
    names = ("B04", "B03", "B02", "SCL")
    path = make_scene(pixels, descriptions=names, photometric="minisblack")
    landcover = map_file(path, dense_classifier)
    assert (landcover.class_id == MASKED).all()
    rows, cols = np.nonzero(landcover.finest.class_id != MASKED)
    assert set(zip(rows.tolist(), cols.tolist(), strict=True)) <= {
        (r, c) for r in (17, 18) for c in (17, 18, 19)
    }
    assert (landcover.finest.class_id[rows, cols] == 1).all()


def test_estimate_is_of_windows(make_scene: Make, dense_classifier: FakeDenseClassifier) -> None:
    small, large = (
        estimate_work(plan(make_scene(paint(classes)), dense_classifier), dense_classifier, "tif")
        for classes in ([[0]], [[0] * 12] * 12)
    )
    assert 0 < small.seconds < large.seconds
    assert 0 < small.output_bytes < large.output_bytes


def test_means_are_of_cells_that_are_seen() -> None:
    cells = np.zeros((4, 4, 2), np.uint8)
    cells[:, :, 0] = 250
    cells[0, 0] = (0, 250)
    seen = np.ones((4, 4), bool)
    seen[0, 1] = seen[2:, 2:] = False
    means = average_cells(cells, seen, 2)
    assert means[0, 0].tolist() == [167, 83]
    assert means[0, 1].tolist() == [250, 0]
    assert means[1, 1].tolist() == [0, 0]
