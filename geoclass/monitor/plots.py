"""Forest and its loss on plots of land: what a monitor file tells of each, or why it cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyproj
import shapely

from geoclass.errors import SettingsError
from geoclass.legend import NODATA
from geoclass.monitor.alerts import LEVELS
from geoclass.monitor.files import read_monitor
from geoclass.monitor.history import Monitoring, monitor_stack
from geoclass.monitor.plot_shapes import WGS84, Plot, mend_plots
from geoclass.monitor.settings import PlotSettings
from geoclass.monitor.tables import weigh_cells
from geoclass.products.features import read_features

Answer = Literal["no loss detected", "loss detected", "cannot tell"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)

FOREST = "forest"
LEAST_OBSERVED = 0.9
"""Share of a plot that must have been seen before and after the day to say: no loss."""
NOTHING = 0.005
"""A smaller share of a plot is rounding."""
LEAST_LOSS_CELLS = 0.5
"""Less of a loss than this part of a cell is its edge, which may lie beside the plot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is told of one plot."""

    area_ha: float = np.nan
    """On the ground; NaN where the plot was rejected."""
    forest_ha: float = np.nan
    """Forest on the day that counts, as far as it was seen; NaN where the plot was rejected."""
    lost_ha: float = np.nan
    """Of it, what was lost since; NaN where the plot was rejected."""
    loss_after: date | None = None
    """Of the earliest loss: last day on which the forest was seen."""
    loss_by: date | None = None
    """Of the earliest loss: first day on which it was seen to be gone."""
    level: str = ""
    """The highest of the alerts; empty where there is none."""
    observed_share: float = 0.0
    """Of the plot, what was seen clearly both until the day that counts and later, 0–1."""
    answer: Answer = "cannot tell"
    reason: str = ""
    """In words."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlotVerdicts:
    """Plots in the order of their file, and what is told of each."""

    plots: tuple[Plot, ...]
    verdicts: tuple[Verdict, ...]
    settings: PlotSettings
    attribution: str
    """What is to be said of the sources; may be empty."""

    @property
    def counts(self) -> dict[Answer, int]:
        """How many plots have each answer."""
        found = Counter(verdict.answer for verdict in self.verdicts)
        return {answer: found[answer] for answer in ANSWERS}

    @property
    def messages(self) -> list[str]:
        """What was put right and what was rejected, a line each kind, with numbers of plots."""
        numbers: dict[str, list[int]] = {}
        for number, plot in enumerate(self.plots, start=1):
            for note in plot.notes:
                numbers.setdefault(note, []).append(number)
            if plot.rejected is not None:
                numbers.setdefault(f"was rejected: {plot.rejected}", []).append(number)
        return [
            f"{len(found)} plot{'s' * (len(found) > 1)} ({_list(found)}): {text}"
            for text, found in numbers.items()
        ]


MOST_LISTED = 5


def _list(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:MOST_LISTED]))
    return f"plotId {shown}{' …' if len(numbers) > MOST_LISTED else ''}"


def assess_plots(
    plots: Path | str, monitor: Path | str | Monitoring, *, settings: PlotSettings | None = None
) -> PlotVerdicts:
    """Say for each plot of a vector file whether its forest was lost since a day.

    `monitor` is a file of `geoclass.write_monitor`, or what it was written from. Plots are
    polygons or points; what is wrong with one is put right or makes it rejected, by itself, and
    `messages` says so. Raises OutputError where a file cannot be read, SettingsError where the
    monitor does not watch forest, or has not seen it both until and after the day.
    """
    settings = settings or PlotSettings()
    features = read_features(Path(plots))
    if not isinstance(monitor, Monitoring):
        monitor = monitor_stack(*read_monitor(monitor))
    evidence = _Evidence(monitor, settings.forest_on)
    grid = monitor.stack.grid
    mended = mend_plots(features, grid, radius_m=settings.radius_m, id_column=settings.id_column)
    return PlotVerdicts(
        plots=tuple(mended),
        verdicts=tuple(_judge_all(mended, evidence)),
        settings=settings,
        attribution=monitor.stack.attribution,
    )


class _Evidence:
    """What a monitor has seen of each cell, before and after a day; arrays are (cells,)."""

    def __init__(self, result: Monitoring, day: date) -> None:
        stack = result.stack
        if FOREST not in result.settings.watch:
            raise SettingsError(
                f"the monitor file watches {', '.join(result.settings.watch)}, not {FOREST}: make "
                f"one with --watch {FOREST}"
            )
        if not stack.dates[0] <= day < stack.dates[-1]:
            raise SettingsError(
                f"the monitor file has dates from {stack.dates[0]} to {stack.dates[-1]}, so it "
                f"cannot tell what became of the forest of {day}: give --forest-on between these, "
                "or monitor more dates"
            )
        self.result, self.day = result, day
        self.area_ha = result.area_ha
        self.cell_ha = float(np.nanmedian(result.area_ha))
        self.least_ha = max(self.cell_ha, result.settings.min_area_ha)
        self.last = int(np.searchsorted(np.array(stack.dates, dtype="datetime64[D]"),
                                        np.datetime64(day), side="right")) - 1  # fmt: skip
        observed = stack.observed.reshape(len(stack.dates), -1)
        split = self.last + 1
        self.reached: np.ndarray = (stack.class_id != NODATA).any(axis=0).ravel()
        before, after = observed[:split].any(axis=0), observed[split:].any(axis=0)
        self.observed: np.ndarray = np.logical_and(before, after)
        self.forest = np.zeros(len(self.area_ha), dtype=bool)
        inside = result.belief.inside(FOREST)
        self.forest[result.cells] = inside[result.smoothed.path[self.last]]
        # Of each cell, the earliest loss after the day: numbers of dates, and the alert's level.
        never = len(stack.dates)
        self.gone = np.full(len(self.area_ha), never)
        self.seen = np.full(len(self.area_ha), never)
        self.level = np.full(len(self.area_ha), -1)
        for alert in result.alerts:
            losses = alert.losses
            if alert.group != FOREST:
                continue
            earlier = (losses.first_gone > self.last) & (losses.first_gone < self.gone[losses.cell])
            # Of a cell that was lost twice, the first loss is written last.
            chosen = np.flatnonzero(earlier)[::-1]
            cells = losses.cell[chosen]
            self.gone[cells] = losses.first_gone[chosen]
            self.seen[cells] = losses.last_seen[chosen]
            self.level[cells] = LEVELS.index(alert.level)
        self.lost: np.ndarray = self.gone < never


def _judge_all(plots: Sequence[Plot], evidence: _Evidence) -> list[Verdict]:
    """The verdicts; what can be asked of all plots together is."""
    shapes = np.array([plot.shape for plot in plots], dtype=object)
    areas = _find_areas(shapes)
    to_maps = pyproj.Transformer.from_crs(WGS84, evidence.result.stack.grid.crs, always_xy=True)
    there = shapely.transform(shapes, to_maps.transform, interleaved=False)
    return [
        Verdict(reason=f"the plot was rejected: {plot.rejected}")
        if plot.rejected is not None
        else _judge(plot.shape, shape, float(area), evidence)
        for plot, shape, area in zip(plots, there, areas, strict=True)
    ]


def _find_areas(shapes: np.ndarray) -> np.ndarray:
    """float64 (n,): hectares on the ground, NaN where there is no shape."""
    bounds = shapely.total_bounds(shapes)
    if not np.isfinite(bounds).all():
        return np.full(len(shapes), np.nan)
    middle = (bounds[0] + bounds[2]) / 2
    equal_area = pyproj.Transformer.from_crs(
        WGS84, f"+proj=cea +ellps=WGS84 +lon_0={middle}", always_xy=True
    )
    flat = shapely.transform(shapes, equal_area.transform, interleaved=False)
    areas: np.ndarray = np.where(shapely.is_missing(shapes), np.nan, shapely.area(flat) / 1e4)
    return areas


def _judge(
    place: shapely.Geometry, shape: shapely.Geometry, area_ha: float, evidence: _Evidence
) -> Verdict:
    """`place` is the plot in degrees, `shape` the same in the CRS of the maps."""
    cells, inside_ha = _find_cells(shape, evidence)
    total = max(area_ha, float(inside_ha.sum()))
    lost: np.ndarray = evidence.lost[cells]
    lost_ha = float(inside_ha[lost].sum())
    dates = evidence.result.stack.dates
    after = by = None
    level = ""
    if lost_ha:
        first = cells[lost][evidence.gone[cells[lost]].argmin()]
        after, by = dates[evidence.seen[first]], dates[evidence.gone[first]]
        level = LEVELS[int(evidence.level[cells[lost]].max())]
    verdict = Verdict(
        area_ha=area_ha,
        forest_ha=float(inside_ha[evidence.forest[cells] | lost].sum()),
        lost_ha=lost_ha,
        loss_after=after,
        loss_by=by,
        level=level,
        observed_share=min(1.0, float(inside_ha[evidence.observed[cells]].sum()) / total),
    )
    reached = float(inside_ha[evidence.reached[cells]].sum()) / total
    answer, reason = _answer(place, verdict, reached, evidence)
    return replace(verdict, answer=answer, reason=reason)


def _find_cells(shape: shapely.Geometry, evidence: _Evidence) -> tuple[np.ndarray, np.ndarray]:
    """int64 (n,): the cells that a plot touches, and float64 (n,): its hectares in each."""
    grid = evidence.result.stack.grid
    if not np.isfinite(shapely.bounds(shape)).all():
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    rows, cols, share = weigh_cells(shape, grid)
    row, col = np.nonzero(share)
    cells = (row + rows.start) * grid.cols + col + cols.start
    return cells, share[row, col] * evidence.area_ha[cells]


def _answer(
    place: shapely.Geometry, found: Verdict, reached: float, evidence: _Evidence
) -> tuple[Answer, str]:
    """What a plot's numbers mean; `reached` is the share of it that the maps show, 0–1."""
    day, end = evidence.day, evidence.result.stack.dates[-1]
    if reached < NOTHING:
        return "cannot tell", "the plot lies outside the maps"
    centre = shapely.centroid(place)
    region = evidence.result.stack.contract.training.find_away(centre.x, centre.y)
    if region is not None:
        return "cannot tell", f"the plot lies outside {region}, where the model was trained"
    is_lost = found.lost_ha >= LEAST_LOSS_CELLS * min(evidence.cell_ha, found.area_ha)
    if found.area_ha < evidence.least_ha:
        over = f"; a loss, gone by {found.loss_by}, lies over it" if is_lost else ""
        return "cannot tell", (
            f"the plot is too small for this method: {found.area_ha:.2f} ha, of the "
            f"{evidence.least_ha:.2f} ha that it takes{over}"
        )
    if is_lost:
        older = found.loss_after is not None and found.loss_after <= day
        doubt = f"; some of it may be older than {day}" if older else ""
        return "loss detected", (
            f"{found.lost_ha:.2f} ha of forest were lost, the first of it between "
            f"{found.loss_after} and {found.loss_by}{doubt}"
        )
    if found.observed_share < LEAST_OBSERVED:
        beyond = f", {1 - reached:.0%} lie outside the maps" if reached < 0.995 else ""
        seen = f"only {found.observed_share:.0%} of the plot were"
        if found.observed_share < NOTHING:
            seen = "the plot was never"
        return "cannot tell", f"{seen} seen clearly both until {day} and after it{beyond}"
    if found.forest_ha < LEAST_LOSS_CELLS * evidence.cell_ha:
        return "no loss detected", f"there was no forest on {day}"
    return "no loss detected", f"no loss of its forest was seen from {day} to {end}"
