"""Scenes mapped by windows: cells of any size from one look at each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from geoclass.grid import Grid
from geoclass.landcover import COLORS, MASK_REASONS, quantise_probabilities
from geoclass.machine import map_ahead
from geoclass.mapping.cells import CellView, Shares, find_reasons, view_shares
from geoclass.mapping.draft import Draft, Part
from geoclass.mapping.plan import MapPlan, TileClassifier
from geoclass.model.networks import CELL
from geoclass.model.survey import FEATURE, HALO, Survey, Window
from geoclass.scene.reader import Strip, read_strips

WINDOW_PIXELS = 2**20
"""Of a window without its halo, about; larger ones hardly lessen the halo's share of the work."""

MOST_ROWS = 16
"""Of tiles in a window."""

CLOUD = MASK_REASONS.index("cloud")
"""Why cells are masked that the network calls obscured."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutout:
    """A window and its place in the scene; counts are int64 (h / 4, w / 4), of pixels a cell."""

    window: Window
    rows: slice
    """Of tiles."""
    cols: slice
    scene: np.ndarray
    """Pixels of the scene."""
    valid: np.ndarray
    """Those that have data and are not masked."""
    masked: Mapping[int, np.ndarray]
    """Those that are masked, by the code of the reason."""

    def hide(self, obscured: np.ndarray) -> Cutout:
        """The same where cells that the network calls obscured, bool, are masked as cloud."""
        hidden = np.where(obscured, self.valid, 0)
        cloud = self.masked.get(CLOUD, 0) + hidden
        masked = {**self.masked, CLOUD: cloud} if hidden.any() else self.masked
        return replace(self, valid=self.valid - hidden, masked=masked)


def label_windows(
    plan: MapPlan, classifier: TileClassifier, drafts: Sequence[Draft], strip_pixels: int
) -> Iterator[int]:
    """Fill in all drafts, window by window; how many cells of the first each has."""
    tiles = replace(plan.grid, stride=plan.grid.tile_size)

    def label(cutout: Cutout) -> int:
        parts = [(draft, _find_part(cutout, draft.grid)) for draft in drafts]
        inside = [plan.find_inside(draft.grid, part) for draft, part in parts]
        survey = None
        if cutout.valid.any() and any(there.any() for there in inside):
            survey = classifier.survey(cutout.window)
            cutout = cutout.hide(survey.obscured)
        for (draft, part), there in zip(parts, inside, strict=True):
            _fill(draft, part, there, cutout, survey, plan)
        return inside[0].size

    rows = count_rows(tiles, strip_pixels)
    strips = read_strips(plan.source, plan.frame, tiles, plan.looks, strip_rows=rows)
    cutouts = (cutout for strip in add_halo(strips) for cutout in cut_windows(strip, tiles, rows))
    with ThreadPoolExecutor(classifier.windows_at_once) as threads:
        yield from map_ahead(threads, label, cutouts, classifier.windows_at_once)


def count_rows(tiles: Grid, strip_pixels: int) -> int:
    """Rows of tiles in a window: a power of two, as blocks are, fewer in wide scenes.

    It depends on the scene alone, so that each cell has the same window around it in every run.
    """
    fitting = strip_pixels // (tiles.width * tiles.tile_size)
    return 1 << max(0, min(MOST_ROWS, fitting).bit_length() - 1)


def add_halo(strips: Iterable[Strip]) -> Iterator[Strip]:
    """Strips with some rows of those above and below, so that none is read twice."""
    before, here = None, None
    for after in chain(strips, [None]):
        if here is not None:
            yield _join(before, here, after)
        before, here = here, after


def _join(before: Strip | None, here: Strip, after: Strip | None) -> Strip:
    def join(name: str) -> np.ndarray:
        above = [] if before is None else [getattr(before, name)[..., -HALO:, :]]
        below = [] if after is None else [getattr(after, name)[..., :HALO, :]]
        return np.concatenate([*above, getattr(here, name), *below], axis=-2)

    return replace(
        here,
        top=here.top - (HALO if before else 0),
        pixels=join("pixels"),
        valid=join("valid"),
        reason=join("reason"),
    )


def cut_windows(strip: Strip, tiles: Grid, rows: int) -> Iterator[Cutout]:
    """The windows of a strip that has its halo.

    A column of tiles that the scene's edge cuts off is in one window with the whole one before.
    """
    step = WINDOW_PIXELS // (rows * tiles.tile_size**2)
    starts = range(0, max(1, tiles.width // tiles.tile_size), step)
    for first, last in zip(starts, [*starts[1:], tiles.cols], strict=True):
        yield _cut(strip, tiles, slice(first, last))


def _cut(strip: Strip, tiles: Grid, cols: slice) -> Cutout:
    size, rows = tiles.tile_size, slice(strip.first_row, strip.last_row)
    top, left = rows.start * size, cols.start * size
    height, width = (rows.stop - rows.start) * size, (cols.stop - cols.start) * size

    def take(array: np.ndarray, beyond: Literal["constant", "symmetric"]) -> np.ndarray:
        """The window's part of an array of the strip; beyond the scene 0, or mirrored."""
        part = array[..., max(0, left - HALO) : left + width + HALO]
        above, before = strip.top - (top - HALO), max(0, HALO - left)
        below, after = (
            side + 2 * HALO - begun - there
            for side, begun, there in (
                (height, above, part.shape[-2]),
                (width, before, part.shape[-1]),
            )
        )
        sides = [(0, 0)] * (array.ndim - 2) + [(above, below), (before, after)]
        padded: np.ndarray = np.pad(part, sides, mode=beyond)
        return padded

    valid, reason = take(strip.valid, "constant"), take(strip.reason, "constant")
    inner = (slice(HALO, -HALO), slice(HALO, -HALO))
    # A plain band beyond the edge of the scene, or of its data, would make the last cells lakes.
    pixels, shown = mirror_missing(
        take(strip.pixels, "symmetric"),
        take(strip.valid, "symmetric"),
        take(strip.valid | (strip.reason > 0), "symmetric"),
    )
    return Cutout(
        window=Window(
            pixels=pixels,
            shown=shown,
            valid=valid,
            tile_rows=tiles.tile_rows[rows] // FEATURE * FEATURE - top,
            tile_cols=tiles.tile_cols[cols] // FEATURE * FEATURE - left,
        ),
        rows=rows,
        cols=cols,
        scene=np.outer(_span(top, height, tiles.height), _span(left, width, tiles.width)),
        valid=_count(valid[inner]),
        masked={code: _count(reason[inner] == code) for code in find_reasons(reason[inner])},
    )


def mirror_missing(
    pixels: np.ndarray, shown: np.ndarray, has_data: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels beside missing ones mirrored into them, as far as cells are influenced.

    `pixels` are uint8 (3, h, w), `shown` and `has_data` bool (h, w): pixels that the network is to
    see, and those where the scene has data, masked or not. Returns pixels and `shown` anew.
    """
    missing = ~has_data
    if not missing.any() or not shown.any():
        return pixels, shown
    from scipy.ndimage import distance_transform_edt  # most scenes need it nowhere

    away, nearest = distance_transform_edt(~shown, return_indices=True)
    rows, cols = np.nonzero(missing & (away <= HALO))
    beside = nearest[:, rows, cols]
    beyond = 2 * beside - (rows, cols)
    limits = np.array(shown.shape)[:, None]
    fits = ((beyond >= 0) & (beyond < limits)).all(axis=0)
    fits[fits] = shown[tuple(beyond[:, fits])]
    source = np.where(fits, beyond, beside)
    filled, seen = pixels.copy(), shown.copy()
    filled[:, rows, cols] = pixels[:, source[0], source[1]]
    seen[rows, cols] = True
    return filled, seen


def _span(start: int, size: int, end: int) -> np.ndarray:
    """Int64 (size / 4,): along each cell, pixels of a scene that ends at `end`."""
    return np.clip(end - np.arange(start, start + size, CELL), 0, CELL)


def _count(pixels: np.ndarray) -> np.ndarray:
    return add_up(pixels, CELL).astype(np.int64)


def add_up(values: np.ndarray, side: int) -> np.ndarray:
    """Sums over squares of `side` × `side` values of (h, w, …)."""
    if side == 1:
        return values
    rows, cols = values.shape[0] // side, values.shape[1] // side
    squares = values.reshape(rows, side, cols, side, *values.shape[2:])
    sums: np.ndarray = squares.sum(axis=1, dtype=np.uint32).sum(axis=2)
    return sums


def _find_part(cutout: Cutout, grid: Grid) -> Part:
    """The cells of a grid in a window."""
    ratio = grid.tile_size // grid.stride
    return (
        slice(cutout.rows.start * ratio, min(cutout.rows.stop * ratio, grid.rows)),
        slice(cutout.cols.start * ratio, min(cutout.cols.stop * ratio, grid.cols)),
    )


def _fill(
    draft: Draft,
    part: Part,
    inside: np.ndarray,
    cutout: Cutout,
    survey: Survey | None,
    plan: MapPlan,
) -> None:
    """Put a window's cells of one size into a draft."""
    grid, least = draft.grid, plan.settings.min_valid_share
    there = (slice(inside.shape[0]), slice(inside.shape[1]))  # the window may reach further
    view = view_window(cutout, grid, least).part(there).within(inside)
    if survey is None:
        draft.put(part, view, draft.probabilities[part], np.zeros_like(inside))
    elif grid.stride == grid.tile_size:
        unknown = survey.unknown & (not plan.settings.keep_unknown)
        draft.put(part, view, quantise_probabilities(survey.tiles), unknown)
    else:
        seen = view_window(cutout, replace(grid, stride=CELL), least).seen
        likely = average_cells(survey.cells, seen, grid.stride // CELL)[there]
        side = grid.tile_size // grid.stride
        strange = _magnify(survey.strange, side)[there]
        unknown = strange & (not plan.settings.keep_unknown)
        draft.put(part, view, likely, unknown, find_colors(cutout, grid.stride)[there])


def view_window(cutout: Cutout, grid: Grid, min_share: float) -> CellView:
    """Which cells of a window are seen; a tile's cell by the tile, too, which may lie inward."""
    side, in_tile = grid.stride // CELL, grid.tile_size // CELL
    scene = np.maximum(add_up(cutout.scene, side), 1)
    rows, cols = (
        (starts[:, None] // CELL + np.arange(in_tile)).ravel()
        for starts in (cutout.window.tile_rows, cutout.window.tile_cols)
    )

    def find_shares(count: np.ndarray) -> Shares:
        own = add_up(count, side) / scene
        if side < in_tile:
            return own, own
        return own, add_up(count[np.ix_(rows, cols)], in_tile) / grid.tile_size**2

    masked = {code: find_shares(count) for code, count in cutout.masked.items()}
    return view_shares(find_shares(cutout.valid), masked, min_share)


def find_colors(cutout: Cutout, side: int) -> np.ndarray:
    """uint8 (rows, cols, 6): COLORS of squares of `side` × `side` valid pixels; 0 without any."""
    inner = (slice(HALO, -HALO), slice(HALO, -HALO))
    # Pixels of cells that the network calls obscured are no longer counted as valid.
    shown = cutout.window.valid[inner] & _magnify(cutout.valid > 0, CELL)
    squares = _list_squares(shown, side)
    count = squares.sum(axis=2)
    quarter = np.maximum(count // 4, 1)
    colors = np.empty((*count.shape, len(COLORS)), dtype=np.uint8)
    for band, pixels in enumerate(cutout.window.pixels[(slice(None), *inner)]):
        # Pixels that are not valid come last.
        ordered = np.sort(np.where(squares, _list_squares(pixels, side), 255), axis=2)
        sums = ordered.cumsum(axis=2, dtype=np.uint16 if side < 16 else np.uint32)
        for place, number in ((band, np.maximum(count, 1)), (band + 3, quarter)):
            total = np.take_along_axis(sums, number[:, :, None] - 1, axis=2)[:, :, 0]
            colors[:, :, place] = np.where(count > 0, np.rint(total / number), 0)
    return colors


def _magnify(cells: np.ndarray, side: int) -> np.ndarray:
    magnified: np.ndarray = cells.repeat(side, axis=0).repeat(side, axis=1)
    return magnified


def _list_squares(pixels: np.ndarray, side: int) -> np.ndarray:
    """(h / side, w / side, side²) of (h, w)."""
    rows, cols = pixels.shape[0] // side, pixels.shape[1] // side
    squares = pixels.reshape(rows, side, cols, side).swapaxes(1, 2)
    return squares.reshape(rows, cols, side * side)


def average_cells(cells: np.ndarray, seen: np.ndarray, side: int) -> np.ndarray:
    """Means over squares of `side` × `side` cells, of those that are seen.

    `cells` are uint8 (rows, cols, classes), as the means are; `seen` is bool (rows, cols).
    """
    if side == 1:
        return cells
    total = add_up(cells * seen[:, :, None], side)
    count = np.maximum(add_up(seen, side), 1)
    means: np.ndarray = np.rint(total / count[:, :, None]).astype(np.uint8)
    return means
