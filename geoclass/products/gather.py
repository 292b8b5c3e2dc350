"""The maps that a path stands for: a file, a folder, or a file that many were merged in."""

from __future__ import annotations

from pathlib import Path

from geoclass.errors import OutputError
from geoclass.products.files import holds_map, read_fingerprint
from geoclass.products.mosaic import is_mosaic, list_merged, name_scenes_folder

READABLE = (".gpkg", ".tif", ".tiff")
"""Suffixes of maps that can be read back; other formats are copies for other programs."""


def find_maps(path: Path | str) -> list[Path]:
    """The files of the maps that `path` stands for, by name; empty where it is no map at all.

    A map stands for itself, a folder such as `geoclass map SCENES… -o FOLDER/` writes for all maps
    in it, and one map of many scenes for those that it was merged from: it shows each place once,
    they show all that was seen. Raises OutputError where those are gone or have changed since.
    """
    path = Path(path)
    if path.is_dir():
        files = (file for file in sorted(path.iterdir()) if file.suffix.lower() in READABLE)
        return [file for file in files if holds_map(file)]
    if not path.is_file():
        return []
    if holds_map(path):
        return [path]
    return _find_merged(path) if path.suffix.lower() == ".gpkg" and is_mosaic(path) else []


def _find_merged(path: Path) -> list[Path]:
    folder = name_scenes_folder(path)
    there = {}
    if folder.is_dir():
        there = {read_fingerprint(file): file for file in find_maps(folder)}
    merged = list_merged(path)
    gone = [scene for fingerprint, scene in merged.items() if fingerprint not in there]
    if gone:
        raise OutputError(
            f"{path} shows each place once, and of the maps that it was merged from {len(gone)} "
            f"({gone[0]}{' and others' if gone[1:] else ''}) are not in {folder}, or were made "
            "anew: merge them again, or give the maps themselves"
        )
    return [there[fingerprint] for fingerprint in merged]
