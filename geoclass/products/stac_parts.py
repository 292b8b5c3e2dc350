"""What the STAC items of maps and of models have in common.

Items are plain data: pystac decides by its own version which version of an extension it writes,
and theirs are fixed here; tests hold them against the official schemas.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geoclass.legend import NODATA, STATUS_STYLES, Legend

STAC_VERSION = "1.1.0"

_SCHEMAS = "https://stac-extensions.github.io/{}/schema.json"
CLASSIFICATION = _SCHEMAS.format("classification/v2.0.0")
EO = _SCHEMAS.format("eo/v1.1.0")
FILE = _SCHEMAS.format("file/v2.1.0")
MLM = _SCHEMAS.format("mlm/v1.5.2")
PROCESSING = _SCHEMAS.format("processing/v1.2.0")
PROJECTION = _SCHEMAS.format("projection/v2.0.0")
RASTER = _SCHEMAS.format("raster/v2.0.0")

ANYTIME = {
    "datetime": None,
    "start_datetime": "1900-01-01T00:00:00Z",
    "end_datetime": "9999-12-31T23:59:59Z",
}
"""Dates of what has none: STAC wants some."""

_MULTIHASH_SHA256 = "1220"
"""Code of SHA-256 and length of its digest, 32 bytes, both in hexadecimal."""


def make_item(
    name: str,
    geometry: Mapping[str, Any] | None,
    bbox: Sequence[float] | None,
    properties: Mapping[str, Any],
    assets: Mapping[str, Any],
    extensions: Sequence[str],
    links: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """An item as JSON has it; without a geometry it has no box either."""
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted(extensions),
        "id": name,
        "geometry": geometry,
        **({} if bbox is None else {"bbox": list(bbox)}),
        "properties": dict(properties),
        "links": list(links),
        "assets": dict(assets),
    }


def name_model_item(sha256: str) -> str:
    """The file name of the item of the model of a hash."""
    return f"model-{sha256[:12]}.stac.json"


def describe_file(path: Path, href: str) -> dict[str, Any]:
    """An asset's address, size and checksum as multihash."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "href": href,
        "file:size": path.stat().st_size,
        "file:checksum": f"{_MULTIHASH_SHA256}{digest}",
    }


def build_classes(legend: Legend, *, statuses: bool) -> list[dict[str, Any]]:
    """`classification:classes`, with the codes of cells without a class where asked for."""
    styles = STATUS_STYLES if statuses else ()
    codes = [(c.class_id, c.name, c.title, c.color) for c in legend.classes]
    codes += [(s.code, s.name, s.title, s.color) for s in styles]
    listed: list[dict[str, Any]] = [
        {
            "value": code,
            # Letters of other alphabets are not allowed here; the title has them.
            "name": re.sub(r"[^0-9A-Za-z_-]+", "_", name),
            "title": title,
            "description": title,
            "color_hint": color.removeprefix("#").upper(),
        }
        for code, name, title, color in codes
    ]
    if statuses:
        nothing = {"title": "No data", "description": "No data", "nodata": True}
        listed.append({"value": NODATA, "name": "nodata", **nothing})
    return listed
