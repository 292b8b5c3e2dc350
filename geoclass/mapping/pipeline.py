"""Scene × model → land-cover map: decide, then read → cut → classify → collect.

`plan_map` decides everything, so that a rerun can be recognised and a dry run can be told;
`run_map` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE, LandCoverMap, quantise_probabilities
from geoclass.legend import NODATA, UNKNOWN
from geoclass.mapping.plan import MapPlan, TileClassifier, plan_map
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.scene.reader import STRIP_PIXELS, Strip, read_strips


def map_scene(
    scene: Path | str,
    model: Model | None = None,
    *,
    settings: MapSettings | None = None,
    bands: Sequence[int | str] | None = None,
    device: str | None = None,
    on_cells: Callable[[int], object] = lambda _: None,
) -> LandCoverMap:
    """Map a scene with a model, by default the one that ships.

    `bands` are the numbers or names of the red, green and blue band, where the file does not say;
    `on_cells` is told how many more cells are done. Raises GeoclassError where it cannot be.
    """
    model = model or load_model()
    plan = plan_map(
        scene,
        model.contract,
        model.sha256,
        settings or MapSettings(),
        bands=bands,
        command="geoclass.map_scene",
    )
    return run_map(plan, Classifier(model, device=device), on_cells=on_cells)


def run_map(
    plan: MapPlan,
    classifier: TileClassifier,
    *,
    strip_pixels: int = STRIP_PIXELS,
    on_cells: Callable[[int], object] = lambda _: None,
) -> LandCoverMap:
    """Classify all cells; `on_cells` is told how many more are done."""
    grid = plan.grid
    shape = (grid.rows, grid.cols)
    class_id = np.full(shape, NODATA, dtype=np.uint8)
    best_class = np.full(shape, NODATA, dtype=np.uint8)
    probabilities = np.zeros((*shape, len(plan.contract.legend)), dtype=np.uint8)
    valid_share = np.zeros(shape, dtype=np.uint8)
    for strip in read_strips(plan.source, plan.frame, grid, plan.radiometry, strip_pixels):
        span = slice(strip.first_row, strip.last_row)
        in_cell, in_tile = _valid_shares(strip, grid)
        in_cell = np.where(plan.inside[span], in_cell, 0)
        valid_share[span] = np.rint(in_cell * FULL_SCALE)
        rows, cols = np.nonzero(np.minimum(in_cell, in_tile) >= plan.settings.min_valid_share)
        if len(rows):
            prediction = classifier.predict(_cut_tiles(strip, grid, rows, cols))
            rows = rows + strip.first_row
            best = prediction.probabilities.argmax(axis=1).astype(np.uint8)
            unknown = prediction.unknown & (not plan.settings.keep_unknown)
            best_class[rows, cols] = best
            class_id[rows, cols] = np.where(unknown, UNKNOWN, best)
            probabilities[rows, cols] = quantise_probabilities(prediction.probabilities)
        on_cells(in_cell.size)
    return LandCoverMap(
        grid=grid,
        contract=plan.contract,
        provenance=plan.provenance,
        class_id=class_id,
        best_class=best_class,
        probabilities=probabilities,
        valid_share=valid_share,
    )


def _valid_shares(strip: Strip, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Share of valid pixels in each cell and in its tile, float (rows of cells, cols)."""
    # Sums over rectangles as differences of one running sum over the strip.
    sums = np.zeros((strip.valid.shape[0] + 1, strip.valid.shape[1] + 1), dtype=np.int64)
    sums[1:, 1:] = strip.valid.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    row_edges = grid.row_edges[strip.first_row : strip.last_row + 1] - strip.top
    tile_top = grid.tile_rows[strip.first_row : strip.last_row] - strip.top
    in_cell = _mean_between(
        sums, row_edges[:-1], row_edges[1:], grid.col_edges[:-1], grid.col_edges[1:]
    )
    size = grid.tile_size
    left = grid.tile_cols
    return in_cell, _mean_between(sums, tile_top, tile_top + size, left, left + size)


def _mean_between(
    sums: np.ndarray, top: np.ndarray, bottom: np.ndarray, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Means over all rectangles of the given rows × columns, from a summed-area table."""
    total = (
        sums[np.ix_(bottom, right)]
        - sums[np.ix_(top, right)]
        - sums[np.ix_(bottom, left)]
        + sums[np.ix_(top, left)]
    )
    means: np.ndarray = total / np.outer(bottom - top, right - left)
    return means


def _cut_tiles(strip: Strip, grid: Grid, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Uint8 (n, 3, tile, tile): the tiles of the cells, rows counted within the strip."""
    top = grid.tile_rows[strip.first_row + rows] - strip.top
    left = grid.tile_cols[cols]
    size = (grid.tile_size, grid.tile_size)
    windows = np.lib.stride_tricks.sliding_window_view(strip.pixels, size, axis=(1, 2))
    tiles = np.ascontiguousarray(windows[:, top, left].swapaxes(0, 1))
    masks = np.lib.stride_tricks.sliding_window_view(strip.valid, size)[top, left]
    for i in np.flatnonzero(~masks.all(axis=(1, 2))):
        _fill_invalid(tiles[i], masks[i])
    return tiles


def _fill_invalid(tile: np.ndarray, valid: np.ndarray) -> None:
    """Give pixels without data the mean of the others: black would be taken for water."""
    mean = tile[:, valid].mean(axis=1)
    tile[:, ~valid] = np.rint(mean).astype(np.uint8)[:, None]
