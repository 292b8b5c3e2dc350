"""A hidden Markov model of many cells at once (Rabiner 1989).

Cells are the last axis, so that operations are contiguous in memory. Probabilities are normalised
at each date, which is as stable as logarithms and faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
from scipy.linalg import expm

from geoclass.contract import Contract
from geoclass.errors import SettingsError
from geoclass.landcover import FULL_SCALE
from geoclass.machine import map_chunks
from geoclass.monitor.align import Stack
from geoclass.monitor.settings import SeriesSettings

DAYS_PER_YEAR = 365.25
MIN_DAYS = 30
"""Minimum time between dates in the rate of change: a loss must be detectable on its first date."""

FOREST = "forest"
"""The group whose loss is detected by colors too."""

PSEUDO_COUNT = 1.0
"""Added to each count of the confusion matrix: errors that were not observed are possible."""

UNIFORM = 0.1
"""Fraction of the doubt that is spread evenly instead of by the confusion matrix."""

PRODUCT_TERMS = 400_000
"""Multiplications in a matrix product of a chunk of cells. From about half a million on, OpenBLAS
starts threads of its own, which wait for each other while other chunks are computed."""

STEPS = 256
"""What is 1 in log likelihood ratios that are stored as int16. numpy is slow with float16."""

TINY = np.float32(1e-30)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Belief:
    """The parameters of the hidden Markov model, equal for all cells."""

    names: tuple[str, ...]
    """Of the states: class names, or group names."""
    groups: tuple[str, ...]
    """The group of each state."""
    prior: np.ndarray
    """float64 (states,): prior probability of each state."""
    rates: np.ndarray
    """float64 (states, states): changes per year from row to column; rows sum to 0."""
    evidence: np.ndarray
    """float64 (states, classes): its product with class probabilities is the likelihood of each
    state, up to a common factor."""
    error_days: float
    """Duration of classification errors; 0 if the errors of different dates are independent."""

    def transition(self, start: date, end: date) -> np.ndarray:
        """float32 (states, states): probability of each state at `end` (column) given `start`."""
        years = max((end - start).days, MIN_DAYS) / DAYS_PER_YEAR
        return expm(self.rates * years).astype(np.float32)

    def inside(self, group: str) -> np.ndarray:
        """Bool (states,): True for states of the group."""
        return np.array([name == group for name in self.groups], dtype=bool)


def form_belief(contract: Contract, settings: SeriesSettings) -> Belief:
    """The model of land and classifier; SettingsError for unknown classes or groups."""
    classes = contract.legend.classes
    kinds = [c.name if settings.states == "classes" else c.group for c in classes]
    group_of = {kind: c.group for kind, c in zip(kinds, classes, strict=True)}
    names, groups = tuple(group_of), tuple(group_of.values())
    member = np.array([[kind == name for kind in kinds] for name in names], dtype=float)
    shares = np.asarray(contract.class_shares, dtype=float)
    shares = np.maximum(shares, 1e-6) / np.maximum(shares, 1e-6).sum()
    prior = member @ shares
    within = member * shares / prior[:, None]  # fraction of each class in a state
    return Belief(
        names=names,
        groups=groups,
        prior=prior,
        rates=_form_rates(prior, names, groups, settings),
        evidence=within @ weigh_evidence(contract, settings.doubt),
        error_days=settings.error_days,
    )


def weigh_evidence(contract: Contract, doubt: float) -> np.ndarray:
    """float64 (true classes, classes): likelihood of each true class per class probability.

    A calibrated probability over the class's fraction in training is the likelihood of the pixels.
    The fraction `doubt` of it is spread over the true classes by the validation confusion matrix
    (row = true class), and a tenth of that evenly: validation is easier than new places.
    """
    counts = np.asarray(contract.confusion, dtype=float) + PSEUDO_COUNT
    n = len(counts)
    confused = counts / counts.sum(axis=1, keepdims=True)
    spread = (1 - UNIFORM) * confused + UNIFORM / n
    shares = np.maximum(np.asarray(contract.class_shares, dtype=float), 1e-6)
    return ((1 - doubt) * np.eye(n) + doubt * spread) / shares


def _form_rates(
    prior: np.ndarray, names: Sequence[str], groups: Sequence[str], settings: SeriesSettings
) -> np.ndarray:
    """float64 (states, states): each state changes with `rate` to others, by their prior.

    The rate of a pair replaces it; that to a group is divided among its classes.
    """
    rates: np.ndarray = settings.rate * (prior / (1 - prior)[:, None])
    for pair in settings.pairs:
        old, new = (_find_states(name, names, groups) for name in (pair.old, pair.new))
        rates[np.ix_(old, new)] = pair.rate / len(new)
    np.fill_diagonal(rates, 0.0)
    np.fill_diagonal(rates, -rates.sum(axis=1))
    return rates


def _find_states(name: str, names: Sequence[str], groups: Sequence[str]) -> list[int]:
    for known in (names, groups):
        if name in known:
            return [i for i, other in enumerate(known) if other == name]
    said = ", ".join(dict.fromkeys((*names, *groups)))
    raise SettingsError(f"{name} is not a class or group of the maps, which are: {said}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Smoothed:
    """Posteriors of cells, given all dates."""

    path: np.ndarray
    """uint8 (dates, cells): the most probable state on each date."""
    probability: np.ndarray
    """float16 (dates, cells): of that state."""
    groups: np.ndarray
    """uint8 (dates, groups, cells): probability of each group of the legend; 250 is 1."""
    flows_ha: np.ndarray
    """float64 (dates - 1, states, states): expected hectares that change from row to column."""


def smooth_cells(
    stack: Stack,
    belief: Belief,
    cells: np.ndarray,
    area_ha: np.ndarray,
    forest_gone: np.ndarray | None = None,
) -> Smoothed:
    """Smooth cells, int (n,), indices into the flat grid; `area_ha` is float (n,).

    `forest_gone`, int16 (dates, rows · cols), are log likelihood ratios of forest loss, which
    replace those of the classes; `STEPS` is 1.
    """
    dates, states, n = len(stack.dates), len(belief.names), len(cells)
    flat = stack.probabilities.reshape(dates, -1, stack.probabilities.shape[-1])
    observed = stack.observed.reshape(dates, -1)
    steps = [belief.transition(*pair) for pair in pairwise(stack.dates)]
    path = np.zeros((dates, n), dtype=np.uint8)
    probability = np.zeros((dates, n), dtype=np.float16)
    names = stack.contract.legend.groups
    groups = np.zeros((dates, len(names), n), dtype=np.uint8)
    member = np.array([belief.inside(name) for name in names], dtype=np.float32)
    prior = belief.prior.astype(np.float32)

    chunk = max(1, PRODUCT_TERMS // states**2)

    def work(start: int) -> np.ndarray:
        span = slice(start, min(start + chunk, n))
        chosen = cells[span]
        likelihood = find_likelihoods(flat[:, chosen], observed[:, chosen], stack.dates, belief)
        if forest_gone is not None:
            apply_ratios(likelihood, forest_gone[:, chosen], belief.inside(FOREST))
        posterior, flows = find_posteriors(likelihood, steps, prior, area_ha[span])
        path[:, span] = posterior.argmax(axis=1)
        probability[:, span] = posterior.max(axis=1)
        groups[:, :, span] = np.rint(np.minimum(member @ posterior, 1) * FULL_SCALE)
        return flows

    flows = map_chunks(work, range(0, n, chunk))
    flows_ha = sum(flows, np.zeros((dates - 1, states, states)))
    return Smoothed(path=path, probability=probability, groups=groups, flows_ha=flows_ha)


def find_likelihoods(
    probabilities: np.ndarray, observed: np.ndarray, days: Sequence[date], belief: Belief
) -> np.ndarray:
    """Float32 (dates, states, cells): likelihood of each state; 1 where not observed.

    `probabilities` is uint8 (dates, cells, classes) in steps of 1/250, `observed` bool
    (dates, cells); `days` are ascending.
    """
    weights = (belief.evidence / FULL_SCALE).astype(np.float32)
    dates, n, _ = probabilities.shape
    likelihood = np.ones((dates, len(weights), n), dtype=np.float32)
    for t in range(dates):
        seen = weights @ probabilities[t].astype(np.float32).T
        np.copyto(likelihood[t], np.maximum(seen, TINY), where=observed[t])
    _discount_repeats(likelihood, observed, days, belief.error_days)
    return likelihood


def apply_ratios(likelihood: np.ndarray, loss: np.ndarray, forest: np.ndarray) -> None:
    """Replace the likelihood ratio of forest to the rest in place.

    `loss` are log ratios, int16 (dates, cells), `STEPS` being 1.
    Ratios within the states of `forest`, bool (states,), and within the others remain.
    """
    for t, ratio in enumerate(loss):
        for inside, share in ((forest, -0.5), (~forest, 0.5)):
            best = likelihood[t, inside].max(axis=0)
            likelihood[t, inside] *= np.exp(np.float32(share / STEPS) * ratio) / best


def _discount_repeats(
    likelihood: np.ndarray, observed: np.ndarray, days: Sequence[date], error_days: float
) -> None:
    """Reduce the weight of repeated observations in `likelihood`, in place.

    An observation Δ days after the cell's last one counts 1 − exp(−Δ / error_days): the cause of an
    error, for example haze or season, lasts.
    """
    if error_days == 0:
        return
    last = np.full(observed.shape[1], -np.inf)
    for t, day in enumerate(days):
        weight = -np.expm1((last - day.toordinal()) / error_days)
        likelihood[t] **= weight.astype(np.float32)
        last[observed[t]] = day.toordinal()


def find_posteriors(
    likelihood: np.ndarray, steps: Sequence[np.ndarray], prior: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors float32 (dates, states, cells), and flows float64 (dates - 1, states, states).

    The forward-backward algorithm. The flows are sums over cells of the probability of each pair
    of consecutive states, times `weight`, float (cells,).
    """
    dates, states, _ = likelihood.shape
    forward = np.empty_like(likelihood)
    forward[0] = _normalise(likelihood[0] * prior[:, None])
    for t in range(1, dates):
        forward[t] = _normalise((steps[t - 1].T @ forward[t - 1]) * likelihood[t])
    flows = np.zeros((max(0, dates - 1), states, states))
    posterior = forward  # overwritten from the end, where it is no longer needed
    backward = np.ones_like(likelihood[0])
    for t in range(dates - 2, -1, -1):
        ahead = likelihood[t + 1] * backward
        backward = steps[t] @ ahead
        total = (forward[t] * backward).sum(axis=0)
        flows[t] = steps[t] * ((forward[t] * (weight / total).astype(np.float32)) @ ahead.T)
        posterior[t] = _normalise(forward[t] * backward)
        backward = _normalise(backward)
    return posterior, flows


def _normalise(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=0)
