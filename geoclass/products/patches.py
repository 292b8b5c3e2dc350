"""Neighbouring cells of one value as one polygon: exact outlines, without a loop over cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
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
    polygons: np.ndarray
    """Shapely polygons (patches,), clipped to the scene, with holes."""


def find_patches(values: np.ndarray, wanted: np.ndarray, grid: Grid) -> Patches:
    """Dissolve the cells where `wanted` is True; both are (rows, cols).

    Patches are numbered by their first cells, row by row from the upper left.
    """
    number = _number_patches(values, wanted)
    return Patches(number=number, polygons=_outline(number, grid))


def _number_patches(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int32 (rows, cols): connected components by shared sides, OUTSIDE where not wanted."""
    cell = np.arange(values.size, dtype=np.int32).reshape(values.shape)
    beside = (values[:, 1:] == values[:, :-1]) & wanted[:, 1:] & wanted[:, :-1]
    below = (values[1:] == values[:-1]) & wanted[1:] & wanted[:-1]
    one = np.concatenate([cell[:, :-1][beside], cell[:-1][below]])
    other = np.concatenate([cell[:, 1:][beside], cell[1:][below]])
    links = csr_matrix((np.ones(len(one), bool), (one, other)), shape=(values.size, values.size))
    _, component = connected_components(links, directed=False)
    number = np.full(values.shape, OUTSIDE, dtype=np.int32)
    _, first, inverse = np.unique(component[wanted.ravel()], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int32)
    rank[first.argsort()] = np.arange(len(first))
    number[wanted] = rank[inverse]
    return number


def _outline(number: np.ndarray, grid: Grid) -> np.ndarray:
    """Shapely polygons (patches,), in the order of their numbers."""
    if (number == OUTSIDE).all():
        return np.empty(0, dtype=object)
    row, col, patch, starts = _trace_rings(number)
    length = np.diff(starts)
    # Twice the signed area (shoelace formula): clockwise rings, shells, are above 0 with rows
    # counted downward, and holes below.
    following = np.arange(1, len(row) + 1)
    following[starts[1:] - 1] = starts[:-1]
    cross = col * row[following] - col[following] * row
    is_shell = np.add.reduceat(cross, starts[:-1]) > 0
    rings = shapely.linearrings(
        grid.corners(row, col), indices=np.repeat(np.arange(len(length)), length)
    )
    owner = patch[starts[:-1]]
    # Of the rings of one polygon the first is the shell.
    order = np.lexsort((~is_shell, owner))
    polygons: np.ndarray = shapely.polygons(rings[order], indices=owner[order])
    return polygons


def _trace_rings(number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns (int64) and patches of all rings' corners, and where each ring starts.

    A side of a cell that is a border is walked with the cell on its right. The side that
    follows is that of the cell ahead on the left, if it is of the patch (the border turns
    left); else that of the cell ahead on the right (straight on); else the next of the same cell
    (right). So a patch that touches itself at a corner gets a hole there that touches its shell.
    The last start is the number of corners.
    """
    padded = np.pad(number, 1, constant_values=OUTSIDE)
    width = padded.shape[1]
    flat = padded.ravel()
    east, south, west, north = steps = (1, width, -1, -width)
    sides = []
    for left in (north, east, south, west):
        cells = np.flatnonzero(flat != OUTSIDE)
        sides.append(cells[flat[cells] != flat[cells + left]])
    counts = [len(cells) for cells in sides]
    cell = np.concatenate(sides)
    heading = np.repeat(np.arange(4), counts)
    # Number of the side by cell and heading.
    index = np.zeros((4, flat.size), dtype=np.int32)
    index[heading, cell] = np.arange(len(cell))
    step = np.array(steps)
    ahead = cell + step[heading]
    ahead_left = ahead + step[heading - 1]
    turns_left = flat[ahead_left] == flat[cell]
    goes_on = ~turns_left & (flat[ahead] == flat[cell])
    to_cell = np.where(turns_left, ahead_left, np.where(goes_on, ahead, cell))
    to_heading = np.where(turns_left, heading - 1, np.where(goes_on, heading, heading + 1)) % 4
    following = index[to_heading, to_cell]

    order, ring = _walk(following)
    cell, heading, ring = cell[order], heading[order], ring[order]
    # A corner is where the heading changes; the side before the first of a ring is its last.
    starts = np.flatnonzero(np.diff(ring, prepend=-1))
    before = np.roll(heading, 1)
    before[starts] = heading[np.append(starts[1:], len(ring)) - 1]
    corner = heading != before
    row, col = np.divmod(cell[corner], width)
    turn = heading[corner]
    # A heading's side begins at the cell's upper left, upper right, lower right, lower left.
    row, col = row - 1 + (turn >= 2), col - 1 + ((turn == 1) | (turn == 2))
    first = np.append(np.flatnonzero(np.diff(ring[corner], prepend=-1)), len(row))
    return row, col, flat[cell[corner]], first


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
