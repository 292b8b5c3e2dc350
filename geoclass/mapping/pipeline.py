"""Scene × model → land-cover map: decide, then read → cut → classify → collect, side by side.

`plan_map` decides everything, so that a rerun can be recognised and a dry run can be told;
`run_map` does the work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from geoclass.landcover import FULL_SCALE, LandCoverMap, quantise_probabilities
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping.bands import is_wide_enough, label_band, read_bands
from geoclass.mapping.blend import TileLabels, blend_tiles
from geoclass.mapping.calm import sieve_classes, smooth_probabilities
from geoclass.mapping.cells import cut_tiles, view_cells
from geoclass.mapping.plan import MapPlan, TileClassifier, plan_map
from geoclass.mapping.settings import MapSettings
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
    grid = plan.grid
    shape = (grid.rows, grid.cols)
    tiles = TileLabels(
        seen=np.zeros(shape, dtype=bool),
        probabilities=np.zeros((*shape, len(plan.contract.legend)), dtype=np.float32),
        unknown=np.zeros(shape, dtype=bool),
    )
    valid_share = np.zeros(shape, dtype=np.uint8)
    mask_reason = np.zeros(shape, dtype=np.uint8)
    shared = classifier.share_features() if plan.settings.fast else None
    together = shared if is_wide_enough(grid) else None

    def label(strip: Strip) -> int:
        """Fill in the strip's cells; how many they are."""
        span = slice(strip.first_row, strip.last_row)
        inside = plan.inside[span]
        view = view_cells(strip, grid, plan.settings.min_valid_share)
        valid_share[span] = np.where(inside, np.rint(view.valid_share * FULL_SCALE), 0)
        mask_reason[span] = np.where(inside, view.mask_reason, 0)
        tiles.seen[span] = view.seen & inside
        rows, cols = np.nonzero(tiles.seen[span])
        if len(rows):
            if together is None:
                prediction = classifier.predict(cut_tiles(strip, grid, rows, cols))
            else:
                prediction = label_band(strip, grid, rows, cols, together, classifier)
            tiles.probabilities[span][rows, cols] = prediction.probabilities
            tiles.unknown[span][rows, cols] = prediction.unknown
        return inside.size

    if together is None:
        strips = read_strips(plan.source, plan.frame, grid, plan.looks, strip_pixels)
    else:
        strips = read_bands(plan)
    with ThreadPoolExecutor(STRIPS_AT_WORK) as threads:
        pending: deque[Future[int]] = deque()
        for strip in strips:
            pending.append(threads.submit(label, strip))
            if len(pending) == STRIPS_AT_WORK:
                on_cells(pending.popleft().result())
        while pending:
            on_cells(pending.popleft().result())
    return LandCoverMap(
        grid=grid,
        contract=plan.contract,
        provenance=replace(plan.provenance, precision=classifier.precision),
        **_settle(blend_tiles(tiles, grid), mask_reason, plan),
        valid_share=valid_share,
        mask_reason=mask_reason,
    )


def _settle(cells: TileLabels, mask_reason: np.ndarray, plan: MapPlan) -> dict[str, np.ndarray]:
    """Class, likeliest class and stored probabilities of all cells."""
    settings, calm = plan.settings, plan.settings.calm
    probabilities = cells.probabilities
    if calm.smooth is not None:
        probabilities = smooth_probabilities(
            probabilities, cells.seen, strength=calm.smooth, window=calm.smooth_window
        )
    best = np.where(cells.seen, probabilities.argmax(axis=2), NODATA).astype(np.uint8)
    class_id = best.copy()
    class_id[cells.seen & cells.unknown & (not settings.keep_unknown)] = UNKNOWN
    class_id[mask_reason > 0] = MASKED
    if calm.min_area_ha is not None:
        class_id = sieve_classes(class_id, len(plan.contract.legend), plan.grid, calm.min_area_ha)
    return {
        "class_id": class_id,
        "best_class": best,
        "probabilities": quantise_probabilities(probabilities),
    }
