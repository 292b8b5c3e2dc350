"""Speckle taken out of a map: neighbouring probabilities smoothed, small patches given away."""

from __future__ import annotations

import math

import numpy as np
from rasterio.features import sieve

from geoclass.errors import SettingsError
from geoclass.grid import Grid

LEAST = 1e-4
"""Probabilities are kept this far from 0 and 1, where logits would be infinite."""

SHARE = 0.5
"""Of a window, the highest logits: those of the cell's own side of a border, as in sits."""

_WINDOW_VALUES = 20_000_000
"""So many values of windows are sorted at a time."""


def smooth_probabilities(
    probabilities: np.ndarray, seen: np.ndarray, *, strength: float, window: int
) -> np.ndarray:
    """Empirical Bayes on the logits of each class, as sits smooths; float32, rows sum to 1.

    `probabilities` are float (rows, cols, classes), `seen` is bool (rows, cols); other cells are
    left as they are and count for nothing. With m and s² the mean and variance of the higher
    half of the logits of the seen cells in the window, a logit x becomes
    (s² x + strength · m) / (s² + strength): Camara et al. 2024, Bayesian inference for
    post-processing of remote sensing image classification, Remote Sensing 16 (23), 4572. So
    strength is the variance of logits among cells of one kind that is put down to the network.
    """
    smoothed = np.zeros(probabilities.shape, dtype=np.float32)
    for k in range(probabilities.shape[2]):
        p = np.clip(probabilities[:, :, k], LEAST, 1 - LEAST)
        smoothed[:, :, k] = _shrink_logits(np.log(p / (1 - p)), seen, strength, window)
    np.reciprocal(1 + np.exp(-smoothed), out=smoothed)
    smoothed /= smoothed.sum(axis=2, keepdims=True)
    return np.where(seen[:, :, None], smoothed, probabilities.astype(np.float32))


def _shrink_logits(
    logits: np.ndarray, seen: np.ndarray, strength: float, window: int
) -> np.ndarray:
    """Float (rows, cols): each logit drawn to the mean of its window."""
    half = window // 2
    # Sorted upward, what is not seen comes last when negated.
    padded = np.pad(np.where(seen, -logits, np.inf), half, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window))
    rows, cols = logits.shape
    shrunk = np.empty_like(logits)
    step = max(1, _WINDOW_VALUES // (cols * window**2))
    for top in range(0, rows, step):
        values = windows[top : top + step].reshape(-1, cols, window**2)
        count = np.isfinite(values).sum(axis=2)
        kept = np.maximum(np.ceil(SHARE * count), 1).astype(np.int64)
        highest = -np.sort(values, axis=2)[:, :, : math.ceil(SHARE * window**2)]
        chosen = np.arange(highest.shape[2]) < kept[:, :, None]
        highest = np.where(chosen & np.isfinite(highest), highest, 0)
        mean = highest.sum(axis=2) / kept
        away = np.where(chosen, highest - mean[:, :, None], 0)
        variance = (away**2).sum(axis=2) / np.maximum(kept - 1, 1)
        x = logits[top : top + step]
        shrunk[top : top + step] = (variance * x + strength * mean) / (variance + strength)
    return shrunk


def sieve_classes(class_id: np.ndarray, classes: int, grid: Grid, min_area_ha: float) -> np.ndarray:
    """Give patches of a class that are smaller than `min_area_ha` to their largest neighbour.

    `class_id` is uint8 (rows, cols); codes of `classes` and more, unknown and masked cells and
    those without data, stay as they are and take nothing. Cells that share a side are neighbours
    (four of them a cell). A patch whose largest neighbour is small, too, stays.
    Raises SettingsError where cells have no area.
    """
    if grid.crs is None:
        raise SettingsError(
            "the scene does not say where it lies, so that its cells have no area in hectares: "
            "leave out --min-area, or give --crs and --bounds"
        )
    whole = grid.gsd_m**2 * grid.stride**2 / 1e4
    # A hair of rounding is no reason for a cell more.
    cells = math.ceil(min_area_ha / whole - 1e-6)
    if cells <= 1:
        return class_id
    cells = min(cells, class_id.size)  # rasterio refuses more than there are
    kept: np.ndarray = sieve(class_id, size=cells, mask=class_id < classes, connectivity=4)
    return kept
