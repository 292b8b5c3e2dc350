"""Tiles labelled together: bands of a scene with what lies around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from geoclass.grid import Grid
from geoclass.mapping.cells import cut_tiles, is_whole
from geoclass.mapping.plan import LatticeClassifier, MapPlan, TileClassifier
from geoclass.model.classifier import Prediction
from geoclass.model.sharing import CONTEXT, FEATURE_STRIDE
from geoclass.scene.reader import Strip, read_strips

BAND_ROWS = 1024
"""Rows of pixels whose cells are labelled together; more context is read again with fewer."""


def is_wide_enough(grid: Grid) -> bool:
    """Whether bands fit into the scene; narrower ones are small, and labelled tile by tile."""
    return min(grid.height, grid.width) >= 2 * _measure_context(grid)


def read_bands(plan: MapPlan) -> Iterator[Strip]:
    """All rows of cells from top to bottom, with the context that their tiles' features need.

    Bands lie where the grid says, whatever the strips that memory allows, so that each tile has
    the same neighbours in every run.
    """
    grid, context = plan.grid, _measure_context(plan.grid)
    height = min(BAND_ROWS + context, grid.height, grid.width)
    rows = (
        height if height == grid.height else (height - context) // grid.tile_size * grid.tile_size
    )
    bands = replace(grid, tile_size=height, stride=rows)
    for band in read_strips(plan.source, plan.frame, bands, plan.looks, strip_pixels=1):
        first, last = (
            min(i * rows // grid.stride, grid.rows) for i in (band.first_row, band.last_row)
        )
        yield replace(
            band, first_row=first, last_row=grid.rows if band.last_row == bands.rows else last
        )


def _measure_context(grid: Grid) -> int:
    """Rows of pixels that a band has above and below its cells, together."""
    return 2 * CONTEXT + grid.tile_size


def label_band(
    band: Strip,
    grid: Grid,
    rows: np.ndarray,
    cols: np.ndarray,
    together: LatticeClassifier,
    alone: TileClassifier,
) -> Prediction:
    """Labels of the tiles of cells, int (n,), rows counted within the band.

    Tiles at the scene's edge, which lie off the lattice of the others, and those that miss
    pixels are labelled alone.
    """
    top, left = grid.tile_rows[band.first_row + rows], grid.tile_cols[cols]
    step = grid.stride
    phase = (step - grid.tile_size) // 2 % step
    regular = (top % step == phase) & (left % step == phase)
    regular &= is_whole(band, grid, rows, cols)
    classes = len(alone.contract.legend)
    probabilities = np.empty((len(rows), classes), dtype=np.float32)
    unknown = np.empty(len(rows), dtype=bool)
    if regular.any():
        # Features lie where the lattice's tiles begin and end.
        above, before = (phase - band.top) % FEATURE_STRIDE, phase % FEATURE_STRIDE
        first = (phase - band.top) % step, phase
        likely, strange = together.predict(
            band.pixels[:, above:, before:], (first[0] - above, first[1] - before), step
        )
        i = (top[regular] - band.top - first[0]) // step
        j = (left[regular] - first[1]) // step
        probabilities[regular] = likely[i, j]
        unknown[regular] = strange[i, j]
    if not regular.all():
        prediction = alone.predict(cut_tiles(band, grid, rows[~regular], cols[~regular]))
        probabilities[~regular] = prediction.probabilities
        unknown[~regular] = prediction.unknown
    return Prediction(probabilities=probabilities, unknown=unknown)
