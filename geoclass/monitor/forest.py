"""Forest standing and felled: seasons, light and noise of a scene, and likelihood ratios.

docs/monitor-model.md contains the formulas.
"""

import functools
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyproj

from geoclass.grid import Grid
from geoclass.monitor.markov import DAYS_PER_YEAR, STEPS, TINY

SEASON_DAYS = 30.0
"""Weight of a date in another season: exp(−½ (d / 30)²), d being the days of the year between."""
OTHER_PHASE = 0.1
"""Factor on this weight if one date is in leaf and the other is not."""
LEAF_ON, LEAF_OFF = 106, 298
"""Days of the year between which broad-leaved forest is in leaf, 16 April to 25 October; half a
year later in the south. Within 30° of the equator it is in leaf all year."""
MIN_SEASON_WEIGHT = 1e-4
"""Weight of dates in all other seasons: enough to estimate light, but not a loss."""

MIN_CELLS = 30
"""Forest cells that are needed to estimate light and noise."""
MIN_NOISE = 1.0
"""8-bit steps."""
FELLED = np.array([1.0, 0.7, 0.45], dtype=np.float32)
"""Brightening of felled ground in red, green and blue, relative to red."""

COLOR_RATIO_RANGE = -2.0, 7.0
"""Limits of the log likelihood ratio of one date's colors."""
OUTLIERS, OUTLIER_SCALE = 0.01, 4.0
"""Fraction of standing forest with a wider distribution, and its scale in standard deviations."""
NEIGHBOURS = [(down, right) for down in range(3) for right in range(3) if (down, right) != (1, 1)]
"""Positions of the neighbours of a cell in a plane with a frame."""
NEIGHBOUR_WEIGHT = 0.5


def relate_dates(days: tuple[date, ...], latitude: float) -> np.ndarray:
    """float64 (dates, dates): seasonal weight of one date in the past of another, 0–1."""
    of_year = np.array([day.timetuple().tm_yday for day in days], dtype=float)
    apart = np.abs(of_year[:, None] - of_year)
    apart = np.minimum(apart, DAYS_PER_YEAR - apart)
    in_leaf = find_leaves(days, latitude)
    weights = np.exp(-0.5 * (apart / SEASON_DAYS) ** 2)
    weights = np.where(in_leaf[:, None] == in_leaf, weights, weights * OTHER_PHASE)
    return np.maximum(weights, MIN_SEASON_WEIGHT)


def find_leaves(days: tuple[date, ...], latitude: float) -> np.ndarray:
    """Bool (dates,): whether broad-leaved forest is in leaf."""
    if abs(latitude) < 30:
        return np.ones(len(days), dtype=bool)
    of_year = np.array([day.timetuple().tm_yday for day in days], dtype=float)
    of_year = (of_year + (0 if latitude > 0 else 182.6)) % DAYS_PER_YEAR
    return (of_year >= LEAF_ON) & (of_year < LEAF_OFF)


def find_latitude(grid: Grid) -> float:
    """Degrees, at the grid's centre."""
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    return float(to_degrees.transform(x, y)[1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noise:
    """Variation of the colors of standing forest."""

    centre: np.ndarray
    """float32 (3,)."""
    filter: np.ndarray
    """float32 (3,): its product with residuals is the brightening of red, in 8-bit steps."""
    scale: float
    """Standard deviation of this product for standing forest."""

    def score(self, rest: np.ndarray) -> np.ndarray:
        """Standard scores, float32 (n,), of differences, float32 (3, n)."""
        centred = rest - self.centre[:, None]
        return sum(map(np.multiply, self.filter, centred)) / self.scale


def fit_light(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offset and gain, float32 (3,) each: a date's colors are offset + gain · earlier colors.

    A robust regression of colors, float32 (n, 3), for each band. It starts from the densest third
    of the differences, because half of a small forest may have been felled at once, and continues
    by least squares with Tukey's biweight.
    """
    offset, gain = np.zeros(3, np.float32), np.ones(3, np.float32)
    for band in range(3):
        x, y = before[:, band], now[:, band]
        middle, spread = find_densest(y - x)
        spread = max(spread, MIN_NOISE)
        mean, slope, shift = 0.0, 1.0, middle
        left = y - x - shift
        for _ in range(5):
            weight = np.clip(1 - (left / (4.7 * spread)) ** 2, 0, None) ** 2
            total = weight.sum()
            if total < MIN_CELLS / 3:
                break
            mean = float((weight * x).sum() / total)
            shift = float((weight * (y - x)).sum() / total)
            # Prior of the slope: 1 ± 0.2.
            ridge = spread**2 / 0.2**2
            slope = 1 + float(
                (weight * (x - mean) * (y - x - shift)).sum()
                / ((weight * (x - mean) ** 2).sum() + ridge)
            )
            slope = min(max(slope, 0.4), 2.5)
            left = y - x - shift - (slope - 1) * (x - mean)
            spread = max(1.4826 * float(np.median(np.abs(left[weight > 0]))), MIN_NOISE)
        gain[band] = slope
        offset[band] = shift + mean - slope * mean
    return offset, gain


def find_densest(values: np.ndarray) -> tuple[float, float]:
    """Mean of the shortest interval that contains a third of the values, and its scale.

    The scale is the standard deviation of a normal distribution whose third is equally short.
    """
    ordered = np.sort(values.astype(np.float64))
    third = max(2, len(ordered) // 3)
    width = ordered[third - 1 :] - ordered[: len(ordered) - third + 1]
    start = int(width.argmin())
    middle = float(ordered[start : start + third].mean())
    return middle, float(width[start]) / (2 * 0.4307)


def fit_noise(rest: np.ndarray) -> Noise:
    """Noise of the differences of a scene's forest, float32 (n, 3), without felled cells.

    The filter is the matched filter of felled ground, f = Σ⁻¹ m / (mᵀ Σ⁻¹ m). Haze brightens blue
    and red together, so the covariance Σ of a hazy scene is large in this direction, and the filter
    has little weight there.
    """
    centre, spread = np.array([find_densest(band) for band in rest.T], np.float32).T
    covariance = np.diag(np.maximum(spread, MIN_NOISE) ** 2).astype(np.float64)
    for _ in range(5):
        left = (rest - centre).astype(np.float64)
        far = np.einsum("ni,ij,nj->n", left, np.linalg.inv(covariance), left)
        kept = left[far < 16]
        if len(kept) < MIN_CELLS / 3:
            break
        centre = centre + np.median(kept, axis=0).astype(np.float32)
        covariance = np.cov(kept.T) + np.diag(np.full(3, (MIN_NOISE / 2) ** 2))
    matched = np.linalg.solve(covariance, FELLED)
    power = float(FELLED @ matched)
    scale = max(1 / np.sqrt(power), MIN_NOISE)
    return Noise(centre=centre, filter=(matched / power).astype(np.float32), scale=float(scale))


def as_steps(values: np.ndarray) -> np.ndarray:
    """int16 like `values`, float32: the nearest step, within the range of integers."""
    limits = np.iinfo(np.int16)
    return np.rint(np.clip(values * STEPS, limits.min, limits.max)).astype(np.int16)


def find_likeliest(states: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """float32 (n,): likelihood of the most probable of states, float32 (states, classes).

    `seen` are class probabilities, float32 (classes, n). A matrix product would round differently
    by the number of cells.
    """
    likelihoods = (sum(map(np.multiply, row, seen)) for row in states)
    return np.maximum(functools.reduce(np.maximum, likelihoods), TINY)


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
    return np.clip(np.log(felled / standing), *COLOR_RATIO_RANGE)


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
    return np.where(own > 0, own + NEIGHBOUR_WEIGHT * highest[2], own)
