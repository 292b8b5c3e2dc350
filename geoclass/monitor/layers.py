"""The layers of a monitor file: what QGIS shows of a series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import numpy as np
import shapely

from geoclass.grid import Grid
from geoclass.monitor.alerts import GFW_DIGITS, LEVELS
from geoclass.monitor.history import Alert, Monitoring
from geoclass.monitor.tables import find_periods, list_transitions, sum_areas
from geoclass.monitor.usable import list_dates
from geoclass.products.formats import DISSOLVED_FROM
from geoclass.products.geotiff import write_codes
from geoclass.products.layers import Layer
from geoclass.products.patches import OUTSIDE, find_patches
from geoclass.products.styles import Category, TimeSpan, VectorStyle

# ColorBrewer's YlOrRd: the surer, the darker.
LEVEL_COLORS = dict(zip(LEVELS, ("#fecc5c", "#fd8d3c", "#bd0026"), strict=True))

SERIES_ALIASES = (
    ("class_name", "Class"),
    ("group", "Group"),
    ("probability", "Probability (0–1)"),
    ("valid_from", "From"),
    ("valid_to", "To"),
    ("area_ha", "Area (ha)"),
    ("row", "Row"),
    ("col", "Column"),
)
ALERT_ALIASES = (
    ("alert_id", "Number"),
    ("group", "Lost"),
    ("level", "Level"),
    ("last_seen", "Last seen"),
    ("first_gone", "First seen gone"),
    ("became", "Became"),
    ("probability", "Probability (0–1)"),
    ("confirmations", "Observations that confirm"),
    ("area_ha", "Area (ha)"),
    ("cells", "Cells"),
    ("zone", "Zones"),
    ("chip", "Picture"),
    ("valid_from", "Shown from"),
    ("valid_to", "Shown to"),
)


def build_layers(
    result: Monitoring,
    zones: Mapping[str, np.ndarray] | None = None,
    chips: Mapping[int, str] | None = None,
) -> list[Layer]:
    """Layers `series` and `alerts`, tables `areas`, `transitions`, `history` and `dates`.

    `zones` gives the share of each cell, float (rows · cols,), that lies in each zone, `chips` the
    path of a picture by number of an alert.
    """
    everywhere = {"all": np.ones(result.area_ha.shape)}
    return [
        build_series(result),
        build_alerts(result, zones or {}, chips or {}),
        Layer(name="areas", columns=sum_areas(result, {**everywhere, **(zones or {})})),
        Layer(name="transitions", columns=list_transitions(result)),
        Layer(name="history", columns=build_history(result)),
        Layer(name="dates", columns=list_dates(result.stack)),
    ]


def build_series(result: Monitoring) -> Layer:
    """One polygon a cell and period of one smoothed class; of large maps, neighbours share them."""
    grid, belief = result.stack.grid, result.belief
    periods = find_periods(result)
    days = as_days(result.stack.dates)
    kind = (periods.first * len(days) + periods.last) * len(belief.names) + periods.state
    place, polygons = outline_cells(grid, periods.cell, kind)
    chosen, area = find_firsts(place), result.area_ha[periods.cell]
    area_ha = np.bincount(place, area)
    probability = np.bincount(place, area * periods.probability) / area_ha
    rows, cols = np.divmod(periods.cell[chosen], grid.cols)
    state = periods.state[chosen]
    # A period lasts until the day before the next begins, so that no two are shown at once.
    following = np.append(days[1:] - 1, days[-1])
    return Layer(
        name="series",
        columns={
            "class_name": np.array(belief.names, dtype=object)[state],
            "group": np.array(belief.groups, dtype=object)[state],
            "probability": probability.round(4),
            "valid_from": days[periods.first[chosen]],
            "valid_to": following[periods.last[chosen]],
            "area_ha": area_ha.round(4),
            "row": rows.astype(np.int32),
            "col": cols.astype(np.int32),
        },
        polygons=polygons,
        crs=str(grid.crs),
        styles={
            "Class over time": VectorStyle(
                title="The smoothed class of each period",
                column="class_name",
                entries=state_categories(result),
                aliases=SERIES_ALIASES,
                span=TimeSpan(start="valid_from", end="valid_to"),
            )
        },
    )


def build_alerts(
    result: Monitoring, zones: Mapping[str, np.ndarray], chips: Mapping[int, str]
) -> Layer:
    """One polygon an alert."""
    alerts = result.alerts
    days = result.stack.dates
    last = np.full(len(alerts), days[-1].isoformat(), dtype="datetime64[D]")
    return Layer(
        name="alerts",
        columns={
            "alert_id": np.array([a.alert_id for a in alerts], dtype=np.int64),
            "group": as_texts(a.group for a in alerts),
            "level": as_texts(a.level for a in alerts),
            "last_seen": as_days([a.last_seen for a in alerts]),
            "first_gone": as_days([a.first_gone for a in alerts]),
            "became": as_texts(a.became for a in alerts),
            "probability": np.array([round(a.probability, 4) for a in alerts], dtype=float),
            "confirmations": np.array([a.confirmations for a in alerts], dtype=np.int64),
            "area_ha": np.array([round(a.area_ha, 2) for a in alerts], dtype=float),
            "cells": np.array([len(a.losses) for a in alerts], dtype=np.int64),
            "zone": as_texts(_zones_of(a, zones) for a in alerts),
            "chip": as_texts(chips.get(a.alert_id, "") for a in alerts),
            "valid_from": as_days([a.first_gone for a in alerts]),
            "valid_to": last,
        },
        polygons=np.array([outline(result, a) for a in alerts], dtype=object),
        crs=str(result.stack.grid.crs),
        styles={
            "Level": VectorStyle(
                title="How sure a loss is",
                column="level",
                entries=[Category(value=n, label=n, color=c) for n, c in LEVEL_COLORS.items()],
                aliases=ALERT_ALIASES,
                picture="chip",
                span=TimeSpan(start="valid_from", end="valid_to"),
            )
        },
    )


def build_history(result: Monitoring) -> dict[str, np.ndarray]:
    """One row a step in the life of an alert."""
    rows = result.history
    return {
        "alert_id": np.array([r.alert_id for r in rows], dtype=np.int64),
        "date": as_days([r.day for r in rows]),
        "step": as_texts(r.step for r in rows),
        "level": as_texts(r.level for r in rows),
        "area_ha": np.array([round(r.area_ha, 2) for r in rows], dtype=float),
        "into_alert": np.array([r.into or 0 for r in rows], dtype=np.int64),
    }


def state_categories(result: Monitoring) -> list[Category]:
    """Name, title and colour of each state; a group has the colour of its first class."""
    classes = result.stack.contract.legend.classes
    by_name = {c.name: c for c in classes}
    return [
        Category(value=name, label=by_name[name].title, color=by_name[name].color)
        if result.settings.series.states == "classes"
        else Category(
            value=name, label=name, color=next(c.color for c in classes if c.group == name)
        )
        for name in result.belief.names
    ]


def outline(result: Monitoring, alert: Alert) -> object:
    """The polygon of an alert's cells."""
    rows, cols = np.divmod(np.unique(alert.losses.cell), result.stack.grid.cols)
    joined: object = shapely.union_all(result.stack.grid.polygons(rows, cols))
    return joined


def as_days(days: Iterable[date | None]) -> np.ndarray:
    """datetime64[D] (n,); NaT for None."""
    return np.array([str(day or "NaT") for day in days], dtype="datetime64[D]")


def as_texts(values: Iterable[str]) -> np.ndarray:
    """Object (n,)."""
    return np.array(list(values), dtype=object)


def _zones_of(alert: Alert, zones: Mapping[str, np.ndarray]) -> str:
    """Names of the zones that hold some of the alert, the largest part first."""
    cells = np.unique(alert.losses.cell)
    parts = {name: float(share[cells].sum()) for name, share in zones.items()}
    return ", ".join(sorted((n for n, part in parts.items() if part > 0), key=lambda n: -parts[n]))


def outline_cells(grid: Grid, cell: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The polygon of each row, int (rows,), and the polygons.

    `cell` is int (rows,), indices into the flat grid in ascending order; a cell may have several
    rows, one after the other. `kind` is an integer (rows,), 0 or more: of large maps, neighbours
    of one kind share a polygon where they are at the same turn in their cells.
    """
    fresh = np.diff(cell, prepend=-1) != 0
    starts = np.flatnonzero(fresh)
    if len(starts) <= DISSOLVED_FROM["gpkg"]:
        squares = grid.polygons(*np.divmod(cell[starts], grid.cols))
        return np.arange(len(cell)), squares[fresh.cumsum() - 1]
    turn = np.arange(len(cell)) - np.repeat(starts, np.diff(np.append(starts, len(cell))))
    place, polygons = np.empty(len(cell), dtype=np.int64), [np.empty(0, dtype=object)]
    for number in range(int(turn.max()) + 1):
        own = np.flatnonzero(turn == number)
        kinds = np.full((grid.rows, grid.cols), OUTSIDE, dtype=np.int64)
        kinds.ravel()[cell[own]] = kind[own]
        patches = find_patches(kinds, kinds != OUTSIDE, grid)
        place[own] = patches.number.ravel()[cell[own]] + sum(map(len, polygons))
        polygons.append(shapely.from_wkb(patches.wkb))
    return place, np.concatenate(polygons)


def find_firsts(place: np.ndarray) -> np.ndarray:
    """int64 (polygons,): the first row of each polygon."""
    firsts = np.empty(place.max(initial=-1) + 1, dtype=np.int64)
    firsts[place[::-1]] = np.arange(len(place))[::-1]
    return firsts


GFW_EPOCH = date(2014, 12, 31)
"""Day 0 of GFW's integrated alerts."""


CODING = "confidence digit (2 low, 3 high, 4 highest), days since 2014-12-31"


def write_alerts(result: Monitoring, path: Path | str) -> None:
    """Write the alerts as GeoTIFF, uint16 a cell, coded as `code_alerts` says; OutputError."""
    tags = {"CODING": CODING, "TIFFTAG_COPYRIGHT": result.stack.attribution}
    write_codes(Path(path), code_alerts(result), result.stack.grid, tags)


def code_alerts(result: Monitoring) -> np.ndarray:
    """uint16 (rows, cols): confidence digit, then days since 2014-12-31; 0 for none.

    The digit is 2 for low, 3 for high, 4 for highest; the day is the first on which the cell was
    seen without the group. A cell that was lost twice shows the later loss.
    """
    codes = np.zeros(result.area_ha.shape, dtype=np.uint16)
    days = np.array([(day - GFW_EPOCH).days for day in result.stack.dates])
    digits = np.array([GFW_DIGITS[level] for level in LEVELS])
    for alert in result.alerts:
        losses = alert.losses
        since = np.clip(days[losses.first_gone], 0, 9999)
        own = (digits[losses.find_levels(result.stack.dates)] * 10_000 + since).astype(np.uint16)
        later = own % 10_000 >= codes[losses.cell] % 10_000
        codes[losses.cell[later]] = own[later]
    return codes.reshape(result.stack.grid.rows, result.stack.grid.cols)
