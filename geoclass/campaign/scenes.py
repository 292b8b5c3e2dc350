"""Finding the scenes of inputs, and naming their maps."""

import glob
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

from geoclass.errors import SceneError
from geoclass.files.writing import Target
from geoclass.outside import encode_name, hide_secrets, parse_json, read_file, within_time
from geoclass.products.files import holds_map
from geoclass.products.formats import MapFormat
from geoclass.scene.open.network import fetch_page, is_address, probe_address
from geoclass.scene.open.stac import looks_like_json
from geoclass.scene.open.stack import find_band_files

SCENE_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".zip", ".json")
"""Suffixes of scenes in a folder, besides `.SAFE` folders."""

_OWN_FILES = re.compile(r"summary(-\d+-of-\d+)?\.json|.*\.stac\.json")
"""Files of a campaign that may be in the folder of the scenes."""


def find_scenes(inputs: Sequence[str]) -> tuple[str, ...]:
    """The scenes of inputs, without duplicates, in order.

    An input is a scene; a folder of scenes, not recursive; a pattern such as `scenes/2019*.tif`;
    `@list.txt`, a text file with one input per line; or a STAC ItemCollection or search, a file or
    address, whose items become `FILE#ID` or `ADDRESS#ID`. Raises SceneError for an input without
    scenes.
    """
    found: dict[str, str] = {}
    lists: dict[Path, bool] = {}
    for text in inputs:
        for scene in _expand(text, lists):
            found.setdefault(_identify(scene), scene)
    return tuple(found.values())


def _identify(scene: str) -> str:
    """A name that is equal for all paths of one file."""
    path = Path(scene)
    if _exists(path):
        return str(path.resolve())
    file, mark, item = scene.partition("#")
    return f"{Path(file).resolve()}{mark}{item}" if mark and _exists(Path(file)) else scene


def _expand(text: str, lists: dict[Path, bool]) -> Iterator[str]:
    """The scenes of an input; `lists` are the files read before, and whether completely."""
    if text.startswith("@"):
        path = Path(text[1:])
        key = path.resolve()
        if lists.get(key) is False:
            raise SceneError(f"the list {path} names itself: remove that line")
        if key not in lists:  # repeated lists would multiply without end
            lists[key] = False
            for line in _read_list(path):
                yield from _expand(line, lists)
            lists[key] = True
    elif is_address(text):
        yield from _list_pages(text) or [text]
    elif _exists(Path(text)):
        yield from _expand_path(Path(text), text)
    elif _is_pattern(text):
        for match in _expand_pattern(text):
            yield from _expand_path(Path(match), match, may_be_empty=True)
    else:
        yield text


def _expand_path(path: Path, text: str, *, may_be_empty: bool = False) -> Iterator[str]:
    """The scenes of an existing file or folder, given as `text`."""
    if _is_folder_of_scenes(path):
        yield from _list_folder(path, may_be_empty=may_be_empty)
    elif path.suffix.lower() in (".json", ".geojson"):
        yield from _list_items(path) or [text]
    else:
        yield text


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or invalid characters
        return False


def _read_list(path: Path) -> list[str]:
    """Lines, except blank lines and comments (#)."""
    try:
        lines = [line.strip() for line in read_file(path).decode("utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise SceneError(f"cannot read the list {path} ({error}): give a text file") from error
    return [line for line in lines if line and not line.startswith("#")]


def _is_pattern(text: str) -> bool:
    """Whether a text is a file pattern, not an address or another input with special characters."""
    named = is_address(text) or text.startswith("/vsi") or re.match("[A-Za-z_]{2,}[:=]", text)
    return not named and glob.has_magic(text)


def _expand_pattern(text: str) -> list[str]:
    try:  # folders may be linked in circles
        found = sorted(within_time(lambda: glob.glob(text, recursive=True)))  # noqa: PTH207 - may be absolute
    except TimeoutError as error:
        raise SceneError(f"the pattern {text} gave {error}") from error
    if not found:
        raise SceneError(f"nothing matches {text}: check the pattern")
    return found


def _is_folder_of_scenes(path: Path) -> bool:
    if not path.is_dir() or _is_product(path):
        return False
    # A folder around one product, or a granule of an old product, is a scene.
    if len(list(path.glob("*.SAFE"))) == len(list(path.iterdir())) == 1:
        return False
    if len(find_band_files(path)) == 1:
        return False
    return not any(path.glob("MTD_*.xml")) and not any(path.glob("*_T?????.xml"))


def _list_folder(path: Path, *, may_be_empty: bool) -> list[str]:
    children = [child for child in sorted(path.iterdir()) if not child.name.startswith(".")]
    stacks = find_band_files(path)  # one file per band
    if stacks:
        return [stack.scene for stack in stacks]
    rasters = [child for child in children if _is_raster(child) and not holds_map(child)]
    stems = {raster.stem for raster in rasters}
    described = [
        child
        for child in children
        if child.suffix.lower() == ".json"
        and child.stem not in stems  # metadata of a raster
        and not _OWN_FILES.fullmatch(child.name)
    ]
    if not rasters and not described and not may_be_empty:
        known = ", ".join(SCENE_SUFFIXES)
        raise SceneError(f"the folder {path} holds no scene ({known} or .SAFE): name them yourself")
    items = {child: _list_items(child) or [str(child)] for child in described}
    items |= {child: [str(child)] for child in rasters}
    return [name for child in sorted(items) for name in items[child]]


def _is_product(folder: Path) -> bool:
    """ESA's new Zarr products are refused with advice."""
    return folder.suffix.upper() in (".SAFE", ".ZARR")


def _is_raster(child: Path) -> bool:
    if child.is_dir():
        return _is_product(child) or len(find_band_files(child)) == 1
    return child.suffix.lower() in SCENE_SUFFIXES and child.suffix.lower() != ".json"


def _list_items(path: Path) -> list[str]:
    """`FILE#ID` for each item of an ItemCollection; empty for other files."""
    try:
        page = _read_page(read_file(path))
    except (OSError, ValueError):
        return []
    return [] if page is None else _name_items(page, str(path))


def _list_pages(address: str) -> list[str]:
    """`ADDRESS#ID` for each item of a collection and its further pages; or empty."""
    parts = urlsplit(address)
    suffix = PurePosixPath(parts.path).suffix.lower()
    other = suffix in SCENE_SUFFIXES and suffix != ".json"  # saves a request
    if other or not parts.scheme.lower().startswith("http") or parts.fragment:
        return []
    if not looks_like_json(probe_address(address).head):
        return []
    page = _read_page(fetch_page(address))
    if page is None:
        return []
    found, seen = _name_items(page, address), {address}
    while (
        len(seen) < MOST_PAGES
        and len(found) < MOST_ITEMS
        and (following := _find_next(page, address)) is not None
        and following not in seen
    ):
        seen.add(following)
        address, page = following, _read_page(fetch_page(following))
        if page is None:
            raise SceneError(
                f"{hide_secrets(address)} is not a page of items: save the search first"
            )
        found += _name_items(page, address, may_be_empty=True)
    if len(seen) >= MOST_PAGES or len(found) >= MOST_ITEMS:
        raise SceneError(
            f"{hide_secrets(address)} is page {len(seen)} with {len(found)} items in all, and more "
            "follow: narrow the search"
        )
    return found


MOST_PAGES = 1000
MOST_ITEMS = 100_000
"""Limits of a search, against servers that never end it."""


def _read_page(text: bytes) -> dict[str, Any] | None:
    """A collection of items; None for other data."""
    try:
        data = parse_json(text)
    except ValueError:
        return None
    whole = isinstance(data, dict) and data.get("type") == "FeatureCollection"
    return data if whole else None


def _name_items(page: dict[str, Any], base: str, *, may_be_empty: bool = False) -> list[str]:
    """`BASE#ID` for each item.

    An item without an ID gets a name that does not exist, so that only this item fails.
    """
    items = page.get("features")
    items = items if isinstance(items, list) else []
    if not items and not may_be_empty:
        shown = hide_secrets(base)
        raise SceneError(f"{shown} is a collection without items: give one that has some")
    names = [item.get("id") if isinstance(item, dict) else None for item in items]
    return [f"{base}#{name or f'item {n} without id'}" for n, name in enumerate(names, start=1)]


def _find_next(page: dict[str, Any], address: str) -> str | None:
    """Address of the next page; SceneError if it needs more than a GET request."""
    links = page.get("links")
    links = links if isinstance(links, list) else []
    link = next((x for x in links if isinstance(x, dict) and x.get("rel") == "next"), None)
    if link is None:
        return None
    try:
        following = urljoin(address, str(link.get("href", "")))
    except ValueError:  # no host has such a name
        following = ""
    if str(link.get("method", "GET")).upper() != "GET" or not is_address(following):
        raise SceneError(
            f"{hide_secrets(address)} needs a STAC client for its next page: "
            "save all items of the search as one file, and give that"
        )
    return following


def name_maps(scenes: Sequence[str], folder: Target, map_format: MapFormat) -> tuple[Target, ...]:
    """Paths of the maps: the scene's name in `folder`.

    Equal names are extended by the names of parent folders, as far as needed.
    """
    names = [_split_name(scene) for scene in scenes]
    lengths = [1] * len(names)
    while True:
        stems = ["_".join(parts[-n:]) for parts, n in zip(names, lengths, strict=True)]
        counts = Counter(stem.casefold() for stem in stems)
        longer = [
            n + 1 if counts[stem.casefold()] > 1 and n < len(parts) else n
            for stem, n, parts in zip(stems, lengths, names, strict=True)
        ]
        if longer == lengths:
            break
        lengths = longer
    twice = next((stem for stem in stems if counts[stem.casefold()] > 1), None)
    if twice is not None:
        raise SceneError(f"several scenes would make the map {twice}: map them into two folders")
    return tuple(folder / f"{stem}.{map_format}" for stem in stems)


def _split_name(scene: str) -> list[str]:
    """Folders and name without suffixes: `a/b/S2A.SAFE.zip` → [a, b, S2A]."""
    path, item, local = scene, "", _exists(Path(scene))
    if not local:  # names of local files may contain # and ?
        path, _, item = scene.partition("#")
        path = path.partition("?")[0]
    if re.match("(red|green|blue)=", path):  # three files: the first names the scene
        path = path.partition("=")[2].partition(",")[0]
    if item:
        return [encode_name(item.replace("/", "_"))]
    parts = PurePosixPath(path.rstrip("/").replace("\\", "/")).parts
    name = parts[-1]
    while (suffix := PurePosixPath(name).suffix) and suffix.lower() in (*SCENE_SUFFIXES, ".safe"):
        name = name.removesuffix(suffix)
    whole = [*(part for part in parts[:-1] if part not in ("/", "..", ".")), name]
    return whole if local else [encode_name(part) for part in whole]
