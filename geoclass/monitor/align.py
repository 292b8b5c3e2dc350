"""Maps of several dates on one grid: which can be compared, and the stack of their cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
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
from geoclass.landcover import COLORS, STATUS_NAMES, LandCoverMap, credit
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.monitor.settings import AlignSettings

TOLERANCE_PX = 0.01
"""Cells that are this close coincide; the difference is float rounding."""

LABEL_OPTIONS = {
    "calm": "different --smooth or --min-area",
    "keep_unknown": "and without --keep-unknown",
}
"""Options of mapping that change labels → how the maps differ."""

EMPTY = dict.fromkeys(("class_id", "best_class"), NODATA)
EMPTY |= dict.fromkeys(("valid_share", "mask_reason", "probabilities", "colors"), 0)
"""Arrays of a map → value of a cell without data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedMap:
    """A map and its date."""

    day: date
    landcover: LandCoverMap


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A map or scene that is not part of a series."""

    day: date | None
    """None if unknown."""
    scene: str
    """File name."""
    reason: str
    """For users."""

    def __str__(self) -> str:
        return f"{self.scene}{f' of {self.day}' if self.day else ''} ({self.reason})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """The maps of all dates on one grid."""

    grid: Grid
    """Contains the cells of all maps."""
    contract: Contract
    model: str
    """SHA-256 of the model file of the maps."""
    radiometry: str
    """Name of the radiometry of the maps."""
    dates: tuple[date, ...]
    """Ascending, without duplicates."""
    scenes: tuple[str, ...]
    """File names of each date, separated by commas."""
    fingerprints: tuple[str, ...]
    """Fingerprints of the maps of each date, separated by commas."""
    missions: tuple[str | None, ...]
    """Mission of each date, if known."""
    probabilities: np.ndarray
    """uint8 (dates, rows, cols, classes): 250 is 1; 0 where not observed."""
    class_id: np.ndarray
    """uint8 (dates, rows, cols): codes of the maps; 255 outside a map."""
    mismatches: tuple[str, ...]
    """Differences between the maps that were allowed."""
    left_out: tuple[LeftOut, ...] = ()
    colors: np.ndarray | None = None
    """uint8 (dates, rows, cols, 6): colors of the maps; 0 where not observed. None if no map has
    colors."""

    @property
    def attribution(self) -> str:
        """Credit that the licence of the images requires; may be empty."""
        return credit(zip(self.missions, map(str, self.dates), strict=True))

    @property
    def observed(self) -> np.ndarray:
        """Bool (dates, rows, cols): True where the map has a class."""
        return self.class_id < len(self.contract.legend)

    def until(self, count: int) -> Stack:
        """The first `count` dates."""
        names = ["dates", "scenes", "fingerprints", "missions", "probabilities", "class_id"]
        names += [] if self.colors is None else ["colors"]
        return replace(self, **{name: getattr(self, name)[:count] for name in names})


def stack_maps(maps: Iterable[DatedMap], settings: AlignSettings | None = None) -> Stack:
    """Combine the finest cells of maps on one grid.

    Where maps of one date overlap, each cell is taken from the map with the larger valid share,
    then with the larger confidence. Raises SettingsError if model, radiometry, legend or cells
    differ.
    """
    settings = settings or AlignSettings()
    maps = sorted(
        (replace(item, landcover=item.landcover.finest) for item in maps), key=lambda m: m.day
    )
    if not maps:
        raise SettingsError("no maps were given: give those of two dates or more")
    first = maps[0].landcover
    for item in maps:
        check_comparable(first, item.landcover, settings)
    mismatches = [text for item in maps for text in find_mismatches(first, item.landcover)]
    layers = [_fit(item.landcover, first.grid) for item in maps]
    offsets = np.array([find_offset(first.grid, layer.grid) for layer in layers])
    ends = offsets + [(layer.grid.height, layer.grid.width) for layer in layers]
    top, left = offsets.min(axis=0).tolist()
    bottom, right = ends.max(axis=0).tolist()
    grid = replace(
        first.grid,
        height=bottom - top,
        width=right - left,
        transform=first.grid.transform @ Affine.translation(left, top),
    )
    days = tuple(dict.fromkeys(item.day for item in maps))
    places = [days.index(item.day) for item in maps]
    sources = [[m.landcover.provenance for m in maps if m.day == day] for day in days]
    contract, provenance = first.contract, first.provenance
    del maps, first, item  # to save memory, layers are released one by one
    arrays: dict[str, Any] = _merge_layers(places, layers, grid, offsets - [top, left])
    return Stack(
        grid=grid,
        contract=contract,
        model=provenance.model,
        radiometry=str(provenance.radiometry.get("name")),
        dates=days,
        scenes=tuple(", ".join(p.scene for p in of_day) for of_day in sources),
        fingerprints=tuple(", ".join(p.fingerprint for p in of_day) for of_day in sources),
        missions=tuple(next((p.mission for p in s if p.mission), None) for s in sources),
        mismatches=tuple(dict.fromkeys(mismatches)),
        **arrays,
    )


def _merge_layers(
    places: Sequence[int], layers: list[LandCoverMap], grid: Grid, offsets: np.ndarray
) -> dict[str, np.ndarray]:
    """Arrays of a stack by name, from layers with ascending date numbers; empties `layers`."""
    known = {"class_id": (), "probabilities": layers[0].probabilities.shape[2:]}
    if any(layer.colors is not None for layer in layers):
        known["colors"] = (len(COLORS),)
    dates, cells = places[-1] + 1, (grid.rows, grid.cols)
    stacked = {
        name: np.empty((dates, *cells, *tail), dtype=np.uint8) for name, tail in known.items()
    }
    best = np.zeros(cells, dtype=np.uint32)
    for place, before, offset in zip(places, [-1, *places], offsets.tolist(), strict=False):
        layer = layers.pop(0)
        if place != before:
            best[:] = 0
            for name, whole in stacked.items():
                whole[place] = EMPTY[name]
        here, own = _overlap(layer.grid, grid, offset)
        rank = _rank_clearness(layer)[own]
        clearer = rank > best[here]
        np.copyto(best[here], rank, where=clearer)
        for name, whole in stacked.items():
            values = getattr(layer, name)
            if values is not None:
                where = clearer if values.ndim == 2 else clearer[:, :, None]
                np.copyto(whole[place][here], values[own], where=where)
    return stacked


def _rank_clearness(landcover: LandCoverMap) -> np.ndarray:
    """uint32 (rows, cols): 0 is nodata; higher values are clearer observations."""
    ranks = np.full(256, 3, dtype=np.uint32)
    ranks[[NODATA, MASKED, UNKNOWN]] = 0, 1, 2
    status, share = ranks[landcover.class_id], landcover.valid_share.astype(np.uint32)
    return np.where(status == 0, 0, status << 16 | share << 8 | landcover.best_probability)


def _overlap(
    part: Grid, whole: Grid, offset: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The cells of a part: rows and columns in the whole, and in the part itself.

    The last row or column is left out where it is cut off in the part only: it covers other
    ground.
    """
    here, own = [], []
    for edges, all_edges, shift in (
        (part.row_edges, whole.row_edges, offset[0]),
        (part.col_edges, whole.col_edges, offset[1]),
    ):
        start, count = shift // whole.stride, len(edges) - 1
        count -= int(edges[-1] + shift != all_edges[start + count])
        here.append(slice(start, start + count))
        own.append(slice(count))
    return tuple(here), tuple(own)


def check_comparable(first: LandCoverMap, other: LandCoverMap, settings: AlignSettings) -> None:
    """SettingsError if the cells of two maps cannot be compared."""
    for item in (first, other):
        if not item.grid.crs:
            raise SettingsError(
                f"{item.provenance.scene} has no coordinate reference system: map it with --crs "
                "and --bounds"
            )
    mismatches = find_mismatches(first, other)
    if mismatches and not settings.allow_mismatch:
        raise SettingsError(
            f"{'; '.join(mismatches)}: map all scenes with the same model, radiometry and options, "
            "or give --allow-mismatch"
        )
    known, found = ([(c.name, c.group) for c in m.legend.classes] for m in (first, other))
    if found != known:
        lacking = sorted(set(first.legend.names) ^ set(other.legend.names))
        what = f"only one contains {', '.join(lacking)}" if lacking else "order or groups"
        raise SettingsError(
            f"the legends of {first.provenance.scene} and {other.provenance.scene} differ "
            f"({what}): map all scenes with one model and legend"
        )
    try:
        find_offset(first.finest.grid, other.finest.grid)
    except ValueError as error:
        if settings.resample:
            return
        raise SettingsError(
            f"the cells of {first.provenance.scene} and {other.provenance.scene} do not coincide "
            f"({error}): map the scenes with --snap, or give --resample to take the nearest cell"
        ) from error


def find_mismatches(one: LandCoverMap, other: LandCoverMap) -> list[str]:
    """Differences in mapping that change labels where the ground does not change."""
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
        # Maps of earlier versions do not contain the option.
        if name in a.options and name in b.options and a.options[name] != b.options[name]
    ]
    return found


def find_offset(grid: Grid, other: Grid) -> tuple[int, int]:
    """(rows, columns) of pixels from one corner to the other.

    Raises ValueError with the difference if cells do not coincide.
    """
    if not grid.has_same_crs(other):
        raise ValueError("different coordinate reference systems")
    stride, t, o = grid.stride, grid.transform, other.transform
    if (stride, grid.tile_size) != (other.stride, other.tile_size):
        raise ValueError(f"cells of {stride} and {other.stride} pixels")
    if not np.allclose(t[:2] + t[3:5], o[:2] + o[3:5], rtol=1e-6, atol=0):
        raise ValueError(f"pixels of {grid.gsd_m:.3f} and {other.gsd_m:.3f} m")
    col, row = ~t @ (o.c, o.f)
    whole = round(row / stride) * stride, round(col / stride) * stride
    if max(abs(row - whole[0]), abs(col - whole[1])) > TOLERANCE_PX:
        shift = f"{row % stride:.2f} rows and {col % stride:.2f} columns"
        raise ValueError(f"shifted by {shift} of pixels; cells have {stride}")
    return whole


def _fit(landcover: LandCoverMap, grid: Grid) -> LandCoverMap:
    """The map, resampled if its cells do not coincide with those of the grid.

    Each cell takes the values of the map at its centre; cells with a centre outside the map are
    nodata. A label can come from up to half a cell away.
    """
    own = landcover.grid
    with suppress(ValueError):
        find_offset(grid, own)
        return landcover
    to_own = pyproj.Transformer.from_crs(grid.crs, own.crs, always_xy=True)
    col, row = ~own.transform @ to_own.transform(*grid.centres())
    inside = (row >= 0) & (col >= 0) & (row < own.height) & (col < own.width)
    rows, cols = (np.where(inside, v // own.stride, 0).astype(np.int64) for v in (row, col))
    arrays: dict[str, Any] = {}
    for name, empty in EMPTY.items():
        values = getattr(landcover, name)
        if values is not None:
            mask = inside if values.ndim == 2 else inside[:, :, None]
            arrays[name] = np.where(mask, values[rows, cols], np.uint8(empty))
    return replace(landcover, grid=grid, **arrays)


def sift_maps(
    maps: Sequence[DatedMap], settings: AlignSettings, like: LandCoverMap | None = None
) -> tuple[list[DatedMap], list[LeftOut]]:
    """The maps that contain classes and can be compared, and the others with the reason.

    The reference is the map `like`, or the first map of the largest group of comparable maps.
    """
    classified = [item for item in maps if not _describe_empty(item.landcover)]
    if like is None and classified:
        like = _choose_reference(classified, settings)
    kept, left_out = [], []
    for item in maps:
        reason = _describe_empty(item.landcover)
        if not reason and like is not None:
            reason = _find_difference(like, item.landcover, settings)
        if reason:
            scene = item.landcover.provenance.scene
            left_out.append(LeftOut(day=item.day, scene=scene, reason=reason))
        else:
            kept.append(item)
    return kept, left_out


def _describe_empty(landcover: LandCoverMap) -> str:
    """Why a map has no classes; empty if it has."""
    codes = landcover.finest.class_id
    if (codes < len(landcover.legend)).any():
        return ""
    kinds = ((name, (codes == code).mean()) for code, name in STATUS_NAMES.items())
    shares = ", ".join(f"{share:.0%} {name}" for name, share in kinds if share)
    return f"no cell could be classified ({shares})"


def _choose_reference(maps: Sequence[DatedMap], settings: AlignSettings) -> LandCoverMap:
    """The first map of the group of comparable maps with the most dates."""
    groups: list[list[DatedMap]] = []
    for item in maps:
        for group in groups:
            if not _find_difference(group[0].landcover, item.landcover, settings):
                group.append(item)
                break
        else:
            groups.append([item])
    return max(groups, key=lambda group: len({item.day for item in group}))[0].landcover


def _find_difference(first: LandCoverMap, other: LandCoverMap, settings: AlignSettings) -> str:
    """Why two maps cannot be compared; empty if they can."""
    try:
        check_comparable(first, other, settings)
    except SettingsError as error:
        return str(error)
    return ""


def date_map(landcover: LandCoverMap, *, day: date | None = None, file_name: str = "") -> DatedMap:
    """A map with its date: as given, or from its metadata, or from a file name.

    The scene's name is searched first, then `file_name`, the map's own. Raises SettingsError if
    neither contains a date, or several are possible.
    """
    provenance = landcover.provenance
    if day is None and provenance.date:
        day = date.fromisoformat(provenance.date)
    return DatedMap(day=day or _choose_day(provenance.scene, file_name), landcover=landcover)


def _choose_day(scene: str, file_name: str) -> date:
    possible = [days for days in map(find_days, (scene, file_name)) if days]
    for days in possible:
        if len(days) == 1:
            return days[0]
    doubt = "its tags and its name do not contain it"
    if possible:
        doubt = f"its name may mean {' or '.join(map(str, possible[0]))}"
    raise SettingsError(
        f"the date of {scene} is unknown: {doubt}; give --date YYYY-MM-DD once for each input, or "
        "put one date into the map's name"
    )


def as_dated(item: DatedMap | LandCoverMap) -> DatedMap:
    """The map with its date, from `date_map` if it has none."""
    return item if isinstance(item, DatedMap) else date_map(item)
