"""A sample of a scene's stored numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoclass.scene.open.source import Possible


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Tiles as they are stored."""

    stored: np.ndarray
    """(3, n, tile, tile): red, green, blue."""
    valid: np.ndarray
    """bool (n, tile, tile): True where there is data."""

    def percentile(self, share: float) -> np.ndarray | None:
        """Float (3,): of the valid pixels' numbers in red, green and blue; None without any."""
        pixels = self.stored[:, self.valid]
        if pixels.shape[1] == 0:
            return None
        found: np.ndarray = np.percentile(pixels, share, axis=1)
        return found


def find_impossible(stored: np.ndarray, possible: Possible) -> np.ndarray:
    """Bool (…): True where a number of a pixel (3, …) is none that ground can have."""
    low, high = stored.min(axis=0), stored.max(axis=0)
    impossible: np.ndarray = (low < possible.low) | (high > possible.high)
    has_zero = low == 0 if stored.dtype.kind == "u" else (stored == 0).any(axis=0)
    impossible |= has_zero & (high > possible.dark)
    if possible.rim is not None:
        impossible |= high <= possible.rim
    return impossible
