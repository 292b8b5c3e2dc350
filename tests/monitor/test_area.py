"""Accuracy and area estimates against published ones, and against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from geoclass.errors import SettingsError
from geoclass.monitor.area import assess_counts
from geoclass.monitor.counts import SampleCounts, count_table

NAMES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
SAMPLES = ((66, 0, 5, 4), (0, 55, 8, 12), (1, 0, 153, 11), (2, 1, 9, 313))


def test_the_worked_example_of_olofsson_et_al() -> None:
    """Remote Sensing of Environment 148 (2014), section 5, to the published digits."""
    result = assess_counts(count_table(NAMES, PIXELS * 0.09, SAMPLES))
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


def test_estimates_for_other_strata_are_right_on_average_and_so_are_their_errors() -> None:
    """Stehman's case: strata are regions, the map's classes cut across them."""
    rng = np.random.default_rng(0)
    sizes, per = np.array([4000, 1000, 500]), 100
    population = []
    for stratum, size in enumerate(sizes):
        truth = rng.random(size) < (0.1, 0.4, 0.8)[stratum]
        wrong = rng.random(size) < (0.05, 0.2, 0.1)[stratum]
        population.append((np.where(wrong, ~truth, truth).astype(int), truth.astype(int)))
    mapped, real = (np.concatenate([p[i] for p in population]) for i in (0, 1))
    true = {
        "overall": (mapped == real).mean(),
        "users": (mapped & real).sum() / mapped.sum(),
        "producers": (mapped & real).sum() / real.sum(),
        "area": real.mean() * sizes.sum(),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in true}
    for _ in range(600):
        counts = np.zeros((3, 2, 2), dtype=np.int64)
        for stratum, (m, r) in enumerate(population):
            chosen = rng.choice(len(m), per, replace=False)
            np.add.at(counts[stratum], (m[chosen], r[chosen]), 1)
        result = assess_counts(
            SampleCounts(
                names=("no", "yes"), strata=("a", "b", "c"), area_ha=sizes.astype(float),
                counts=counts, cells=sizes,
            )
        )  # fmt: skip
        yes = result.classes[1]
        for name, estimate in (
            ("overall", result.overall), ("users", yes.users), ("producers", yes.producers),
            ("area", yes.area_ha),
        ):  # fmt: skip
            found[name].append((estimate.value, estimate.error))
    for name, truth in true.items():
        values, errors = np.array(found[name]).T
        assert values.mean() == pytest.approx(truth, rel=0.02), name
        assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.12), name
        covered = (np.abs(values - truth) <= 1.96 * errors).mean()
        # Nearly 95 %; a ratio of small counts is skewed.
        assert covered > 0.87, name


def test_a_census_has_no_error() -> None:
    counts = np.array([[[8, 2], [0, 0]], [[0, 0], [1, 9]]])
    cells = np.array([10, 10])
    sample = SampleCounts(
        names=("a", "b"), strata=("a", "b"), area_ha=np.ones(2), counts=counts, cells=cells
    )
    assert assess_counts(sample).overall.error == 0


def test_strata_with_too_few_samples_are_refused_and_empty_ones_left_out() -> None:
    with pytest.raises(SettingsError, match=r"b has 1: label more"):
        assess_counts(count_table(("a", "b"), (10, 5), ((5, 1), (0, 1))))
    with pytest.raises(SettingsError, match=r"b has 0"):
        assess_counts(count_table(("a", "b"), (10, 5), ((5, 1), (0, 0))))
    result = assess_counts(count_table(("a", "b"), (10, 0), ((5, 1), (0, 0))))
    assert np.isnan(result.classes[1].users.value)
    assert result.classes[1].area_ha.value == pytest.approx(10 / 6)
    with pytest.raises(SettingsError, match="no stratum has an area"):
        assess_counts(count_table(("a", "b"), (0, 0), ((5, 1), (0, 3))))
    with pytest.raises(SettingsError, match="2×2 counts"):
        count_table(("a", "b"), (1, 2), ((5, 1, 1), (0, 3, 1)))
