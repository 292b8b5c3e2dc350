"""What identifies a scene, and whether it has changed since it was opened."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from geoclass.errors import SceneError
from geoclass.outside import hide_secrets, parse_json
from geoclass.scene.open.facts import Raster, SceneInput
from geoclass.scene.open.guard import list_addresses, list_members, list_names
from geoclass.scene.open.network import identify_address
from geoclass.scene.open.safe import check_members
from geoclass.scene.open.stac import ItemsJson

_COLOR_MARK = re.compile("((?:^|,)(?:red|green|blue)=)")


def identify(found: SceneInput, files: Sequence[Path]) -> dict[str, Any]:
    """JSON that identifies a scene and its state, however its name was typed."""
    collection, item = _split_item(found)
    if collection is None:
        parts = [*map(identify_file, files), *found.addresses]
        return parts[0] if len(parts) == 1 else {"path": _spell(found), "files": parts}
    # Other items of the collection may change.
    assets = [identify_file(path) for path in files if path != collection]
    status = collection.stat()
    hashes = _hash_items(collection, status.st_size, status.st_mtime_ns)
    return {
        "path": _spell(found),
        "item_sha256": hashes.get(item),
        "files": [*assets, *found.addresses],
    }


def _split_item(found: SceneInput) -> tuple[Path | None, str]:
    """File and ID of an item of a collection."""
    for path in found.files[:1] if found.kind == "stac" else ():
        if found.shown.startswith(f"{path}#"):
            return path.resolve(), found.shown.removeprefix(f"{path}#")
    return None, ""


@lru_cache(maxsize=1)
def _hash_items(collection: Path, _bytes: int, _modified_ns: int) -> dict[str, str]:
    """SHA-256 of each item of a collection, without secrets."""
    hashes = dict[str, str]()
    for item in parse_json(collection.read_bytes(), ItemsJson)["features"]:
        if isinstance(item, dict) and item.get("id") is not None:
            text = hide_secrets(json.dumps(item, sort_keys=True))
            hashes.setdefault(str(item["id"]), hashlib.sha256(text.encode()).hexdigest())
    return hashes


def identify_file(path: Path) -> dict[str, Any]:
    """State of a local file; programs cannot set the time of change (`ctime`)."""
    status = path.stat()
    return {
        "path": str(path),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
    }


def is_unchanged(raster: Raster) -> bool:
    """Whether the files of a raster are as they were when it was opened.

    Remote files are compared by ETag, size and time, as far as the server sent them.
    """
    for name in list_names(raster.dataset):  # a link may point elsewhere now
        if Path(name).is_file() and Path(name).resolve() not in raster.files:
            return False
    asked: dict[Any, Mapping[str, Any]] = {
        part["path"]: part for part in map(identify_address, list_addresses(raster.dataset))
    }
    for part in raster.identity.get("files", [raster.identity]):
        local = "modified_ns" in part
        now = _identify_again(part) if local else asked.get(part.get("path"), {})
        # A server may send other fields now than before.
        if (local and now != part) or any(part.get(key, now[key]) != now[key] for key in now):
            return False
    return True


def _identify_again(part: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return identify_file(Path(part["path"]))
    except OSError:
        return {}


def check_read(*rasters: Raster | None) -> None:
    """Call after the last read: SceneError if a raster has changed, or its zip is damaged."""
    for raster in filter(None, rasters):
        if not is_unchanged(raster):
            raise SceneError(f"{raster.shown} was changed while it was read: do it again")
        for archive, members in list_members(raster.dataset).items():
            check_members(archive, members)


def _spell(found: SceneInput) -> str:
    """The scene's name with absolute paths."""
    if found.kind == "bands":
        return "".join(spell_file(piece) for piece in _COLOR_MARK.split(found.shown))
    collection, item = _split_item(found)
    return spell_file(found.shown) if collection is None else f"{collection}#{item}"


def spell_file(name: str) -> str:
    """The absolute path of an existing file or folder; other names are returned unchanged."""
    try:
        path = Path(name)
        return str(path.resolve()) if name and path.exists() else name
    except (OSError, ValueError):  # too long, or with characters that no path has
        return name
