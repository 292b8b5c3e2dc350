"""Scenes behind addresses: GDAL's names for them, and what tells whether they have changed."""

from __future__ import annotations

import functools
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from geoclass.errors import SceneError
from geoclass.scene.dataset import hide_secrets

_PREFIXES = {
    "http": "/vsicurl/",
    "https": "/vsicurl/",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
}
"""Scheme of an address → GDAL's virtual file system."""

TIMEOUT_S = 15.0
TRIES = 4
HEAD_BYTES = 1024
MOST_JSON_BYTES = 20_000_000


def is_address(text: str) -> bool:
    """Whether this is an address of a kind that GDAL can read from."""
    return urlsplit(text).scheme.lower() in _PREFIXES and "://" in text


def gdal_name(address: str) -> str:
    """`https://…` → `/vsicurl/https://…`, `s3://…` → `/vsis3/…`."""
    scheme, _, rest = address.partition("://")
    prefix = _PREFIXES[scheme.lower()]
    return prefix + (address if prefix == "/vsicurl/" else rest)


def show_scene(scene: str) -> str:
    """What a person named, without secrets; the ID of `ADDRESS#ID` is none."""
    address, mark, item = scene.partition("#")
    return hide_secrets(address) + mark + item if is_address(scene) else hide_secrets(scene)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a server says of a file."""

    head: bytes
    """Its first bytes."""
    identity: dict[str, Any]
    """Address without secrets, and bytes, ETag and time of last change as far as told."""


def probe_address(address: str) -> Probe:
    """Ask a server for a file's first bytes.

    Never fails: whether the file can be read is GDAL's to say, which has the user's settings.
    """
    identity: dict[str, Any] = {"path": hide_secrets(address)}
    if not address.lower().startswith("http"):
        return Probe(head=b"", identity=identity)
    try:
        head, headers = _request(address, HEAD_BYTES, f"bytes=0-{HEAD_BYTES - 1}")
    except (OSError, http.client.HTTPException, ValueError):
        return Probe(head=b"", identity=identity)
    told = {
        "bytes": headers.get("Content-Range", "").rpartition("/")[2]
        or headers.get("Content-Length"),
        "etag": headers.get("ETag"),
        "modified": headers.get("Last-Modified"),
    }
    return Probe(head=head, identity=identity | {k: v for k, v in told.items() if v})


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
    headers = {"User-Agent": "geoclass"} | ({"Range": byte_range} if byte_range else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310  # http(s) by now
    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
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
