"""Accuracy and area estimates against published ones, and against simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from geoclass.errors import SettingsError
from geoclass.monitor.area import assess_counts
from geoclass.monitor.counts import SampleCounts

NAMES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
SAMPLES = ((66, 0, 5, 4), (0, 55, 8, 12), (1, 0, 153, 11), (2, 1, 9, 313))


def count(
    names: tuple[str, ...], area_ha: Sequence[float] | np.ndarray, table: Sequence[Sequence[int]]
) -> SampleCounts:
    areas = np.array(area_ha, dtype=float)
    return SampleCounts(names=names, area_ha=areas, counts=np.array(table))


def test_the_worked_example_of_olofsson_et_al() -> None:
    """Remote Sensing of Environment 148 (2014), section 5, to the published digits."""
    result = assess_counts(count(NAMES, PIXELS * 0.09, SAMPLES))
    loss, gain, forest, other = result.classes
    assert (round(loss.area_ha.value), round(loss.area_ha.margin)) == (21_158, 6_158)
    assert (round(result.overall.value, 2), round(result.overall.margin, 2)) == (0.95, 0.02)
    assert (round(loss.users.value, 2), round(loss.users.margin, 2)) == (0.88, 0.07)
    assert (round(loss.producers.value, 2), round(loss.producers.margin, 2)) == (0.75, 0.21)
    assert (round(gain.area_ha.value), round(gain.area_ha.margin)) == (11_686, 3_756)
    assert (round(forest.area_ha.value), round(forest.area_ha.margin)) == (285_770, 15_510)
    assert (round(other.area_ha.value), round(other.area_ha.margin)) == (581_386, 16_282)
    # Table 9 of the paper, the error matrix in area shares.
    np.testing.assert_allclose(
        np.round(result.matrix, 4),
        [
            [0.0176, 0, 0.0013, 0.0011],
            [0, 0.0110, 0.0016, 0.0024],
            [0.0019, 0, 0.2967, 0.0213],
            [0.0040, 0.0020, 0.0179, 0.6212],
        ],
        atol=1.01e-4,
    )
    assert sum(c.area_ha.value for c in result.classes) == pytest.approx(PIXELS.sum() * 0.09)


def test_estimates_are_right_on_average_and_so_are_their_errors() -> None:
    rng = np.random.default_rng(0)
    sizes, per = np.array([4500, 1000]), 100
    truth = [rng.random(size) < share for size, share in zip(sizes, (0.1, 0.8), strict=True)]
    right = sizes[0] - truth[0].sum() + truth[1].sum()
    real = truth[0].sum() + truth[1].sum()
    true = {
        "overall": right / sizes.sum(),
        "users": truth[1].mean(),
        "producers": truth[1].sum() / real,
        "area": real,
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in true}
    for _ in range(600):
        drawn = [rng.choice(labels, per, replace=False) for labels in truth]
        counts = np.array([np.bincount(labels, minlength=2) for labels in drawn])
        result = assess_counts(
            SampleCounts(
                names=("no", "yes"), area_ha=sizes.astype(float), counts=counts, cells=sizes
            )
        )
        yes = result.classes[1]
        for name, estimate in (
            ("overall", result.overall), ("users", yes.users), ("producers", yes.producers),
            ("area", yes.area_ha),
        ):  # fmt: skip
            found[name].append((estimate.value, estimate.error))
    for name, expected in true.items():
        values, errors = np.array(found[name]).T
        assert values.mean() == pytest.approx(expected, rel=0.02), name
        assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.12), name
        covered = (np.abs(values - expected) <= 1.96 * errors).mean()
        # Nearly 95 %; a ratio of small counts is skewed.
        assert covered > 0.87, name


def test_a_census_has_no_error() -> None:
    counts, cells = np.array([[8, 2], [1, 9]]), np.array([10, 10])
    sample = SampleCounts(names=("a", "b"), area_ha=np.ones(2), counts=counts, cells=cells)
    assert assess_counts(sample).overall.error == 0


def test_strata_with_too_few_samples_are_refused_and_empty_ones_left_out() -> None:
    with pytest.raises(SettingsError, match=r"b has 1: label more"):
        assess_counts(count(("a", "b"), (10, 5), ((5, 1), (0, 1))))
    with pytest.raises(SettingsError, match=r"b has 0"):
        assess_counts(count(("a", "b"), (10, 5), ((5, 1), (0, 0))))
    result = assess_counts(count(("a", "b"), (10, 0), ((5, 1), (0, 0))))
    assert np.isnan(result.classes[1].users.value)
    assert result.classes[1].area_ha.value == pytest.approx(10 / 6)
    with pytest.raises(SettingsError, match="no stratum has an area"):
        assess_counts(count(("a", "b"), (0, 0), ((5, 1), (0, 3))))
