"""Stored values of a frame: read unchanged, or warped block by block; samples of scenes."""

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

from geoclass.errors import GeoclassError
from geoclass.grid import Grid
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.georeference.place import WGS84, rpc_options
from geoclass.scene.open.facts import Raster
from geoclass.scene.open.gdal import close_unless_hung, open_dataset, read_again, read_within_time
from geoclass.scene.open.guard import is_remote
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.candidates import find_dark_of
from geoclass.scene.radiometry.conversion import Possible, Sample
from geoclass.scene.radiometry.decision import find_missing
from geoclass.scene.settings import MaskSettings, RadiometrySettings

WARP_MEGABYTES = 64

ReadPixels = Callable[[Window], tuple[np.ndarray, np.ndarray]]
"""Window of the frame → stored values (bands, h, w), and bool (h, w): True for valid pixels."""


@contextmanager
def open_pixels(
    raster: Raster, frame: Frame, possible: Possible | None = None
) -> Iterator[ReadPixels]:
    """A function that reads windows of the frame; SceneError if the file cannot be read."""
    with (
        open_dataset(raster.dataset, raster.shown) as dataset,
        _attach(dataset, raster, frame) as read_pixels,
    ):

        def read(window: Window) -> tuple[np.ndarray, np.ndarray]:
            def read_anew(fresh: DatasetReader) -> tuple[np.ndarray, np.ndarray]:
                with _attach(fresh, raster, frame) as read_fresh_pixels:
                    return read_fresh_pixels(window)

            stored, valid = read_again(raster.dataset, partial(read_pixels, window), read_anew)
            if possible is not None:
                valid &= ~possible.excludes(stored)
            return stored, valid

        yield read


@contextmanager
def _attach(dataset: DatasetReader, raster: Raster, frame: Frame) -> Iterator[ReadPixels]:
    if frame.access == "read":
        yield partial(_read_stored, dataset, raster, frame)
    elif frame.access == "warp":
        with close_unless_hung(_open_warped(dataset, raster, frame)) as warped:
            yield partial(_read_warped, warped, raster)
    else:
        # A warp by control points ignores the mask of a file, so it is read once as a whole.
        mask = None
        if not raster.always_valid:
            mask = read_within_time(raster.dataset, dataset.dataset_mask)
        yield partial(_read_controlled, dataset, raster, frame, mask)


def read_shrunk(raster: Raster, frame: Frame, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The whole frame, averaged to at most `longest` pixels a side; returns as ReadPixels."""
    shrink = max(1.0, max(frame.height, frame.width) / longest)
    height, width = round(frame.height / shrink), round(frame.width / shrink)
    inside = (
        frame.access == "read"
        and 0 <= frame.row_off <= raster.height - frame.height
        and 0 <= frame.col_off <= raster.width - frame.width
    )
    if inside:  # reads overviews, if there are any
        window = Window(frame.col_off, frame.row_off, frame.width, frame.height)
        with open_dataset(raster.dataset, raster.shown) as dataset:
            read = partial(
                dataset.read,
                raster.bands,
                window=window,
                out_shape=(len(raster.bands), height, width),
                resampling=Resampling.average,
            )
            stored = read_within_time(raster.dataset, read)
        return _drop_missing(raster, stored, np.ones((height, width), dtype=bool))
    scale = Affine.scale(frame.width / width, frame.height / height)
    coarse = replace(
        frame,
        height=height,
        width=width,
        transform=frame.transform @ scale,
        access="warp" if frame.access == "read" else frame.access,
        resampling="average",
    )
    with open_pixels(raster, coarse) as read_pixels:
        return read_pixels(Window(0, 0, width, height))


def _read_stored(
    dataset: DatasetReader, raster: Raster, frame: Frame, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the raster without a warp; the window may extend beyond it."""
    row, col = window.row_off + frame.row_off, window.col_off + frame.col_off
    top, left = max(0, row), max(0, col)
    bottom = min(raster.height, row + window.height)
    right = min(raster.width, col + window.width)
    stored = np.zeros((len(raster.bands), window.height, window.width), dtype=raster.dtype)
    valid = np.zeros((window.height, window.width), dtype=bool)
    if bottom > top and right > left:
        inner = Window(left, top, right - left, bottom - top)
        rows, cols = slice(top - row, bottom - row), slice(left - col, right - col)
        dataset.read(raster.bands, window=inner, out=stored[:, rows, cols])
        valid[rows, cols] = True
        if not raster.always_valid and not _has_only_nodata(dataset, raster):
            masks = dataset.read_masks(raster.bands, window=inner)
            valid[rows, cols] = _join(raster, masks > 0)
    return _drop_missing(raster, stored, valid)


def _join(raster: Raster, valid: np.ndarray) -> np.ndarray:
    """Valid bands, bool (bands, …), to valid pixels (…); bytes may be white in a single band."""
    joined = np.logical_or if raster.dtype == "uint8" else np.logical_and
    return joined.reduce(valid)


def _has_only_nodata(dataset: DatasetReader, raster: Raster) -> bool:
    """Whether `raster.nodata` is the only mask; comparing values is faster than reading masks."""
    return all(
        dataset.mask_flag_enums[band - 1] == [MaskFlags.nodata]
        and dataset.nodatavals[band - 1] == raster.nodata
        for band in raster.bands
    )


def _drop_missing(
    raster: Raster, stored: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mark nodata; Sentinel-2 has zeros outside the swath, with or without a tag."""
    valid &= stored.any(axis=0)
    if raster.nodata:
        valid &= _join(raster, stored != raster.nodata)
    if stored.dtype.kind == "f":
        finite = np.isfinite(stored).all(axis=0)
        valid &= finite
        stored[:, ~finite] = 0
    return stored, valid


def _open_warped(dataset: DatasetReader, raster: Raster, frame: Frame) -> WarpedVRT:
    """The frame as a virtual data set that warps blocks when they are read.

    Its last band is alpha: above 0 for valid pixels.
    """
    return WarpedVRT(
        dataset,
        src_crs=raster.georeference.crs,
        src_transform=raster.georeference.transform,
        crs=frame.crs,
        transform=frame.transform,
        width=frame.width,
        height=frame.height,
        resampling=Resampling[frame.resampling],
        warp_mem_limit=WARP_MEGABYTES,
        **_find_mask(dataset, raster),
    )


def _find_mask(dataset: DatasetReader, raster: Raster) -> dict[str, Any]:
    """Options of a warp for the kind of mask of the file."""
    if ColorInterp.alpha in dataset.colorinterp:
        return {}  # warped automatically
    flags = dataset.mask_flag_enums[raster.bands[0] - 1]
    if MaskFlags.per_dataset in flags:
        return {"add_alpha": True}
    # Without a tag, zeros in all bands are missing (YES: in all bands, not in any). For other
    # values, PARTIAL interpolates a band's missing pixels, and leaves 0 in that band.
    nodata = 0 if raster.nodata is None else raster.nodata
    unified = "YES" if raster.dtype == "uint8" else "PARTIAL"
    return {"add_alpha": True, "src_nodata": nodata, "UNIFIED_SRC_NODATA": unified}


def _read_warped(
    warped: WarpedVRT, raster: Raster, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    alpha = 1 + warped.colorinterp.index(ColorInterp.alpha)
    bands = warped.read([*raster.bands, alpha], window=window)
    return _drop_missing(raster, np.ascontiguousarray(bands[:-1]), bands[-1] > 0)


def _read_controlled(
    dataset: DatasetReader, raster: Raster, frame: Frame, mask: np.ndarray | None, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    """A warp by ground control points or rational polynomials, which WarpedVRT does not support."""
    stored = np.zeros((len(raster.bands), window.height, window.width), dtype=raster.dtype)
    if frame.access == "gcps":
        points, crs = dataset.gcps
        where: dict[str, Any] = {"gcps": points, "src_crs": crs}
    else:
        where = {"rpcs": dataset.rpcs, "src_crs": WGS84, **rpc_options(dataset.rpcs)}
    where |= {
        "dst_crs": frame.crs,
        "dst_transform": frame.transform @ Affine.translation(window.col_off, window.row_off),
        # Exact for every pixel, to avoid seams between windows.
        "tolerance": 0,
        "warp_mem_limit": WARP_MEGABYTES,
    }
    reproject(
        rasterio.band(dataset, raster.bands),
        stored,
        src_nodata=0 if raster.nodata is None else raster.nodata,
        dst_nodata=0,
        resampling=Resampling[frame.resampling],
        UNIFIED_SRC_NODATA="YES",
        **where,
    )
    valid = np.ones(stored.shape[1:], dtype=np.uint8)
    if mask is not None:
        valid[:] = 0
        reproject(mask, valid, resampling=Resampling.nearest, **where)
    return _drop_missing(raster, stored, valid > 0)


SAMPLE_SIDE = 5
"""Rows and columns of tiles in a sample."""
REMOTE_SIDE = 2
"""The same for remote scenes: each tile costs a block, which is fetched again for the map."""
OVERVIEW_SIDE = 128
"""Pixels on the longer side of the sample of a remote scene with overviews."""
DOUBT_SIDE = 7
"""Rows and columns of tiles in the sample that is labelled with several radiometries."""

CORNER = 8
"""Pixels a side of the corners in which a collar is searched."""


def look_at(source: SceneSource, frame: Frame, grid: Grid, inside: np.ndarray) -> Sample:
    """A sample of tiles; of a remote scene an overview, if there is one.

    `inside` is bool (rows, cols). Raises SceneError if the file cannot be read.
    """
    if not is_remote(source.dataset):
        return read_sample(source, frame, grid, inside, SAMPLE_SIDE)
    with open_dataset(source.dataset, source.shown) as dataset:
        overviews = dataset.overviews(source.bands[0])
    if not overviews:
        return read_sample(source, frame, grid, inside, REMOTE_SIDE)
    if frame.access != "read":  # a warp would read the scene at full resolution
        frame = _own_frame(source)
    stored, valid = read_shrunk(source, frame, OVERVIEW_SIDE)
    return Sample(stored=stored[:, None], valid=valid[None])


def _own_frame(source: SceneSource) -> Frame:
    """All pixels of a scene, in rows and columns."""
    return Frame(height=source.height, width=source.width, transform=Affine.scale(1), crs=None)


def read_sample(
    source: SceneSource,
    frame: Frame,
    grid: Grid,
    inside: np.ndarray,
    side: int,
    possible: Possible | None = None,
) -> Sample:
    """Up to `side` rows and columns of tiles, spread over the cells that are mapped.

    `inside` is bool (rows, cols). Raises SceneError if the file cannot be read.
    """
    rows, cols = np.nonzero(inside)
    lattice = {
        int(np.argmin(np.abs(rows - row) * grid.cols + np.abs(cols - col)))
        for row in np.linspace(rows.min(), rows.max(), side + 2)[1:-1]
        for col in np.linspace(cols.min(), cols.max(), side + 2)[1:-1]
    }
    size = grid.tile_size
    with open_pixels(source, frame, possible) as read_pixels:
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


def read_dark(
    source: SceneSource, radiometry: RadiometrySettings, masks: MaskSettings, *, force: bool
) -> np.ndarray:
    """Digital numbers of a scene's dark pixels, float (3,); NaN if they are ambiguous."""
    source = source if masks.nodata is None else replace(source, nodata=masks.nodata)
    frame = _own_frame(source)
    try:
        grid = Grid(height=frame.height, width=frame.width, transform=frame.transform, crs=None)
        inside = np.ones((grid.rows, grid.cols), dtype=bool)
        sample = read_sample(source, frame, grid, inside, SAMPLE_SIDE)
        _, clean, _ = find_missing(source, radiometry, sample, force=force)
        return find_dark_of(source, radiometry, clean)
    except (GeoclassError, ValueError):  # its own map will report it
        return np.full(3, np.nan)


def find_collar(source: SceneSource) -> SceneSource:
    """The scene with 255 as nodata, if it has a white collar that no tag explains.

    8-bit exports often have one; a network takes it for industry or cloud.
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
        f"{sum(white)} of the scene's corners are white without a tag: pure white is taken as "
        "missing; set another value with --nodata"
    )
    return replace(source, nodata=255.0, warnings=(*source.warnings, warning))
