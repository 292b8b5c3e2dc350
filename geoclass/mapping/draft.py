"""A map while it is made: part by part, in the few bytes a cell that it will have.

And speckle taken out of it: probabilities smoothed, small patches given away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from rasterio.features import sieve

from geoclass.contract import Contract
from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.landcover import COLORS, FULL_SCALE, LandCoverMap, Provenance
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping.cells import CellView
from geoclass.mapping.settings import CalmSettings

Part = tuple[slice, slice]
"""Rows and columns of cells."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """All cells of one size; arrays are those of `LandCoverMap`."""

    grid: Grid
    class_id: np.ndarray
    best_class: np.ndarray
    probabilities: np.ndarray
    valid_share: np.ndarray
    mask_reason: np.ndarray
    colors: np.ndarray | None

    @classmethod
    def begin(cls, grid: Grid, classes: int, *, colored: bool = False) -> Draft:
        """No cell is known yet."""
        shape = (grid.rows, grid.cols)
        return cls(
            grid=grid,
            class_id=np.full(shape, NODATA, dtype=np.uint8),
            best_class=np.full(shape, NODATA, dtype=np.uint8),
            probabilities=np.zeros((*shape, classes), dtype=np.uint8),
            valid_share=np.zeros(shape, dtype=np.uint8),
            mask_reason=np.zeros(shape, dtype=np.uint8),
            colors=np.zeros((*shape, len(COLORS)), dtype=np.uint8) if colored else None,
        )

    def put(
        self,
        part: Part,
        view: CellView,
        probabilities: np.ndarray,
        unknown: np.ndarray,
        colors: np.ndarray | None = None,
    ) -> None:
        """Fill in a part: what can be seen of its cells, and what the network says of them.

        `probabilities` are uint8 (rows, cols, classes), 250 is 1, `unknown` is bool (rows, cols),
        `colors` uint8 (rows, cols, 6); they are looked at where cells are seen.
        """
        seen = view.seen
        self.valid_share[part] = np.rint(view.valid_share * FULL_SCALE)
        self.mask_reason[part] = view.mask_reason
        self.probabilities[part] = np.where(seen[:, :, None], probabilities, 0)
        best = np.where(seen, probabilities.argmax(axis=2), NODATA).astype(np.uint8)
        self.best_class[part] = best
        best[seen & unknown] = UNKNOWN
        best[view.mask_reason > 0] = MASKED
        self.class_id[part] = best
        if self.colors is not None and colors is not None:
            self.colors[part] = np.where(seen[:, :, None], colors, 0)

    def calm(self, settings: CalmSettings) -> None:
        """Take speckle out; unknown, masked and missing cells stay what they are."""
        classes = self.probabilities.shape[2]
        if settings.smooth is not None:
            seen, labelled = self.best_class != NODATA, self.class_id < classes
            self.probabilities[:] = smooth_probabilities(
                self.probabilities, seen, strength=settings.smooth, window=settings.smooth_window
            )
            self.best_class[seen] = self.probabilities.argmax(axis=2)[seen]
            self.class_id[labelled] = self.best_class[labelled]
        if settings.min_area_ha is not None:
            self.class_id[:] = sieve_classes(
                self.class_id, classes, self.grid, settings.min_area_ha
            )

    def finish(
        self, contract: Contract, provenance: Provenance, detail: LandCoverMap | None = None
    ) -> LandCoverMap:
        """The map."""
        return LandCoverMap(
            grid=self.grid,
            contract=contract,
            provenance=provenance,
            class_id=self.class_id,
            best_class=self.best_class,
            probabilities=self.probabilities,
            valid_share=self.valid_share,
            mask_reason=self.mask_reason,
            colors=self.colors,
            detail=detail,
        )


LEAST = 0.5 / FULL_SCALE
"""Probabilities are kept this far from 0 and 1, where logits would be infinite: as far as those
that are stored as 0 or 1 may be."""

SHARE = 0.5
"""Of a window, the highest logits: those of the cell's own side of a border, as in sits."""

_WINDOW_VALUES = 5_000_000
"""So many values of windows are sorted at a time."""


def smooth_probabilities(
    probabilities: np.ndarray, seen: np.ndarray, *, strength: float, window: int
) -> np.ndarray:
    """Empirical Bayes on the logits of each class, as sits smooths; a cell's sum to 250.

    `probabilities` are uint8 (rows, cols, classes), 250 is 1; `seen` is bool (rows, cols); other
    cells are left as they are and count for nothing. With m and s² the mean and variance of the
    higher half of the logits of the seen cells in the window, a logit x becomes
    (s² x + strength · m) / (s² + strength): Camara et al. 2024, Bayesian inference for
    post-processing of remote sensing image classification, Remote Sensing 16 (23), 4572. So
    strength is the variance of logits among cells of one kind that is put down to the network.
    """
    rows, cols, classes = probabilities.shape
    smoothed, step = probabilities.copy(), max(1, _WINDOW_VALUES // (cols * window**2))
    for top in range(0, rows, step):
        span = slice(top, min(top + step, rows))
        odds = np.stack(
            [
                _shrink_logits(probabilities, seen, k, span, strength, window)
                for k in range(classes)
            ],
            axis=2,
        )
        likely = 1 / (1 + np.exp(-odds))
        likely *= FULL_SCALE / likely.sum(axis=2, keepdims=True)
        there = seen[span]
        smoothed[span][there] = np.rint(likely[there])
    return smoothed


def _shrink_logits(
    probabilities: np.ndarray,
    seen: np.ndarray,
    k: int,
    span: slice,
    strength: float,
    window: int,
) -> np.ndarray:
    """Float32 (rows, cols) of a span of rows: logits of class k, drawn to the means of windows."""
    half, cols = window // 2, seen.shape[1]
    low, high = max(0, span.start - half), min(len(seen), span.stop + half)
    p = (probabilities[low:high, :, k] / np.float32(FULL_SCALE)).clip(LEAST, 1 - LEAST)
    logits = np.log(p / (1 - p))
    # Sorted upward, what is not seen comes last when negated.
    beyond = (half - (span.start - low), half - (high - span.stop)), (half, half)
    padded = np.pad(np.where(seen[low:high], -logits, np.inf), beyond, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window))
    values = windows.reshape(-1, cols, window**2)
    count = np.isfinite(values).sum(axis=2)
    kept = np.maximum(np.ceil(SHARE * count), 1).astype(np.int64)
    highest = -np.sort(values, axis=2)[:, :, : math.ceil(SHARE * window**2)]
    chosen = np.arange(highest.shape[2]) < kept[:, :, None]
    highest = np.where(chosen & np.isfinite(highest), highest, 0)
    mean = highest.sum(axis=2) / kept
    away = np.where(chosen, highest - mean[:, :, None], 0)
    variance = (away**2).sum(axis=2) / np.maximum(kept - 1, 1)
    x = logits[span.start - low :][: len(values)]
    shrunk: np.ndarray = (variance * x + strength * mean) / (variance + strength)
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
