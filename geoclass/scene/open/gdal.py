"""Opening and reading rasters with GDAL: options, retries, time limits and errors."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyogrio
import pyproj
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from geoclass.errors import SceneError, TimedOut
from geoclass.outside import check_utf8, find_timeout, hide_secrets, within_time
from geoclass.scene.open.guard import NO_CODE, force_settings, is_remote, open_name
from geoclass.scene.open.network import check_online, gdal_name, is_address, probe_address

T = TypeVar("T")
Closable = TypeVar("Closable", DatasetReader, WarpedVRT)

TRIES = 5
RETRY_DELAY_S = 0.5

DROPPED = ("Empty reply", "Recv failure", "Connection reset", "transfer closed")
"""Messages of curl about connections that were interrupted, unlike hosts that do not answer."""

REMOTE_SETTINGS = {
    # Do not look for companions of remote files: servers cannot list folders, or are slow.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # Read the header of a COG with the first request.
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    # Parallel ranges are not retried when a connection drops (GDAL < 3.13).
    "GDAL_HTTP_MULTIRANGE": "SERIAL",
    # Do not cache failures and contents, which may change.
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/:/vsigs/:/vsiaz/",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    # Give up a server that sends less than 1 kB/s for 30 s.
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
}
"""GDAL options for remote files, unless the user has set them."""


def gdal_settings(name: str) -> dict[str, str]:
    """GDAL options for a name: defaults that the user has not set."""
    if not is_remote(name):
        return NO_CODE
    decided = rasterio.env.getenv() if rasterio.env.hasenv() else {}
    seconds = str(max(1, round(find_timeout())))
    usual = {
        key: value
        for key, value in {**REMOTE_SETTINGS, "GDAL_HTTP_TIMEOUT": seconds}.items()
        if key not in os.environ and key not in decided
    }
    return usual | NO_CODE


def read_again(name: str, read: Callable[[], T], read_anew: Callable[[DatasetReader], T]) -> T:
    """The result of `read`, or, if it fails on a remote file, of `read_anew` on a new data set.

    After a dropped connection GDAL keeps failing at the same block of a data set.
    """

    def read_fresh() -> T:
        with open_name(name) as fresh:
            return read_anew(fresh)

    started = time.monotonic()
    for left in reversed(range(TRIES + 1)):
        try:
            return read_within_time(name, read if left == TRIES else read_fresh)
        except (RasterioError, CPLE_BaseError):
            late = time.monotonic() - started > find_timeout()
            if not (left and is_remote(name)) or late:
                raise
        time.sleep(RETRY_DELAY_S)
    raise AssertionError


def read_within_time(name: str, read: Callable[[], T]) -> T:
    """The result of `read`, which may only access this name; TimedOut if it takes too long."""

    def read_here() -> T:
        with rasterio.Env(**{**gdal_settings(name), **force_settings(name)}):
            return read()

    try:
        return within_time(read_here) if is_remote(name) else read_here()
    except TimeoutError as error:
        raise TimedOut(f"cannot read {hide_secrets(name[:200])}: {error}") from error


_HUNG: list[Any] = []
"""Data sets that abandoned threads still read, so they must not be closed."""


@contextmanager
def close_unless_hung(dataset: Closable) -> Iterator[Closable]:
    """Close a data set at the end, unless an abandoned thread still uses it."""
    try:
        yield dataset
    except TimedOut:
        _HUNG.append(dataset)
        raise
    except BaseException:
        dataset.close()
        raise
    dataset.close()


@contextmanager
def open_dataset(name: str, shown: str | None = None) -> Iterator[DatasetReader]:
    """Open a name with GDAL; SceneError, which names `shown`, if it cannot be opened or read."""
    shown, name = hide_secrets(shown or name), find_name(name)
    if is_remote(name):
        check_online(shown)
    try:
        with rasterio.Env(**gdal_settings(name)):
            dataset = read_within_time(name, lambda: _open_again(name))
            with close_unless_hung(dataset):
                check_whole(name, dataset)
                yield dataset
    except (RasterioError, CPLE_BaseError) as error:
        raise SceneError(
            f"cannot read {shown} as a raster: {_explain(error, name, shown)}"
        ) from error


def _open_again(name: str) -> DatasetReader:
    for _ in range(TRIES if is_remote(name) else 0):
        try:
            return open_name(name)
        except RasterioError as error:
            if not any(text in str(error) for text in DROPPED):
                raise
            time.sleep(RETRY_DELAY_S)
    return open_name(name)


def find_name(name: str) -> str:
    """The GDAL name of a user's path or URL; existing paths are always opened as files.

    SceneError for pipes and devices, where reading may not end.
    """
    if not os.path.exists(name):  # noqa: PTH110  # of any text
        return gdal_name(name) if is_address(name) else name
    path = Path(name)
    if not (path.is_file() or path.is_dir()):
        raise SceneError(f"{name} is neither a file nor a folder: give a file")
    try:
        check_utf8(path)
    except ValueError:
        raise SceneError(f"{name} is not UTF-8: rename it") from None
    return str(path.absolute())


def _explain(error: BaseException, name: str, shown: str) -> str:
    """GDAL's message, which rasterio keeps as the error's cause, without VRTs and secrets."""
    lines = str(error.__cause__ or error).replace(name, shown).strip().splitlines()
    if lines and "not recognized as being in a supported file format" in lines[0]:
        if name.startswith("/vsicurl/") and not probe_address(name[len("/vsicurl/") :]).in_parts:
            return "its server does not support range requests: download the file and give its path"
        return (
            "its format is not supported (docs/scenes.md lists the formats): give a GeoTIFF, "
            "or name its GDAL driver with --driver"
        )
    return hide_secrets(lines[0]) if lines else type(error).__name__


RAW_DRIVERS = ("EHdr", "ENVI")
"""Drivers that store pixels without compression by default."""

PNG_END = b"IEND\xaeB`\x82"
GZIP_MAGIC = b"\x1f\x8b"


def check_whole(name: str, dataset: DatasetReader) -> None:
    """RasterioIOError for a local file that is truncated."""
    path = Path(name)
    if dataset.driver not in (*RAW_DRIVERS, "PNG") or not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(len(GZIP_MAGIC))
        size = file.seek(0, 2)
        file.seek(max(0, size - len(PNG_END)))
        end = file.read()
    if dataset.driver == "PNG" and end != PNG_END:
        raise RasterioIOError("the file is truncated: fetch it again")
    pixel_bytes = sum(map(count_bytes, dataset.dtypes))
    expected = dataset.width * dataset.height * pixel_bytes
    raw = dataset.driver != "PNG" and dataset.compression is None and start != GZIP_MAGIC
    if raw and size < expected:
        raise RasterioIOError(
            f"the file is truncated to {size} bytes, its pixels need {expected}: fetch it again"
        )


def count_bytes(dtype: str) -> int:
    """Bytes per value of a rasterio type; NumPy has no complex_int16."""
    return np.dtype(dtype.replace("complex_int16", "int32")).itemsize


def describe_gdal() -> str:
    """Versions of GDAL in rasterio and in pyogrio, and of PROJ."""
    return (
        f"{rasterio.__gdal_version__} (rasterio {rasterio.__version__}), "
        f"{pyogrio.__gdal_version_string__} (pyogrio {pyogrio.__version__}), "
        f"PROJ {pyproj.proj_version_str} (pyproj {pyproj.__version__})"
    )
