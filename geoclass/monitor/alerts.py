"""Losses: where the smoothed path of a cell leaves a watched group, and what confirms it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geoclass.monitor.align import Stack
from geoclass.monitor.markov import Belief, Smoothed

Level = Literal["low", "high", "highest"]
LEVELS: tuple[Level, ...] = get_args(Level)
GFW_DIGITS: dict[Level, int] = {"low": 2, "high": 3, "highest": 4}
"""The digit that Global Forest Watch puts before the days."""

HIGH_CONFIRMATIONS = 2
HIGHEST_CONFIRMATIONS = 3
HIGHEST_PROBABILITY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellLosses:
    """One row a cell and loss; all arrays (n,)."""

    cell: np.ndarray
    """int64: index into the flat grid."""
    last_seen: np.ndarray
    """int64: number of the last date on which the group was seen."""
    first_gone: np.ndarray
    """int64: number of the first date on which it was seen to be gone."""
    became: np.ndarray
    """uint8: the state at the end."""
    probability: np.ndarray
    """float64: that the group was there before and is not at the end, 0–1."""
    confirmations: np.ndarray
    """int64: observations since that show another group."""
    contradictions: np.ndarray
    """int64: observations since that show the old group."""

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, chosen: np.ndarray) -> CellLosses:
        """Some rows, by a mask or by index."""
        return CellLosses(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    @property
    def level(self) -> np.ndarray:
        """int64: 0 low, 1 high (two or more observations confirm), 2 highest.

        Highest: three or more confirm, none contradicts, and the probability is .95 or more.
        """
        high = self.confirmations >= HIGH_CONFIRMATIONS
        highest = (
            (self.confirmations >= HIGHEST_CONFIRMATIONS)
            & (self.contradictions == 0)
            & (self.probability >= HIGHEST_PROBABILITY)
        )
        levels: np.ndarray = high.astype(np.int64) + (high & highest)
        return levels


def find_losses(
    stack: Stack,
    belief: Belief,
    cells: np.ndarray,
    smoothed: Smoothed,
    group: str,
) -> CellLosses:
    """All losses of a group in some cells, int (n,), that `smoothed` holds.

    A group that comes back and goes again is lost twice.
    """
    inside = belief.inside(group)
    within = inside[smoothed.path]
    dates = len(stack.dates)
    labels = stack.class_id.reshape(dates, -1)[:, cells]
    observed = stack.observed.reshape(dates, -1)[:, cells]
    member = np.zeros(256, dtype=bool)
    for item in stack.contract.legend.classes:
        member[item.class_id] = item.group == group
    shows_group, shows_other = observed & member[labels], observed & ~member[labels]
    found = [
        _losses_after(t, cells, smoothed, within, (observed, shows_group, shows_other), inside)
        for t in range(dates - 1)
    ]
    joined = {
        f.name: np.concatenate([getattr(part, f.name) for part in found])
        if found
        else np.zeros(0, dtype=np.int64)
        for f in fields(CellLosses)
    }
    losses = CellLosses(**joined)
    return losses.take(np.lexsort((losses.first_gone, losses.cell)))


def _losses_after(
    t: int,
    cells: np.ndarray,
    smoothed: Smoothed,
    within: np.ndarray,
    shown: tuple[np.ndarray, np.ndarray, np.ndarray],
    inside: np.ndarray,
) -> CellLosses:
    """Losses between dates t and t + 1 of the path."""
    dates = len(within)
    here = np.flatnonzero(within[t] & ~within[t + 1])
    observed, shows_group, shows_other = (plane[:, here] for plane in shown)
    # The stretch without the group: from t + 1 until it comes back.
    gone = np.logical_and.accumulate(~within[t + 1 :, here], axis=0)
    end = t + gone.sum(axis=0)
    after, before = observed[t + 1 :] & gone, observed[: t + 1]
    first_gone = np.where(after.any(axis=0), t + 1 + after.argmax(axis=0), t + 1)
    last_seen = np.where(before.any(axis=0), t - before[::-1].argmax(axis=0), t)
    there = smoothed.posterior[t][:, here][inside].astype(float).sum(axis=0)
    number = np.arange(len(here))
    at_end = smoothed.posterior[:, :, here][end, :, number].astype(float)
    left = at_end[:, ~inside].sum(axis=1)
    return CellLosses(
        cell=cells[here],
        last_seen=last_seen,
        first_gone=np.minimum(first_gone, dates - 1),
        became=smoothed.path[end, here],
        probability=np.clip(there * left, 0, 1),
        confirmations=(shows_other[t + 1 :] & gone).sum(axis=0),
        contradictions=(shows_group[t + 1 :] & gone).sum(axis=0),
    )


def group_losses(losses: CellLosses, cols: int) -> np.ndarray:
    """int64 (n,): number of the event that each loss belongs to, in order of its first loss.

    Two losses are of one event where their cells touch, also at a corner, and the times in
    which they may have happened overlap.
    """
    n = len(losses)
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    order = np.argsort(losses.cell, kind="stable")
    sorted_cells = losses.cell[order]
    col = losses.cell % cols
    for row_step, col_step in ((0, 1), (1, -1), (1, 0), (1, 1)):
        inside = (col + col_step >= 0) & (col + col_step < cols)
        wanted = losses.cell + row_step * cols + col_step
        # A cell may be lost more than once, so there may be several neighbours in one place.
        start = np.searchsorted(sorted_cells, wanted, side="left")
        stop = np.where(inside, np.searchsorted(sorted_cells, wanted, side="right"), start)
        for extra in range(int((stop - start).max(initial=0))):
            one = np.flatnonzero(stop - start > extra)
            other = order[start[one] + extra]
            together = (losses.last_seen[one] < losses.first_gone[other]) & (
                losses.last_seen[other] < losses.first_gone[one]
            )
            pairs.append(np.stack([one[together], other[together]]))
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(n, n))
    _, event = connected_components(graph, directed=False)
    _, first, number = np.unique(event, return_index=True, return_inverse=True)
    numbers: np.ndarray = np.argsort(np.argsort(first))[number]
    return numbers


def choose_level(levels: np.ndarray, area_ha: np.ndarray) -> Level:
    """The highest level that at least half of an event's area reaches."""
    total = area_ha.sum()
    for level in range(len(LEVELS) - 1, 0, -1):
        if area_ha[levels >= level].sum() >= total / 2:
            return LEVELS[level]
    return LEVELS[0]


def most_common(states: np.ndarray, area_ha: np.ndarray, names: Sequence[str]) -> str:
    """The name of the state that covers most."""
    covered = np.bincount(states, weights=area_ha, minlength=len(names))
    return names[int(covered.argmax())]
