"""Masks: the scene classification, and the user's raster or polygons.

A mask that cannot be interpreted, or that does not overlap the scene, is refused: it would mask
nothing, and clouds in a map look like any other class.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.windows import Window

from geoclass.errors import SceneError
from geoclass.landcover import MASK_REASONS
from geoclass.outside import hide_secrets
from geoclass.scene.georeference.frame import Frame, fit_frame
from geoclass.scene.georeference.place import find_place
from geoclass.scene.georeference.region import Region, read_region, transform_shape
from geoclass.scene.open.bands import plain_name
from geoclass.scene.open.facts import Georeference, Raster
from geoclass.scene.open.gdal import find_name, open_dataset
from geoclass.scene.open.guard import is_remote, list_addresses, list_files
from geoclass.scene.open.network import identify_address
from geoclass.scene.open.source import SceneSource, identify_file
from geoclass.scene.read.pixels import ReadPixels, open_pixels
from geoclass.scene.settings import MaskSettings

SCL_CODES = {"saturated": (1,), "shadow": (3,), "cloud": (8, 9), "cirrus": (10,), "snow": (11,)}
"""Sen2Cor's codes; 0 is nodata, 2 are slopes in shade, 4 … 7 are land and water."""
LAST_CODE = 11
USER = MASK_REASONS.index("user")

LOOK_SIDE = 256
"""Pixels on the longer side of a sample of a mask."""
WHOLE_SHARE = 0.98
"""Fraction of a scene that a mask must cover; masks may have larger pixels."""

ReadMask = Callable[[Window], np.ndarray]
"""Window of the frame → uint8 (h, w): index in MASK_REASONS, 0 for pixels that are not masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """All masks of a scene."""

    scl: Raster | None
    """The scene classification."""
    masked_classes: tuple[str, ...]
    raster: Raster | None
    """The user's mask."""
    polygons: Region | None
    """The user's mask."""
    above: float | None = None
    """The user's raster masks where it is above this; None: where it is not 0."""
    warnings: tuple[str, ...] = ()
    counts: np.ndarray = field(
        default_factory=lambda: np.zeros(len(MASK_REASONS), dtype=np.int64), compare=False
    )
    """int64 (reasons,): masked pixels so far, by reason; 0: pixels that are not masked."""

    def count(self, reason: np.ndarray, valid: np.ndarray) -> None:
        """Count a strip's pixels by reason, uint8; `valid` is bool, False for masked pixels."""
        # `bincount` would convert all pixels to int64.
        hidden = [np.count_nonzero(reason == code) for code in range(1, len(MASK_REASONS))]
        self.counts[:] += [np.count_nonzero(valid), *hidden]

    def to_json(self) -> dict[str, Any]:
        """Everything that affects the map."""
        return {
            "scl": self.scl and [hide_secrets(self.scl.dataset), self.scl.bands[0]],
            "mask": self.raster and self.raster.identity,
            "polygons": self.polygons and self.polygons.sha256,
            "above": self.above,
        }

    def find_masked(self, shown: str, values: np.ndarray) -> np.ndarray:
        """Bool, the shape of `values`: True where the user's raster masks.

        SceneError for fractions without a threshold.
        """
        if self.above is None and (fractions := values[values != np.floor(values)]).size:
            raise SceneError(
                f"{shown} has fractions such as {fractions[0]:.3g}, like probabilities: set the "
                "threshold with --mask-above N"
            )
        return values != 0 if self.above is None else values > self.above

    @property
    def notes(self) -> tuple[str, ...]:
        """For people; after pixels are counted, with the masked fraction of each mask."""
        told = []
        if self.scl is not None and self.masked_classes:
            classes = ", ".join(self.masked_classes)
            told.append((f"{classes} by the scene classification", self.counts[1:USER].sum()))
        mask = self.raster.name if self.raster else self.polygons and self.polygons.text
        if mask:
            above = "" if self.above is None else f" above {self.above:g}"
            told.append((f"by {mask}{above}", self.counts[USER]))
        total = self.counts.sum()
        return tuple(
            f"{text}, {hidden / total:.1%} of the pixels" if total else text
            for text, hidden in told
        )


def find_masks(source: SceneSource, settings: MaskSettings) -> Masks:
    """The masks of a scene.

    Raises SceneError for a mask that is missing, does not overlap the scene, or has invalid values
    in a sample.
    """
    raster, polygons = None, None
    if settings.mask is not None:
        try:
            raster = _open_raster(settings.mask, source)
        except SceneError as not_raster:
            try:
                polygons = read_region(Path(settings.mask))
            except SceneError as error:
                raise SceneError(
                    f"{settings.mask} is neither a raster nor polygons that could mask: "
                    f"{not_raster}"
                ) from error
    if polygons is not None and settings.mask_above is not None:
        raise SceneError(f"{settings.mask} has polygons without values: leave out --mask-above")
    masks = Masks(
        scl=_find_scl(source, settings) if settings.masked_classes else None,
        masked_classes=settings.masked_classes,
        raster=raster,
        polygons=polygons,
        above=settings.mask_above,
    )
    return replace(masks, warnings=(*_check_overlap(source, masks), *_check_values(masks)))


def _check_values(masks: Masks) -> Iterator[str]:
    """Warnings about masks without effect; SceneError for invalid values in a sample.

    Remote masks are not checked, to avoid requests.
    """
    if masks.scl is not None and not is_remote(masks.scl.dataset):
        codes = _look_at(masks.scl)
        check_codes(masks.scl.shown, codes)
        if not codes.any():
            raise SceneError(
                f"the scene classification of {masks.scl.shown} has only 0, no data, and would "
                "mask nothing: give another one with --scl, or --mask-classes none"
            )
    raster = masks.raster
    if raster is None or is_remote(raster.dataset):
        return
    if not masks.find_masked(raster.shown, _look_at(raster)).any():
        why = f"; {raster.nodata:g}, its nodata value, never masks" if raster.nodata else ""
        yield f"{raster.name} masks no pixel of a sample{why}"


def _look_at(raster: Raster) -> np.ndarray:
    """A sample of a mask's values (h, w), without interpolation."""
    shrink = max(1.0, max(raster.height, raster.width) / LOOK_SIDE)
    shape = (round(raster.height / shrink) or 1, round(raster.width / shrink) or 1)
    with open_dataset(raster.dataset, raster.shown) as dataset:
        values: np.ndarray = dataset.read(
            raster.bands[0], out_shape=shape, resampling=Resampling.nearest, masked=True
        ).filled(0)
    return values


def _check_overlap(source: SceneSource, masks: Masks) -> Iterator[str]:
    """Warnings about masks of a part; SceneError for a mask that does not overlap the scene."""
    scene = find_place(source)
    if scene is None:
        return
    whole = scene.outline()
    for raster in filter(None, (masks.scl, masks.raster)):
        place = None if raster.dataset == source.dataset else find_place(raster)
        if place is not None:
            share = whole.intersection(place.outline(scene.crs)).area / whole.area
            if share == 0:
                raise _misses(raster.shown, source)
            if share < WHOLE_SHARE:
                yield f"{raster.name} covers {share:.0%} of the scene: the rest is not masked"
    polygons = masks.polygons
    if polygons and not whole.intersects(transform_shape(polygons.shape, polygons.crs, scene.crs)):
        raise _misses(polygons.text, source)


def _misses(mask: str, source: SceneSource) -> SceneError:
    return SceneError(
        f"{mask} does not overlap {source.shown} and would mask nothing: give the mask of this "
        "scene, or check the coordinate reference system of both"
    )


def _find_scl(source: SceneSource, settings: MaskSettings) -> Raster | None:
    name = source.facts.scl if settings.scl is None else settings.scl
    if name is not None and not name.isdecimal():
        return _open_raster(name, source)
    with open_dataset(source.dataset, source.shown) as dataset:
        names = [plain_name(name) for name in dataset.descriptions]
        if name is None and "scl" not in names:
            return None
        band = int(name) if name else 1 + names.index("scl")
        if not 1 <= band <= dataset.count:
            raise SceneError(
                f"{source.shown} has no band {band} for a scene classification: "
                f"give a number from 1 to {dataset.count}, or a file"
            )
        raster = Raster.describe(
            dataset,
            (band,),
            dataset=source.dataset,
            shown=source.shown,
            name=source.name,
            files=source.files,
            identity=source.identity,
        )
    return replace(raster, georeference=source.georeference)


def _open_raster(name: str, source: SceneSource) -> Raster:
    """The first band of a raster; without a CRS, that of the scene is assumed."""
    name = find_name(name)
    with open_dataset(name) as dataset:
        if dataset.count == 0:
            raise SceneError(f"{name} has no band that could mask: give a raster of one band")
        path = Path(name)
        parts = sorted(list_files(path)) if path.is_file() else []
        files = tuple(dict.fromkeys(part.resolve() for part in parts))
        identity: dict[str, Any] = {"files": [identify_file(file) for file in files]}
        if not files:
            remote = [identify_address(address) for address in list_addresses(name)]
            identity = {"files": remote, "path": hide_secrets(name)}
        raster = Raster.describe(
            dataset,
            (1,),
            dataset=name,
            shown=hide_secrets(name),
            name=Path(hide_secrets(name)).name,
            files=files,
            identity=identity,
        )
    crs = raster.georeference.crs or source.georeference.crs
    place = Georeference(transform=raster.georeference.transform, crs=crs)
    return replace(raster, georeference=place, always_valid=True)


@contextmanager
def open_masks(source: SceneSource, frame: Frame, masks: Masks) -> Iterator[ReadMask]:
    """A function that reads the masks in windows of the frame; the first reason counts."""
    table = np.zeros(LAST_CODE + 1, dtype=np.uint8)
    for name in masks.masked_classes:
        table[list(SCL_CODES[name])] = MASK_REASONS.index(name)

    def read_raster(raster: Raster, read_pixels: ReadPixels, window: Window) -> np.ndarray:
        stored, valid = read_pixels(window)
        values = np.where(valid, stored[0], 0)
        if raster is masks.raster:
            return masks.find_masked(raster.shown, values) * np.uint8(USER)
        check_codes(raster.shown, values)
        return table[values.astype(np.uint8)]

    def burn(shape: shapely.Geometry, window: Window) -> np.ndarray:
        burnt: np.ndarray = rasterize(
            [shape],
            out_shape=(window.height, window.width),
            transform=frame.transform @ Affine.translation(window.col_off, window.row_off),
            default_value=USER,
            dtype="uint8",
        )
        return burnt

    with ExitStack() as stack:
        readers: list[ReadMask] = []
        for raster in filter(None, (masks.scl, masks.raster)):
            fitted = frame
            if raster.dataset != source.dataset:
                fitted = fit_frame(raster, find_place(raster), frame)
            nearest = replace(fitted, resampling="nearest")
            read_pixels = stack.enter_context(open_pixels(raster, nearest))
            readers.append(partial(read_raster, raster, read_pixels))
        if masks.polygons is not None:
            if frame.crs is None:
                raise SceneError(
                    f"polygons cannot mask {source.shown}, which has no georeference: "
                    "give --crs and --bounds"
                )
            shape = transform_shape(masks.polygons.shape, masks.polygons.crs, frame.crs)
            readers.append(partial(burn, shape))

        def read(window: Window) -> np.ndarray:
            reasons = np.zeros((window.height, window.width), dtype=np.uint8)
            for read_mask in readers:
                reasons = np.where(reasons > 0, reasons, read_mask(window))
            return reasons

        yield read


def check_codes(shown: str, codes: np.ndarray) -> None:
    """SceneError for values that are not codes of Sen2Cor."""
    strange = codes[(codes < 0) | (codes > LAST_CODE) | (codes != np.floor(codes))]
    if strange.size:
        raise SceneError(
            f"the scene classification of {shown} has {strange[0]:g}, expected whole codes from "
            f"0 to {LAST_CODE}: give Sen2Cor's original, not scaled or interpolated, or "
            "--mask-classes none"
        )
