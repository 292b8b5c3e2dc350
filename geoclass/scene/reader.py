"""A scene as strips of 8-bit pixels, read ahead of the work.

Reading strips of whole blocks is several times faster than reading tile by tile, and only
two strips are in memory at a time, whatever the height of the scene.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import rasterio
from rasterio.windows import Window

from geoclass.grid import Grid
from geoclass.scene.dataset import gdal_settings
from geoclass.scene.frame import Frame
from geoclass.scene.mask import Masks, ReadMask, open_masks
from geoclass.scene.pixels import ReadPixels, open_pixels
from geoclass.scene.radiometry import Radiometry
from geoclass.scene.source import SceneSource

STRIP_PIXELS = 6_000_000
"""A strip has about so many pixels: enough for whole batches, little enough for any laptop."""

GDAL_CACHE_BYTES = 256 * 2**20
"""Holds the blocks that two strips share; GDAL's own default is 5 % of the machine's memory."""


WARPED_BLOCK = 128
"""Rows that GDAL warps together."""


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
class Looks:
    """How stored numbers are read, and which pixels are not."""

    radiometry: Radiometry
    masks: Masks


def read_strips(
    source: SceneSource,
    frame: Frame,
    grid: Grid,
    looks: Looks,
    strip_pixels: int = STRIP_PIXELS,
) -> Iterator[Strip]:
    """All rows of cells from top to bottom; the next strip is read while one is worked on.

    Raises SceneError where the file cannot be read.
    """
    spans = _plan_spans(source, frame, grid, strip_pixels)
    with (
        rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES),
        open_pixels(source, frame) as read_pixels,
        open_masks(source, frame, looks.masks) as read_mask,
        # The thread ends before the data set is closed under it, also when nobody reads on;
        # and GDAL's data sets are not for two threads at once, so there is one.
        ThreadPoolExecutor(max_workers=1) as thread,
    ):

        def read(span: tuple[int, int]) -> Strip:
            # An environment of this thread's own: without, GDAL prints what it has to say,
            # and does not know how often to ask a server again.
            with rasterio.Env(**gdal_settings(source.dataset)):
                return _read_strip((read_pixels, read_mask), grid, looks.radiometry, span)

        ahead = thread.submit(read, spans[0])
        for span in spans[1:]:
            strip, ahead = ahead.result(), thread.submit(read, span)
            yield strip
        yield ahead.result()


def _plan_spans(
    source: SceneSource, frame: Frame, grid: Grid, strip_pixels: int
) -> list[tuple[int, int]]:
    """Rows of cells to read together: (first, one after last)."""
    stored_together = source.block_height if frame.access == "read" else WARPED_BLOCK
    block_rows = max(1, min(stored_together, grid.height) // grid.stride)
    wanted_rows = max(1, strip_pixels // (grid.width * grid.stride))
    # Whole blocks where a block is no taller than the strip that memory allows.
    step = max(wanted_rows // block_rows * block_rows, min(wanted_rows, block_rows))
    return [(row, min(row + step, grid.rows)) for row in range(0, grid.rows, step)]


def _read_strip(
    readers: tuple[ReadPixels, ReadMask],
    grid: Grid,
    radiometry: Radiometry,
    span: tuple[int, int],
) -> Strip:
    first, last = span
    top = int(grid.tile_rows[first])
    bottom = int(grid.tile_rows[last - 1]) + grid.tile_size
    window = Window(0, top, grid.width, bottom - top)
    read_pixels, read_mask = readers
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
