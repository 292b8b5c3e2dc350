"""Folders with one file per band, as archives provide them."""

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
"""Files about a band without its reflectance."""
_OF_SENTINEL_2 = re.compile(r"(?<![a-z0-9])b(0\d|1\d|8a?|9)(?![a-z0-9])|(?<![a-z])scl(?![a-z])")
"""Names of bands that only Sentinel-2 has."""
COLORS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFiles:
    """The files of one scene."""

    name: str
    """Common part of the file names, or the name of the folder."""
    files: dict[str, Path]
    """Of red, green and blue, and of `scl` if there is one."""

    @property
    def scene(self) -> str:
        """The scene as red=FILE,green=FILE,blue=FILE."""
        return ",".join(f"{color}={self.files[color]}" for color in COLORS)


def find_band_files(folder: Path) -> list[BandFiles]:
    """Scenes whose red, green and blue files differ only in the name of the band.

    The finest of several pixel sizes is used. Other bands and previews are ignored, and so are
    bands named only B1 to B4, because B4 of other sensors is near infrared.
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
