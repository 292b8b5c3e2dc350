"""Alerts and their history: what was known after each date.

Each date is processed with the dates until then. An alert therefore has the same number and
history whether dates are added one by one or all at once.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np

from geoclass.errors import SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.monitor.alerts import (
    LEVELS,
    Level,
    choose_level,
    find_levels,
    find_losses,
    group_losses,
    share_felled,
)
from geoclass.monitor.align import DatedMap, LeftOut, Stack, as_dated, sift_maps, stack_maps
from geoclass.monitor.evidence import Evidence, weigh_evidence
from geoclass.monitor.markov import FOREST, Belief, Smoothed, form_belief, smooth_cells
from geoclass.monitor.settings import MonitorSettings

Step = Literal["issued", "raised", "lowered", "resized", "merged", "withdrawn"]

WHEN_LOST = ["cell", "last_seen", "first_gone"]
"""Columns of LOSS."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alert:
    """Neighbouring cells that lost a group in one event."""

    alert_id: int
    """Number from 1; does not change when dates are added."""
    group: str
    """The lost group."""
    last_seen: date
    """Last date on which the group was observed in any of the cells."""
    first_gone: date
    """First date on which any of the cells was observed without it."""
    became: str
    """Name of the class that covers most of the area afterwards."""
    probability: float
    """Mean over the area, 0–1."""
    confirmations: int
    """Observations of another group: median of the cells."""
    level: Level
    area_ha: float
    """Lost area; edge cells count in part, depending on their brightness."""
    losses: np.recarray
    """LOSS rows of `geoclass.monitor.alerts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """A change of an alert."""

    alert_id: int
    day: date
    """Date of the maps that caused it."""
    step: Step
    level: Level
    area_ha: float
    into: int | None = None
    """The alert that this one was merged into."""


def follow_alerts(
    stack: Stack,
    belief: Belief,
    evidence: Mapping[str, Evidence],
    settings: MonitorSettings,
    area_ha: np.ndarray,
    on_date: Callable[[date], object] = lambda _: None,
) -> tuple[list[Alert], list[HistoryRow]]:
    """The alerts after the last date, and all changes until then.

    `area_ha` is float (rows · cols,); `on_date` is called with each date that was processed.
    """
    alerts: list[Alert] = []
    withdrawn: list[Alert] = []
    history: list[HistoryRow] = []
    for count, day in enumerate(stack.dates[1:], start=2):
        until_now = {group: whole.until(count) for group, whole in evidence.items()}
        found = find_events(stack.until(count), belief, until_now, settings, area_ha)
        known = [*alerts, *withdrawn]
        alerts, rows = match_alerts(alerts, withdrawn, found, day)
        kept = {alert.alert_id for alert in alerts}
        withdrawn = [alert for alert in known if alert.alert_id not in kept]
        history += rows
        on_date(day)
    return alerts, history


def find_events(
    stack: Stack,
    belief: Belief,
    evidence: Mapping[str, Evidence],
    settings: MonitorSettings,
    area_ha: np.ndarray,
) -> list[Alert]:
    """The losses until the last date of the stack, as alerts with number 0."""
    found = []
    for group, of_group in evidence.items():
        losses = find_losses(stack, belief, group, of_group, settings.min_odds)
        if not len(losses):
            continue
        events = group_losses(losses, stack.grid.cols)
        order = np.argsort(events, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(events[order])) + 1):
            alert = _describe(losses[rows].view(np.recarray), group, stack, belief, area_ha)
            # Areas of whole cells are exact to half a cell.
            covered = area_ha[alert.losses.cell]
            if covered.sum() + covered.mean() / 2 >= settings.min_area_ha:
                found.append(alert)
    return found


def _describe(
    losses: np.recarray, group: str, stack: Stack, belief: Belief, area_ha: np.ndarray
) -> Alert:
    covered = area_ha[losses.cell] * share_felled(losses)
    return Alert(
        alert_id=0,
        group=group,
        last_seen=stack.dates[int(losses.last_seen.max())],
        first_gone=stack.dates[int(losses.first_gone.min())],
        became=belief.names[int(np.bincount(losses.became, covered).argmax())],
        probability=float(np.average(losses.probability, weights=covered)),
        confirmations=int(np.median(losses.confirmations)),
        level=choose_level(find_levels(losses, stack.dates), covered),
        area_ha=float(covered.sum()),
        losses=losses,
    )


def match_alerts(
    alerts: Sequence[Alert], withdrawn: Sequence[Alert], found: Sequence[Alert], day: date
) -> tuple[list[Alert], list[HistoryRow]]:
    """Assign the numbers of known alerts to the events found, and list the changes.

    An event continues the alert with which it shares most cells. A withdrawn alert that comes
    back keeps its number too.
    """
    active = {a.alert_id: a for a in alerts}
    past = {a.alert_id for a in withdrawn}
    shared = _count_shared([*alerts, *withdrawn], found)
    # Active alerts first, then by shared cells; ties in order of number and event.
    order = sorted(shared, key=lambda pair: (pair[0] in past, -shared[pair], *pair))
    number_of: dict[int, int] = {}
    best_event: dict[int, int] = {}
    taken: set[int] = set()
    for number, event in order:
        best_event.setdefault(number, event)
        if event not in number_of and number not in taken:
            number_of[event] = number
            taken.add(number)
    following = max([0, *active, *past]) + 1
    current, rows = [], []
    for event, alert in enumerate(found):
        number = number_of.get(event, following)
        following += number == following
        current.append(replace(alert, alert_id=number))
        step = _compare(active.get(number), alert)
        if step is not None:
            rows.append(_row(current[-1], day, step))
    for number, alert in active.items():
        if number not in taken:
            into = current[best_event[number]].alert_id if number in best_event else None
            rows.append(_row(alert, day, "withdrawn" if into is None else "merged", into))
    return sorted(current, key=lambda alert: alert.alert_id), rows


def _count_shared(alerts: Sequence[Alert], found: Sequence[Alert]) -> Counter[tuple[int, int]]:
    """Shared cells by (number of the alert, event): of one group, lost in overlapping times."""
    owners: dict[tuple[str, int], list[tuple[int, int, int]]] = defaultdict(list)
    for event, alert in enumerate(found):
        for cell, last, first in alert.losses[WHEN_LOST].tolist():
            owners[alert.group, cell].append((event, last, first))
    shared: Counter[tuple[int, int]] = Counter()
    for alert in alerts:
        for cell, last, first in alert.losses[WHEN_LOST].tolist():
            for event, other_last, other_first in owners.get((alert.group, cell), ()):
                if last < other_first and other_last < first:
                    shared[alert.alert_id, event] += 1
    return shared


def _compare(before: Alert | None, now: Alert) -> Step | None:
    """How an alert changed; None if it did not."""
    if before is None:
        return "issued"
    change = LEVELS.index(now.level) - LEVELS.index(before.level)
    if change:
        return "raised" if change > 0 else "lowered"
    return "resized" if len(now.losses) != len(before.losses) else None


def _row(alert: Alert, day: date, step: Step, into: int | None = None) -> HistoryRow:
    return HistoryRow(
        alert_id=alert.alert_id,
        day=day,
        step=step,
        level=alert.level,
        area_ha=alert.area_ha,
        into=into,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Monitoring:
    """Result of monitoring one place over several dates."""

    stack: Stack
    settings: MonitorSettings
    belief: Belief
    area_ha: np.ndarray
    """float64 (rows · cols,): hectares of each cell of the grid."""
    cells: np.ndarray
    """int64 (n,): cells observed at least once, as indices into the flat grid."""
    smoothed: Smoothed
    """Of `cells`."""
    alerts: tuple[Alert, ...]
    """In order of their numbers."""
    history: tuple[HistoryRow, ...]
    """In order of dates."""


def monitor_maps(
    maps: Sequence[DatedMap | LandCoverMap],
    *,
    settings: MonitorSettings | None = None,
    left_out: Sequence[LeftOut] = (),
    on_date: Callable[[date], object] = lambda _: None,
) -> Monitoring:
    """Monitor one place with maps of several dates, in any order.

    The date of a map is that of its scene; `geoclass.date_map` sets another. Maps without classes,
    or not comparable with most others, are skipped; `stack.left_out` lists them after `left_out`,
    the scenes that the caller skipped. `on_date` is called with each processed date, except the
    first. Raises SettingsError if fewer than two dates are usable, or a map has no date.
    """
    settings = settings or MonitorSettings()
    return monitor_stack(
        stack_usable([as_dated(item) for item in maps], settings, left_out), settings, on_date
    )


def stack_usable(
    maps: list[DatedMap],
    settings: MonitorSettings,
    left_out: Sequence[LeftOut] = (),
) -> Stack:
    """The stack of all usable maps; SettingsError if there is none.

    Empties `maps`, because both together may not fit into memory.
    """
    kept, others = sift_maps(maps, settings.align)
    left_out = (*left_out, *others)
    if left_out and not kept:
        raise SettingsError(
            f"no scene or map is usable: {'; '.join(map(str, left_out))}: give others"
        )
    maps.clear()
    drained = (kept.pop(0) for _ in range(len(kept)))
    return replace(stack_maps(drained, settings.align), left_out=left_out)


def monitor_stack(
    stack: Stack,
    settings: MonitorSettings,
    on_date: Callable[[date], object] = lambda _: None,
) -> Monitoring:
    """Smooth all cells and find the alerts of each date; SettingsError for a single date."""
    if len(stack.dates) < 2:
        reasons = "; ".join(map(str, stack.left_out))
        skipped = f", after skipping {reasons}" if reasons else ""
        raise SettingsError(
            f"all maps are of one date, {stack.dates[0]}{skipped}: give two dates or more, or set "
            "the dates with --date"
        )
    groups = stack.contract.legend.groups
    unknown = ", ".join(name for name in settings.watch if name not in groups)
    if unknown:
        raise SettingsError(f"{unknown} is not a group of the maps, which are: {', '.join(groups)}")
    belief = form_belief(stack.contract, settings.series)
    evidence = {
        group: weigh_evidence(stack, belief, group, settings.min_odds) for group in settings.watch
    }
    area_ha = stack.grid.areas_ha().ravel()
    cells = np.flatnonzero(stack.observed.any(axis=0))
    has_ratios = stack.colors is not None and FOREST in evidence
    ratio = evidence[FOREST].all_ratios if has_ratios else None
    smoothed = smooth_cells(stack, belief, cells, area_ha[cells], ratio)
    alerts, history = follow_alerts(stack, belief, evidence, settings, area_ha, on_date)
    return Monitoring(
        stack=stack,
        settings=settings,
        belief=belief,
        area_ha=area_ha,
        cells=cells,
        smoothed=smoothed,
        alerts=tuple(alerts),
        history=tuple(history),
    )
