"""What a series says in numbers: periods, areas and transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geoclass.monitor.watch import Monitoring

INTERVAL_SD = 1.96
"""Standard deviations on both sides that hold 95 %."""

LEAST_FLOW_HA = 0.005
"""Transitions that would be printed as 0.00 ha are left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Periods:
    """One row a cell and time in which its smoothed class stays; all arrays (n,)."""

    cell: np.ndarray
    """int64: index into the flat grid."""
    state: np.ndarray
    """uint8."""
    probability: np.ndarray
    """float32: mean over the period's dates, 0–1."""
    first: np.ndarray
    """int64: number of the first date."""
    last: np.ndarray
    """int64: number of the last date."""


def find_periods(result: Monitoring) -> Periods:
    """The periods of all cells, in order of cell and time."""
    path, posterior = result.smoothed.path, result.smoothed.posterior
    dates, n = path.shape
    fresh = np.ones((dates, n), dtype=bool)
    fresh[1:] = path[1:] != path[:-1]
    sums = np.zeros((dates + 1, n), dtype=np.float32)
    for t in range(dates):
        own = np.take_along_axis(posterior[t], path[t][None].astype(np.intp), axis=0)[0]
        sums[t + 1] = sums[t] + own
    number, first = np.nonzero(fresh.T)
    starts_cell = np.append(first[1:] == 0, True)
    last = np.where(starts_cell, dates - 1, np.append(first[1:], 0) - 1)
    probability = (sums[last + 1, number] - sums[first, number]) / (last - first + 1)
    return Periods(
        cell=result.cells[number],
        state=path[first, number],
        probability=np.clip(probability, 0, 1),
        first=first,
        last=last,
    )


def sum_areas(result: Monitoring, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Hectares of each group at each date, expected from the posteriors, with 95 % intervals.

    `weights` gives, by name of a zone, the share of each cell (rows · cols,) that lies in it.
    The intervals hold what the posteriors do not know of single cells, taken as independent;
    errors common to many cells are not in them.
    """
    groups = list(dict.fromkeys(result.belief.groups))
    rows: list[tuple[str, str, str, float, float, float, float]] = []
    for zone, share in weights.items():
        area = (result.area_ha * share)[result.cells]
        total = area.sum()
        for t, day in enumerate(result.stack.dates):
            for group in groups:
                inside = result.belief.inside(group)
                p = result.smoothed.posterior[t][inside].astype(np.float32).sum(axis=0)
                p = np.clip(p, 0, 1).astype(float)
                expected = float(area @ p)
                margin = INTERVAL_SD * float(np.sqrt(area**2 @ (p * (1 - p))))
                low, high = max(0.0, expected - margin), min(float(total), expected + margin)
                part = expected / total if total else 0.0
                rows.append((zone, day.isoformat(), group, expected, part, low, high))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    return {
        "zone": np.array(columns[0], dtype=object),
        "date": np.array(columns[1], dtype="datetime64[D]"),
        "group": np.array(columns[2], dtype=object),
        "area_ha": np.array(columns[3]).round(2),
        "share": np.array(columns[4]).round(6),
        "low_ha": np.array(columns[5]).round(2),
        "high_ha": np.array(columns[6]).round(2),
    }


def list_transitions(result: Monitoring) -> dict[str, np.ndarray]:
    """Hectares expected to turn from one class into another between neighbouring dates."""
    flows = result.smoothed.flows_ha.copy()
    names, groups = (np.array(v, dtype=object) for v in (result.belief.names, result.belief.groups))
    flows[:, np.arange(len(names)), np.arange(len(names))] = 0
    step, old, new = np.nonzero(flows >= LEAST_FLOW_HA)
    days = np.array([day.isoformat() for day in result.stack.dates], dtype="datetime64[D]")
    return {
        "start": days[step],
        "end": days[step + 1],
        "from_class": names[old],
        "from_group": groups[old],
        "to_class": names[new],
        "to_group": groups[new],
        "area_ha": flows[step, old, new].round(2),
    }


def smallest_clearing(result: Monitoring) -> tuple[float, float]:
    """Hectares of a square clearing: seen where it lies best, and seen wherever it lies.

    A label turns when about half of the tile that the network looks at has turned. The best
    clearing is that half; the other one must fill half of a tile whose middle is as far away
    as half a cell in rows and in columns.
    """
    grid = result.stack.grid
    gsd = float(np.sqrt(abs(result.area_ha.max()) * 1e4)) / grid.stride
    tile, cell = grid.tile_size * gsd, grid.stride * gsd
    half = tile * np.sqrt(0.5)
    best = half
    # Overlap along an axis with the middles half a cell apart: (side + tile − cell) / 2, at most
    # the side itself.
    anywhere = max(half, 2 * half - tile + cell)
    return best**2 / 1e4, anywhere**2 / 1e4
