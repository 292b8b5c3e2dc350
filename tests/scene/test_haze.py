"""Haze, estimated from the darkest pixels and removed."""

from __future__ import annotations

import numpy as np
import pytest

from geoclass.errors import SettingsError
from geoclass.scene.open.facts import Triple
from geoclass.scene.radiometry.conversion import (
    EUROSAT_MAX_DN,
    HAZIEST_DN,
    HAZY_DN,
    USUAL_DARK_DN,
    Radiometry,
    Sample,
    find_dark,
    find_haze,
    read_as_level,
    read_as_rgb8,
    treat_haze,
)
from geoclass.scene.settings import Haze, RadiometrySettings

USUAL = np.array(USUAL_DARK_DN)


def brighter(red: float, green: float, blue: float) -> np.ndarray:
    """Dark pixels with so much more light than usual."""
    return USUAL + np.array([red, green, blue])


def read(offset: float = 0.0) -> Radiometry:
    return read_as_level("Level-1C", (1.0, 1.0, 1.0), (-offset,) * 3, "told")


def estimate(radiometry: Radiometry, stored: Sample) -> Triple | None:
    return find_haze(find_dark(radiometry, stored))


def sample(darkest: np.ndarray, brightest: float = 2700.0) -> Sample:
    """A tenth of it dark, the rest anything brighter."""
    rng = np.random.default_rng(0)
    stored = rng.uniform(darkest[:, None, None, None] + 50, brightest, (3, 4, 32, 32))
    stored[:, :, :4] = darkest[:, None, None, None]
    return Sample(stored=stored, valid=np.ones((4, 32, 32), dtype=bool))


def test_haze_is_what_the_darkest_pixels_have_more_than_usual() -> None:
    assert estimate(read(), sample(brighter(100, 150, 300))) == pytest.approx((100, 150, 300))
    assert estimate(read(), sample(USUAL - 100)) == (0, 0, 0)


def test_what_is_redder_than_haze_is_the_grounds() -> None:
    assert estimate(read(), sample(brighter(300, 200, 100))) == pytest.approx((100, 100, 100))
    assert estimate(read(), sample(brighter(300, -200, 100))) == pytest.approx((0, 0, 100))


def test_numbers_are_read_before_they_are_compared() -> None:
    hazy = sample(brighter(100, 150, 300) + 1000, 3700)
    assert estimate(read(offset=1000), hazy) == pytest.approx((100, 150, 300))
    # What a typical atmosphere adds to a Level-2A scene is no haze.
    clear = read_as_level("Level-2A", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), "told")
    assert max(estimate(clear, sample(np.array([150.0, 250.0, 150.0]))) or (9e9,)) < 50


def test_the_dark_becomes_usual_and_white_stays_white() -> None:
    haze = np.array([100.0, 150.0, 300.0])
    treated = treat_haze(read(), sample(USUAL + haze), "remove")
    seen = np.array(treated.gain) * (USUAL + haze) + np.array(treated.bias)
    assert seen == pytest.approx(USUAL)
    white = np.array(treated.gain) * EUROSAT_MAX_DN + np.array(treated.bias)
    assert white == pytest.approx((EUROSAT_MAX_DN,) * 3)
    assert treated.reason == "told; haze of 100, 150, 300 removed"
    assert not treated.warnings


def test_much_haze_is_taken_off_unless_it_is_to_be_kept() -> None:
    for blue, much in ((HAZY_DN - 20, False), (HAZY_DN + 20, True)):
        hazy = sample(brighter(0, 0, blue))
        assert (treat_haze(read(), hazy, "auto") != read()) == much
        assert treat_haze(read(), hazy, "keep") == read()
        assert treat_haze(read(), hazy, "remove") != read()


@pytest.mark.parametrize("wish", ["auto", "remove"])
def test_cloud_is_no_haze(wish: Haze) -> None:
    treated = treat_haze(read(), sample(USUAL + HAZIEST_DN + 50), wish)
    assert (treated.gain, treated.bias) == (read().gain, read().bias)
    assert bool(treated.warnings) == (wish == "remove")


def test_pictures_stretched_as_eurosat_are_left_alone() -> None:
    reading = read_as_rgb8("told")
    assert treat_haze(reading, sample(USUAL + 300), "keep") == reading
    assert "no haze removed" in treat_haze(reading, sample(USUAL), "remove").warnings[0]


def test_a_scene_without_data_has_no_haze() -> None:
    empty = Sample(stored=np.zeros((3, 1, 8, 8)), valid=np.zeros((1, 8, 8), dtype=bool))
    assert estimate(read(), empty) is None


def test_so_much_as_is_given_is_taken_off() -> None:
    haze = (100.0, 150.0, 300.0)
    given = treat_haze(read(), sample(USUAL + 999), haze)
    found = treat_haze(read(), sample(USUAL + np.array(haze)), "remove")
    assert given.gain == pytest.approx(found.gain)
    assert given.bias == pytest.approx(found.bias)
    assert given.reason == "told; haze of 100, 150, 300 removed, as requested"
    assert "EuroSAT's 8 bits" in treat_haze(read_as_rgb8("told"), sample(USUAL), haze).warnings[0]


@pytest.mark.parametrize("haze", ["some", (1.0, 2.0, -3.0), (1.0, 2.0, 3000.0)])
def test_haze_that_is_none_is_refused(haze: Haze) -> None:
    with pytest.raises(SettingsError, match="haze"):
        RadiometrySettings(haze=haze)
