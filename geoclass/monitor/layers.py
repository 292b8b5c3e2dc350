"""The layers of a monitor file, and alerts as a raster."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import shapely

from geoclass.grid import Grid
from geoclass.legend import LegendEntry
from geoclass.monitor.alerts import LEVELS, find_levels
from geoclass.monitor.history import Alert, Monitoring
from geoclass.monitor.tables import as_days, as_texts, find_periods, list_transitions, sum_areas
from geoclass.products.formats import DISSOLVED_FROM
from geoclass.products.geotiff import write_codes
from geoclass.products.layers import Layer
from geoclass.products.patches import OUTSIDE, find_patches
from geoclass.products.styles import Category, VectorStyle

# ColorBrewer's YlOrRd: higher levels are darker.
LEVEL_COLORS = dict(zip(LEVELS, ("#fecc5c", "#fd8d3c", "#bd0026"), strict=True))

GFW_EPOCH = date(2014, 12, 31)
"""Day 0 of GFW's integrated alerts."""
CODING = "confidence digit (2 low, 3 high, 4 highest), days since 2014-12-31"

Columns = Mapping[str, tuple[str, np.ndarray]]
"""Name of a column → (label in QGIS, values)."""


def build_layer(
    name: str,
    columns: Columns,
    polygons: np.ndarray,
    crs: str,
    styles: Mapping[str, VectorStyle],
) -> Layer:
    """A layer of polygons whose styles show the columns by their labels."""
    labels = [(column, label) for column, (label, _) in columns.items()]
    return Layer(
        name=name,
        columns={column: values for column, (_, values) in columns.items()},
        polygons=polygons,
        crs=crs,
        styles={title: replace(style, aliases=labels) for title, style in styles.items()},
    )


def build_layers(
    result: Monitoring,
    zones: Mapping[str, np.ndarray] | None = None,
    chips: Mapping[int, str] | None = None,
) -> list[Layer]:
    """Layers `series` and `alerts`, tables `areas`, `transitions`, `history` and `dates`.

    `zones` contains the fraction of each cell in each zone, float (rows · cols,), `chips` the path
    of an image by number of the alert.
    """
    return [
        build_series(result),
        build_alerts(result, zones or {}, chips or {}),
        Layer(name="areas", columns=sum_areas(result, zones)),
        Layer(name="transitions", columns=list_transitions(result)),
        Layer(name="history", columns=list_history(result)),
        Layer(name="dates", columns=list_dates(result)),
    ]


def build_series(result: Monitoring) -> Layer:
    """A polygon for each cell and period of one smoothed class; dissolved for large maps."""
    belief, periods = result.belief, find_periods(result)
    days = as_days(result.stack.dates)
    kind = (periods.first * len(days) + periods.last) * len(belief.names) + periods.state
    outlines = outline_cells(result.stack.grid, periods.cell, kind)
    state = periods.state[outlines.first]
    # A period lasts until the day before the next begins, so that only one is shown at a time.
    following = np.append(days[1:] - 1, days[-1])
    columns = {
        "class_name": ("Class", np.array(belief.names, dtype=object)[state]),
        "group": ("Group", np.array(belief.groups, dtype=object)[state]),
        "probability": ("Probability (0–1)", outlines.average(periods.probability).round(4)),
        "valid_from": ("From", days[periods.first[outlines.first]]),
        "valid_to": ("To", following[periods.last[outlines.first]]),
        **outlines.columns,
    }
    style = VectorStyle(
        title="The smoothed class of each period",
        column="class_name",
        entries=[Category(value=s.name, label=s.title, color=s.color) for s in list_states(result)],
        span=("valid_from", "valid_to"),
    )
    crs = str(result.stack.grid.crs)
    return build_layer("series", columns, outlines.polygons, crs, {"Class over time": style})


def build_alerts(
    result: Monitoring, zones: Mapping[str, np.ndarray], chips: Mapping[int, str]
) -> Layer:
    """One polygon for each alert."""
    alerts = result.alerts
    columns = {
        "alert_id": ("Number", np.array([a.alert_id for a in alerts], dtype=np.int64)),
        "group": ("Lost", as_texts(a.group for a in alerts)),
        "level": ("Level", as_texts(a.level for a in alerts)),
        "last_seen": ("Last seen", as_days(a.last_seen for a in alerts)),
        "first_gone": ("First seen gone", as_days(a.first_gone for a in alerts)),
        "became": ("Became", as_texts(a.became for a in alerts)),
        "probability": ("Probability (0–1)", np.array([a.probability for a in alerts]).round(4)),
        "confirmations": (
            "Observations that confirm",
            np.array([a.confirmations for a in alerts], dtype=np.int64),
        ),
        "area_ha": ("Area (ha)", np.array([a.area_ha for a in alerts]).round(2)),
        "cells": ("Cells", np.array([len(a.losses) for a in alerts], dtype=np.int64)),
        "zone": ("Zones", as_texts(_list_zones(a, zones) for a in alerts)),
        "chip": ("Picture", as_texts(chips.get(a.alert_id, "") for a in alerts)),
        "valid_from": ("Shown from", as_days(a.first_gone for a in alerts)),
        "valid_to": ("Shown to", as_days(result.stack.dates[-1] for _ in alerts)),
    }
    style = VectorStyle(
        title="Confidence level of a loss",
        column="level",
        entries=[Category(value=n, label=n, color=c) for n, c in LEVEL_COLORS.items()],
        picture="chip",
        span=("valid_from", "valid_to"),
    )
    polygons = np.array([outline(result, a) for a in alerts], dtype=object)
    return build_layer("alerts", columns, polygons, str(result.stack.grid.crs), {"Level": style})


def list_history(result: Monitoring) -> dict[str, np.ndarray]:
    """One row for each change of an alert."""
    rows = result.history
    return {
        "alert_id": np.array([r.alert_id for r in rows], dtype=np.int64),
        "date": as_days(r.day for r in rows),
        "step": as_texts(r.step for r in rows),
        "level": as_texts(r.level for r in rows),
        "area_ha": np.array([r.area_ha for r in rows], dtype=float).round(2),
        "into_alert": np.array([r.into or 0 for r in rows], dtype=np.int64),
    }


def list_dates(result: Monitoring) -> dict[str, np.ndarray]:
    """One row for each date that is used, and for each scene that was skipped."""
    stack, skipped = result.stack, result.stack.left_out
    used = len(stack.dates)
    shares = np.append(stack.observed.mean(axis=(1, 2)), np.zeros(len(skipped)))
    return {
        "date": as_days([*stack.dates, *(item.day for item in skipped)]),
        "scene": as_texts([*stack.scenes, *(item.scene for item in skipped)]),
        "status": as_texts(["used"] * used + ["left out"] * len(skipped)),
        "reason": as_texts([""] * used + [item.reason for item in skipped]),
        "observed_share": shares.round(4),
    }


def list_states(result: Monitoring) -> tuple[LegendEntry, ...]:
    """The states by number: classes, or groups, which have the color of their first class."""
    legend = result.stack.contract.legend
    if result.settings.series.states == "classes":
        return legend.classes
    colors = {c.group: c.color for c in reversed(legend.classes)}
    return tuple(
        LegendEntry(class_id=i, name=name, title=name, color=colors[name], group=name)
        for i, name in enumerate(legend.groups)
    )


def outline(result: Monitoring, alert: Alert) -> shapely.Geometry:
    """The polygon of an alert's cells."""
    rows, cols = np.divmod(np.unique(alert.losses.cell), result.stack.grid.cols)
    return shapely.union_all(result.stack.grid.polygons(rows, cols))


def _list_zones(alert: Alert, zones: Mapping[str, np.ndarray]) -> str:
    """Names of the zones that the alert touches, in descending order of area."""
    cells = np.unique(alert.losses.cell)
    parts = {name: float(share[cells].sum()) for name, share in zones.items()}
    return ", ".join(sorted((n for n, part in parts.items() if part > 0), key=lambda n: -parts[n]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlines:
    """Polygons of rows that each describe one cell."""

    polygons: np.ndarray
    first: np.ndarray
    """int64 (polygons,): the first row of each."""
    columns: Columns
    """Area, row and column of each."""
    place: np.ndarray
    """int64 (rows,): number of the polygon of each row."""
    area_ha: np.ndarray
    """float64 (rows,): of the cell."""

    def average(self, values: np.ndarray) -> np.ndarray:
        """float64 (polygons,): mean over the area, of float (rows,)."""
        total = np.bincount(self.place, self.area_ha)
        return np.bincount(self.place, self.area_ha * values) / total


def outline_cells(grid: Grid, cell: np.ndarray, kind: np.ndarray) -> Outlines:
    """Draw cells, int (rows,), indices into the flat grid in ascending order.

    A cell can have several rows, one after the other. In large maps, neighbours of one `kind`,
    int (rows,), 0 or more, share a polygon if they are at the same position in their cells.
    """
    place, polygons = _find_polygons(grid, cell, kind)
    _, first = np.unique(place, return_index=True)
    area_ha = grid.areas_ha().ravel()[cell]
    rows, cols = np.divmod(cell[first], grid.cols)
    columns: Columns = {
        "area_ha": ("Area (ha)", np.bincount(place, area_ha).round(4)),
        "row": ("Row", rows.astype(np.int32)),
        "col": ("Column", cols.astype(np.int32)),
    }
    return Outlines(polygons=polygons, first=first, columns=columns, place=place, area_ha=area_ha)


def _find_polygons(grid: Grid, cell: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the polygon of each row, int64 (rows,), and the polygons."""
    fresh = np.diff(cell, prepend=-1) != 0
    starts = np.flatnonzero(fresh)
    if len(starts) <= DISSOLVED_FROM["gpkg"]:
        squares = grid.polygons(*np.divmod(cell[starts], grid.cols))
        return np.arange(len(cell)), squares[fresh.cumsum() - 1]
    position = np.arange(len(cell)) - starts[fresh.cumsum() - 1]
    place, polygons = np.empty(len(cell), dtype=np.int64), [np.empty(0, dtype=object)]
    for number in range(int(position.max()) + 1):
        own = np.flatnonzero(position == number)
        kinds = np.full((grid.rows, grid.cols), OUTSIDE, dtype=np.int64)
        kinds.ravel()[cell[own]] = kind[own]
        patches = find_patches(kinds, kinds != OUTSIDE, grid)
        place[own] = patches.number.ravel()[cell[own]] + sum(map(len, polygons))
        polygons.append(shapely.from_wkb(patches.wkb))
    return place, np.concatenate(polygons)


def write_alerts(result: Monitoring, path: Path | str) -> None:
    """Write the alerts as GeoTIFF, uint16 a cell, coded as `code_alerts` does; OutputError."""
    tags = {"CODING": CODING, "TIFFTAG_COPYRIGHT": result.stack.attribution}
    write_codes(Path(path), code_alerts(result), result.stack.grid, tags)


def code_alerts(result: Monitoring) -> np.ndarray:
    """uint16 (rows, cols): level digit, then days since 2014-12-31; 0 without an alert.

    The digit is 2 for low, 3 for high, 4 for highest; the day is the first on which the cell was
    observed without the group. A cell that was lost twice has the later loss.
    """
    codes = np.zeros(result.area_ha.shape, dtype=np.uint16)
    days = np.array([(day - GFW_EPOCH).days for day in result.stack.dates])
    for alert in result.alerts:
        losses = alert.losses
        digits = 2 + find_levels(losses, result.stack.dates)
        own = (digits * 10_000 + np.clip(days[losses.first_gone], 0, 9999)).astype(np.uint16)
        later = own % 10_000 >= codes[losses.cell] % 10_000
        codes[losses.cell[later]] = own[later]
    return codes.reshape(result.stack.grid.rows, result.stack.grid.cols)
