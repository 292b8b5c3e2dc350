"""A map brought to another map's cells, where theirs do not coincide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyproj

from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.legend import NODATA


def resample_map(landcover: LandCoverMap, grid: Grid) -> LandCoverMap:
    """The map on another grid: each cell takes what the map says at its middle.

    A label may come from up to half a cell away; cells whose middle the map does not reach are
    nodata.
    """
    own = landcover.grid
    to_own = pyproj.Transformer.from_crs(grid.crs, own.crs, always_xy=True)
    x, y = to_own.transform(*grid.centres())
    col, row = ~own.transform @ (x, y)
    inside = (row >= 0) & (col >= 0) & (row < own.height) & (col < own.width)
    rows = np.where(inside, row // own.stride, 0).astype(np.int64)
    cols = np.where(inside, col // own.stride, 0).astype(np.int64)
    planes: dict[str, Any] = {
        name: np.where(inside, getattr(landcover, name)[rows, cols], empty).astype(np.uint8)
        for name, empty in (
            ("class_id", NODATA),
            ("best_class", NODATA),
            ("valid_share", 0),
            ("mask_reason", 0),
        )
    }
    probabilities = np.where(inside[:, :, None], landcover.probabilities[rows, cols], 0)
    return replace(landcover, grid=grid, probabilities=probabilities.astype(np.uint8), **planes)
