"""What a scene's numbers mean, by tags and by pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geoclass.errors import SceneError, SettingsError
from geoclass.grid import Grid
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.open.facts import SceneFacts
from geoclass.scene.open.source import SceneSource, open_scene
from geoclass.scene.radiometry.candidates import find_candidates
from geoclass.scene.radiometry.conversion import Radiometry, Sample
from geoclass.scene.read.pixels import find_collar, read_sample
from geoclass.scene.settings import RadiometrySettings

Make = Callable[..., Path]


def ground(level: str = "Level-1C") -> np.ndarray:
    """Digital numbers as dark and bright as such scenes are: (3, 1, 64, 64) float."""
    low = {"Level-1C": (500, 700, 850), "Level-2A": (150, 300, 200)}[level]
    generator = np.random.default_rng(0)
    values = [generator.gamma(2, 300, (1, 64, 64)) + dark for dark in low]
    return np.rint(np.stack(values))


@pytest.fixture
def find(make_scene: Make) -> Callable[..., list[Radiometry]]:
    """Candidates for a scene of such numbers, with facts as keywords."""

    def find(
        stored: np.ndarray,
        wishes: RadiometrySettings | None = None,
        name: str = "scene.tif",
        **facts: Any,
    ) -> list[Radiometry]:
        path = make_scene(np.ones((3, 64, 64), stored.dtype), name, photometric="rgb")
        source = replace(open_scene(path), facts=SceneFacts(**facts))
        sample = Sample(stored=stored, valid=np.ones(stored.shape[1:], dtype=bool))
        return find_candidates(source, wishes or RadiometrySettings(), sample)

    return find


def names(candidates: list[Radiometry]) -> list[tuple[str, float]]:
    """Profile and what is subtracted in red."""
    return [(c.name, -c.bias[0]) for c in candidates]


Find = Callable[..., list[Radiometry]]


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "float32"])
def test_dark_blue_tells_the_level(find: Find, dtype: str) -> None:
    (above,) = find(ground("Level-1C").astype(dtype))
    (below,) = find(ground("Level-2A").astype(dtype))
    assert (above.name, below.name) == ("l1c", "l2a")
    assert "by its dark blue" in above.reason


def test_scene_without_valid_pixels_is_read_as_level_1c(make_scene: Make) -> None:
    source = replace(open_scene(make_scene(np.ones((3, 64, 64), np.uint16))), facts=SceneFacts())
    sample = Sample(
        stored=np.zeros((3, 1, 64, 64), np.uint16), valid=np.zeros((1, 64, 64), dtype=bool)
    )
    (found,) = find_candidates(source, RadiometrySettings(), sample)
    assert found.name == "l1c"
    assert "by its dark blue, unknown" in found.reason


def test_much_haze_is_taken_off(find: Find) -> None:
    """As much in blue as a low winter sun adds."""
    more = np.array([200, 250, 450])[:, None, None, None]
    hazy = (ground("Level-1C") + more).astype(np.uint16)
    (treated,) = find(hazy, level="Level-1C")
    assert treated.bias[2] < treated.bias[0] < 0
    assert "haze of" in treated.reason
    (kept,) = find(hazy, RadiometrySettings(haze="keep"), level="Level-1C")
    assert kept.bias == (0, 0, 0)
    assert "haze" not in kept.reason


def test_metadata_beat_pixels(find: Find) -> None:
    stored = ground("Level-2A").astype(np.uint16)
    (told,) = find(stored, level="Level-1C", baseline="02.09")
    assert told.name == "l1c"
    assert "by its metadata" in told.reason
    assert "baseline 02.09" in told.reason


@pytest.mark.parametrize(
    ("name", "profile"),
    [("lake_L2A_2020.tif", "l2a"), ("l1c.tif", "l1c"), ("al2a.tif", "l1c"), ("l2a2.tif", "l1c")],
)
def test_name_of_the_file_tells_the_level_too(find: Find, name: str, profile: str) -> None:
    """Even of a hazy day, which is as bright as if seen from above the air."""
    (told,) = find(ground("Level-1C").astype(np.uint16), name=name)
    assert told.name == profile


def test_person_beats_metadata(find: Find) -> None:
    stored = ground().astype(np.uint16)
    wishes = RadiometrySettings(profile="l2a", dn_offset=100.0)
    (told,) = find(stored + 100, wishes, level="Level-1C", add_offset=-1000)
    plain = find(stored, RadiometrySettings(profile="l2a"), baseline="02.04")[0]
    assert told.name == "l2a"
    np.testing.assert_array_equal(told.apply(stored + 100), plain.apply(stored))


@pytest.mark.parametrize(
    ("baseline", "offset"),
    [("02.04", 0), ("03.01", 0), ("04.00", 1000), ("05.11", 1000), ("10.00", 1000)],
)
def test_baseline_decides_the_offset(find: Find, baseline: str, offset: int) -> None:
    stored = (ground() + offset).astype(np.uint16)
    assert names(find(stored, baseline=baseline)) == [("l1c", offset)]


def test_tag_of_the_offset_beats_the_baseline(find: Find) -> None:
    stored = (ground() + 1000).astype(np.uint16)
    assert names(find(stored, baseline="02.04", add_offset=-1000)) == [("l1c", 1000)]


def test_offset_that_is_off_already_is_not_taken_off_twice(find: Find) -> None:
    """As in collections that harmonise new products with old ones, and keep their baseline."""
    (told,) = find(ground().astype(np.uint16), baseline="05.09")
    assert names([told]) == [("l1c", 0)]
    assert "is already subtracted" in told.reason


def test_metadata_of_a_whole_product_are_followed(make_scene: Make) -> None:
    """Dark water of newer Level-2A products is below zero, so below the offset."""
    stored = ground().astype(np.uint16)
    source = replace(
        open_scene(make_scene(np.ones((3, 64, 64), np.uint16), photometric="rgb")),
        kind="safe",
        facts=SceneFacts(baseline="05.09"),
    )
    sample = Sample(stored=stored, valid=np.ones(stored.shape[1:], dtype=bool))
    (told,) = find_candidates(source, RadiometrySettings(), sample)
    assert "offset 1000 subtracted (baseline 05.09)" in told.reason


def test_scale_and_offset_of_bands_are_obeyed(find: Find) -> None:
    stored = ground().astype(np.uint16)
    plain = find(stored, baseline="02.04")[0].apply(stored)
    scaled = find(stored * 2 + 50, scales=(0.5e-4,) * 3, offsets=(-25e-4,) * 3, level="Level-1C")[0]
    np.testing.assert_array_equal(scaled.apply(stored * 2 + 50), plain)
    assert "scale and offset of its bands" in scaled.reason


def test_fractions_are_reflectance(find: Find) -> None:
    stored = ground()
    (told,) = find((stored / 1e4).astype(np.float32))
    assert told.gain == (1e4,) * 3
    with pytest.raises(SceneError, match="neither reflectance .* --scale LO,HI"):
        find((stored / 100).astype(np.float32))


def test_without_tags_an_offset_may_be_in_bright_numbers(find: Find) -> None:
    """Above the air nothing is below 1000 then; a desert is bright as well."""
    assert names(find(ground().astype(np.uint16))) == [("l1c", 0)]
    assert names(find((ground() + 1000).astype(np.uint16))) == [("l1c", 0), ("l1c", 1000)]


def test_between_the_levels_both_are_plausible(find: Find) -> None:
    stored = (ground("Level-2A") + 300).astype(np.uint16)
    assert [c.name for c in find(stored)] == ["l1c", "l2a"]


def test_pictures_of_8_bits(find: Find) -> None:
    eurosat = (1 + np.clip(ground(), 0, 2750) * 254 / 2750).astype(np.uint8)
    assert [c.name for c in find(eurosat)][:2] == ["rgb8", "tci"]
    tci = (np.clip(ground("Level-2A"), 0, 2000) * 255 / 2000).astype(np.uint8)
    told = [reading for reading in find(tci) if reading.name == "tci"][-1]
    assert "Level-2A" in told.reason
    wishes = RadiometrySettings(haze="keep")
    (named,) = find(eurosat, wishes, name="T32TPS_20220612T100601_TCI_10m.tif", level="Level-1C")
    assert (named.name, named.gain[0]) == ("tci", pytest.approx(3558 / 255))
    (tagged,) = find(eurosat, radiometry="eurosat-l1c-8bit")
    assert (tagged.name, tagged.reason[:12]) == ("rgb8", "8-bit values")
    (asked,) = find(eurosat, RadiometrySettings(profile="rgb8"))
    assert asked.name == "rgb8"
    with pytest.raises(SceneError, match="--radiometry tci .* or rgb8 .* or with --scale"):
        find(eurosat, RadiometrySettings(profile="l1c"))


def test_nothing_but_nodata_has_a_reading(find: Find, make_scene: Make) -> None:
    source = open_scene(make_scene(np.zeros((3, 64, 64), np.uint16)))
    empty = Sample(stored=np.zeros((3, 1, 64, 64)), valid=np.zeros((1, 64, 64), bool))
    assert names(find_candidates(source, RadiometrySettings(), empty)) == [("l1c", 0)]


@pytest.mark.parametrize(
    "wishes",
    [
        {"profile": "l3"},
        {"scale": (5.0, 5.0)},
        {"scale": (0.0, 5.0), "profile": "l1c"},
        {"scale": (0.0, 5.0), "dn_offset": 3.0},
    ],
)
def test_senseless_wishes_are_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        RadiometrySettings(**wishes)


def frame_and_grid(source: SceneSource) -> tuple[Frame, Grid]:
    place = {
        "height": source.height, "width": source.width,
        "transform": source.georeference.transform, "crs": source.georeference.crs,
    }  # fmt: skip
    return Frame(**place), Grid(**place)


def test_sample_is_spread_over_the_cells_inside(make_scene: Make) -> None:
    pixels = np.zeros((3, 640, 640), np.uint8)
    pixels += (np.arange(640) // 64 + 1).astype(np.uint8)
    source = open_scene(make_scene(pixels))
    frame, grid = frame_and_grid(source)
    whole = read_sample(source, frame, grid, np.ones((10, 10), bool), 5)
    assert whole.stored.shape == (3, 25, 64, 64)
    assert len(np.unique(whole.stored)) == 5
    inside = np.zeros((10, 10), bool)
    inside[2:4, 7] = True
    part = read_sample(source, frame, grid, inside, 5)
    assert part.stored.shape == (3, 2, 64, 64)
    assert (part.stored == 8).all()
    assert part.percentile(50).tolist() == [8, 8, 8]


def test_white_collar_is_found(make_scene: Make) -> None:
    pixels = np.full((3, 100, 100), 90, np.uint8)
    assert find_collar(open_scene(make_scene(pixels))).nodata is None
    pixels[:, :20, :20] = 255
    source = find_collar(open_scene(make_scene(pixels)))
    assert source.nodata == 255
    assert "1 of the scene's corners are white" in source.warnings[-1]
    tagged = open_scene(make_scene(pixels, nodata=7))
    assert find_collar(tagged) == tagged
