"""What GDAL may open: allowed formats, and no files or hosts that a file refers to."""

import functools
import os
import sqlite3
import warnings
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import rasterio
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader

from geoclass.outside import DRIVERS_VARIABLE, NO_HOSTS, read_file
from geoclass.vectors import SQLITE_HEAD, check_database

CLOSED_DRIVERS = ("GTiff", "JP2OpenJPEG", "JP2ECW", "JP2KAK", "JP2MrSID", "JPEG", "PNG")
"""Formats that do not refer to other files; only these are opened in zips and on servers."""

LOCAL_DRIVERS = (
    *CLOSED_DRIVERS, "BMP", "EHdr", "ENVI", "GIF", "GPKG", "HDF5", "HDF5Image", "HFA", "netCDF",
    "NITF", "WEBP",
)  # fmt: skip
"""For local files; VRTs are checked separately."""

REMOTE_PREFIXES = ("/vsicurl", "/vsis3/", "/vsigs/", "/vsiaz/")

NO_CODE = {"GDAL_VRT_ENABLE_PYTHON": "NO", "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO"}
"""GDAL options for all files: no code and no raw bytes of other files."""

_NOTHING_BESIDE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""In archives: no masks and overviews, which may refer to local files."""


def is_remote(name: str) -> bool:
    """Whether GDAL reads this name, or a part of it, over the network."""
    return any(prefix in name for prefix in REMOTE_PREFIXES)


def force_settings(name: str) -> dict[str, str]:
    """GDAL options while a name is opened or read; they override the user's.

    They must not last longer: options of the main thread apply to all threads.
    """
    if not is_remote(name):
        return NO_CODE | NO_HOSTS | (_NOTHING_BESIDE if "/vsi" in name else {})
    if name.startswith(REMOTE_PREFIXES):
        return NO_CODE | {"CPL_VSIL_CURL_ALLOWED_FILENAME": name}
    return NO_CODE  # our own stack of bands, or an archive


def open_name(name: str) -> DatasetReader:
    """Open a name with an allowed driver; RasterioIOError if there is none.

    Unlike `rasterio.open`, this accepts several drivers. It needs a `rasterio.Env`.
    """
    # Reported as an error where the georeference is needed.
    with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning):
        try:
            dataset = DatasetReader(name, driver=list_drivers(name))
        except ValueError as error:  # an invalid URL
            raise RasterioIOError(str(error)) from error
    if "OVERVIEW_FILE" in dataset.tags(ns="OVERVIEWS"):
        dataset.close()
        raise RasterioIOError("its metadata refer to another file as its overview: remove that")
    return dataset


def list_drivers(name: str) -> list[str]:
    """The drivers that may open a name; RasterioIOError for a VRT with forbidden parts."""
    more = [driver.strip() for driver in os.environ.get(DRIVERS_VARIABLE, "").split(",")]
    if name.startswith(OWN_STACK):
        return ["VRT"]
    if is_remote(name) or "/vsi" in name:
        return [*CLOSED_DRIVERS, *filter(None, more)]
    path = Path(name)
    if path.is_file():
        _check_companions(path)
        if _is_vrt(path):
            list_parts(path)
            return ["VRT"]
    return [*LOCAL_DRIVERS, *filter(None, more)]


OWN_STACK = "<VRTDataset"
"""Start of the VRTs of `stack_bands`, whose files were opened one by one."""

MOST_VRT_BYTES = 50_000_000
MOST_NESTED = 4
"""Maximum depth of VRTs in VRTs."""
MOST_PARTS = 100_000

_NAMING = ("SourceFilename", "SourceDataset")
_NAMING_KEYS = ("OVERVIEW_FILE", "X_DATASET", "Y_DATASET")


def list_parts(path: Path) -> set[Path]:
    """All files of a VRT, and of the VRTs in it.

    Raises RasterioIOError for parts that are not local files of allowed formats, or too many parts.
    """
    files = set[Path]()
    if _count_parts(path, 0, files, {}) > MOST_PARTS:
        raise RasterioIOError(f"it is a VRT of more than {MOST_PARTS} parts: make it smaller")
    return files


def _count_parts(
    path: Path, nested: int, files: set[Path], known: dict[tuple[Path, int], int]
) -> int:
    """Number of references to files in a VRT and its parts; adds the files to `files`."""
    if nested > MOST_NESTED:
        raise RasterioIOError(f"VRTs refer to one another more than {MOST_NESTED} times")
    if (path, nested) in known:
        return known[path, nested]
    files.add(path)
    count = 0
    for element in _parse(path).iter():
        tag, text = str(element.tag), (element.text or "").strip()
        if tag == "PixelFunctionLanguage" and text != "C":
            raise RasterioIOError(f"it is a VRT that runs {text} code, which is never run")
        if element.get("subClass") == "VRTRawRasterBand":
            raise RasterioIOError("it is a VRT of raw bytes of other files, which are not opened")
        if tag in _NAMING or element.get("key") in _NAMING_KEYS:
            relative = element.get("relativeToVRT") == "1"
            source = path.parent / text if relative else Path(text).absolute()
            if not source.is_file():
                raise RasterioIOError(
                    f"it is a VRT that refers to {text}, expected local files: give those"
                )
            if _is_vrt(source):
                count += _count_parts(source, nested + 1, files, known)
            else:
                files |= list_files(source)
                count += 1
    known[path, nested] = count
    return count


def _check_companions(path: Path) -> None:
    """RasterioIOError for companions of a file that are pipes or refer to other files."""
    folder = path.absolute().parent
    for name in _find_odd(folder, folder.stat().st_mtime_ns):
        if name.startswith((f"{path.stem}.", f"{path.stem}_")):
            raise RasterioIOError(f"{name} beside it is neither a file nor a folder: move it")
    if _read_head(path).startswith(SQLITE_HEAD):
        try:
            check_database(path)
        except (ValueError, sqlite3.Error) as error:
            raise RasterioIOError(str(error)) from error
    for suffix in (".ovr", ".msk", ".msk.ovr", ".ovr.ovr"):
        beside = path.with_name(path.name + suffix)
        if beside.is_file():
            with beside.open("rb") as file:
                if not file.read(4).startswith((b"II", b"MM", b"EHFA")):
                    raise RasterioIOError(f"{beside.name} beside it is not a raster file: move it")
    beside = path.with_name(f"{path.name}.aux.xml")
    try:
        refers = beside.exists() and b"OVERVIEW_FILE" in read_file(beside)
    except (OSError, ValueError) as error:
        raise RasterioIOError(f"{beside.name} beside it: {error}") from error
    if refers:
        raise RasterioIOError(f"{beside.name} beside it refers to other files: move it")


@functools.lru_cache(maxsize=100)
def _find_odd(folder: Path, _modified_ns: int) -> list[str]:
    """Pipes and devices, on which GDAL would wait when it looks for companions of a file."""
    with os.scandir(folder) as entries:
        odd = [entry for entry in entries if not (entry.is_file() or entry.is_dir())]
        return [entry.name for entry in odd if Path(entry).exists()]


def list_files(path: Path) -> set[Path]:
    """Files that GDAL reads for a local file: itself, its companions, and parts of a VRT."""
    if _is_vrt(path):
        return list_parts(path)
    status = path.stat()
    return set(_list_leaf(path, status.st_size, status.st_mtime_ns))


@functools.lru_cache(maxsize=100_000)
def _list_leaf(path: Path, _bytes: int, _modified_ns: int) -> list[Path]:
    name = str(path.absolute())
    with rasterio.Env(**force_settings(name)), open_name(name) as dataset:
        return [path, *(Path(file) for file in dataset.files if Path(file).is_file())]


def list_addresses(name: str) -> list[str]:
    """HTTP(S) URLs that GDAL reads for a name, or for our own stack of bands."""
    return [n.removeprefix("/vsicurl/") for n in list_names(name) if n.startswith("/vsicurl/http")]


def list_names(name: str) -> list[str]:
    """The name itself, or the parts of our own stack of bands."""
    if not name.startswith(OWN_STACK):
        return [name]
    names = [str(element.text) for element in fromstring(name).iter("SourceFilename")]
    return list(dict.fromkeys(names))


def _parse(path: Path) -> Element:
    if path.stat().st_size > MOST_VRT_BYTES:
        raise RasterioIOError(f"it is a VRT of more than {MOST_VRT_BYTES / 1e6:.0f} MB")
    try:
        root: Element = fromstring(path.read_bytes(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, OSError, ValueError, RecursionError) as error:
        raise RasterioIOError(f"it is a VRT that is damaged ({error})") from error
    return root


def _is_vrt(path: Path) -> bool:
    return _read_head(path).lstrip().startswith(OWN_STACK.encode())


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)
