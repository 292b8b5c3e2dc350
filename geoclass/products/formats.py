"""The formats of maps and how a file is written; light enough for the command line to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from geoclass.errors import OutputError, SettingsError
from geoclass.files.storage import StoredPath
from geoclass.files.writing import Target

MapFormat = Literal["gpkg", "tif", "parquet", "fgb", "geojson"]
MAP_FORMATS: tuple[MapFormat, ...] = get_args(MapFormat)

Preference = Literal["confident", "latest"]
"""Which of two cells that overlap is kept where maps are merged."""
PREFERENCES: tuple[Preference, ...] = get_args(Preference)

FORMAT_NAMES: Mapping[str, MapFormat] = {name: name for name in MAP_FORMATS} | {"cog": "tif"}
"""What a person may call a format; every GeoTIFF is cloud-optimised."""

SUFFIXES: Mapping[str, MapFormat] = {
    ".gpkg": "gpkg",
    ".tif": "tif",
    ".tiff": "tif",
    ".parquet": "parquet",
    ".geoparquet": "parquet",
    ".fgb": "fgb",
    ".geojson": "geojson",
}

DISSOLVED_FROM: Mapping[MapFormat, int] = {"gpkg": 250_000}
"""Of maps with more cells, polygons are patches where nobody says otherwise; elsewhere never."""

CREATION_OPTIONS = (
    "BIGTIFF", "BLOCKSIZE", "COMPRESS", "GEOTIFF_VERSION", "INTERLEAVE", "LEVEL", "NUM_THREADS",
    "OVERVIEWS", "OVERVIEW_COMPRESS", "OVERVIEW_COUNT", "OVERVIEW_PREDICTOR", "PREDICTOR",
    "SPARSE_OK", "STATISTICS",
)  # fmt: skip
"""Those of GDAL's COG driver that leave pixels as they are."""

_LOSSLESS = ("NONE", "LZW", "DEFLATE", "ZSTD", "LZMA", "LERC", "LERC_DEFLATE", "LERC_ZSTD")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """Output files: how a map is written."""

    probabilities: bool = False
    """Add a probability column per class to polygon files; GeoTIFF always has such bands."""
    dissolve: bool | None = None
    """Merge neighbouring cells of one class into one polygon. None: in a GeoPackage of more than
    250,000 cells."""
    creation: tuple[tuple[str, str], ...] = ()
    """Creation option of GDAL's COG driver, for GeoTIFF; can be repeated."""
    stac: bool = False
    """Also write STAC items of map and model."""
    model_file: Path | None = None
    """Path of the model file; with `stac`, the model gets an item, too."""

    def __post_init__(self) -> None:
        creation = tuple((name.upper(), value) for name, value in self.creation)
        object.__setattr__(self, "creation", creation)
        for name, value in self.creation:
            if name not in CREATION_OPTIONS:
                raise SettingsError(
                    f"{name} is no creation option of a cloud-optimised GeoTIFF that keeps its "
                    f"pixels: give one of {', '.join(CREATION_OPTIONS)}"
                )
            if name.endswith("COMPRESS") and value.upper() not in _LOSSLESS:
                raise SettingsError(
                    f"{name}={value} would change a map's numbers: "
                    f"give one of {', '.join(_LOSSLESS)}"
                )

    def fit(self, map_format: MapFormat) -> FileSettings:
        """What of these matters to a format; SettingsError where one is not possible there."""
        if map_format == "tif":
            return replace(self, probabilities=False, dissolve=None)
        if self.creation:
            raise SettingsError(
                "creation options are for GeoTIFF, but the output is "
                f"{map_format}: leave them out or write a .tif"
            )
        return self

    def wants_patches(self, cells: int, *, usual_from: int | None = None) -> bool:
        """Whether cells are dissolved; usual are maps of more than `usual_from` cells, if any."""
        usual = usual_from is not None and cells > usual_from
        return usual if self.dissolve is None else self.dissolve

    def mark(self, fingerprint: str) -> str:
        """The fingerprint of a file with the map of a fingerprint: equal ones, equal files."""
        if (self.probabilities, self.dissolve, self.creation) == (False, None, ()):
            return fingerprint
        text = json.dumps([fingerprint, self.probabilities, self.dissolve, self.creation])
        return hashlib.sha256(text.encode()).hexdigest()


AS_USUAL = FileSettings()


def find_format(path: Target) -> MapFormat:
    """The format that a file name asks for; OutputError for a suffix that is none."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise OutputError(
            f"cannot tell the format of {path} from "
            f"{path.suffix or 'a name without suffix'}: end it in {', '.join(SUFFIXES)}, "
            f"or give -f {' or -f '.join(MAP_FORMATS)}"
        ) from None


def check_not_input(output: Target, *inputs: Target | None) -> None:
    """Refuse to replace a local file that is read; OutputError."""
    if isinstance(output, StoredPath):
        return
    for path in inputs:
        if isinstance(path, Path) and path.exists() and output.exists() and output.samefile(path):
            raise OutputError(f"the output {output} is the input {path}: give another name")
