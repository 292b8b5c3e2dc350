"""What is believed before a cell is looked at: how land changes, how the classifier errs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy.linalg import expm

from geoclass.contract import Contract
from geoclass.errors import SettingsError
from geoclass.legend import Legend
from geoclass.monitor.settings import PairRate, SeriesSettings

DAYS_A_YEAR = 365.25

ONE_OF_EACH = 1.0
"""Added to each count of the confusion matrix: what was not seen once may still happen."""


BLIND = 0.1
"""Share of the doubt that knows nothing of the confusion matrix."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Belief:
    """The parts of the hidden Markov model that do not depend on the cell."""

    names: tuple[str, ...]
    """Of the states: class names, or group names."""
    groups: tuple[str, ...]
    """The group of each state."""
    prior: np.ndarray
    """float64 (states,): probability of each state before anything is seen."""
    rates: np.ndarray
    """float64 (states, states): changes a year from row to column; rows sum to 0."""
    evidence: np.ndarray
    """float64 (states, classes): times a cell's class probabilities, the likelihood of each state.

    Up to a factor that is the same for all states.
    """
    error_days: float
    """How long errors of the classifier last; 0 where each date errs for itself."""

    def transition(self, start: date, end: date) -> np.ndarray:
        """float64 (states, states): probability of each state at `end` (column) given `start`.

        The matrix exponential of the rates times the years between.
        """
        years = (end - start).days / DAYS_A_YEAR
        matrix: np.ndarray = expm(self.rates * years)
        return matrix

    def inside(self, group: str) -> np.ndarray:
        """Bool (states,): True for states of that group."""
        return np.array([name == group for name in self.groups], dtype=bool)


def form_belief(contract: Contract, settings: SeriesSettings) -> Belief:
    """The model of land and classifier; SettingsError where it names what the legend lacks."""
    legend = contract.legend
    if settings.states == "classes":
        names, groups = tuple(legend.names), tuple(c.group for c in legend.classes)
        member = np.eye(len(legend))
    else:
        names = groups = tuple(dict.fromkeys(c.group for c in legend.classes))
        member = np.array([[c.group == g for c in legend.classes] for g in groups], dtype=float)
    shares = np.asarray(contract.class_shares, dtype=float)
    shares = np.maximum(shares, 1e-6) / np.maximum(shares, 1e-6).sum()
    prior = member @ shares
    within = member * shares / prior[:, None]  # of a state's land, how much is of each class
    return Belief(
        names=names,
        groups=groups,
        prior=prior,
        rates=form_rates(prior, settings, _find_pairs(settings.pairs, names, groups)),
        evidence=within @ weigh_evidence(contract, settings.doubt),
        error_days=settings.error_days,
    )


def weigh_evidence(contract: Contract, doubt: float) -> np.ndarray:
    """float64 (true classes, classes): what a class probability says for each true class.

    A calibrated probability over the class's share in training is the likelihood of what the
    network saw. `doubt` of it is spread over the true classes as validation's confusion matrix
    spreads its labels (row = true class), half of that over all alike: validation is easier than
    new ground.
    """
    counts = np.asarray(contract.confusion, dtype=float) + ONE_OF_EACH
    n = len(counts)
    confused = counts / counts.sum(axis=1, keepdims=True)
    spread = (1 - BLIND) * confused + BLIND / n
    shares = np.maximum(np.asarray(contract.class_shares, dtype=float), 1e-6)
    weights: np.ndarray = ((1 - doubt) * np.eye(n) + doubt * spread) / shares
    return weights


def form_rates(
    prior: np.ndarray, settings: SeriesSettings, pairs: Sequence[tuple[int, int, float]]
) -> np.ndarray:
    """float64 (states, states): each state is left at `rate`, for others by their prior."""
    targets = prior / (1 - prior)[:, None]
    rates: np.ndarray = settings.rate * targets
    for old, new, rate in pairs:
        rates[old, new] = rate
    np.fill_diagonal(rates, 0.0)
    np.fill_diagonal(rates, -rates.sum(axis=1))
    return rates


def _find_pairs(
    pairs: Sequence[PairRate], names: Sequence[str], groups: Sequence[str]
) -> list[tuple[int, int, float]]:
    """(old state, new state, rate); the rate to a group is shared by its classes."""
    found = []
    for pair in pairs:
        old, new = (_find_states(name, names, groups) for name in (pair.old, pair.new))
        found += [(i, j, pair.rate / len(new)) for i in old for j in new if i != j]
    return found


def _find_states(name: str, names: Sequence[str], groups: Sequence[str]) -> list[int]:
    found = [i for i, n in enumerate(names) if n == name]
    found = found or [i for i, g in enumerate(groups) if g == name]
    if not found:
        known = ", ".join(dict.fromkeys((*names, *groups)))
        raise SettingsError(f"{name} is no class or group of the maps, which know: {known}")
    return found


def check_groups(watch: Sequence[str], legend: Legend) -> None:
    """Refuse groups that the legend does not have."""
    known = list(dict.fromkeys(c.group for c in legend.classes))
    foreign = [name for name in watch if name not in known]
    if foreign:
        raise SettingsError(
            f"{', '.join(foreign)} is no group of the maps, which know: {', '.join(known)}"
        )
