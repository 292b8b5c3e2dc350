"""Losses of a watched group in single cells, their confirmation, and their grouping to events."""

from collections.abc import Sequence
from datetime import date
from typing import Literal, get_args

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from geoclass.monitor.align import Stack
from geoclass.monitor.evidence import PRESENT, Evidence
from geoclass.monitor.markov import Belief

Level = Literal["low", "high", "highest"]
LEVELS: tuple[Level, ...] = get_args(Level)

HIGH_DAYS = 20
"""Between confirming dates, so that one period of weather is not enough."""
SIGNIFICANT = 1.0
"""Log likelihood ratio with which a date confirms or contradicts a loss."""
WHOLE = 0.5
"""Brightening of the darkest quarter over that of the cell from which all of it is felled."""
LARGEST_PART = 0.8
"""Felled fraction of the cell that brightened most, if no cell is felled as a whole."""
LASTING_DAYS = 180
"""Between confirming dates, so that a loss remains an alert if the group comes back."""
HIGHEST_CONFIRMATIONS = 3
HIGHEST_PROBABILITY = 0.95

LOSS = np.dtype(
    [
        ("cell", np.int64),  # index into the flat grid
        ("last_seen", np.int64),  # number of the last date with the group
        ("first_gone", np.int64),  # number of the first date without it
        ("last_gone", np.int64),  # number of the last date that confirms the loss
        ("end", np.int64),  # number of the last date on which it is probable
        ("became", np.uint8),  # most probable state afterwards
        ("probability", np.float64),  # of the loss at the end, 0–1
        ("confirmations", np.int64),  # observations of another group
        ("contradictions", np.int64),  # observations of the old group
        ("brighter", np.float64),  # mean brightening of red over the confirming dates
        ("dark_brighter", np.float64),  # the same of the darkest quarter
    ]
)
"""One row for each cell and loss."""


def find_levels(losses: np.recarray, days: Sequence[date]) -> np.ndarray:
    """int64 (n,): 0 low, 1 high, 2 highest; `days` are those of all dates.

    High: dates 20 days apart or more confirm the loss, and fewer contradict it. Highest: three or
    more confirm it, none contradicts it, and the probability is .95 or more.
    """
    ordinals = np.array([day.toordinal() for day in days])
    apart = ordinals[losses.last_gone] - ordinals[losses.first_gone]
    high = (apart >= HIGH_DAYS) & (losses.confirmations > losses.contradictions)
    highest = (
        (losses.confirmations >= HIGHEST_CONFIRMATIONS)
        & (losses.contradictions == 0)
        & (losses.probability >= HIGHEST_PROBABILITY)
    )
    return high.astype(np.int64) + (high & highest)


def find_losses(
    stack: Stack, belief: Belief, group: str, evidence: Evidence, min_odds: float
) -> np.recarray:
    """LOSS rows of a group: where the log odds of a loss rise above `min_odds`.

    A group that comes back and disappears again is lost twice. A cell counts only after the group
    was certainly present.
    """
    present = np.logical_or.accumulate(evidence.odds <= PRESENT, axis=0)
    gone = present & (evidence.odds >= min_odds)
    found = [_find_losses_at(t, gone, evidence) for t in range(1, len(stack.dates))]
    losses = np.concatenate(found).view(np.recarray)
    # A group that comes back was not lost, except after a long loss that most dates confirm.
    days = np.array([day.toordinal() for day in stack.dates])
    lasting = days[losses.last_gone] - days[losses.first_gone] >= LASTING_DAYS
    lasting &= losses.confirmations > losses.contradictions
    losses = losses[(losses.end == len(days) - 1) | lasting].view(np.recarray)
    losses.became = _find_successors(losses, stack, belief, group)
    return losses[np.lexsort((losses.first_gone, losses.cell))]


def _find_losses_at(t: int, gone: np.ndarray, evidence: Evidence) -> np.ndarray:
    """LOSS rows that begin at date t; `gone` is bool (dates, n)."""
    here = np.flatnonzero(gone[t] & ~gone[t - 1])
    ratio, odds, observed = (a[:, here] for a in (evidence.ratio, evidence.odds, evidence.observed))
    brighter, dark_brighter = evidence.brighter[:, :, here]
    dates = np.arange(len(odds))[:, None]
    end = t - 1 + np.logical_and.accumulate(gone[t:, here], axis=0).sum(axis=0)
    # The first date is where the run of dates with a positive ratio begins. Dates without an
    # observation do not interrupt it; those that only hint at a loss do not begin it.
    positive = np.where(observed[: t + 1], ratio[: t + 1] > 0, True)[::-1]
    run = np.logical_and.accumulate(positive, axis=0) & (ratio[t::-1] > SIGNIFICANT)
    run[0] = True
    first = run[::-1].argmax(axis=0)
    before = observed & (dates < first)
    last_before = np.where(before, dates, -1).max(axis=0)
    since = observed & (dates >= first) & (dates <= end)
    confirming = since & (ratio > SIGNIFICANT)
    final_odds = odds[end, np.arange(len(here))].astype(np.float64)
    times = np.maximum(confirming.sum(axis=0), 1)
    losses = np.zeros(len(here), LOSS)
    losses["cell"] = evidence.cells[here]
    losses["last_seen"] = np.where(last_before < 0, np.maximum(first - 1, 0), last_before)
    losses["first_gone"], losses["end"] = first, end
    losses["last_gone"] = np.where(confirming, dates, first).max(axis=0)
    losses["probability"] = 1 / (1 + np.exp(-final_odds))
    losses["confirmations"] = confirming.sum(axis=0)
    losses["contradictions"] = (since & (ratio < -SIGNIFICANT)).sum(axis=0)
    losses["brighter"] = (brighter * confirming).sum(axis=0) / times
    losses["dark_brighter"] = (dark_brighter * confirming).sum(axis=0) / times
    return losses


def _find_successors(losses: np.recarray, stack: Stack, belief: Belief, group: str) -> np.ndarray:
    """uint8 (n,): the most probable state of other groups while the group is gone."""
    inside = np.array([c.group == group for c in stack.contract.legend.classes])
    total = np.zeros((len(losses), len(inside)))
    for t in range(len(stack.dates)):
        here = np.flatnonzero((losses.first_gone <= t) & (t <= losses.end))
        total[here] += stack.probabilities[t].reshape(-1, len(inside))[losses.cell[here]]
    total[:, inside] = -1
    likeliest = total.argmax(axis=1)
    classes = stack.contract.legend.classes
    states = [belief.names.index(c.name if c.name in belief.names else c.group) for c in classes]
    return np.array(states, dtype=np.uint8)[likeliest]


def group_losses(losses: np.recarray, cols: int) -> np.ndarray:
    """int64 (n,): number of the event of each loss, in order of its first loss.

    Two losses are one event if their cells touch, also at a corner, and the times in which they
    may have happened overlap.
    """
    n, places = len(losses), np.column_stack(np.divmod(losses.cell, cols))
    pairs = cKDTree(places).query_pairs(1.5, output_type="ndarray")
    one, other = pairs.T
    # A cell can be lost more than once, which is not one event.
    together = losses.cell[one] != losses.cell[other]
    together &= losses.last_seen[one] < losses.first_gone[other]
    together &= losses.last_seen[other] < losses.first_gone[one]
    graph = coo_array((np.ones(together.sum()), pairs[together].T), shape=(n, n))
    _, event = connected_components(graph, directed=False)
    _, first, number = np.unique(event, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]


def share_felled(losses: np.recarray) -> np.ndarray:
    """float64 (n,), 0–1: felled fraction of each cell of an event, from its brightening.

    A cell is felled as a whole if its darkest quarter brightened too: a remaining quarter would
    stay dark. The fraction of other cells is their brightening relative to that of such cells.
    Without colors cells are felled as a whole.
    """
    brighter = losses.brighter
    known = brighter > 0
    whole = known & (losses.dark_brighter >= WHOLE * brighter)
    if not known.any():
        return np.ones(len(losses))
    full = np.median(brighter[whole]) if whole.any() else brighter.max() / LARGEST_PART
    return np.where(known & ~whole, np.minimum(brighter / full, 1), 1.0)


def choose_level(levels: np.ndarray, area_ha: np.ndarray) -> Level:
    """The highest level that half of an event's area reaches."""
    total = area_ha.sum()
    for level in range(len(LEVELS) - 1, 0, -1):
        if area_ha[levels >= level].sum() >= total / 2:
            return LEVELS[level]
    return LEVELS[0]
