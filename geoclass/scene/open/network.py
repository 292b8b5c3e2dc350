"""Remote files: URLs, what their servers say of them, and small files fetched as a whole."""

from __future__ import annotations

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


def check_online(shown: str) -> None:
    """SceneError where no remote file may be opened."""
    if not is_online():
        raise SceneError(f"{shown} is a remote file, which is not opened here: download it first")


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
    check_online(hide_secrets(address))
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
