"""What GDAL may open: which formats from where, and nothing that a file refers to elsewhere."""

from __future__ import annotations

import functools
import os
import re
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
"""Of formats whose pixels lie in the file itself: all that is opened in zips and over networks."""

LOCAL_DRIVERS = (
    *CLOSED_DRIVERS, "BMP", "EHdr", "ENVI", "GIF", "GPKG", "HDF5", "HDF5Image", "HFA", "netCDF",
    "NITF", "WEBP",
)  # fmt: skip
"""Of local files, beside VRT."""

REMOTE_PREFIXES = ("/vsicurl", "/vsis3/", "/vsigs/", "/vsiaz/")

NO_CODE = {"GDAL_VRT_ENABLE_PYTHON": "NO", "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO"}
"""Whatever is opened, as long as it is open."""

_NOTHING_BESIDE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""In archives: masks and overviews beside a file may be of any format, and refer to local files."""


def is_remote(name: str) -> bool:
    """Whether GDAL reads this name, or what it is made of, over the network."""
    return any(prefix in name for prefix in REMOTE_PREFIXES)


def force_settings(name: str) -> dict[str, str]:
    """GDAL's options while a name is opened or read, whatever the user's are.

    Not longer: those of the main thread hold for all, and one of them may read another name.
    """
    if not is_remote(name):
        return NO_CODE | NO_HOSTS | (_NOTHING_BESIDE if "/vsi" in name else {})
    if name.startswith(REMOTE_PREFIXES):
        return NO_CODE | {"CPL_VSIL_CURL_ALLOWED_FILENAME": name}
    return NO_CODE  # bands of our own stacking, or an archive that a person named


def open_name(name: str) -> DatasetReader:
    """What GDAL finds under a name, by a driver that may open it; RasterioIOError.

    Unlike `rasterio.open`, it takes several drivers; it needs a `rasterio.Env` around it.
    """
    with warnings.catch_warnings():
        # Said again, as an error, by whoever needs the georeference.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            dataset = DatasetReader(name, driver=list_drivers(name))
        except ValueError as error:  # what looks like an address and is none
            raise RasterioIOError(str(error)) from error
    if "OVERVIEW_FILE" in dataset.tags(ns="OVERVIEWS"):
        dataset.close()
        raise RasterioIOError("its metadata name another file as its overview: remove that")
    return dataset


def list_drivers(name: str) -> list[str]:
    """The drivers that may open a name; RasterioIOError for a VRT that is made of other things."""
    more = [driver.strip() for driver in os.environ.get(DRIVERS_VARIABLE, "").split(",")]
    if name.startswith(OWN_STACK):
        return ["VRT"]
    if is_remote(name) or "/vsi" in name:
        return [*CLOSED_DRIVERS, *filter(None, more)]
    path = Path(name)
    if path.is_file():
        _check_companions(path)
    if path.is_file() and _is_vrt(path):
        list_parts(path)
        return ["VRT"]
    return [*LOCAL_DRIVERS, *filter(None, more)]


OWN_STACK = "<VRTDataset"
"""How the VRTs begin that `stack_bands` makes of files that were opened one by one."""

MOST_VRT_BYTES = 50_000_000
MOST_NESTED = 4
"""VRTs in VRTs."""
MOST_PARTS = 100_000

_NAMING = ("SourceFilename", "SourceDataset")
_NAMING_KEYS = ("OVERVIEW_FILE", "X_DATASET", "Y_DATASET")


def list_parts(path: Path) -> set[Path]:
    """All files of a VRT, and of the VRTs in it.

    Raises RasterioIOError for a VRT of other things than local files of the formats above, and for
    one that is made of too many.
    """
    files = set[Path]()
    if _count_parts(path, 0, files, {}) > MOST_PARTS:
        raise RasterioIOError(f"it is a VRT of more than {MOST_PARTS} parts: make it smaller")
    return files


def _count_parts(
    path: Path, nested: int, files: set[Path], known: dict[tuple[Path, int], int]
) -> int:
    """How many files GDAL reads for a VRT, in all, as often as they are named; adds to `files`."""
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
    """Refuse what never ends, and overviews and masks of other things; RasterioIOError."""
    folder = path.absolute().parent
    for name in _find_odd(folder, folder.stat().st_mtime_ns):
        if name.startswith((f"{path.stem}.", f"{path.stem}_")):
            raise RasterioIOError(f"{name} beside it is neither file nor folder: move it")
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
                    raise RasterioIOError(
                        f"{beside.name} beside it is no raster of pixels: move it"
                    )
    beside = path.with_name(f"{path.name}.aux.xml")
    try:
        refers = beside.exists() and b"OVERVIEW_FILE" in read_file(beside)
    except (OSError, ValueError) as error:
        raise RasterioIOError(f"{beside.name} beside it: {error}") from error
    if refers:
        raise RasterioIOError(f"{beside.name} beside it refers to other files: move it")


@functools.lru_cache(maxsize=100)
def _find_odd(folder: Path, _modified_ns: int) -> list[str]:
    """Pipes and devices, for which GDAL would wait when it looks for what stands beside a file."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if _is_odd(entry)]


def _is_odd(entry: os.DirEntry[str]) -> bool:
    return not (entry.is_file() or entry.is_dir()) and Path(entry).exists()


def list_files(path: Path) -> set[Path]:
    """What GDAL reads for a local file: itself, its companions, and all parts of a VRT."""
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
    """The addresses of http(s) that GDAL reads for a name, or for a stack of our own."""
    return [n.removeprefix("/vsicurl/") for n in list_names(name) if n.startswith("/vsicurl/http")]


def list_members(name: str) -> dict[Path, list[str]]:
    """The files in zips that GDAL reads for a name, or for a stack of our own, by their zip."""
    found = [part for part in map(_MEMBER.fullmatch, list_names(name)) if part]
    return {
        archive: [part[2] for part in found if Path(part[1]) == archive]
        for archive in dict.fromkeys(Path(part[1]) for part in found)
    }


_MEMBER = re.compile(r"/vsizip/\{(/.*)\}/([^{}]+)")


def list_names(name: str) -> list[str]:
    """The name, or those that a stack of our own is made of."""
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
