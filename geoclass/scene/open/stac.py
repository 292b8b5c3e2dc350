"""STAC items: the assets of red, green and blue, and their metadata."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, Required, TypedDict

from geoclass.dates import parse_day
from geoclass.errors import SceneError
from geoclass.outside import DAMAGE, convert_json, parse_json
from geoclass.scene.open.bands import Bands
from geoclass.scene.open.facts import (
    SceneFacts,
    check_baseline,
    describe_scaling,
    make_triple,
    read_name,
)
from geoclass.scene.open.network import gdal_name, is_address
from geoclass.scene.open.stack import BandFile

if TYPE_CHECKING:
    import pystac

RED_GREEN_BLUE = (("b04", "b4", "red"), ("b03", "b3", "green"), ("b02", "b2", "blue"))
"""Names of assets and bands, in lower case."""
SCL_NAMES = ("scl", "SCL", "SCL_20m", "scl_20m")
_LEVELS = {"S2MSI1C": "Level-1C", "S2MSI2A": "Level-2A"}
_PRODUCT_KEYS = ("s2:product_uri", "sentinel:product_id")
_PICTURES = {"visual", "overview", "thumbnail", "preview", "rendered_preview"}
"""Roles and keys of assets that are stretched for display."""

_Bands = list[Any] | None
_AssetJson = TypedDict("_AssetJson", {
    "href": Required[str], "roles": list[Any] | None, "gsd": float | None,
    "bands": _Bands, "eo:bands": _Bands, "raster:bands": _Bands,
}, total=False)  # fmt: skip


class _ItemJson(TypedDict):
    """The fields that are read here."""

    id: str | int
    properties: dict[str, Any]
    assets: dict[str, _AssetJson]
    links: NotRequired[list[dict[str, Any]]]


class ItemsJson(TypedDict):
    """A collection of items."""

    features: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StacScene:
    """The bands and metadata of an item."""

    name: str
    assets: tuple[BandFile, ...]
    """Red, green and blue, or one file with all of them."""
    bands: Bands | None
    """Numbers of the bands in one file."""
    hrefs: tuple[str, ...]
    """URLs or paths of all files that are read."""
    facts: SceneFacts


def looks_like_json(head: bytes) -> bool:
    """Whether a file with this beginning may be an item."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def choose_item(text: bytes, item_id: str, shown: str) -> bytes:
    """The JSON of an item of a collection; SceneError if there is none."""
    try:
        features = parse_json(text, ItemsJson, what="the collection")
    except ValueError as error:
        raise SceneError(
            f"{shown} is not in a STAC ItemCollection ({error}): check the file"
        ) from error
    chosen = [
        f for f in features["features"] if isinstance(f, dict) and str(f.get("id")) == item_id
    ]
    if len(chosen) != 1:
        raise SceneError(f"there are {len(chosen) or 'no'} items {shown}, expected one: check ids")
    return json.dumps(chosen[0]).encode()


def read_item(text: bytes, base: str, shown: str) -> StacScene:
    """An item's bands and facts; `base` is its path or URL, for relative references.

    Raises SceneError if it is not an item, or has no red, green and blue.
    """
    try:
        return _read(_parse(text, base, shown), base, shown)
    # pystac does not check its input, so any error means that it is invalid.
    except DAMAGE as error:
        raise SceneError(
            f"{shown} is not a STAC item ({type(error).__name__}: {error}): "
            "give the JSON of one item, not of a catalogue or collection"
        ) from error


def _read(item: pystac.Item, base: str, shown: str) -> StacScene:
    keys, bands = _find_whole(item) or (
        tuple(_find_band(item, color, shown) for color in range(3)),
        None,
    )
    hrefs = [_resolve(item.assets[key], base, shown) for key in keys]
    scl = next((name for name in SCL_NAMES if name in item.assets), None)
    if scl is not None:
        hrefs.append(_resolve(item.assets[scl], base, shown))
    files = tuple(
        BandFile(dataset=_to_gdal(href), shown=f"asset {key} of {shown}")
        for key, href in zip(keys, hrefs, strict=False)
    )
    facts = _read_properties(item, shown, _to_gdal(hrefs[-1]) if scl is not None else None)
    scaling = _read_scaling(item, keys, bands)
    return StacScene(
        name=str(item.id), assets=files, bands=bands, hrefs=tuple(hrefs), facts=scaling.over(facts)
    )


def _to_gdal(href: str) -> str:
    return gdal_name(href) if is_address(href) else href


def _parse(text: bytes, base: str, shown: str) -> pystac.Item:
    import pystac

    data = parse_json(text, dict[str, Any], what="the item")
    if data.get("type") == "FeatureCollection":
        raise SceneError(
            f"{shown} is a collection of items: "
            "name one as FILE#ID or URL#ID, or save it as a separate file"
        )
    convert_json(data, _ItemJson, "the item")
    try:
        # Warnings are about the migration of extensions that are not used here.
        with warnings.catch_warnings(action="ignore"):
            return pystac.Item.from_dict(data, href=base)
    except (pystac.STACError, pystac.STACTypeError) as error:
        raise ValueError(error) from error


def _bands_of(asset: pystac.Asset) -> list[Mapping[str, Any]]:
    """Bands of an asset, in STAC 1.1 or in the eo extension."""
    found = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands") or []
    return [band for band in found if isinstance(band, dict)]


def _color_of(band: Mapping[str, Any]) -> int | None:
    """0, 1, 2 for red, green, blue."""
    common = band.get("eo:common_name") or band.get("common_name")
    name = str(common or band.get("name") or "").lower()
    return next((i for i, known in enumerate(RED_GREEN_BLUE) if name in known), None)


def _find_band(item: pystac.Item, color: int, shown: str) -> str:
    """Key of the asset of a colour, by its key or by its bands; the finest if there are several."""
    known = RED_GREEN_BLUE[color]
    plain = {key.lower(): key for key, asset in item.assets.items() if len(_bands_of(asset)) <= 1}
    for name in (*reversed(known), *(f"{name}_10m" for name in known)):
        if name in plain:
            return plain[name]
    told = [
        (float(asset.extra_fields.get("gsd") or 0), key)
        for key, asset in item.assets.items()
        if [_color_of(band) for band in _bands_of(asset)] == [color]
    ]
    if not told:
        raise SceneError(
            f"{shown} has no asset for {known[2]} (or {known[0].upper()}), it has "
            f"{', '.join(list(item.assets)[:12])}: give its bands as red=…,green=…,blue=…"
        )
    return min(told)[1]


def _find_whole(item: pystac.Item) -> tuple[tuple[str, ...], Bands] | None:
    """An asset with all three bands, if none has red alone."""
    if any([_color_of(band) for band in _bands_of(a)] == [0] for a in item.assets.values()):
        return None
    for key, asset in item.assets.items():
        colors = [_color_of(band) for band in _bands_of(asset)]
        if not _PICTURES & {key, *(asset.roles or [])} and {0, 1, 2} <= set(colors):
            red, green, blue = (colors.index(color) + 1 for color in range(3))
            return (key,), (red, green, blue)
    return None


def _resolve(asset: pystac.Asset, base: str, shown: str) -> str:
    """A URL, or a local path if the item itself is local."""
    href = asset.get_absolute_href() or asset.href
    if is_address(href):
        return href
    if "/vsi" in href:
        raise SceneError(f"{shown} refers to {href}, which is not allowed in items: give its files")
    if not is_address(base) and "://" not in href:
        return str(Path(href).absolute())
    if not is_address(base) and href.startswith("file://"):
        return href.removeprefix("file://")
    raise SceneError(
        f"{shown} refers to {href}, expected a URL of http(s), s3, gs or az: "
        "fetch the files and give them as red=…,green=…,blue=…"
    )


def _read_properties(item: pystac.Item, shown: str, scl: str | None) -> SceneFacts:
    told = item.properties
    product = next((str(told[key]) for key in _PRODUCT_KEYS if key in told), "")
    platform = told.get("platform")
    keys = ("datetime", "start_datetime", "end_datetime")
    day, first, last = (parse_day(str(told.get(key) or "")) for key in keys)
    facts = SceneFacts(
        level=_read_level(told),
        baseline=check_baseline(shown, _read_baseline(told)),
        date=day or (first if first == last else None),  # not of composites of several days
        platform=str(platform).title() if platform else None,
        scl=scl,
    )
    return facts.over(read_name(product))


def _read_level(told: Mapping[str, Any]) -> str | None:
    """Processing level of Sentinel-2, in the properties of different archives."""
    kinds = (str(told.get(key)) for key in ("s2:product_type", "product:type"))
    stated = str(told.get("processing:level")).upper()
    named = f"Level-{stated[1:]}" if stated in ("L1C", "L2A") else None
    return next((_LEVELS[kind] for kind in kinds if kind in _LEVELS), named)


def _read_baseline(told: Mapping[str, Any]) -> str | None:
    """`05.11`, also if it is stored as a number; other processing versions are ignored."""
    stated = told.get("s2:processing_baseline")
    if isinstance(stated, float):
        return f"{stated:05.2f}"
    if stated is not None:
        found = _BASELINE.fullmatch(str(stated))
        return f"{found[1]:0>2}.{found[2]}" if found else str(stated)
    version = str(told.get("processing:version"))
    return version if re.fullmatch(r"\d{2}\.\d{2}", version) else None


_BASELINE = re.compile(r"N?(\d{1,2})\.?(\d{2})")


def _read_scaling(item: pystac.Item, keys: Sequence[str], bands: Bands | None) -> SceneFacts:
    """Scales and offsets of the bands, as far as the item has them."""
    if any(item.properties.get(key) is True for key in _OFFSET_APPLIED):
        # Earth Search has subtracted 1000 from the pixels, but not updated raster:bands.
        return SceneFacts(add_offset=0)
    if bands is None:
        told = [_raster_band(item.assets[key], 0) for key in keys]
    else:
        told = [_raster_band(item.assets[keys[0]], number - 1) for number in bands]
    if not any(told):
        return SceneFacts()
    if len({tuple(band) for band in told}) > 1:
        raise ValueError("some of its bands have scale and offset, others do not")
    scales = make_triple(band.get("scale", 1) for band in told)
    scaling = describe_scaling(scales, make_triple(band.get("offset", 0) for band in told))
    # With a scale and no offset, the offset is derived from the baseline.
    is_silent = scaling.add_offset == 0 and "offset" not in told[0]
    return SceneFacts() if is_silent else scaling


_OFFSET_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")


def _raster_band(asset: pystac.Asset, index: int) -> dict[str, float]:
    """Scale and offset of a band or asset, in STAC 1.1 or in the raster extension."""
    lists = (asset.extra_fields.get(key) or [] for key in ("raster:bands", "bands"))
    listed = [bands[index] for bands in lists if index < len(bands)]
    for place in (*listed, asset.extra_fields):
        found = {
            name: place.get(name, place.get(f"raster:{name}"))
            for name in ("scale", "offset")
            if isinstance(place, dict)
        }
        if told := {name: number for name, number in found.items() if number is not None}:
            return told
    return {}
