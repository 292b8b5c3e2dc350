"""A map while it is made: part by part, in the few bytes a cell that it will have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoclass.contract import Contract
from geoclass.grid import Grid
from geoclass.landcover import COLORS, FULL_SCALE, LandCoverMap, Provenance
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping.calm import sieve_classes, smooth_probabilities
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
