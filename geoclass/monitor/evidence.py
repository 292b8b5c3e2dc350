"""What each date says of a group: whether it still stands in a cell, by classes and by colours.

Dates are gone through in order, each with what was seen before it, so that what was said of a
date never changes when later ones are added. The model stands in docs/monitor-model.md.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyproj
from scipy.ndimage import percentile_filter

from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE
from geoclass.monitor.align import Stack
from geoclass.monitor.light import LEAST_CELLS, find_densest, fit_light, fit_noise
from geoclass.monitor.markov import DAYS_A_YEAR, FOREST, LEAST_DAYS, Belief

SURE = -2.0
"""Log odds that a group is gone, below which a cell speaks for the scene's forest."""
FARTHEST = -6.5, 8.0
"""Log odds go no further: a loss must be seen on a date or two to be believed, not for years."""
MOST_BY_CLASS, MOST_BESIDE_COLOR = 6.0, 4.0
"""Of the log likelihood ratio of one date's class probabilities, alone and beside colours."""
MOST_DOUBT = 1.5
"""Of the latter, where the classes speak against forest."""
MOST_BY_COLOR, LEAST_BY_COLOR = 7.0, -2.0
"""Of one date's colours."""
MOST_CELLS = 50_000
"""Of forest, that light and noise are told by; more would tell the same."""
COLOR_ERROR_DAYS = 10.0
"""How long errors of colours last; those of classes last `SeriesSettings.error_days`."""

SEASON_DAYS = 30.0
"""Dates of other seasons count by exp(−½ (d / 30)²), d being the days of the year between."""
OTHER_PHASE = 0.1
"""Times that, where one date has leaves and the other has not."""
LEAVES_FROM, LEAVES_UNTIL = 106, 298
"""Days of the year when broad-leaved forest has leaves, 16 April to 25 October; half a year later
in the south. Within 30° of the equator it has leaves all year."""
ANY_SEASON = 1e-4
"""What dates of all other seasons count: enough for the scene's light, not for a loss."""
SAME_SEASON = 0.3
"""A date so much like one before shows the noise of the air, not the season's."""

AMPLITUDE = 35.0
"""Mean brightening of red by felling, in 8-bit steps: 380 digital numbers."""
VEIL = 2.0
"""Standard score from which a cell's brightening may be a cloud's."""
USUAL_NOISE = 3.0
"""8-bit steps: dates with more count less in the past that later ones are compared with."""
STRAY, STRAY_SCALE = 0.01, 4.0
"""Share of standing forest that scatters more widely, and how widely, in standard deviations."""
MUCH_BRIGHTER = 4.0
"""Standard deviations of the scene's forest: a cell so much brighter is hardly forest."""
LEAST_LIKENESS = 0.25
"""Mean likeness to the scene's forest of a cell that is watched, 0–1. Meadows at the edge of a wood
and verges, which classes call forest on some dates, stay below; most forest is above 0.8."""
WHITE = 0.8
"""Felling brightens blue at most so much as red; clouds, and their edges that a mask leaves,
brighten both alike."""
RESTLESS = 4.0
"""Looks at the scene's forest that a cell's own restlessness is weighed against."""
BANDS = np.array([0, 1, 2, 0])
"""Of the colours that are looked at: the darkest quarter of red is lit as red is."""
AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
NEIGHBOURS = 71
"""Percentile of eight that leaves two above it."""
NEIGHBOUR_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What the dates say of one group; arrays are float16 (dates, cells)."""

    ratio: np.ndarray
    """Log likelihood ratio of gone to standing that a date adds; 0 where a cell is not seen."""
    odds: np.ndarray
    """Log odds that the group is not there, after each date."""
    brighter: np.ndarray
    """float16 (2, dates, cells): by how many 8-bit steps of red a cell, and its darkest quarter,
    are brighter than felling nothing would make them; 0 where colours do not say."""

    def until(self, count: int) -> Evidence:
        """Of the first `count` dates."""
        return Evidence(
            ratio=self.ratio[:count],
            odds=self.odds[:count],
            brighter=self.brighter[:, :count],
        )


class _Past:
    """What has been seen of each cell so far; arrays are float32 (cells,) unless said otherwise."""

    def __init__(self, leaves: np.ndarray, shape: tuple[int, int], prior_odds: float) -> None:
        dates, cells = len(leaves), shape[0] * shape[1]
        self.shape, self.leaves = shape, leaves
        self.odds = np.full(cells, prior_odds, np.float32)
        self.last = np.full(cells, -np.inf, np.float32)  # ordinal of the last day seen
        self.said = np.zeros((2, cells), np.float32)  # on that day, by classes and by colours
        self.restless = np.zeros(cells, np.float32)  # sum of squared standard scores
        self.looks = np.zeros(cells, np.float32)  # and their number
        # Sums of likenesses to the scene's forest and of their weights. A fifth of a look is given,
        # so that ground felled before any look does not count as never having been forest.
        self.like, self.calm = np.full((2, cells), 0.2, np.float32)
        self.level = np.zeros((dates, cells, 4), np.float16)  # colours, darkest red, in one light
        self.brighter = np.zeros((2, dates, cells), np.float16)
        self.trust = np.zeros((dates, cells), np.float16)  # that they are those of forest, 0–1
        self.precision = np.full(dates, 0.5, np.float32)  # of dates


def weigh_evidence(stack: Stack, belief: Belief, group: str) -> Evidence:
    """Go through all dates of a stack."""
    dates, shape = len(stack.dates), (stack.grid.rows, stack.grid.cols)
    cells = shape[0] * shape[1]
    inside = belief.inside(group)
    prior = float(belief.prior[inside].sum())
    rate = float(belief.prior[inside] @ belief.rates[np.ix_(inside, ~inside)].sum(axis=1)) / prior
    members = [c.class_id for c in stack.contract.legend.classes if c.group == group]
    colored = stack.colors is not None and group == FOREST
    parts = [belief.evidence[part] for part in (inside, ~inside)]
    if colored:  # all classes that may come after are one; alone, each is followed
        shares = [belief.prior[part] / belief.prior[part].sum() for part in (inside, ~inside)]
        parts = [(share @ part)[None] for share, part in zip(shares, parts, strict=True)]
    most = MOST_BESIDE_COLOR if colored else MOST_BY_CLASS
    latitude = find_latitude(stack.grid)
    kinship = relate_dates(stack.dates, latitude) if colored else None
    leaves = find_leaves(stack.dates if colored else (), latitude)
    past = _Past(leaves, shape, np.log((1 - prior) / prior))
    lasting = np.array([belief.error_days, min(COLOR_ERROR_DAYS, belief.error_days)], np.float32)
    lasting = np.maximum(lasting, 1e-6)[:, None]
    ratio, odds = np.zeros((2, dates, cells), np.float16)
    for t, day in enumerate(stack.dates):
        now = np.flatnonzero(stack.observed[t])
        seen = stack.probabilities[t].reshape(cells, -1)[now]
        there, elsewhere = (_weigh_classes(seen, part.astype(np.float32)) for part in parts)
        by_class = np.log(elsewhere / there).astype(np.float32)
        by_class = np.clip(by_class, -most, most)
        by_color = np.zeros_like(by_class)
        # Not forest, whatever its classes say: it is never sure to stand, and cannot be lost.
        unlike = past.like[now] < LEAST_LIKENESS * past.calm[now]
        if kinship is not None and stack.colors is not None:
            share = seen[:, members].sum(axis=1) / np.float32(FULL_SCALE)
            own = stack.colors[t].reshape(cells, -1)[now, :4].astype(np.float32)
            by_class = np.minimum(limit_doubt(by_class, past.odds[now]), MOST_DOUBT)
            by_color, veiled = _weigh_colors(t, now, own, share, kinship[t, :t], past)
            by_class[veiled] = 0
        said = np.stack([by_class, by_color])
        between = day.toordinal() - past.last[now]
        # An error that lasts says the same again.
        same = (said > 0) == (past.said[:, now] > 0)
        weight = np.where(same, -np.expm1(-between / lasting), 1)
        new = (said * weight).sum(axis=0)
        new[unlike] = np.minimum(new[unlike], 0)
        chance = rate * np.clip(between, LEAST_DAYS, DAYS_A_YEAR) / DAYS_A_YEAR
        known = np.logaddexp(past.odds[now], np.log(chance)) + new
        past.odds[now] = np.clip(known, np.where(unlike, SURE + 1, FARTHEST[0]), FARTHEST[1])
        past.last[now], past.said[:, now] = day.toordinal(), said
        if colored:
            past.trust[t, now] *= 1 / (1 + np.exp(past.odds[now]))
        ratio[t, now], odds[t] = new, past.odds
    brighter = past.brighter if colored else np.zeros((2, *ratio.shape), np.float16)
    return Evidence(ratio=ratio, odds=odds, brighter=brighter)


def _weigh_classes(seen: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """float32 (n,): the likelihood of the likeliest state, given class probabilities, uint8 (n, k).

    `rows` are float32 (states, k). Class by class: as one product, all would have to be floats.
    """
    states = (sum(weight * seen[:, k] for k, weight in enumerate(row)) for row in rows)
    likeliest: np.ndarray = functools.reduce(np.maximum, states)
    return likeliest


def limit_doubt(by_class: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """Log likelihood ratios, float32 (n,), no larger than the date can be trusted with.

    Where the network doubts much of the scene's known forest, its doubt says little: the ratio is
    at most one over the share of known forest that it doubts as much.
    """
    known = np.sort(by_class[odds < SURE])
    if len(known) < LEAST_CELLS:
        return by_class
    as_doubtful = len(known) - np.searchsorted(known, by_class, side="left")
    limited: np.ndarray = np.minimum(by_class, np.log((len(known) + 1) / (as_doubtful + 1)))
    return limited


def _weigh_colors(
    t: int, now: np.ndarray, own: np.ndarray, share: np.ndarray, kinship: np.ndarray, past: _Past
) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood ratios, float32 (n,), of the cells `now` that date t shows.

    Beside them, bool (n,): which cells a cloud or its edge hides. `own` are their colours, float32
    (n, 4): means, and the darkest quarter of red; `share` is their probability of forest. What the
    date adds to the past is put there.
    """
    said: np.ndarray
    score: np.ndarray
    brighter: np.ndarray
    total: np.ndarray
    alike: np.ndarray
    said, score, brighter = np.zeros((3, len(now)), np.float32)
    veiled = np.zeros(len(now), dtype=bool)
    before: np.ndarray = np.zeros_like(own)
    total, alike = np.zeros((2, len(now)), np.float32)
    for s, kin in enumerate(kinship.astype(np.float32)):  # date by date: all at once are too large
        weight = kin * past.trust[s, now]
        np.maximum(alike, weight, out=alike)
        weight *= past.precision[s]
        total += weight
        before += weight[:, None] * past.level[s, now]
    had = np.flatnonzero(total > ANY_SEASON / 100)
    before[had] /= total[had, None]
    standing = past.odds[now] < 0
    forest = had[past.odds[now[had]] < SURE]
    usual = np.median(share[past.odds[now] < SURE]) if len(forest) >= LEAST_CELLS else 1.0
    forest = forest[:: len(forest) // MOST_CELLS + 1]
    if len(forest) >= LEAST_CELLS:
        light = fit_light(before[forest, :3], own[forest, :3])
        own = (own - light.offset[BANDS]) / light.gain[BANDS]
        rest = own - before
        middle, spread = find_densest(own[forest, 0])
        brighter = np.maximum(own[:, 0] - middle, 0) / max(spread, USUAL_NOISE)
        noise = fit_noise(rest[forest, :3])
        restless = (past.restless[now] + RESTLESS) / (past.looks[now] + RESTLESS)
        width = np.sqrt(np.clip(restless, 1, 16))
        score[had] = (noise.score(rest[:, :3]) / width)[had]
        red, blue = (rest - noise.centre[BANDS])[:, [0, 2]].T
        veiled = (score > VEIL) & (blue > WHITE * red + USUAL_NOISE)
        past.brighter[0, t, now] = score * noise.scale * width
        past.brighter[1, t, now[had]] = (rest[:, 3] - np.median(rest[forest, 3]))[had]
        said = compare_scores(score, AMPLITUDE / (noise.scale * width)) * (score != 0) * alike
        said[veiled] = 0
        said += np.where(said > 0, ask_neighbours(said, now, past.shape), 0)
        if np.median(alike[forest]) >= SAME_SEASON:
            past.precision[t] = min(1.0, (USUAL_NOISE / noise.scale) ** 2)
        past.restless[now] += np.minimum(score**2, 16) * standing
        past.looks[now] += standing
    past.level[t, now] = own
    surely = np.minimum(share / usual, 1)
    likeness = surely / (1 + (brighter / MUCH_BRIGHTER) ** 2)
    calm = ~veiled / (1 + (score / 3) ** 2)
    past.trust[t, now] = likeness * surely * calm
    if len(forest) >= LEAST_CELLS and past.leaves[t]:
        past.like[now] += likeness * calm * standing
        past.calm[now] += calm * standing
    return said.astype(np.float32), veiled


def compare_scores(score: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
    """Log likelihood ratio of felled to standing, float32 (n,), of standard scores.

    Standing forest scatters normally, a hundredth of it by a Laplace distribution of scale 4:
    edges, tracks, wisps of cloud. Felled ground is brighter by an exponential distribution of
    mean `amplitude`, which outweighs the noise.
    """
    away = np.abs(score)
    standing = (1 - STRAY) / np.sqrt(2 * np.pi) * np.exp(-0.5 * away**2)
    standing += STRAY / (2 * STRAY_SCALE) * np.exp(-away / STRAY_SCALE)
    felled = np.where(score > 0, np.exp(-score / amplitude) / amplitude, 1e-9)
    ratio: np.ndarray = np.clip(np.log(felled / standing), LEAST_BY_COLOR, MOST_BY_COLOR)
    return ratio


def ask_neighbours(ratio: np.ndarray, cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Half of what the third of a cell's eight neighbours says, where it speaks of a loss.

    A felled patch of half a hectare covers parts of four cells or more; a wisp, a moved edge or a
    machine does not.
    """
    plane = np.zeros(shape, np.float32)
    plane.ravel()[cells] = ratio
    third = percentile_filter(plane, NEIGHBOURS, footprint=AROUND, mode="constant")
    boost: np.ndarray = np.clip(third.ravel()[cells], 0, None) * NEIGHBOUR_SHARE
    return boost


def relate_dates(days: tuple[date, ...], latitude: float) -> np.ndarray:
    """float64 (dates, dates): how much one date's forest is like another's, 0–1, by season."""
    of_year = np.array([day.timetuple().tm_yday for day in days], dtype=float)
    apart = np.abs(of_year[:, None] - of_year)
    apart = np.minimum(apart, 365.25 - apart)
    leaves = find_leaves(days, latitude)
    alike = np.exp(-0.5 * (apart / SEASON_DAYS) ** 2)
    alike = np.where(leaves[:, None] == leaves, alike, alike * OTHER_PHASE)
    related: np.ndarray = np.maximum(alike, ANY_SEASON)
    return related


def find_leaves(days: tuple[date, ...], latitude: float) -> np.ndarray:
    """Bool (dates,): whether broad-leaved forest has leaves."""
    if abs(latitude) < 30:
        return np.ones(len(days), dtype=bool)
    of_year = np.array([day.timetuple().tm_yday for day in days], dtype=float)
    of_year = (of_year + (0 if latitude > 0 else 182.6)) % 365.25
    leaves: np.ndarray = (of_year >= LEAVES_FROM) & (of_year < LEAVES_UNTIL)
    return leaves


def find_latitude(grid: Grid) -> float:
    """Degrees, of the grid's middle."""
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    return float(to_degrees.transform(x, y)[1])
