"""Smoothing against all paths there are."""

from __future__ import annotations

from datetime import date
from itertools import product

import numpy as np
import pytest

from geoclass.errors import SettingsError
from geoclass.monitor.align import stack_maps
from geoclass.monitor.files import parse_settings
from geoclass.monitor.history import monitor_maps
from geoclass.monitor.markov import (
    PRODUCT_TERMS,
    find_likelihoods,
    find_posteriors,
    form_belief,
    smooth_cells,
)
from geoclass.monitor.settings import PairRate, SeriesSettings
from tests.conftest import make_contract
from tests.monitor.scenes import CROP, FOREST, make_map

DATES, STATES = 4, 3


@pytest.fixture
def chain() -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Likelihoods of five cells, transitions and prior, drawn at random."""
    rng = np.random.default_rng(3)
    likelihood = rng.random((DATES, STATES, 5)).astype(np.float32)
    likelihood[2, :, 4] = 1  # nothing seen
    steps = [rng.dirichlet(np.ones(STATES), STATES).astype(np.float32) for _ in range(DATES - 1)]
    return likelihood, steps, rng.dirichlet(np.ones(STATES)).astype(np.float32)


def enumerate_paths(
    chain: tuple[np.ndarray, list[np.ndarray], np.ndarray],
) -> dict[tuple[int, ...], np.ndarray]:
    """Joint probability of each path, (cells,), by definition."""
    likelihood, steps, prior = chain
    joint = {}
    for path in product(range(STATES), repeat=DATES):
        p = prior[path[0]] * likelihood[0, path[0]].astype(float)
        for t in range(1, DATES):
            p = p * steps[t - 1][path[t - 1], path[t]] * likelihood[t, path[t]]
        joint[path] = p
    return joint


def test_posteriors_and_flows_sum_over_all_paths(
    chain: tuple[np.ndarray, list[np.ndarray], np.ndarray],
) -> None:
    joint = enumerate_paths(chain)
    total = sum(joint.values())
    weight = np.array([1.0, 2, 3, 4, 5])
    posterior = np.zeros((DATES, STATES, 5))
    flows = np.zeros((DATES - 1, STATES, STATES))
    for path, p in joint.items():
        for t in range(DATES):
            posterior[t, path[t]] += p / total
        for t in range(DATES - 1):
            flows[t, path[t], path[t + 1]] += (p / total * weight).sum()
    found, found_flows = find_posteriors(*chain, weight)
    np.testing.assert_allclose(found, posterior, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found_flows, flows, rtol=1e-4)


def test_transitions_grow_with_the_time_between() -> None:
    belief = form_belief(make_contract(), SeriesSettings(rate=0.1))
    day, year, later = date(2020, 1, 1), date(2021, 1, 1), date(2022, 1, 1)
    one, two = belief.transition(day, year), belief.transition(day, later)
    np.testing.assert_allclose(one.sum(axis=1), 1)
    assert two[FOREST, FOREST] < one[FOREST, FOREST] == pytest.approx(np.exp(-0.1), abs=0.01)
    np.testing.assert_allclose(one @ belief.transition(year, later), two, rtol=1e-6)


def test_rates_of_pairs_are_obeyed_and_shared_by_a_groups_classes() -> None:
    pairs = (PairRate(old="Forest", new="water", rate=0.004),)
    belief = form_belief(make_contract(), SeriesSettings(pairs=pairs))
    assert belief.rates[FOREST, [8, 9]].tolist() == [0.002, 0.002]
    np.testing.assert_allclose(belief.rates.sum(axis=1), 0, atol=1e-12)
    with pytest.raises(SettingsError, match=r"Wald is not a class or group"):
        form_belief(
            make_contract(),
            SeriesSettings(pairs=(PairRate(old="Wald", new="water", rate=0.1),)),
        )


def test_groups_may_be_the_states() -> None:
    belief = form_belief(make_contract(), SeriesSettings(states="groups"))
    assert belief.names == ("crops", "forest", "grassland", "built_up", "water")
    assert belief.prior.sum() == pytest.approx(1)
    assert belief.evidence.shape == (5, 10)


def test_evidence_is_weaker_between_classes_that_validation_confuses() -> None:
    confusion = np.full((10, 10), 1)
    np.fill_diagonal(confusion, 90)
    confusion[FOREST, 5] = 30
    belief = form_belief(make_contract(confusion=tuple(map(tuple, confusion))), SeriesSettings())
    seen = np.zeros((1, 1, 10), dtype=np.uint8)
    seen[0, 0, 5] = 250
    observed = np.ones((1, 1), dtype=bool)
    likelihood = find_likelihoods(seen, observed, [date(2020, 1, 1)], belief)[0, :, 0]
    assert likelihood.argmax() == 5
    assert likelihood[FOREST] > 5 * likelihood[0]


def test_an_observation_soon_after_another_says_little_new() -> None:
    """The second cell is under cloud on the first date, so its second one is its first."""
    days = [date(2020, 6, 1), date(2020, 6, 11), date(2021, 6, 11)]
    seen = np.full((3, 2, 10), 10, dtype=np.uint8)
    seen[..., FOREST] = 160
    observed = np.array([[True, False], [True, True], [True, True]])

    def find(error_days: float) -> np.ndarray:
        belief = form_belief(make_contract(), SeriesSettings(error_days=error_days))
        return np.log(find_likelihoods(seen, observed, days, belief))

    alone, dated = find(0), find(100)
    weights = dated[:, FOREST] / np.where(observed, alone[:, FOREST], 1)
    first, soon, later = 1, 1 - np.exp(-10 / 100), 1 - np.exp(-365 / 100)
    np.testing.assert_allclose(weights, [[first, 0], [soon, first], [later, later]], rtol=1e-4)


def test_classes_of_one_summer_are_a_low_alert_and_of_years_a_high_one() -> None:
    def levels(days: list[str]) -> list[str]:
        codes = [FOREST, FOREST, CROP, CROP, CROP]
        maps = [make_map([[c]], day, sure=0.8) for c, day in zip(codes, days, strict=True)]
        return [alert.level for alert in monitor_maps(maps).alerts]

    before = ["2019-06-06", "2020-06-06"]
    assert levels([*before, "2021-06-06", "2021-07-06", "2021-08-06"]) == ["low"]
    assert levels([f"{year}-06-01" for year in range(2019, 2024)]) == ["highest"]
    assert levels([*before, "2021-06-06", "2021-06-08", "2021-06-10"]) in ([], ["low"])


@pytest.mark.parametrize("days", [-1.0, float("inf"), float("nan")])
def test_impossible_error_days_are_refused(days: float) -> None:
    with pytest.raises(SettingsError, match="0 days or more"):
        SeriesSettings(error_days=days)


def test_files_of_old_take_each_date_for_itself() -> None:
    old = {"rate": 0.01, "doubt": 0.1, "states": "classes", "pairs": []}
    assert parse_settings(old, SeriesSettings) == SeriesSettings(rate=0.01, doubt=0.1, error_days=0)


def test_cells_are_smoothed_alike_in_one_chunk_or_many() -> None:
    n = PRODUCT_TERMS // 10**2 + 100  # ten classes
    rng = np.random.default_rng(0)
    codes = rng.choice([0, 1, 9], (4, n // 4))
    stack = stack_maps([make_map(codes, f"{year}-01-01") for year in (2019, 2020, 2021)])
    belief = form_belief(stack.contract, SeriesSettings())
    cells = np.arange(codes.size)
    whole = smooth_cells(stack, belief, cells, np.ones(codes.size))
    few = smooth_cells(stack, belief, cells[-50:], np.ones(50))
    np.testing.assert_array_equal(whole.path[:, -50:], few.path)
    np.testing.assert_allclose(whole.probability[:, -50:], few.probability, atol=1e-3)
    assert whole.flows_ha.sum() == pytest.approx(2 * codes.size, rel=1e-4)
