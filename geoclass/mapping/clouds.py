"""Thin and broken clouds: cells where cloud is possible, near cells where it is certain."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE, MASK_REASONS, LandCoverMap
from geoclass.legend import MASKED, NODATA
from geoclass.mapping.builder import Part
from geoclass.model.networks import CELL

CLOUD = MASK_REASONS.index("cloud")
"""Mask reason of cells that the network classifies as cloud or cloud shadow."""

SURROUNDINGS = 30.0
"""Standard deviation of the Gaussian that weights the surroundings, cells: 1.2 km."""
LEAST = 0.05
"""Fraction of the surroundings that is certainly cloud, from which possible cloud is masked."""
MOST = 0.5
"""Maximum fraction of a scene that is masked as possible cloud. If there is more, the model does
not tell land from cloud by these odds, which were chosen for the shipped one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sky:
    """Clouds of a scene in cells of 4×4 pixels; arrays are bool (rows, cols)."""

    seen: np.ndarray
    """Cells with valid pixels."""
    certain: np.ndarray
    """Cells that the network classifies as cloud or cloud shadow."""
    possible: np.ndarray
    """Cells that may be cloud or cloud shadow, among them all certain ones."""

    @classmethod
    def begin(cls, grid: Grid) -> Sky:
        """Nothing seen yet."""
        cells = replace(grid, stride=CELL)
        seen, certain, possible = np.zeros((3, cells.rows, cells.cols), dtype=bool)
        return cls(seen=seen, certain=certain, possible=possible)

    def add(self, part: Part, seen: np.ndarray, certain: np.ndarray, possible: np.ndarray) -> None:
        """Set the cells of a window, which may extend beyond the scene."""
        rows, cols = self.seen[part].shape
        self.seen[part] = seen[:rows, :cols]
        self.certain[part] = (seen & certain)[:rows, :cols]
        self.possible[part] = (seen & possible)[:rows, :cols]

    def find_thin(self) -> np.ndarray:
        """Cells of possible cloud in cloudy surroundings, without certain ones."""
        thin = self.possible & ~self.certain
        if not self.certain.any() or thin.sum() > MOST * self.seen.sum():
            return np.zeros_like(thin)
        from scipy.ndimage import gaussian_filter  # slow to import, rarely needed

        certain, seen = (
            gaussian_filter(cells.astype(np.float32), SURROUNDINGS, mode="constant", truncate=3)
            for cells in (self.certain, self.seen)
        )
        return thin & (certain >= LEAST * seen)


def mask_thin_clouds(landcover: LandCoverMap, thin: np.ndarray, min_share: float) -> None:
    """Mask cells of a map of which too little is left, in place.

    `thin` is bool, cells of 4×4 pixels hidden by cloud; `min_share` 0–1 is the least valid
    fraction of a cell. The class of the others does not change.
    """
    side = landcover.grid.stride // CELL
    starts = [np.arange(0, length, side) for length in thin.shape]
    count = np.add.reduceat(np.add.reduceat(thin.astype(np.int32), starts[0], 0), starts[1], 1)
    sizes = (np.diff([*first, length]) for first, length in zip(starts, thin.shape, strict=True))
    hidden = count / np.outer(*sizes)
    valid = landcover.valid_share / FULL_SCALE - hidden
    masked = (hidden > 0) & (landcover.best_class != NODATA) & (valid < min_share)
    landcover.valid_share[:] = np.rint(np.maximum(valid, 0) * FULL_SCALE)
    landcover.class_id[masked] = MASKED
    landcover.mask_reason[masked] = CLOUD
    landcover.best_class[masked] = NODATA
    landcover.probabilities[masked] = 0
    if landcover.colors is not None:
        landcover.colors[masked] = 0
