"""The formats of maps by name; light enough for the command line to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from geoclass.errors import OutputError

MapFormat = Literal["gpkg", "tif"]
MAP_FORMATS: tuple[MapFormat, ...] = get_args(MapFormat)

_SUFFIXES: Mapping[str, MapFormat] = {".gpkg": "gpkg", ".tif": "tif", ".tiff": "tif"}


def find_format(path: Path) -> MapFormat:
    """The format that a file name asks for; OutputError for a suffix that is none."""
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise OutputError(
            f"cannot tell the format of {path} from "
            f"{path.suffix or 'a name without suffix'}: end it in {', '.join(_SUFFIXES)}, "
            f"or give -f {' or -f '.join(MAP_FORMATS)}"
        ) from None


def check_not_input(output: Path, *inputs: Path | None) -> None:
    """Refuse to replace a file that is read; OutputError."""
    for path in inputs:
        if path is not None and path.exists() and output.exists() and output.samefile(path):
            raise OutputError(f"the output {output} is the input {path}: give another name")
