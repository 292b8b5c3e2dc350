"""How dates are related by their seasons."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyproj

from geoclass.grid import Grid
from geoclass.monitor.markov import DAYS_PER_YEAR

SEASON_DAYS = 30.0
"""Weight of a date in another season: exp(−½ (d / 30)²), d being the days of the year between."""
OTHER_PHASE = 0.1
"""Factor on this weight if one date is in leaf and the other is not."""
LEAF_ON, LEAF_OFF = 106, 298
"""Days of the year between which broad-leaved forest is in leaf, 16 April to 25 October; half a
year later in the south. Within 30° of the equator it is in leaf all year."""
MIN_SEASON_WEIGHT = 1e-4
"""Weight of dates in all other seasons: enough to estimate light, but not a loss."""


def relate_dates(days: tuple[date, ...], latitude: float) -> np.ndarray:
    """float64 (dates, dates): seasonal weight of one date in the past of another, 0–1."""
    of_year = np.array([day.timetuple().tm_yday for day in days], dtype=float)
    apart = np.abs(of_year[:, None] - of_year)
    apart = np.minimum(apart, DAYS_PER_YEAR - apart)
    in_leaf = find_leaves(days, latitude)
    weights = np.exp(-0.5 * (apart / SEASON_DAYS) ** 2)
    weights = np.where(in_leaf[:, None] == in_leaf, weights, weights * OTHER_PHASE)
    related: np.ndarray = np.maximum(weights, MIN_SEASON_WEIGHT)
    return related


def find_leaves(days: tuple[date, ...], latitude: float) -> np.ndarray:
    """Bool (dates,): whether broad-leaved forest is in leaf."""
    if abs(latitude) < 30:
        return np.ones(len(days), dtype=bool)
    of_year = np.array([day.timetuple().tm_yday for day in days], dtype=float)
    of_year = (of_year + (0 if latitude > 0 else 182.6)) % DAYS_PER_YEAR
    in_leaf: np.ndarray = (of_year >= LEAF_ON) & (of_year < LEAF_OFF)
    return in_leaf


def find_latitude(grid: Grid) -> float:
    """Degrees, at the grid's centre."""
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    return float(to_degrees.transform(x, y)[1])
