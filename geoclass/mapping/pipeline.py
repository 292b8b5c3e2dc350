"""Scene × model → land-cover map: decide, then read → cut → classify → collect, side by side.

`plan_map` decides everything, so that a rerun can be recognised and a dry run can be told;
`run_map` does the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from geoclass.errors import SceneError
from geoclass.landcover import LandCoverMap, quantise_probabilities
from geoclass.legend import NODATA
from geoclass.machine import map_ahead
from geoclass.mapping.cells import cut_tiles, view_cells
from geoclass.mapping.draft import Draft
from geoclass.mapping.plan import MapPlan, TileClassifier
from geoclass.mapping.windows import label_windows
from geoclass.model.survey import HALO, Window
from geoclass.products.formats import AS_USUAL, DISSOLVED_FROM, FileSettings, MapFormat
from geoclass.scene.reader import STRIP_PIXELS, Strip, read_strips
from geoclass.scene.source import check_read

STRIPS_AT_WORK = 2
"""While the last tiles of one strip are classified, those of the next are cut."""


def run_map(
    plan: MapPlan,
    classifier: TileClassifier,
    *,
    strip_pixels: int = STRIP_PIXELS,
    on_cells: Callable[[int], object] = lambda _: None,
) -> LandCoverMap:
    """Classify all cells; `on_cells` is told how many more are done.

    Raises SceneError where the scene cannot be read, or has changed since it was planned.
    """
    classes = len(plan.contract.legend)
    grids = [plan.grid] if plan.detail is None else [plan.grid, plan.detail]
    drafts = [Draft.begin(grid, classes, colored=grid.stride < grid.tile_size) for grid in grids]
    if plan.contract.cell_temperature is None:
        done = label_tiles(plan, classifier, drafts[0], strip_pixels)
    else:
        done = label_windows(plan, classifier, drafts, strip_pixels)
    for cells in done:
        on_cells(cells)
    check_read(plan.source, plan.looks.masks.scl, plan.looks.masks.raster)
    seen = drafts[-1].best_class != NODATA
    if not (seen.any() or plan.settings.frame.force):
        masked = np.mean(drafts[-1].mask_reason > 0)
        raise SceneError(
            f"not one cell of {plan.source.shown} could be classified ({masked:.0%} are masked, "
            "the others lack data): choose another date or place, or give --force for an empty map"
        )
    drafts[-1].calm(plan.settings.calm)
    provenance = replace(
        plan.provenance, precision=classifier.precision, masked_by=plan.looks.masks.notes
    )
    whole, *finer = drafts
    details = [draft.finish(plan.contract, provenance) for draft in finer]
    return whole.finish(plan.contract, provenance, *details)


def label_tiles(
    plan: MapPlan, classifier: TileClassifier, draft: Draft, strip_pixels: int
) -> Iterator[int]:
    """Fill in a draft with tiles, each by itself; how many cells each strip has."""
    grid = plan.grid

    def label(strip: Strip) -> int:
        span = (slice(strip.first_row, strip.last_row), slice(None))
        inside = plan.inside[span]
        view = view_cells(strip, grid, plan.settings.min_valid_share).within(inside)
        likely, unknown = draft.probabilities[span].copy(), np.zeros_like(inside)
        rows, cols = np.nonzero(view.seen)
        if len(rows):
            prediction = classifier.predict(cut_tiles(strip, grid, rows, cols))
            likely[rows, cols] = quantise_probabilities(prediction.probabilities)
            unknown[rows, cols] = prediction.unknown & (not plan.settings.keep_unknown)
        draft.put(span, view, likely, unknown)
        return inside.size

    strips = read_strips(plan.source, plan.frame, grid, plan.looks, strip_pixels)
    with ThreadPoolExecutor(STRIPS_AT_WORK) as threads:
        yield from map_ahead(threads, label, strips, STRIPS_AT_WORK)


SAMPLE_TILES = 256
SAMPLE_WINDOW = 576
"""Pixels a side, with the halo, whose share of the work is then that of most scenes."""

# Measured on maps of 9, 3,600 and 29,584 cells with random probabilities, and dissolved ones.
BYTES_PER_CELL = {"gpkg": 13, "tif": 20, "parquet": 0, "fgb": 0, "geojson": 0}
"""Of a cell by itself, whatever is drawn of it."""
BYTES_PER_SHAPE = {"gpkg": 350, "tif": 0, "parquet": 9, "fgb": 330, "geojson": 560}
"""Of a polygon and what stands beside it: of a cell, or of a patch of cells."""
BYTES_PER_PROBABILITY = {"gpkg": 9, "tif": 0, "parquet": 1, "fgb": 10, "geojson": 22}
"""Of a polygon and class, where files of polygons hold them as columns."""
BYTES_PER_MAP = {
    "gpkg": 140_000, "tif": 35_000, "parquet": 45_000, "fgb": 20_000, "geojson": 16_000
}  # fmt: skip

PATCHES_PER_CELL, PATCHES_PER_DETAIL = 0.06, 0.03
"""Where cells are dissolved; land decides, and the size of cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkEstimate:
    """Of one map on this machine."""

    seconds: float
    """Of classification, which outweighs reading and writing."""
    output_bytes: int


def estimate_work(
    plan: MapPlan,
    classifier: TileClassifier,
    map_format: MapFormat,
    settings: FileSettings = AS_USUAL,
) -> WorkEstimate:
    """Time and size of a planned map: times the classifier on noise, and scales up."""
    tiles_alone = plan.contract.cell_temperature is None
    time_work = _time_tiles if tiles_alone else _time_windows
    time_work(classifier, plan.grid.tile_size)  # the first batch is slower than all others
    started = time.perf_counter()
    tiles = time_work(classifier, plan.grid.tile_size)
    seconds_per_tile = (time.perf_counter() - started) / tiles
    pixels = plan.grid.height * plan.grid.width
    return WorkEstimate(
        seconds=pixels / plan.grid.tile_size**2 * seconds_per_tile,
        output_bytes=estimate_bytes(plan, map_format, settings),
    )


def _time_tiles(classifier: TileClassifier, size: int) -> int:
    """Label some tiles of noise; how many."""
    classifier.predict(_draw_noise((SAMPLE_TILES, 3, size, size)))
    return SAMPLE_TILES


def _time_windows(classifier: TileClassifier, size: int) -> int:
    """Look at as many windows of noise as at a time; of how many tiles they are."""
    tiles = np.arange(0, SAMPLE_WINDOW - 2 * HALO, size)
    window = Window(
        pixels=_draw_noise((3, SAMPLE_WINDOW, SAMPLE_WINDOW)),
        shown=np.ones((SAMPLE_WINDOW, SAMPLE_WINDOW), dtype=bool),
        valid=np.ones((SAMPLE_WINDOW, SAMPLE_WINDOW), dtype=bool),
        tile_rows=tiles,
        tile_cols=tiles,
    )
    count = classifier.windows_at_once
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(classifier.survey, [window] * count))
    return count * len(tiles) ** 2


def _draw_noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def estimate_bytes(plan: MapPlan, map_format: MapFormat, settings: FileSettings = AS_USUAL) -> int:
    """Size of the map's file, about: how many patches it has is seen when it is made."""
    settings = settings.fit(map_format)
    own = plan.grid.rows * plan.grid.cols
    finer = 0 if plan.detail is None else plan.detail.rows * plan.detail.cols
    dissolve = settings.wants_patches(own, usual_from=DISSOLVED_FROM.get(map_format))
    shapes = round(PATCHES_PER_CELL * own) if dissolve else own
    shapes += finer if settings.dissolve is False else round(PATCHES_PER_DETAIL * finer)
    columns = len(plan.contract.legend) if settings.probabilities else 0
    a_shape = BYTES_PER_SHAPE[map_format] + columns * BYTES_PER_PROBABILITY[map_format]
    cells = (own + finer) * BYTES_PER_CELL[map_format]
    return BYTES_PER_MAP[map_format] + cells + shapes * a_shape
