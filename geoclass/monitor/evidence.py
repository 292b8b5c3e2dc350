"""Evidence of each date that a group is present in a cell or lost, from classes and colors.

Dates are processed in order, each with the dates before it. Evidence of a date therefore does not
change when later dates are added. docs/monitor-model.md describes the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from geoclass.landcover import FULL_SCALE
from geoclass.machine import map_chunks
from geoclass.monitor.align import Stack
from geoclass.monitor.forest import (
    MIN_CELLS,
    MIN_SEASON_WEIGHT,
    Noise,
    add_neighbours,
    as_steps,
    compare_scores,
    find_densest,
    find_latitude,
    find_leaves,
    find_likeliest,
    fit_light,
    fit_noise,
    limit_doubt,
    relate_dates,
)
from geoclass.monitor.markov import DAYS_PER_YEAR, FOREST, MIN_DAYS, STEPS, Belief

CHUNK_CELLS = 32_768
"""Cells at a time, so that arrays of them fit into the processor's cache."""
PRESENT = -2.0
"""Log odds of a loss below which a group is certainly present, so that a cell is known forest."""
ODDS_RANGE = -6.5, 8.0
"""Limits of the log odds: one or two dates must be able to establish a loss."""
MAX_CLASS_RATIO, MAX_CLASS_RATIO_WITH_COLORS = 6.0, 4.0
"""Limit of the log likelihood ratio of one date's class probabilities."""
MAX_CLASS_DOUBT = 1.5
"""The same, if there are colors and the classes indicate a loss of forest."""
MAX_FOREST_CELLS = 50_000
"""Number of forest cells from which light and noise are estimated."""
COLOR_ERROR_DAYS = 10.0
"""Duration of errors of colors; for classes it is `SeriesSettings.error_days`."""

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
BRIGHT = 4.0
"""Standard deviations of the scene's forest: a cell this much brighter is hardly forest."""
MIN_SIMILARITY = 0.25
"""Minimum of the mean similarity to the scene's forest, 0–1. Meadows at forest edges and verges,
which some dates classify as forest, are below; most forest is above 0.8."""
PRIOR_COUNT = 4.0
"""Observations of the scene's forest against which a cell's own variability is weighted."""
BANDS = np.array([0, 1, 2, 0])
"""Bands of the colors used: red, green, blue, and the darkest quarter of red."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """Evidence of all dates for one group."""

    all_ratios: np.ndarray
    """int16 (dates, rows · cols): log likelihood ratio of lost to present of each date, `STEPS`
    being 1; 0 where a cell is not observed."""
    monitored: np.ndarray
    """Bool (rows · cols,): True where the group was certainly present after any date."""
    cells: np.ndarray
    """int64 (n,): cells that may have lost the group after any date, as indices into the grid. The
    other arrays are of these cells, float32 (dates, n) unless noted."""
    observed: np.ndarray
    """Bool."""
    ratio: np.ndarray
    """As `all_ratios`, but 1 is 1."""
    odds: np.ndarray
    """Log odds of a loss after each date."""
    brighter: np.ndarray
    """float32 (2, dates, n): brightening of the cell's red and of its darkest quarter relative to
    standing forest, in 8-bit steps; 0 if unknown."""

    def until(self, count: int) -> Evidence:
        """The first `count` dates."""
        names = ("all_ratios", "observed", "ratio", "odds")
        parts = {name: getattr(self, name)[:count] for name in names}
        return replace(self, brighter=self.brighter[:, :count], **parts)


def weigh_evidence(stack: Stack, belief: Belief, group: str, min_odds: float) -> Evidence:
    """The evidence of all dates of a stack for one group; `min_odds` are the log odds of a loss."""
    weigher = _Weigher(stack, belief, group)
    for t in range(len(stack.dates)):
        weigher.weigh(t)
    monitored, cells = weigher.find_suspects(min_odds)
    ratio, odds, *brighter = (
        plane[:, cells] / np.float32(STEPS)
        for plane in (weigher.ratio, weigher.odds_after, *weigher.brighter)
    )
    return Evidence(
        all_ratios=weigher.ratio,
        monitored=monitored,
        cells=cells,
        observed=weigher.observed[:, cells],
        ratio=ratio,
        odds=odds,
        brighter=np.stack(brighter),
    )


class _Scene(NamedTuple):
    """Light and noise of a date, estimated from known forest."""

    noise: Noise
    middle: float
    """Mean red of the densest third of the forest, corrected for light …"""
    spread: float
    """… and its scale."""
    dark_centre: float
    """Median brightening of the darkest quarter of red."""
    usual: float
    """Median probability of forest."""


class _Weigher:
    """Weighs dates in order. Its arrays are float32 (cells,) unless noted.

    Cells are processed in chunks whose temporary arrays fit into the processor's cache.
    """

    def __init__(self, stack: Stack, belief: Belief, group: str) -> None:
        dates, rows, cols, classes = stack.probabilities.shape
        cells = rows * cols
        inside = belief.inside(group)
        parts = [belief.evidence[part] for part in (inside, ~inside)]
        self.colors = None  # uint8 (dates, cells, 6)
        if group == FOREST and stack.colors is not None:
            # All later classes are one state; without colors each is a state.
            shares = [belief.prior[part] / belief.prior[part].sum() for part in (inside, ~inside)]
            parts = [(share @ part)[None] for share, part in zip(shares, parts, strict=True)]
            self.colors = stack.colors.reshape(dates, cells, -1)
        self.present, self.lost = (part.astype(np.float32) for part in parts)
        prior = float(belief.prior[inside].sum())
        left = belief.rates[np.ix_(inside, ~inside)].sum(axis=1)
        self.rate = float(belief.prior[inside] @ left) / prior
        lasting = np.array([belief.error_days, min(COLOR_ERROR_DAYS, belief.error_days)])
        self.lasting = np.maximum(lasting, 1e-6).astype(np.float32)
        legend = stack.contract.legend.classes
        self.members = [c.class_id for c in legend if c.group == group]
        self.observed = stack.observed.reshape(dates, cells)  # bool
        self.probabilities = stack.probabilities.reshape(dates, cells, classes)
        self.days = [day.toordinal() for day in stack.dates]
        latitude = find_latitude(stack.grid)
        self.seasons = relate_dates(stack.dates, latitude).astype(np.float32)
        self.in_leaf = find_leaves(stack.dates, latitude)
        self.rows, self.cols = rows, cols

        self.odds = np.full(cells, np.log((1 - prior) / prior), np.float32)
        self.last = np.full(cells, -1, np.int16)  # number of the date of the last observation
        self.last_ratio = np.zeros((2, cells), np.float32)  # of classes and colors on that date
        # Log likelihood ratios of one date; a frame of 0 surrounds the colors'.
        self.by_class = np.zeros(cells, np.float32)
        self.by_color = np.zeros((rows + 2, cols + 2), np.float32)
        self.dissimilar = np.zeros(cells, dtype=bool)  # to forest, before the date
        self.squares = np.zeros(cells, np.float32)  # sum of squared standard scores
        self.count = np.zeros(cells, np.float32)  # number of these scores
        # Sum of similarities to the scene's forest, and of their weights. A fifth of an observation
        # is given, so that ground felled before the first one is not excluded as non-forest.
        self.similarity, self.weight = np.full((2, cells), 0.2, np.float32)
        # Offset and gain, float32 (4, 1), that correct the colors of each date for light.
        self.light = [(np.zeros((4, 1), np.float32), np.ones((4, 1), np.float32))] * dates
        self.trust = np.zeros((dates, cells), np.uint8)  # that the colors show forest; 250 is 1
        self.precision = np.full(dates, 0.5, np.float32)  # of dates
        self.ratio, self.odds_after = np.zeros((2, dates, cells), np.int16)
        self.brighter = np.zeros((2, dates, cells), np.int16)

    def weigh(self, t: int) -> None:
        """Weigh the evidence of date t, after that of all dates before it."""
        forest = np.flatnonzero(self.observed[t] & (self.odds < PRESENT))
        forest = forest[:: len(forest) // MAX_FOREST_CELLS + 1]
        scene = doubts = None
        if self.colors is not None:
            scene, doubts = self._fit_scene(t, forest), np.sort(self._weigh_classes(t, forest))
        step = max(1, CHUNK_CELLS // self.cols)
        chunks = [slice(row, min(row + step, self.rows)) for row in range(0, self.rows, step)]
        map_chunks(lambda rows: self._weigh_chunk(t, rows, scene, doubts), chunks)
        map_chunks(lambda rows: self._update_chunk(t, rows), chunks)

    def find_suspects(self, min_odds: float) -> tuple[np.ndarray, np.ndarray]:
        """`monitored` and `cells` of `Evidence`."""
        present, suspect = np.zeros((2, len(self.odds)), dtype=bool)
        for odds in self.odds_after:
            present |= odds <= np.float32(PRESENT * STEPS)
            suspect |= present & (odds >= np.float32(min_odds * STEPS))
        return present, np.flatnonzero(suspect)

    def _weigh_chunk(
        self, t: int, rows: slice, scene: _Scene | None, doubts: np.ndarray | None
    ) -> None:
        """The likelihood ratios of date t; `doubts` are sorted ratios of known forest."""
        cells = slice(rows.start * self.cols, rows.stop * self.cols)
        by_class = self._weigh_classes(t, cells)
        self.dissimilar[cells] = self.similarity[cells] < MIN_SIMILARITY * self.weight[cells]
        if doubts is not None:
            by_class = np.minimum(limit_doubt(by_class, doubts), MAX_CLASS_DOUBT)
            by_color, clouded = self._weigh_colors(t, cells, scene)
            by_class[clouded] = 0
            framed = slice(rows.start + 1, rows.stop + 1)
            self.by_color[framed, 1:-1] = by_color.reshape(-1, self.cols)
        self.by_class[cells] = by_class

    def _update_chunk(self, t: int, rows: slice) -> None:
        """The odds after date t."""
        cells = slice(rows.start * self.cols, rows.stop * self.cols)
        observed, last = self.observed[t, cells], self.last[cells]
        # By the number of the last date; the last element is for cells without an observation.
        between = np.array([*(self.days[t] - np.array(self.days[:t])), np.inf], np.float32)
        chance = self.rate * np.clip(between, MIN_DAYS, DAYS_PER_YEAR) / DAYS_PER_YEAR
        by_color = add_neighbours(self.by_color[rows.start : rows.stop + 2]).ravel()
        ratio = np.zeros(len(last), np.float32)
        for kind, own in enumerate((self.by_class[cells], by_color)):
            # An error that lasts repeats the same evidence.
            counted = -np.expm1(-between / self.lasting[kind]).take(last)
            same = (own > 0) == (self.last_ratio[kind, cells] > 0)
            ratio += np.where(same, own * counted, own)
            self.last_ratio[kind, cells] = np.where(observed, own, self.last_ratio[kind, cells])
        # Such cells are not forest, regardless of their classes, so they cannot be lost.
        dissimilar = self.dissimilar[cells]
        ratio = np.where(dissimilar, np.minimum(ratio, 0), ratio)
        odds = np.log(np.exp(self.odds[cells]) + chance.take(last)) + ratio
        odds = np.minimum(np.maximum(odds, ODDS_RANGE[0]), ODDS_RANGE[1])
        odds = np.where(dissimilar, np.maximum(odds, PRESENT + 1), odds)
        odds = np.where(observed, odds, self.odds[cells])
        self.odds[cells], self.last[cells] = odds, np.where(observed, np.int16(t), last)
        self.odds_after[t, cells] = as_steps(odds)
        self.ratio[t, cells] = as_steps(np.where(observed, ratio, 0))
        if self.colors is not None:
            self.trust[t, cells] = np.rint(self.trust[t, cells] / (1 + np.exp(odds)))

    def _weigh_classes(self, t: int, cells: slice | np.ndarray) -> np.ndarray:
        """float32 (n,): log likelihood ratios of the classes of date t."""
        seen = self.probabilities[t][cells].T.astype(np.float32, order="C")
        lost, present = (find_likeliest(part, seen) for part in (self.lost, self.present))
        limit = MAX_CLASS_RATIO if self.colors is None else MAX_CLASS_RATIO_WITH_COLORS
        return np.clip(np.log(lost / present), -limit, limit)

    def _read_share(self, t: int, cells: slice | np.ndarray) -> np.ndarray:
        """float32 (n,): probability of the group."""
        seen = self.probabilities[t][cells][:, self.members]
        return seen.sum(axis=1) / np.float32(FULL_SCALE)

    def _read_colors(self, t: int, cells: slice | np.ndarray) -> np.ndarray:
        """float32 (4, n): means, and the darkest quarter of red; corrected for light if known."""
        assert self.colors is not None
        seen: np.ndarray = self.colors[t][cells][:, : len(BANDS)].T.astype(np.float32, order="C")
        offset, gain = self.light[t]
        seen -= offset
        seen /= gain
        return seen

    def _sum_past(
        self, t: int, cells: slice | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted mean of the colors before t, float32 (4, n), corrected for light.

        The other values are whether it is known, bool (n,), and the largest weight, float32 (n,).
        """
        count = len(self.odds[cells])
        before = np.zeros((len(BANDS), count), np.float32)
        total, weight_max = np.zeros((2, count), np.float32)
        for s, season in enumerate(self.seasons[t, :t]):
            weight = season / FULL_SCALE * self.trust[s][cells].astype(np.float32)
            np.maximum(weight_max, weight, out=weight_max)
            weight *= self.precision[s]
            total += weight
            before += weight * self._read_colors(s, cells)
        known = total > MIN_SEASON_WEIGHT / 100
        before /= np.where(known, total, 1)
        return before, known, weight_max

    def _fit_scene(self, t: int, forest: np.ndarray) -> _Scene | None:
        """Light and noise from cells that are known forest; None if there are too few."""
        before, known, weight_max = self._sum_past(t, forest)
        if known.sum() < MIN_CELLS:
            return None
        # On some dates the network classifies no forest as forest.
        usual = max(float(np.median(self._read_share(t, forest))), 1 / FULL_SCALE)
        before, forest, weight_max = before[:, known], forest[known], weight_max[known]
        offset, gain = fit_light(before[:3].T, self._read_colors(t, forest)[:3].T)
        self.light[t] = offset[BANDS, None], gain[BANDS, None]
        own = self._read_colors(t, forest)
        rest = own - before
        noise = fit_noise(rest[:3].T)
        if np.median(weight_max) >= SAME_SEASON:
            self.precision[t] = min(1.0, (USUAL_NOISE / noise.scale) ** 2)
        middle, spread = find_densest(own[0])
        return _Scene(noise, middle, max(spread, USUAL_NOISE), float(np.median(rest[3])), usual)

    def _weigh_colors(
        self, t: int, cells: slice, scene: _Scene | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log likelihood ratios, float32 (n,), of the colors of date t; 0 where not observed.

        The second value, bool (n,), is True for cells below a cloud or its edge.
        """
        share, observed = self._read_share(t, cells), self.observed[t, cells]
        if scene is None:
            self.trust[t, cells] = np.rint(np.where(observed, share**2, 0) * FULL_SCALE)
            return np.zeros(len(share), np.float32), np.zeros(len(share), dtype=bool)
        noise, standing = scene.noise, observed & (self.odds[cells] < 0)
        before, known, weight_max = self._sum_past(t, cells)
        known &= observed
        own = self._read_colors(t, cells)
        rest = own - before
        variance = (self.squares[cells] + PRIOR_COUNT) / (self.count[cells] + PRIOR_COUNT)
        width = np.sqrt(np.clip(variance, 1, 16))
        score = np.where(known, noise.score(rest[:3]) / width, 0)
        red, blue = rest[0] - noise.centre[0], rest[2] - noise.centre[2]
        clouded = (score > CLOUD_SCORE) & (blue > CLOUD_BLUE * red + USUAL_NOISE)
        scale = noise.scale * width
        self.brighter[0, t, cells] = as_steps(score * scale)
        self.brighter[1, t, cells] = as_steps(np.where(known, rest[3] - scene.dark_centre, 0))
        used = np.where(clouded | (score == 0), 0, weight_max)
        ratio: np.ndarray = compare_scores(score, AMPLITUDE / scale) * used
        self.squares[cells] += np.minimum(score**2, 16) * standing
        self.count[cells] += standing
        brightness = np.maximum(own[0] - scene.middle, 0) / scene.spread
        certainty = np.minimum(share / scene.usual, 1)
        similarity = certainty / (1 + (brightness / BRIGHT) ** 2)
        undisturbed = np.where(clouded, 0, 1 / (1 + (score / 3) ** 2))
        trust = np.where(observed, similarity * certainty * undisturbed, 0)
        self.trust[t, cells] = np.rint(trust * FULL_SCALE)
        if self.in_leaf[t]:
            counted = undisturbed * standing
            self.similarity[cells] += similarity * counted
            self.weight[cells] += counted
        return ratio, clouded
