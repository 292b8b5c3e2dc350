"""A raster as GDAL describes it, before a pixel is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from affine import Affine
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader


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
