"""A sample of stored values, and the values that land and water can have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """Limits of stored values; pixels beyond them are missing."""

    low: float
    high: float
    dark: float
    """Maximum of a pixel with 0 in one band; in brighter pixels, 0 is nodata."""
    rim: float | None = None
    """Pixels that are not brighter than this in any band are missing."""

    def excludes(self, stored: np.ndarray) -> np.ndarray:
        """Bool (…): True for impossible pixels (3, …)."""
        low, high = stored.min(axis=0), stored.max(axis=0)
        impossible: np.ndarray = (low < self.low) | (high > self.high)
        has_zero = low == 0 if stored.dtype.kind == "u" else (stored == 0).any(axis=0)
        impossible |= has_zero & (high > self.dark)
        if self.rim is not None:
            impossible |= high <= self.rim
        return impossible


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Tiles of stored values."""

    stored: np.ndarray
    """(3, n, tile, tile): red, green, blue."""
    valid: np.ndarray
    """bool (n, tile, tile)."""

    def percentile(self, share: float) -> np.ndarray | None:
        """Float (3,): a percentile of the valid pixels in each band; None without valid pixels."""
        pixels = self.stored[:, self.valid]
        return np.percentile(pixels, share, axis=1) if pixels.shape[1] else None
