"""Vector files and tables from outside: checks before GDAL opens them."""

import contextlib
import json
import mmap
import re
import sqlite3
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from geoclass.outside import BAD_ZIP, MAX_TABLE_BYTES, NO_HOSTS, check_utf8

MAX_CRS_BYTES = 20_000
_HEAD_BYTES = 4096
_MAX_MEMBERS = 1000
_MAX_UNPACKED_BYTES = 2_000_000_000
SQLITE_HEAD = b"SQLite format 3\0"
_VECTOR_HEADS = (SQLITE_HEAD, b"{", b"[", b"fgb", b"\x00\x00\x27\x0a")
"""GeoPackage, GeoJSON, FlatGeobuf and shapefile; KML is recognised by its first element."""
_REFERRING = (b"<OGR", b"<VRT", b"gdal_streamed_alg")
"""Marks of files that refer to other files, hosts or commands."""


def vector_name(path: Path | str) -> str:
    """The name with which pyogrio opens this vector file, but no other file and no host.

    A `Path` must be a regular file in a format without references: GeoPackage, GeoJSON,
    FlatGeobuf, shapefile, KML or a zip of them. GeoPackages with views, which may never end, and
    GeoJSON with a URL as its reference system are refused. A string is a GDAL name and is opened
    unchanged. Raises pyogrio's DataSourceError with the reason.
    """
    import pyogrio
    from pyogrio.errors import DataSourceError

    if isinstance(path, str):
        pyogrio.set_gdal_config_options(
            dict.fromkeys(NO_HOSTS) | {"CPL_VSIL_CURL_ALLOWED_FILENAME": path}
        )
        return path
    pyogrio.set_gdal_config_options(NO_HOSTS)
    if not path.is_file():  # reading a pipe or a device may not end
        raise DataSourceError("there is no regular file of that name: check the path")
    try:
        check_utf8(path)
        heads = [_read_head(member) for member in _open_members(path)]
    except (OSError, ValueError, sqlite3.Error, *BAD_ZIP) as error:
        raise DataSourceError(f"it cannot be read ({error}): check it") from error
    if not any(map(_is_vector, heads)) or any(map(_refers, heads)):
        raise DataSourceError(
            "it is not a GeoPackage, GeoJSON, FlatGeobuf, shapefile or KML: convert it to one"
        )
    return plain_name(path)


@contextmanager
def unwarned() -> Iterator[None]:
    """Ignore warnings of GDAL and pyogrio, such as duplicate ids: callers check what they read."""
    with warnings.catch_warnings(action="ignore"):
        yield


def plain_name(path: Path) -> str:
    """A file's path in a form that pyogrio does not parse.

    pyogrio interprets `;`, `?`, `!` and others as parts of a URI, and would open another file.
    """
    from pyogrio.util import vsi_path

    whole = str(path.absolute())
    if whole.lower().endswith(".zip"):
        return f"/vsizip/{{{whole}}}"
    return whole if vsi_path(whole) == whole else f"/vsisubfile/0,{whole}"


def _open_members(path: Path) -> Iterator[IO[bytes]]:
    """A file, or the files in a zip; each is open until the next."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            file.seek(0)
            yield file
            return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > _MAX_MEMBERS:
            raise ValueError(f"{len(entries)} files in a zip, expected at most {_MAX_MEMBERS}")
        if (size := sum(entry.file_size for entry in entries)) > _MAX_UNPACKED_BYTES:
            raise ValueError(f"{size / 1e9:.1f} GB in a zip: unpack it")
        for entry in entries:
            with archive.open(entry) as member:
                yield member


def _read_head(file: IO[bytes]) -> bytes:
    """The first bytes; ValueError or sqlite3.Error for references and endless reads."""
    head = file.read(_HEAD_BYTES)
    if head.startswith(SQLITE_HEAD):
        if isinstance(file, zipfile.ZipExtFile):
            with closing(sqlite3.connect(":memory:")) as database:
                database.deserialize(head + _read_rest(file))
                _check_tables(database)
        else:
            check_database(Path(file.name))
    elif _strip(head).startswith((b"{", b"[")):
        if isinstance(file, zipfile.ZipExtFile):
            _check_crs(head + _read_rest(file))
        else:
            with closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as text:
                _check_crs(text)
    return head


def _read_rest(file: IO[bytes]) -> bytes:
    rest = file.read(MAX_TABLE_BYTES + 1)
    if len(rest) > MAX_TABLE_BYTES:
        raise ValueError(f"it has more than {MAX_TABLE_BYTES / 1e6:.0f} MB")
    return rest


def check_database(path: Path) -> None:
    """ValueError or sqlite3.Error for a GeoPackage that cannot be read, or may never end."""
    with closing(open_database(path)) as database:
        _check_tables(database)


def open_database(path: Path) -> sqlite3.Connection:
    """Open a GeoPackage or another SQLite file read-only."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _check_tables(database: sqlite3.Connection) -> None:
    """ValueError for views and computed columns: reading them may never end."""
    found = database.execute(_COMPUTED).fetchone()
    if found:
        raise ValueError(f"{found[0]!r} in it is computed when it is read: save it as a table")


# Two views that some programs add to every GeoPackage are not read.
_COMPUTED = """
    SELECT name FROM sqlite_master WHERE type = 'view'
    AND lower(name) NOT IN ('st_spatial_ref_sys', 'st_geometry_columns')
    UNION SELECT m.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS x
    WHERE m.type = 'table' AND m.rootpage > 0 AND x.hidden IN (2, 3)
"""


_CRS_KEY = re.compile(
    rb"""["'](?:c|\\u0{0,2}63)(?:r|\\u0{0,2}72)(?:s|\\u0{0,2}73)["']\s*:?\s*""", re.IGNORECASE
)


def _check_crs(text: bytes | mmap.mmap) -> None:
    """ValueError for a GeoJSON with a URL as `crs`, which GDAL would fetch."""
    for found in _CRS_KEY.finditer(text):
        value = text[found.end() : found.end() + MAX_CRS_BYTES].decode(errors="replace")
        crs: Any = {}
        if value.startswith(("{", "/")):
            with contextlib.suppress(ValueError, RecursionError):
                crs, _ = json.JSONDecoder().raw_decode(value)
            if crs.get("type") not in ("name", "EPSG"):
                raise ValueError("its crs is not a name: give one such as EPSG:32632")


def _strip(head: bytes) -> bytes:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")


def _is_vector(head: bytes) -> bool:
    text = _strip(head)
    return text.startswith(_VECTOR_HEADS) or (text.startswith(b"<") and b"<kml" in text)


def _refers(head: bytes) -> bool:
    return any(mark.lower() in head.lower() for mark in _REFERRING)
