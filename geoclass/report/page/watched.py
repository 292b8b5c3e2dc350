"""Change and monitor files to sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine

from geoclass.landcover import FULL_SCALE
from geoclass.legend import NODATA
from geoclass.monitor.align import Stack
from geoclass.monitor.change import CHANGED, Change, compare_areas
from geoclass.monitor.history import Monitoring
from geoclass.monitor.layers import LEVEL_COLORS, outline, state_categories
from geoclass.monitor.tables import sum_areas
from geoclass.report.page.maps import (
    as_percent,
    bin_confidence,
    describe_grid,
    doubt_model,
    draw_groups,
    drop_folders,
    group_areas,
    list_entries,
    list_statuses,
    name_group,
    trace_groups,
)
from geoclass.report.page.pictures import Pictures
from geoclass.report.page.sheet import Curve, Entry, Fact, Matrix, Outline, Sheet, Step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Labels:
    """What is shown of one date; arrays are (rows, cols)."""

    codes: np.ndarray
    """uint8: of `entries`."""
    confidence: np.ndarray
    """float, 0–1 or NaN."""
    entries: Sequence[Entry]
    seen: np.ndarray | None = None
    """uint8: what the map of the date itself said, where that is something else."""


def build_change_sheet(change: Change, pictures: Pictures, name: str, command: str) -> Sheet:
    """Two dates of one place, and the probability that a cell changed between.

    `name` is what the place is called, `command` how the comparison was made.
    """
    stack = change.stack
    entries = list_entries(stack.contract.legend)
    steps = []
    for number in range(len(stack.dates)):
        codes, confidence = stack.class_id[number], _find_confidence(stack, number)
        labels = _Labels(codes=codes, confidence=confidence, entries=entries)
        steps.append(_build_step(stack, number, pictures, labels))
    changed = change.probability[change.compared] > CHANGED
    start, end = stack.dates
    return Sheet(
        title=f"{name}, {start} to {end}",
        kind="Change between two dates",
        legend=entries,
        steps=tuple(steps),
        change=as_percent(change.probability),
        matrix=_tabulate_change(change),
        curves=trace_groups(steps, entries),
        curves_note="Hectares by group as each of the two maps says, errors included.",
        facts=_list_facts(stack, command),
        attribution=stack.attribution,
        findings=(
            (
                f"{int(changed.sum()):,} of {changed.size:,} cells ({changed.mean():.1%}) probably "
                "changed."
            ),
            (
                f"The labels differ in {change.raw_share:.1%} of the cells; misclassification "
                f"alone would make {change.expected_share:.1%} differ."
            ),
        ),
        caveats=_list_caveats(stack),
    )


def build_monitor_sheet(
    result: Monitoring,
    pictures: Pictures,
    name: str,
    command: str,
    told: Mapping[int, tuple[str, np.ndarray | None]],
) -> Sheet:
    """All dates of a place, smoothed, and its alerts; `told`: zones and picture of each."""
    stack = result.stack
    entries = (*_list_states(result), *list_statuses())
    steps = []
    for number in range(len(stack.dates)):
        state = result.smoothed.path[number]
        own = result.smoothed.probability[number]
        labels = _Labels(
            codes=_spread(result, state, NODATA).astype(np.uint8),
            confidence=_spread(result, own.astype(float), np.nan),
            entries=entries,
            seen=stack.class_id[number],
        )
        steps.append(_build_step(stack, number, pictures, labels))
    watched = ", ".join(result.settings.watch)
    lost_ha = sum(alert.area_ha for alert in result.alerts)
    count = len(result.alerts)
    found = (
        f"{count} alert{'s' * (count > 1)} of lost {watched}, {lost_ha:,.0f} ha in all."
        if count
        else f"No loss of {watched} was found."
    )
    return Sheet(
        title=f"{name}, {stack.dates[0]} to {stack.dates[-1]}",
        kind=f"A place over {len(stack.dates)} dates",
        legend=entries,
        steps=tuple(steps),
        observed=list_entries(stack.contract.legend),
        outlines=_list_outlines(result, told),
        matrix=_tabulate_series(result, entries),
        curves=_trace_areas(result, entries),
        curves_note=(
            "Hectares by group, as mapped. For hectares to defend, draw a sample (geoclass "
            "sample), label it, and let geoclass assess do the sums."
        ),
        facts=_list_facts(stack, command),
        attribution=stack.attribution,
        findings=(found,),
        caveats=(
            (
                "Classes are smoothed over time: what a single date's map said can be read from "
                "each cell."
            ),
            *_list_caveats(stack),
        ),
    )


def _build_step(stack: Stack, number: int, pictures: Pictures, labels: _Labels) -> Step:
    day, scenes = stack.dates[number], stack.scenes[number]
    histogram, mean = bin_confidence(labels.confidence)
    planes = {"class": labels.codes, "confidence": as_percent(labels.confidence)}
    if labels.seen is not None:
        planes["seen"] = labels.seen
    return Step(
        label=str(day),
        day=day,
        grid=stack.grid,
        planes=planes,
        areas=group_areas(labels.codes, labels.entries, stack.grid),
        histogram=histogram,
        mean_confidence=mean,
        facts=(("Scene", scenes), ("Date", str(day)), ("Fingerprint", stack.fingerprints[number])),
        picture=pictures.find_for_grid(stack.grid, scenes.split(", "), day),
    )


def _find_confidence(stack: Stack, number: int) -> np.ndarray:
    highest = stack.probabilities[number].max(axis=2) / FULL_SCALE
    confidence: np.ndarray = np.where(stack.observed[number], highest, np.nan)
    return confidence


def _spread(result: Monitoring, values: np.ndarray, fill: float) -> np.ndarray:
    """Values of the cells that were seen, (n,), on the grid, (rows, cols)."""
    grid = result.stack.grid
    plane = np.full(grid.rows * grid.cols, fill)
    plane[result.cells] = values
    return plane.reshape(grid.rows, grid.cols)


def _list_states(result: Monitoring) -> list[Entry]:
    return [
        Entry(code=code, title=category.label, color=category.color, group=group)
        for code, (category, group) in enumerate(
            zip(state_categories(result), result.belief.groups, strict=True)
        )
    ]


def _trace_areas(result: Monitoring, entries: Sequence[Entry]) -> tuple[Curve, ...]:
    table = sum_areas(result, {"all": np.ones(result.area_ha.shape)})
    areas = table["area_ha"].reshape(len(result.stack.dates), -1).T.tolist()
    return draw_groups(result.belief.group_names, areas, result.stack.dates, entries)


def _tabulate_series(result: Monitoring, entries: Sequence[Entry]) -> Matrix:
    """From the first date to the last, by smoothed class."""
    first, last = (result.smoothed.path[i].astype(np.int64) for i in (0, -1))
    n = len(result.belief.names)
    area = result.area_ha[result.cells]
    hectares = np.bincount(first * n + last, weights=area, minlength=n * n).reshape(n, n)
    dates = result.stack.dates
    return _trim(
        f"Hectares from class (row, {dates[0]}) to class (column, {dates[-1]})",
        [entry.title for entry in entries[:n]],
        hectares,
    )


def _tabulate_change(change: Change) -> Matrix:
    legend, (start, end) = change.stack.contract.legend, change.stack.dates
    table = compare_areas(change)
    places = {name: i for i, name in enumerate(legend.names)}
    hectares = np.zeros((len(legend), len(legend)))
    for old, new, likely in zip(
        table["from_class"], table["to_class"], table["likely_ha"], strict=True
    ):
        hectares[places[old], places[new]] = likely
    return _trim(
        f"Likely hectares from class (row, {start}) to class (column, {end}), each cell weighed "
        "by its probability of change",
        [item.title for item in legend.classes],
        hectares,
    )


def _trim(caption: str, titles: Sequence[str], hectares: np.ndarray) -> Matrix:
    """Without the classes that neither date has."""
    kept = np.flatnonzero(hectares.sum(axis=0) + hectares.sum(axis=1)).tolist()
    return Matrix(
        caption=caption,
        titles=tuple(titles[i] for i in kept),
        hectares=tuple(map(tuple, hectares[np.ix_(kept, kept)].tolist())),
    )


def _list_outlines(
    result: Monitoring, told: Mapping[int, tuple[str, np.ndarray | None]]
) -> tuple[Outline, ...]:
    to_pixels = ~result.stack.grid.transform
    titles = dict(zip(result.belief.names, (e.title for e in _list_states(result)), strict=True))
    return tuple(
        Outline(
            number=alert.alert_id,
            rings=_trace(outline(result, alert), to_pixels),
            color=LEVEL_COLORS[alert.level],
            level=alert.level,
            group=name_group(alert.group),
            became=titles[alert.became],
            last_seen=alert.last_seen,
            first_gone=alert.first_gone,
            probability=alert.probability,
            confirmations=alert.confirmations,
            area_ha=alert.area_ha,
            zones=told[alert.alert_id][0],
            chip=told[alert.alert_id][1],
        )
        for alert in result.alerts
    )


def _trace(shape: object, to_pixels: Affine) -> tuple[tuple[tuple[float, float], ...], ...]:
    """All rings of a polygon or several, in pixels of the grid."""
    described = shape.__geo_interface__  # type: ignore[attr-defined]
    parts = described["coordinates"]
    polygons = parts if described["type"] == "MultiPolygon" else [parts]
    return tuple(
        tuple((round(col, 3), round(row, 3)) for col, row in (to_pixels @ tuple(p) for p in ring))
        for polygon in polygons
        for ring in polygon
    )


def _list_facts(stack: Stack, command: str) -> tuple[Fact, ...]:
    return (
        *describe_grid(stack.grid),
        ("Read as", stack.radiometry),
        ("Model", f"{stack.model[:12]}, trained on {stack.contract.training.data_set}"),
        ("Command", drop_folders(command)),
    )


def _list_caveats(stack: Stack) -> tuple[str, ...]:
    mismatches = tuple(f"Compared although {text}." for text in stack.mismatches)
    cell_ha = float(stack.grid.areas_ha().max())
    return (*mismatches, *doubt_model(stack.contract, stack.class_id, cell_ha))
