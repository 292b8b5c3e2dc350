"""What is not looked at: by the scene classification, by a raster or polygons of the user's.

A mask that cannot be understood, or that lies elsewhere, is refused: it would hide nothing, and a
map of clouds looks like any other.
"""

from __future__ import annotations

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
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geoclass.errors import SceneError
from geoclass.landcover import MASK_REASONS
from geoclass.outside import hide_secrets
from geoclass.scene.georeference.frame import Frame, fit_frame
from geoclass.scene.georeference.place import find_place
from geoclass.scene.georeference.region import Region, read_region, take_shape
from geoclass.scene.open.bands import plain_name
from geoclass.scene.open.gdal import find_name, open_dataset
from geoclass.scene.open.guard import is_remote, list_addresses, list_files
from geoclass.scene.open.network import identify_address
from geoclass.scene.open.source import SceneSource, identify_file
from geoclass.scene.read.pixels import open_pixels
from geoclass.scene.settings import MaskSettings

SCL_CODES = {"saturated": (1,), "shadow": (3,), "cloud": (8, 9), "cirrus": (10,), "snow": (11,)}
"""Sen2Cor's codes; 0 is no data, 2 are slopes in shade, 4 … 7 are land and water."""
LAST_CODE = 11

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
    above: float | None = None
    """Of the user's raster, larger numbers are masked; None: all but 0."""
    warnings: tuple[str, ...] = ()
    """What is doubtful about them."""
    counts: np.ndarray = field(
        default_factory=lambda: np.zeros(len(MASK_REASONS), dtype=np.int64), compare=False
    )
    """int64 (reasons,): pixels that were hidden so far, by reason; 0: those that were not."""

    def count(self, reason: np.ndarray, valid: np.ndarray) -> None:
        """Add a strip's pixels: why each is hidden, uint8, and bool, True where it is not."""
        hidden = np.bincount(reason.ravel(), minlength=len(MASK_REASONS))
        hidden[0] = valid.sum()
        self.counts[:] += hidden

    def to_json(self) -> dict[str, Any]:
        """What can change a cell."""
        return {
            "scl": self.scl and [hide_secrets(self.scl.dataset), self.scl.bands[0]],
            "mask": self.raster and self.raster.identity,
            "polygons": self.polygons and self.polygons.sha256,
            "above": self.above,
        }

    def find_masked(self, shown: str, values: np.ndarray) -> np.ndarray:
        """Uint8, the shape of `values`: the user's reason where the raster masks.

        SceneError for fractions without a threshold.
        """
        if self.above is None and (fractions := values[values != np.floor(values)]).size:
            raise SceneError(
                f"{shown} holds fractions such as {fractions[0]:.3g}, as probabilities are: say "
                "with --mask-above N from where on they mask"
            )
        masked = values != 0 if self.above is None else values > self.above
        reasons: np.ndarray = np.where(masked, MASK_REASONS.index("user"), 0).astype(np.uint8)
        return reasons

    @property
    def notes(self) -> tuple[str, ...]:
        """For people; once pixels are counted, with how many of them each mask hides."""
        told = []
        user = MASK_REASONS.index("user")
        if self.scl is not None and self.masked_classes:
            classes = ", ".join(self.masked_classes)
            told.append((f"{classes} by the scene classification", self.counts[1:user].sum()))
        mask = self.raster.name if self.raster else self.polygons and self.polygons.text
        if mask:
            above = "" if self.above is None else f" above {self.above:g}"
            told.append((f"by {mask}{above}", self.counts[user]))
        total = self.counts.sum()
        return tuple(
            f"{text}, {hidden / total:.1%} of the pixels" if total else text
            for text, hidden in told
        )


def find_masks(source: SceneSource, settings: MaskSettings) -> Masks:
    """What there is to mask with; SceneError where what was asked for is not there.

    So it is where a mask lies elsewhere than the scene, or a sample of it holds what it must not.
    """
    raster, polygons = (None, None) if settings.mask is None else _open_mask(settings.mask, source)
    if polygons is not None and settings.mask_above is not None:
        raise SceneError(f"{settings.mask} holds polygons, which have no numbers: no --mask-above")
    masks = Masks(
        scl=_find_scl(source, settings) if settings.masked_classes else None,
        masked_classes=settings.masked_classes,
        raster=raster,
        polygons=polygons,
        above=settings.mask_above,
    )
    return replace(masks, warnings=(*_check_overlap(source, masks), *_check_values(masks)))


LOOK_SIDE = 256
"""Pixels on the longer side of a first look at a mask."""


def _check_values(masks: Masks) -> Iterator[str]:
    """That a mask hides nothing; SceneError where a sample of one holds what it must not.

    Remote masks are left alone, for their pixels are far away.
    """
    if masks.scl is not None and not is_remote(masks.scl.dataset):
        codes = _look_at(masks.scl)
        check_codes(masks.scl.shown, codes)
        if not codes.any():
            raise SceneError(
                f"the scene classification of {masks.scl.shown} holds only 0, no data, and would "
                "mask nothing: give another one with --scl, or --mask-classes none"
            )
    raster = masks.raster
    if raster is None or is_remote(raster.dataset):
        return
    if not masks.find_masked(raster.shown, _look_at(raster)).any():
        why = f"; {raster.nodata:g}, its nodata value, never masks" if raster.nodata else ""
        yield f"{raster.name} masks no pixel of a sample{why}"


def _look_at(plane: SceneSource) -> np.ndarray:
    """Numbers of a mask, (h, w): each one that is stored, not a mean."""
    shrink = max(1.0, max(plane.height, plane.width) / LOOK_SIDE)
    shape = (round(plane.height / shrink) or 1, round(plane.width / shrink) or 1)
    with open_dataset(plane.dataset, plane.shown) as dataset:
        values: np.ndarray = dataset.read(
            plane.bands[0], out_shape=shape, resampling=Resampling.nearest, masked=True
        ).filled(0)
    return values


def _check_overlap(source: SceneSource, masks: Masks) -> Iterator[str]:
    """What masks leave out; SceneError for one that lies elsewhere than the scene."""
    scene = find_place(source)
    if scene is None:
        return
    whole = scene.outline()
    for plane in (masks.scl, masks.raster):
        place = None if plane is None or plane.dataset == source.dataset else find_place(plane)
        if plane is not None and place is not None:
            share = whole.intersection(place.outline(scene.crs)).area / whole.area
            if share == 0:
                raise _lies_elsewhere(plane.shown, source)
            if share < WHOLE_SHARE:
                yield f"{plane.name} covers {share:.0%} of the scene: the rest is not masked"
    if masks.polygons is not None and not whole.intersects(take_shape(masks.polygons, scene.crs)):
        raise _lies_elsewhere(masks.polygons.text, source)


WHOLE_SHARE = 0.98
"""Of a scene that a mask is to cover: pixels of a mask may be coarser."""


def _lies_elsewhere(mask: str, source: SceneSource) -> SceneError:
    return SceneError(
        f"{mask} lies nowhere on {source.shown} and would mask nothing: give the mask of this "
        "scene, or check the coordinate reference system of both"
    )


def _find_scl(source: SceneSource, settings: MaskSettings) -> SceneSource | None:
    if settings.scl is not None and settings.scl.isdecimal():
        with open_dataset(source.dataset, source.shown) as dataset:
            return _own_band(source, dataset, int(settings.scl))
    if settings.scl is not None:
        return _open_plane(settings.scl, source)
    if source.facts.scl is not None:
        return _open_plane(source.facts.scl, source)
    with open_dataset(source.dataset, source.shown) as dataset:
        names = [plain_name(name) for name in dataset.descriptions]
        return _own_band(source, dataset, 1 + names.index("scl")) if "scl" in names else None


def _own_band(source: SceneSource, dataset: DatasetReader, band: int) -> SceneSource:
    if not 1 <= band <= dataset.count:
        raise SceneError(
            f"{source.shown} has no band {band} for a scene classification: "
            f"give a number from 1 to {dataset.count}, or a file"
        )
    return replace(
        source,
        bands=(band, band, band),
        dtype=dataset.dtypes[band - 1],
        nodata=dataset.nodatavals[band - 1],
        possible=None,
    )


def _open_plane(name: str, source: SceneSource) -> SceneSource:
    """A raster's first band, as a scene of three such."""
    name = find_name(name)
    with open_dataset(name) as dataset:
        if dataset.count == 0:
            raise SceneError(f"{name} has no band that could mask: give a raster of one band")
        path = Path(name)
        parts = sorted(list_files(path)) if path.is_file() else []
        files = tuple(dict.fromkeys(part.resolve() for part in parts))
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
            possible=None,
            files=files,
            identity={"files": [identify_file(file) for file in files]}
            if files
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
        for plane, find in (
            (masks.scl, partial(_find_reasons, _scl_table(masks.masked_classes))),
            (masks.raster, masks.find_masked),
        ):
            if plane is not None:
                fitted = frame
                if plane.dataset != source.dataset:
                    fitted = fit_frame(plane, find_place(plane), frame)
                nearest = replace(fitted, resampling="nearest")
                read_pixels = stack.enter_context(open_pixels(plane, nearest))
                readers.append(partial(_read_plane, read_pixels, plane.shown, find))
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
    """Uint8 (12,): reason by the classification's code."""
    table = np.zeros(LAST_CODE + 1, dtype=np.uint8)
    for name in classes:
        table[list(SCL_CODES[name])] = MASK_REASONS.index(name)
    return table


def _find_reasons(table: np.ndarray, shown: str, codes: np.ndarray) -> np.ndarray:
    """Uint8, the shape of `codes`: why each pixel is masked."""
    check_codes(shown, codes)
    reasons: np.ndarray = table[codes.astype(np.uint8)]
    return reasons


def check_codes(shown: str, codes: np.ndarray) -> None:
    """Refuse numbers that are no codes of Sen2Cor's; SceneError."""
    strange = codes[(codes < 0) | (codes > LAST_CODE) | (codes != np.floor(codes))]
    if strange.size:
        raise SceneError(
            f"the scene classification of {shown} holds {strange[0]:g}, expected whole codes from "
            f"0 to {LAST_CODE}: give it as Sen2Cor wrote it, neither scaled nor resampled, or "
            "--mask-classes none"
        )


def _read_plane(
    read_pixels: Any, shown: str, find: Callable[[str, np.ndarray], np.ndarray], window: Window
) -> np.ndarray:
    stored, valid = read_pixels(window)
    return find(shown, np.where(valid, stored[0], 0))


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
