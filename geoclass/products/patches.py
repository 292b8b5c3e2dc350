"""Neighbouring cells of one value as one polygon: exact outlines, without a loop over cells."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from geoclass.grid import Grid

OUTSIDE = -1
"""The patch of a cell that belongs to none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patches:
    """Cells of one value that share sides; patches that touch at a corner only are two."""

    number: np.ndarray
    """int32 (rows, cols): the patch of each cell, OUTSIDE where there is none."""
    wkb: np.ndarray
    """Object (patches,): polygons, clipped to the scene, with holes; a fraction of the time and
    memory of shapely's."""


def find_patches(values: np.ndarray, wanted: np.ndarray, grid: Grid) -> Patches:
    """Dissolve the cells where `wanted` is True; both are (rows, cols).

    Patches are numbered by their first cells, row by row from the upper left.
    """
    number = _number_patches(values, wanted)
    return Patches(number=number, wkb=_outline(number, grid))


def _number_patches(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int32 (rows, cols): connected components by shared sides, OUTSIDE where not wanted."""
    # Runs of equal cells of a row are tied together: there are fewer of them than of cells.
    starts = np.ones(values.shape, dtype=bool)
    starts[:, 1:] = (values[:, 1:] != values[:, :-1]) | (wanted[:, 1:] != wanted[:, :-1])
    run = starts.cumsum(dtype=np.int32).reshape(values.shape) - 1
    ties = (values[1:] == values[:-1]) & wanted[1:] & wanted[:-1]
    # Of the sides that two runs share the first is enough.
    ties[:, 1:] &= ~ties[:, :-1] | starts[1:, 1:] | starts[:-1, 1:]
    one, other = run[:-1][ties], run[1:][ties]
    runs = int(run[-1, -1]) + 1
    links = csr_matrix((np.ones(len(one), bool), (one, other)), shape=(runs, runs))
    _, component = connected_components(links, directed=False)
    kept = wanted[starts]
    _, first, inverse = np.unique(component[kept], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int32)
    rank[first.argsort()] = np.arange(len(first))
    number = np.full(runs, OUTSIDE, dtype=np.int32)
    number[kept] = rank[inverse]
    of_cells: np.ndarray = number[run]
    return of_cells


def _outline(number: np.ndarray, grid: Grid) -> np.ndarray:
    """Object (patches,): polygons as WKB, in the order of their numbers."""
    if (number == OUTSIDE).all():
        return np.empty(0, dtype=object)
    row, col, patch, starts = _trace_rings(number)
    length = np.diff(starts)
    owner = patch[starts[:-1]]
    # Of the rings of one polygon the first is the shell.
    order = np.lexsort((~_find_shells(row, col, starts), owner))
    # Each ring ends with its first corner.
    points = length[order] + 1
    ends = points.cumsum()
    corner = np.arange(ends[-1]) + np.repeat(starts[:-1][order] - ends + points, points)
    corner[ends - 1] = starts[:-1][order]
    _, first, rings = np.unique(owner[order], return_index=True, return_counts=True)
    return _format_wkb(grid.corners(row[corner], col[corner]), points, first, rings)


def _find_shells(row: np.ndarray, col: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Bool (rings,): which go clockwise, with rows counted downward; others are holes."""
    following = np.arange(1, len(row) + 1, dtype=np.int32)
    following[starts[1:] - 1] = starts[:-1]
    # Twice the signed area (shoelace formula).
    cross = col * row[following] - col[following] * row
    is_shell: np.ndarray = np.add.reduceat(cross, starts[:-1]) > 0
    return is_shell


def _format_wkb(
    corners: np.ndarray, points: np.ndarray, first: np.ndarray, rings: np.ndarray
) -> np.ndarray:
    """Object (polygons,): WKB (OGC 06-103r4, 8.2.8), little-endian.

    `corners` is float64 (corners, 2), `points` int (rings,), how many of them a ring has; of a
    polygon `first` is the number of the first ring, and `rings` how many it has.
    """
    # But for the byte that says little-endian, all are words of four bytes: of a polygon its
    # kind, 3, and its rings; of a ring its points; of a point four.
    heads = np.ones(len(points), dtype=np.int64)
    heads[first] = 3
    ends = (heads + 4 * points).cumsum()
    counts = ends - 4 * points - 1
    kinds = counts[first] - 2
    is_point = np.ones(ends[-1], dtype=bool)
    for places in (counts, kinds, kinds + 1):
        is_point[places] = False
    words = np.empty(ends[-1], dtype="<u4")
    words[is_point] = corners.astype("<f8", copy=False).view("<u4").ravel()
    words[counts], words[kinds], words[kinds + 1] = points, 3, rings
    content = words.data.cast("B")
    edges = (4 * np.append(kinds, ends[-1])).tolist()
    wkb = np.empty(len(first), dtype=object)
    wkb[:] = [b"\1" + content[start:end] for start, end in pairwise(edges)]
    return wkb


def _trace_rings(number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns (int64) and patches of all rings' corners, and where each ring starts.

    Borders are walked with their patch on the right. The last start is the number of corners.
    """
    parts = [_find_corners(number, south, east) for south in (0, 1) for east in (0, 1)]
    patch, *places, leaves_along_row = map(np.concatenate, zip(*parts, strict=True))
    row_line, col_place, col_line, row_place = places
    following = np.where(leaves_along_row, _pair(row_line, col_place), _pair(col_line, row_place))
    # A ring turns at each corner, so every second one is left along a row: these are walked.
    second = np.flatnonzero(leaves_along_row)
    number_of = np.empty(len(following), dtype=np.int32)
    number_of[second] = np.arange(len(second))
    order, ring = _walk(number_of[following[following[second]]])
    walked = np.stack([second[order], following[second[order]]], axis=1).ravel()
    starts = 2 * np.append(np.flatnonzero(np.diff(ring[order], prepend=-1)), len(order))
    row, col = (line[walked].astype(np.int64) // 2 for line in (row_line, col_line))
    return row, col, patch[walked], starts


def _find_corners(number: np.ndarray, south: int, east: int) -> tuple[np.ndarray, ...]:
    """The corners of patches' borders at one corner of cells, (n,) each.

    Patch; by which corners are paired along rows, line and place, and along columns; whether the
    walk goes on along the row. Of a line, the two sides count as two. Of two corners in one
    place, that where a border ends comes before that where one begins.

    At its cell's corner a border turns around the cell; or inward, where all but the cell across
    are of the patch; or it meets itself, where only the cell across is. There, each cell keeps
    its side along the row and takes the other's along the column, so that the patch gets a hole
    that touches its shell.
    """
    rows, cols = number.shape
    padded = np.pad(number, 1, constant_values=OUTSIDE)
    down, right = 2 * south, 2 * east
    beside = padded[1:-1, right : right + cols] == number
    above = padded[down : down + rows, 1:-1] == number
    across = padded[down : down + rows, right : right + cols] == number
    turns = (beside == above) & ~(beside & across) & (number != OUTSIDE)
    cell = np.flatnonzero(turns)
    inward, meets = beside.ravel()[cell], across.ravel()[cell]
    # Numbers of 16 bits are sorted in a fraction of the time.
    small = np.min_scalar_type(2 * max(rows, cols) + 1)
    row, col = (
        2 * (part + far).astype(small)
        for part, far in zip(np.divmod(cell, cols), (south, east), strict=True)
    )
    return (
        number.ravel()[cell],
        row + south,
        col + (inward ^ (not east)),
        col + (meets ^ bool(east)),
        row + (inward ^ meets ^ (not south)),
        inward ^ (south == east),
    )


def _pair(line: np.ndarray, place: np.ndarray) -> np.ndarray:
    """int32 (n,): to each corner the other end of its border.

    On one side of a line borders do not overlap, so one that begins is the next that ends.
    """
    first, last = np.lexsort((place, line)).reshape(-1, 2).T
    other = np.empty(len(line), dtype=np.int32)
    other[first], other[last] = last, first
    return other


def _walk(following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order in which sides are met, ring after ring, and the ring of each side (unordered)."""
    n = len(following)
    _, ring = connected_components(_chain(following), directed=False)
    _, first = np.unique(ring, return_index=True)
    before = np.empty(n, dtype=np.int32)
    before[following] = np.arange(n)
    # Cut open and tied together, all rings are one path, which compiled code walks.
    path = following.copy()
    path[before[first]] = np.append(first[1:], first[0])
    order = breadth_first_order(_chain(path), first[0], return_predecessors=False)
    return order, ring


def _chain(following: np.ndarray) -> csr_matrix:
    """A graph in which each node leads to one other."""
    n = len(following)
    return csr_matrix((np.ones(n, bool), following, np.arange(n + 1)), shape=(n, n))
