"""Rasters as rasterio sees them: how they are opened, and what their errors become."""

from __future__ import annotations

import functools
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pyogrio
import pyproj
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from geoclass.errors import SceneError, TimedOut
from geoclass.outside import (
    MOST_JSON_BYTES,
    check_utf8,
    find_timeout,
    hide_secrets,
    is_online,
    within_time,
)
from geoclass.scene.guard import NO_CODE, force_settings, is_remote, open_name

T = TypeVar("T")
Closable = TypeVar("Closable", DatasetReader, WarpedVRT)

TRIES = 5
RETRY_DELAY_S = 0.5

DROPPED = ("Empty reply", "Recv failure", "Connection reset", "transfer closed")
"""What curl says of a connection that was there: not of a host that does not answer."""

REMOTE_SETTINGS = {
    # Beside a remote file nothing is looked for: servers do not list, or list very long.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # The header of a COG comes with the first request.
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    # Ranges fetched side by side are not asked for again when a connection drops (GDAL < 3.13).
    "GDAL_HTTP_MULTIRANGE": "SERIAL",
    # What failed once may be there now, and what was there may have changed.
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/:/vsigs/:/vsiaz/",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    # A server that sends less than 1 kB/s for half a minute is given up.
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
}
"""GDAL's options for remote files, each unless the user has set it."""


def gdal_settings(name: str) -> dict[str, str]:
    """Options to read a name under: our defaults, less what the user has decided."""
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
    """What `read` gives, or over the network, where it fails, `read_anew` of a fresh data set.

    GDAL goes on failing at a block once a connection has dropped in it.
    """
    if not is_remote(name):
        return read_within_time(name, read)
    started = time.monotonic()
    try:
        return read_within_time(name, read)
    except (RasterioError, CPLE_BaseError):
        pass

    def read_fresh() -> T:
        with open_name(name) as fresh:
            return read_anew(fresh)

    for left in reversed(range(TRIES)):
        time.sleep(RETRY_DELAY_S)
        try:
            return read_within_time(name, read_fresh)
        except (RasterioError, CPLE_BaseError):
            if not left or time.monotonic() - started > find_timeout():
                raise
    raise AssertionError


def read_within_time(name: str, read: Callable[[], T]) -> T:
    """What `read` gives, which asks nobody but for that name; TimedOut where it takes too long."""

    def read_here() -> T:
        with rasterio.Env(**{**gdal_settings(name), **force_settings(name)}):
            return read()

    if not is_remote(name):
        return read_here()

    try:
        return within_time(read_here)
    except TimeoutError as error:
        raise TimedOut(f"cannot read {hide_secrets(name[:200])}: {error}") from error


_HUNG: list[Any] = []
"""What abandoned threads still read, and must not be closed under them."""


@contextmanager
def close_unless_hung(dataset: Closable) -> Iterator[Closable]:
    """Close a data set at the end, but where a thread that was given up still uses it."""
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
    """What GDAL finds under a name; its errors become SceneError, which speaks of `shown`."""
    shown, name = hide_secrets(shown or name), find_name(name)
    if is_remote(name):
        _check_online(shown)
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
    """The name by which GDAL opens what a person names: a file's is never taken for anything else.

    SceneError for pipes and devices, of which one would wait for ever and one never end.
    """
    try:
        path = Path(name)
        if path.exists():
            if not (path.is_file() or path.is_dir()):
                raise SceneError(f"{name} is neither a file nor a folder: give a file")
            try:
                check_utf8(path)
            except ValueError:
                raise SceneError(f"{name} is not UTF-8: rename it") from None
            return str(path.absolute())
    except (OSError, ValueError):  # too long, or with characters that no path has
        return name
    return gdal_name(name) if is_address(name) else name


def _explain(error: BaseException, name: str, shown: str) -> str:
    """GDAL's own words, which rasterio keeps in the error's cause; without VRTs and secrets."""
    lines = str(error.__cause__ or error).replace(name, shown).strip().splitlines()
    if lines and "not recognized as being in a supported file format" in lines[0]:
        if name.startswith("/vsicurl/") and not probe_address(name[len("/vsicurl/") :]).in_parts:
            return (
                "its server sends whole files only, not the parts that are needed: download the "
                "file and give its path"
            )
        return (
            "its format is none that is opened here (docs/scenes.md lists them): give a GeoTIFF, "
            "or name its GDAL driver with --driver"
        )
    return hide_secrets(lines[0]) if lines else type(error).__name__


RAW_DRIVERS = ("EHdr", "ENVI")
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
    pixel_bytes = sum(map(count_bytes, dataset.dtypes))
    expected = dataset.width * dataset.height * pixel_bytes
    raw = dataset.driver != "PNG" and dataset.compression is None and start != GZIP_MAGIC
    if raw and size < expected:
        raise RasterioIOError(
            f"the file has {size} bytes, its pixels take {expected}: it is cut off, fetch it again"
        )


def count_bytes(dtype: str) -> int:
    """Of a pixel of one of rasterio's types, of which NumPy lacks one."""
    return np.dtype(dtype.replace("complex_int16", "int32")).itemsize


def describe_gdal() -> str:
    """GDAL's versions, for rasters and for polygons (each library brings its own), and PROJ's."""
    return (
        f"{rasterio.__gdal_version__} (rasterio {rasterio.__version__}), "
        f"{pyogrio.__gdal_version_string__} (pyogrio {pyogrio.__version__}), "
        f"PROJ {pyproj.proj_version_str} (pyproj {pyproj.__version__})"
    )


_PREFIXES = {
    "http": "/vsicurl/",
    "https": "/vsicurl/",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
}
"""Scheme of an address → GDAL's virtual file system."""

TIMEOUT_S = 15.0
FETCHES = 4
HEAD_BYTES = 1024


def is_address(text: str) -> bool:
    """Whether this is an address of a kind that GDAL can read from."""
    try:
        return urlsplit(text).scheme.lower() in _PREFIXES and "://" in text
    except ValueError:  # no host has such a name
        return False


def gdal_name(address: str) -> str:
    """`https://…` → `/vsicurl/https://…`, `s3://…` → `/vsis3/…`."""
    scheme, _, rest = address.partition("://")
    prefix = _PREFIXES[scheme.lower()]
    return prefix + (address if prefix == "/vsicurl/" else rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a server says of a file."""

    head: bytes
    """Its first bytes."""
    identity: dict[str, Any]
    """Address without secrets, and bytes, ETag and time of last change as far as told."""
    in_parts: bool = True
    """False where the server answered with the whole file."""


def _check_online(shown: str) -> None:
    if not is_online():
        raise SceneError(f"{shown} lies on a network, which is not asked here: fetch it first")


def probe_address(address: str) -> Probe:
    """Ask a server for a file's first bytes.

    Whether the file can be read is GDAL's to say, which has the user's settings. Raises TimedOut
    for a server that takes the question and does not answer.
    """
    identity: dict[str, Any] = {"path": hide_secrets(address)}
    if not address.lower().startswith("http"):
        return Probe(head=b"", identity=identity)
    try:
        head, headers = _request(address, HEAD_BYTES, f"bytes=0-{HEAD_BYTES - 1}")
    except TimeoutError as error:
        raise TimedOut(f"cannot read {hide_secrets(address)}: {error}") from error
    except (OSError, http.client.HTTPException, ValueError):
        return Probe(head=b"", identity=identity)
    told = {
        "bytes": headers.get("Content-Range", "").rpartition("/")[2]
        or headers.get("Content-Length"),
        "etag": headers.get("ETag"),
        "modified": headers.get("Last-Modified"),
    }
    return Probe(
        head=head,
        identity=identity | {k: v for k, v in told.items() if v},
        in_parts="Content-Range" in headers,
    )


def identify_address(address: str) -> dict[str, Any]:
    """What identifies a remote file now, as far as its server says."""
    try:
        return probe_address(address).identity
    except TimedOut:
        return {"path": hide_secrets(address)}


def fetch_text(address: str) -> bytes:
    """A small file as a whole; SceneError where it cannot be had, or is large."""
    shown = hide_secrets(address)
    try:
        body, _ = _request(address, MOST_JSON_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SceneError(f"cannot fetch {shown}: {error}") from error
    if len(body) > MOST_JSON_BYTES:
        raise SceneError(f"{shown} is JSON of more than 20 MB: give a single STAC item")
    return body


def fetch_page(address: str) -> bytes:
    """What `fetch_text` gives; asked for again within a minute, that of the first time.

    A page of a search lists many scenes, each of which is looked for in it.
    """
    return _fetch_at(address, time.monotonic() // KEPT_S)


KEPT_S = 60


@functools.lru_cache(maxsize=1)
def _fetch_at(address: str, _minute: float) -> bytes:
    return fetch_text(address)


def _request(
    address: str, most: int, byte_range: str | None = None
) -> tuple[bytes, http.client.HTTPMessage]:
    """The first `most` bytes and the headers; dropped connections are taken up again."""
    _check_online(hide_secrets(address))
    return within_time(lambda: _request_patiently(address, most, byte_range))


def _request_patiently(
    address: str, most: int, byte_range: str | None
) -> tuple[bytes, http.client.HTTPMessage]:
    headers = {"User-Agent": "geoclass"} | ({"Range": byte_range} if byte_range else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310  # http(s) by now
    for left in reversed(range(FETCHES)):
        try:
            seconds = min(TIMEOUT_S, find_timeout())
            with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310
                return response.read(most), response.headers
        except urllib.error.HTTPError as error:
            error.close()  # it is the response, too
            if error.code < 500 or not left:
                raise
        except (OSError, http.client.HTTPException) as error:
            # A host that does not answer will not do so now; one that hung up may.
            dropped = (ConnectionResetError, http.client.HTTPException)
            if not left or not isinstance(getattr(error, "reason", error), dropped):
                raise
    raise AssertionError
