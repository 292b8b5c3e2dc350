"""Data sets as people keep them, to geoclass dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.cli.test_commands import run

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
