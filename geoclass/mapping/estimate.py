"""How long a map will take and how large it will be, before it is made."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from geoclass.mapping.plan import MapPlan, TileClassifier
from geoclass.model.survey import HALO, Window
from geoclass.products.formats import AS_USUAL, DISSOLVED_FROM, FileSettings, MapFormat

SAMPLE_TILES = 256
SAMPLE_WINDOW = 576
"""Pixels a side, with the halo, whose share of the work is then that of most scenes."""

# Measured on maps of 9, 3,600 and 29,584 cells with random probabilities, and dissolved ones.
BYTES_PER_CELL = {"gpkg": 9, "tif": 15, "parquet": 0, "fgb": 0, "geojson": 0}
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
