"""A scene as strips of 8-bit pixels, read ahead of the work.

Reading strips of whole blocks is several times faster than reading tile by tile, and only
some strips are in memory at a time, whatever the height of the scene.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import rasterio
from rasterio.windows import Window

from geoclass.grid import Grid
from geoclass.machine import count_cores, map_ahead
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.open.gdal import gdal_settings
from geoclass.scene.open.guard import is_remote
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.conversion import Radiometry
from geoclass.scene.read.masks import Masks, ReadMask, open_masks
from geoclass.scene.read.pixels import ReadPixels, open_pixels

STRIP_PIXELS = 6_000_000
"""A strip has about so many pixels: enough for whole batches, little enough for any laptop."""

SHARED_CACHE_BYTES = 256 * 2**20
"""Holds the blocks that two strips share; GDAL's own default is 5 % of the machine's memory."""
OWN_CACHE_BYTES = 64 * 2**20
"""A reader's share, where no block is in two strips: those that it is at work on."""

WARPED_BLOCK = 128
"""Rows that GDAL warps together."""

MOST_READERS = 8
"""Strips that are read side by side at most: each needs some 70 MB."""
MOST_READ_TWICE = 0.1
"""Of a scene's blocks, lest several readers do more work than one."""

_Reader = tuple[ReadPixels, ReadMask]
"""One data set of the scene, and of its masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Some rows of cells, with all pixels that their tiles need."""

    first_row: int
    """The first row of cells."""
    last_row: int
    """The row of cells after the last."""
    top: int
    """The pixel row of the scene that is row 0 here."""
    pixels: np.ndarray
    """uint8 (3, h, width): red, green, blue as the networks know them."""
    valid: np.ndarray
    """bool (h, width): True where there is data that is not masked."""
    reason: np.ndarray
    """uint8 (h, width): why a pixel with data is masked, as in MASK_REASONS; 0 elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How stored numbers are read, and which pixels are not."""

    radiometry: Radiometry
    masks: Masks


def read_strips(
    source: SceneSource,
    frame: Frame,
    grid: Grid,
    preprocessing: Preprocessing,
    strip_pixels: int = STRIP_PIXELS,
    strip_rows: int | None = None,
) -> Iterator[Strip]:
    """All rows of cells from top to bottom; the next strips are read while one is worked on.

    A strip has so many rows of cells, or, by default, about so many pixels in whole blocks.
    Raises SceneError where the file cannot be read.
    """
    spans = _plan_spans(source, frame, grid, strip_pixels, strip_rows)
    count = _count_readers(source, frame, grid, spans)
    cache_bytes = SHARED_CACHE_BYTES if count == 1 else OWN_CACHE_BYTES * count
    with (
        rasterio.Env(GDAL_CACHEMAX=cache_bytes),
        ExitStack() as stack,
        # The threads end before the data sets are closed under them, also when nobody reads on.
        ThreadPoolExecutor(max_workers=count) as threads,
    ):
        # GDAL's data sets are not for two threads at once: each reader is in one hand at a time.
        readers: SimpleQueue[_Reader | None] = SimpleQueue()
        for _ in range(count):
            readers.put(stack.enter_context(_open_reader(source, frame, preprocessing.masks)))
        stack.callback(_take_back, readers, count)

        def read(span: tuple[int, int]) -> Strip:
            reader = readers.get()
            if reader is None:
                raise CancelledError
            try:
                # An environment of this thread's own: without, GDAL prints what it has to say,
                # and does not know how often to ask a server again.
                with rasterio.Env(**gdal_settings(source.dataset)):
                    return _read_strip(reader, grid, preprocessing.radiometry, span)
            finally:
                readers.put(reader)

        for strip in map_ahead(threads, read, spans, count + 1):
            preprocessing.masks.count(strip.reason, strip.valid)
            yield strip


def _take_back(readers: SimpleQueue[_Reader | None], count: int) -> None:
    """Wait until no thread uses a reader, and let none use one from now on.

    The executor does not wait for a thread whose start was interrupted, as by Ctrl-C.
    """
    for _ in range(count):
        readers.get()
    for _ in range(count):
        readers.put(None)


@contextmanager
def _open_reader(source: SceneSource, frame: Frame, masks: Masks) -> Iterator[_Reader]:
    with open_pixels(source, frame) as read_pixels, open_masks(source, frame, masks) as read_mask:
        yield read_pixels, read_mask


def _count_readers(
    source: SceneSource, frame: Frame, grid: Grid, spans: Sequence[tuple[int, int]]
) -> int:
    """Data sets to read with side by side: several, if hardly a block is in two strips.

    Each has blocks of its own, so that a block in two strips would be decoded twice.
    """
    if len(spans) == 1 or frame.access != "read" or is_remote(source.dataset):
        return 1
    first, last = np.array(spans).T
    tops = grid.tile_rows[first] + frame.row_off
    bottoms = grid.tile_rows[last - 1] + grid.tile_size + frame.row_off
    block = source.block_height
    read = block * (-(-bottoms // block) - tops // block).sum()
    if read > (1 + MOST_READ_TWICE) * (grid.height + 2 * block):
        return 1
    return min(len(spans), MOST_READERS, count_cores())


def _plan_spans(
    source: SceneSource,
    frame: Frame,
    grid: Grid,
    strip_pixels: int,
    strip_rows: int | None = None,
) -> list[tuple[int, int]]:
    """Rows of cells to read together: (first, one after last)."""
    stored_together = source.block_height if frame.access == "read" else WARPED_BLOCK
    block_rows = max(1, min(stored_together, grid.height) // grid.stride)
    wanted_rows = max(1, strip_pixels // (grid.width * grid.stride))
    # Whole blocks where a block is no taller than the strip that memory allows.
    step = max(wanted_rows // block_rows * block_rows, min(wanted_rows, block_rows))
    starts = range(0, grid.rows, step)
    if strip_rows is not None:
        # A row that the scene's edge cuts off is read with the whole one above it.
        starts = range(0, max(1, grid.height // grid.stride), strip_rows)
    return list(zip(starts, [*starts[1:], grid.rows], strict=True))


def _read_strip(
    reader: _Reader,
    grid: Grid,
    radiometry: Radiometry,
    span: tuple[int, int],
) -> Strip:
    first, last = span
    top = int(grid.tile_rows[first])
    bottom = int(grid.tile_rows[last - 1]) + grid.tile_size
    window = Window(0, top, grid.width, bottom - top)
    read_pixels, read_mask = reader
    stored, valid = read_pixels(window)
    reason = np.where(valid, read_mask(window), np.uint8(0))
    return Strip(
        first_row=first,
        last_row=last,
        top=top,
        pixels=radiometry.apply(stored),
        valid=valid & (reason == 0),
        reason=reason,
    )
