"""Two maps compared: what changed in each cell, how sure, and how much of it is error."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from geoclass.errors import OutputError, SettingsError
from geoclass.landcover import FULL_SCALE, LandCoverMap
from geoclass.legend import NODATA, STATUS_STYLES
from geoclass.monitor.align import DatedMap, Stack, as_dated, stack_maps
from geoclass.monitor.files import (
    collect_arrays,
    describe_stack,
    parse_series_settings,
    read_description,
    read_stack,
)
from geoclass.monitor.layers import as_days, find_firsts, outline_cells
from geoclass.monitor.markov import Belief, find_likelihoods, form_belief, transitions_between
from geoclass.monitor.settings import AlignSettings, SeriesSettings
from geoclass.outside import DAMAGE
from geoclass.products.layers import Layer, write_layers
from geoclass.products.styles import Category, VectorStyle, list_classes, list_shares

SCHEMA_VERSION = 1
"""Raised when a reader of the old files would misunderstand a new one."""

ITEM = "GEOCLASS_CHANGE"

CHANGED = 0.5
"""A cell is called changed where the probability is above."""

PROBABILITY_EDGES = (0.0, 0.1, CHANGED, 0.9, 1.0)
PROBABILITY_COLORS = ("#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b")
"""ColorBrewer's RdGy, its red half."""

ALIASES = (
    ("old_class", "Old class"),
    ("old_group", "Old group"),
    ("new_class", "New class"),
    ("new_group", "New group"),
    ("probability", "Probability of change (0–1)"),
    ("status", "Status"),
    ("area_ha", "Area (ha)"),
    ("row", "Row"),
    ("col", "Column"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """What two maps tell of the cells that both have."""

    stack: Stack
    settings: SeriesSettings
    belief: Belief
    probability: np.ndarray
    """float32 (rows, cols): that the class changed, given both; NaN where either claims none."""
    raw_share: float
    """Share of compared cells whose two labels differ, 0–1."""
    expected_share: float
    """Share of cells whose labels would differ by misclassification alone, 0–1."""

    @property
    def compared(self) -> np.ndarray:
        """Bool (rows, cols): both maps claim a class."""
        return _seen_in_both(self.stack)


def change_maps(
    old: DatedMap | LandCoverMap,
    new: DatedMap | LandCoverMap,
    *,
    settings: SeriesSettings | None = None,
    align: AlignSettings | None = None,
) -> Change:
    """Compare two maps of one place cell by cell; `geoclass.date_map` gives one another date.

    The probability of change weighs both dates' class probabilities against how seldom land
    changes in the years between (two dates of the hidden Markov model that `monitor_maps` uses).
    Raises SettingsError where the maps cannot be compared, or do not overlap.
    """
    old, new = as_dated(old), as_dated(new)
    check_order(old, new)
    return compare_dates(stack_maps([old, new], align), settings or SeriesSettings())


def check_order(old: DatedMap, new: DatedMap) -> None:
    """Refuse an old map that is not the older one; SettingsError."""
    if old.day >= new.day:
        raise SettingsError(
            f"the old map is of {old.day}, the new one of {new.day}: give the older one first"
        )


def compare_dates(stack: Stack, settings: SeriesSettings) -> Change:
    """Compare the two dates of a stack; SettingsError where no cell is classified on both."""
    belief = form_belief(stack.contract, settings)
    both = _seen_in_both(stack)
    if not both.any():
        raise SettingsError(
            f"{stack.scenes[0]} and {stack.scenes[1]} have no cell in common that is classified "
            "in both: check that they show the same place"
        )
    labels = stack.class_id[:, both]
    return Change(
        stack=stack,
        settings=settings,
        belief=belief,
        probability=_find_probability(stack, belief, both),
        raw_share=float((labels[0] != labels[1]).mean()),
        expected_share=expect_difference(stack.probabilities[:, both]),
    )


def _seen_in_both(stack: Stack) -> np.ndarray:
    observed = stack.observed
    both: np.ndarray = observed[0] & observed[1]
    return both


def _find_probability(stack: Stack, belief: Belief, both: np.ndarray) -> np.ndarray:
    observed = np.ones((2, int(both.sum())), dtype=bool)
    likelihood = find_likelihoods(stack.probabilities[:, both], observed, stack.dates, belief)
    (step,) = transitions_between(stack, belief)
    before = likelihood[0] * belief.prior.astype(np.float32)[:, None]
    total = (before * (step @ likelihood[1])).sum(axis=0)
    same = (before * np.diag(step)[:, None] * likelihood[1]).sum(axis=0)
    probability = np.full(both.shape, np.nan, dtype=np.float32)
    probability[both] = np.clip(1 - same / total, 0, 1)
    return probability


def expect_difference(probabilities: np.ndarray) -> float:
    """Share of cells whose labels would differ if nothing changed, from uint8 (2, n, classes).

    A calibrated label is wrong as often as its confidence says. Two labels differ where one is
    wrong, or both are wrong in different ways; the dates' errors are taken as independent.
    """
    right = probabilities.max(axis=2).astype(float) / FULL_SCALE
    wrong = 1 - right
    classes = probabilities.shape[2]
    apart = right[0] * wrong[1] + wrong[0] * right[1]
    apart += wrong[0] * wrong[1] * (classes - 2) / max(1, classes - 1)
    return float(apart.mean())


def compare_areas(change: Change) -> dict[str, np.ndarray]:
    """Hectares from class × to class, by label and weighed by the probability of change."""
    stack = change.stack
    legend = stack.contract.legend
    both = change.compared
    old, new = stack.class_id[:, both].astype(np.int64)
    area = stack.grid.areas_ha()[both]
    n = len(legend)
    weighed = np.where(old == new, area, area * change.probability[both])
    pair = old * n + new
    hectares = np.bincount(pair, weights=area, minlength=n * n)
    likely = np.bincount(pair, weights=weighed, minlength=n * n)
    cells = np.bincount(pair, minlength=n * n)
    found = np.flatnonzero(cells)
    names = np.array(legend.names, dtype=object)
    groups = np.array([c.group for c in legend.classes], dtype=object)
    return {
        "from_class": names[found // n],
        "from_group": groups[found // n],
        "to_class": names[found % n],
        "to_group": groups[found % n],
        "cells": cells[found],
        "area_ha": hectares[found].round(2),
        "likely_ha": likely[found].round(2),
    }


def write_change(
    change: Change, path: Path | str, *, command: str = "geoclass.write_change"
) -> None:
    """Write layers `change`, `transitions` and `areas` as a GeoPackage; OutputError."""
    described = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "settings": asdict(change.settings),
        **describe_stack(change.stack),
    }
    items = {
        ITEM: json.dumps(described),
        "GEOCLASS_SCENES": f"{change.stack.scenes[0]} -> {change.stack.scenes[1]}",
        "GEOCLASS_COMMAND": command,
        "ATTRIBUTION": change.stack.attribution,
        "GEOCLASS_MISMATCHES": "; ".join(change.stack.mismatches) or "none",
    }
    layers = [
        build_cells(change),
        Layer(name="transitions", columns=compare_areas(change)),
        Layer(name="areas", columns=list_areas(change)),
    ]
    write_layers(Path(path), layers, items, collect_arrays(change.stack))


def read_change(path: Path | str) -> Change:
    """The comparison in a file that `write_change` wrote, done anew.

    Raises OutputError for any other file, and for one of another version.
    """
    path = Path(path)
    try:
        described = read_description(path, layer="change", item=ITEM, version=SCHEMA_VERSION)
        stack = read_stack(path, described)
        settings = parse_series_settings(described["settings"])
    except DAMAGE as error:
        raise OutputError(f"{path} is damaged ({error}): make it anew from its maps") from error
    return compare_dates(stack, settings)


def build_cells(change: Change) -> Layer:
    """A polygon a cell; of large maps one for neighbours of the same classes and status."""
    stack = change.stack
    grid, legend = stack.grid, stack.contract.legend
    cell = np.flatnonzero((stack.class_id != NODATA).any(axis=0))
    names, groups = np.full(256, None, dtype=object), np.full(256, None, dtype=object)
    for item in legend.classes:
        names[item.class_id], groups[item.class_id] = item.name, item.group
    for style in STATUS_STYLES:
        names[style.class_id] = style.name
    old, new = stack.class_id.reshape(2, -1)[:, cell]
    probability = change.probability.ravel()[cell].astype(float)
    status = np.where(np.isnan(probability), 0, np.where(probability > CHANGED, 2, 1))
    place, polygons = outline_cells(grid, cell, (status << 8 | old) << 8 | new)
    first, area = find_firsts(place), grid.areas_ha().ravel()[cell]
    area_ha = np.bincount(place, area)
    old, new, status = old[first], new[first], status[first]
    rows, cols = np.divmod(cell[first], grid.cols)
    kinds = (("changed", "#b2182b"), ("no change", "#e0e0e0"), ("no claim", "#bdbdbd"))
    return Layer(
        name="change",
        columns={
            "old_class": names[old],
            "old_group": groups[old],
            "new_class": names[new],
            "new_group": groups[new],
            "probability": (np.bincount(place, area * probability) / area_ha).round(4),
            "status": np.array(["no claim", "no change", "changed"], dtype=object)[status],
            "area_ha": area_ha.round(4),
            "row": rows.astype(np.int32),
            "col": cols.astype(np.int32),
        },
        polygons=polygons,
        crs=str(grid.crs),
        styles={
            "Probability of change": VectorStyle(
                title="How probable it is that the class changed",
                column="probability",
                entries=list_shares(PROBABILITY_EDGES, PROBABILITY_COLORS),
                aliases=ALIASES,
            ),
            "Status": VectorStyle(
                title="Which cells probably changed",
                column="status",
                entries=[Category(value=k, label=k, color=c) for k, c in kinds],
                aliases=ALIASES,
            ),
            "New class": VectorStyle(
                title="Classes of the later map",
                column="new_class",
                entries=list_classes(legend),
                aliases=ALIASES,
            ),
        },
    )


def list_areas(change: Change) -> dict[str, np.ndarray]:
    """Hectares by group and date, of the cells compared."""
    stack, both = change.stack, change.compared
    area = stack.grid.areas_ha()[both]
    classes = stack.contract.legend.classes
    groups = list(dict.fromkeys(c.group for c in classes))
    member = np.array([groups.index(c.group) for c in classes], dtype=np.int64)
    sums = [np.bincount(member[labels], area, len(groups)) for labels in stack.class_id[:, both]]
    return {
        "date": np.repeat(as_days(stack.dates), len(groups)),
        "group": np.array(groups * 2, dtype=object),
        "area_ha": np.concatenate(sums).round(2),
        "share": (np.concatenate(sums) / area.sum()).round(6),
    }
