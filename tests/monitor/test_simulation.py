"""Losses that are known, seen through the errors of a real model."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.conftest import ROOT
from tests.test_scripts import load

SEEDS = range(100, 120)
"""Others than the settings were chosen on."""


@pytest.fixture(scope="module")
def simulator() -> ModuleType:
    return load("simulate_change")


@pytest.fixture(scope="module")
def pool(simulator: ModuleType) -> object:
    """What a model trained on the longitude split says of its test tiles."""
    found = simulator.read_pool(ROOT / "tests" / "monitor" / "error_pool.npz")
    assert 0.9 < found.accuracy < 0.96
    return found


def test_losses_are_found_dated_and_measured(simulator: ModuleType, pool: object) -> None:
    summary = simulator.summarise([simulator.run(pool, s, side=100) for s in SEEDS])
    assert summary["precision of labels compared pair by pair"] < 0.6
    assert summary["precision, level high and above"] >= 0.9
    assert summary["recall, two or more clear observations after"] >= 0.8
    assert summary["date right to one observation"] >= 0.85
    assert abs(summary["area of loss by smoothed posteriors / true"] - 1) <= 0.15


def test_nothing_is_found_where_nothing_was_lost(simulator: ModuleType, pool: object) -> None:
    quiet = [simulator.run(pool, s, side=100, yearly_loss=0.0) for s in SEEDS]
    summary = simulator.summarise(quiet)
    assert sum(s.raw_called for s in quiet) > 0
    assert summary["share of all cells alerted"] <= 0.002


def test_the_pools_errors_are_drawn_as_often_as_they_are_there(
    simulator: ModuleType, pool: object
) -> None:
    """Half of the variance is a cell's own, but the errors of a date stay the model's."""
    rng = simulator.np.random.default_rng(0)
    world = simulator.make_world(rng, 120, 0.0)
    maps = simulator.observe(rng, world, pool, cloud=0.0)
    forest = world.truth[0] == simulator.FOREST
    drawn = [(m.landcover.class_id == simulator.FOREST)[forest] for m in maps]
    own = pool.labels == simulator.FOREST  # type: ignore[attr-defined]
    said = pool.probabilities.argmax(axis=1)[own] == simulator.FOREST  # type: ignore[attr-defined]
    assert simulator.np.mean(drawn) == pytest.approx(said.mean(), abs=0.01)
    # Errors repeat: two dates are wrong together more often than by chance.
    wrong = [~d for d in drawn]
    assert (wrong[0] & wrong[1]).mean() > 2 * wrong[0].mean() * wrong[1].mean()
