"""Valid pixels of cells, and cutting tiles out of strips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geoclass.grid import Grid
from geoclass.landcover import MASK_REASONS
from geoclass.scene.read.strips import Strip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """Valid pixels of cells; arrays are (rows, cols) of cells."""

    valid_share: np.ndarray
    """float, 0–1: fraction of the cell's pixels that have data and are not masked."""
    usable: np.ndarray
    """bool: cell and tile have enough valid pixels to be classified."""
    mask_reason: np.ndarray
    """uint8: most common reason if masks make a cell unusable; 0 elsewhere."""

    def within(self, inside: np.ndarray) -> Coverage:
        """The part that `inside`, bool (rows, cols), covers; cells where it is False are nodata."""
        rows, cols = inside.shape
        return Coverage(
            valid_share=np.where(inside, self.valid_share[:rows, :cols], 0),
            usable=self.usable[:rows, :cols] & inside,
            mask_reason=np.where(inside, self.mask_reason[:rows, :cols], 0).astype(np.uint8),
        )


Fractions = tuple[np.ndarray, np.ndarray]
"""Fractions of the pixels of each cell and of its tile, 0–1, (rows, cols)."""


def find_coverage(valid: Fractions, masked: Mapping[int, Fractions], min_share: float) -> Coverage:
    """Coverage from the fractions of valid pixels, and of masked pixels by reason.

    A cell with too few valid pixels is masked if it has enough data, otherwise nodata.
    """
    in_cell, in_tile = valid
    usable = np.minimum(in_cell, in_tile) >= min_share
    reason = np.zeros(in_cell.shape, dtype=np.uint8)
    if masked:
        codes = np.array(list(masked))
        by_code = np.stack([cell for cell, _ in masked.values()])
        tile_data = in_tile + sum(tile for _, tile in masked.values())
        has_data = np.minimum(in_cell + by_code.sum(axis=0), tile_data) >= min_share
        reason = np.where(has_data & ~usable, codes[by_code.argmax(axis=0)], 0).astype(np.uint8)
    return Coverage(valid_share=in_cell, usable=usable, mask_reason=reason)


def list_reasons(reason: np.ndarray) -> list[int]:
    """Codes of mask reasons in an array."""
    return [code for code in range(1, len(MASK_REASONS)) if (reason == code).any()]


def measure_coverage(strip: Strip, grid: Grid, min_share: float) -> Coverage:
    """Coverage of the cells of a strip."""
    masked = {
        code: _measure_fractions(strip.reason == code, strip, grid)
        for code in list_reasons(strip.reason)
    }
    return find_coverage(_measure_fractions(strip.valid, strip, grid), masked, min_share)


def _measure_fractions(pixels: np.ndarray, strip: Strip, grid: Grid) -> Fractions:
    if pixels.all():  # most strips; summation takes as long as reading
        ones = np.ones((strip.last_row - strip.first_row, grid.cols))
        return ones, ones
    row_edges = grid.row_edges[strip.first_row : strip.last_row + 1] - strip.top
    by_row = np.add.reduceat(pixels[: row_edges[-1]], row_edges[:-1], axis=0, dtype=np.int32)
    in_cell = np.add.reduceat(by_row, grid.col_edges[:-1], axis=1)
    areas = np.outer(np.diff(row_edges), np.diff(grid.col_edges))
    tile_top = grid.tile_rows[strip.first_row : strip.last_row] - strip.top
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (grid.tile_size, grid.tile_size))
    return in_cell / areas, windows[np.ix_(tile_top, grid.tile_cols)].mean(axis=(2, 3))


def cut_tiles(strip: Strip, grid: Grid, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Uint8 (n, 3, tile, tile): tiles of cells; rows count within the strip."""
    top = grid.tile_rows[strip.first_row + rows] - strip.top
    left = grid.tile_cols[cols]
    size = (grid.tile_size, grid.tile_size)
    windows = np.lib.stride_tricks.sliding_window_view(strip.pixels, size, axis=(1, 2))
    tiles = np.ascontiguousarray(windows[:, top, left].swapaxes(0, 1))
    masks = np.lib.stride_tricks.sliding_window_view(strip.valid, size)[top, left]
    for i in np.flatnonzero(~masks.all(axis=(1, 2))):
        fill_invalid(tiles[i], masks[i])
    return tiles


def fill_invalid(tile: np.ndarray, valid: np.ndarray) -> None:
    """Fill invalid pixels with the nearest valid value.

    Black would look like water, and a constant next to land like a river.
    """
    from scipy.ndimage import distance_transform_edt  # slow to import, rarely needed

    nearest = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    tile[:] = tile[:, nearest[0], nearest[1]]
