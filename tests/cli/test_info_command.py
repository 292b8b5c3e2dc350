"""Geoclass info, of what it cannot describe."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from tests.cli.test_commands import error


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", ["model.pth", "model.bin"])
def test_pickled_model(tmp_path: Path, name: str, old: bool) -> None:
    path = tmp_path / name
    torch.save({"weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=not old)
    assert f"{path} is a pickled PyTorch file, which can run code when" in error("info", path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_other_pickle(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps([1], protocol))
    assert "is a pickled PyTorch file" in error("info", path)


def test_zip_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "scene.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no scene")
    assert "pickled" not in error("info", path)
    path.write_bytes(path.read_bytes()[:30])
    assert "pickled" not in error("info", path)
