"""Remote files: URLs, the state of files on servers, and downloads of small files."""

import functools
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from geoclass.errors import SceneError, TimedOut
from geoclass.outside import MOST_JSON_BYTES, find_timeout, hide_secrets, is_online, within_time

_PREFIXES = {
    "http": "/vsicurl/",
    "https": "/vsicurl/",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
}
"""Scheme of a URL → virtual file system of GDAL."""

TIMEOUT_S = 15.0
FETCHES = 4
HEAD_BYTES = 1024


def is_address(text: str) -> bool:
    """Whether this is a URL that GDAL can read."""
    try:
        return urlsplit(text).scheme.lower() in _PREFIXES and "://" in text
    except ValueError:  # an invalid host
        return False


def gdal_name(address: str) -> str:
    """`https://…` → `/vsicurl/https://…`, `s3://…` → `/vsis3/…`."""
    scheme, _, rest = address.partition("://")
    prefix = _PREFIXES[scheme.lower()]
    return prefix + (address if prefix == "/vsicurl/" else rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """State of a remote file."""

    head: bytes
    """Its first bytes."""
    identity: dict[str, Any]
    """URL without secrets; bytes, ETag and time of last change, if the server sent them."""
    in_parts: bool = True
    """False if the server ignored the range and sent the whole file."""


def check_online(shown: str) -> None:
    """SceneError where no remote file may be opened."""
    if not is_online():
        raise SceneError(f"{shown} is a remote file, which is not opened here: download it first")


def probe_address(address: str) -> Probe:
    """Request the first bytes of a file.

    Errors are ignored, because GDAL may have other settings and reports them. Raises TimedOut for a
    server that accepts the request but does not answer.
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
    """State of a remote file, as far as the server sends it."""
    try:
        return probe_address(address).identity
    except TimedOut:
        return {"path": hide_secrets(address)}


def fetch_text(address: str) -> bytes:
    """Download a small file; SceneError if this fails, or the file is large."""
    shown = hide_secrets(address)
    try:
        body, _ = _request(address, MOST_JSON_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SceneError(f"cannot fetch {shown}: {error}") from error
    if len(body) > MOST_JSON_BYTES:
        raise SceneError(f"{shown} is JSON of more than 20 MB: give a single STAC item")
    return body


def fetch_page(address: str) -> bytes:
    """Like `fetch_text`, but cached for a minute, because a search result lists many scenes."""
    return _fetch_at(address, time.monotonic() // 60)


@functools.lru_cache(maxsize=1)
def _fetch_at(address: str, _minute: float) -> bytes:
    return fetch_text(address)


def _request(
    address: str, most: int, byte_range: str | None = None
) -> tuple[bytes, http.client.HTTPMessage]:
    """The first `most` bytes and the headers; dropped connections are retried."""
    check_online(hide_secrets(address))
    headers = {"User-Agent": "geoclass"} | ({"Range": byte_range} if byte_range else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310  # http(s) by now
    return within_time(lambda: _fetch(request, most))


def _fetch(request: urllib.request.Request, most: int) -> tuple[bytes, http.client.HTTPMessage]:
    for left in reversed(range(FETCHES)):
        try:
            seconds = min(TIMEOUT_S, find_timeout())
            with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310
                return response.read(most), response.headers
        except urllib.error.HTTPError as error:
            error.close()  # it holds the response
            if error.code < 500 or not left:
                raise
        except (OSError, http.client.HTTPException) as error:
            # Retry after a dropped connection, but not if the host does not answer.
            dropped = (ConnectionResetError, http.client.HTTPException)
            if not left or not isinstance(getattr(error, "reason", error), dropped):
                raise
    raise AssertionError
