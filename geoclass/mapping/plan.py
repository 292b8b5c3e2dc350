"""Everything that is decided about a map before it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from geoclass._version import __version__
from geoclass.contract import Contract, Precision
from geoclass.errors import GeoclassError, SceneError, SettingsError
from geoclass.grid import Grid
from geoclass.landcover import SENTINEL_2, Provenance
from geoclass.machine import find_memory_bytes
from geoclass.mapping.cells import fill_invalid
from geoclass.mapping.request import describe_options, fingerprint, fingerprint_request
from geoclass.mapping.settings import MapSettings
from geoclass.model.classifier import Prediction
from geoclass.model.survey import Survey, Window
from geoclass.outside import redact
from geoclass.scene.frame import Frame, FrameDemands, plan_frame
from geoclass.scene.masks import find_masks
from geoclass.scene.pixels import DOUBT_SIDE, Sample, find_collar, look_at, read_sample
from geoclass.scene.place import Footprint, assign_place, find_place
from geoclass.scene.radiometry import Radiometry, warn
from geoclass.scene.reader import Looks
from geoclass.scene.recognition import check_colors, find_candidates
from geoclass.scene.region import Region, find_region
from geoclass.scene.source import SceneSource, open_scene
from geoclass.scene.units import BYTE_ADVICE, find_missing

BYTES_PER_CELL, BYTES_PER_PROBABILITY = 220, 12
"""Of memory, to make a map, which is held whole, and to write it; the latter a class and cell."""
DETAIL_BYTES_PER_CELL, DETAIL_BYTES_PER_PROBABILITY = 60, 4
"""The same of the smaller cells that a map carries with it, which are drawn as patches."""

MOST_DETAIL = 4_000_000
"""Cells that a detail has where nobody says how small they are to be."""
USUAL_DETAILS = (4, 8, 16)
"""Pixels a side: the smallest that stays below is taken."""


class TileClassifier(Protocol):
    """What the pipeline asks of a classifier."""

    contract: Contract
    precision: Precision

    def predict(self, images: np.ndarray) -> Prediction:
        """Probabilities of uint8 tiles (n, 3, tile, tile)."""

    @property
    def windows_at_once(self) -> int:
        """So many may be surveyed side by side."""

    def survey(self, window: Window) -> Survey:
        """What a network that has cells of its own says of a window."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapPlan:
    """All decisions about a map."""

    source: SceneSource
    frame: Frame
    looks: Looks
    grid: Grid
    inside: np.ndarray
    """bool (rows, cols): cells whose centre lies in the part that is to be mapped."""
    detail: Grid | None
    """The same pixels in the smaller cells that the map carries with it."""
    region: Region | None
    """The part that is to be mapped; None: all."""
    contract: Contract
    settings: MapSettings
    provenance: Provenance
    warnings: tuple[str, ...]
    """What a person should know before trusting the map."""

    @property
    def radiometry(self) -> Radiometry:
        """How stored numbers become 8-bit values."""
        return self.looks.radiometry

    def find_inside(self, grid: Grid, part: tuple[slice, slice]) -> np.ndarray:
        """Bool (rows, cols): which cells of a part of `grid` or `detail` are to be mapped."""
        if grid == self.grid:
            return self.inside[part]
        return _find_inside(grid, self.region, part)


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

    The classifier is asked only where tags and a sample of pixels leave the radiometry open.
    """
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
    detail_stride = choose_detail(settings, contract, frame)
    _check_memory(source, frame, contract, stride, detail_stride)
    grid = _lay_grid(source, frame, demands)
    detail = None if detail_stride is None else replace(grid, stride=detail_stride)
    inside = _find_inside(grid, region)
    if not inside.any():
        raise SceneError(
            f"no cell of the scene has its centre in {region and region.text}: "
            "check place and coordinate reference system, or choose a larger part"
        )
    tiles, tiles_inside = _choose_sampled(grid, region)
    sample = look_at(source, frame, tiles, tiles_inside)
    source, sample = find_missing(source, settings.radiometry, sample, force=settings.frame.force)
    candidates = find_candidates(source, settings.radiometry, sample)
    if len(candidates) > 1:
        sample = read_sample(source, frame, tiles, tiles_inside, DOUBT_SIDE)
    predict = None if classifier is None else classifier.predict
    radiometry = choose_radiometry(source, candidates, sample, predict)
    if not settings.frame.force:
        check_range(source, radiometry, sample)
        check_colors(source, radiometry, sample)
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
        "detail": detail_stride,
        "frame": frame.to_json(),
        "region": region and region.sha256,
    }
    doubts = (*source.warnings, *frame.warnings, *radiometry.warnings, *masks.warnings)
    warnings = redact((*doubts, *_doubt_region(place, contract)))
    provenance = Provenance(
        scene=source.name,
        date=source.date,
        version=__version__,
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
        detail=detail,
        region=region,
        contract=contract,
        settings=settings,
        provenance=provenance,
        warnings=warnings,
    )


def check_settings(settings: MapSettings, contract: Contract) -> Region | None:
    """Refuse what fits no scene, GeoclassError; the region that is to be mapped, if one is."""
    tiles_alone = contract.cell_temperature is None
    if tiles_alone and settings.stride not in (None, contract.tile_size):
        raise SettingsError(f"{TILES_ALONE} --stride, {OTHER_MODEL}")
    if tiles_alone and settings.detail not in (None, "none"):
        raise SettingsError(f"{TILES_ALONE} --detail, {OTHER_MODEL}")
    return find_region(settings.frame)


TILES_ALONE = "the model labels tiles of 64 pixels and has no cells of its own: leave out"
OTHER_MODEL = "or train or give a model of tilenet-dense"


def choose_detail(settings: MapSettings, contract: Contract, frame: Frame) -> int | None:
    """Pixels a side of the cells that the map carries with it; None for none."""
    if contract.cell_temperature is None or settings.detail == "none":
        return None
    if settings.detail is not None:
        return settings.detail
    few = (size for size in USUAL_DETAILS if _count_cells(frame, size) <= MOST_DETAIL)
    size = next(few, USUAL_DETAILS[-1])
    return size if size < (settings.stride or contract.tile_size) else None


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
    return _sum_memory(frame, contract, stride, choose_detail(settings, contract, frame))


def _count_cells(frame: Frame, stride: int) -> int:
    return -(-frame.height // stride) * -(-frame.width // stride)


def _sum_memory(frame: Frame, contract: Contract, stride: int, detail: int | None) -> int:
    classes = len(contract.legend)
    memory = _count_cells(frame, stride) * (BYTES_PER_CELL + classes * BYTES_PER_PROBABILITY)
    if detail is not None:
        a_cell = DETAIL_BYTES_PER_CELL + classes * DETAIL_BYTES_PER_PROBABILITY
        memory += _count_cells(frame, detail) * a_cell
    return memory


def _check_memory(
    source: SceneSource, frame: Frame, contract: Contract, stride: int, detail: int | None
) -> None:
    """Refuse a map that this machine's memory cannot hold; SceneError."""
    needed, there = _sum_memory(frame, contract, stride, detail), find_memory_bytes()
    if needed > there:
        finest = detail or stride
        raise SceneError(
            f"{source.shown} would become a map of {_count_cells(frame, finest)} cells of {finest} "
            f"pixels, which needs {needed / 1e9:.2g} GB of memory, but there are "
            f"{there / 1e9:.2g} here: give a larger --stride or --detail, or map it in parts with "
            "--bbox"
        )


def _lay_grid(source: SceneSource, frame: Frame, demands: FrameDemands) -> Grid:
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


ALL = (slice(None), slice(None))


def _find_inside(grid: Grid, region: Region | None, part: tuple[slice, slice] = ALL) -> np.ndarray:
    """Bool (rows, cols): True where a cell's centre lies in the region; of a part of the grid."""
    if region is None or grid.crs is None:
        return np.ones((grid.rows, grid.cols), dtype=bool)[part]
    return region.contains(*grid.centres(*part), grid.crs)


def _choose_sampled(grid: Grid, region: Region | None) -> tuple[Grid, np.ndarray]:
    """The tiles of a grid, and which of them are to be mapped; all, if no centre is inside."""
    tiles = replace(grid, stride=grid.tile_size)
    inside = _find_inside(tiles, region)
    return tiles, inside if inside.any() else np.ones_like(inside)


def _doubt_region(place: Footprint | None, contract: Contract) -> tuple[str, ...]:
    name = None if place is None else contract.training.find_away(place.lon, place.lat)
    if name is None:
        return ()
    doubt = (
        f"the scene lies outside {name}, where the training tiles come from: "
        "expect more wrong labels"
    )
    return (doubt,)


MOST_CHANGED = 0.1
"""Readings that give more of the sample's tiles another class are not chosen between."""

KNOWN_GREY = (41, 216)
"""Least and greatest mean grey level of EuroSAT's 27,000 tiles, over all bands."""
SLACK = 0.5
"""A scene may have half the grey of the darkest tile, or half the distance to white of the
brightest."""


def choose_radiometry(
    source: SceneSource,
    candidates: Sequence[Radiometry],
    sample: Sample,
    predict: Callable[[np.ndarray], Prediction] | None,
) -> Radiometry:
    """The likeliest reading, if the others would hardly change the map.

    `predict` labels uint8 tiles (n, 3, s, s); without it the likeliest is taken with a warning.
    Raises SceneError where the readings give too many tiles another class.
    """
    known = [c for c in candidates if (m := _find_middle(c, sample)) is None or _is_known(m)]
    likeliest = candidates[0]
    first, *others = candidates = known or candidates
    if not others and first is likeliest:
        return first
    if not others:
        return warn(
            first,
            f"its numbers would be far too dark or too bright as {likeliest.reason}, "
            f"so they are read as {first.reason}",
        )
    listed = "; ".join(f"{c.name}: {c.reason}" for c in candidates)
    if predict is None or not _find_full(sample).any():
        return warn(
            first, f"its numbers can be read in several ways, the first was taken: {listed}"
        )
    labels = [_label(predict, candidate, sample) for candidate in candidates]
    changed = max(float((labels[0] != other).mean()) for other in labels[1:])
    if changed > MOST_CHANGED:
        advice = "say which with --radiometry, --dn-offset, --quantification or --scale"
        advice = BYTE_ADVICE if source.dtype == "uint8" else advice
        raise SceneError(
            f"{source.shown} does not say what its numbers mean, and {changed:.0%} of a sample's "
            f"labels depend on it; plausible are {listed}; {advice}"
        )
    return warn(
        first,
        f"its numbers can be read in several ways, of which the first was taken: {listed}; "
        f"{changed:.0%} of a sample's labels depend on it",
    )


def _find_full(sample: Sample) -> np.ndarray:
    """Bool (n,): True for tiles that have enough data to be labelled."""
    full: np.ndarray = sample.valid.mean(axis=(1, 2)) >= 0.5
    return full


def _label(
    predict: Callable[[np.ndarray], Prediction], radiometry: Radiometry, sample: Sample
) -> np.ndarray:
    """Int (n,): the likeliest classes of the sample's tiles that have enough data."""
    enough = _find_full(sample)
    tiles = np.ascontiguousarray(radiometry.apply(sample.stored)[:, enough].swapaxes(0, 1))
    for tile, valid in zip(tiles, sample.valid[enough], strict=True):
        if not valid.all():
            fill_invalid(tile, valid)
    labels: np.ndarray = predict(tiles).probabilities.argmax(axis=1)
    return labels


def check_range(source: SceneSource, radiometry: Radiometry, sample: Sample) -> None:
    """Refuse a scene that is far darker or brighter than all training tiles; SceneError."""
    middle = _find_middle(radiometry, sample)
    if middle is not None and not _is_known(middle):
        numbers = ", ".join(f"{value:.0f}" for value in middle)
        raise SceneError(
            f"{source.shown}, read as {radiometry.name} ({radiometry.reason}), has medians of "
            f"{numbers} in red, green and blue, where training tiles have a mean grey of "
            f"{KNOWN_GREY[0]} to {KNOWN_GREY[1]}: it is overcast or dark, or its numbers mean "
            "something else; see --radiometry, --scale and --dn-offset, or --force"
        )


def _find_middle(radiometry: Radiometry, sample: Sample) -> np.ndarray | None:
    """Float (3,): medians of the grey levels; None where nothing is valid."""
    pixels = radiometry.apply(sample.stored)[:, sample.valid]
    return None if pixels.shape[1] == 0 else np.median(pixels, axis=1)


def _is_known(middle: np.ndarray) -> bool:
    low, high = KNOWN_GREY
    return bool(SLACK * low <= middle.mean() <= 255 - SLACK * (255 - high))
