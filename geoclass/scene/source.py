"""From a path to what is known of a scene before a pixel is read."""

from __future__ import annotations

import re
import stat
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from geoclass.errors import SceneError

RED_GREEN_BLUE = (("b04", "b4", "red"), ("b03", "b3", "green"), ("b02", "b2", "blue"))
"""Names that bands go by, lower case."""

_DAY_TAGS = (
    "DATATAKE_1_DATATAKE_SENSING_START",
    "PRODUCT_START_TIME",
    "SENSING_TIME",
)
_BASELINE = re.compile(r"\d{2}\.\d{2}")
_OFFSET_TAGS = ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")

_BAND_NAME = re.compile(
    r"b\d{1,2}a?|nir.*|swir.*|red.?edge.*|coastal.*|cirrus|scl|alpha|red|green|blue"
)
"""Names that say what a band is; `band 1` or `gray` say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """A raster that a map can be made of."""

    path: Path
    height: int
    width: int
    transform: Affine
    crs: str
    """WKT."""
    bands: tuple[int, int, int]
    """Numbers of the red, green and blue band, counted from 1."""
    dtype: str
    """`uint8` or `uint16`."""
    block_height: int
    """Rows that are stored, and so best read, together."""
    always_valid: bool
    """True where the file marks no pixel as missing."""
    level: str | None
    """Sentinel-2 processing level, such as `Level-1C`, if the tags say."""
    baseline: str | None
    """Sentinel-2 processing baseline, such as `02.04`, if the tags say."""
    add_offset: int | None
    """What the product's tags say is to be added to its numbers, such as -1000."""
    date: str | None
    """Day of sensing, YYYY-MM-DD, if the tags say."""
    warnings: tuple[str, ...]
    """What had to be guessed."""

    @property
    def identity(self) -> dict[str, str | int]:
        """Tells whether the file is still the same."""
        status = self.path.stat()
        return {
            "path": str(self.path.resolve()),
            "bytes": status.st_size,
            "modified_ns": status.st_mtime_ns,
        }


def open_scene(path: Path, bands: Sequence[int] | None = None) -> SceneSource:
    """Look at a scene; `bands` names the red, green and blue band where the file does not.

    Raises SceneError where it is missing, unreadable, or nothing that a map can be made of.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SceneError(f"no scene at {path} ({error.strerror}): check the path") from error
    if stat.S_ISDIR(mode):
        raise SceneError(f"{path} is a folder: give a raster file such as a GeoTIFF")
    with open_dataset(path) as dataset:
        _check_pixels(path, dataset)
        _check_georeference(path, dataset)
        chosen, warned = _choose_bands(path, dataset, bands)
        tags = dataset.tags()
        flags = [flag for i in chosen for flag in dataset.mask_flag_enums[i - 1]]
        return SceneSource(
            path=path,
            height=dataset.height,
            width=dataset.width,
            transform=dataset.transform,
            crs=dataset.crs.to_wkt(),
            bands=chosen,
            dtype=dataset.dtypes[chosen[0] - 1],
            block_height=dataset.block_shapes[chosen[0] - 1][0],
            always_valid=all(flag == MaskFlags.all_valid for flag in flags),
            level=tags.get("PROCESSING_LEVEL"),
            baseline=_find_baseline(path, tags),
            add_offset=_find_offset(path, tags),
            date=_find_day(tags),
            warnings=warned,
        )


@contextmanager
def open_dataset(path: Path) -> Iterator[DatasetReader]:
    """The file as rasterio sees it; its errors become SceneError."""
    try:
        with warnings.catch_warnings():
            # Said again, as an error, by whoever needs the georeference.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
        with dataset:
            yield dataset
    except (RasterioError, CPLE_BaseError) as error:
        raise SceneError(f"cannot read {path} as a raster: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    # rasterio keeps GDAL's own words in the error's cause.
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _check_pixels(path: Path, dataset: DatasetReader) -> None:
    if dataset.count == 0:
        inside = ", ".join(dataset.subdatasets[:4]) or "nothing that GDAL can read"
        raise SceneError(f"{path} has no bands of its own, but holds {inside}: convert one first")
    if "complex" in dataset.dtypes[0]:
        raise SceneError(
            f"{path} holds complex numbers ({dataset.dtypes[0]}), as radar products do: "
            "expected an optical scene of uint8 or uint16"
        )
    if dataset.count < 3:
        raise SceneError(
            f"{path} has {dataset.count} band(s), but red, green and blue are needed: "
            "stack B04, B03 and B02 into one file, for example with gdal_merge.py -separate"
        )


def _check_georeference(path: Path, dataset: DatasetReader) -> None:
    if dataset.crs is None:
        raise SceneError(
            f"{path} has no coordinate reference system: assign the right one, for example with "
            f"rio edit-info --crs EPSG:32633 {path.name}"
        )
    if dataset.transform.is_identity or dataset.transform.determinant == 0:
        raise SceneError(
            f"{path} has no georeference (no usable transform): assign one, for example with "
            f"rio edit-info --transform … {path.name}"
        )


def _choose_bands(
    path: Path, dataset: DatasetReader, bands: Sequence[int] | None
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    warned: tuple[str, ...] = ()
    if bands is not None:
        chosen = _check_bands(path, dataset, bands)
    else:
        found = _find_bands(dataset)
        if found is None and dataset.count == 3 and not _has_band_names(dataset):
            found = (1, 2, 3)
            warned = ("the three bands have no names: taken as red, green, blue",)
        if found is None:
            names = ", ".join(f"{i}: {n or 'unnamed'}" for i, n in _named(dataset))
            raise SceneError(
                f"{path} does not say which of its {dataset.count} bands are red, green and "
                f"blue ({names}): say so with -b, for example -b 3,2,1"
            )
        chosen = found
    kinds = {dataset.dtypes[i - 1] for i in chosen}
    if len(kinds) > 1 or not kinds <= {"uint8", "uint16"}:
        raise SceneError(
            f"{path} stores {', '.join(sorted(kinds))}, expected uint8 or uint16: "
            "convert it, for example with rio convert --dtype uint16"
        )
    return chosen, warned


def _named(dataset: DatasetReader) -> list[tuple[int, str | None]]:
    return list(zip(dataset.indexes, dataset.descriptions, strict=True))


def _check_bands(path: Path, dataset: DatasetReader, bands: Sequence[int]) -> tuple[int, int, int]:
    if len(bands) != 3 or not all(1 <= i <= dataset.count for i in bands):
        raise SceneError(
            f"bands {','.join(map(str, bands))} do not fit {path}: "
            f"give three numbers from 1 to {dataset.count}"
        )
    return bands[0], bands[1], bands[2]


def _find_bands(dataset: DatasetReader) -> tuple[int, int, int] | None:
    """Red, green and blue by the bands' names, or by colour interpretation if they have none.

    Names win, because GDAL takes any three 8-bit bands for red, green and blue.
    """
    if _has_band_names(dataset):
        names = {(name or "").strip().lower(): i for i, name in reversed(_named(dataset))}
        found = [next((names[n] for n in known if n in names), None) for known in RED_GREEN_BLUE]
    else:
        colors = {color: i for i, color in zip(dataset.indexes, dataset.colorinterp, strict=True)}
        wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        found = [colors.get(color) for color in wanted]
    red, green, blue = found
    if red is None or green is None or blue is None:
        return None
    return red, green, blue


def _has_band_names(dataset: DatasetReader) -> bool:
    return any(_BAND_NAME.fullmatch((name or "").strip().lower()) for _, name in _named(dataset))


def _find_baseline(path: Path, tags: Mapping[str, str]) -> str | None:
    baseline = tags.get("PROCESSING_BASELINE")
    if baseline is not None and not _BASELINE.fullmatch(baseline):
        raise SceneError(
            f"the tag PROCESSING_BASELINE of {path} is {baseline!r}, expected a form like 02.04: "
            "mend the tag, for it decides whether 1000 is subtracted"
        )
    return baseline


def _find_offset(path: Path, tags: Mapping[str, str]) -> int | None:
    for tag in _OFFSET_TAGS:
        if tag in tags:
            try:
                return int(tags[tag])
            except ValueError as error:
                raise SceneError(
                    f"the tag {tag} of {path} is {tags[tag]!r}, expected a whole number like -1000"
                ) from error
    return None


def _find_day(tags: Mapping[str, str]) -> str | None:
    """YYYY-MM-DD from the first tag that holds a date."""
    for tag in _DAY_TAGS:
        try:
            return date.fromisoformat(tags.get(tag, "")[:10]).isoformat()
        except ValueError:
            continue
    return None
