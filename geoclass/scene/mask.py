"""Pixels that have data, but are not to be looked at: clouds and the like, and a user's mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geoclass.errors import SceneError
from geoclass.landcover import MASK_REASONS
from geoclass.scene.bands import plain_name
from geoclass.scene.dataset import hide_secrets, open_dataset
from geoclass.scene.frame import Frame, fit_frame
from geoclass.scene.pixels import open_pixels
from geoclass.scene.place import find_place
from geoclass.scene.region import Region, read_region, take_shape
from geoclass.scene.settings import MaskSettings
from geoclass.scene.source import SceneSource

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
    with open_dataset(name) as dataset:
        if dataset.count == 0:
            raise SceneError(f"{name} has no band that could mask: give a raster of one band")
        path = Path(name)
        status = path.stat() if path.is_file() else None
        return replace(
            source,
            dataset=name,
            shown=hide_secrets(name),
            name=path.name,
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
            identity={"path": name, "bytes": status.st_size, "modified_ns": status.st_mtime_ns}
            if status
            else {"path": hide_secrets(name)},
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
