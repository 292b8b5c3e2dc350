"""Filling a map part by part, and its post-processing."""

from __future__ import annotations

import math

import numpy as np
from rasterio.features import sieve

from geoclass.contract import Contract
from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.landcover import COLORS, FULL_SCALE, LandCoverMap, Provenance
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping.cells import Coverage
from geoclass.mapping.settings import PostprocessingSettings

Part = tuple[slice, slice]
"""Rows and columns of cells."""


def begin_map(grid: Grid, contract: Contract, provenance: Provenance) -> LandCoverMap:
    """A map of nodata cells; `fill_part` sets them."""
    shape, colored = (grid.rows, grid.cols), grid.stride < grid.tile_size
    return LandCoverMap(
        grid=grid,
        contract=contract,
        provenance=provenance,
        class_id=np.full(shape, NODATA, dtype=np.uint8),
        best_class=np.full(shape, NODATA, dtype=np.uint8),
        probabilities=np.zeros((*shape, len(contract.legend)), dtype=np.uint8),
        valid_share=np.zeros(shape, dtype=np.uint8),
        mask_reason=np.zeros(shape, dtype=np.uint8),
        colors=np.zeros((*shape, len(COLORS)), dtype=np.uint8) if colored else None,
    )


def fill_part(
    landcover: LandCoverMap,
    part: Part,
    coverage: Coverage,
    probabilities: np.ndarray,
    unknown: np.ndarray,
    colors: np.ndarray | None = None,
) -> None:
    """Set a part of a map.

    `probabilities` are uint8 (rows, cols, classes), 250 is 1, `unknown` is bool (rows, cols),
    `colors` uint8 (rows, cols, 6); values of unusable cells are ignored.
    """
    usable = coverage.usable
    landcover.valid_share[part] = np.rint(coverage.valid_share * FULL_SCALE)
    landcover.mask_reason[part] = coverage.mask_reason
    landcover.probabilities[part] = np.where(usable[:, :, None], probabilities, 0)
    best = np.where(usable, probabilities.argmax(axis=2), NODATA).astype(np.uint8)
    landcover.best_class[part] = best
    best[usable & unknown] = UNKNOWN
    best[coverage.mask_reason > 0] = MASKED
    landcover.class_id[part] = best
    if landcover.colors is not None and colors is not None:
        landcover.colors[part] = np.where(usable[:, :, None], colors, 0)


def remove_speckle(landcover: LandCoverMap, settings: PostprocessingSettings) -> None:
    """Change the map in place; unknown, masked and nodata cells stay."""
    class_id, best_class, classes = landcover.class_id, landcover.best_class, len(landcover.legend)
    if settings.smooth is not None:
        seen, labelled = best_class != NODATA, class_id < classes
        landcover.probabilities[:] = smooth_probabilities(
            landcover.probabilities, seen, strength=settings.smooth, window=settings.smooth_window
        )
        best_class[seen] = landcover.probabilities.argmax(axis=2)[seen]
        class_id[labelled] = best_class[labelled]
    if settings.min_area_ha is not None:
        class_id[:] = sieve_classes(class_id, classes, landcover.grid, settings.min_area_ha)


EPSILON = 0.5 / FULL_SCALE
"""Distance of probabilities from 0 and 1, to avoid infinite logits: the quantisation error."""

NEIGHBOUR_FRACTION = 0.5
"""Fraction of a window's logits that is used, the highest ones, as in sits: at a border, those on
the cell's own side."""

_CHUNK_VALUES = 5_000_000
"""Values of windows that are sorted at a time."""


def smooth_probabilities(
    probabilities: np.ndarray, seen: np.ndarray, *, strength: float, window: int
) -> np.ndarray:
    """Empirical Bayes smoothing of the logits of each class, as in sits.

    `probabilities` are uint8 (rows, cols, classes), 250 is 1, and sum to 250; cells that are not
    `seen`, bool (rows, cols), are ignored and not changed. With m and s² the mean and variance of
    the higher half of the logits in the window, a logit x becomes
    (s² x + strength · m) / (s² + strength): Camara et al. 2024, Bayesian inference for
    post-processing of remote sensing image classification, Remote Sensing 16 (23), 4572. `strength`
    is the variance of logits of one class that is attributed to the network.
    """
    rows, cols, classes = probabilities.shape
    smoothed, step = probabilities.copy(), max(1, _CHUNK_VALUES // (cols * window**2))
    for top in range(0, rows, step):
        span = slice(top, min(top + step, rows))
        odds = np.stack(
            [
                _shrink_logits(probabilities, seen, k, span, strength, window)
                for k in range(classes)
            ],
            axis=2,
        )
        updated = 1 / (1 + np.exp(-odds))
        updated *= FULL_SCALE / updated.sum(axis=2, keepdims=True)
        smoothed[span][seen[span]] = np.rint(updated[seen[span]])
    return smoothed


def _shrink_logits(
    probabilities: np.ndarray,
    seen: np.ndarray,
    k: int,
    span: slice,
    strength: float,
    window: int,
) -> np.ndarray:
    """Float32 (rows, cols) of a span of rows: smoothed logits of class k."""
    half, cols = window // 2, seen.shape[1]
    low, high = max(0, span.start - half), min(len(seen), span.stop + half)
    p = (probabilities[low:high, :, k] / np.float32(FULL_SCALE)).clip(EPSILON, 1 - EPSILON)
    logits = np.log(p / (1 - p))
    # Negated logits: cells that are not seen are sorted last.
    beyond = (half - (span.start - low), half - (high - span.stop)), (half, half)
    padded = np.pad(np.where(seen[low:high], -logits, np.inf), beyond, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window))
    values = windows.reshape(-1, cols, window**2)
    count = np.isfinite(values).sum(axis=2)
    kept = np.maximum(np.ceil(NEIGHBOUR_FRACTION * count), 1).astype(np.int64)
    highest = -np.sort(values, axis=2)[:, :, : math.ceil(NEIGHBOUR_FRACTION * window**2)]
    chosen = np.arange(highest.shape[2]) < kept[:, :, None]
    highest = np.where(chosen & np.isfinite(highest), highest, 0)
    mean = highest.sum(axis=2) / kept
    away = np.where(chosen, highest - mean[:, :, None], 0)
    variance = (away**2).sum(axis=2) / np.maximum(kept - 1, 1)
    x = logits[span.start - low :][: len(values)]
    return (variance * x + strength * mean) / (variance + strength)


def sieve_classes(class_id: np.ndarray, classes: int, grid: Grid, min_area_ha: float) -> np.ndarray:
    """Merge patches of a class smaller than `min_area_ha` into their largest neighbour.

    `class_id` is uint8 (rows, cols); codes from `classes` on (unknown, masked, nodata) neither
    change nor grow. Patches are 4-connected. A patch whose largest neighbour is also small stays.
    Raises SettingsError for a grid without a CRS.
    """
    if grid.crs is None:
        raise SettingsError(
            "the scene does not say where it lies, so that its cells have no area in hectares: "
            "leave out --min-area, or give --crs and --bounds"
        )
    cell_ha = grid.gsd_m**2 * grid.stride**2 / 1e4
    cells = math.ceil(min_area_ha / cell_ha - 1e-6)  # tolerance for rounding
    if cells <= 1:
        return class_id
    cells = min(cells, class_id.size)  # rasterio refuses larger sizes
    return sieve(class_id, size=cells, mask=class_id < classes, connectivity=4)
