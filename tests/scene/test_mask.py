"""What is not looked at: by the scene classification, by a user's mask, by a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.windows import Window

from geoclass.errors import SceneError, SettingsError
from geoclass.grid import Grid
from geoclass.landcover import MASK_REASONS
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.open.source import SceneSource, open_scene
from geoclass.scene.radiometry.conversion import read_as_rgb8
from geoclass.scene.read.masks import find_masks, open_masks
from geoclass.scene.read.strips import Preprocessing, read_strips
from geoclass.scene.settings import SCL_CLASSES, MaskSettings
from tests.conftest import TRANSFORM, UTM

Make = Callable[..., Path]
CODES = np.arange(12, dtype=np.uint16).repeat(10)[:, None].repeat(120, axis=1)
"""Each of Sen2Cor's codes, ten rows of it."""
EXPECTED = ["", "saturated", "", "shadow", "", "", "", "", "cloud", "cloud", "cirrus", "snow"]


def frame_of(source: SceneSource) -> Frame:
    return Frame(
        height=source.height,
        width=source.width,
        transform=source.georeference.transform,
        crs=source.georeference.crs,
    )


def read_reasons(source: SceneSource, frame: Frame | None = None, **wishes: Any) -> np.ndarray:
    """Names of reasons, (h, w)."""
    frame = frame or frame_of(source)
    masks = find_masks(source, MaskSettings(**wishes))
    with open_masks(source, frame, masks) as read_mask:
        reasons = read_mask(Window(0, 0, frame.width, frame.height))
    assert reasons.dtype == np.uint8
    return np.array(MASK_REASONS)[reasons]


def make_rgb(make_scene: Make, extra: np.ndarray | None = None, **profile: Any) -> SceneSource:
    rgb = np.full((3, 120, 120), 500, np.uint16)
    if extra is None:
        return open_scene(make_scene(rgb, "rgb.tif", descriptions=("B04", "B03", "B02")))
    stack = np.concatenate([rgb, extra[None]])
    names = ("B04", "B03", "B02", "SCL")
    return open_scene(make_scene(stack, "rgb.tif", descriptions=names, **profile))


def test_band_named_scl_masks(make_scene: Make) -> None:
    reasons = read_reasons(make_rgb(make_scene, CODES))
    assert reasons[5::10, 60].tolist() == EXPECTED
    assert (reasons == reasons[:, :1]).all()


def test_classes_can_be_chosen(make_scene: Make) -> None:
    source = make_rgb(make_scene, CODES)
    assert set(read_reasons(source, masked_classes=("snow",)).ravel()) == {"", "snow"}
    assert set(read_reasons(source, masked_classes=()).ravel()) == {""}
    with pytest.raises(SettingsError, match="unknown classes to mask: fog"):
        MaskSettings(masked_classes=("fog",))  # type: ignore[arg-type]
    assert "cirrus" in SCL_CLASSES


def test_band_by_number(make_scene: Make) -> None:
    stack = np.concatenate([np.full((3, 120, 120), 500, np.uint16), CODES[None]])
    source = open_scene(make_scene(stack, photometric="minisblack"), [1, 2, 3])
    assert set(read_reasons(source).ravel()) == {""}
    assert read_reasons(source, scl="4")[5::10, 60].tolist() == EXPECTED
    with pytest.raises(SceneError, match="no band 9 for a scene classification"):
        read_reasons(source, scl="9")


def test_classification_of_other_pixels_lies_on_the_same_ground(make_scene: Make) -> None:
    """20 m pixels in a file of their own, as in products."""
    source = make_rgb(make_scene)
    coarse = CODES[::2, ::2].astype(np.uint8)
    path = make_scene(coarse[None], "scl.tif", transform=TRANSFORM @ Affine.scale(2), nodata=0)
    expected = np.array(EXPECTED)[CODES]
    np.testing.assert_array_equal(read_reasons(source, scl=str(path)), expected)
    product = replace(source, facts=replace(source.facts, scl=str(path)))
    np.testing.assert_array_equal(read_reasons(product), expected)
    part = replace(
        frame_of(source), height=64, width=50, row_off=30, col_off=10,
        transform=TRANSFORM @ Affine.translation(10, 30),
    )  # fmt: skip
    np.testing.assert_array_equal(read_reasons(product, part), expected[30:94, 10:60])


def test_classification_is_warped_with_its_scene(make_scene: Make) -> None:
    source = make_rgb(make_scene, CODES)
    frame = replace(
        frame_of(source), height=240, width=240, access="warp", resampling="cubic",
        transform=TRANSFORM @ Affine.scale(0.5),
    )  # fmt: skip
    expected = np.array(EXPECTED)[CODES].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(read_reasons(source, frame), expected)


def test_users_raster(make_scene: Make) -> None:
    source = make_rgb(make_scene)
    mask = np.zeros((1, 120, 120), np.uint8)
    mask[0, :30] = 7
    path = make_scene(mask, "mask.tif")
    reasons = read_reasons(source, mask=str(path))
    assert (reasons[:30] == "user").all()
    assert (reasons[30:] == "").all()


def test_users_polygons(make_scene: Make, tmp_path: Path) -> None:
    source = make_rgb(make_scene)
    box = shapely.box(330000, 5822040 - 300, 330000 + 1200, 5822040)
    path = tmp_path / "mask.gpkg"
    gpd.GeoDataFrame(geometry=[box], crs=UTM).to_crs(4326).to_file(path)
    reasons = read_reasons(source, mask=str(path))
    assert (reasons[:29, 1:-1] == "user").all()
    assert (reasons[31:] == "").all()


def test_classification_comes_before_the_users_mask(make_scene: Make) -> None:
    source = make_rgb(make_scene, np.full_like(CODES, 9))
    path = make_scene(np.ones((1, 120, 120), np.uint8), "mask.tif")
    assert set(read_reasons(source, mask=str(path)).ravel()) == {"cloud"}


@pytest.mark.parametrize(
    ("values", "nodata", "above", "told"),
    [
        ((0, 0), None, None, "mask.tif masks no pixel of a sample"),
        ((0, 1), 1, None, "mask.tif masks no pixel of a sample; 1, its nodata value, never masks"),
        ((0, 255), 255, None, "no pixel of a sample; 255, its nodata value, never masks"),
        ((0, 93), None, 95.0, "mask.tif masks no pixel of a sample"),
        ((0, 1), 0, None, None),
        ((0, 93), None, 50.0, None),
    ],
)
def test_a_mask_that_hides_nothing_says_so(
    make_scene: Make,
    values: tuple[int, int],
    nodata: int | None,
    above: float | None,
    told: str | None,
) -> None:
    mask = np.full((1, 120, 120), values[0], np.uint8)
    mask[0, :30] = values[1]
    path = make_scene(mask, "mask.tif", nodata=nodata)
    wishes = MaskSettings(mask=str(path), mask_above=above)
    found = find_masks(make_rgb(make_scene), wishes).warnings
    assert len(found) == (told is not None)
    assert told is None or found[0].endswith(told)


def test_a_classification_without_data_is_refused(make_scene: Make) -> None:
    source = make_rgb(make_scene, np.zeros_like(CODES))
    with pytest.raises(SceneError, match=r"has only 0, no data.*--scl, or --mask-classes none"):
        find_masks(source, MaskSettings())
    assert find_masks(source, MaskSettings(masked_classes=())).scl is None


def test_mask_that_is_none_is_refused(make_scene: Make, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("hello")
    with pytest.raises(SceneError, match="neither a raster nor polygons"):
        find_masks(make_rgb(make_scene), MaskSettings(mask=str(text)))


HALF = np.arange(120) < 60


def test_fractions_need_a_threshold(make_scene: Make) -> None:
    source = make_rgb(make_scene)
    cloudy = np.where(HALF, 0.93, 0.0).astype(np.float32)[None, None].repeat(120, axis=1)
    path = str(make_scene(cloudy, "probability.tif"))
    with pytest.raises(SceneError, match=r"fractions such as 0\.93.*--mask-above N"):
        find_masks(source, MaskSettings(mask=path))
    reasons = read_reasons(source, mask=path, mask_above=0.5)
    assert (reasons[:, HALF] == "user").all()
    assert (reasons[:, ~HALF] == "").all()
    assert set(read_reasons(source, mask=path, mask_above=0.95).ravel()) == {""}
    whole = str(make_scene(np.ceil(cloudy), "mask.tif"))
    assert (read_reasons(source, mask=whole) == reasons).all()
    with pytest.raises(SettingsError, match="no mask given"):
        MaskSettings(mask_above=0.5)


def test_fractions_that_a_first_look_missed_are_refused_as_they_are_read(make_scene: Make) -> None:
    mask = np.zeros((1, 600, 600), np.float32)
    mask[0, 1, 1] = 0.5  # beside the lattice that is looked at
    rgb = np.full((3, 600, 600), 500, np.uint16)
    source = open_scene(make_scene(rgb, "rgb.tif", descriptions=("B04", "B03", "B02")))
    path = str(make_scene(mask, "mask.tif"))
    with pytest.raises(SceneError, match="--mask-above"):
        read_reasons(source, mask=path)


@pytest.mark.parametrize(("factor", "shift"), [(1e-4, 0), (1, 100), (1, -5), (1, 0.5)])
def test_numbers_that_are_no_codes_are_refused(
    make_scene: Make, factor: float, shift: float
) -> None:
    codes = CODES.astype(np.float32) * np.float32(factor) + np.float32(shift)
    source = make_rgb(make_scene)
    path = str(make_scene(codes[None], "scl.tif"))
    with pytest.raises(SceneError, match="expected whole codes from 0 to 11"):
        find_masks(source, MaskSettings(scl=path))
    stack = np.concatenate([np.full((3, 120, 120), 0.05, np.float32), codes[None]])
    own = open_scene(make_scene(stack, "own.tif", descriptions=("B04", "B03", "B02", "SCL")))
    with pytest.raises(SceneError, match="expected whole codes from 0 to 11"):
        find_masks(own, MaskSettings())
    assert find_masks(own, MaskSettings(masked_classes=())).scl is None


def test_codes_as_floats_mask(make_scene: Make) -> None:
    source = make_rgb(make_scene)
    path = str(make_scene(CODES.astype(np.float32)[None], "scl.tif"))
    np.testing.assert_array_equal(read_reasons(source, scl=path), np.array(EXPECTED)[CODES])


@pytest.mark.parametrize("option", ["mask", "scl"])
@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_masks_elsewhere_are_refused(make_scene: Make, option: str, crs: str) -> None:
    far = (
        TRANSFORM @ Affine.translation(20000, 0) if crs == UTM else Affine(1e-4, 0, 2, 0, -1e-4, 41)
    )
    path = str(make_scene(CODES[None], "far.tif", transform=far, crs=crs))
    with pytest.raises(SceneError, match="far.tif does not overlap .*rgb.tif"):
        find_masks(make_rgb(make_scene), MaskSettings(**{option: path}))


def test_polygons_elsewhere_are_refused(make_scene: Make, tmp_path: Path) -> None:
    path = tmp_path / "far.geojson"
    gpd.GeoDataFrame(geometry=[shapely.box(2, 41, 2.1, 41.1)], crs=4326).to_file(path)
    with pytest.raises(SceneError, match="far.geojson does not overlap"):
        find_masks(make_rgb(make_scene), MaskSettings(mask=str(path)))


def test_a_mask_of_a_part_says_so(make_scene: Make) -> None:
    source = make_rgb(make_scene)
    path = str(make_scene(np.ones((1, 120, 60), np.uint8), "part.tif"))
    masks = find_masks(source, MaskSettings(mask=path))
    assert masks.warnings == ("part.tif covers 50% of the scene: the rest is not masked",)
    whole = str(make_scene(np.ones((1, 60, 60), np.uint8), "whole.tif",
                           transform=TRANSFORM @ Affine.scale(2)))  # fmt: skip
    assert find_masks(source, MaskSettings(mask=whole)).warnings == ()


def test_each_mask_says_how_much_it_hides(make_scene: Make) -> None:
    source = make_rgb(make_scene, np.where(HALF, 9, 4).astype(np.uint16)[None].repeat(120, axis=0))
    ones = np.zeros((1, 120, 120), np.uint8)
    ones[0, :, 90:] = 1
    masks = find_masks(source, MaskSettings(mask=str(make_scene(ones, "mask.tif"))))
    grid = Grid(
        height=120, width=120, transform=source.georeference.transform, crs=source.georeference.crs
    )
    preprocessing = Preprocessing(radiometry=read_as_rgb8("test"), masks=masks)
    assert masks.notes[1] == "by mask.tif"
    strips = list(read_strips(source, frame_of(source), grid, preprocessing))
    assert len(strips) == 1
    assert masks.notes[0].endswith("by the scene classification, 50.0% of the pixels")
    assert masks.notes[1] == "by mask.tif, 25.0% of the pixels"


def test_a_number_for_nothing_in_the_scene_is_a_code_in_its_classification(
    make_scene: Make,
) -> None:
    """`--nodata 9` is of the three bands alone."""
    source = replace(make_rgb(make_scene, np.full_like(CODES, 9)), nodata=9.0)
    assert set(read_reasons(source).ravel()) == {"cloud"}
