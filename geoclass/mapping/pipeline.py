"""From a plan to a map: read, cut, classify and collect in parallel; estimates of time and size."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from geoclass.errors import SceneError
from geoclass.landcover import LandCoverMap, quantise_probabilities
from geoclass.legend import NODATA
from geoclass.machine import map_ahead
from geoclass.mapping.builder import begin_map, fill_part, remove_speckle
from geoclass.mapping.cells import cut_tiles, measure_coverage
from geoclass.mapping.plan import MapPlan
from geoclass.mapping.windows import label_windows
from geoclass.model.classifier import Classifier
from geoclass.model.dense import HALO, Window
from geoclass.products.formats import AS_USUAL, FileSettings, MapFormat
from geoclass.scene.open.source import check_read
from geoclass.scene.read.strips import STRIP_PIXELS, Strip, read_strips

STRIPS_AT_WORK = 2
"""Strips in memory: tiles of one are cut while those of the other are classified."""


def run_map(
    plan: MapPlan,
    classifier: Classifier,
    *,
    strip_pixels: int = STRIP_PIXELS,
    on_cells: Callable[[int], object] = lambda _: None,
) -> LandCoverMap:
    """Classify all cells; `on_cells` gets the number of newly processed cells.

    Raises SceneError if the scene cannot be read or has changed since it was planned.
    """
    grids = filter(None, (plan.grid, plan.detail))
    maps = [begin_map(grid, plan.contract, plan.provenance) for grid in grids]
    if plan.contract.cell_temperature is None:
        done = label_tiles(plan, classifier, maps[0], strip_pixels)
    else:
        done = label_windows(plan, classifier, maps, strip_pixels)
    for cells in done:
        on_cells(cells)
    masks = plan.preprocessing.masks
    check_read(plan.source, masks.scl, masks.raster)
    finest = maps[-1]
    if not (plan.settings.frame.force or (finest.best_class != NODATA).any()):
        raise SceneError(
            f"not one cell of {plan.source.shown} could be classified "
            f"({np.mean(finest.mask_reason > 0):.0%} are masked, the others lack data): "
            "choose another date or place, or give --force for an empty map"
        )
    remove_speckle(finest, plan.settings.postprocessing)
    provenance = replace(plan.provenance, precision=classifier.precision, masked_by=masks.notes)
    main, *finer = [replace(landcover, provenance=provenance) for landcover in maps]
    return replace(main, detail=finer[0] if finer else None)


def label_tiles(
    plan: MapPlan, classifier: Classifier, landcover: LandCoverMap, strip_pixels: int
) -> Iterator[int]:
    """Classify tiles one by one; yield the number of cells of each strip."""
    grid, settings = plan.grid, plan.settings

    def label(strip: Strip) -> int:
        span = (slice(strip.first_row, strip.last_row), slice(None))
        inside = plan.inside[span]
        coverage = measure_coverage(strip, grid, settings.min_valid_share).within(inside)
        probabilities, unknown = landcover.probabilities[span].copy(), np.zeros_like(inside)
        rows, cols = np.nonzero(coverage.usable)
        if len(rows):
            prediction = classifier.predict(cut_tiles(strip, grid, rows, cols))
            probabilities[rows, cols] = quantise_probabilities(prediction.probabilities)
            unknown[rows, cols] = prediction.unknown & (not settings.keep_unknown)
        fill_part(landcover, span, coverage, probabilities, unknown)
        return inside.size

    strips = read_strips(plan.source, plan.frame, grid, plan.preprocessing, strip_pixels)
    with ThreadPoolExecutor(STRIPS_AT_WORK) as threads:
        yield from map_ahead(threads, label, strips, STRIPS_AT_WORK)


SAMPLE_TILES = 256
SAMPLE_WINDOW = 576
"""Pixels a side, including the halo."""

# Measured on maps of 9, 3,600 and 29,584 cells with random probabilities, and on patches.
BYTES_PER_CELL = {"gpkg": 13, "tif": 20, "parquet": 0, "fgb": 0, "geojson": 0}
"""Arrays of a cell."""
BYTES_PER_SHAPE = {"gpkg": 350, "tif": 0, "parquet": 9, "fgb": 330, "geojson": 560}
"""Polygon and columns of a cell or patch."""
BYTES_PER_PROBABILITY = {"gpkg": 9, "tif": 0, "parquet": 1, "fgb": 10, "geojson": 22}
"""Probability column per polygon and class."""
BYTES_PER_MAP = {
    "gpkg": 140_000, "tif": 35_000, "parquet": 45_000, "fgb": 20_000, "geojson": 16_000
}  # fmt: skip

PATCHES_PER_CELL, PATCHES_PER_DETAIL = 0.06, 0.03
"""Typical numbers of patches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkEstimate:
    """Estimate for one map on this machine."""

    seconds: float
    """Time of classification, which dominates reading and writing."""
    output_bytes: int


def estimate_work(
    plan: MapPlan,
    classifier: Classifier,
    map_format: MapFormat,
    settings: FileSettings = AS_USUAL,
) -> WorkEstimate:
    """Time and size of a planned map, from a timing on noise."""
    classify = _classify_windows if plan.contract.cell_temperature else _classify_tiles
    classify(classifier, plan.grid.tile_size)  # the first batch is slower
    started = time.perf_counter()
    tiles = classify(classifier, plan.grid.tile_size)
    seconds_per_tile = (time.perf_counter() - started) / tiles
    pixels = plan.grid.height * plan.grid.width
    return WorkEstimate(
        seconds=pixels / plan.grid.tile_size**2 * seconds_per_tile,
        output_bytes=estimate_bytes(plan, map_format, settings),
    )


def _classify_tiles(classifier: Classifier, size: int) -> int:
    """Classify tiles of noise and return their number."""
    classifier.predict(_draw_noise((SAMPLE_TILES, 3, size, size)))
    return SAMPLE_TILES


def _classify_windows(classifier: Classifier, size: int) -> int:
    """Classify windows of noise in parallel and return their number of tiles."""
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
        list(threads.map(classifier.predict_window, [window] * count))
    return count * len(tiles) ** 2


def _draw_noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def estimate_bytes(plan: MapPlan, map_format: MapFormat, settings: FileSettings = AS_USUAL) -> int:
    """Approximate size of the map's file; the number of patches is an estimate."""
    settings = settings.fit(map_format)
    cells = plan.grid.rows * plan.grid.cols
    finer = 0 if plan.detail is None else plan.detail.rows * plan.detail.cols
    dissolve = plan.detail is None and settings.wants_patches(cells, map_format)
    coarse = cells if plan.detail is None or map_format == "gpkg" else 0
    shapes = round(PATCHES_PER_CELL * cells) if dissolve else coarse
    shapes += finer if settings.dissolve is False else round(PATCHES_PER_DETAIL * finer)
    columns = len(plan.contract.legend) if settings.probabilities else 0
    per_shape = BYTES_PER_SHAPE[map_format] + columns * BYTES_PER_PROBABILITY[map_format]
    arrays = (cells + finer) * BYTES_PER_CELL[map_format]
    return BYTES_PER_MAP[map_format] + arrays + shapes * per_shape
