"""Data sets as people keep them, to geoclass dataset."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoclass.learn.single import ImageLabel
from geoclass.report.charts import draw_labels
from tests.cli.test_commands import error, run

Make = Callable[..., Path]


def test_images_that_are_not_used_are_listed(make_tiles: Make) -> None:
    tiles = make_tiles(classes=2, each=3)
    Image.new("RGB", (64, 64)).save(tiles.parent / "preview.png")
    (tiles / "Forest" / "a.bmp").write_bytes(b"never read")
    out = run("dataset", tiles.parent).output
    assert "7 in 2 classes" in out
    assert "not used    1\n  preview.png\n" in out
    assert "unusable    1\n  image Forest/a.bmp is a .bmp" in out
    assert json.loads(run("dataset", tiles.parent, "--json").output)["unused"] == ["preview.png"]


def test_folders_that_cannot_be_classes_are_listed(make_tiles: Make) -> None:
    tiles = make_tiles(classes=3, each=3)
    (tiles / "Desert").mkdir()
    Image.new("RGB", (32, 32)).save(tiles / "Forest" / "Forest_0.png")
    out = run("dataset", tiles).stdout
    assert f"unusable    2\n  class folder Desert in {tiles} has no images: add some" in out
    assert "--skip-bad" not in out
    message = error("train", tiles, "-o", tiles.parent / "model.safetensors")
    assert "class folder Desert" in message
    assert "--skip-bad skips unusable images, `geoclass dataset` lists them all" in message
    (tiles / "Desert").rmdir()
    message = error("train", tiles, "-o", tiles.parent / "model.safetensors")
    assert "Forest/Forest_0.png has 32×32 pixels" in message
    assert "--skip-bad skips unusable images, `geoclass dataset` lists them all" in message


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of Unicode alone")
def test_names_that_are_not_utf8_are_printed(make_tiles: Make) -> None:
    tiles = make_tiles(classes=2, each=3)
    odd = os.fsdecode(b"caf\xe9.png")
    (tiles / "Forest" / odd).write_bytes(b"no image")
    assert r"image Forest/caf\udce9.png cannot be decoded" in run("dataset", tiles).stdout
    (reason,) = json.loads(run("dataset", tiles, "--json").stdout)["unusable"]
    assert reason.split()[1] == r"Forest/caf\udce9.png"


def test_names_that_are_not_utf8_are_drawn(tmp_path: Path) -> None:
    label = ImageLabel(
        image="caf\udce9.png", row=0, col=0, name="Forest", confidence=1.0, unknown=False,
        probabilities={"Forest": 1.0}, tile=np.zeros((3, 64, 64), np.uint8),
    )  # fmt: skip
    draw_labels([label], tmp_path / "labels.svg")
    assert (tmp_path / "labels.svg").exists()


@pytest.mark.parametrize("name", ["Forest/Forest_0.png", "sheet.png", "../link/Forest/new.png"])
def test_no_tile_is_replaced_by_the_sheet(make_tiles: Make, name: str) -> None:
    tiles = make_tiles(classes=2, each=3)
    (tiles.parent / "link").symlink_to(tiles)
    before = (tiles / "Forest" / "Forest_0.png").read_bytes()
    message = error("dataset", tiles, "--sheet", tiles / name)
    assert f"would be among the tiles of {tiles}: give a path outside it" in message
    assert (tiles / "Forest" / "Forest_0.png").read_bytes() == before
    assert len(list(tiles.rglob("*.png"))) == 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sheet.xyz", ".xyz is none of .png, .jpg"),
        ("sheet", "a name without suffix is none of .png"),
        ("none/sheet.png", "none does not exist: create it first"),
    ],
)
def test_sheet_that_cannot_be_written_is_told_first(
    tmp_path: Path, name: str, message: str
) -> None:
    """The data set, which is not there, would be looked for after it."""
    assert message in error("dataset", tmp_path / "tiles", "--sheet", tmp_path / name)
