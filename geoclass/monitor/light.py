"""How a date's forest is lit, and how it scatters: told by the scene's own forest.

The formulas stand in docs/monitor-model.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_CELLS = 30
"""Of forest, that a scene's light and noise can be told by."""
LEAST_NOISE = 1.0
"""8-bit steps."""
FELLED = np.array([1.0, 0.7, 0.45], dtype=np.float32)
"""Brightening of felled ground in red, green and blue, relative to red."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Light:
    """How a date's forest is lit: colours = offset + gain · those before; float32 (3,) each."""

    offset: np.ndarray
    gain: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noise:
    """How the colours of standing forest scatter."""

    centre: np.ndarray
    """float32 (3,)."""
    filter: np.ndarray
    """float32 (3,): times what is left over, the brightening of red by felling, in 8-bit steps."""
    scale: float
    """Of that, one standard deviation where forest stands."""

    def score(self, rest: np.ndarray) -> np.ndarray:
        """Standard scores, float32 (n,), of differences, float32 (n, 3)."""
        scores: np.ndarray = (rest - self.centre) @ self.filter / self.scale
        return scores


def fit_light(before: np.ndarray, now: np.ndarray) -> Light:
    """Robust regression of a date's colours on those before, float32 (n, 3) each, band by band.

    It starts from the densest third of the differences, since as much as half of a small forest
    may have been felled at once, and goes on by least squares with Tukey's biweight.
    """
    offset, gain = np.zeros(3, np.float32), np.ones(3, np.float32)
    for band in range(3):
        x, y = before[:, band], now[:, band]
        middle, spread = find_densest(y - x)
        spread = max(spread, LEAST_NOISE)
        mean, slope, shift = float(np.median(x)), 1.0, middle
        for _ in range(5):
            left = y - x - shift - (slope - 1) * (x - mean)
            weight = np.clip(1 - (left / (4.7 * spread)) ** 2, 0, None) ** 2
            total = weight.sum()
            if total < LEAST_CELLS / 3:
                break
            mean = float((weight * x).sum() / total)
            shift = float((weight * (y - x)).sum() / total)
            # A slope other than 1 needs forest that differs: a prior of 1 ± 0.2.
            ridge = spread**2 / 0.2**2
            slope = 1 + float(
                (weight * (x - mean) * (y - x - shift)).sum()
                / ((weight * (x - mean) ** 2).sum() + ridge)
            )
            slope = min(max(slope, 0.4), 2.5)
            left = y - x - shift - (slope - 1) * (x - mean)
            spread = max(1.4826 * float(np.median(np.abs(left[weight > 0]))), LEAST_NOISE)
        gain[band] = slope
        offset[band] = shift + mean - slope * mean
    return Light(offset=offset, gain=gain)


def find_densest(values: np.ndarray) -> tuple[float, float]:
    """The middle of the shortest interval that holds a third of the values, and its scale.

    The scale is the standard deviation of a normal distribution whose third is that short.
    """
    ordered = np.sort(values.astype(np.float64))
    held = max(2, len(ordered) // 3)
    width = ordered[held - 1 :] - ordered[: len(ordered) - held + 1]
    start = int(width.argmin())
    middle = float(ordered[start : start + held].mean())
    return middle, float(width[start]) / (2 * 0.4307)


def fit_noise(rest: np.ndarray) -> Noise:
    """How the differences of a scene's forest, float32 (n, 3), scatter; felled cells left out.

    The filter is the one that sees felled ground best against that scatter (matched filter):
    f = Σ⁻¹ m / (mᵀ Σ⁻¹ m). Haze brightens blue and red together, so a hazy scene has a covariance
    Σ along haze, which the filter then does not look at.
    """
    centre = np.array([find_densest(band)[0] for band in rest.T], np.float32)
    spread = np.array([max(find_densest(band)[1], LEAST_NOISE) for band in rest.T], np.float32)
    covariance = np.diag(spread**2).astype(np.float64)
    for _ in range(5):
        left = (rest - centre).astype(np.float64)
        far = np.einsum("ni,ij,nj->n", left, np.linalg.inv(covariance), left)
        kept = left[far < 16]
        if len(kept) < LEAST_CELLS / 3:
            break
        centre = centre + np.median(kept, axis=0).astype(np.float32)
        covariance = np.cov(kept.T) + np.diag(np.full(3, (LEAST_NOISE / 2) ** 2))
    looked = np.linalg.solve(covariance, FELLED)
    power = float(FELLED @ looked)
    scale = max(1 / np.sqrt(power), LEAST_NOISE)
    return Noise(centre=centre, filter=(looked / power).astype(np.float32), scale=float(scale))
