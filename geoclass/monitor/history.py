"""Alerts as they were issued: what was known after each date, and what became of it.

The dates are gone through one after the other, each with what was seen until then. So an alert
has the same number and the same history whether its dates came one by one or all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Literal

import numpy as np

from geoclass.errors import SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.monitor.alerts import (
    LEVELS,
    CellLosses,
    Level,
    choose_level,
    find_losses,
    group_losses,
    most_common,
    share_felled,
)
from geoclass.monitor.align import DatedMap, LeftOut, Stack, as_dated, stack_maps
from geoclass.monitor.evidence import Evidence, weigh_evidence
from geoclass.monitor.markov import (
    FOREST,
    Belief,
    Smoothed,
    check_groups,
    form_belief,
    smooth_cells,
)
from geoclass.monitor.settings import MonitorSettings
from geoclass.monitor.usable import check_dates, sift_maps

Step = Literal["issued", "raised", "lowered", "resized", "merged", "withdrawn"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alert:
    """Neighbouring cells that lost a group in one event."""

    alert_id: int
    """Counted from 1, and kept when dates are added."""
    group: str
    """What was lost."""
    last_seen: date
    """Last day on which the group was seen in any of the cells."""
    first_gone: date
    """First day on which any of the cells was seen without it."""
    became: str
    """Name of the class that most of the area turned into."""
    probability: float
    """Mean over the area, 0–1."""
    confirmations: int
    """Observations that show another group: of the median cell."""
    level: Level
    area_ha: float
    """Of what was lost: of cells at its edge a part, as their brightness tells."""
    losses: CellLosses
    """The cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """Something that happened to an alert."""

    alert_id: int
    day: date
    """The date whose maps brought it about."""
    step: Step
    level: Level
    area_ha: float
    into: int | None = None
    """The alert that took this one up, if it was merged."""


def follow_alerts(
    stack: Stack,
    belief: Belief,
    evidence: Mapping[str, Evidence],
    settings: MonitorSettings,
    area_ha: np.ndarray,
    on_date: Callable[[date], object] = lambda _: None,
) -> tuple[list[Alert], list[HistoryRow]]:
    """The alerts after the last date, and all that happened until then.

    `area_ha` is float (rows · cols,); `on_date` is told each date that has been followed.
    """
    alerts: list[Alert] = []
    retired: list[Alert] = []
    history: list[HistoryRow] = []
    for count in range(2, len(stack.dates) + 1):
        known = stack.until(count)
        said = {group: whole.until(count) for group, whole in evidence.items()}
        found = find_events(known, belief, said, settings, area_ha)
        news, rows = match_alerts(alerts, retired, found, known.dates[-1])
        kept = {alert.alert_id for alert in news}
        retired = [a for a in (*alerts, *retired) if a.alert_id not in kept]
        alerts = news
        history += rows
        on_date(known.dates[-1])
    return alerts, history


def find_events(
    stack: Stack,
    belief: Belief,
    evidence: Mapping[str, Evidence],
    settings: MonitorSettings,
    area_ha: np.ndarray,
) -> list[Alert]:
    """The losses that all dates of the stack tell of, as alerts without a number (0)."""
    found = []
    for group, said in evidence.items():
        losses = find_losses(stack, belief, group, said, settings.min_probability)
        if not len(losses):
            continue
        events = group_losses(losses, stack.grid.cols)
        order = np.argsort(events, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(events[order])) + 1):
            alert = _describe(losses.take(rows), group, stack, belief, area_ha)
            if area_ha[alert.losses.cell].sum() >= settings.min_area_ha:
                found.append(alert)
    return found


def _describe(
    losses: CellLosses, group: str, stack: Stack, belief: Belief, area_ha: np.ndarray
) -> Alert:
    covered = area_ha[losses.cell] * share_felled(losses)
    return Alert(
        alert_id=0,
        group=group,
        last_seen=stack.dates[int(losses.last_seen.max())],
        first_gone=stack.dates[int(losses.first_gone.min())],
        became=most_common(losses.became, covered, belief.names),
        probability=float(np.average(losses.probability, weights=covered)),
        confirmations=int(np.median(losses.confirmations)),
        level=choose_level(losses.find_levels(stack.dates), covered),
        area_ha=float(covered.sum()),
        losses=losses,
    )


def match_alerts(
    alerts: Sequence[Alert], retired: Sequence[Alert], found: Sequence[Alert], day: date
) -> tuple[list[Alert], list[HistoryRow]]:
    """Give the events that were found the numbers of the alerts that they continue.

    An event continues the alert with which it shares most cells; a withdrawn alert that comes
    back keeps its number too.
    """
    standing = {a.alert_id: a for a in alerts}
    past = {a.alert_id: a for a in retired}
    shared = _count_shared([*alerts, *retired], found)
    # Standing alerts first, then by cells shared; equal cases in order of number and place.
    order = sorted(shared, key=lambda pair: (pair[0] in past, -shared[pair], *pair))
    number_of: dict[int, int] = {}
    taken: set[int] = set()
    heirs: dict[int, int] = {}
    for number, place in order:
        heirs.setdefault(number, place)
        if place not in number_of and number not in taken:
            number_of[place] = number
            taken.add(number)
    following = max([0, *standing, *past]) + 1
    news, rows = [], []
    for place, event in enumerate(found):
        number = number_of.get(place, following)
        following += number == following
        event = replace(event, alert_id=number)  # noqa: PLW2901 the same event, now with its number
        news.append(event)
        step = _compare(standing.get(number), event)
        if step is not None:
            rows.append(_row(event, day, step))
    for number, alert in standing.items():
        if number in taken:
            continue
        into = news[heirs[number]].alert_id if number in heirs else None
        rows.append(_row(alert, day, "withdrawn" if into is None else "merged", into))
    return sorted(news, key=lambda alert: alert.alert_id), rows


def _count_shared(alerts: Iterable[Alert], found: Sequence[Alert]) -> dict[tuple[int, int], int]:
    """Cells shared by an alert's number and an event's place, of the same group and time."""
    owners: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
    for place, event in enumerate(found):
        losses = event.losses
        for cell, last, first in zip(
            losses.cell.tolist(), losses.last_seen.tolist(), losses.first_gone.tolist(), strict=True
        ):
            owners.setdefault((event.group, cell), []).append((place, last, first))
    shared: dict[tuple[int, int], int] = {}
    for alert in alerts:
        losses = alert.losses
        for cell, last, first in zip(
            losses.cell.tolist(), losses.last_seen.tolist(), losses.first_gone.tolist(), strict=True
        ):
            for place, other_last, other_first in owners.get((alert.group, cell), ()):
                if last < other_first and other_last < first:
                    pair = alert.alert_id, place
                    shared[pair] = shared.get(pair, 0) + 1
    return shared


def _compare(before: Alert | None, now: Alert) -> Step | None:
    """What happened to an alert; None if nothing did."""
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Monitoring:
    """What several dates tell of one place."""

    stack: Stack
    settings: MonitorSettings
    belief: Belief
    cells: np.ndarray
    """int64 (n,): the cells that were seen at least once, as indices into the flat grid."""
    smoothed: Smoothed
    """Of `cells`."""
    alerts: tuple[Alert, ...]
    """In order of their numbers."""
    history: tuple[HistoryRow, ...]
    """In order of dates."""

    @cached_property
    def area_ha(self) -> np.ndarray:
        """float64 (rows · cols,): hectares of each cell of the grid."""
        return self.stack.grid.areas_ha().ravel()


def monitor_maps(
    maps: Sequence[DatedMap | LandCoverMap],
    *,
    settings: MonitorSettings | None = None,
    left_out: Sequence[LeftOut] = (),
    on_date: Callable[[date], object] = lambda _: None,
) -> Monitoring:
    """Watch what several maps of one place show, in any order of their dates.

    A map's date is the day that its scene tells; `geoclass.date_map` gives it another. Maps that
    show nothing, or cannot be compared with most others, are left out: `stack.left_out` says why,
    after `left_out`, what the caller has left out before. `on_date` is told each date up to which
    the alerts have been followed, the first excepted.
    Raises SettingsError where fewer than two dates are of use, or a map has no date.
    """
    settings = settings or MonitorSettings()
    return monitor_stack(stack_usable(maps, settings, left_out), settings, on_date)


def stack_usable(
    maps: Sequence[DatedMap | LandCoverMap],
    settings: MonitorSettings,
    left_out: Sequence[LeftOut] = (),
) -> Stack:
    """The maps that are of use, laid over one another; SettingsError where there are none."""
    kept, others = sift_maps([as_dated(item) for item in maps], settings.align)
    left_out = (*left_out, *others)
    if left_out and not kept:
        raise SettingsError(
            f"no scene or map is of use: {'; '.join(map(str, left_out))}: give others"
        )
    return replace(stack_maps(kept, settings.align), left_out=left_out)


def monitor_stack(
    stack: Stack,
    settings: MonitorSettings,
    on_date: Callable[[date], object] = lambda _: None,
) -> Monitoring:
    """Smooth all cells and follow the alerts through the dates."""
    check_dates(stack)
    check_groups(settings.watch, stack.contract.legend)
    belief = form_belief(stack.contract, settings.series)
    evidence = {group: weigh_evidence(stack, belief, group) for group in settings.watch}
    area_ha = stack.grid.areas_ha().ravel()
    cells = np.flatnonzero(stack.observed.any(axis=0))
    ratio = None
    if stack.colors is not None and FOREST in evidence:
        ratio = evidence[FOREST].ratio
    smoothed = smooth_cells(stack, belief, cells, area_ha[cells], ratio)
    alerts, history = follow_alerts(stack, belief, evidence, settings, area_ha, on_date)
    return Monitoring(
        stack=stack,
        settings=settings,
        belief=belief,
        cells=cells,
        smoothed=smoothed,
        alerts=tuple(alerts),
        history=tuple(history),
    )
