"""Districts, concessions, parks: which share of each cell lies in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.products.layers import read_polygons


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
    rows, cols = np.divmod(np.arange(grid.rows * grid.cols), grid.cols)
    cells = grid.polygons(rows, cols)
    tree = shapely.STRtree(cells)
    weights: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for name, _ in polygons):
        zone = shapely.make_valid(shapely.union_all([p for other, p in polygons if other == name]))
        share = np.zeros(len(cells))
        touched = tree.query(zone, predicate="intersects")
        share[touched] = shapely.area(shapely.intersection(cells[touched], zone)) / shapely.area(
            cells[touched]
        )
        weights[name] = share
    if not any(share.any() for share in weights.values()):
        raise SettingsError("none of the zones touches the maps: check their places")
    return weights
