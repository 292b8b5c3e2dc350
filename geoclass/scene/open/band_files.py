"""Folders in which each band is a file, as archives and downloads lay them out."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img")
_BANDS = {"red": "red", "b04": "red", "b4": "red", "green": "green", "b03": "green", "b3": "green",
          "blue": "blue", "b02": "blue", "b2": "blue", "scl": "scl", "b1": "violet"}  # fmt: skip
_TOKEN = re.compile(
    rf"(?<![a-z0-9])({'|'.join(_BANDS)})(?:_([126]0)m)?(?![a-z0-9])(?![ _.-]?edge)", re.IGNORECASE
)
_NO_REFLECTANCE = re.compile(
    r"(?<![a-z])(ma?sk|unc(ertainty)?|std(dev)?|var(iance)?|count|preview)(?![a-z])", re.IGNORECASE
)
"""Names of files about a band that are not its reflectance."""
_OF_SENTINEL_2 = re.compile(r"(?<![a-z0-9])b(0\d|1\d|8a?|9)(?![a-z0-9])|(?<![a-z])scl(?![a-z])")
"""Names of bands that other sensors do not have."""
COLORS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFiles:
    """The files of one scene."""

    name: str
    """What their names begin with, or that of their folder."""
    files: dict[str, Path]
    """Of red, green and blue, and of `scl` where there is one."""

    @property
    def scene(self) -> str:
        """Its name as a scene: red=FILE,green=FILE,blue=FILE."""
        return ",".join(f"{color}={self.files[color]}" for color in COLORS)


def find_band_files(folder: Path) -> list[BandFiles]:
    """Scenes in a folder whose red, green and blue are files of one name but for the band.

    Of a band in several pixel sizes the finest is taken. Files of other bands, and pictures for
    the eye, are passed over; a folder without such files has no such scene. Where the bands are
    only called B1 to B4, as by sensors whose B4 is near infrared, they are none, too.
    """
    found: dict[str, dict[str, tuple[str, Path]]] = defaultdict(dict)
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES]
    for path in files:
        tokens = _TOKEN.findall(path.stem)
        named = {_BANDS[band.lower()] for band, _ in tokens}
        if len(named) != 1 or _NO_REFLECTANCE.search(path.stem) or not path.is_file():
            continue
        bands, band = found[_TOKEN.sub("", path.stem).strip("_.- ()")], named.pop()
        one = (max(gsd for _, gsd in tokens) or "10", path)
        bands[band] = min(bands.get(band, one), one)
    is_sentinel_2 = any(_OF_SENTINEL_2.search(path.stem.lower()) for path in files)
    return [
        BandFiles(
            name=scene or folder.name,
            files={band: bands[band][1] for band in (*COLORS, "scl") if band in bands},
        )
        for scene, bands in sorted(found.items())
        if set(COLORS) <= set(bands) and (is_sentinel_2 or "violet" not in bands)
    ]
