"""Maps to files and back, by suffix; a file appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import RasterioError

from geoclass.errors import OutputError
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.products import geopackage, geotiff
from geoclass.products.formats import MapFormat, find_format
from geoclass.products.writing import check_folder, check_not_open


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapter:
    write: Callable[[LandCoverMap, Path], None]
    read: Callable[[Path], LandCoverMap]
    read_items: Callable[[Path], Mapping[str, str] | None]
    companions: Callable[[Path], list[Path]]
    """The files that stand beside a map of that name."""


_ADAPTERS: Mapping[MapFormat, _Adapter] = {
    "gpkg": _Adapter(
        write=geopackage.write_geopackage,
        read=geopackage.read_geopackage,
        read_items=geopackage.read_items,
        companions=lambda _: [],
    ),
    "tif": _Adapter(
        write=geotiff.write_geotiff,
        read=geotiff.read_geotiff,
        read_items=geotiff.read_items,
        companions=lambda path: [geotiff.companion(path, s) for s in geotiff.COMPANIONS],
    ),
}


def check_target(
    path: Path, map_format: MapFormat, fingerprint: str, *, overwrite: bool = False
) -> bool:
    """Whether the target holds this very map already.

    Raises OutputError where it must not be written: its folder is missing or closed to us, it
    is open in another program, or it exists, is something else and `overwrite` is not given.
    """
    check_folder(path)
    check_not_open(path)
    if overwrite:
        return False
    companions = _ADAPTERS[map_format].companions(path)
    if path.exists() and _read_fingerprint(path, map_format) == fingerprint:
        return all(companion.exists() for companion in companions)
    for file in (path, *companions):
        if file.exists():
            raise OutputError(f"{file} exists and is not this map: give --overwrite or a new name")
    return False


def check_room(path: Path, needed_bytes: int) -> None:
    """Refuse a disk that cannot hold a map of about that size; OutputError."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise OutputError(f"cannot look at the folder {path.parent}: {error.strerror}") from error
    if free < needed_bytes:
        raise OutputError(
            f"{path} needs about {needed_bytes / 1e6:.1f} MB, but its disk has {free / 1e6:.1f} MB "
            "free: make room or choose another disk"
        )


def check_placed(grid: Grid, map_format: MapFormat) -> None:
    """Refuse a GeoPackage, whose polygons need a place on Earth, of a grid without; OutputError."""
    if map_format == "gpkg" and grid.crs is None:
        raise OutputError(
            "the scene does not say where on Earth it lies, which a GeoPackage needs: "
            "give --crs and --bounds, or write a GeoTIFF (.tif)"
        )


def write_map(
    landcover: LandCoverMap, path: Path | str, map_format: MapFormat | None = None
) -> None:
    """Write a map, replacing what is there; OutputError where that fails."""
    path = Path(path)
    map_format = map_format or find_format(path)
    check_not_open(path)
    check_placed(landcover.grid, map_format)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / f"{path.stem}.{map_format}"
            _ADAPTERS[map_format].write(landcover, draft)
            # What SQLite left beside the old file would spoil the new one.
            for kind in ("wal", "shm"):
                path.with_name(f"{path.name}-{kind}").unlink(missing_ok=True)
            # The map last, so that it is never without its companions.
            for file in sorted(Path(folder).iterdir(), key=lambda file: file == draft):
                file.replace(path.with_name(file.name.replace(draft.name, path.name)))
    except (OSError, DataSourceError, DataLayerError, RasterioError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def holds_map(path: Path) -> bool:
    """Whether a file is a map that geoclass wrote, by its suffix and its metadata."""
    try:
        return "GEOCLASS" in (_ADAPTERS[find_format(path)].read_items(path) or {})
    except OutputError:
        return False


def read_map(path: Path | str) -> LandCoverMap:
    """The map in a file that geoclass wrote; OutputError for any other file."""
    path = Path(path)
    if not path.is_file():
        raise OutputError(f"no map at {path}: check the path")
    try:
        return _ADAPTERS[find_format(path)].read(path)
    except (ValueError, KeyError, RasterioError) as error:
        raise OutputError(
            f"{path} has been changed or damaged since geoclass wrote it ({error}): map it again"
        ) from error


def _read_fingerprint(path: Path, map_format: MapFormat) -> str | None:
    """None where the file is none of ours or of another format."""
    try:
        items = _ADAPTERS[map_format].read_items(path)
    except OutputError:
        return None
    return (items or {}).get("GEOCLASS_FINGERPRINT")
