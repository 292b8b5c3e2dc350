"""Maps of scenes with reference labels, and the labels on the maps' pixels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import Resampling, reproject

import geoclass
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import Model
from geoclass.scene.radiometry.conversion import Radiometry

BRIGHT = 150
"""Grey levels, of 255: a pixel as light in red, green and blue is white, a cloud most often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """One band of a file, and where it lies."""

    values: np.ndarray
    """uint8 (height, width)."""
    transform: Affine
    crs: Any
    """As rasterio has it; None where it lies nowhere."""


def make_map(
    scene: Path,
    model: Model,
    stride: int,
    *,
    bands: Sequence[int] | None = None,
    **settings: Any,
) -> LandCoverMap:
    """The scene's map in cells of `stride` pixels; `settings` are those of MapSettings."""
    wishes = MapSettings(stride=stride, **settings)
    return geoclass.map_scene(scene, model, settings=wishes, bands=bands)


def read_labels(path: Path) -> Raster:
    """The first band of a file of labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return Raster(values=file.read(1), transform=file.transform, crs=file.crs)


def place(raster: Raster, grid: Grid, *, outside: int) -> np.ndarray:
    """Uint8 (height, width): a raster on the pixels of a map, by nearest neighbour."""
    shape = (grid.height, grid.width)
    if grid.crs is None:
        if raster.values.shape != shape:
            raise SystemExit(f"labels of {raster.values.shape} pixels, but a map of {shape}")
        return raster.values
    placed = np.full(shape, outside, dtype=np.uint8)
    reproject(
        raster.values,
        placed,
        src_transform=raster.transform,
        src_crs=raster.crs,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        dst_nodata=outside,
        init_dest_nodata=True,
        resampling=Resampling.nearest,
    )
    return placed


def find_bright(scene: Path, landcover: LandCoverMap) -> np.ndarray:
    """Bool (height, width), on the map's pixels: white ones, by the 8-bit values it was made of."""
    radiometry = Radiometry.from_json(landcover.provenance.radiometry)
    with rasterio.open(scene) as file:
        pixels = radiometry.apply(file.read(list(landcover.provenance.bands)))
        white = (pixels.min(axis=0) >= BRIGHT).astype(np.uint8)
        raster = Raster(values=white, transform=file.transform, crs=file.crs)
    return place(raster, landcover.grid, outside=0) == 1
