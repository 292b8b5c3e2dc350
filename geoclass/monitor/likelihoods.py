"""Likelihood ratios of felled to standing forest."""

from __future__ import annotations

import functools

import numpy as np

from geoclass.monitor.light import MIN_CELLS
from geoclass.monitor.markov import STEPS, TINY

COLOR_RATIO_RANGE = -2.0, 7.0
"""Limits of the log likelihood ratio of one date's colors."""
OUTLIERS, OUTLIER_SCALE = 0.01, 4.0
"""Fraction of standing forest with a wider distribution, and its scale in standard deviations."""
NEIGHBOURS = [(down, right) for down in range(3) for right in range(3) if (down, right) != (1, 1)]
"""Positions of the neighbours of a cell in a plane with a frame."""
NEIGHBOUR_WEIGHT = 0.5


def as_steps(values: np.ndarray) -> np.ndarray:
    """int16 like `values`, float32: the nearest step, within the range of integers."""
    limits = np.iinfo(np.int16)
    steps: np.ndarray = np.rint(np.clip(values * STEPS, limits.min, limits.max)).astype(np.int16)
    return steps


def find_likeliest(states: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """float32 (n,): likelihood of the most probable of states, float32 (states, classes).

    `seen` are class probabilities, float32 (classes, n). A matrix product would round differently
    by the number of cells.
    """
    likelihoods = (sum(map(np.multiply, row, seen)) for row in states)
    highest: np.ndarray = np.maximum(functools.reduce(np.maximum, likelihoods), TINY)
    return highest


def limit_doubt(by_class: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Log likelihood ratios, float32 (n,), limited by the quality of the date.

    `known` are the ratios of known forest, sorted. If the network doubts a large fraction of it,
    its doubt is weak evidence: the ratio is at most one over the fraction with at least this ratio.
    """
    if len(known) < MIN_CELLS:
        return by_class
    limited = by_class.copy()
    doubtful = np.flatnonzero(by_class > 0)  # others are below the limit
    as_doubtful = len(known) - np.searchsorted(known, by_class[doubtful], side="left")
    limits = np.log((len(known) + 1) / (as_doubtful + 1))
    limited[doubtful] = np.minimum(by_class[doubtful], limits)
    return limited


def compare_scores(score: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
    """Log likelihood ratio of felled to standing, float32 (n,), of standard scores.

    Scores of standing forest are normal, except a hundredth with a Laplace distribution of scale 4:
    edges, tracks, thin clouds. Felled ground is brighter by an exponential distribution with the
    mean `amplitude`, which is larger than the noise.
    """
    distance = np.abs(score)
    standing = (1 - OUTLIERS) / np.sqrt(2 * np.pi) * np.exp(-0.5 * distance**2)
    standing += OUTLIERS / (2 * OUTLIER_SCALE) * np.exp(-distance / OUTLIER_SCALE)
    felled = np.where(score > 0, np.exp(-score / amplitude) / amplitude, 1e-9)
    ratio: np.ndarray = np.clip(np.log(felled / standing), *COLOR_RATIO_RANGE)
    return ratio


def add_neighbours(framed: np.ndarray) -> np.ndarray:
    """Ratios, float32 (rows, cols); those that indicate a loss are raised by their neighbours.

    `framed` has a row or column more on each side. Half of the third highest ratio of the eight
    neighbours is added if it is positive. A felled patch of half a hectare covers parts of at least
    four cells; a thin cloud, a shifted edge or a vehicle does not.
    """
    rows, cols = framed.shape[0] - 2, framed.shape[1] - 2
    highest = np.zeros((3, rows, cols), np.float32)
    for down, right in NEIGHBOURS:
        value = framed[down : down + rows, right : right + cols]
        for rank in highest:
            lower = np.minimum(rank, value)
            np.maximum(rank, value, out=rank)
            value = lower
    own = framed[1:-1, 1:-1]
    raised: np.ndarray = np.where(own > 0, own + NEIGHBOUR_WEIGHT * highest[2], own)
    return raised
