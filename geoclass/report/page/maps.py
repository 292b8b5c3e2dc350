"""Sheets of land-cover maps: maps of one place in order of time."""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pyproj

from geoclass.contract import Contract
from geoclass.dates import find_day
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap, credit
from geoclass.legend import EUROSAT, LegendEntry
from geoclass.report.page.pictures import Pictures
from geoclass.report.page.sheet import Curve, Fact, Sheet, Step, name_group

SAME_PLACE = 0.5
"""Maps show one place if they share this fraction of the smaller one."""

MAX_SHEAR = 1e-6
"""Pixels per pixel; less is no rotation."""

NARROW = ("Highway", "River")
"""EuroSAT's classes whose tiles consist mostly of other land."""


def build_map_sheets(maps: Sequence[LandCoverMap], pictures: Pictures) -> list[Sheet]:
    """A sheet for each place, of the finest cells; SceneError if a given scene is unreadable."""
    return [_build_sheet(group, pictures) for group in _group_places([m.finest for m in maps])]


def find_map_day(landcover: LandCoverMap) -> date | None:
    """The date of a map, from its metadata or the name of its scene."""
    known = landcover.provenance.date
    return date.fromisoformat(known) if known else find_day(landcover.provenance.scene)


def _group_places(maps: Sequence[LandCoverMap]) -> list[list[LandCoverMap]]:
    groups: list[list[LandCoverMap]] = []
    for landcover in maps:
        for group in groups:
            first = group[0]
            # Colors may differ: those of the first map are shown.
            same_classes = first.legend.names == landcover.legend.names
            if same_classes and share_place(first.grid, landcover.grid):
                group.append(landcover)
                break
        else:
            groups.append([landcover])
    return [sorted(group, key=lambda m: find_map_day(m) or date.max) for group in groups]


def share_place(one: Grid, other: Grid) -> bool:
    """Whether two grids overlap, in one CRS and without rotation to each other."""
    if one.crs is None or not one.has_same_crs(other):
        return False
    between = ~one.transform @ other.transform
    if max(abs(between.b), abs(between.d)) > MAX_SHEAR:
        return False
    right, bottom = between @ (other.width, other.height)
    width = min(one.width, right) - max(0.0, between.c)
    height = min(one.height, bottom) - max(0.0, between.f)
    smaller = min(one.width * one.height, abs((right - between.c) * (bottom - between.f)))
    return bool(width > 0 and height > 0 and width * height >= SAME_PLACE * smaller)


def _build_sheet(maps: Sequence[LandCoverMap], pictures: Pictures) -> Sheet:
    first = maps[0]
    entries = first.legend.entries
    steps = tuple(_build_step(landcover, entries, pictures) for landcover in maps)
    cell_ha = float(first.grid.areas_ha().max())
    codes = np.concatenate([landcover.class_id.ravel() for landcover in maps])
    contracts = {landcover.provenance.model: landcover.contract for landcover in maps}
    caveats = [text for c in contracts.values() for text in list_model_caveats(c, codes, cell_ha)]
    scenes = list(dict.fromkeys(landcover.provenance.scene for landcover in maps))
    return Sheet(
        title=scenes[0] if len(scenes) == 1 else f"{scenes[0]} and {len(scenes) - 1} more",
        kind="Land-cover map" if len(maps) == 1 else f"{len(maps)} land-cover maps",
        legend=entries,
        steps=steps,
        curves=trace_groups(steps, entries),
        curves_note=(
            "Hectares by group in each map, including the errors of single maps. geoclass monitor "
            "reduces them."
        ),
        attribution=credit([(m.provenance.mission, m.provenance.date) for m in maps]),
        caveats=tuple(dict.fromkeys(caveats)),
    )


def _build_step(
    landcover: LandCoverMap, entries: Sequence[LegendEntry], pictures: Pictures
) -> Step:
    day = find_map_day(landcover)
    return Step(
        label=str(day) if day else landcover.provenance.scene,
        day=day,
        grid=landcover.grid,
        entries=entries,
        codes=landcover.class_id,
        confidence=landcover.confidence,
        more={"best": landcover.best_class, "reason": landcover.mask_reason},
        facts=tuple(_list_facts(landcover)),
        caveats=tuple(_list_caveats(landcover)),
        picture=pictures.find(landcover.grid, [landcover.provenance.scene], day, landcover),
    )


def _list_facts(landcover: LandCoverMap) -> Iterator[Fact]:
    provenance, contract = landcover.provenance, landcover.contract
    yield "Scene", provenance.scene
    yield "Date", provenance.date or "unknown"
    yield "Bands", f"{', '.join(map(str, provenance.bands))} as red, green and blue"
    yield "Read as", f"{provenance.radiometry['name']}: {provenance.radiometry.get('reason', '')}"
    if provenance.masked_by:
        yield "Masked", "; ".join(provenance.masked_by)
    yield from describe_grid(landcover.grid)
    yield "Model", f"{provenance.model[:12]}, trained on {contract.training.data_set}"
    yield "Made by", f"geoclass {provenance.version}"
    yield "Command", drop_folders(provenance.command)
    yield "Fingerprint", provenance.fingerprint


_ABSOLUTE = r"(?:file://)?(?:[A-Za-z]:)?[/\\]"
_FOLDERS = re.compile(
    rf"(?<=['\"]){_ABSOLUTE}[^'\"]*[/\\](?=[^'\"])"  # quoted, perhaps with spaces
    rf"|(?<![^\s=(]){_ABSOLUTE}[^\s'\"]*[/\\](?=[^\s'\"])"
    rf"|(?<![^\s=('\"]){_ABSOLUTE}(?=[^\s'\"/\\])"
)


def drop_folders(command: str) -> str:
    """A command whose absolute paths have lost their folders: a page is for others to read."""
    return _FOLDERS.sub("", command)


def describe_grid(grid: Grid) -> Iterator[Fact]:
    """Cells and coordinate reference system."""
    side_m = grid.stride * grid.gsd_m
    side = f"{grid.stride} pixels" if math.isnan(side_m) else f"{side_m:.0f} m"
    yield "Cells", f"{grid.cols} columns × {grid.rows} rows, {side} a side"
    if grid.crs is not None:
        yield "Coordinates", pyproj.CRS.from_wkt(grid.crs).name


def trace_groups(steps: Sequence[Step], entries: Sequence[LegendEntry]) -> tuple[Curve, ...]:
    """The area of each group at each dated step; empty for fewer than two dates."""
    dated = [(step.day, step) for step in steps if step.day is not None]
    if len({day for day, _ in dated}) < 2:
        return ()
    groups = list(dict.fromkeys(entry.group for entry in entries if entry.group))
    areas = [
        [
            sum(line.area_ha for b in step.areas if b.group == group for line in b.lines)
            for _, step in dated
        ]
        for group in groups
    ]
    return draw_groups(groups, areas, [day for day, _ in dated], entries)


def draw_groups(
    groups: Sequence[str],
    areas: Sequence[Sequence[float]],
    days: Sequence[date],
    entries: Sequence[LegendEntry],
) -> tuple[Curve, ...]:
    """Curves of hectares by group and date, each in the color of the group's first entry."""
    colors = {entry.group: entry.color for entry in reversed(entries)}
    return tuple(
        Curve(title=name_group(group), color=colors[group], days=tuple(days), area_ha=tuple(own))
        for group, own in zip(groups, areas, strict=True)
    )


def _list_caveats(landcover: LandCoverMap) -> Iterator[str]:
    """Caveats of one map."""
    provenance = landcover.provenance
    for warning in provenance.warnings:
        ended = warning if warning.endswith((".", "!", "?")) else f"{warning}."
        yield ended[:1].upper() + ended[1:]
    if provenance.masked_by == ():
        yield (
            "The scene has no scene classification and no other mask: clouds and snow are unknown "
            "only where the model detects them; shadows and thin clouds get a class like any "
            "other surface. Compare the map with the scene."
        )
    if provenance.masked_by is None:
        yield "The map does not contain whether clouds were masked: compare it with the scene."
    if provenance.options.get("keep_unknown"):
        yield "Out-of-distribution cells have their most probable class."
    if landcover.grid.crs is None:
        yield "The scene has no coordinate reference system, so areas are unknown."


def list_model_caveats(contract: Contract, class_id: np.ndarray, cell_ha: float) -> Iterator[str]:
    """Caveats of all labels of a model: codes, uint8 of any shape, of cells of `cell_ha` hectares.

    `cell_ha` can be NaN.
    """
    legend, training, scores = contract.legend, contract.training, contract.scores
    present = {legend[code].name for code in np.unique(class_id) if code < len(legend)}
    narrow = [EUROSAT[EUROSAT.names.index(n)].title for n in NARROW if n in present]
    if narrow and legend.names == EUROSAT.names:
        size = "" if np.isnan(cell_ha) else f" of {cell_ha:.3g} ha"
        yield (
            f"A cell of class {' or '.join(narrow)} is a square{size} that contains such a line; "
            "most of it is other land. Compare areas by group."
        )
    if scores is None:
        yield (
            f"Validation accuracy of the model on {training.data_set}: "
            f"{training.validation_accuracy:.1%}."
        )
    else:
        yield (
            f"Test accuracy of the model on {training.data_set}: {scores.accuracy:.1%} of "
            f"{scores.tiles:,} held-out tiles (macro-F1 {scores.macro_f1:.3f})."
        )
    yield (
        "Confidence is calibrated on tiles like the training data. In other places and on other "
        "dates it is too high, and labels are wrong more often."
    )
