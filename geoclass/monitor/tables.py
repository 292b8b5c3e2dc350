"""What a series says in numbers: periods, areas and transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE
from geoclass.monitor.history import Monitoring
from geoclass.products.layers import read_polygons

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
    path = result.smoothed.path
    dates, n = path.shape
    fresh = np.ones((dates, n), dtype=bool)
    fresh[1:] = path[1:] != path[:-1]
    sums = np.zeros((dates + 1, n), dtype=np.float32)
    np.cumsum(result.smoothed.probability, axis=0, dtype=np.float32, out=sums[1:])
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
    """Hectares of each group at each date, expected from the posteriors.

    `weights` gives, by name of a zone, the share of each cell (rows · cols,) that lies in it.
    There are no intervals: errors that many cells share outweigh those of single cells, and only
    a sample of labelled cells tells them.
    """
    dates, groups = result.stack.dates, result.belief.group_names
    zones = {zone: (result.area_ha * share)[result.cells] for zone, share in weights.items()}
    area_ha = np.array(
        [
            [group.astype(float) @ area / FULL_SCALE for group in day]
            for area in zones.values()
            for day in result.smoothed.groups
        ]
    ).reshape(len(zones), len(dates) * len(groups))
    total = np.array([area.sum() for area in zones.values()]).reshape(-1, 1)
    share = np.divide(area_ha, total, out=np.zeros_like(area_ha), where=total > 0)
    days = np.array([day.isoformat() for day in dates], dtype="datetime64[D]")
    return {
        "zone": np.repeat(np.array(list(zones), dtype=object), area_ha.shape[1]),
        "date": np.tile(days.repeat(len(groups)), len(zones)),
        "group": np.tile(np.array(groups, dtype=object), len(zones) * len(dates)),
        "area_ha": area_ha.ravel().round(2),
        "share": share.ravel().round(6),
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


BLOCK = 32
"""Cells a side of the squares that are looked at first."""


def read_zones(path: Path | str, grid: Grid) -> dict[str, np.ndarray]:
    """Polygons of a vector file, as `weigh_zones` lays them on a grid.

    A zone is named by the first column of texts, or numbered. Raises OutputError for a file that
    holds no polygons, SettingsError where none touches the map.
    """
    return weigh_zones(grid, read_polygons(Path(path), str(grid.crs)))


def weigh_zones(grid: Grid, polygons: Sequence[tuple[str, object]]) -> dict[str, np.ndarray]:
    """float64 (rows · cols,) by name: the share of each cell's area inside the zone.

    `polygons` are in the grid's CRS; those of one name are one zone. Raises SettingsError where
    none touches the map.
    """
    weights: dict[str, np.ndarray] = {}
    for name, zone in join_zones(polygons).items():
        weights[name] = np.zeros((grid.rows, grid.cols))
        rows, cols, share = weigh_cells(zone, grid)
        weights[name][rows, cols] = share
        weights[name] = weights[name].ravel()
    if not any(share.any() for share in weights.values()):
        raise SettingsError("none of the zones touches the maps: check their places")
    return weights


def join_zones(polygons: Sequence[tuple[str, object]]) -> dict[str, shapely.Geometry]:
    """Zone by name: the union of all polygons of that name, valid."""
    parts: dict[str, list[object]] = {}
    for name, polygon in polygons:
        parts.setdefault(name, []).append(polygon)
    return {name: shapely.make_valid(shapely.union_all(each)) for name, each in parts.items()}


def weigh_cells(zone: shapely.Geometry, grid: Grid) -> tuple[slice, slice, np.ndarray]:
    """Rows and columns around a zone, and float64 (rows, cols): the share of each cell inside.

    Squares of many cells are looked at first, and only those that its border crosses cell by
    cell, with what the zone has there: cells of a large map are too many to be polygons, and a
    border may have many corners.
    """
    rows, cols = _find_window(zone, grid)
    share = np.zeros((max(0, rows.stop - rows.start), max(0, cols.stop - cols.start)))
    shapely.prepare(zone)
    top, left = (np.arange(part.start, part.stop, BLOCK) for part in (rows, cols))
    tops, lefts = (part.ravel() for part in np.meshgrid(top, left, indexing="ij"))
    bottoms, rights = np.minimum(tops + BLOCK, rows.stop), np.minimum(lefts + BLOCK, cols.stop)
    ring = [
        grid.corners(r, c)
        for r, c in ((tops, lefts), (tops, rights), (bottoms, rights), (bottoms, lefts))
    ]
    blocks = shapely.polygons(np.stack(ring, axis=1))
    inside, touched = shapely.covers(zone, blocks), shapely.intersects(zone, blocks)
    for number in np.flatnonzero(touched):
        r, c = slice(tops[number], bottoms[number]), slice(lefts[number], rights[number])
        here = (
            slice(r.start - rows.start, r.stop - rows.start),
            slice(c.start - cols.start, c.stop - cols.start),
        )
        part = zone if len(blocks) == 1 else shapely.intersection(zone, blocks[number])
        share[here] = 1.0 if inside[number] else _weigh_block(part, grid, r, c)
    return rows, cols, share


def _find_window(zone: shapely.Geometry, grid: Grid) -> tuple[slice, slice]:
    """The rows and columns of cells that the zone's rectangle touches."""
    west, south, east, north = shapely.bounds(zone)
    x, y = np.array([west, east, east, west]), np.array([south, south, north, north])
    spans = []
    for pixels, size, cells in zip(
        (~grid.transform @ (x, y))[::-1],
        (grid.height, grid.width),
        (grid.rows, grid.cols),
        strict=True,
    ):
        first, last = np.clip([pixels.min(), pixels.max()], 0, size) / grid.stride
        spans.append(slice(int(first), min(int(np.ceil(last)), cells)))
    return spans[0], spans[1]


def _weigh_block(zone: shapely.Geometry, grid: Grid, rows: slice, cols: slice) -> np.ndarray:
    """float64 (rows, cols) of some cells."""
    row, col = np.mgrid[rows, cols]
    cells = grid.polygons(row.ravel(), col.ravel())
    shapely.prepare(zone)
    share = shapely.covers(zone, cells).astype(np.float64)
    cut = np.flatnonzero(shapely.intersects(zone, cells) & (share == 0))
    share[cut] = shapely.area(shapely.intersection(cells[cut], zone)) / shapely.area(cells[cut])
    weighed: np.ndarray = share.reshape(row.shape)
    return weighed
