"""Comparison of two maps: probability of change of each cell, and the effect of errors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoclass.errors import SettingsError
from geoclass.landcover import FULL_SCALE, LandCoverMap
from geoclass.legend import NODATA
from geoclass.monitor.align import DatedMap, Stack, as_dated, stack_maps
from geoclass.monitor.files import write_stack
from geoclass.monitor.layers import build_layer, outline_cells
from geoclass.monitor.markov import Belief, find_likelihoods, form_belief
from geoclass.monitor.settings import AlignSettings, SeriesSettings
from geoclass.monitor.tables import as_days, as_texts
from geoclass.products.layers import Layer
from geoclass.products.styles import Category, VectorStyle, list_classes, list_shares

CHANGED = 0.5
"""A cell with a higher probability of change is called changed."""

PROBABILITY_EDGES = (0.0, 0.1, CHANGED, 0.9, 1.0)
PROBABILITY_COLORS = ("#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b")
"""ColorBrewer's RdGy, its red half."""

STATUS_COLORS = {"changed": "#b2182b", "no change": "#e0e0e0", "no claim": "#bdbdbd"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """Comparison of the cells of two maps."""

    stack: Stack
    settings: SeriesSettings
    probability: np.ndarray
    """float32 (rows, cols): probability that the class changed; NaN without a class in both."""
    raw_share: float
    """Fraction of compared cells whose two labels differ, 0–1."""
    expected_share: float
    """Fraction of cells whose labels would differ by misclassification alone, 0–1."""

    @property
    def compared(self) -> np.ndarray:
        """Bool (rows, cols): both maps have a class."""
        return np.all(self.stack.observed, axis=0)


def change_maps(
    old: DatedMap | LandCoverMap,
    new: DatedMap | LandCoverMap,
    *,
    settings: SeriesSettings | None = None,
    align: AlignSettings | None = None,
) -> Change:
    """Compare two maps of one place cell by cell; `geoclass.date_map` sets another date.

    The probability of change combines the class probabilities of both dates with the prior rate
    of change (two dates of the hidden Markov model of `monitor_maps`). Raises SettingsError if
    the maps cannot be compared or do not overlap.
    """
    old, new = as_dated(old), as_dated(new)
    check_order(old, new)
    return compare_dates(stack_maps([old, new], align), settings or SeriesSettings())


def check_order(old: DatedMap, new: DatedMap) -> None:
    """SettingsError unless the old map is older."""
    if old.day >= new.day:
        raise SettingsError(
            f"the old map is of {old.day}, the new one of {new.day}: give the older one first"
        )


def compare_dates(stack: Stack, settings: SeriesSettings) -> Change:
    """Compare the two dates of a stack; SettingsError if no cell is classified on both."""
    belief = form_belief(stack.contract, settings)
    both: np.ndarray = np.all(stack.observed, axis=0)
    if not both.any():
        raise SettingsError(
            f"{stack.scenes[0]} and {stack.scenes[1]} have no cell in common that is classified "
            "in both: check that they show the same place"
        )
    labels = stack.class_id[:, both]
    return Change(
        stack=stack,
        settings=settings,
        probability=_find_probability(stack, belief, both),
        raw_share=float((labels[0] != labels[1]).mean()),
        expected_share=expect_difference(stack.probabilities[:, both]),
    )


def _find_probability(stack: Stack, belief: Belief, both: np.ndarray) -> np.ndarray:
    observed = np.ones((2, int(both.sum())), dtype=bool)
    likelihood = find_likelihoods(stack.probabilities[:, both], observed, stack.dates, belief)
    step = belief.transition(*stack.dates)
    before = likelihood[0] * belief.prior.astype(np.float32)[:, None]
    total = (before * (step @ likelihood[1])).sum(axis=0)
    same = (before * np.diag(step)[:, None] * likelihood[1]).sum(axis=0)
    probability = np.full(both.shape, np.nan, dtype=np.float32)
    probability[both] = np.clip(1 - same / total, 0, 1)
    return probability


def expect_difference(probabilities: np.ndarray) -> float:
    """Fraction of cells whose labels would differ without change, from uint8 (2, n, classes).

    Confidences are calibrated, so a label is wrong with probability 1 - confidence. Errors of the
    two dates are assumed to be independent.
    """
    right = probabilities.max(axis=2).astype(float) / FULL_SCALE
    wrong = 1 - right
    classes = probabilities.shape[2]
    apart = right[0] * wrong[1] + wrong[0] * right[1]
    apart += wrong[0] * wrong[1] * (classes - 2) / max(1, classes - 1)
    return float(apart.mean())


def compare_areas(change: Change) -> dict[str, np.ndarray]:
    """Hectares from class × to class, by label and weighted by the probability of change."""
    stack, both = change.stack, change.compared
    legend = stack.contract.legend
    old, new = stack.class_id[:, both].astype(np.int64)
    area = stack.grid.areas_ha()[both]
    likely = np.where(old == new, area, area * change.probability[both])
    n = len(legend)
    found, pair, cells = np.unique(old * n + new, return_inverse=True, return_counts=True)
    names, groups = as_texts(legend.names), as_texts(c.group for c in legend.classes)
    return {
        "from_class": names[found // n],
        "from_group": groups[found // n],
        "to_class": names[found % n],
        "to_group": groups[found % n],
        "cells": cells,
        "area_ha": np.bincount(pair, weights=area).round(2),
        "likely_ha": np.bincount(pair, weights=likely).round(2),
    }


def write_change(
    change: Change, path: Path | str, *, command: str = "geoclass.write_change"
) -> None:
    """Write layers `change`, `transitions` and `areas` as a GeoPackage; OutputError."""
    items = {
        "GEOCLASS_SCENES": " -> ".join(change.stack.scenes),
        "GEOCLASS_COMMAND": command,
        "GEOCLASS_MISMATCHES": "; ".join(change.stack.mismatches) or "none",
    }
    layers = [
        build_cells(change),
        Layer(name="transitions", columns=compare_areas(change)),
        Layer(name="areas", columns=list_areas(change)),
    ]
    write_stack(Path(path), "change", layers, change.stack, change.settings, command, items)


def build_cells(change: Change) -> Layer:
    """A polygon for each cell; in large maps, neighbours with the same values share one."""
    stack = change.stack
    grid, legend = stack.grid, stack.contract.legend
    cell = np.flatnonzero((stack.class_id != NODATA).any(axis=0))
    names, groups = np.full((2, 256), None, dtype=object)
    for entry in legend.entries:
        names[entry.class_id], groups[entry.class_id] = entry.name, entry.group
    old, new = stack.class_id.reshape(2, -1)[:, cell]
    probability = change.probability.ravel()[cell].astype(float)
    status = np.where(np.isnan(probability), 0, np.where(probability > CHANGED, 2, 1))
    outlines = outline_cells(grid, cell, (status << 8 | old) << 8 | new)
    old, new, status = (codes[outlines.first] for codes in (old, new, status))
    columns = {
        "old_class": ("Old class", names[old]),
        "old_group": ("Old group", groups[old]),
        "new_class": ("New class", names[new]),
        "new_group": ("New group", groups[new]),
        "probability": ("Probability of change (0–1)", outlines.average(probability).round(4)),
        "status": ("Status", as_texts(("no claim", "no change", "changed"))[status]),
        **outlines.columns,
    }
    styles = {
        "Probability of change": VectorStyle(
            title="Probability that the class changed",
            column="probability",
            entries=list_shares(PROBABILITY_EDGES, PROBABILITY_COLORS),
        ),
        "Status": VectorStyle(
            title="Cells that probably changed",
            column="status",
            entries=[Category(value=k, label=k, color=c) for k, c in STATUS_COLORS.items()],
        ),
        "New class": VectorStyle(
            title="Classes of the later map", column="new_class", entries=list_classes(legend)
        ),
    }
    return build_layer("change", columns, outlines.polygons, str(grid.crs), styles)


def list_areas(change: Change) -> dict[str, np.ndarray]:
    """Hectares of the compared cells by group and date."""
    stack, both = change.stack, change.compared
    area = stack.grid.areas_ha()[both]
    legend = stack.contract.legend
    groups = legend.groups
    member = np.array([groups.index(c.group) for c in legend.classes], dtype=np.int64)
    sums = [np.bincount(member[labels], area, len(groups)) for labels in stack.class_id[:, both]]
    return {
        "date": np.repeat(as_days(stack.dates), len(groups)),
        "group": as_texts(groups * 2),
        "area_ha": np.concatenate(sums).round(2),
        "share": (np.concatenate(sums) / area.sum()).round(6),
    }
