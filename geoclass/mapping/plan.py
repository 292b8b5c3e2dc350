"""Everything that is decided about a map before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import geoclass
from geoclass.contract import Contract, Precision
from geoclass.errors import GeoclassError, SceneError, SettingsError
from geoclass.grid import Grid
from geoclass.landcover import SENTINEL_2, Provenance
from geoclass.machine import find_memory_bytes
from geoclass.mapping.doubt import check_range, choose_radiometry
from geoclass.mapping.request import describe_options, fingerprint, fingerprint_request
from geoclass.mapping.settings import MapSettings
from geoclass.model.classifier import Prediction
from geoclass.model.sharing import FEATURE_STRIDE, WindowLabels
from geoclass.scene.frame import Frame, plan_frame
from geoclass.scene.mask import find_masks
from geoclass.scene.place import Place, assign_place, find_place
from geoclass.scene.radiometry import Radiometry
from geoclass.scene.reader import Looks
from geoclass.scene.recognition import find_candidates
from geoclass.scene.region import Region, find_region
from geoclass.scene.sample import DOUBT_SIDE, find_collar, look_at, read_sample
from geoclass.scene.source import SceneSource, open_scene
from geoclass.scene.target import FrameDemands

BYTES_PER_CELL, BYTES_PER_PROBABILITY = 220, 12
"""Of memory, to make a map, which is held whole, and to write it; the latter a class and cell."""

TRAINED_REGION = {"EuroSAT": ("Europe", (-25.0, 34.0, 35.0, 66.0))}
"""Data set → name and west, south, east, north of nearly all of its tiles."""


class LatticeClassifier(Protocol):
    """What the pipeline asks of what labels overlapping tiles together."""

    def predict(self, pixels: np.ndarray, first: tuple[int, int], step: int) -> WindowLabels:
        """Labels of all whole tiles of uint8 (3, h, w), `step` pixels apart from `first` on."""


class TileClassifier(Protocol):
    """What the pipeline asks of a classifier."""

    contract: Contract
    precision: Precision

    def predict(self, images: np.ndarray) -> Prediction:
        """Probabilities of uint8 tiles (n, 3, tile, tile)."""

    def share_features(self) -> LatticeClassifier:
        """What labels overlapping tiles together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapPlan:
    """All decisions about a map."""

    source: SceneSource
    frame: Frame
    looks: Looks
    grid: Grid
    inside: np.ndarray
    """bool (rows, cols): cells whose centre lies in the part that is to be mapped."""
    contract: Contract
    settings: MapSettings
    provenance: Provenance
    warnings: tuple[str, ...]
    """What a person should know before trusting the map."""

    @property
    def radiometry(self) -> Radiometry:
        """How stored numbers become 8-bit values."""
        return self.looks.radiometry


def plan_map(
    scene: Path | str | SceneSource,
    contract: Contract,
    model_sha256: str,
    settings: MapSettings,
    *,
    bands: Sequence[int | str] | None = None,
    command: str = "geoclass.plan_map",
    classifier: TileClassifier | None = None,
) -> MapPlan:
    """Decide how a scene, named or opened already, will be mapped; SceneError where it cannot be.

    The classifier is asked only where tags and a sample of pixels leave the radiometry open, and
    whether it can share features, so that this does not depend on the scene's size.
    """
    if settings.fast and classifier is not None:
        classifier.share_features()
    opened = scene if isinstance(scene, SceneSource) else open_scene(scene, bands)
    source = assign_place(opened, settings.frame)
    if settings.masks.nodata is not None:
        source = replace(source, nodata=settings.masks.nodata)
    source = find_collar(source)
    region = check_settings(settings, contract)
    place = find_place(source)
    stride = settings.stride or contract.tile_size
    demands = FrameDemands(
        gsd_m=contract.gsd_m,
        tile_size=contract.tile_size,
        stride=stride,
    )
    frame = plan_frame(source, place, settings.frame, demands, region)
    grid = _lay_grid(source, frame, demands, len(contract.legend))
    inside = _find_inside(grid, region)
    sample = look_at(source, frame, grid, inside)
    candidates = find_candidates(source, settings.radiometry, sample)
    if len(candidates) > 1:
        sample = read_sample(source, frame, grid, inside, DOUBT_SIDE)
    predict = None if classifier is None else classifier.predict
    radiometry = choose_radiometry(source, candidates, sample, predict)
    if not settings.frame.force:
        check_range(source, radiometry, sample)
    decisive: dict[str, Any] = {
        "source": source.identity,
        "bands": source.bands,
        "radiometry": radiometry.to_json(),
        "model": model_sha256,
        "options": describe_options(settings),
    }
    masks = find_masks(source, settings.masks)
    hidden = {
        "legend": contract.legend.to_json(),
        "masks": masks.to_json(),
        "grid": grid.to_json(),
        "frame": frame.to_json(),
        "region": region and region.sha256,
    }
    doubts = (*source.warnings, *frame.warnings, *radiometry.warnings)
    warnings = (*doubts, *_doubt_region(place, contract))
    provenance = Provenance(
        scene=source.name,
        date=source.date,
        version=geoclass.__version__,
        command=command,
        request=fingerprint_request(opened, model_sha256, contract.legend, settings),
        fingerprint=fingerprint({**decisive, **hidden}),
        masked_by=masks.notes,
        warnings=warnings,
        mission=SENTINEL_2 if source.facts.is_sentinel_2 else None,
        **decisive,
    )
    return MapPlan(
        source=source,
        frame=frame,
        looks=Looks(radiometry=radiometry, masks=masks),
        grid=grid,
        inside=inside,
        contract=contract,
        settings=settings,
        provenance=provenance,
        warnings=warnings,
    )


def check_settings(settings: MapSettings, contract: Contract) -> Region | None:
    """Refuse what fits no scene, GeoclassError; the region that is to be mapped, if one is."""
    stride = settings.stride or contract.tile_size
    if contract.tile_size % stride:
        divisors = [n for n in range(1, contract.tile_size + 1) if contract.tile_size % n == 0]
        raise SettingsError(
            f"a stride of {stride} pixels does not divide the model's tiles of "
            f"{contract.tile_size}: give one of {', '.join(map(str, divisors))}"
        )
    if settings.fast and (stride == contract.tile_size or stride % FEATURE_STRIDE):
        raise SettingsError(
            f"with a stride of {stride} pixels tiles have no features to share: "
            "give --stride 32, 16 or 8 with --fast, or leave it out"
        )
    return find_region(settings.frame)


def foretell_memory(source: SceneSource, contract: Contract, settings: MapSettings) -> int:
    """Bytes of memory that the scene's map takes, without a look at pixels.

    0 where no map can be planned; `plan_map` says why.
    """
    stride = settings.stride or contract.tile_size
    demands = FrameDemands(gsd_m=contract.gsd_m, tile_size=contract.tile_size, stride=stride)
    try:
        placed = assign_place(source, settings.frame)
        region = find_region(settings.frame)
        frame = plan_frame(placed, find_place(placed), settings.frame, demands, region)
    except GeoclassError:
        return 0
    return _sum_memory(*_count_cells(frame, demands), len(contract.legend))


def _count_cells(frame: Frame, demands: FrameDemands) -> tuple[int, int]:
    return -(-frame.height // demands.stride), -(-frame.width // demands.stride)


def _sum_memory(rows: int, cols: int, classes: int) -> int:
    return rows * cols * (BYTES_PER_CELL + classes * BYTES_PER_PROBABILITY)


def _check_memory(source: SceneSource, frame: Frame, demands: FrameDemands, classes: int) -> None:
    """Refuse a map that this machine's memory cannot hold; SceneError."""
    rows, cols = _count_cells(frame, demands)
    needed = _sum_memory(rows, cols, classes)
    there = find_memory_bytes()
    if needed > there:
        raise SceneError(
            f"{source.shown} would become a map of {cols}×{rows} cells, which needs "
            f"{needed / 1e9:.2g} GB of memory, but there are {there / 1e9:.2g} here: give a "
            "larger --stride, or map it in parts with --bbox"
        )


def _lay_grid(source: SceneSource, frame: Frame, demands: FrameDemands, classes: int) -> Grid:
    _check_memory(source, frame, demands, classes)
    try:
        return Grid(
            height=frame.height,
            width=frame.width,
            transform=frame.transform,
            crs=frame.crs,
            tile_size=demands.tile_size,
            stride=demands.stride,
        )
    except ValueError as error:
        raise SceneError(f"{source.shown}: {error}: give a larger scene") from error


def _find_inside(grid: Grid, region: Region | None) -> np.ndarray:
    """Bool (rows, cols): True where a cell's centre lies in the region."""
    if region is None or grid.crs is None:
        return np.ones((grid.rows, grid.cols), dtype=bool)
    inside = region.contains(*grid.centres(), grid.crs)
    if not inside.any():
        raise SceneError(
            f"no cell of the scene has its centre in {region.text}: "
            "check place and coordinate reference system, or choose a larger part"
        )
    return inside


def _doubt_region(place: Place | None, contract: Contract) -> tuple[str, ...]:
    if place is None:
        return ()
    for data_set, (name, (west, south, east, north)) in TRAINED_REGION.items():
        away = not (west <= place.lon <= east and south <= place.lat <= north)
        if contract.training.data_set.startswith(data_set) and away:
            doubt = (
                f"the scene lies outside {name}, where the training tiles come from: "
                "expect more wrong labels"
            )
            return (doubt,)
    return ()
