"""A scene as strips of 8-bit pixels, read in advance.

Reading strips of whole blocks is several times faster than reading tiles, and only a few strips
are in memory at a time.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
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
"""Approximate size of a strip: several batches, and little memory."""

SHARED_CACHE_BYTES = 256 * 2**20
"""For blocks that are in two strips; GDAL's default is 5 % of the machine's memory."""
OWN_CACHE_BYTES = 64 * 2**20
"""Per reader, if no block is in two strips."""

WARPED_BLOCK = 128
"""Rows that GDAL warps together."""

MOST_READERS = 8
"""Maximum number of strips that are read in parallel; each needs about 70 MB."""
MOST_READ_TWICE = 0.1
"""Maximum fraction of blocks that parallel readers may decode twice."""

_Reader = tuple[ReadPixels, ReadMask]
"""Reads a data set of the scene, and those of its masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Rows of cells with all pixels of their tiles."""

    first_row: int
    """The first row of cells."""
    last_row: int
    """The row of cells after the last."""
    top: int
    """Pixel row of the frame of row 0."""
    pixels: np.ndarray
    """uint8 (3, h, width): red, green, blue with EuroSAT's stretch."""
    valid: np.ndarray
    """bool (h, width): True for data that are not masked."""
    reason: np.ndarray
    """uint8 (h, width): index in MASK_REASONS of masked data; 0 elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Radiometry and masks of a scene."""

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
    """Strips from top to bottom; the next ones are read while the caller uses one.

    A strip has `strip_rows` rows of cells, or about `strip_pixels` pixels in whole blocks. Raises
    SceneError if the file cannot be read.
    """
    spans = _plan_spans(source, frame, grid, strip_pixels, strip_rows)
    count = _count_readers(source, frame, grid, spans)
    cache_bytes = SHARED_CACHE_BYTES if count == 1 else OWN_CACHE_BYTES * count
    with (
        rasterio.Env(GDAL_CACHEMAX=cache_bytes),
        ExitStack() as stack,
        # Leaving the context ends the threads before their data sets are closed.
        ThreadPoolExecutor(max_workers=count) as threads,
    ):
        # A GDAL data set must not be used by two threads at once.
        readers: SimpleQueue[_Reader | None] = SimpleQueue()
        possible = preprocessing.radiometry.possible
        for _ in range(count):
            read_pixels = stack.enter_context(open_pixels(source, frame, possible))
            read_mask = stack.enter_context(open_masks(source, frame, preprocessing.masks))
            readers.put((read_pixels, read_mask))
        stack.callback(_take_back, readers, count)

        def read(span: tuple[int, int]) -> Strip:
            reader = readers.get()
            if reader is None:
                raise CancelledError
            try:
                # Each thread needs an environment, or GDAL prints messages and ignores the
                # settings of retries.
                with rasterio.Env(**gdal_settings(source.dataset)):
                    return _read_strip(reader, grid, preprocessing.radiometry, span)
            finally:
                readers.put(reader)

        for strip in map_ahead(threads, read, spans, count + 1):
            preprocessing.masks.count(strip.reason, strip.valid)
            yield strip


def _take_back(readers: SimpleQueue[_Reader | None], count: int) -> None:
    """Wait until no thread uses a reader, and prevent further use.

    The executor does not wait for a thread whose start was interrupted, for example by Ctrl-C.
    """
    for _ in range(count):
        readers.get()
    for _ in range(count):
        readers.put(None)


def _count_readers(
    source: SceneSource, frame: Frame, grid: Grid, spans: Sequence[tuple[int, int]]
) -> int:
    """Number of parallel readers: one, if many blocks are in two strips.

    Readers do not share blocks, so they would decode these twice.
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
    """Rows of cells of each strip: (first, end)."""
    stored_together = source.block_height if frame.access == "read" else WARPED_BLOCK
    block_rows = max(1, min(stored_together, grid.height) // grid.stride)
    wanted_rows = max(1, strip_pixels // (grid.width * grid.stride))
    # Whole blocks, unless a block is higher than a strip.
    step = max(wanted_rows // block_rows * block_rows, min(wanted_rows, block_rows))
    starts = range(0, grid.rows, step)
    if strip_rows is not None:
        # A narrow last row is read with the row above it.
        starts = range(0, max(1, grid.height // grid.stride), strip_rows)
    return list(pairwise([*starts, grid.rows]))


def _read_strip(
    reader: _Reader, grid: Grid, radiometry: Radiometry, span: tuple[int, int]
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
