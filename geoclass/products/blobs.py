"""Compressed byte arrays in a GeoPackage, in a table that GDAL and QGIS do not list.

Blocks of an array are rows NAME/0000, NAME/0001 …; older files have one row, NAME.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

from geoclass.errors import OutputError
from geoclass.machine import count_cores
from geoclass.vectors import open_database

TABLE = "geoclass_blobs"

BLOCK = 1 << 20
"""Bytes per block."""


def write_blobs(path: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Add named uint8 arrays to a GeoPackage; OSError if that fails."""
    try:
        with (
            closing(sqlite3.connect(path)) as database,
            database,
            ThreadPoolExecutor(count_cores()) as threads,
        ):
            database.execute(f"CREATE TABLE {TABLE} (name TEXT PRIMARY KEY, content BLOB)")
            for name, array in arrays:
                flat = array.reshape(-1)
                blocks = (flat[first : first + BLOCK] for first in range(0, flat.size, BLOCK))
                rows = enumerate(threads.map(deflate, blocks))
                database.executemany(
                    f"INSERT INTO {TABLE} VALUES (?, ?)",  # noqa: S608 a constant
                    ((f"{name}/{number:04d}", content) for number, content in rows),
                )
    except sqlite3.Error as error:
        raise OSError(f"{error}; is the disk full?") from error


def read_blobs(path: Path, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Arrays by name, uint8 (size,); OutputError if one is missing or damaged."""
    try:
        with (
            closing(open_database(path)) as database,
            ThreadPoolExecutor(count_cores()) as threads,
        ):
            parts = [_find_blocks(database, name) for name in sizes]
            return dict(zip(sizes, threads.map(inflate, sizes, parts, sizes.values()), strict=True))
    except (sqlite3.Error, zlib.error, OverflowError, MemoryError) as error:
        raise OutputError(
            f"the data in {path} has been changed or damaged since geoclass wrote it ({error}): "
            "make the file again"
        ) from error


def _find_blocks(database: sqlite3.Connection, name: str) -> list[bytes]:
    rows = database.execute(
        f"SELECT content FROM {TABLE} WHERE name = :name OR name GLOB :name || '/*' ORDER BY name",  # noqa: S608 a constant
        {"name": name},
    )
    return [content if isinstance(content, bytes) else b"" for (content,) in rows]


def pack_colors(colors: np.ndarray) -> np.ndarray:
    """uint8 (…, 6), COLORS, as differences modulo 256, which compress better.

    Green − red and blue − red, and the means of bands − the means of their darkest quarters.
    """
    packed = colors.copy()
    packed[..., 1:3] -= colors[..., :1]
    packed[..., 3:] = colors[..., :3] - colors[..., 3:]
    return packed


def unpack_colors(packed: np.ndarray) -> np.ndarray:
    """Inverse of `pack_colors`."""
    colors = packed.copy()
    colors[..., 1:3] += packed[..., :1]
    colors[..., 3:] = colors[..., :3] - packed[..., 3:]
    return colors


def deflate(block: np.ndarray) -> bytes:
    """A uint8 array, compressed."""
    # Neighbouring cells are similar: run lengths are nearly as small as DEFLATE and faster.
    stream = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    return stream.compress(np.ascontiguousarray(block).data) + stream.flush()


def inflate(name: str, blocks: list[bytes], size: int) -> np.ndarray:
    """uint8 (size,); zlib.error if the blocks contain something else."""
    content = bytearray()
    for block in blocks:
        stream = zlib.decompressobj()
        # Limited, because a malicious block could expand to fill the memory.
        content += stream.decompress(block, size - len(content) + 1)
        if not stream.eof or stream.unused_data or len(content) > size:
            raise zlib.error(f"a block of {name} is cut short or too long")
    if len(content) != size:
        raise zlib.error(f"{name} has {len(content)} bytes, expected {size}")
    return np.frombuffer(content, dtype=np.uint8)
