"""Light and noise of a scene, estimated from its own forest.

docs/monitor-model.md contains the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIN_CELLS = 30
"""Forest cells that are needed to estimate light and noise."""
MIN_NOISE = 1.0
"""8-bit steps."""
FELLED = np.array([1.0, 0.7, 0.45], dtype=np.float32)
"""Brightening of felled ground in red, green and blue, relative to red."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Light:
    """Linear relation to earlier colors: offset + gain · color; float32 (3,) each."""

    offset: np.ndarray
    gain: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noise:
    """Variation of the colors of standing forest."""

    centre: np.ndarray
    """float32 (3,)."""
    filter: np.ndarray
    """float32 (3,): its product with residuals is the brightening of red, in 8-bit steps."""
    scale: float
    """Standard deviation of this product for standing forest."""

    def score(self, rest: np.ndarray) -> np.ndarray:
        """Standard scores, float32 (n,), of differences, float32 (3, n)."""
        centred = rest - self.centre[:, None]
        scores: np.ndarray = sum(map(np.multiply, self.filter, centred)) / self.scale
        return scores


def fit_light(before: np.ndarray, now: np.ndarray) -> Light:
    """Robust regression of a date's colors on earlier ones, float32 (n, 3) each, for each band.

    It starts from the densest third of the differences, because half of a small forest may have
    been felled at once, and continues by least squares with Tukey's biweight.
    """
    offset, gain = np.zeros(3, np.float32), np.ones(3, np.float32)
    for band in range(3):
        x, y = before[:, band], now[:, band]
        middle, spread = find_densest(y - x)
        spread = max(spread, MIN_NOISE)
        mean, slope, shift = float(np.median(x)), 1.0, middle
        for _ in range(5):
            left = y - x - shift - (slope - 1) * (x - mean)
            weight = np.clip(1 - (left / (4.7 * spread)) ** 2, 0, None) ** 2
            total = weight.sum()
            if total < MIN_CELLS / 3:
                break
            mean = float((weight * x).sum() / total)
            shift = float((weight * (y - x)).sum() / total)
            # Prior of the slope: 1 ± 0.2.
            ridge = spread**2 / 0.2**2
            slope = 1 + float(
                (weight * (x - mean) * (y - x - shift)).sum()
                / ((weight * (x - mean) ** 2).sum() + ridge)
            )
            slope = min(max(slope, 0.4), 2.5)
            left = y - x - shift - (slope - 1) * (x - mean)
            spread = max(1.4826 * float(np.median(np.abs(left[weight > 0]))), MIN_NOISE)
        gain[band] = slope
        offset[band] = shift + mean - slope * mean
    return Light(offset=offset, gain=gain)


def find_densest(values: np.ndarray) -> tuple[float, float]:
    """Mean of the shortest interval that contains a third of the values, and its scale.

    The scale is the standard deviation of a normal distribution whose third is equally short.
    """
    ordered = np.sort(values.astype(np.float64))
    third = max(2, len(ordered) // 3)
    width = ordered[third - 1 :] - ordered[: len(ordered) - third + 1]
    start = int(width.argmin())
    middle = float(ordered[start : start + third].mean())
    return middle, float(width[start]) / (2 * 0.4307)


def fit_noise(rest: np.ndarray) -> Noise:
    """Noise of the differences of a scene's forest, float32 (n, 3), without felled cells.

    The filter is the matched filter of felled ground, f = Σ⁻¹ m / (mᵀ Σ⁻¹ m). Haze brightens blue
    and red together, so the covariance Σ of a hazy scene is large in this direction, and the filter
    has little weight there.
    """
    centre = np.array([find_densest(band)[0] for band in rest.T], np.float32)
    spread = np.array([max(find_densest(band)[1], MIN_NOISE) for band in rest.T], np.float32)
    covariance = np.diag(spread**2).astype(np.float64)
    for _ in range(5):
        left = (rest - centre).astype(np.float64)
        far = np.einsum("ni,ij,nj->n", left, np.linalg.inv(covariance), left)
        kept = left[far < 16]
        if len(kept) < MIN_CELLS / 3:
            break
        centre = centre + np.median(kept, axis=0).astype(np.float32)
        covariance = np.cov(kept.T) + np.diag(np.full(3, (MIN_NOISE / 2) ** 2))
    matched = np.linalg.solve(covariance, FELLED)
    power = float(FELLED @ matched)
    scale = max(1 / np.sqrt(power), MIN_NOISE)
    return Noise(centre=centre, filter=(matched / power).astype(np.float32), scale=float(scale))
