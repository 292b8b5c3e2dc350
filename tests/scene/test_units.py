"""Which number stands for a reflectance of 1, and which numbers stand for nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasterio.windows import Window

from geoclass.errors import SceneError
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.open.facts import SceneFacts
from geoclass.scene.open.source import SceneSource, open_scene
from geoclass.scene.radiometry.candidates import find_candidates
from geoclass.scene.radiometry.conversion import Possible, Radiometry, Sample
from geoclass.scene.radiometry.decision import check_colors, find_missing
from geoclass.scene.read.pixels import open_pixels
from geoclass.scene.settings import RadiometrySettings
from tests.conftest import TRANSFORM, UTM

Make = Callable[..., Path]
NAMES = ("B04", "B03", "B02")


def draw_ground(level: str = "Level-2A") -> np.ndarray:
    """Reflectance of land with woods and some water, float (3, 4, 64, 64)."""
    generator = np.random.default_rng(0)
    dark = {"Level-1C": (0.045, 0.07, 0.09), "Level-2A": (0.006, 0.021, 0.012)}[level]
    spread = {"Level-1C": (0.04, 0.03, 0.025), "Level-2A": (0.05, 0.045, 0.03)}[level]
    bands = [
        low + generator.gamma(1.5, wide / 1.5, (4, 64, 64))
        for low, wide in zip(dark, spread, strict=True)
    ]
    return np.stack(bands)


Read = Callable[..., tuple[tuple[str, ...], list[Radiometry]]]


@pytest.fixture
def read(make_scene: Make) -> Read:
    """Warnings and candidates for a sample of stored values, (3, n, 64, 64)."""

    def read(
        stored: np.ndarray,
        wishes: RadiometrySettings | None = None,
        *,
        named: bool = True,
        name: str = "scene.tif",
        nodata: float | None = None,
        force: bool = False,
        kind: str = "file",
        **facts: Any,
    ) -> tuple[tuple[str, ...], list[Radiometry]]:
        wishes = wishes or RadiometrySettings()
        descriptions = NAMES if named else None
        path = make_scene(np.ones((3, 64, 64), stored.dtype), name, descriptions=descriptions)
        source = replace(
            open_scene(path), facts=SceneFacts(**facts), nodata=nodata, kind=kind, warnings=()
        )
        valid = stored.any(axis=0) & np.isfinite(stored).all(axis=0)
        if nodata:
            valid &= (stored != nodata).all(axis=0)
        sample = Sample(stored=np.nan_to_num(stored), valid=valid)
        _, sample, warnings = find_missing(source, wishes, sample, force=force)
        readings = find_candidates(source, wishes, sample)
        check_colors(source, readings[0], sample)
        return warnings, readings

    return read


def reread(stored: np.ndarray, reading: Radiometry) -> np.ndarray:
    return reading.apply(stored)


def tell(readings: list[Radiometry]) -> str:
    return "; ".join(f"{r.name}: {r.reason}" for r in readings)


@pytest.mark.parametrize(
    ("quantification", "dtype"),
    [(1.0, "float32"), (100.0, "float32"), (255.0, "uint8"), (255.0, "float32"),
     (637.5, "uint8"), (1000.0, "int16"), (10000.0, "uint16"), (32768.0, "uint16")],
)  # fmt: skip
def test_a_number_for_a_reflectance_of_1_makes_all_forms_equal(
    read: Read, quantification: float, dtype: str
) -> None:
    ground = draw_ground()
    told = RadiometrySettings(profile="l2a")
    (plain,) = read((ground * 1e4).astype(np.uint16), told)[1]
    expected = reread(ground * 1e4, plain).astype(int)
    stored = (ground * quantification).clip(0, 255 if dtype == "uint8" else np.inf)
    wishes = replace(told, quantification=quantification)
    (other,) = read(np.rint(stored).astype(dtype) if dtype[0] != "f" else stored.astype(dtype),
                    wishes)[1]  # fmt: skip
    seen = reread(stored, other).astype(int)
    clear = ground.max(axis=0) < 255 / quantification if dtype == "uint8" else slice(None)
    assert np.abs(seen - expected)[:, clear].max() <= 1


def test_thousandths_are_one_of_two_readings(read: Read) -> None:
    readings = read(np.rint(draw_ground() * 1000).astype(np.uint16))[1]
    assert "reflectance × 1000" in tell(readings)
    assert len(readings) > 1
    above = read(np.rint(draw_ground("Level-1C") * 1000).astype(np.int16))[1]
    assert "reflectance × 1000" in tell(above)


@pytest.mark.parametrize("level", ["Level-1C", "Level-2A"])
def test_numbers_up_to_255_that_are_stored_in_more_bits_are_one_of_two_readings(
    read: Read, level: str
) -> None:
    stored = np.rint(draw_ground(level).clip(0, 1) * 255).astype(np.uint16)
    assert "reflectance × 255, as no value is above 255" in tell(read(stored)[1])
    assert "× 255" not in tell(read(stored, baseline="02.04")[1])
    asked = read(stored, RadiometrySettings(quantification=255))[1]
    assert "255 for a reflectance of 1, as requested" in tell(asked)


@pytest.mark.parametrize("level", ["Level-1C", "Level-2A"])
def test_ten_thousandths_have_one_reading(read: Read, level: str) -> None:
    (reading,) = read(np.rint(draw_ground(level) * 1e4).astype(np.uint16))[1]
    assert reading.name == {"Level-1C": "l1c", "Level-2A": "l2a"}[level]


def test_products_need_no_guess_of_their_unit(read: Read) -> None:
    stored = np.rint(draw_ground() * 1000).astype(np.uint16)
    assert len(read(stored, level="Level-2A", baseline="02.04")[1]) == 1


@pytest.mark.parametrize("factor", [100, 255])
def test_per_cent_and_bytes_as_floats_are_refused(read: Read, factor: float) -> None:
    with pytest.raises(SceneError, match=r"neither reflectance .*--quantification N"):
        read((draw_ground() * factor).astype(np.float32))


def test_floats_without_names_may_be_pictures_made_brighter(read: Read) -> None:
    picture = (2.5 * draw_ground()).astype(np.float32)
    assert "brightened 2.5 times" in tell(read(picture, named=False, level="Level-2A")[1])
    assert "brightened 2.5 times" in tell(
        read(picture, name="S2_L2A_True_color.tif", level="Level-2A")[1]
    )
    measured = (draw_ground() * 0.7).astype(np.float32)
    assert len(read(measured, named=False)[1]) == 1
    assert len(read(draw_ground("Level-1C").astype(np.float32), named=False)[1]) == 1


@pytest.mark.parametrize("offset", [0.0, 0.01])
def test_an_offset_on_fractions_keeps_their_scale(read: Read, offset: float) -> None:
    stored = (draw_ground() + offset).astype(np.float32)
    wishes = RadiometrySettings(profile="l2a", dn_offset=offset)
    (reading,) = read(stored, wishes)[1]
    (plain,) = read(draw_ground().astype(np.float32), RadiometrySettings(profile="l2a"))[1]
    gap = reread(stored, reading).astype(int) - reread(draw_ground(), plain)
    assert np.abs(gap).max() <= 1


@pytest.mark.parametrize(
    "facts",
    [
        {"add_offset": -1000},
        {"scales": (1e-4,) * 3, "offsets": (-0.1, -0.1, -0.2)},
        {"baseline": "05.11"},
    ],
)
@pytest.mark.parametrize("unit", [1.0, 1e4])
def test_an_offset_that_is_off_already_is_not_subtracted(
    read: Read, facts: dict[str, Any], unit: float
) -> None:
    stored = (draw_ground() * unit).astype(np.float32 if unit == 1 else np.uint16)
    (reading,) = read(stored, level="Level-2A", **facts)[1]
    (plain,) = read(np.rint(draw_ground() * 1e4).astype(np.uint16), level="Level-2A",
                    baseline="02.04")[1]  # fmt: skip
    seen = reread(stored, reading).astype(int)
    assert np.abs(seen - reread(draw_ground() * 1e4, plain)).max() <= 1
    assert "already subtracted" in reading.reason


def test_an_item_without_an_offset_is_not_trusted_where_all_is_bright(read: Read) -> None:
    stored = np.rint(draw_ground() * 1e4 + 1000).astype(np.uint16)
    readings = read(stored, kind="stac", level="Level-2A", add_offset=0)[1]
    assert readings[0].bias[0] - readings[1].bias[0] == pytest.approx(890)
    assert len(read(stored - 1000, kind="stac", level="Level-2A", add_offset=0)[1]) == 1


FILLS = [
    ("int16", 1e4, -9999), ("int16", 1e4, -32768), ("uint16", 1e4, 65535), ("int32", 1e4, -9999),
    ("float32", 1.0, -9999), ("float32", 1.0, 1e20), ("float32", 1.0, -1), ("float32", 1.0, 999),
    ("float32", 1e4, 1e20), ("float64", 1e4, -3.4e38), ("uint16", 1e4, 1), ("int16", 1e4, 32767),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "unit", "fill"), FILLS)
def test_fill_values_without_a_tag_decide_nothing(
    read: Read, dtype: str, unit: float, fill: float
) -> None:
    ground = draw_ground("Level-1C") * unit
    clean = (np.rint(ground) if dtype[0] != "f" else ground).astype(dtype)
    (expected,) = read(clean)[1]
    filled = clean.copy()
    filled[:, :, :5] = fill
    warnings, (found,) = read(filled)
    np.testing.assert_allclose(found.gain, expected.gain)
    np.testing.assert_allclose(found.bias, expected.bias, atol=30)
    assert "7.8% of a sample's pixels have" in warnings[-1]
    filled[:, :, :20] = fill
    with pytest.raises(SceneError, match=r"31.2% of a sample.* have .*--nodata N"):
        read(filled)
    (told,) = read(filled, nodata=fill)[1]
    np.testing.assert_allclose(told.gain, expected.gain)
    assert read(filled, force=True)[0]


@pytest.mark.parametrize("level", ["Level-1C", "Level-2A"])
@pytest.mark.parametrize("band", [0, 1, 2])
def test_0_in_one_band_is_missing_where_others_are_bright(
    read: Read, level: str, band: int
) -> None:
    stored = np.rint(draw_ground(level) * 1e4).astype(np.uint16)
    stored[band, :, :6] = 0
    warnings, _ = read(stored)
    assert "0 in one of three bands" in warnings[-1]
    stored[band, :, :40] = 0
    with pytest.raises(SceneError, match="0 in one of three bands"):
        read(stored)
    tagged, _ = read(stored, nodata=0)
    assert "0 in one of three bands: taken as missing" in tagged[-1]


def test_0_in_one_band_is_darkness_where_others_are_dark(read: Read) -> None:
    stored = np.rint(draw_ground() * 1e4).astype(np.uint16)
    stored[:, :, :10] = np.array([0, 150, 60])[:, None, None, None]
    assert read(stored)[0] == ()


def read_valid(source: SceneSource, frame: Frame, possible: Possible | None = None) -> np.ndarray:
    with open_pixels(source, frame, possible) as read_pixels:
        return read_pixels(Window(0, 0, frame.width, frame.height))[1]


@pytest.mark.parametrize(("dtype", "lost"), [("uint16", 0), ("uint16", 65535), ("int16", -9999)])
def test_a_tagged_number_in_one_band_is_missing_as_in_all(
    make_scene: Make, dtype: str, lost: int
) -> None:
    pixels = np.full((3, 128, 128), 900, dtype)
    pixels[0, :64] = lost
    pixels[:, :, :32] = lost
    path = make_scene(pixels, descriptions=NAMES, nodata=lost)
    wishes = RadiometrySettings(profile="l1c", dn_offset=0.0)
    sample = Sample(stored=pixels[:, None], valid=(pixels != lost).all(axis=0)[None])
    source = open_scene(path)
    possible, _, _ = find_missing(source, wishes, sample, force=False)
    own = Frame(height=128, width=128, transform=TRANSFORM, crs=UTM)
    expected = (pixels != lost).all(axis=0)
    np.testing.assert_array_equal(read_valid(source, own, possible), expected)
    finer = replace(own, height=256, width=256, transform=TRANSFORM @ Affine.scale(0.5),
                    access="warp", resampling="cubic")  # fmt: skip
    warped = read_valid(source, finer, possible)
    seams = np.ones_like(warped)
    for edge in (64, 128):
        seams[edge - 4 : edge + 4] = seams[:, edge - 4 : edge + 4] = False
    np.testing.assert_array_equal(warped[seams], expected.repeat(2, 0).repeat(2, 1)[seams])


def test_a_white_byte_in_one_band_is_there(make_scene: Make) -> None:
    pixels = np.full((3, 64, 64), 90, np.uint8)
    pixels[0, :10] = 255
    pixels[:, 20:30] = 255
    source = open_scene(make_scene(pixels, nodata=255))
    valid = read_valid(source, Frame(height=64, width=64, transform=TRANSFORM, crs=UTM))
    assert valid[:20].all()
    assert not valid[20:30].any()


def test_near_infrared_is_not_red(read: Read) -> None:
    red, green, _ = draw_ground() * 1e4
    infrared = 3000 - 2 * red.clip(max=900)
    stored = np.rint(np.stack([infrared, red, green])).astype(np.uint16)
    with pytest.raises(SceneError, match="over twice as bright as green .* near infrared"):
        read(stored)


@pytest.mark.parametrize("white", [0.3, 0.4, 1.0])
def test_bytes_of_an_unknown_stretch_have_many_readings(read: Read, white: float) -> None:
    stored = (draw_ground() / white * 255).clip(0, 255).astype(np.uint8)
    assert len(read(stored, named=False)[1]) >= 3


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("level", ["Level-1C", "Level-2A"])
def test_pictures_that_a_viewer_stretched_are_refused(read: Read, dtype: str, level: str) -> None:
    ground, white = draw_ground(level), 255 if dtype == "uint8" else 1
    low, high = np.percentile(ground, (2, 98), axis=(1, 2, 3))[:, :, None, None, None]
    stored = ((ground - low) / (high - low) * white).clip(0, white).astype(dtype)
    advice = "--quantification N" if dtype == "uint8" else "--scale LO,HI"
    with pytest.raises(SceneError, match=f"black and many white .* {advice}"):
        read(stored)


def test_measured_fractions_with_white_clouds_are_no_picture(read: Read) -> None:
    stored = draw_ground().astype(np.float32)
    stored[:, 0] = 0.001
    stored[:, 3] = np.random.default_rng(1).uniform(0.9, 1.2, stored[:, 3].shape)
    read(stored)


def test_fractions_too_bright_for_any_haze_may_be_pictures(read: Read) -> None:
    above = draw_ground("Level-1C").astype(np.float32)
    assert "brightened 2.5 times" in tell(read(2.5 * above)[1])
    assert "brightened 2.5 times" not in tell(read(above)[1])
    assert "brightened 2.5 times" not in tell(read(2.5 * above, add_offset=-1000)[1])


def test_an_offset_may_be_off_already_where_fractions_were_made(read: Read) -> None:
    stored = (draw_ground() + 0.12).astype(np.float32)
    readings = read(stored, level="Level-2A", add_offset=-1000)[1]
    assert "subtracted when reflectance was computed" in tell(readings)
    assert len(readings) == 2
    numbers = np.rint(stored * 1e4).astype(np.uint16)
    assert len(read(numbers, level="Level-2A", add_offset=-1000)[1]) == 1
