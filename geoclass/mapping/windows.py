"""Mapping by windows: cells of any size from one prediction per window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Literal

import numpy as np

from geoclass.grid import Grid
from geoclass.landcover import COLORS, LandCoverMap, quantise_probabilities
from geoclass.machine import map_ahead
from geoclass.mapping.builder import Part, fill_part
from geoclass.mapping.cells import Coverage, Fractions, find_coverage, list_reasons
from geoclass.mapping.clouds import CLOUD, Sky, mask_thin_clouds
from geoclass.mapping.plan import MapPlan
from geoclass.model.classifier import Classifier
from geoclass.model.dense import FEATURE, HALO, Window, WindowPrediction
from geoclass.model.networks import CELL
from geoclass.scene.read.strips import Strip, read_strips

WINDOW_PIXELS = 2**20
"""Approximate size of a window without its halo; larger ones hardly reduce the overhead."""

INNER = (..., slice(HALO, -HALO), slice(HALO, -HALO))
"""Index of a window's pixels without its halo."""

MAX_ROWS = 16
"""Rows of tiles in a window."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutout:
    """A window with its position, and numbers of pixels per cell, int64 (h / 4, w / 4)."""

    window: Window
    rows: slice
    """Rows of tiles."""
    cols: slice
    scene: np.ndarray
    """Pixels of the scene."""
    valid: np.ndarray
    """Pixels with data that are not masked."""
    masked: Mapping[int, np.ndarray]
    """Masked pixels by code of the reason."""

    def mask_clouds(self, obscured: np.ndarray) -> Cutout:
        """Mask `obscured` cells, bool (h / 4, w / 4), as cloud."""
        hidden = np.where(obscured, self.valid, 0)
        cloud = self.masked.get(CLOUD, 0) + hidden
        masked = {**self.masked, CLOUD: cloud} if hidden.any() else self.masked
        return replace(self, valid=self.valid - hidden, masked=masked)


def label_windows(
    plan: MapPlan, classifier: Classifier, maps: Sequence[LandCoverMap], strip_pixels: int
) -> Iterator[int]:
    """Fill all maps window by window; yield each window's number of cells of the first map."""
    tiles = replace(plan.grid, stride=plan.grid.tile_size)
    sky = Sky.begin(plan.grid)

    def label(cutout: Cutout) -> int:
        parts = [(landcover, _find_part(cutout, landcover.grid)) for landcover in maps]
        insides = [plan.find_inside(landcover.grid, part) for landcover, part in parts]
        prediction = None
        if cutout.valid.any() and any(inside.any() for inside in insides):
            prediction = classifier.predict_window(cutout.window)
            here = _find_part(cutout, replace(tiles, stride=CELL))
            sky.add(here, cutout.valid > 0, prediction.obscured, prediction.maybe_obscured)
            cutout = cutout.mask_clouds(prediction.obscured)
        for (landcover, part), inside in zip(parts, insides, strict=True):
            _fill(landcover, part, inside, cutout, prediction, plan)
        return insides[0].size

    rows = count_rows(tiles, strip_pixels)
    strips = read_strips(plan.source, plan.frame, tiles, plan.preprocessing, strip_rows=rows)
    cutouts = (cutout for strip in add_halo(strips) for cutout in cut_windows(strip, tiles, rows))
    with ThreadPoolExecutor(classifier.windows_at_once) as threads:
        yield from map_ahead(threads, label, cutouts, classifier.windows_at_once)
    if (thin := sky.find_thin()).any():
        for landcover in maps:
            mask_thin_clouds(landcover, thin, plan.settings.min_valid_share)


def count_rows(tiles: Grid, strip_pixels: int) -> int:
    """Rows of tiles in a window: a power of two, like block sizes, fewer in wide scenes.

    It depends only on the scene, so that each cell has the same window in every run.
    """
    fitting = strip_pixels // (tiles.width * tiles.tile_size)
    return 1 << max(0, min(MAX_ROWS, fitting).bit_length() - 1)


def add_halo(strips: Iterable[Strip]) -> Iterator[Strip]:
    """Extend strips by rows of their neighbours, so that no pixel is read twice."""
    above: Strip | None = None
    here: Strip | None = None
    for after in chain(strips, [None]):
        extended = None if here is None else _extend(above, here, after)
        # A copy of the last rows, so that the strip is freed.
        above = None if here is None else _take_rows(here, -HALO, None)
        here = after
        if extended is not None:
            yield extended
            del extended


def _extend(above: Strip | None, here: Strip, after: Strip | None) -> Strip:
    below = None if after is None else _take_rows(after, 0, HALO)
    parts = [strip for strip in (above, here, below) if strip is not None]
    return replace(
        here,
        top=here.top - (HALO if above else 0),
        pixels=np.concatenate([strip.pixels for strip in parts], axis=1),
        valid=np.concatenate([strip.valid for strip in parts]),
        reason=np.concatenate([strip.reason for strip in parts]),
    )


def _take_rows(strip: Strip, start: int, stop: int | None) -> Strip:
    """A copy of some pixel rows."""
    return replace(
        strip,
        pixels=strip.pixels[:, start:stop].copy(),
        valid=strip.valid[start:stop].copy(),
        reason=strip.reason[start:stop].copy(),
    )


def cut_windows(strip: Strip, tiles: Grid, rows: int) -> Iterator[Cutout]:
    """The windows of a strip with halo.

    A column of tiles cut off by the edge is in the same window as the column before.
    """
    step = WINDOW_PIXELS // (rows * tiles.tile_size**2)
    starts = range(0, max(1, tiles.width // tiles.tile_size), step)
    for first, last in pairwise([*starts, tiles.cols]):
        yield _cut(strip, tiles, slice(first, last))


def _cut(strip: Strip, tiles: Grid, cols: slice) -> Cutout:
    size, rows = tiles.tile_size, slice(strip.first_row, strip.last_row)
    top, left = rows.start * size, cols.start * size
    height, width = (rows.stop - rows.start) * size, (cols.stop - cols.start) * size

    def take(array: np.ndarray, beyond: Literal["constant", "symmetric"]) -> np.ndarray:
        """The window's part of an array; beyond the scene 0, or mirrored."""
        part = array[..., max(0, left - HALO) : left + width + HALO]
        above, before = strip.top - (top - HALO), max(0, HALO - left)
        below = height + 2 * HALO - above - part.shape[-2]
        after = width + 2 * HALO - before - part.shape[-1]
        sides = [(0, 0)] * (array.ndim - 2) + [(above, below), (before, after)]
        return np.pad(part, sides, mode=beyond)

    valid, reason = take(strip.valid, "constant"), take(strip.reason, "constant")
    # A constant beyond the edge of the data would look like a lake.
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
        valid=_count(valid[INNER]),
        masked={code: _count(reason[INNER] == code) for code in list_reasons(reason[INNER])},
    )


def mirror_missing(
    pixels: np.ndarray, shown: np.ndarray, has_data: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror valid pixels into missing ones, up to HALO pixels from the edge of the data.

    `pixels` are uint8 (3, h, w); `shown` and `has_data` are bool (h, w): pixels that the network
    sees, and pixels with data, masked or not. Returns new `pixels` and `shown`.
    """
    missing = ~has_data
    if not missing.any() or not shown.any():
        return pixels, shown
    from scipy.ndimage import distance_transform_edt  # slow to import, rarely needed

    distance, indices = distance_transform_edt(~shown, return_indices=True)
    rows, cols = np.nonzero(missing & (distance <= HALO))
    nearest = indices[:, rows, cols]
    mirrored = 2 * nearest - (rows, cols)
    limits = np.array(shown.shape)[:, None]
    fits = ((mirrored >= 0) & (mirrored < limits)).all(axis=0)
    fits[fits] = shown[tuple(mirrored[:, fits])]
    source = np.where(fits, mirrored, nearest)
    filled, seen = pixels.copy(), shown.copy()
    filled[:, rows, cols] = pixels[:, source[0], source[1]]
    seen[rows, cols] = True
    return filled, seen


def _span(start: int, size: int, end: int) -> np.ndarray:
    """Int64 (size / 4,): pixels along each cell, of a scene that ends at `end`."""
    return np.clip(end - np.arange(start, start + size, CELL), 0, CELL)


def _count(pixels: np.ndarray) -> np.ndarray:
    return sum_blocks(pixels, CELL).astype(np.int64)


def sum_blocks(values: np.ndarray, side: int) -> np.ndarray:
    """Sums of blocks of `side` × `side` values of (h, w, …)."""
    if side == 1:
        return values
    rows, cols = values.shape[0] // side, values.shape[1] // side
    blocks = values.reshape(rows, side, cols, side, *values.shape[2:])
    return blocks.sum(axis=1, dtype=np.uint32).sum(axis=2)


def _find_part(cutout: Cutout, grid: Grid) -> Part:
    """The cells of a grid in a window."""
    ratio = grid.tile_size // grid.stride
    return (
        slice(cutout.rows.start * ratio, min(cutout.rows.stop * ratio, grid.rows)),
        slice(cutout.cols.start * ratio, min(cutout.cols.stop * ratio, grid.cols)),
    )


def _fill(
    landcover: LandCoverMap,
    part: Part,
    inside: np.ndarray,
    cutout: Cutout,
    prediction: WindowPrediction | None,
    plan: MapPlan,
) -> None:
    """Add a window's cells of one size to a map."""
    grid, min_share = landcover.grid, plan.settings.min_valid_share
    coverage = measure_window(cutout, grid, min_share).within(inside)
    rows, cols = inside.shape  # the window may extend beyond the grid
    if prediction is None:
        nothing = landcover.probabilities[part]
        fill_part(landcover, part, coverage, nothing, np.zeros_like(inside))
    elif grid.stride == grid.tile_size:
        unknown = prediction.unknown & (not plan.settings.keep_unknown)
        probabilities = quantise_probabilities(prediction.tiles)
        fill_part(landcover, part, coverage, probabilities, unknown)
    else:
        usable = measure_window(cutout, replace(grid, stride=CELL), min_share).usable
        probabilities = average_cells(prediction.cells, usable, grid.stride // CELL)
        unknown = _repeat(prediction.unknown_cells, grid.tile_size // 2 // grid.stride)
        fill_part(
            landcover,
            part,
            coverage,
            probabilities[:rows, :cols],
            unknown[:rows, :cols] & (not plan.settings.keep_unknown),
            find_colors(cutout, grid.stride)[:rows, :cols],
        )


def measure_window(cutout: Cutout, grid: Grid, min_share: float) -> Coverage:
    """Coverage of the cells of a window; a cell of tile size also depends on its tile."""
    side, in_tile = grid.stride // CELL, grid.tile_size // CELL
    scene = np.maximum(sum_blocks(cutout.scene, side), 1)
    rows, cols = (
        (starts[:, None] // CELL + np.arange(in_tile)).ravel()
        for starts in (cutout.window.tile_rows, cutout.window.tile_cols)
    )

    def find_fractions(count: np.ndarray) -> Fractions:
        own = sum_blocks(count, side) / scene
        if side < in_tile:
            return own, own
        return own, sum_blocks(count[np.ix_(rows, cols)], in_tile) / grid.tile_size**2

    masked = {code: find_fractions(count) for code, count in cutout.masked.items()}
    return find_coverage(find_fractions(cutout.valid), masked, min_share)


def find_colors(cutout: Cutout, side: int) -> np.ndarray:
    """uint8 (rows, cols, 6): COLORS of valid pixels of cells of `side` pixels; 0 without any."""
    # Obscured cells have no valid pixels.
    valid = _list_pixels(cutout.window.valid[INNER] & _repeat(cutout.valid > 0, CELL), side)
    count = valid.sum(axis=0, dtype=np.uint16)
    hidden = np.uint8(255) * ~valid
    colors = np.empty((*count.shape, len(COLORS)), dtype=np.uint8)
    for band, pixels in enumerate(cutout.window.pixels[INNER]):
        values = _list_pixels(pixels, side)
        total = (values * valid).sum(axis=0, dtype=np.uint32)
        colors[:, :, band] = np.rint(total / np.maximum(count, 1))
        colors[:, :, band + 3] = _average_darkest(values | hidden, count)
    return colors


def _average_darkest(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Means (rows, cols) of the darkest quarter of `count` values of uint8 (n, rows, cols).

    The others are 255. Counting finds the brightest value of the quarter bit by bit, which is
    several times as fast as sorting.
    """
    number = np.min_scalar_type(len(values))
    quarter = np.maximum(count // 4, 1)
    brightest = np.zeros(count.shape, dtype=np.uint8)
    for bit in np.uint8(1) << np.arange(8, dtype=np.uint8)[::-1]:
        fewer = (values < (brightest | bit)).view(np.uint8).sum(axis=0, dtype=number) < quarter
        brightest |= bit * fewer
    darker = values < brightest
    total = (values * darker).sum(axis=0, dtype=np.uint32)
    total += brightest * (quarter - darker.sum(axis=0, dtype=np.uint32))
    return np.where(count > 0, np.rint(total / quarter), 0)


def _repeat(cells: np.ndarray, side: int) -> np.ndarray:
    return cells.repeat(side, axis=0).repeat(side, axis=1)


def _list_pixels(pixels: np.ndarray, side: int) -> np.ndarray:
    """(side², h / side, w / side) of (h, w)."""
    rows, cols = pixels.shape[0] // side, pixels.shape[1] // side
    blocks = pixels.reshape(rows, side, cols, side).transpose(1, 3, 0, 2)
    return blocks.reshape(side * side, rows, cols)


def average_cells(cells: np.ndarray, usable: np.ndarray, side: int) -> np.ndarray:
    """Means of blocks of `side` × `side` usable cells, uint8 (rows, cols, classes)."""
    if side == 1:
        return cells
    total = sum_blocks(cells * usable[:, :, None], side)
    count = np.maximum(sum_blocks(usable, side), 1)
    return np.rint(total / count[:, :, None]).astype(np.uint8)
