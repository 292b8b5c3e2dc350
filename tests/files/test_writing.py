"""Drafts: a file is replaced when the new one is whole, or stays what it was."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from geoclass.errors import OutputError
from geoclass.files.writing import drafted, parse_target


def test_draft_takes_the_place_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    path.write_text("old")
    with drafted(path) as draft:
        assert draft.suffix == ".tif"
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def fail(draft: Path, error: Exception) -> None:
    draft.write_text("half")
    raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [(OSError("full"), OutputError), (zlib.error("full"), OutputError), (KeyError(), KeyError)],
)
def test_failed_draft_leaves_the_file(
    tmp_path: Path, error: Exception, expected: type[Exception]
) -> None:
    path = tmp_path / "map.tif"
    path.write_text("old")
    with pytest.raises(expected) as caught, drafted(path, zlib.error) as draft:
        fail(draft, error)
    assert expected is KeyError or str(caught.value) == f"cannot write {path}: full"
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


@pytest.mark.parametrize("name", ["s3://b/a/m.tif", "gs://b/m.tif", "az://b/a b/m.tif"])
def test_storage_goes_by_its_scheme(name: str) -> None:
    target = parse_target(name)
    assert not isinstance(target, Path)
    assert str(target) == name
    assert (target.bucket, target.name, target.suffix) == ("b", "m.tif", ".tif")
    assert str(target.with_name("n.qml")) == name.replace("m.tif", "n.qml")
    assert parse_target(name.upper()[:2] + name[2:]).scheme == name[:2]
