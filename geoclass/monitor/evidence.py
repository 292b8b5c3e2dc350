"""Evidence of each date that a group is present in a cell or lost, from classes and colors.

Dates are processed in order, each with the dates before it. Evidence of a date therefore does not
change when later dates are added. docs/monitor-model.md describes the model.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import pyproj
from scipy.ndimage import percentile_filter

from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE
from geoclass.machine import count_cores
from geoclass.monitor.align import Stack
from geoclass.monitor.light import MIN_CELLS, find_densest, fit_light, fit_noise
from geoclass.monitor.markov import CHUNK_CELLS, DAYS_PER_YEAR, FOREST, MIN_DAYS, Belief

PRESENT = -2.0
"""Log odds of a loss below which a cell is part of the scene's known forest."""
ODDS_RANGE = -6.5, 8.0
"""Limits of the log odds: one or two dates must be able to establish a loss."""
MAX_CLASS_RATIO, MAX_CLASS_RATIO_WITH_COLORS = 6.0, 4.0
"""Limit of the log likelihood ratio of one date's class probabilities."""
MAX_CLASS_DOUBT = 1.5
"""The same, if there are colors and the classes indicate a loss of forest."""
COLOR_RATIO_RANGE = -2.0, 7.0
"""Limits of the log likelihood ratio of one date's colors."""
MAX_FOREST_CELLS = 50_000
"""Number of forest cells from which light and noise are estimated."""
COLOR_ERROR_DAYS = 10.0
"""Duration of errors of colors; for classes it is `SeriesSettings.error_days`."""

SEASON_DAYS = 30.0
"""Weight of a date in another season: exp(−½ (d / 30)²), d being the days of the year between."""
OTHER_PHASE = 0.1
"""Factor on this weight if one date is in leaf and the other is not."""
LEAF_ON, LEAF_OFF = 106, 298
"""Days of the year between which broad-leaved forest is in leaf, 16 April to 25 October; half a
year later in the south. Within 30° of the equator it is in leaf all year."""
MIN_SEASON_WEIGHT = 1e-4
"""Weight of dates in all other seasons: enough to estimate light, but not a loss."""
SAME_SEASON = 0.3
"""Weight from which a date in the past is similar enough to estimate the noise of the scene."""

AMPLITUDE = 35.0
"""Mean brightening of red by felling, in 8-bit steps: 380 digital numbers."""
CLOUD_SCORE = 2.0
"""Standard score from which a brightening may be a cloud."""
CLOUD_BLUE = 0.8
"""Brightening of blue over that of red: felling stays below, clouds and their edges reach 1."""
USUAL_NOISE = 3.0
"""8-bit steps: noisier dates have less weight in the past of later dates."""
OUTLIERS, OUTLIER_SCALE = 0.01, 4.0
"""Fraction of standing forest with a wider distribution, and its scale in standard deviations."""
BRIGHT = 4.0
"""Standard deviations of the scene's forest: a cell this much brighter is hardly forest."""
MIN_SIMILARITY = 0.25
"""Minimum of the mean similarity to the scene's forest, 0–1. Meadows at forest edges and verges,
which some dates classify as forest, are below; most forest is above 0.8."""
PRIOR_COUNT = 4.0
"""Observations of the scene's forest against which a cell's own variability is weighted."""
BANDS = np.array([0, 1, 2, 0])
"""Bands of the colors used: red, green, blue, and the darkest quarter of red."""
FOOTPRINT = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
THIRD_OF_EIGHT = 71
"""Percentile of eight neighbours with two above it."""
NEIGHBOUR_WEIGHT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """Evidence of all dates for one group; arrays are float16 (dates, cells)."""

    ratio: np.ndarray
    """Log likelihood ratio of lost to present of each date; 0 where a cell is not observed."""
    odds: np.ndarray
    """Log odds of a loss after each date."""
    brighter: np.ndarray
    """float16 (2, dates, cells): brightening of the cell's red and of its darkest quarter relative
    to standing forest, in 8-bit steps; 0 if unknown."""

    def until(self, count: int) -> Evidence:
        """The first `count` dates."""
        return Evidence(
            ratio=self.ratio[:count],
            odds=self.odds[:count],
            brighter=self.brighter[:, :count],
        )


class _Past:
    """State of each cell after the dates so far; arrays are float32 (cells,) unless noted."""

    def __init__(self, in_leaf: np.ndarray, shape: tuple[int, int], prior_odds: float) -> None:
        dates, cells = len(in_leaf), shape[0] * shape[1]
        self.shape, self.in_leaf = shape, in_leaf
        self.odds = np.full(cells, prior_odds, np.float32)
        self.last_day = np.full(cells, -np.inf, np.float32)  # ordinal of the last observation
        self.last_ratio = np.zeros((2, cells), np.float32)  # of classes and colors on that day
        self.squares = np.zeros(cells, np.float32)  # sum of squared standard scores
        self.count = np.zeros(cells, np.float32)  # number of these scores
        # Sum of similarities to the scene's forest, and of their weights. A fifth of an observation
        # is given, so that ground felled before the first one is not excluded as non-forest.
        self.similarity, self.weight = np.full((2, cells), 0.2, np.float32)
        # Offset and gain, float32 (4,), that correct the colors of each date for light.
        self.light = [(np.zeros(4, np.float32), np.ones(4, np.float32))] * dates
        self.brighter = np.zeros((2, dates, cells), np.float16)
        self.trust = np.zeros((dates, cells), np.float16)  # that the colors show forest, 0–1
        self.precision = np.full(dates, 0.5, np.float32)  # of dates


def weigh_evidence(stack: Stack, belief: Belief, group: str) -> Evidence:
    """The evidence of all dates of a stack for one group."""
    dates, shape = len(stack.dates), (stack.grid.rows, stack.grid.cols)
    cells = shape[0] * shape[1]
    inside = belief.inside(group)
    prior = float(belief.prior[inside].sum())
    rate = float(belief.prior[inside] @ belief.rates[np.ix_(inside, ~inside)].sum(axis=1)) / prior
    members = [c.class_id for c in stack.contract.legend.classes if c.group == group]
    colors = stack.colors if group == FOREST else None
    parts = [belief.evidence[part] for part in (inside, ~inside)]
    if colors is not None:  # all later classes are one state; without colors each is a state
        shares = [belief.prior[part] / belief.prior[part].sum() for part in (inside, ~inside)]
        parts = [(share @ part)[None] for share, part in zip(shares, parts, strict=True)]
    latitude = find_latitude(stack.grid)
    days = () if colors is None else stack.dates
    season_weights = relate_dates(days, latitude)
    past = _Past(find_leaves(days, latitude), shape, np.log((1 - prior) / prior))
    lasting = np.array([belief.error_days, min(COLOR_ERROR_DAYS, belief.error_days)], np.float32)
    lasting = np.maximum(lasting, 1e-6)[:, None]
    ratio, odds = np.zeros((2, dates, cells), np.float16)
    for t, day in enumerate(stack.dates):
        now = np.flatnonzero(stack.observed[t])
        seen = stack.probabilities[t].reshape(cells, -1)[now]
        present, lost = (_weigh_classes(seen, part.astype(np.float32)) for part in parts)
        limit = MAX_CLASS_RATIO if colors is None else MAX_CLASS_RATIO_WITH_COLORS
        by_class = np.clip(np.log(lost / present).astype(np.float32), -limit, limit)
        by_color = np.zeros_like(by_class)
        # Such cells are not forest, regardless of their classes, so they cannot be lost.
        dissimilar = past.similarity[now] < MIN_SIMILARITY * past.weight[now]
        if colors is not None:
            share = seen[:, members].sum(axis=1) / np.float32(FULL_SCALE)
            own = colors[t].reshape(cells, -1)[now, :4].astype(np.float32)
            earlier = _sum_past(colors.reshape(dates, cells, -1), season_weights[t, :t], now, past)
            by_class = np.minimum(limit_doubt(by_class, past.odds[now]), MAX_CLASS_DOUBT)
            by_color, clouded = _weigh_colors(t, now, own, share, earlier, past)
            by_class[clouded] = 0
        ratios = np.stack([by_class, by_color])
        between = day.toordinal() - past.last_day[now]
        # An error that lasts repeats the same evidence.
        same = (ratios > 0) == (past.last_ratio[:, now] > 0)
        weight = np.where(same, -np.expm1(-between / lasting), 1)
        new = (ratios * weight).sum(axis=0)
        new[dissimilar] = np.minimum(new[dissimilar], 0)
        chance = rate * np.clip(between, MIN_DAYS, DAYS_PER_YEAR) / DAYS_PER_YEAR
        updated = np.logaddexp(past.odds[now], np.log(chance)) + new
        lowest = np.where(dissimilar, PRESENT + 1, ODDS_RANGE[0])
        past.odds[now] = np.clip(updated, lowest, ODDS_RANGE[1])
        past.last_day[now], past.last_ratio[:, now] = day.toordinal(), ratios
        if colors is not None:
            past.trust[t, now] *= 1 / (1 + np.exp(past.odds[now]))
        ratio[t, now], odds[t] = new, past.odds
    brighter = np.zeros((2, *ratio.shape), np.float16) if colors is None else past.brighter
    return Evidence(ratio=ratio, odds=odds, brighter=brighter)


def _weigh_classes(seen: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """float32 (n,): likelihood of the most probable state, given class probabilities, uint8 (n, k).

    `rows` are float32 (states, k). Class by class, because a matrix product needs all as floats.
    """
    states = (sum(weight * seen[:, k] for k, weight in enumerate(row)) for row in rows)
    highest: np.ndarray = functools.reduce(np.maximum, states)
    return highest


def limit_doubt(by_class: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """Log likelihood ratios, float32 (n,), limited by the quality of the date.

    If the network doubts a large fraction of the known forest, its doubt is weak evidence: the
    ratio is at most one over the fraction of known forest with at least this ratio.
    """
    known = np.sort(by_class[odds < PRESENT])
    if len(known) < MIN_CELLS:
        return by_class
    as_doubtful = len(known) - np.searchsorted(known, by_class, side="left")
    limited: np.ndarray = np.minimum(by_class, np.log((len(known) + 1) / (as_doubtful + 1)))
    return limited


class _Earlier(NamedTuple):
    """What earlier dates show of n cells."""

    colors: np.ndarray
    """float32 (n, 4): weighted sum of the colors, corrected for light."""
    weight: np.ndarray
    """float32 (n,): sum of the weights …"""
    weight_max: np.ndarray
    """… and their maximum."""


def _sum_past(colors: np.ndarray, season: np.ndarray, now: np.ndarray, past: _Past) -> _Earlier:
    """The earlier dates of the cells `now`.

    `colors` are uint8 (dates, cells, 6), `season` is the weight of each earlier date.
    """
    cells = colors.shape[1]
    before = np.zeros((cells, 4), np.float32)
    total, weight_max = np.zeros((2, cells), np.float32)

    def work(start: int) -> None:
        span = slice(start, start + CHUNK_CELLS)
        for s, weight_s in enumerate(season.astype(np.float32)):
            offset, gain = past.light[s]
            weight = weight_s * past.trust[s, span]
            np.maximum(weight_max[span], weight, out=weight_max[span])
            weight *= past.precision[s]
            total[span] += weight
            seen = colors[s, span, :4].astype(np.float32)
            seen -= offset
            seen *= (weight / gain[:, None]).T
            before[span] += seen

    # numpy releases the GIL.
    with ThreadPoolExecutor(max_workers=min(4, count_cores())) as pool:
        list(pool.map(work, range(0, cells, CHUNK_CELLS)))
    return _Earlier(before[now], total[now], weight_max[now])


def _weigh_colors(
    t: int, now: np.ndarray, own: np.ndarray, share: np.ndarray, earlier: _Earlier, past: _Past
) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood ratios, float32 (n,), of the cells `now`, observed on date t.

    The second value, bool (n,), is True for cells below a cloud or its edge. `own` are colors,
    float32 (n, 4): means, and the darkest quarter of red; `share` is the probability of forest.
    Updates `past`.
    """
    ratio: np.ndarray
    brightness: np.ndarray
    ratio, score, brightness = np.zeros((3, len(now)), np.float32)
    clouded = np.zeros(len(now), dtype=bool)
    before, total, weight_max = earlier
    known = np.flatnonzero(total > MIN_SEASON_WEIGHT / 100)
    before[known] /= total[known, None]
    standing = past.odds[now] < 0
    forest = known[past.odds[now[known]] < PRESENT]
    usual = np.median(share[past.odds[now] < PRESENT]) if len(forest) >= MIN_CELLS else 1.0
    forest = forest[:: len(forest) // MAX_FOREST_CELLS + 1]
    if len(forest) >= MIN_CELLS:
        light = fit_light(before[forest, :3], own[forest, :3])
        offset, gain = (part[BANDS].astype(np.float32) for part in (light.offset, light.gain))
        past.light[t] = offset, gain
        own = (own - offset) / gain
        rest = own - before
        middle, spread = find_densest(own[forest, 0])
        brightness = np.maximum(own[:, 0] - middle, 0) / max(spread, USUAL_NOISE)
        noise = fit_noise(rest[forest, :3])
        variance = (past.squares[now] + PRIOR_COUNT) / (past.count[now] + PRIOR_COUNT)
        width = np.sqrt(np.clip(variance, 1, 16))
        score[known] = (noise.score(rest[:, :3]) / width)[known]
        red, blue = (rest - noise.centre[BANDS])[:, [0, 2]].T
        clouded = (score > CLOUD_SCORE) & (blue > CLOUD_BLUE * red + USUAL_NOISE)
        past.brighter[0, t, now] = score * noise.scale * width
        past.brighter[1, t, now[known]] = (rest[:, 3] - np.median(rest[forest, 3]))[known]
        amplitude = AMPLITUDE / (noise.scale * width)
        ratio = compare_scores(score, amplitude) * (score != 0) * weight_max
        ratio[clouded] = 0
        ratio += np.where(ratio > 0, add_neighbours(ratio, now, past.shape), 0)
        if np.median(weight_max[forest]) >= SAME_SEASON:
            past.precision[t] = min(1.0, (USUAL_NOISE / noise.scale) ** 2)
        past.squares[now] += np.minimum(score**2, 16) * standing
        past.count[now] += standing
    certainty = np.minimum(share / usual, 1)
    similarity = certainty / (1 + (brightness / BRIGHT) ** 2)
    undisturbed = ~clouded / (1 + (score / 3) ** 2)
    past.trust[t, now] = similarity * certainty * undisturbed
    if len(forest) >= MIN_CELLS and past.in_leaf[t]:
        past.similarity[now] += similarity * undisturbed * standing
        past.weight[now] += undisturbed * standing
    return ratio.astype(np.float32), clouded


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


def add_neighbours(ratio: np.ndarray, cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Half of the third highest ratio of a cell's eight neighbours, if it indicates a loss.

    A felled patch of half a hectare covers parts of at least four cells; a thin cloud, a shifted
    edge or a vehicle does not.
    """
    plane = np.zeros(shape, np.float32)
    plane.ravel()[cells] = ratio
    third = percentile_filter(plane, THIRD_OF_EIGHT, footprint=FOOTPRINT, mode="constant")
    boost: np.ndarray = np.clip(third.ravel()[cells], 0, None) * NEIGHBOUR_WEIGHT
    return boost


def relate_dates(days: tuple[date, ...], latitude: float) -> np.ndarray:
    """float64 (dates, dates): seasonal weight of one date in the past of another, 0–1."""
    of_year = np.array([day.timetuple().tm_yday for day in days], dtype=float)
    apart = np.abs(of_year[:, None] - of_year)
    apart = np.minimum(apart, DAYS_PER_YEAR - apart)
    in_leaf = find_leaves(days, latitude)
    weights = np.exp(-0.5 * (apart / SEASON_DAYS) ** 2)
    weights = np.where(in_leaf[:, None] == in_leaf, weights, weights * OTHER_PHASE)
    related: np.ndarray = np.maximum(weights, MIN_SEASON_WEIGHT)
    return related


def find_leaves(days: tuple[date, ...], latitude: float) -> np.ndarray:
    """Bool (dates,): whether broad-leaved forest is in leaf."""
    if abs(latitude) < 30:
        return np.ones(len(days), dtype=bool)
    of_year = np.array([day.timetuple().tm_yday for day in days], dtype=float)
    of_year = (of_year + (0 if latitude > 0 else 182.6)) % DAYS_PER_YEAR
    in_leaf: np.ndarray = (of_year >= LEAF_ON) & (of_year < LEAF_OFF)
    return in_leaf


def find_latitude(grid: Grid) -> float:
    """Degrees, at the grid's centre."""
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    return float(to_degrees.transform(x, y)[1])
