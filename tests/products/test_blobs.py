"""Arrays kept in a GeoPackage, and what is done about damaged ones."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from geoclass.errors import OutputError
from geoclass.products.blobs import BLOCK, read_blobs, write_blobs
from geoclass.products.files import read_map, write_map
from tests.conftest import make_detailed

SIZE = 2 * BLOCK + 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.gpkg"


def make_array() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, SIZE).astype(np.uint8)


def change(path: Path, command: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(command, values)


def test_arrays_of_any_shape_are_read_back(path: Path) -> None:
    large, turned = make_array(), np.arange(60, dtype=np.uint8).reshape(5, 4, 3)[:, :, 1]
    write_blobs(path, [("large", large), ("turned", turned), ("none", np.empty(0, np.uint8))])
    again = read_blobs(path, {"none": 0, "turned": 20, "large": SIZE})
    np.testing.assert_array_equal(again["large"], large)
    np.testing.assert_array_equal(again["turned"], turned.ravel())
    assert again["none"].size == 0


def test_array_in_one_row_is_read_as_in_files_of_old(path: Path) -> None:
    change(path, "CREATE TABLE geoclass_blobs (name TEXT PRIMARY KEY, content BLOB)")
    change(path, "INSERT INTO geoclass_blobs VALUES (?, ?)", "a 2020", zlib.compress(b"abc"))
    assert read_blobs(path, {"a 2020": 3})["a 2020"].tobytes() == b"abc"


def cut(content: bytes) -> bytes:
    return content[:-9]


def lengthen(content: bytes) -> bytes:
    return content + b"more"


def grow(_: bytes) -> bytes:
    return zlib.compress(bytes(300 * BLOCK))


def shrink(_: bytes) -> bytes:
    return zlib.compress(b"few")


def spoil(content: bytes) -> bytes:
    return b"no" + content[2:]


@pytest.mark.parametrize("damage", [cut, lengthen, grow, shrink, spoil])
@pytest.mark.parametrize("block", ["a/0000", "a/0002"])
def test_damaged_blocks_are_one_line(
    path: Path, damage: Callable[[bytes], bytes], block: str
) -> None:
    write_blobs(path, [("a", make_array())])
    with closing(sqlite3.connect(path)) as database:
        command = "SELECT content FROM geoclass_blobs WHERE name = ?"
        ((content,),) = database.execute(command, [block]).fetchall()
    change(path, "UPDATE geoclass_blobs SET content = ? WHERE name = ?", damage(content), block)
    with pytest.raises(OutputError, match="has been changed or damaged") as caught:
        read_blobs(path, {"a": SIZE})
    assert "\n" not in str(caught.value)


CHANGES = {
    "missing": "DELETE FROM geoclass_blobs WHERE name = 'detail p3/0000'",
    "no bytes": "UPDATE geoclass_blobs SET content = 10000000000000",
    "empty": "UPDATE geoclass_blobs SET content = NULL WHERE name = 'class_id/0000'",
    "no table": "DROP TABLE geoclass_blobs",
    "no column": "ALTER TABLE geoclass_blobs DROP COLUMN content",
}


@pytest.mark.parametrize("command", CHANGES.values(), ids=CHANGES)
def test_altered_maps_are_refused(path: Path, command: str) -> None:
    write_map(make_detailed(), path)
    change(path, command)
    with pytest.raises(OutputError, match="kept.gpkg has been changed or damaged"):
        read_map(path)
