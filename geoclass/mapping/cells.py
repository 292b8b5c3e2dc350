"""From a strip of pixels to what is asked of each of its cells: enough to see, and what to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geoclass.grid import Grid
from geoclass.landcover import MASK_REASONS
from geoclass.scene.reader import Strip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellView:
    """How much of each cell of a strip can be seen; arrays are (rows of cells, cols)."""

    valid_share: np.ndarray
    """float, 0–1: pixels of the cell with data that is not masked."""
    seen: np.ndarray
    """bool: enough of the cell and of its tile is valid."""
    mask_reason: np.ndarray
    """uint8: where masks are why a cell is not seen, the commonest reason; 0 elsewhere."""

    def part(self, where: tuple[slice, slice]) -> CellView:
        """The same of some rows and columns."""
        return CellView(
            valid_share=self.valid_share[where],
            seen=self.seen[where],
            mask_reason=self.mask_reason[where],
        )

    def within(self, inside: np.ndarray) -> CellView:
        """The same of cells that are to be mapped, bool (rows, cols); of others nothing is told."""
        return CellView(
            valid_share=np.where(inside, self.valid_share, 0),
            seen=self.seen & inside,
            mask_reason=np.where(inside, self.mask_reason, 0).astype(np.uint8),
        )


Shares = tuple[np.ndarray, np.ndarray]
"""How much of each cell, and of what it is judged by, floats 0–1, (rows of cells, cols)."""


def view_shares(valid: Shares, masked: Mapping[int, Shares], min_share: float) -> CellView:
    """Decide which cells are seen, by their valid pixels and those masked for each reason.

    A masked cell has data enough, a nodata cell has not.
    """
    in_cell, in_tile = valid
    seen = np.minimum(in_cell, in_tile) >= min_share
    reason = np.zeros(in_cell.shape, dtype=np.uint8)
    if masked:
        codes = np.array(list(masked))
        by_code = np.stack([cell for cell, _ in masked.values()])
        tile_data = in_tile + sum(tile for _, tile in masked.values())
        has_data = np.minimum(in_cell + by_code.sum(axis=0), tile_data) >= min_share
        reason = np.where(has_data & ~seen, codes[by_code.argmax(axis=0)], 0).astype(np.uint8)
    return CellView(valid_share=in_cell, seen=seen, mask_reason=reason)


def find_reasons(reason: np.ndarray) -> list[int]:
    """Codes of why pixels are masked, of an array of them."""
    return [code for code in range(1, len(MASK_REASONS)) if (reason == code).any()]


def view_cells(strip: Strip, grid: Grid, min_share: float) -> CellView:
    """Which cells of a strip are seen, as tiles."""
    return view_shares(
        _find_shares(strip.valid, strip, grid),
        {
            code: _find_shares(strip.reason == code, strip, grid)
            for code in find_reasons(strip.reason)
        },
        min_share,
    )


def _find_shares(pixels: np.ndarray, strip: Strip, grid: Grid) -> Shares:
    """Share of True pixels in each cell and in its tile, float (rows of cells, cols)."""
    if pixels.all():  # most strips; sums of millions of pixels take as long as reading them
        whole = np.ones((strip.last_row - strip.first_row, grid.cols))
        return whole, whole
    row_edges = grid.row_edges[strip.first_row : strip.last_row + 1] - strip.top
    by_row = np.add.reduceat(pixels[: row_edges[-1]], row_edges[:-1], axis=0, dtype=np.int32)
    in_cell = np.add.reduceat(by_row, grid.col_edges[:-1], axis=1)
    areas = np.outer(np.diff(row_edges), np.diff(grid.col_edges))
    tile_top = grid.tile_rows[strip.first_row : strip.last_row] - strip.top
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (grid.tile_size, grid.tile_size))
    return in_cell / areas, windows[np.ix_(tile_top, grid.tile_cols)].mean(axis=(2, 3))


def cut_tiles(strip: Strip, grid: Grid, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Uint8 (n, 3, tile, tile): the tiles of the cells, rows counted within the strip."""
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
    """Give pixels without data the value of the nearest that has some.

    Black would be taken for water, and a plain mean for a river beside land.
    """
    # Here, because it takes a third of a second to import, and most scenes have all their pixels.
    from scipy.ndimage import distance_transform_edt

    places = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    tile[:] = tile[:, places[0], places[1]]
