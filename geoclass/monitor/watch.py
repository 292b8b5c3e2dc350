"""Maps of several dates to a smoothed series, alerts, areas and transitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from geoclass.errors import SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.monitor.align import DatedMap, Stack, as_dated, stack_maps
from geoclass.monitor.belief import Belief, check_groups, form_belief
from geoclass.monitor.history import Alert, HistoryRow, follow_alerts
from geoclass.monitor.markov import Smoothed, smooth_cells
from geoclass.monitor.settings import MonitorSettings


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
    on_date: Callable[[date], object] = lambda _: None,
) -> Monitoring:
    """Watch what several maps of one place show, in any order of their dates.

    A map's date is the day that its scene tells; `geoclass.date_map` gives it another. `on_date`
    is told each date up to which the alerts have been followed, the first excepted.
    Raises SettingsError where the maps cannot be compared, are of fewer than two dates, or one
    has no date.
    """
    settings = settings or MonitorSettings()
    stack = stack_maps([as_dated(item) for item in maps], settings.align)
    return monitor_stack(stack, settings, on_date)


def monitor_stack(
    stack: Stack,
    settings: MonitorSettings,
    on_date: Callable[[date], object] = lambda _: None,
) -> Monitoring:
    """Smooth all cells and follow the alerts through the dates."""
    _check_dates(stack)
    check_groups(settings.watch, stack.contract.legend)
    belief = form_belief(stack.contract, settings.series)
    area_ha = stack.grid.areas_ha().ravel()
    cells = np.flatnonzero(stack.observed.any(axis=0))
    smoothed = smooth_cells(stack, belief, cells, area_ha[cells])
    alerts, history = follow_alerts(stack, belief, settings, area_ha, on_date)
    return Monitoring(
        stack=stack,
        settings=settings,
        belief=belief,
        cells=cells,
        smoothed=smoothed,
        alerts=tuple(alerts),
        history=tuple(history),
    )


def _check_dates(stack: Stack) -> None:
    if len(stack.dates) < 2:
        raise SettingsError(
            f"all maps are of one date, {stack.dates[0]}: give two dates or more, or say the "
            "dates with --date"
        )
    seen = [bool(plane.any()) for plane in stack.observed]
    empty = [str(day) for day, some in zip(stack.dates, seen, strict=True) if not some]
    if empty:
        raise SettingsError(
            f"no cell is classified on {', '.join(empty)} (all are cloud, unknown or without "
            "data): leave that date out"
        )
