"""Maps of several dates laid over one another, where they may be compared at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyproj
from affine import Affine

from geoclass.contract import Contract
from geoclass.dates import find_days
from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.landcover import COLORS, LandCoverMap, credit
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.monitor.settings import AlignSettings

TOLERANCE_PX = 0.01
"""Grids whose cells lie this close together coincide: float rounding, not a shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedMap:
    """A map and the day that it shows."""

    day: date
    landcover: LandCoverMap


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A map or scene that a series does without."""

    day: date | None
    """None where it is unknown."""
    scene: str
    """File name."""
    reason: str
    """For people."""

    def __str__(self) -> str:
        return f"{self.scene}{f' of {self.day}' if self.day else ''} ({self.reason})"


LABEL_OPTIONS = {
    "calm": "different --smooth or --min-area",
    "keep_unknown": "and without --keep-unknown",
}
"""Options of mapping that give other labels to the same ground → how they differ."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """What was seen in each cell at each date."""

    grid: Grid
    """Holds the cells of all maps."""
    contract: Contract
    model: str
    """SHA-256 of the model file that all maps were made with."""
    radiometry: str
    """Name of the profile of all maps."""
    dates: tuple[date, ...]
    """Ascending, each once."""
    scenes: tuple[str, ...]
    """Of each date, file names, with commas between."""
    fingerprints: tuple[str, ...]
    """Of the maps of each date, likewise."""
    missions: tuple[str | None, ...]
    """Of each date: whose data the maps are of, if known."""
    probabilities: np.ndarray
    """uint8 (dates, rows, cols, classes): 250 is certainty; 0 where nothing was seen."""
    class_id: np.ndarray
    """uint8 (dates, rows, cols): as in the maps; 255 where a map does not reach."""
    mismatches: tuple[str, ...]
    """Differences between the maps that were borne."""
    left_out: tuple[LeftOut, ...] = ()
    """What was of no use."""
    colors: np.ndarray | None = None
    """uint8 (dates, rows, cols, 6): as in the maps; 0 where nothing was seen. None where no map
    has any."""

    @property
    def attribution(self) -> str:
        """What is to be said of the sources wherever results are shown; may be empty."""
        return credit(zip(self.missions, map(str, self.dates), strict=True))

    @property
    def observed(self) -> np.ndarray:
        """Bool (dates, rows, cols): True where the map claims a class."""
        seen: np.ndarray = self.class_id < len(self.contract.legend)
        return seen

    def until(self, count: int) -> Stack:
        """The first `count` dates alone."""
        return replace(
            self,
            dates=self.dates[:count],
            scenes=self.scenes[:count],
            fingerprints=self.fingerprints[:count],
            missions=self.missions[:count],
            probabilities=self.probabilities[:count],
            class_id=self.class_id[:count],
            colors=None if self.colors is None else self.colors[:count],
        )


def stack_maps(maps: Sequence[DatedMap], settings: AlignSettings | None = None) -> Stack:
    """Lay the finest cells of maps over one another.

    Maps of one date are put together: each cell is that of the map that saw most of it, by its
    share of valid pixels and then by its confidence.

    Raises SettingsError where model, radiometry, legend or cells differ.
    """
    settings = settings or AlignSettings()
    if not maps:
        raise SettingsError("no maps were given: give those of two dates or more")
    maps = [replace(item, landcover=item.landcover.finest) for item in maps]
    maps.sort(key=lambda item: item.day)
    first = maps[0].landcover
    landcovers = [item.landcover for item in maps]
    check_places(landcovers)
    mismatches = tuple(
        dict.fromkeys(text for item in maps[1:] for text in find_mismatches(first, item.landcover))
    )
    if mismatches and not settings.allow_mismatch:
        raise SettingsError(
            f"the maps cannot be compared: {'; '.join(mismatches)}: map all scenes with the same "
            "model, radiometry and options, or give --allow-mismatch"
        )
    check_legends(landcovers)
    if settings.resample:
        maps = [_fit(item, first) for item in maps]
    offsets = [find_offset(first, item.landcover) for item in maps]
    grid, offsets = _unite(first.grid, [m.landcover.grid for m in maps], offsets)
    return _lay(maps, grid, offsets, mismatches)


def find_mismatches(one: LandCoverMap, other: LandCoverMap) -> list[str]:
    """What makes labels of two maps differ although the ground does not."""
    a, b = one.provenance, other.provenance
    found = []
    if a.model != b.model:
        found.append(f"{a.scene} is of model {a.model[:12]}, {b.scene} of {b.model[:12]}")
    names = a.radiometry.get("name"), b.radiometry.get("name")
    if names[0] != names[1]:
        found.append(f"{a.scene} was read as {names[0]}, {b.scene} as {names[1]}")
    found += [
        f"{a.scene} and {b.scene} were mapped with {text}"
        for name, text in LABEL_OPTIONS.items()
        # Maps of old do not tell.
        if name in a.options and name in b.options and a.options[name] != b.options[name]
    ]
    return found


def check_places(maps: Sequence[LandCoverMap]) -> None:
    """Refuse maps without a place on Earth; SettingsError."""
    nowhere = [m.provenance.scene for m in maps if not m.grid.crs]
    if nowhere:
        raise SettingsError(
            f"{', '.join(nowhere)} does not say where on Earth it lies: map it with --crs and "
            "--bounds"
        )


def check_legends(maps: Sequence[LandCoverMap]) -> None:
    """Classes and groups must be the same; how they are called and coloured need not.

    Raises SettingsError where they are not.
    """
    first = maps[0]
    known = [(c.name, c.group) for c in first.legend.classes]
    for other in maps[1:]:
        found = [(c.name, c.group) for c in other.legend.classes]
        if found == known:
            continue
        lacking = sorted(set(first.legend.names) ^ set(other.legend.names))
        what = f"{', '.join(lacking)} stands in one only" if lacking else "order or groups"
        raise SettingsError(
            f"the legends of {first.provenance.scene} and {other.provenance.scene} differ "
            f"({what}): map all scenes with one model and legend"
        )


def _fit(item: DatedMap, first: LandCoverMap) -> DatedMap:
    """The map itself where its cells coincide with the first one's, else resampled."""
    if _try_offset(first.grid, item.landcover.grid) is not None:
        return item
    return replace(item, landcover=resample_map(item.landcover, first.grid))


def find_offset(first: LandCoverMap, other: LandCoverMap) -> tuple[int, int]:
    """(rows, columns) of pixels from the first map's corner to the other's, whole cells.

    Raises SettingsError where cells do not coincide.
    """
    offset = _try_offset(first.grid, other.grid)
    if offset is None:
        raise SettingsError(
            f"the cells of {first.provenance.scene} and {other.provenance.scene} do not coincide "
            f"({describe_difference(first.grid, other.grid)}): map the scenes with --snap, or "
            "give --resample to take the nearest cell"
        )
    return offset


def _try_offset(grid: Grid, other: Grid) -> tuple[int, int] | None:
    t, o = grid.transform, other.transform
    same_pixels = np.allclose(t[:2] + t[3:5], o[:2] + o[3:5], rtol=1e-6, atol=0)
    sizes = (grid.stride, grid.tile_size) == (other.stride, other.tile_size)
    if not same_pixels or not sizes or not grid.has_same_crs(other):
        return None
    col, row = ~t @ (o.c, o.f)
    whole = round(row / grid.stride) * grid.stride, round(col / grid.stride) * grid.stride
    if max(abs(row - whole[0]), abs(col - whole[1])) > TOLERANCE_PX:
        return None
    return whole


def describe_difference(grid: Grid, other: Grid) -> str:
    """In what two grids differ, for people."""
    if not grid.has_same_crs(other):
        return "other coordinate reference systems"
    if (grid.stride, grid.tile_size) != (other.stride, other.tile_size):
        return f"cells of {grid.stride} and {other.stride} pixels"
    sides = grid.gsd_m, other.gsd_m
    if abs(sides[0] / sides[1] - 1) > 1e-6:
        return f"pixels of {sides[0]:.3f} and {sides[1]:.3f} m"
    col, row = ~grid.transform @ (other.transform.c, other.transform.f)
    return (
        f"shifted by {row % grid.stride:.2f} rows and {col % grid.stride:.2f} columns of pixels "
        f"against cells of {grid.stride}"
    )


def _unite(
    first: Grid, grids: Sequence[Grid], offsets: Sequence[tuple[int, int]]
) -> tuple[Grid, list[tuple[int, int]]]:
    """The smallest grid that holds all, and each one's offset in it."""
    top = min(row for row, _ in offsets)
    left = min(col for _, col in offsets)
    bottom = max(row + grid.height for (row, _), grid in zip(offsets, grids, strict=True))
    right = max(col + grid.width for (_, col), grid in zip(offsets, grids, strict=True))
    whole = replace(
        first,
        height=bottom - top,
        width=right - left,
        transform=first.transform @ Affine.translation(left, top),
    )
    return whole, [(row - top, col - left) for row, col in offsets]


def _lay(
    maps: Sequence[DatedMap],
    grid: Grid,
    offsets: Sequence[tuple[int, int]],
    mismatches: tuple[str, ...],
) -> Stack:
    first = maps[0].landcover
    days = tuple(sorted({item.day for item in maps}))
    shape = (len(days), grid.rows, grid.cols)
    class_id = np.full(shape, NODATA, dtype=np.uint8)
    probabilities = np.zeros((*shape, len(first.legend)), dtype=np.uint8)
    colored = any(item.landcover.colors is not None for item in maps)
    colors = np.zeros((*shape, len(COLORS)), dtype=np.uint8) if colored else None
    place, clearest = -1, np.empty(0)
    for item, offset in zip(maps, offsets, strict=True):
        if days.index(item.day) != place:  # maps come in order of dates
            place, clearest = days.index(item.day), np.zeros(shape[1:], dtype=np.uint32)
        rows, cols, mine = _place(item.landcover.grid, grid, offset)
        codes = item.landcover.class_id[mine]
        target = np.ix_(np.array([place]), rows, cols)
        clearness = _rank_clearness(item.landcover)[mine]
        news = clearness > clearest[np.ix_(rows, cols)]
        clearest[np.ix_(rows, cols)] = np.where(news, clearness, clearest[np.ix_(rows, cols)])
        class_id[target] = np.where(news, codes, class_id[target][0])
        seen = news[:, :, None]
        probabilities[target] = np.where(
            seen, item.landcover.probabilities[mine], probabilities[target][0]
        )
        if colors is not None and item.landcover.colors is not None:
            colors[target] = np.where(seen, item.landcover.colors[mine], colors[target][0])
    named = [[m.landcover.provenance for m in maps if m.day == day] for day in days]
    return Stack(
        grid=grid,
        contract=first.contract,
        model=first.provenance.model,
        radiometry=str(first.provenance.radiometry.get("name")),
        dates=days,
        scenes=tuple(", ".join(p.scene for p in items) for items in named),
        fingerprints=tuple(", ".join(p.fingerprint for p in items) for items in named),
        missions=tuple(next((p.mission for p in ps if p.mission), None) for ps in named),
        probabilities=probabilities,
        class_id=class_id,
        mismatches=mismatches,
        colors=colors,
    )


def _rank_clearness(landcover: LandCoverMap) -> np.ndarray:
    """uint32 (rows, cols): 0 is nodata; the higher, the better was the cell seen."""
    codes = landcover.class_id
    status = np.full(codes.shape, 3, dtype=np.uint32)
    for rank, code in enumerate((NODATA, MASKED, UNKNOWN)):
        status[codes == code] = rank
    rank = status << 16 | landcover.valid_share.astype(np.uint32) << 8 | landcover.best_probability
    return np.where(codes == NODATA, np.uint32(0), rank)


def _place(
    part: Grid, whole: Grid, offset: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """Rows and columns of the whole that the part fills, and an index to the part's own.

    A cell that the part's edge cuts off, but not the whole's, is another cell: left out.
    """
    places, mine = [], []
    for axis, (own, all_edges) in enumerate(
        ((part.row_edges, whole.row_edges), (part.col_edges, whole.col_edges))
    ):
        start = offset[axis] // whole.stride
        moved = own + offset[axis]
        same = (moved[:-1] == all_edges[start : start + len(own) - 1]) & (
            moved[1:] == all_edges[start + 1 : start + len(own)]
        )
        kept = np.flatnonzero(same)
        mine.append(kept)
        places.append(kept + start)
    return places[0], places[1], np.ix_(*mine)


def resample_map(landcover: LandCoverMap, grid: Grid) -> LandCoverMap:
    """The map on another grid: each cell takes what the map says at its middle.

    A label may come from up to half a cell away; cells whose middle the map does not reach are
    nodata.
    """
    own = landcover.grid
    to_own = pyproj.Transformer.from_crs(grid.crs, own.crs, always_xy=True)
    x, y = to_own.transform(*grid.centres())
    col, row = ~own.transform @ (x, y)
    inside = (row >= 0) & (col >= 0) & (row < own.height) & (col < own.width)
    rows = np.where(inside, row // own.stride, 0).astype(np.int64)
    cols = np.where(inside, col // own.stride, 0).astype(np.int64)
    planes: dict[str, Any] = {
        name: np.where(inside, getattr(landcover, name)[rows, cols], empty).astype(np.uint8)
        for name, empty in (
            ("class_id", NODATA),
            ("best_class", NODATA),
            ("valid_share", 0),
            ("mask_reason", 0),
        )
    }
    for name in ("probabilities", "colors"):
        values = getattr(landcover, name)
        if values is not None:
            planes[name] = np.where(inside[:, :, None], values[rows, cols], np.uint8(0))
    return replace(landcover, grid=grid, **planes)


def date_map(landcover: LandCoverMap, *, day: date | None = None, file_name: str = "") -> DatedMap:
    """A map with its day: as given, else as its product or tags say, else by a file name.

    Looks into the scene's name, then into `file_name`, the map's own. Raises SettingsError where
    neither says, or several days are possible.
    """
    provenance = landcover.provenance
    if day is None and provenance.date:
        day = date.fromisoformat(provenance.date)
    if day is None:
        day = _choose_day(provenance.scene, file_name)
    return DatedMap(day=day, landcover=landcover)


def _choose_day(scene: str, file_name: str) -> date:
    possible = [days for days in map(find_days, (scene, file_name)) if days]
    told = next((days[0] for days in possible if len(days) == 1), None)
    if told is not None:
        return told
    doubt = "its tags and its name do not say"
    if possible:
        doubt = f"its name may mean {' or '.join(map(str, possible[0]))}"
    raise SettingsError(
        f"the day of {scene} is unknown: {doubt}; give --date YYYY-MM-DD once for each input, or "
        "put the one day into the map's name"
    )


def as_dated(item: DatedMap | LandCoverMap) -> DatedMap:
    """The map with its day; as `date_map` finds it where it has none yet."""
    return item if isinstance(item, DatedMap) else date_map(item)
