"""From a user's input to one name that GDAL opens."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from geoclass.errors import SceneError
from geoclass.outside import MOST_JSON_BYTES, hide_secrets, read_file, redact
from geoclass.scene.open.facts import SceneFacts, SceneInput, read_name
from geoclass.scene.open.gdal import find_name
from geoclass.scene.open.network import (
    fetch_page,
    fetch_text,
    gdal_name,
    identify_address,
    is_address,
    probe_address,
)
from geoclass.scene.open.safe import find_in_folder, find_in_zip, list_zip, read_product
from geoclass.scene.open.stac import choose_item, looks_like_json, read_item
from geoclass.scene.open.stack import COLORS, BandFile, BandFiles, find_band_files, stack_bands

_DRIVER_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]+:")
"""As in `NETCDF:file.nc:red`; a single letter is a drive of Windows."""
_BAND_PART = re.compile(r"(?:^|,)(red|green|blue)=")
_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".nc", ".h5")

_ZARR = re.compile(r"\.zarr(?:\.zip)?(?:/|$)", re.IGNORECASE)
_ZARR_FILES = (".zgroup", ".zarray", ".zmetadata", "zarr.json")
_ZARR_ADVICE = (
    "a format of ESA's EOPF products, which is not supported: download the product as .SAFE, or "
    "convert its bands to GeoTIFF and give them as red=FILE,green=FILE,blue=FILE"
)


def find_input(scene: Path | str) -> SceneInput:
    """Interpret a user's scene.

    A path of a raster, `.SAFE` folder, zip or STAC item; a URL of a raster or item; `FILE#ID` or
    `URL#ID` for an item of a collection; the name of a subdataset; or `red=…,green=…,blue=…`.
    Raises SceneError if nothing is found.
    """
    text = os.fspath(scene)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SceneError(f"the name {text} is not UTF-8: rename the file, or its folder") from error
    if os.path.exists(text):  # noqa: PTH110  # of any text
        path = Path(text)
        return _find_folder(path) if path.is_dir() else _find_file(path)
    if len(_BAND_PART.findall(text)) > 1:
        return _find_bands(text)
    if is_address(text):
        return _find_address(text)
    collection, _, item = text.rpartition("#")
    if os.path.isfile(collection):  # noqa: PTH113  # of any text
        return _find_in_collection(Path(collection), item)
    if text.startswith("file://"):
        return find_input(text.removeprefix("file://"))
    if _DRIVER_PREFIX.match(text) or text.startswith("/vsi"):
        shown = hide_secrets(text)
        name = shown.rstrip("/").rpartition("/")[2]
        return SceneInput(
            dataset=text, shown=shown, name=name, kind="subdataset", facts=read_name(shown)
        )
    raise SceneError(f"no scene at {text} (no such file or folder): check the path")


def _find_folder(path: Path) -> SceneInput:
    product = find_in_folder(path)
    if product is not None:
        return read_product(product)
    inside = [child for child in sorted(path.glob("*.SAFE")) if child.is_dir()]
    if len(inside) == 1:
        return _find_folder(inside[0])
    if inside or path.suffix.upper() == ".SAFE":
        what = f"{len(inside)} products" if inside else "no metadata (MTD_MSIL1C.xml …)"
        raise SceneError(f"{path} has {what}: give the folder of one complete .SAFE product")
    _refuse_zarr(str(path.absolute()), str(path))
    scenes = find_band_files(path)
    if len(scenes) == 1:
        return _stack_folder(path, scenes[0])
    if scenes:
        raise SceneError(
            f"{path} has the bands of {len(scenes)} scenes ({scenes[0].name}, {scenes[1].name} "
            "…): name one as red=FILE,green=FILE,blue=FILE, or map all into a folder, -o FOLDER/"
        )
    raise SceneError(
        f"{path} is a folder: give a raster file such as a GeoTIFF, a .SAFE folder, or one with a "
        "file for each of red, green and blue (red.tif …, or B04.tif …)"
    )


def _stack_files(names: Mapping[str, str]) -> str:
    """A VRT of the files of red, green and blue."""
    files = [names[color] for color in COLORS]
    return stack_bands([BandFile(dataset=find_name(f), shown=hide_secrets(f)) for f in files])


def _stack_folder(path: Path, scene: BandFiles) -> SceneInput:
    names = {color: str(file) for color, file in scene.files.items()}
    facts = SceneFacts(scl=names.get("scl"))
    return SceneInput(
        dataset=_stack_files(names),
        shown=str(path),
        name=path.absolute().name,
        kind="bands",
        files=tuple(scene.files.values()),
        facts=facts.over(read_name(str(path.absolute()), scene.files["red"].name)),
    )


def _find_file(path: Path) -> SceneInput:
    if not path.is_file():  # reading a pipe or a device may not end
        raise SceneError(f"{path} is neither a file nor a folder: give a file such as a GeoTIFF")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise SceneError(f"cannot read {path} ({error.strerror}): check its rights") from error
    if not head:
        raise SceneError(f"{path} is empty: fetch it again")
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return _find_zip(path)
    if suffix in (".xml", ".safe"):
        product = find_in_folder(path)
        if product is not None:
            return read_product(product)
    if looks_like_json(head) and path.stat().st_size <= MOST_JSON_BYTES:
        text = path.read_bytes()
        if b'"stac_version"' in text:
            return _stack_item(text, str(path.absolute()), str(path), files=(path,))
    return _take_raster(str(path.absolute()), path, path.name)


def _find_in_collection(path: Path, item_id: str) -> SceneInput:
    try:
        content = read_file(path)
    except (OSError, ValueError) as error:
        raise SceneError(f"cannot read {path} ({error}): check the file") from error
    shown = f"{path}#{item_id}"
    text = choose_item(content, item_id, shown)
    # Other items of the collection may change.
    state = hide_secrets(json.dumps(json.loads(text), sort_keys=True))
    item = (item_id, hashlib.sha256(state.encode()).hexdigest())
    return replace(_stack_item(text, str(path.absolute()), shown, files=(path,)), item=item)


def _find_zip(path: Path) -> SceneInput:
    product = find_in_zip(path)
    if product is not None:
        return read_product(product)
    members = list_zip(path)
    rasters = [name for name in members if name.lower().endswith(_RASTER_SUFFIXES)]
    if not rasters and any(PurePosixPath(name).name in _ZARR_FILES for name in members):
        raise SceneError(f"{path} is a Zarr store, {_ZARR_ADVICE}")
    if len(rasters) != 1:
        inside = ", ".join(rasters[:4]) or "no raster with a known suffix"
        raise SceneError(f"{path} has {inside}: unpack it, or name one as /vsizip/{path}/NAME")
    return _take_raster(f"/vsizip/{{{path.absolute()}}}/{rasters[0]}", path, rasters[0])


def _take_raster(dataset: str, path: Path, name: str) -> SceneInput:
    return SceneInput(
        dataset=dataset,
        shown=str(path),
        name=name,
        kind="file",
        files=(path,),
        facts=read_name(str(path.absolute()), name),
    )


def _refuse_zarr(name: str, shown: str) -> None:
    """SceneError for a path or URL in a Zarr store."""
    if _ZARR.search(name.partition("?")[0].partition("#")[0]):
        raise SceneError(f"{shown} is in a Zarr store, {_ZARR_ADVICE}")


def _find_address(address: str) -> SceneInput:
    shown = redact(address)
    _refuse_zarr(address, shown)
    collection, _, item = address.partition("#")
    if item:
        return _stack_item(choose_item(fetch_page(collection), item, shown), collection, shown)
    probe = probe_address(address)
    if looks_like_json(probe.head):
        return _stack_item(fetch_text(address), address, shown)
    return SceneInput(
        dataset=gdal_name(address),
        shown=shown,
        name=shown.rstrip("/").rpartition("/")[2] or shown,
        kind="url",
        addresses=(probe.identity,),
        facts=read_name(shown),
    )


def _stack_item(text: bytes, base: str, shown: str, files: tuple[Path, ...] = ()) -> SceneInput:
    """The scene of a STAC item; `base` is its path or URL, for relative references."""
    item = read_item(text, base, shown)
    for href in item.hrefs:
        _refuse_zarr(href, shown)
    return SceneInput(
        dataset=item.assets[0].dataset if item.bands else stack_bands(item.assets),
        shown=shown,
        name=item.name,
        kind="stac",
        bands=item.bands,
        files=(*files, *(Path(href) for href in item.hrefs if not is_address(href))),
        addresses=tuple(identify_address(href) for href in item.hrefs if is_address(href)),
        facts=item.facts,
    )


def _find_bands(text: str) -> SceneInput:
    """`red=FILE,green=FILE,blue=FILE` in any order; each a path, URL or subdataset."""
    before, *pieces = _BAND_PART.split(text)
    parts = dict(zip(pieces[::2], pieces[1::2], strict=True))
    if before or len(pieces) != 6 or len(parts) != 3:
        raise SceneError(f"got {hide_secrets(text)}, expected red=FILE,green=FILE,blue=FILE")
    if any("<" in part[:1] for part in parts.values()):
        raise SceneError(f"got XML in {hide_secrets(text)}, expected red=FILE,green=FILE,blue=FILE")
    return SceneInput(
        dataset=_stack_files(parts),
        shown=hide_secrets(text),
        name=hide_secrets(parts["red"]).rpartition("/")[2],
        kind="bands",
        addresses=tuple(identify_address(p) for p in parts.values() if is_address(p)),
        facts=read_name(parts["red"]),
    )
