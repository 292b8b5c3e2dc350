"""Maps to files and back, by suffix; a file appears whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyogrio.errors import DataSourceError
from rasterio.errors import RasterioError

from geoclass.errors import OutputError
from geoclass.landcover import LandCoverMap
from geoclass.products import geopackage, geotiff
from geoclass.products.formats import MapFormat, find_format


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapter:
    write: Callable[[LandCoverMap, Path], None]
    read: Callable[[Path], LandCoverMap]
    read_items: Callable[[Path], Mapping[str, str] | None]


_ADAPTERS: Mapping[MapFormat, _Adapter] = {
    "gpkg": _Adapter(
        write=geopackage.write_geopackage,
        read=geopackage.read_geopackage,
        read_items=geopackage.read_items,
    ),
    "tif": _Adapter(
        write=geotiff.write_geotiff,
        read=geotiff.read_geotiff,
        read_items=geotiff.read_items,
    ),
}


def check_target(
    path: Path, map_format: MapFormat, fingerprint: str, *, overwrite: bool = False
) -> bool:
    """Whether the target holds this very map already.

    Raises OutputError where it must not be written: its folder is missing, or it exists, is
    something else and `overwrite` is not given.
    """
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist: create it first")
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file")
    if not path.exists() or overwrite:
        return False
    if _read_fingerprint(path, map_format) == fingerprint:
        return True
    raise OutputError(f"{path} exists and is not this map: give --overwrite or another name")


def write_map(landcover: LandCoverMap, path: Path, map_format: MapFormat | None = None) -> None:
    """Write a map, replacing what is there; OutputError where that fails."""
    map_format = map_format or find_format(path)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            _ADAPTERS[map_format].write(landcover, draft)
            # The map last, so that it is never without its companions.
            for file in sorted(Path(folder).iterdir(), key=lambda file: file == draft):
                file.replace(path.with_name(file.name))
    except (OSError, DataSourceError, RasterioError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def read_map(path: Path) -> LandCoverMap:
    """The map in a file that geoclass wrote; OutputError for any other file."""
    if not path.is_file():
        raise OutputError(f"no map at {path}: check the path")
    return _ADAPTERS[find_format(path)].read(path)


def _read_fingerprint(path: Path, map_format: MapFormat) -> str | None:
    """None where the file is none of ours or of another format."""
    try:
        items = _ADAPTERS[map_format].read_items(path)
    except OutputError:
        return None
    return (items or {}).get("GEOCLASS_FINGERPRINT")
