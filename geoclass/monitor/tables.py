"""Numbers of a series (periods, areas and transitions), and zones."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import shapely

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE
from geoclass.monitor.history import Monitoring
from geoclass.products.layers import read_polygons

MIN_FLOW_HA = 0.005
"""Smaller transitions are left out: they would be printed as 0.00 ha."""


def as_days(days: Iterable[date | None]) -> np.ndarray:
    """datetime64[D] (n,); NaT for None."""
    return np.array([str(day or "NaT") for day in days], dtype="datetime64[D]")


def as_texts(values: Iterable[str]) -> np.ndarray:
    """Object (n,)."""
    return np.array(list(values), dtype=object)


PERIOD = np.dtype(
    [
        ("cell", np.int64),  # index into the flat grid
        ("state", np.uint8),
        ("probability", np.float32),  # mean over the dates, 0–1
        ("first", np.int32),  # number of the first date
        ("last", np.int32),  # number of the last date
    ]
)
"""One row for each cell and period of one smoothed class."""


CHUNK_CELLS = 1 << 20
"""Cells whose periods are found at a time, to save memory."""


def find_periods(result: Monitoring) -> np.recarray:
    """PERIOD rows, ordered by cell and time."""
    found = []
    for start in range(0, max(len(result.cells), 1), CHUNK_CELLS):
        chunk = slice(start, start + CHUNK_CELLS)
        path, cells = result.smoothed.path[:, chunk], result.cells[chunk]
        dates, n = path.shape
        fresh = np.ones((dates, n), dtype=bool)
        fresh[1:] = path[1:] != path[:-1]
        sums = np.zeros((dates + 1, n), dtype=np.float32)
        np.cumsum(result.smoothed.probability[:, chunk], axis=0, dtype=np.float32, out=sums[1:])
        number, first = np.nonzero(fresh.T)
        following = np.append(first[1:], 0)
        last = np.where(following == 0, dates, following) - 1
        probability = (sums[last + 1, number] - sums[first, number]) / (last - first + 1)
        columns = [cells[number], path[first, number], np.clip(probability, 0, 1), first, last]
        found.append(np.rec.fromarrays(columns, dtype=PERIOD))
    return np.concatenate(found).view(np.recarray)


def sum_areas(
    result: Monitoring, zones: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Expected hectares of each group at each date, everywhere (zone `all`) and in each zone.

    They are sums of posterior probabilities. `zones` contains the fraction of each cell,
    (rows · cols,), in each zone. There are no intervals: errors are correlated between cells, and
    only a labelled sample measures them.
    """
    dates, groups = result.stack.dates, result.stack.contract.legend.groups
    weights = {"all": np.ones(result.area_ha.shape)} | dict(zones or {})
    hectares = {zone: (result.area_ha * share)[result.cells] for zone, share in weights.items()}
    area_ha = np.array(
        [
            [group.astype(float) @ area / FULL_SCALE for group in day]
            for area in hectares.values()
            for day in result.smoothed.groups
        ]
    ).reshape(len(hectares), len(dates) * len(groups))
    total = np.array([area.sum() for area in hectares.values()]).reshape(-1, 1)
    share = np.divide(area_ha, total, out=np.zeros_like(area_ha), where=total > 0)
    return {
        "zone": np.repeat(as_texts(hectares), area_ha.shape[1]),
        "date": np.tile(as_days(dates).repeat(len(groups)), len(hectares)),
        "group": np.tile(as_texts(groups), len(hectares) * len(dates)),
        "area_ha": area_ha.ravel().round(2),
        "share": share.ravel().round(6),
    }


def list_transitions(result: Monitoring) -> dict[str, np.ndarray]:
    """Expected hectares that change from one class to another between consecutive dates."""
    flows = result.smoothed.flows_ha.copy()
    names, groups = as_texts(result.belief.names), as_texts(result.belief.groups)
    flows[:, np.arange(len(names)), np.arange(len(names))] = 0
    step, old, new = np.nonzero(flows >= MIN_FLOW_HA)
    days = as_days(result.stack.dates)
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
"""Cells a side of the largest square whose cells are intersected with a zone one by one."""


def read_zones(path: Path | str, grid: Grid) -> dict[str, np.ndarray]:
    """The zones in a vector file, as `weigh_zones` returns them.

    The first text column names a zone; without one, zones are numbered. Raises OutputError for a
    file without polygons, SettingsError if no zone intersects the map.
    """
    return weigh_zones(grid, read_polygons(Path(path), str(grid.crs)))


def weigh_zones(grid: Grid, polygons: Sequence[tuple[str, object]]) -> dict[str, np.ndarray]:
    """float64 (rows · cols,) by name: the fraction of each cell in the zone.

    `polygons` are in the grid's CRS; those with the same name are one zone. Raises SettingsError
    if none intersects the map.
    """
    weights = {}
    for name, zone in join_zones(polygons).items():
        weights[name] = np.zeros((grid.rows, grid.cols))
        rows, cols, share = weigh_cells(zone, grid)
        weights[name][rows, cols] = share
    if not any(share.any() for share in weights.values()):
        raise SettingsError("none of the zones intersects the maps: check their coordinates")
    return {name: share.ravel() for name, share in weights.items()}


def join_zones(polygons: Sequence[tuple[str, object]]) -> dict[str, shapely.Geometry]:
    """Zone by name: the valid union of all polygons with this name."""
    parts: dict[str, list[object]] = {}
    for name, polygon in polygons:
        parts.setdefault(name, []).append(polygon)
    return {name: shapely.make_valid(shapely.union_all(each)) for name, each in parts.items()}


def weigh_cells(zone: shapely.Geometry, grid: Grid) -> tuple[slice, slice, np.ndarray]:
    """Rows and columns around a zone, and float64 (rows, cols): fraction of each cell inside."""
    if not np.isfinite(shapely.bounds(zone)).all():  # a zone without any area
        return slice(0, 0), slice(0, 0), np.zeros((0, 0))
    to_cells = ~grid.cell_transform
    zone = shapely.transform(zone, lambda points: np.column_stack(to_cells @ points.T))
    size = np.array([grid.width, grid.height]) / grid.stride
    first, last = np.clip(shapely.bounds(zone).reshape(2, 2), 0, size)
    cols, rows = map(slice, np.floor(first).astype(int), np.ceil(last).astype(int))
    share = np.zeros((rows.stop - rows.start, cols.stop - cols.start))
    _weigh_part(share, zone, np.array([cols.start, rows.start]), size)
    return rows, cols, share


def _weigh_part(
    share: np.ndarray, zone: shapely.Geometry, first: np.ndarray, size: np.ndarray
) -> None:
    """Fill in the fractions of cells from a column and row, `first`, on; cells have side 1.

    Cells end at the `size` of the scene, (columns, rows). Large parts are halved, and the zone is
    clipped to each half: cells of a large map are too many to be polygons, and a border can have
    many vertices.
    """
    if not share.size or zone.is_empty:
        return
    if max(share.shape) <= BLOCK:
        row, col = np.indices(share.shape)
        lower = np.stack([col, row], axis=-1) + first
        upper = np.minimum(lower + 1, size)
        cells = shapely.box(lower[..., 0], lower[..., 1], upper[..., 0], upper[..., 1])
        shapely.prepare(zone)
        share[:] = shapely.covers(zone, cells)
        cut = (share == 0) & shapely.intersects(zone, cells)
        share[cut] = shapely.area(shapely.intersection(cells[cut], zone)) / shapely.area(cells[cut])
        return
    box = shapely.box(*first, *np.minimum(first + share.shape[::-1], size))
    if shapely.covers(zone, box):
        share[:] = 1
        return
    zone = keep_polygons(shapely.intersection(zone, box))
    axis = int(share.shape[1] > share.shape[0])
    half = share.shape[axis] // 2
    step = np.array([half, 0] if axis else [0, half])
    for part, start in zip(np.split(share, [half], axis=axis), (first, first + step), strict=True):
        _weigh_part(part, zone, start, size)


def flatten(shape: shapely.Geometry) -> np.ndarray:
    """Polygons, lines and points (n,), also those of nested collections."""
    parts: np.ndarray = shapely.get_parts(shape)
    while any(part.geom_type.startswith(("Multi", "Geometry")) for part in parts):
        parts = shapely.get_parts(parts)
    return parts


def keep_polygons(shape: shapely.Geometry) -> shapely.Geometry:
    """The polygons of a shape as one."""
    parts = flatten(shape)
    return shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
