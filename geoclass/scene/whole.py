"""Files whose end is missing, where GDAL gives zeros for what is not there and says nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

RAW_DRIVERS = {
    "ADRG", "BT", "EHdr", "EIR", "ENVI", "ERS", "FAST", "GenBin", "ISCE", "LAN", "MFF", "NDF",
    "PAux", "PCIDSK", "ROI_PAC", "RRASTER",
}  # fmt: skip
"""Drivers that lay pixels down as they are, at least when they do not say otherwise."""

PNG_END = b"IEND\xaeB`\x82"
GZIP_MAGIC = b"\x1f\x8b"


def check_whole(name: str, dataset: DatasetReader) -> None:
    """RasterioIOError for a local file that ends before its pixels do."""
    path = Path(name)
    if dataset.driver not in (*RAW_DRIVERS, "PNG") or not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(len(GZIP_MAGIC))
        size = file.seek(0, 2)
        file.seek(max(0, size - len(PNG_END)))
        end = file.read()
    if dataset.driver == "PNG" and end != PNG_END:
        raise RasterioIOError("the file has no end, it is cut off: fetch it again")
    pixel_bytes = math.fsum(np.dtype(dtype).itemsize for dtype in _numpy_types(dataset))
    expected = int(dataset.width * dataset.height * pixel_bytes)
    raw = dataset.driver != "PNG" and dataset.compression is None and start != GZIP_MAGIC
    if raw and size < expected:
        raise RasterioIOError(
            f"the file has {size} bytes, its pixels take {expected}: it is cut off, fetch it again"
        )


def _numpy_types(dataset: DatasetReader) -> list[str]:
    return [dtype.replace("complex_int16", "int32") for dtype in dataset.dtypes]
