"""A scene as strips of 8-bit pixels, read ahead of the work.

Reading strips of whole blocks is several times faster than reading tile by tile, and only
some strips are in memory at a time, whatever the height of the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geoclass.errors import SceneError
from geoclass.grid import Grid
from geoclass.landcover import MASK_REASONS
from geoclass.machine import count_cores, map_ahead
from geoclass.outside import hide_secrets
from geoclass.scene.bands import plain_name
from geoclass.scene.dataset import find_name, gdal_settings, identify_address, open_dataset
from geoclass.scene.frame import Frame, fit_frame
from geoclass.scene.guard import is_remote, list_addresses, list_files
from geoclass.scene.pixels import ReadPixels, open_pixels
from geoclass.scene.place import find_place
from geoclass.scene.radiometry import Radiometry
from geoclass.scene.region import Region, read_region, take_shape
from geoclass.scene.settings import MaskSettings
from geoclass.scene.source import SceneSource, identify_file

SCL_CODES = {"saturated": (1,), "shadow": (3,), "cloud": (8, 9), "cirrus": (10,), "snow": (11,)}
"""Sen2Cor's codes; 0 is no data, 2 are slopes in shade, 4 … 7 are land and water."""

ReadMask = Callable[[Window], np.ndarray]
"""Window of the frame → uint8 (h, w): index in MASK_REASONS, 0 where nothing is masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """What masks a scene."""

    scl: SceneSource | None
    """A scene whose three bands are all the classification."""
    masked_classes: tuple[str, ...]
    raster: SceneSource | None
    """The user's mask."""
    polygons: Region | None
    """The user's mask."""

    def to_json(self) -> dict[str, Any]:
        """What can change a cell."""
        return {
            "scl": self.scl and [hide_secrets(self.scl.dataset), self.scl.bands[0]],
            "mask": self.raster and self.raster.identity,
            "polygons": self.polygons and self.polygons.sha256,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """For people."""
        found = []
        if self.scl is not None and self.masked_classes:
            found.append(f"{', '.join(self.masked_classes)} by the scene classification")
        mask = self.raster.name if self.raster else self.polygons and self.polygons.text
        return (*found, *([f"by {mask}"] if mask else []))


def find_masks(source: SceneSource, settings: MaskSettings) -> Masks:
    """What there is to mask with; SceneError where what was asked for is not there."""
    raster, polygons = (None, None) if settings.mask is None else _open_mask(settings.mask, source)
    return Masks(
        scl=_find_scl(source, settings) if settings.masked_classes else None,
        masked_classes=settings.masked_classes,
        raster=raster,
        polygons=polygons,
    )


def _find_scl(source: SceneSource, settings: MaskSettings) -> SceneSource | None:
    if settings.scl is not None and settings.scl.isdecimal():
        with open_dataset(source.dataset, source.shown) as dataset:
            return _own_band(source, dataset, int(settings.scl))
    if settings.scl is not None:
        return _open_plane(settings.scl, source)
    if source.scl is not None:
        return _open_plane(source.scl, source)
    with open_dataset(source.dataset, source.shown) as dataset:
        names = [plain_name(name) for name in dataset.descriptions]
        return _own_band(source, dataset, 1 + names.index("scl")) if "scl" in names else None


def _own_band(source: SceneSource, dataset: DatasetReader, band: int) -> SceneSource:
    if not 1 <= band <= dataset.count:
        raise SceneError(
            f"{source.shown} has no band {band} for a scene classification: "
            f"give a number from 1 to {dataset.count}, or a file"
        )
    return replace(source, bands=(band, band, band), dtype=dataset.dtypes[band - 1])


def _open_plane(name: str, source: SceneSource) -> SceneSource:
    """A raster's first band, as a scene of three such."""
    name = find_name(name)
    with open_dataset(name) as dataset:
        if dataset.count == 0:
            raise SceneError(f"{name} has no band that could mask: give a raster of one band")
        path = Path(name)
        return replace(
            source,
            dataset=name,
            shown=hide_secrets(name),
            name=Path(hide_secrets(name)).name,
            height=dataset.height,
            width=dataset.width,
            transform=dataset.transform,
            crs=dataset.crs.to_wkt() if dataset.crs else source.crs,
            gcps=0,
            rpcs=False,
            bands=(1, 1, 1),
            dtype=dataset.dtypes[0],
            nodata=dataset.nodata,
            block_height=dataset.block_shapes[0][0],
            always_valid=True,
            identity={"files": [identify_file(file) for file in sorted(list_files(path))]}
            if path.is_file()
            else {"files": [identify_address(a) for a in list_addresses(name)]}
            | {"path": hide_secrets(name)},
        )


def _open_mask(name: str, source: SceneSource) -> tuple[SceneSource | None, Region | None]:
    try:
        return _open_plane(name, source), None
    except SceneError as not_raster:
        try:
            return None, read_region(Path(name))
        except SceneError as error:
            raise SceneError(
                f"{name} is neither a raster nor polygons that could mask: {not_raster}"
            ) from error


@contextmanager
def open_masks(source: SceneSource, frame: Frame, masks: Masks) -> Iterator[ReadMask]:
    """A function that reads the mask of windows of the frame."""
    with ExitStack() as stack:
        readers: list[ReadMask] = []
        for plane, table in (
            (masks.scl, _scl_table(masks.masked_classes)),
            (masks.raster, _any_table()),
        ):
            if plane is not None:
                fitted = frame
                if plane.dataset != source.dataset:
                    fitted = fit_frame(plane, find_place(plane), frame)
                nearest = replace(fitted, resampling="nearest")
                read_pixels = stack.enter_context(open_pixels(plane, nearest))
                readers.append(partial(_read_plane, read_pixels, table))
        if masks.polygons is not None:
            if frame.crs is None:
                raise SceneError(
                    f"polygons cannot mask {source.shown}, which does not say where it lies: "
                    "give --crs and --bounds"
                )
            shape = take_shape(masks.polygons, frame.crs)
            readers.append(partial(_burn_polygons, shape, frame.transform))
        yield partial(_combine, readers)


def _scl_table(classes: tuple[str, ...]) -> np.ndarray:
    """Uint8 (256,): reason by the classification's code."""
    table = np.zeros(256, dtype=np.uint8)
    for name in classes:
        table[list(SCL_CODES[name])] = MASK_REASONS.index(name)
    return table


def _any_table() -> np.ndarray:
    table = np.full(256, MASK_REASONS.index("user"), dtype=np.uint8)
    table[0] = 0
    return table


def _read_plane(read_pixels: Any, table: np.ndarray, window: Window) -> np.ndarray:
    stored, valid = read_pixels(window)
    codes = np.where(valid, np.clip(np.abs(stored[0]), 0, 255), 0).astype(np.uint8)
    reasons: np.ndarray = table[codes]
    return reasons


def _burn_polygons(shape: shapely.Geometry, transform: Affine, window: Window) -> np.ndarray:
    burnt: np.ndarray = rasterize(
        [shape],
        out_shape=(window.height, window.width),
        transform=transform @ Affine.translation(window.col_off, window.row_off),
        default_value=MASK_REASONS.index("user"),
        dtype="uint8",
    )
    return burnt


def _combine(readers: list[ReadMask], window: Window) -> np.ndarray:
    """The first that has a reason names it."""
    reasons = np.zeros((window.height, window.width), dtype=np.uint8)
    for read_mask in readers:
        reasons = np.where(reasons > 0, reasons, read_mask(window))
    return reasons


STRIP_PIXELS = 6_000_000
"""A strip has about so many pixels: enough for whole batches, little enough for any laptop."""

SHARED_CACHE_BYTES = 256 * 2**20
"""Holds the blocks that two strips share; GDAL's own default is 5 % of the machine's memory."""
OWN_CACHE_BYTES = 64 * 2**20
"""A reader's share, where no block is in two strips: those that it is at work on."""

WARPED_BLOCK = 128
"""Rows that GDAL warps together."""

MOST_READERS = 8
"""Strips that are read side by side at most: each needs some 70 MB."""
MOST_READ_TWICE = 0.1
"""Of a scene's blocks, lest several readers do more work than one."""

_Reader = tuple[ReadPixels, ReadMask]
"""One data set of the scene, and of its masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Some rows of cells, with all pixels that their tiles need."""

    first_row: int
    """The first row of cells."""
    last_row: int
    """The row of cells after the last."""
    top: int
    """The pixel row of the scene that is row 0 here."""
    pixels: np.ndarray
    """uint8 (3, h, width): red, green, blue as the networks know them."""
    valid: np.ndarray
    """bool (h, width): True where there is data that is not masked."""
    reason: np.ndarray
    """uint8 (h, width): why a pixel with data is masked, as in MASK_REASONS; 0 elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How stored numbers are read, and which pixels are not."""

    radiometry: Radiometry
    masks: Masks


def read_strips(
    source: SceneSource,
    frame: Frame,
    grid: Grid,
    looks: Looks,
    strip_pixels: int = STRIP_PIXELS,
    strip_rows: int | None = None,
) -> Iterator[Strip]:
    """All rows of cells from top to bottom; the next strips are read while one is worked on.

    A strip has so many rows of cells, or, by default, about so many pixels in whole blocks.
    Raises SceneError where the file cannot be read.
    """
    spans = _plan_spans(source, frame, grid, strip_pixels, strip_rows)
    count = _count_readers(source, frame, grid, spans)
    cache_bytes = SHARED_CACHE_BYTES if count == 1 else OWN_CACHE_BYTES * count
    with (
        rasterio.Env(GDAL_CACHEMAX=cache_bytes),
        ExitStack() as stack,
        # The threads end before the data sets are closed under them, also when nobody reads on.
        ThreadPoolExecutor(max_workers=count) as threads,
    ):
        # GDAL's data sets are not for two threads at once: each reader is in one hand at a time.
        readers: SimpleQueue[_Reader] = SimpleQueue()
        for _ in range(count):
            readers.put(stack.enter_context(_open_reader(source, frame, looks.masks)))

        def read(span: tuple[int, int]) -> Strip:
            reader = readers.get()
            try:
                # An environment of this thread's own: without, GDAL prints what it has to say,
                # and does not know how often to ask a server again.
                with rasterio.Env(**gdal_settings(source.dataset)):
                    return _read_strip(reader, grid, looks.radiometry, span)
            finally:
                readers.put(reader)

        yield from map_ahead(threads, read, spans, count + 1)


@contextmanager
def _open_reader(source: SceneSource, frame: Frame, masks: Masks) -> Iterator[_Reader]:
    with open_pixels(source, frame) as read_pixels, open_masks(source, frame, masks) as read_mask:
        yield read_pixels, read_mask


def _count_readers(
    source: SceneSource, frame: Frame, grid: Grid, spans: Sequence[tuple[int, int]]
) -> int:
    """Data sets to read with side by side: several, if hardly a block is in two strips.

    Each has blocks of its own, so that a block in two strips would be decoded twice.
    """
    if len(spans) == 1 or frame.access != "read" or is_remote(source.dataset):
        return 1
    first, last = np.array(spans).T
    tops = grid.tile_rows[first] + frame.row_off
    bottoms = grid.tile_rows[last - 1] + grid.tile_size + frame.row_off
    block = source.block_height
    read = block * (-(-bottoms // block) - tops // block).sum()
    if read > (1 + MOST_READ_TWICE) * (grid.height + 2 * block):
        return 1
    return min(len(spans), MOST_READERS, count_cores())


def _plan_spans(
    source: SceneSource,
    frame: Frame,
    grid: Grid,
    strip_pixels: int,
    strip_rows: int | None = None,
) -> list[tuple[int, int]]:
    """Rows of cells to read together: (first, one after last)."""
    stored_together = source.block_height if frame.access == "read" else WARPED_BLOCK
    block_rows = max(1, min(stored_together, grid.height) // grid.stride)
    wanted_rows = max(1, strip_pixels // (grid.width * grid.stride))
    # Whole blocks where a block is no taller than the strip that memory allows.
    step = max(wanted_rows // block_rows * block_rows, min(wanted_rows, block_rows))
    starts = range(0, grid.rows, step)
    if strip_rows is not None:
        # A row that the scene's edge cuts off is read with the whole one above it.
        starts = range(0, max(1, grid.height // grid.stride), strip_rows)
    return list(zip(starts, [*starts[1:], grid.rows], strict=True))


def _read_strip(
    reader: _Reader,
    grid: Grid,
    radiometry: Radiometry,
    span: tuple[int, int],
) -> Strip:
    first, last = span
    top = int(grid.tile_rows[first])
    bottom = int(grid.tile_rows[last - 1]) + grid.tile_size
    window = Window(0, top, grid.width, bottom - top)
    read_pixels, read_mask = reader
    stored, valid = read_pixels(window)
    reason = np.where(valid, read_mask(window), np.uint8(0))
    return Strip(
        first_row=first,
        last_row=last,
        top=top,
        pixels=radiometry.apply(stored),
        valid=valid & (reason == 0),
        reason=reason,
    )
