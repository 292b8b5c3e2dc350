"""From rasters to the numbers that stand beside a map."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from geoclass.grid import Grid
from geoclass.legend import NODATA, STATUS_STYLES, Legend
from geoclass.report.page.sheet import AreaBlock, AreaLine, Curve, Entry, Step

BINS = 10
"""Of the histogram of confidence, each as wide."""

NO_PERCENT = 255
"""Stands in a plane of percents where a cell has none."""


def list_entries(legend: Legend) -> tuple[Entry, ...]:
    """Classes and statuses."""
    classes = [
        Entry(code=c.class_id, title=c.title, color=c.color, group=c.group) for c in legend.classes
    ]
    return (*classes, *list_statuses())


def list_statuses() -> list[Entry]:
    """Unknown and masked."""
    return [Entry(code=s.code, title=s.title, color=s.color, group="") for s in STATUS_STYLES]


def name_group(group: str) -> str:
    """`built_up` → Built up."""
    return group.replace("_", " ").capitalize() if group.islower() else group


def as_percent(values: np.ndarray) -> np.ndarray:
    """Float of any shape, 0–1 or NaN, to uint8 percents, 255 for NaN."""
    percents = np.rint(100 * np.nan_to_num(values))
    chosen: np.ndarray = np.where(np.isnan(values), NO_PERCENT, percents).astype(np.uint8)
    return chosen


def bin_confidence(confidence: np.ndarray) -> tuple[tuple[float, ...], float]:
    """Shares of BINS equal bins, and the mean, of float confidences of any shape, 0–1 or NaN."""
    known = confidence[~np.isnan(confidence)]
    if not len(known):
        return (0.0,) * BINS, float("nan")
    counts, _ = np.histogram(known, bins=BINS, range=(0, 1))
    return tuple((counts / len(known)).tolist()), float(known.mean())


def group_areas(
    class_id: np.ndarray, entries: Sequence[Entry], grid: Grid
) -> tuple[AreaBlock, ...]:
    """Areas of codes, uint8 (rows, cols): by group and class, and of the statuses that occur."""
    area_ha = grid.areas_ha()
    weights = area_ha if grid.crs is not None else grid.pixel_counts()
    total = float(weights[class_id != NODATA].sum())

    def measure(entry: Entry) -> AreaLine:
        inside = class_id == entry.code
        return AreaLine(
            title=entry.title,
            color=entry.color,
            cells=int(inside.sum()),
            area_ha=float(area_ha[inside].sum()),
            share=float(weights[inside].sum()) / total if total else 0.0,
        )

    blocks = []
    for group in dict.fromkeys(entry.group for entry in entries if entry.group):
        lines = tuple(measure(entry) for entry in entries if entry.group == group)
        head = _sum_lines(group, lines) if len(lines) > 1 else None
        blocks.append(AreaBlock(group=group, head=head, lines=lines))
    statuses = tuple(line for e in entries if not e.group if (line := measure(e)).cells)
    return (*blocks, AreaBlock(group="", head=None, lines=statuses)) if statuses else tuple(blocks)


def _sum_lines(group: str, lines: Sequence[AreaLine]) -> AreaLine:
    return AreaLine(
        title=name_group(group),
        color=None,
        cells=sum(line.cells for line in lines),
        area_ha=sum(line.area_ha for line in lines),
        share=sum(line.share for line in lines),
    )


def trace_groups(steps: Sequence[Step], entries: Sequence[Entry]) -> tuple[Curve, ...]:
    """The area of each group at each dated step; none where fewer than two have a date."""
    dated = [(step.day, step) for step in steps if step.day is not None]
    if len({day for day, _ in dated}) < 2:
        return ()
    days: tuple[date, ...] = tuple(day for day, _ in dated)
    curves = []
    for group in dict.fromkeys(entry.group for entry in entries if entry.group):
        areas = tuple(
            sum(line.area_ha for b in step.areas if b.group == group for line in b.lines)
            for _, step in dated
        )
        color = next(entry.color for entry in entries if entry.group == group)
        curves.append(Curve(title=name_group(group), color=color, days=days, area_ha=areas))
    return tuple(curves)
