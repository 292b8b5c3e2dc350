"""Stored pixels of a frame, wherever it lies: read as they are, or warped block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject
from rasterio.windows import Window

from geoclass.grid import Grid
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.georeference.place import WGS84, rpc_options
from geoclass.scene.open.gdal import (
    close_unless_hung,
    open_dataset,
    read_again,
    read_within_time,
)
from geoclass.scene.open.guard import is_remote
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.sample import Sample, find_impossible

WARP_MEGABYTES = 64

ReadPixels = Callable[[Window], tuple[np.ndarray, np.ndarray]]
"""Window of the frame → stored numbers (3, h, w), and bool (h, w): True where there are any."""


@contextmanager
def open_pixels(source: SceneSource, frame: Frame) -> Iterator[ReadPixels]:
    """A function that reads windows of the frame; SceneError where the file cannot be read."""
    with (
        open_dataset(source.dataset, source.shown) as dataset,
        _attach(dataset, source, frame) as read_pixels,
    ):
        yield partial(_read_steadily, source, frame, read_pixels)


def _read_steadily(
    source: SceneSource, frame: Frame, read_pixels: ReadPixels, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    def read_anew(dataset: DatasetReader) -> tuple[np.ndarray, np.ndarray]:
        with _attach(dataset, source, frame) as read_fresh_pixels:
            return read_fresh_pixels(window)

    return read_again(source.dataset, lambda: read_pixels(window), read_anew)


@contextmanager
def _attach(dataset: DatasetReader, source: SceneSource, frame: Frame) -> Iterator[ReadPixels]:
    if frame.access == "read":
        yield partial(_read_stored, dataset, source, frame)
    elif frame.access == "warp":
        with close_unless_hung(open_warped(dataset, source, frame)) as warped:
            yield partial(_read_warped, warped, source)
    else:
        # Read whole, once: a warp by control points cannot follow a file's own mask.
        mask = None
        if not source.always_valid:
            mask = read_within_time(source.dataset, dataset.dataset_mask)
        yield partial(_read_controlled, dataset, source, frame, mask)


def read_shrunk(source: SceneSource, frame: Frame, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """All of the frame, averaged to `longest` pixels on its longer side; else as ReadPixels."""
    shrink = max(1.0, max(frame.height, frame.width) / longest)
    height, width = round(frame.height / shrink), round(frame.width / shrink)
    inside = (
        frame.access == "read"
        and 0 <= frame.row_off <= source.height - frame.height
        and 0 <= frame.col_off <= source.width - frame.width
    )
    if inside:  # with the overviews that the file may have
        window = Window(frame.col_off, frame.row_off, frame.width, frame.height)
        with open_dataset(source.dataset, source.shown) as dataset:
            read = partial(
                dataset.read,
                source.bands,
                window=window,
                out_shape=(3, height, width),
                resampling=Resampling.average,
            )
            stored = read_within_time(source.dataset, read)
        return _drop_missing(source, stored, np.ones((height, width), dtype=bool))
    scale = Affine.scale(frame.width / width, frame.height / height)
    coarse = replace(
        frame,
        height=height,
        width=width,
        transform=frame.transform @ scale,
        access="warp" if frame.access == "read" else frame.access,
        resampling="average",
    )
    with open_pixels(source, coarse) as read_pixels:
        return read_pixels(Window(0, 0, width, height))


def _read_stored(
    dataset: DatasetReader, source: SceneSource, frame: Frame, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    """What a frame of the scene's own pixels holds; it may reach beyond the scene."""
    row, col = window.row_off + frame.row_off, window.col_off + frame.col_off
    top, left = max(0, row), max(0, col)
    bottom = min(source.height, row + window.height)
    right = min(source.width, col + window.width)
    stored = np.zeros((3, window.height, window.width), dtype=source.dtype)
    valid = np.zeros((window.height, window.width), dtype=bool)
    if bottom > top and right > left:
        inner = Window(left, top, right - left, bottom - top)
        rows, cols = slice(top - row, bottom - row), slice(left - col, right - col)
        stored[:, rows, cols] = dataset.read(source.bands, window=inner)
        valid[rows, cols] = True
        if not source.always_valid and not _is_told_by_number(dataset, source):
            masks = dataset.read_masks(source.bands, window=inner)
            valid[rows, cols] = _join(source, masks > 0)
    return _drop_missing(source, stored, valid)


def _join(source: SceneSource, valid: np.ndarray) -> np.ndarray:
    """Bool (…): whether a pixel (3, …) is there; a byte may be white in one band alone."""
    joined = np.logical_or if source.dtype == "uint8" else np.logical_and
    there: np.ndarray = joined.reduce(valid)
    return there


def _is_told_by_number(dataset: DatasetReader, source: SceneSource) -> bool:
    """Whether pixels are missing by `source.nodata` alone, which is quicker seen than asked."""
    return all(
        dataset.mask_flag_enums[band - 1] == [MaskFlags.nodata]
        and dataset.nodatavals[band - 1] == source.nodata
        for band in source.bands
    )


def _drop_missing(
    source: SceneSource, stored: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sentinel-2 marks pixels outside the swath by zeros, whether or not a tag says so."""
    valid &= stored.any(axis=0)
    if source.nodata:  # as the file says, or a person
        valid &= _join(source, stored != source.nodata)
    if stored.dtype.kind == "f":
        finite = np.isfinite(stored).all(axis=0)
        valid &= finite
        stored[:, ~finite] = 0
    if source.possible is not None:
        valid &= ~find_impossible(stored, source.possible)
    return stored, valid


def open_warped(dataset: DatasetReader, source: SceneSource, frame: Frame) -> WarpedVRT:
    """The frame as a virtual data set whose blocks are warped when they are read.

    Its last band is alpha: above 0 where there are pixels.
    """
    return WarpedVRT(
        dataset,
        src_crs=source.crs,
        src_transform=source.transform,
        crs=frame.crs,
        transform=frame.transform,
        width=frame.width,
        height=frame.height,
        resampling=Resampling[frame.resampling],
        warp_mem_limit=WARP_MEGABYTES,
        **_find_mask(dataset, source),
    )


def _find_mask(dataset: DatasetReader, source: SceneSource) -> dict[str, Any]:
    """Options for a warp that minds what is missing, in whichever way the file says it."""
    if ColorInterp.alpha in dataset.colorinterp:
        return {}  # taken and warped by itself
    flags = dataset.mask_flag_enums[source.bands[0] - 1]
    if MaskFlags.per_dataset in flags:
        return {"add_alpha": True}
    # Without a tag, zeros in all bands are missing; YES: in all bands, not in any. Of other
    # numbers, PARTIAL keeps what one band lacks from its neighbours, and leaves 0 in that band.
    nodata = 0 if source.nodata is None else source.nodata
    unified = "YES" if source.dtype == "uint8" else "PARTIAL"
    return {"add_alpha": True, "src_nodata": nodata, "UNIFIED_SRC_NODATA": unified}


def _read_warped(
    warped: WarpedVRT, source: SceneSource, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    alpha = 1 + warped.colorinterp.index(ColorInterp.alpha)
    bands = warped.read([*source.bands, alpha], window=window)
    return _drop_missing(source, np.ascontiguousarray(bands[:3]), bands[3] > 0)


def _read_controlled(
    dataset: DatasetReader,
    source: SceneSource,
    frame: Frame,
    mask: np.ndarray | None,
    window: Window,
) -> tuple[np.ndarray, np.ndarray]:
    """A warp by ground control points or rational polynomials, which no WarpedVRT can do."""
    stored = np.zeros((3, window.height, window.width), dtype=source.dtype)
    if frame.access == "gcps":
        points, crs = dataset.gcps
        where: dict[str, Any] = {"gcps": points, "src_crs": crs}
    else:
        where = {"rpcs": dataset.rpcs, "src_crs": WGS84, **rpc_options(dataset.rpcs)}
    where |= {
        "dst_crs": frame.crs,
        "dst_transform": frame.transform @ Affine.translation(window.col_off, window.row_off),
        # Exact for every pixel, so that windows do not show where they meet.
        "tolerance": 0,
        "warp_mem_limit": WARP_MEGABYTES,
    }
    reproject(
        rasterio.band(dataset, source.bands),
        stored,
        src_nodata=0 if source.nodata is None else source.nodata,
        dst_nodata=0,
        resampling=Resampling[frame.resampling],
        UNIFIED_SRC_NODATA="YES",
        **where,
    )
    valid = np.ones(stored.shape[1:], dtype=np.uint8)
    if mask is not None:
        valid[:] = 0
        reproject(mask, valid, resampling=Resampling.nearest, **where)
    return _drop_missing(source, stored, valid > 0)


SAMPLE_SIDE = 5
"""A sample is so many tiles high and wide, spread over all of the map."""
REMOTE_SIDE = 2
"""Over the network every tile costs a block, which is fetched again for the map."""
OVERVIEW_SIDE = 128
"""Pixels on the longer side of a first look at a remote scene that has overviews."""
DOUBT_SIDE = 7
"""Where the sample leaves doubt, a larger one is labelled."""

CORNER = 8
"""Pixels a side of the corners in which a collar is looked for."""


def look_at(source: SceneSource, frame: Frame, grid: Grid, inside: np.ndarray) -> Sample:
    """What tells dark from bright: tiles, or of remote scenes an overview where there is one.

    `inside` is bool (rows, cols). Raises SceneError where the file cannot be read.
    """
    if not is_remote(source.dataset):
        return read_sample(source, frame, grid, inside, SAMPLE_SIDE)
    with open_dataset(source.dataset, source.shown) as dataset:
        overviews = dataset.overviews(source.bands[0])
    if not overviews:
        return read_sample(source, frame, grid, inside, REMOTE_SIDE)
    if frame.access != "read":  # a warp would read all of the scene's own pixels
        frame = Frame(height=source.height, width=source.width, transform=Affine.scale(1), crs=None)
    stored, valid = read_shrunk(source, frame, OVERVIEW_SIDE)
    return Sample(stored=stored[:, None], valid=valid[None])


def read_sample(
    source: SceneSource, frame: Frame, grid: Grid, inside: np.ndarray, side: int
) -> Sample:
    """Tiles of a lattice, `side` high and wide, over the cells that are to be mapped.

    `inside` is bool (rows, cols). Raises SceneError where the file cannot be read.
    """
    rows, cols = np.nonzero(inside)
    lattice = {
        (int(np.argmin(np.abs(rows - row) * grid.cols + np.abs(cols - col))))
        for row in np.linspace(rows.min(), rows.max(), side + 2)[1:-1]
        for col in np.linspace(cols.min(), cols.max(), side + 2)[1:-1]
    }
    size = grid.tile_size
    with open_pixels(source, frame) as read_pixels:
        tiles = [
            read_pixels(
                Window(int(grid.tile_cols[cols[i]]), int(grid.tile_rows[rows[i]]), size, size)
            )
            for i in sorted(lattice)
        ]
    return Sample(
        stored=np.stack([stored for stored, _ in tiles], axis=1),
        valid=np.stack([valid for _, valid in tiles]),
    )


def find_collar(source: SceneSource) -> SceneSource:
    """The scene with its white collar for nodata, if it has one and does not say so.

    Exports of 8 bits often lie in a white frame; a network takes that for industry or cloud.
    """
    if source.dtype != "uint8" or source.nodata is not None or not source.always_valid:
        return source
    side = min(CORNER, source.width, source.height)
    corners = [
        Window(col, row, side, side)
        for row in (0, source.height - side)
        for col in (0, source.width - side)
    ]
    with open_dataset(source.dataset, source.shown) as dataset:
        reads = [partial(dataset.read, source.bands, window=w) for w in corners]
        white = [bool((read_within_time(source.dataset, r) == 255).all()) for r in reads]
    if not any(white):
        return source
    warning = (
        f"{sum(white)} of the scene's corners are white, and no tag says why: pure white is taken "
        "for missing; --nodata says otherwise"
    )
    return replace(source, nodata=255.0, warnings=(*source.warnings, warning))
