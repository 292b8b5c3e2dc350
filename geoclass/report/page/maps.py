"""Land-cover maps to sheets: those of one place together, in order of time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pyproj

from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap, credit
from geoclass.monitor.dates import find_day
from geoclass.report.page.caveats import doubt_model, find_caveats
from geoclass.report.page.numbers import (
    as_percent,
    bin_confidence,
    group_areas,
    list_entries,
    trace_groups,
)
from geoclass.report.page.pictures import Pictures
from geoclass.report.page.sheet import Entry, Fact, Sheet, Step

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
    yield "Command", provenance.command
    yield "Fingerprint", provenance.fingerprint


def describe_grid(grid: Grid) -> Iterator[Fact]:
    """Cells and coordinate system."""
    side_m = grid.stride * grid.gsd_m
    side = f"{grid.stride} pixels" if math.isnan(side_m) else f"{side_m:.0f} m"
    yield "Cells", f"{grid.cols} columns × {grid.rows} rows, {side} a side"
    if grid.crs is not None:
        yield "Coordinates", pyproj.CRS.from_wkt(grid.crs).name
