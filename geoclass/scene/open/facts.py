"""Rasters and scenes as metadata describe them, before a pixel is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from affine import Affine
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader

from geoclass.dates import find_day, find_sensing, parse_day
from geoclass.errors import SceneError

Triple = tuple[float, float, float]
"""Values of red, green and blue."""


def make_triple(values: Iterable[float]) -> Triple:
    """Three numbers, of any kind."""
    red, green, blue = map(float, values)
    return red, green, blue


_DAY_TAGS = ("DATATAKE_1_DATATAKE_SENSING_START", "PRODUCT_START_TIME", "SENSING_TIME")
_OFFSET_TAGS = ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")
_PLATFORM_TAGS = ("DATATAKE_1_SPACECRAFT_NAME", "SPACECRAFT_NAME")
_BASELINE = re.compile(r"\d{2}\.\d{2}")

_PRODUCT_NAME = re.compile(
    r"(?P<platform>S2[A-D])_MSIL(?P<level>1C|2A)_\d{8}T\d{6}"
    r"_N(?P<baseline>\d{4})_R\d{3}_T\d{2}[A-Z]{3}_"
)
"""ESA's product names since December 2016."""
_BAND_FILE_NAME = re.compile(r"(?<![A-Z0-9])T\d{2}[A-Z]{3}_\d{8}T\d{6}_")
"""ESA's names of band files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Georeference:
    """What a file says about its location."""

    transform: Affine
    """From (column, row) of pixel corners to x, y; the identity if the file has none."""
    crs: str | None
    """WKT."""
    gcps: int = 0
    """Number of ground control points, used without a transform."""
    gcp_crs: str | None = None
    """WKT."""
    rpcs: bool = False
    """Whether there are rational polynomial coefficients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """Bands of a raster: a scene, or a mask of one."""

    dataset: str
    """The name that GDAL opens."""
    shown: str
    """Its name in messages."""
    name: str
    """Short name, for titles and provenance."""
    height: int
    width: int
    georeference: Georeference
    bands: tuple[int, ...]
    """Numbers of the bands that are read, from 1."""
    dtype: str
    """Of these bands, such as `uint16` or `float32`."""
    nodata: float | None
    block_height: int
    """Rows that are stored together."""
    always_valid: bool
    """True if the file marks no pixel as missing."""
    files: tuple[Path, ...]
    """Local files that are read; no output may replace them."""
    identity: Mapping[str, Any]
    """Names, sizes and times of change, to detect changes."""

    @classmethod
    def describe(cls, opened: DatasetReader, bands: tuple[int, ...], **more: Any) -> Self:
        """Bands of an open data set; `more` are the fields that the data set does not know."""
        first = bands[0] - 1
        flags = [flag for band in bands for flag in opened.mask_flag_enums[band - 1]]
        gcps, gcp_crs = opened.gcps
        return cls(
            height=opened.height,
            width=opened.width,
            georeference=Georeference(
                transform=opened.transform,
                crs=opened.crs.to_wkt() if opened.crs else None,
                gcps=len(gcps),
                gcp_crs=gcp_crs.to_wkt() if gcp_crs else None,
                rpcs=opened.rpcs is not None,
            ),
            bands=bands,
            dtype=opened.dtypes[first],
            nodata=opened.nodatavals[first],
            block_height=opened.block_shapes[first][0],
            always_valid=all(flag == MaskFlags.all_valid for flag in flags),
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFacts:
    """Metadata of a scene; None for unknown."""

    level: str | None = None
    """Sentinel-2 processing level, such as `Level-1C`."""
    baseline: str | None = None
    """Sentinel-2 processing baseline, such as `02.04`."""
    add_offset: int | None = None
    """Offset to add to the digital numbers, such as -1000."""
    scales: Triple | None = None
    """With `offsets`: reflectance = scale · number + offset, instead of `add_offset`."""
    offsets: Triple | None = None
    date: str | None = None
    """Day of sensing, YYYY-MM-DD."""
    platform: str | None = None
    """Such as `Sentinel-2A`."""
    radiometry: str | None = None
    """Name of the stretch of 8-bit values, as in the contracts of models."""
    scl: str | None = None
    """GDAL name of the scene classification, which may have another pixel size."""

    @property
    def is_sentinel_2(self) -> bool:
        """By the platform's name, else by metadata that only its products have."""
        if self.platform is not None:
            return self.platform.lower().startswith("sentinel-2")
        return self.level in ("Level-1C", "Level-2A") or self.baseline is not None

    def over(self, other: SceneFacts) -> SceneFacts:
        """These facts, completed by the other ones."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{key: value for key, value in known.items() if value is not None})


Kind = Literal["file", "subdataset", "url", "bands", "safe", "stac"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneInput:
    """A scene that is found, but not opened."""

    dataset: str
    """The name that GDAL opens: a path, a virtual file, a subdataset or a VRT."""
    shown: str
    """Its name in messages."""
    name: str
    """Short name, for titles."""
    kind: Kind
    bands: tuple[int, int, int] | None = None
    """Numbers of red, green and blue, if the product's metadata contain them."""
    files: tuple[Path, ...] = ()
    """Its local files, as far as they are known."""
    addresses: tuple[dict[str, Any], ...] = ()
    """State of its remote files."""
    item: tuple[str, str] | None = None
    """ID and SHA-256 of an item of a local collection, which is the first of `files`."""
    facts: SceneFacts = field(default_factory=SceneFacts)
    """From the product's metadata, or from names."""


def read_tags(shown: str, tags: Mapping[str, str]) -> SceneFacts:
    """Facts in the tags of a raster; SceneError for an invalid baseline or offset."""
    return SceneFacts(
        level=tags.get("PROCESSING_LEVEL"),
        baseline=check_baseline(shown, tags.get("PROCESSING_BASELINE")),
        add_offset=_find_offset(shown, tags),
        date=next(filter(None, (parse_day(tags.get(tag)) for tag in _DAY_TAGS)), None),
        radiometry=tags.get("RADIOMETRY"),
        platform=next((tags[tag] for tag in _PLATFORM_TAGS if tag in tags), None),
    )


def read_name(path: str, inner: str = "") -> SceneFacts:
    """Facts in ESA's names of products and band files, and the day in any scene's name.

    `inner` is the scene's path in an archive. Of folders only ESA's names are used.
    """
    names = (text.rpartition("/")[2] for text in (inner, path))
    path = f"{path}/{inner}"
    day = next(filter(None, map(find_day, names)), None) or find_sensing(path)
    said = None if day is None else day.isoformat()
    if found := _PRODUCT_NAME.search(path):
        baseline = found["baseline"]
        return SceneFacts(
            level=f"Level-{found['level']}",
            baseline=f"{baseline[:2]}.{baseline[2:]}",
            date=said,
            platform=f"Sentinel-{found['platform'][1:]}",
        )
    is_band = _BAND_FILE_NAME.search(path) is not None
    return SceneFacts(date=said, platform="Sentinel-2" if is_band else None)


def describe_scaling(scales: Triple, offsets: Triple) -> SceneFacts:
    """Facts of bands with reflectance = scale · number + offset.

    With Sentinel-2's scale of 1/10000 this is a whole number, `add_offset`, without rounding.
    Raises SceneError for invalid scales and offsets.
    """
    if not all(map(math.isfinite, (*scales, *offsets))) or 0 in scales:
        raise SceneError(
            f"its bands have scales {scales} and offsets {offsets}, expected finite numbers and no "
            "scale of 0: fix them, or say what the numbers mean with --scale"
        )
    if all(math.isclose(scale, 1e-4) for scale in scales):
        if 0 in offsets and any(offsets):
            raise SceneError(
                f"its bands have offsets {offsets}, but some are missing: fix them, because they "
                "decide what is land and what is water"
            )
        added = {round(offset / s, 6) for s, offset in zip(scales, offsets, strict=True)}
        if len(added) == 1 and (one := added.pop()).is_integer():
            return SceneFacts(add_offset=int(one))
    return SceneFacts(scales=scales, offsets=offsets)


def check_baseline(shown: str, baseline: str | None) -> str | None:
    """The baseline in the form 02.04; SceneError if it is invalid.

    Programs that parse tags as numbers write 2.04 for 02.04, and 5.1 for 05.10.
    """
    if baseline is not None and re.fullmatch(r"[1-9]\.\d{1,2}", baseline):
        baseline = f"{float(baseline):05.2f}"
    if baseline is not None and not _BASELINE.fullmatch(baseline):
        raise SceneError(
            f"the tag PROCESSING_BASELINE of {shown} is {baseline!r}, expected a form like 02.04: "
            "fix the tag, because it decides whether 1000 is subtracted"
        )
    return baseline


def _find_offset(shown: str, tags: Mapping[str, str]) -> int | None:
    tag = next((tag for tag in _OFFSET_TAGS if tag in tags), None)
    try:
        return int(tags[tag]) if tag else None
    except ValueError as error:
        raise SceneError(
            f"the tag {tag} of {shown} is {tags[str(tag)]!r}, expected a whole number like -1000"
        ) from error
