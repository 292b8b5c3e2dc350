"""Polygons of patches: connected cells of one value, with exact outlines, vectorised."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from geoclass.grid import Grid

OUTSIDE = -1
"""Number of cells without a patch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patches:
    """Patches: 4-connected cells of one value."""

    number: np.ndarray
    """int32 (rows, cols): patch of each cell, or OUTSIDE."""
    wkb: np.ndarray
    """Object (patches,): polygons with holes, clipped to the scene; faster than shapely objects."""


def find_patches(values: np.ndarray, wanted: np.ndarray, grid: Grid) -> Patches:
    """Dissolve the cells where `wanted` is True; both are (rows, cols).

    Patches are numbered by their first cells in row-major order.
    """
    number = _number_patches(values, wanted)
    return Patches(number=number, wkb=_outline(number, grid))


def _number_patches(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int32 (rows, cols): 4-connected components, OUTSIDE where not wanted."""
    # Nodes of the graph are runs of equal cells in a row: there are fewer runs than cells.
    starts = np.ones(values.shape, dtype=bool)
    starts[:, 1:] = (values[:, 1:] != values[:, :-1]) | (wanted[:, 1:] != wanted[:, :-1])
    run = starts.cumsum(dtype=np.int32).reshape(values.shape) - 1
    ties = (values[1:] == values[:-1]) & wanted[1:] & wanted[:-1]
    # One link per pair of runs.
    ties[:, 1:] &= ~ties[:, :-1] | starts[1:, 1:] | starts[:-1, 1:]
    one, other = run[:-1][ties], run[1:][ties]
    runs = int(run[-1, -1]) + 1
    links = csr_matrix((np.ones(len(one), bool), (one, other)), shape=(runs, runs))
    _, component = connected_components(links, directed=False)
    kept = wanted[starts]
    _, first, inverse = np.unique(component[kept], return_index=True, return_inverse=True)
    number = np.full(runs, OUTSIDE, dtype=np.int32)
    number[kept] = first.argsort().argsort()[inverse]
    return number[run]


def _outline(number: np.ndarray, grid: Grid) -> np.ndarray:
    """Object (patches,): polygons as WKB, by number."""
    if (number == OUTSIDE).all():
        return np.empty(0, dtype=object)
    row, col, patch, starts = _trace_rings(number)
    length = np.diff(starts)
    owner = patch[starts[:-1]]
    # The first ring of a polygon is its shell.
    order = np.lexsort((~_find_shells(row, col, starts), owner))
    # Each ring ends with its first corner.
    points = length[order] + 1
    ends = points.cumsum()
    corner = np.arange(ends[-1]) + np.repeat(starts[:-1][order] - ends + points, points)
    corner[ends - 1] = starts[:-1][order]
    _, first, rings = np.unique(owner[order], return_index=True, return_counts=True)
    return _format_wkb(grid.corners(row[corner], col[corner]), points, first, rings)


def _find_shells(row: np.ndarray, col: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Bool (rings,): True for clockwise rings; others are holes."""
    following = np.arange(1, len(row) + 1, dtype=np.int32)
    following[starts[1:] - 1] = starts[:-1]
    # Twice the signed area (shoelace formula).
    cross = col * row[following] - col[following] * row
    return np.add.reduceat(cross, starts[:-1]) > 0


def _format_wkb(
    corners: np.ndarray, points: np.ndarray, first: np.ndarray, rings: np.ndarray
) -> np.ndarray:
    """Object (polygons,): WKB (OGC 06-103r4, 8.2.8), little-endian.

    `corners` is float64 (corners, 2); `points` is int (rings,), the number of corners of each ring;
    `first` and `rings`, int (polygons,), are the first ring and the number of rings.
    """
    # After the byte order, all values are words of four bytes. A polygon has its type, 3, and its
    # number of rings; a ring has its number of points; a point has four words.
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
    """Rows, columns (int64) and patches of the corners of all rings, and the start of each ring.

    Rings have their patch on the right. The last start is the number of corners.
    """
    parts = [_find_corners(number, south, east) for south in (0, 1) for east in (0, 1)]
    patch, *places, leaves_along_row = map(np.concatenate, zip(*parts, strict=True))
    row_line, col_place, col_line, row_place = places
    following = np.where(leaves_along_row, _pair(row_line, col_place), _pair(col_line, row_place))
    # A ring turns at each corner, so it leaves every second one along a row: only these are walked.
    second = np.flatnonzero(leaves_along_row)
    number_of = np.empty(len(following), dtype=np.int32)
    number_of[second] = np.arange(len(second))
    order, ring = _walk(number_of[following[following[second]]])
    walked = np.stack([second[order], following[second[order]]], axis=1).ravel()
    starts = 2 * np.append(np.flatnonzero(np.diff(ring[order], prepend=-1)), len(order))
    row, col = (line[walked].astype(np.int64) // 2 for line in (row_line, col_line))
    return row, col, patch[walked], starts


def _find_corners(number: np.ndarray, south: int, east: int) -> tuple[np.ndarray, ...]:
    """The corners of rings at one corner (south, east) of cells, (n,) each.

    Returns the patch; line and position along rows, and along columns, by which corners are paired;
    and whether the ring continues along the row. The two sides of a line have different numbers. Of
    two corners at one position, the end of a border sorts before the beginning of another.

    A ring turns around the cell; or inward, if all but the diagonal cell are in the patch; or it
    touches itself, if only the diagonal cell is. Then each cell keeps its side along the row and
    takes the other's along the column, so that the hole touches the shell.
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
    # Sorting is much faster with 16 bits.
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
    """int32 (n,): the other end of the border of each corner.

    Borders on one side of a line do not overlap, so consecutive corners are ends of one border.
    """
    first, last = np.lexsort((place, line)).reshape(-1, 2).T
    other = np.empty(len(line), dtype=np.int32)
    other[first], other[last] = last, first
    return other


def _walk(following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of sides, ring by ring, and the ring of each side (unordered)."""
    n = len(following)
    _, ring = connected_components(_chain(following), directed=False)
    _, first = np.unique(ring, return_index=True)
    before = np.empty(n, dtype=np.int32)
    before[following] = np.arange(n)
    # Rings are opened and joined to one path, which compiled code traverses.
    path = following.copy()
    path[before[first]] = np.append(first[1:], first[0])
    order = breadth_first_order(_chain(path), first[0], return_predecessors=False)
    return order, ring


def _chain(following: np.ndarray) -> csr_matrix:
    """A graph with one edge from each node."""
    n = len(following)
    return csr_matrix((np.ones(n, bool), following, np.arange(n + 1)), shape=(n, n))
