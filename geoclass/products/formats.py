"""Map formats and output settings; imports quickly, for the command line."""

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
"""Which of two overlapping cells a merged map keeps."""

FORMAT_NAMES: Mapping[str, MapFormat] = {name: name for name in MAP_FORMATS} | {"cog": "tif"}
"""Name of a format → format; every GeoTIFF is cloud-optimised."""

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
"""Format → number of cells above which polygons are patches by default; others: never."""

CREATION_OPTIONS = (
    "BIGTIFF", "BLOCKSIZE", "COMPRESS", "GEOTIFF_VERSION", "INTERLEAVE", "LEVEL", "NUM_THREADS",
    "OVERVIEWS", "OVERVIEW_COMPRESS", "OVERVIEW_COUNT", "OVERVIEW_PREDICTOR", "PREDICTOR",
    "SPARSE_OK", "STATISTICS",
)  # fmt: skip
"""Options of GDAL's COG driver that do not change pixels."""

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
        """The settings that apply to a format; SettingsError if one is not possible there."""
        if map_format == "tif":
            return replace(self, probabilities=False, dissolve=None)
        if self.creation:
            raise SettingsError(
                "creation options are for GeoTIFF, but the output is "
                f"{map_format}: leave them out or write a .tif"
            )
        return self

    def wants_patches(self, cells: int, map_format: MapFormat) -> bool:
        """Whether a layer of so many cells, without a detail, is dissolved."""
        limit = DISSOLVED_FROM.get(map_format)
        default = limit is not None and cells > limit
        return default if self.dissolve is None else self.dissolve

    def mark(self, fingerprint: str) -> str:
        """The fingerprint of a file: that of its map, combined with these settings."""
        if (self.probabilities, self.dissolve, self.creation) == (False, None, ()):
            return fingerprint
        text = json.dumps([fingerprint, self.probabilities, self.dissolve, self.creation])
        return hashlib.sha256(text.encode()).hexdigest()


AS_USUAL = FileSettings()


def find_format(path: Target) -> MapFormat:
    """The format of a file by its suffix; OutputError for an unknown suffix."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise OutputError(
            f"cannot tell the format of {path} from "
            f"{path.suffix or 'a name without suffix'}: end it in {', '.join(SUFFIXES)}, "
            f"or give -f {' or -f '.join(MAP_FORMATS)}"
        ) from None


def check_not_input(output: Target, *inputs: Target | None) -> None:
    """OutputError if a local output is one of the inputs."""
    if isinstance(output, StoredPath):
        return
    for path in inputs:
        if isinstance(path, Path) and path.exists() and output.exists() and output.samefile(path):
            raise OutputError(f"the output {output} is the input {path}: give another name")
