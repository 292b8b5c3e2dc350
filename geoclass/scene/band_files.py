"""Folders in which each band is a file, as archives and downloads lay them out."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img")
_BANDS = {"red": "red", "b04": "red", "b4": "red", "green": "green", "b03": "green", "b3": "green",
          "blue": "blue", "b02": "blue", "b2": "blue", "scl": "scl"}  # fmt: skip
_NAME = re.compile(
    rf"(?P<scene>.*?)(?:^|[_.-])(?P<band>{'|'.join(_BANDS)})(?:_(?P<gsd>[126]0)m)?", re.IGNORECASE
)
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
    the eye, are passed over; a folder without such files has no such scene.
    """
    found: dict[str, dict[str, tuple[str, Path]]] = defaultdict(dict)
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() not in _SUFFIXES or not path.is_file():
            continue
        bands, band = found[match["scene"]], _BANDS[match["band"].lower()]
        one = (match["gsd"] or "10", path)
        bands[band] = min(bands.get(band, one), one)
    return [
        BandFiles(
            name=scene or folder.name, files={band: path for band, (_, path) in bands.items()}
        )
        for scene, bands in sorted(found.items())
        if set(COLORS) <= set(bands)
    ]
