"""Land-cover maps to sheets: those of one place together, in order of time."""

from __future__ import annotations

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
from geoclass.legend import EUROSAT, NODATA, STATUS_STYLES, Legend
from geoclass.report.page.pictures import Pictures
from geoclass.report.page.sheet import AreaBlock, AreaLine, Curve, Entry, Fact, Sheet, Step

SAME_PLACE = 0.5
"""Maps show one place where they share such a part of the smaller one."""

TURN = 1e-6
"""Of a pixel a pixel: less is no rotation."""


def build_map_sheets(maps: Sequence[LandCoverMap], pictures: Pictures) -> list[Sheet]:
    """A sheet for each place, of the finest cells.

    Raises SceneError where a scene that was asked for cannot be read.
    """
    return [_build_sheet(group, pictures) for group in _group_places([m.finest for m in maps])]


def find_map_day(landcover: LandCoverMap) -> date | None:
    """The day that a map shows, as its scene or the scene's name says."""
    said = landcover.provenance.date
    return date.fromisoformat(said) if said else find_day(landcover.provenance.scene)


def _group_places(maps: Sequence[LandCoverMap]) -> list[list[LandCoverMap]]:
    groups: list[list[LandCoverMap]] = []
    for landcover in maps:
        for group in groups:
            first = group[0]
            # Whatever their colours: those of the first are shown.
            alike = first.legend.names == landcover.legend.names
            if alike and share_place(first.grid, landcover.grid):
                group.append(landcover)
                break
        else:
            groups.append([landcover])
    return [sorted(group, key=lambda m: find_map_day(m) or date.max) for group in groups]


def share_place(one: Grid, other: Grid) -> bool:
    """Whether two grids lie over one another, in one CRS and not turned against each other."""
    if one.crs is None or not one.has_same_crs(other):
        return False
    between = ~one.transform @ other.transform
    if max(abs(between.b), abs(between.d)) > TURN:
        return False
    right, bottom = between @ (other.width, other.height)
    width = min(one.width, right) - max(0.0, between.c)
    height = min(one.height, bottom) - max(0.0, between.f)
    smaller = min(one.width * one.height, abs((right - between.c) * (bottom - between.f)))
    return bool(width > 0 and height > 0 and width * height >= SAME_PLACE * smaller)


def _build_sheet(maps: Sequence[LandCoverMap], pictures: Pictures) -> Sheet:
    first = maps[0]
    entries = list_entries(first.legend)
    steps = tuple(_build_step(landcover, entries, pictures) for landcover in maps)
    cell_ha = float(first.grid.areas_ha().max())
    codes = np.concatenate([landcover.class_id.ravel() for landcover in maps])
    contracts = {landcover.provenance.model: landcover.contract for landcover in maps}
    caveats = [text for c in contracts.values() for text in doubt_model(c, codes, cell_ha)]
    scenes = list(dict.fromkeys(landcover.provenance.scene for landcover in maps))
    return Sheet(
        title=scenes[0] if len(scenes) == 1 else f"{scenes[0]} and {len(scenes) - 1} more",
        kind="Land-cover map" if len(maps) == 1 else f"{len(maps)} land-cover maps",
        legend=entries,
        steps=steps,
        curves=trace_groups(steps, entries),
        curves_note=(
            "Hectares by group as each map says: errors of single maps are in them. "
            "geoclass monitor takes them out."
        ),
        attribution=credit([(m.provenance.mission, m.provenance.date) for m in maps]),
        caveats=tuple(dict.fromkeys(caveats)),
    )


def _build_step(landcover: LandCoverMap, entries: Sequence[Entry], pictures: Pictures) -> Step:
    day = find_map_day(landcover)
    provenance = landcover.provenance
    histogram, mean = bin_confidence(landcover.confidence)
    return Step(
        label=str(day) if day else provenance.scene,
        day=day,
        grid=landcover.grid,
        planes={
            "class": landcover.class_id,
            "confidence": as_percent(landcover.confidence),
            "best": landcover.best_class,
            "reason": landcover.mask_reason,
        },
        areas=group_areas(landcover.class_id, entries, landcover.grid),
        histogram=histogram,
        mean_confidence=mean,
        facts=tuple(_list_facts(landcover)),
        caveats=find_caveats(landcover),
        picture=pictures.find_for_map(landcover, day),
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
    """Cells and coordinate system."""
    side_m = grid.stride * grid.gsd_m
    side = f"{grid.stride} pixels" if math.isnan(side_m) else f"{side_m:.0f} m"
    yield "Cells", f"{grid.cols} columns × {grid.rows} rows, {side} a side"
    if grid.crs is not None:
        yield "Coordinates", pyproj.CRS.from_wkt(grid.crs).name


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
    groups = list(dict.fromkeys(entry.group for entry in entries if entry.group))
    areas = [
        [
            sum(n.area_ha for b in step.areas if b.group == group for n in b.lines)
            for _, step in dated
        ]
        for group in groups
    ]
    return draw_groups(groups, areas, [day for day, _ in dated], entries)


def draw_groups(
    groups: Sequence[str],
    areas: Sequence[Sequence[float]],
    days: Sequence[date],
    entries: Sequence[Entry],
) -> tuple[Curve, ...]:
    """Curves of hectares by group and day, each in the colour of the group's first entry."""
    colors = {entry.group: entry.color for entry in reversed(entries)}
    return tuple(
        Curve(title=name_group(group), color=colors[group], days=tuple(days), area_ha=tuple(own))
        for group, own in zip(groups, areas, strict=True)
    )


NARROW = ("Highway", "River")
"""EuroSAT's classes whose tiles hold more of other land than of their own."""


def find_caveats(landcover: LandCoverMap) -> tuple[str, ...]:
    """Of one map."""
    provenance = landcover.provenance
    found = [_as_sentence(warning) for warning in provenance.warnings]
    if provenance.masked_by == ():
        found.append(
            "The scene came without a scene classification or another mask: clouds and snow are "
            "unknown only where the model notices them, shadows and thin veils are labelled like "
            "everything else. Look at the scene beside the map."
        )
    if provenance.masked_by is None:
        found.append(
            "It is not noted in this map whether clouds were masked: look at the scene beside it."
        )
    if provenance.options.get("keep_unknown"):
        found.append("Cells unlike anything trained on were given their likeliest class.")
    if landcover.grid.crs is None:
        found.append("The scene does not say where it lies, so that areas are unknown.")
    return tuple(found)


def doubt_model(contract: Contract, class_id: np.ndarray, cell_ha: float) -> tuple[str, ...]:
    """Of all that a model labels: codes, uint8 of any shape, on cells of `cell_ha` hectares.

    NaN hectares are not told.
    """
    found = []
    present = {
        contract.legend[code].name for code in np.unique(class_id) if code < len(contract.legend)
    }
    narrow = [EUROSAT[EUROSAT.names.index(n)].title for n in NARROW if n in present]
    if narrow and contract.legend.names == EUROSAT.names:
        size = "" if np.isnan(cell_ha) else f" of {cell_ha:.3g} ha"
        found.append(
            f"A cell of class {' or '.join(narrow)} is a square{size} that such a line runs "
            "through; most of it is other land. Compare areas by group."
        )
    found += [
        _tell_scores(contract),
        (
            "Confidence is calibrated on tiles like those that the model was trained on; on other "
            "places and days it is too high, and labels are wrong more often."
        ),
    ]
    return tuple(found)


def _tell_scores(contract: Contract) -> str:
    training = contract.training
    if contract.scores is None:
        return (
            f"The model, trained on {training.data_set}, is right on "
            f"{training.validation_accuracy:.1%} of the tiles that its training was judged by."
        )
    return (
        f"The model, trained on {training.data_set}, is right on {contract.scores.accuracy:.1%} of "
        f"{contract.scores.tiles:,} tiles of that data set that it had never seen "
        f"(macro-F1 {contract.scores.macro_f1:.3f})."
    )


def _as_sentence(text: str) -> str:
    """`the scene is …` → The scene is …."""
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return ended[:1].upper() + ended[1:]
