"""A few tiles of a scene, from which it is told what its numbers mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from affine import Affine
from rasterio.windows import Window

from geoclass.grid import Grid
from geoclass.scene.dataset import is_remote, open_dataset
from geoclass.scene.frame import Frame
from geoclass.scene.pixels import open_pixels, read_shrunk
from geoclass.scene.source import SceneSource

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Tiles as they are stored."""

    stored: np.ndarray
    """(3, n, tile, tile): red, green, blue."""
    valid: np.ndarray
    """bool (n, tile, tile): True where there is data."""

    def percentile(self, share: float) -> np.ndarray | None:
        """Float (3,): of the valid pixels' numbers in red, green and blue; None without any."""
        pixels = self.stored[:, self.valid]
        if pixels.shape[1] == 0:
            return None
        found: np.ndarray = np.percentile(pixels, share, axis=1)
        return found


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
        white = [bool((dataset.read(source.bands, window=w) == 255).all()) for w in corners]
    if not any(white):
        return source
    warning = (
        f"{sum(white)} of the scene's corners are white, and no tag says why: pure white is taken "
        "for missing; --nodata says otherwise"
    )
    return replace(source, nodata=255.0, warnings=(*source.warnings, warning))
