"""Scene × model → land-cover map: decide, then read → cut → classify → collect, side by side.

`plan_map` decides everything, so that a rerun can be recognised and a dry run can be told;
`run_map` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from geoclass.landcover import LandCoverMap, quantise_probabilities
from geoclass.machine import map_ahead
from geoclass.mapping.cells import cut_tiles, view_cells
from geoclass.mapping.draft import Draft
from geoclass.mapping.plan import MapPlan, TileClassifier, plan_map
from geoclass.mapping.settings import MapSettings
from geoclass.mapping.windows import label_windows
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.scene.reader import STRIP_PIXELS, Strip, read_strips

STRIPS_AT_WORK = 2
"""While the last tiles of one strip are classified, those of the next are cut."""


def plan_scene(
    scene: Path | str,
    model: Model | None = None,
    *,
    settings: MapSettings | None = None,
    bands: Sequence[int | str] | None = None,
    device: str | None = None,
) -> MapPlan:
    """Decide how a scene would be mapped, without mapping it; arguments as of `map_scene`.

    The plan says which bands, radiometry, masks and pixels, how many cells, and what a person
    should know before trusting the map. Raises GeoclassError where it could not be made.
    """
    model = model or load_model()
    classifier = Classifier(model, device=device)
    wishes = settings or MapSettings()
    return plan_map(scene, model.contract, model.sha256, wishes, bands=bands, classifier=classifier)


def map_scene(
    scene: Path | str,
    model: Model | None = None,
    *,
    settings: MapSettings | None = None,
    bands: Sequence[int | str] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    on_cells: Callable[[int], object] = lambda _: None,
) -> LandCoverMap:
    """Map a scene with a model, by default the one that ships.

    `scene` is whatever `geoclass map` takes: a file, a product, a STAC item, an address …
    `bands` are the numbers or names of the red, green and blue band, where the file does not say.
    `device` is torch's name of it, by default CUDA where there is one; `batch_size` is how many
    tiles it labels at a time. `on_cells` is told how many more cells are done, of rows × cols of
    the map. Raises GeoclassError where the scene cannot be mapped.
    """
    model = model or load_model()
    settings = settings or MapSettings()
    classifier = Classifier(
        model,
        device=device,
        batch_size=batch_size,
        symmetries=settings.symmetries,
        precision=settings.precision,
    )
    plan = plan_map(
        scene,
        model.contract,
        model.sha256,
        settings,
        bands=bands,
        command="geoclass.map_scene",
        classifier=classifier,
    )
    return run_map(plan, classifier, on_cells=on_cells)


def run_map(
    plan: MapPlan,
    classifier: TileClassifier,
    *,
    strip_pixels: int = STRIP_PIXELS,
    on_cells: Callable[[int], object] = lambda _: None,
) -> LandCoverMap:
    """Classify all cells; `on_cells` is told how many more are done."""
    classes = len(plan.contract.legend)
    grids = [plan.grid] if plan.detail is None else [plan.grid, plan.detail]
    drafts = [Draft.begin(grid, classes) for grid in grids]
    if plan.contract.cell_temperature is None:
        done = label_tiles(plan, classifier, drafts[0], strip_pixels)
    else:
        done = label_windows(plan, classifier, drafts, strip_pixels)
    for cells in done:
        on_cells(cells)
    drafts[-1].calm(plan.settings.calm)
    provenance = replace(plan.provenance, precision=classifier.precision)
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
