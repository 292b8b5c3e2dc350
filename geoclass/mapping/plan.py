"""Decisions about a map before it is made, and the fingerprints of requests."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from geoclass._version import __version__
from geoclass.contract import Contract
from geoclass.errors import GeoclassError, SceneError, SettingsError
from geoclass.grid import Grid
from geoclass.landcover import SENTINEL_2, Provenance
from geoclass.legend import Legend
from geoclass.machine import find_memory_bytes
from geoclass.mapping.cells import fill_invalid
from geoclass.mapping.settings import STRIDES, MapRequest, MapSettings
from geoclass.model.classifier import Classifier
from geoclass.outside import hide_secrets
from geoclass.scene.georeference.frame import Frame, GridSpec, plan_frame
from geoclass.scene.georeference.place import Footprint, assign_place, find_place
from geoclass.scene.georeference.region import Region, find_region
from geoclass.scene.open.guard import list_parts
from geoclass.scene.open.source import SceneSource, identify_file, open_scene, spell_file
from geoclass.scene.radiometry.conversion import Radiometry
from geoclass.scene.radiometry.decision import decide_radiometry
from geoclass.scene.read.masks import find_masks
from geoclass.scene.read.pixels import DOUBT_SIDE, find_collar, look_at, read_sample
from geoclass.scene.read.strips import Preprocessing

RESULT_VERSION = 7
"""Incremented when the same inputs and options may give other pixels than before."""

BYTES_PER_CELL, BYTES_PER_PROBABILITY = 220, 12
"""Peak memory per cell, and per cell and class, to make and write a map."""
DETAIL_BYTES_PER_CELL, DETAIL_BYTES_PER_PROBABILITY = 60, 4
"""The same for the cells of a detail, which are written as patches."""

MAX_DETAIL = 4_000_000
"""Maximum number of cells of a detail with the default size."""
DETAIL_STRIDES = (4, 8, 16)
"""Default sizes in pixels: the first with at most MAX_DETAIL cells."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapPlan:
    """All decisions about a map."""

    source: SceneSource
    frame: Frame
    preprocessing: Preprocessing
    grid: Grid
    inside: np.ndarray
    """bool (rows, cols): cells whose centre is in the region."""
    detail: Grid | None
    """Grid of the detail on the same pixels."""
    region: Region | None
    """Part of the scene to be mapped; None: all."""
    contract: Contract
    settings: MapSettings
    provenance: Provenance

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the map, for people."""
        return self.provenance.warnings

    @property
    def radiometry(self) -> Radiometry:
        """Conversion of stored numbers to 8-bit values."""
        return self.preprocessing.radiometry

    def find_inside(self, grid: Grid, part: tuple[slice, slice]) -> np.ndarray:
        """Bool (rows, cols): cells in a part of `grid` or `detail` that are in the region."""
        if grid == self.grid:
            return self.inside[part]
        return _find_inside(grid, self.region, part)


def plan_map(
    scene: Path | str | SceneSource,
    contract: Contract,
    model_sha256: str,
    request: MapRequest,
    classifier: Classifier | None = None,
) -> MapPlan:
    """Plan the map of a scene, a name or an open source; SceneError if it cannot be mapped.

    The classifier is used only if metadata and a sample of pixels leave the radiometry ambiguous.
    """
    settings = request.settings
    opened = scene if isinstance(scene, SceneSource) else open_scene(scene, request.bands)
    source = assign_place(opened, settings.frame)
    if settings.masks.nodata is not None:
        source = replace(source, nodata=settings.masks.nodata)
    source = find_collar(source)
    region = check_settings(settings, contract)
    place = find_place(source)
    frame, grid, detail = _lay_cells(source, place, region, settings, contract)
    _check_memory(source, grid, detail, contract)
    inside = _find_inside(grid, region)
    if not inside.any():
        raise SceneError(
            f"no cell of the scene has its centre in {region and region.text}: "
            "check place and coordinate reference system, or choose a larger part"
        )
    tiles = replace(grid, stride=grid.tile_size)
    tiles_inside = _find_inside(tiles, region)
    if not tiles_inside.any():
        tiles_inside[:] = True
    radiometry = decide_radiometry(
        source,
        settings.radiometry,
        look_at(source, frame, tiles, tiles_inside),
        read_more=partial(read_sample, source, frame, tiles, tiles_inside, DOUBT_SIDE),
        label=None if classifier is None else partial(_label_tiles, classifier),
        force=settings.frame.force,
    )
    masks = find_masks(source, settings.masks)
    inputs: dict[str, Any] = {
        "source": source.identity,
        "bands": source.bands,
        "radiometry": radiometry.to_json(),
        "model": model_sha256,
        "options": describe_options(settings),
    }
    decisions = {
        "legend": contract.legend.to_json(),
        "masks": masks.to_json(),
        "grid": grid.to_json(),
        "detail": detail and detail.stride,
        "frame": frame.to_json(),
        "region": region and region.sha256,
    }
    notes = [*source.warnings, *frame.warnings, *radiometry.warnings, *masks.warnings]
    trained = None if place is None else contract.training.find_away(place.lon, place.lat)
    if trained is not None:
        notes.append(
            f"the scene lies outside {trained}, where the training tiles come from: "
            "expect more wrong labels"
        )
    provenance = Provenance(
        scene=source.name,
        date=source.date,
        version=__version__,
        command=request.command,
        request=fingerprint_request(opened, model_sha256, contract.legend, settings),
        fingerprint=fingerprint({**inputs, **decisions}),
        masked_by=masks.notes,
        warnings=tuple(notes),
        mission=SENTINEL_2 if source.facts.is_sentinel_2 else None,
        **inputs,
    )
    return MapPlan(
        source=source,
        frame=frame,
        preprocessing=Preprocessing(radiometry=radiometry, masks=masks),
        grid=grid,
        inside=inside,
        detail=detail,
        region=region,
        contract=contract,
        settings=settings,
        provenance=provenance,
    )


def _label_tiles(classifier: Classifier, tiles: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Int (n,): top-1 classes of uint8 tiles (n, 3, s, s) with missing pixels, bool (n, s, s)."""
    for tile, there in zip(tiles, valid, strict=True):
        if not there.all():
            fill_invalid(tile, there)
    return classifier.predict(tiles).probabilities.argmax(axis=1)


def check_settings(settings: MapSettings, contract: Contract) -> Region | None:
    """The region to be mapped; GeoclassError for settings that are invalid for all scenes."""
    finer = {
        "--stride": settings.stride not in (None, contract.tile_size),
        "--detail": settings.detail not in (None, "none"),
    }
    for option, given in finer.items():
        if given and contract.cell_temperature is None:
            raise SettingsError(
                "the model labels tiles of 64 pixels and has no cells of its own: leave out "
                f"{option}, or train or give a model of tilenet-dense"
            )
    return find_region(settings.frame)


def _lay_cells(
    source: SceneSource,
    place: Footprint | None,
    region: Region | None,
    settings: MapSettings,
    contract: Contract,
) -> tuple[Frame, Grid, Grid | None]:
    """The pixels of a map, its cells, and those of its detail; SceneError if there are none."""
    stride = settings.stride or contract.tile_size
    spec = GridSpec(gsd_m=contract.gsd_m, tile_size=contract.tile_size, stride=stride)
    frame = plan_frame(source, place, settings.frame, spec, region)
    try:
        grid = Grid(
            height=frame.height,
            width=frame.width,
            transform=frame.transform,
            crs=frame.crs,
            tile_size=contract.tile_size,
            stride=stride,
        )
    except ValueError as error:
        raise SceneError(f"{source.shown}: {error}: give a larger scene") from error
    if contract.cell_temperature is None or settings.detail == "none":
        return frame, grid, None
    strides = DETAIL_STRIDES if settings.detail is None else (settings.detail,)
    finer = [replace(grid, stride=size) for size in strides]
    small = (detail for detail in finer if detail.rows * detail.cols <= MAX_DETAIL)
    detail = next(small, finer[-1])
    return frame, grid, detail if detail.stride < stride else None


def estimate_memory(source: SceneSource, contract: Contract, settings: MapSettings) -> int:
    """Bytes of memory for a scene's map, without reading pixels; 0 if it cannot be planned."""
    try:
        placed = assign_place(source, settings.frame)
        region = find_region(settings.frame)
        _, grid, detail = _lay_cells(placed, find_place(placed), region, settings, contract)
    except GeoclassError:
        return 0
    return _sum_memory(grid, detail, contract)


def _sum_memory(grid: Grid, detail: Grid | None, contract: Contract) -> int:
    classes = len(contract.legend)
    memory = grid.rows * grid.cols * (BYTES_PER_CELL + classes * BYTES_PER_PROBABILITY)
    if detail is not None:
        per_cell = DETAIL_BYTES_PER_CELL + classes * DETAIL_BYTES_PER_PROBABILITY
        memory += detail.rows * detail.cols * per_cell
    return memory


def _check_memory(source: SceneSource, grid: Grid, detail: Grid | None, contract: Contract) -> None:
    """SceneError for a map that does not fit into memory."""
    needed, available = _sum_memory(grid, detail, contract), find_memory_bytes()
    if needed > available:
        finest = detail or grid
        raise SceneError(
            f"{source.shown} would become a map of {finest.rows * finest.cols} cells of "
            f"{finest.stride} pixels, which needs {needed / 1e9:.2g} GB of memory, but there are "
            f"{available / 1e9:.2g} here: give a larger --stride or --detail, or map it in parts "
            "with --bbox"
        )


ALL = (slice(None), slice(None))


def _find_inside(grid: Grid, region: Region | None, part: tuple[slice, slice] = ALL) -> np.ndarray:
    """Bool (rows, cols): True for cells in a part of the grid with their centre in the region."""
    if region is None or grid.crs is None:
        return np.ones((grid.rows, grid.cols), dtype=bool)[part]
    return region.contains(*grid.centres(*part), grid.crs)


def fingerprint_request(
    source: SceneSource, model_sha256: str, legend: Legend, settings: MapSettings
) -> str:
    """Hash of scene, model, legend and options; with one precision, equal requests give equal maps.

    No pixel is read and no network is loaded. `source` is a scene as returned by `open_scene`.
    Files named in options are identified by path, size and modification time.
    """
    named = (settings.frame.aoi, settings.masks.mask, settings.masks.scl)
    adjacent = sorted(json.dumps(scene.identity, sort_keys=True) for scene in source.adjacent)
    return fingerprint(
        {
            "source": source.identity,
            "bands": source.bands,
            "model": model_sha256,
            "legend": legend.to_json(),
            "options": describe_options(settings),
            "files": [_identify_file(name) for name in named if name is not None],
            # Scenes that share one haze correction.
            **({"adjacent": adjacent} if adjacent else {}),
        }
    )


def describe_options(settings: MapSettings) -> dict[str, Any]:
    """The options as JSON data, with absolute paths and addresses without secrets."""
    options = asdict(settings)
    options["calm"] = options.pop("postprocessing")  # the key in existing files
    if settings.stride == max(STRIDES):  # the default
        options["stride"] = None
    for group, name in (("frame", "aoi"), ("masks", "mask"), ("masks", "scl")):
        if (value := options[group][name]) is not None:
            text = str(value)  # a number is a band
            options[group][name] = hide_secrets(text if text.isdecimal() else spell_file(text))
    return options


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of JSON data that determine a map, and of RESULT_VERSION."""
    text = json.dumps({"result_version": RESULT_VERSION, **inputs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _identify_file(name: str | Path) -> dict[str, Any] | list[dict[str, Any]]:
    """Identity of a file, and of the parts of a VRT; empty for a band name or an address."""
    try:
        path = Path(name).resolve()
        parts = list_parts(path) - {path} if path.suffix.lower() == ".vrt" else ()
        identity = [identify_file(part) for part in (path, *sorted(parts))]
    except (OSError, ValueError):
        return {}
    return identity if len(identity) > 1 else identity[0]
