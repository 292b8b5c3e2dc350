"""Rasters as rasterio sees them: how they are opened, and what their errors become."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from geoclass.errors import SceneError
from geoclass.scene.whole import check_whole

T = TypeVar("T")

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

# One of several addresses ends where the next of red=…,green=…,blue=… begins.
_CHARACTER = r"""(?!,(?:red|green|blue)=)[^\s'"<>]"""
_SECRETS = re.compile(
    rf"(\w://)(?:(?:(?![/@]){_CHARACTER})*@)?((?:(?![?#]){_CHARACTER})*)(?:[?#](?:{_CHARACTER})*)?"
)

_REMOTE = ("/vsicurl", "/vsis3/", "/vsigs/", "/vsiaz/")


def is_remote(name: str) -> bool:
    """Whether GDAL reads this name, or what it is made of, over the network."""
    return any(prefix in name for prefix in _REMOTE)


def gdal_settings(name: str) -> dict[str, str]:
    """Options to read a name under: our defaults, less what the user has decided."""
    if not is_remote(name):
        return {}
    decided = rasterio.env.getenv() if rasterio.env.hasenv() else {}
    return {
        key: value
        for key, value in REMOTE_SETTINGS.items()
        if key not in os.environ and key not in decided
    }


def read_again(name: str, read: Callable[[], T], read_anew: Callable[[DatasetReader], T]) -> T:
    """What `read` gives, or over the network, where it fails, `read_anew` of a fresh data set.

    GDAL goes on failing at a block once a connection has dropped in it.
    """
    try:
        return read()
    except (RasterioError, CPLE_BaseError):
        if not is_remote(name):
            raise
    for left in reversed(range(TRIES)):
        time.sleep(RETRY_DELAY_S)
        try:
            with rasterio.open(name) as fresh:
                return read_anew(fresh)
        except (RasterioError, CPLE_BaseError):
            if not left:
                raise
    raise AssertionError


@contextmanager
def open_dataset(name: str, shown: str | None = None) -> Iterator[DatasetReader]:
    """What GDAL finds under a name; its errors become SceneError, which speaks of `shown`."""
    shown = hide_secrets(shown or name)
    try:
        with rasterio.Env(**gdal_settings(name)):
            with warnings.catch_warnings():
                # Said again, as an error, by whoever needs the georeference.
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = _open_again(name)
            with dataset:
                check_whole(name, dataset)
                yield dataset
    except (RasterioError, CPLE_BaseError) as error:
        raise SceneError(
            f"cannot read {shown} as a raster: {_explain(error, name, shown)}"
        ) from error


def _open_again(name: str) -> DatasetReader:
    for _ in range(TRIES if is_remote(name) else 0):
        try:
            return rasterio.open(name)
        except RasterioError as error:
            if not any(text in str(error) for text in DROPPED):
                raise
            time.sleep(RETRY_DELAY_S)
    return rasterio.open(name)


def hide_secrets(address: str) -> str:
    """A text whose addresses have lost user, password and query: signatures stand there."""
    return _SECRETS.sub(r"\1\2", address)


def _explain(error: BaseException, name: str, shown: str) -> str:
    """GDAL's own words, which rasterio keeps in the error's cause; without VRTs and secrets."""
    lines = str(error.__cause__ or error).replace(name, shown).strip().splitlines()
    if lines and "not recognized as being in a supported file format" in lines[0]:
        return "its format is none that GDAL knows here: give a GeoTIFF or another raster"
    return hide_secrets(lines[0]) if lines else type(error).__name__
