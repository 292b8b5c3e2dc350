"""Smoothing and sieve."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping.builder import EPSILON, sieve_classes, smooth_probabilities
from geoclass.mapping.settings import PostprocessingSettings
from tests.conftest import TRANSFORM, UTM


def make_grid(rows: int, cols: int, crs: str | None = UTM) -> Grid:
    """Cells of 160 m: 2.56 ha."""
    wkt = None if crs is None else pyproj.CRS(crs).to_wkt()
    return Grid(height=rows * 16, width=cols * 16, transform=TRANSFORM, crs=wkt, stride=16)


def shrink(logits: np.ndarray, strength: float) -> float:
    """The formula for one cell, the middle of its window, cells not seen left out."""
    values = np.sort(logits[np.isfinite(logits)])[::-1]
    values = values[: -(-len(values) // 2)]
    mean, variance = values.mean(), values.var(ddof=1) if len(values) > 1 else 0.0
    x = logits[logits.shape[0] // 2, logits.shape[1] // 2]
    return float((variance * x + strength * mean) / (variance + strength))


def store(probabilities: np.ndarray) -> np.ndarray:
    return np.rint(probabilities * 250).astype(np.uint8)


def test_smoothing_is_the_formula() -> None:
    generator = np.random.default_rng(0)
    stored = store(generator.dirichlet(np.ones(4), (9, 11)))
    probabilities = (stored / 250).clip(EPSILON, 1 - EPSILON)
    seen = generator.random((9, 11)) > 0.2
    seen[4, 5] = seen[0, 0] = True
    smoothed = smooth_probabilities(stored, seen, strength=2.5, window=5)
    logits = np.where(seen[:, :, None], np.log(probabilities / (1 - probabilities)), np.nan)
    logits = np.pad(logits, ((2, 2), (2, 2), (0, 0)), constant_values=np.nan)
    for row, col in ((4, 5), (0, 0)):
        window = logits[row : row + 5, col : col + 5]
        odds = np.array([shrink(window[:, :, k], 2.5) for k in range(4)])
        expected = 1 / (1 + np.exp(-odds))
        np.testing.assert_array_equal(smoothed[row, col], store(expected / expected.sum()))
    np.testing.assert_array_equal(smoothed[~seen], stored[~seen])


def test_smoothing_takes_out_a_doubtful_speck_and_keeps_a_border() -> None:
    left, right = np.array([0.9, 0.06, 0.04]), np.array([0.06, 0.9, 0.04])
    probabilities = np.tile(left, (12, 12, 1))
    probabilities[:, 6:] = right
    probabilities[5, 2] = (0.42, 0.5, 0.08)
    seen = np.ones((12, 12), bool)
    smoothed = smooth_probabilities(store(probabilities), seen, strength=20, window=7)
    labels = smoothed.argmax(axis=2)
    assert (labels[:, :6] == 0).all()
    assert (labels[:, 6:] == 1).all()


def test_rows_at_a_time_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities = store(np.random.default_rng(0).dirichlet(np.ones(3), (20, 9)))
    seen = np.random.default_rng(1).random((20, 9)) > 0.1
    whole = smooth_probabilities(probabilities, seen, strength=5, window=5)
    for rows in (1, 3):
        monkeypatch.setattr("geoclass.mapping.builder._CHUNK_VALUES", 9 * 25 * rows)
        np.testing.assert_array_equal(
            smooth_probabilities(probabilities, seen, strength=5, window=5), whole
        )


def test_small_patches_go_to_their_largest_neighbour() -> None:
    class_id = np.zeros((6, 8), np.uint8)
    class_id[:, 5:] = 1
    class_id[1, 1] = 2  # 2.56 ha
    class_id[3, 4] = 2  # beside both, more of class 0 around
    class_id[0, 3] = class_id[1, 2] = 3  # touch at a corner only: two patches
    class_id[4, 0:3] = 4  # 7.68 ha
    class_id[5, 7], class_id[5, 0], class_id[0, 7] = UNKNOWN, MASKED, NODATA
    sieved = sieve_classes(class_id, 10, make_grid(6, 8), 7.68)
    expected = np.where(np.isin(class_id, (2, 3)), 0, class_id)
    np.testing.assert_array_equal(sieved, expected)
    assert (sieve_classes(class_id, 10, make_grid(6, 8), 2.56) == class_id).all()


def test_what_is_not_classified_takes_nothing() -> None:
    class_id = np.full((4, 4), UNKNOWN, np.uint8)
    class_id[1, 1] = 4
    assert sieve_classes(class_id, 10, make_grid(4, 4), 10)[1, 1] == 4


def test_more_hectares_than_the_scene_has_are_no_error() -> None:
    """All patches are small, so that none has a large neighbour to go to."""
    class_id = np.zeros((4, 4), np.uint8)
    class_id[1, 1] = 4
    assert (sieve_classes(class_id, 10, make_grid(4, 4), 1000) == class_id).all()
    assert sieve_classes(class_id[:1, :1], 10, make_grid(4, 4), 1000) == 0


def test_hectares_need_a_place() -> None:
    with pytest.raises(SettingsError, match="no area in hectares"):
        sieve_classes(np.zeros((4, 4), np.uint8), 10, make_grid(4, 4, None), 5)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"min_area_ha": 0.0}, "least area must be above 0, got 0"),
        ({"min_area_ha": float("nan")}, "least area"),
        ({"smooth": -1.0}, "strength must be above 0, got -1"),
        ({"smooth_window": 4}, "odd number of cells from 3, got 4"),
    ],
)
def test_impossible_wishes_are_refused(wish: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        PostprocessingSettings(**wish)
