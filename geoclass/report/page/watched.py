"""Sheets of change and monitor files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine

from geoclass.landcover import FULL_SCALE
from geoclass.legend import NODATA, STATUS_STYLES, LegendEntry
from geoclass.monitor.align import Stack
from geoclass.monitor.change import CHANGED, Change, compare_areas
from geoclass.monitor.history import Monitoring
from geoclass.monitor.layers import LEVEL_COLORS, list_states, outline
from geoclass.monitor.tables import sum_areas
from geoclass.report.page.maps import (
    describe_grid,
    draw_groups,
    drop_folders,
    list_model_caveats,
    trace_groups,
)
from geoclass.report.page.pictures import Pictures
from geoclass.report.page.sheet import Fact, Matrix, Outline, Sheet, Step, as_percent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """Contents of a change or monitor file."""

    result: Monitoring | Change
    name: str
    command: str
    alerts: Mapping[int, tuple[str, np.ndarray | None]]
    """Zones and picture by number of the alert."""


def build_watched_sheet(watched: Watched, pictures: Pictures) -> Sheet:
    """Two dates and the probability of change, or a smoothed series and its alerts."""
    if isinstance(watched.result, Change):
        return _build_change_sheet(watched.result, watched, pictures)
    return _build_monitor_sheet(watched.result, watched, pictures)


def _build_change_sheet(change: Change, watched: Watched, pictures: Pictures) -> Sheet:
    stack = change.stack
    entries = stack.contract.legend.entries
    highest = stack.probabilities.max(axis=3) / FULL_SCALE
    confidence = np.where(stack.observed, highest, np.nan)
    steps = [
        _build_step(stack, number, pictures, entries, stack.class_id[number], confidence[number])
        for number in range(len(stack.dates))
    ]
    changed = change.probability[change.compared] > CHANGED
    start, end = stack.dates
    return Sheet(
        title=f"{watched.name}, {start} to {end}",
        kind="Change between two dates",
        legend=entries,
        steps=tuple(steps),
        change=as_percent(change.probability),
        matrix=_tabulate_change(change),
        curves=trace_groups(steps, entries),
        curves_note="Hectares by group in each of the two maps, including errors.",
        facts=_list_facts(stack, watched.command),
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


def _build_monitor_sheet(result: Monitoring, watched: Watched, pictures: Pictures) -> Sheet:
    stack, smoothed = result.stack, result.smoothed
    states = list_states(result)
    entries = (*states, *STATUS_STYLES)
    steps = []
    for number in range(len(stack.dates)):
        codes = np.full(stack.class_id[number].shape, NODATA, dtype=np.uint8)
        confidence = np.full(codes.shape, np.nan)
        codes.ravel()[result.cells] = smoothed.path[number]
        confidence.ravel()[result.cells] = smoothed.probability[number]
        more = {"seen": stack.class_id[number]}
        steps.append(_build_step(stack, number, pictures, entries, codes, confidence, more))
    group_names = ", ".join(result.settings.watch)
    lost_ha = sum(alert.area_ha for alert in result.alerts)
    count = len(result.alerts)
    found = (
        f"{count} alert{'s' * (count > 1)} of lost {group_names}, {lost_ha:,.0f} ha in total."
        if count
        else f"No loss of {group_names} was detected."
    )
    table = sum_areas(result)
    areas = table["area_ha"].reshape(len(stack.dates), -1).T.tolist()
    return Sheet(
        title=f"{watched.name}, {stack.dates[0]} to {stack.dates[-1]}",
        kind=f"A place over {len(stack.dates)} dates",
        legend=entries,
        steps=tuple(steps),
        observed=stack.contract.legend.entries,
        outlines=_list_outlines(result, states, watched),
        matrix=_tabulate_series(result, states),
        curves=draw_groups(stack.contract.legend.groups, areas, stack.dates, entries),
        curves_note=(
            "Mapped hectares by group. For estimates with intervals, draw a sample (geoclass "
            "sample), label it, and run geoclass assess."
        ),
        facts=_list_facts(stack, watched.command),
        attribution=stack.attribution,
        findings=(found,),
        caveats=(
            "Classes are smoothed over time. A cell also shows the class in the map of the date.",
            *_list_caveats(stack),
        ),
    )


def _build_step(
    stack: Stack,
    number: int,
    pictures: Pictures,
    entries: Sequence[LegendEntry],
    codes: np.ndarray,
    confidence: np.ndarray,
    more: Mapping[str, np.ndarray] | None = None,
) -> Step:
    day, scenes = stack.dates[number], stack.scenes[number]
    return Step(
        label=str(day),
        day=day,
        grid=stack.grid,
        entries=entries,
        codes=codes,
        confidence=confidence,
        more=more or {},
        facts=(("Scene", scenes), ("Date", str(day)), ("Fingerprint", stack.fingerprints[number])),
        picture=pictures.find(stack.grid, scenes.split(", "), day),
    )


def _tabulate_series(result: Monitoring, states: Sequence[LegendEntry]) -> Matrix:
    """From the first date to the last, by smoothed class."""
    first, last = (result.smoothed.path[i].astype(np.int64) for i in (0, -1))
    n = len(states)
    area = result.area_ha[result.cells]
    hectares = np.bincount(first * n + last, weights=area, minlength=n * n).reshape(n, n)
    start, *_, end = result.stack.dates
    caption = f"Hectares from class (row, {start}) to class (column, {end})"
    return _trim(caption, [state.title for state in states], hectares)


def _tabulate_change(change: Change) -> Matrix:
    legend, (start, end) = change.stack.contract.legend, change.stack.dates
    table = compare_areas(change)
    old, new = ([legend.names.index(n) for n in table[f"{way}_class"]] for way in ("from", "to"))
    hectares = np.zeros((len(legend), len(legend)))
    hectares[old, new] = table["likely_ha"]
    caption = (
        f"Likely hectares from class (row, {start}) to class (column, {end}); cells are weighted "
        "by their probability of change"
    )
    return _trim(caption, [item.title for item in legend.classes], hectares)


def _trim(caption: str, titles: Sequence[str], hectares: np.ndarray) -> Matrix:
    """Without the classes that occur on neither date."""
    kept = np.flatnonzero(hectares.sum(axis=0) + hectares.sum(axis=1)).tolist()
    return Matrix(
        caption=caption,
        titles=tuple(titles[i] for i in kept),
        hectares=tuple(map(tuple, hectares[np.ix_(kept, kept)].tolist())),
    )


def _list_outlines(
    result: Monitoring, states: Sequence[LegendEntry], watched: Watched
) -> tuple[Outline, ...]:
    to_pixels = ~result.stack.grid.transform
    titles = {state.name: state.title for state in states}
    outlines = []
    for alert in result.alerts:
        zones, chip = watched.alerts[alert.alert_id]
        outlines.append(
            Outline(
                alert=alert,
                became=titles[alert.became],
                color=LEVEL_COLORS[alert.level],
                rings=_trace(outline(result, alert), to_pixels),
                zones=zones,
                chip=chip,
            )
        )
    return tuple(outlines)


def _trace(shape: object, to_pixels: Affine) -> tuple[tuple[tuple[float, float], ...], ...]:
    """All rings of polygons, in pixels of the grid."""
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
    mismatches = (f"Compared although {text}." for text in stack.mismatches)
    cell_ha = float(stack.grid.areas_ha().max())
    return (*mismatches, *list_model_caveats(stack.contract, stack.class_id, cell_ha))
