"""Losses: where a watched group is no longer believed to be in a cell, and what confirms it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Literal, get_args

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geoclass.monitor.align import Stack
from geoclass.monitor.evidence import Evidence
from geoclass.monitor.markov import Belief

Level = Literal["low", "high", "highest"]
LEVELS: tuple[Level, ...] = get_args(Level)
GFW_DIGITS: dict[Level, int] = {"low": 2, "high": 3, "highest": 4}
"""The digit that Global Forest Watch puts before the days."""

HIGH_DAYS = 20
"""Between dates that confirm a loss, so that one spell of weather does not."""
ESTABLISHED = -2.0
"""Log odds that a group is gone, below which it is surely there."""
SAYS = 1.0
"""Log likelihood ratio with which a date confirms a loss, or contradicts it."""
WHOLE = 0.5
"""Of a cell's brightening, that of its darkest quarter where nothing stands any more."""
LARGEST_PART = 0.8
"""How much is felled of the cell that brightened most, where none is felled as a whole."""
LASTING_DAYS = 180
"""Between dates that confirm a loss, so that it stays one where the group comes back."""
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
    last_gone: np.ndarray
    """int64: number of the last date that confirms it."""
    end: np.ndarray
    """int64: number of the last date on which it is believed."""
    became: np.ndarray
    """uint8: the likeliest state since."""
    probability: np.ndarray
    """float64: that the group is gone at the end, 0–1."""
    confirmations: np.ndarray
    """int64: observations since that show another group."""
    contradictions: np.ndarray
    """int64: observations since that show the old group."""
    brighter: np.ndarray
    """float32: mean brightening of red over the dates that confirm it, see `Evidence`."""
    dark_brighter: np.ndarray
    """float32: the same of the darkest quarter."""

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, chosen: np.ndarray) -> CellLosses:
        """Some rows, by a mask or by index."""
        return CellLosses(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def find_levels(self, days: Sequence[date]) -> np.ndarray:
        """int64: 0 low, 1 high, 2 highest.

        High: dates 20 days apart or more confirm it, and fewer contradict. Highest: three or more
        confirm, none contradicts, and the probability is .95 or more.
        `days` are those of all dates.
        """
        ordinals = np.array([day.toordinal() for day in days])
        apart = ordinals[self.last_gone] - ordinals[self.first_gone]
        high = (apart >= HIGH_DAYS) & (self.confirmations > self.contradictions)
        highest = (
            (self.confirmations >= HIGHEST_CONFIRMATIONS)
            & (self.contradictions == 0)
            & (self.probability >= HIGHEST_PROBABILITY)
        )
        levels: np.ndarray = high.astype(np.int64) + (high & highest)
        return levels


def find_losses(
    stack: Stack, belief: Belief, group: str, evidence: Evidence, min_probability: float
) -> CellLosses:
    """All losses of a group: where the odds that it is gone rise above those of a probability.

    A group that comes back and goes again is lost twice. A cell counts from when the group was
    surely there on.
    """
    odds = evidence.odds.astype(np.float32)
    there = np.logical_or.accumulate(odds <= ESTABLISHED, axis=0)
    gone = there & (odds >= np.log(min_probability / (1 - min_probability)))
    cells = np.flatnonzero(gone.any(axis=0))
    observed = stack.observed.reshape(len(stack.dates), -1)[:, cells]
    ratio, odds, gone = evidence.ratio[:, cells].astype(np.float32), odds[:, cells], gone[:, cells]
    brighter = evidence.brighter[:, :, cells].astype(np.float32)
    found = [
        _losses_at(t, cells, gone, (ratio, odds, *brighter), observed)
        for t in range(1, len(stack.dates))
    ]
    losses = CellLosses(
        **{
            f.name: np.concatenate([part[f.name] for part in found])
            for f in fields(CellLosses)
            if f.name != "became"
        },
        became=np.zeros(sum(len(part["cell"]) for part in found), dtype=np.uint8),
    )
    # One that comes back was none, unless it was seen to be gone for long, on most dates.
    days = np.array([day.toordinal() for day in stack.dates])
    lasting = days[losses.last_gone] - days[losses.first_gone] >= LASTING_DAYS
    lasting &= losses.confirmations > losses.contradictions
    losses = losses.take((losses.end == len(days) - 1) | lasting)
    losses = replace(losses, became=_find_successors(losses, stack, belief, group))
    return losses.take(np.lexsort((losses.first_gone, losses.cell)))


def _losses_at(
    t: int,
    cells: np.ndarray,
    gone: np.ndarray,
    said: tuple[np.ndarray, ...],
    observed: np.ndarray,
) -> dict[str, np.ndarray]:
    """Fields of losses that are believed from date t on; arrays are (dates, cells).

    `said` are the ratios, odds and brightenings of `Evidence`.
    """
    here = np.flatnonzero(gone[t] & ~gone[t - 1])
    ratio, odds, brighter, dark_brighter = (plane[:, here] for plane in said)
    observed = observed[:, here]
    stays = np.logical_and.accumulate(gone[t:, here], axis=0)
    end = t + stays.sum(axis=0) - 1
    # It was seen first where the run of dates that say so begins; those without a look are passed,
    # and those that hint at it, like leaves that turn, do not begin it.
    says_so = np.where(observed[: t + 1], ratio[: t + 1] > 0, True)[::-1]
    run = np.logical_and.accumulate(says_so, axis=0) & (ratio[t::-1] > SAYS)
    run[0] = True
    first = t - (run.shape[0] - 1 - run[::-1].argmax(axis=0))
    number = np.arange(len(here))
    dates = np.arange(len(odds))[:, None]
    before = observed & (dates < first)
    last_seen = np.where(before.any(axis=0), len(odds) - 1 - before[::-1].argmax(axis=0), first - 1)
    since = observed & (dates >= first) & (dates <= end)
    confirming = since & (ratio > SAYS)
    times = np.maximum(confirming.sum(axis=0), 1)
    last = len(odds) - 1 - confirming[::-1].argmax(axis=0)
    return {
        "cell": cells[here],
        "last_seen": np.maximum(last_seen, 0),
        "first_gone": first,
        "last_gone": np.where(confirming.any(axis=0), last, first),
        "end": end,
        "probability": 1 / (1 + np.exp(-odds[end, number].astype(np.float64))),
        "confirmations": confirming.sum(axis=0),
        "contradictions": (since & (ratio < -SAYS)).sum(axis=0),
        "brighter": (brighter * confirming).sum(axis=0) / times,
        "dark_brighter": (dark_brighter * confirming).sum(axis=0) / times,
    }


def _find_successors(losses: CellLosses, stack: Stack, belief: Belief, group: str) -> np.ndarray:
    """uint8 (n,): the likeliest state of other groups while the group is gone."""
    inside = np.array([c.group == group for c in stack.contract.legend.classes])
    total = np.zeros((len(losses), len(inside)))
    for t in range(len(stack.dates)):
        here = np.flatnonzero((losses.first_gone <= t) & (t <= losses.end))
        total[here] += stack.probabilities[t].reshape(-1, len(inside))[losses.cell[here]]
    total[:, inside] = -1
    likeliest = total.argmax(axis=1)
    classes = stack.contract.legend.classes
    states = [belief.names.index(c.name if c.name in belief.names else c.group) for c in classes]
    successors: np.ndarray = np.array(states, dtype=np.uint8)[likeliest]
    return successors


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


def share_felled(losses: CellLosses) -> np.ndarray:
    """float64 (n,), 0–1: how much of each cell of an event is felled, as its brightness tells.

    A cell whose darkest quarter brightened, too, is felled as a whole, for where a quarter of it
    stands that would stay dark. The others are felled as far as they brightened towards those.
    Without colours cells are felled as a whole.
    """
    known = losses.brighter > 0
    whole = known & (losses.dark_brighter >= WHOLE * losses.brighter)
    if not known.any():
        return np.ones(len(losses))
    full = (
        np.median(losses.brighter[whole]) if whole.any() else losses.brighter.max() / LARGEST_PART
    )
    share: np.ndarray = np.where(known & ~whole, np.minimum(losses.brighter / full, 1), 1.0)
    return share


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
