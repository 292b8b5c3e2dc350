"""Samples of a scene, and what is decided by its pixels alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from affine import Affine
from rasterio.windows import Window

from geoclass.errors import GeoclassError
from geoclass.grid import Grid
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.open.gdal import open_dataset, read_within_time
from geoclass.scene.open.guard import is_remote
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.candidates import find_dark_of
from geoclass.scene.radiometry.conversion import Possible, Sample
from geoclass.scene.radiometry.decision import find_missing
from geoclass.scene.read.pixels import open_pixels, read_shrunk
from geoclass.scene.settings import MaskSettings, RadiometrySettings

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
