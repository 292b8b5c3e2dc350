"""Scenes as a person names them to map and info."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geoclass.products.files import read_map
from tests.cli.test_commands import error, run
from tests.conftest import paint
from tests.scene.products import make_safe, zip_safe
from tests.scene.server import serve

Make = Callable[..., Path]

PIXELS = paint([[0, 1], [2, 3]])


def test_bands_by_name(make_scene: Make, tmp_path: Path, random_model: Path) -> None:
    scene = make_scene(PIXELS, descriptions=("x", "y", "z"), photometric="minisblack")
    for output, option in (
        ("names.tif", ("--bands", "z,y,x")),
        ("numbers.tif", ("--bidx", "3,2,1")),
    ):
        run("map", scene, "-o", tmp_path / output, "-m", random_model, *option)
    names, numbers = (read_map(tmp_path / name) for name in ("names.tif", "numbers.tif"))
    assert names.provenance.bands == numbers.provenance.bands == (3, 2, 1)
    assert "no band named 'red'" in error("info", scene, "-b", "red")
    assert "no band named 'B04'" in error("info", scene, "--bands", "B04,B03,B02")
    assert json.loads(run("info", scene, "--json", "--bands", "y,x,z").stdout)["bands"] == [2, 1, 3]


@pytest.mark.parametrize("zipped", [False, True])
def test_product(tmp_path: Path, random_model: Path, zipped: bool) -> None:
    safe = make_safe(tmp_path, PIXELS.astype(np.uint16) * 10 + 1000, baseline="04.00")
    scene = zip_safe(safe) if zipped else safe
    run("map", scene, "-o", tmp_path / "m.gpkg", "-m", random_model)
    provenance = read_map(tmp_path / "m.gpkg").provenance
    assert provenance.scene == safe.name
    assert provenance.radiometry["bias"] == [-1000, -1000, -1000]
    again = run("map", scene, "-o", tmp_path / "m.gpkg", "-m", random_model)
    assert "is up to date" in again.stdout


def test_no_input_is_replaced(tmp_path: Path, make_scene: Make, random_model: Path) -> None:
    bands = {}
    for i, color in enumerate(("red", "green", "blue")):
        bands[color] = make_scene(PIXELS[i : i + 1], f"{color}.tif")
    text = ",".join(f"{color}={path}" for color, path in bands.items())
    before = bands["blue"].read_bytes()
    message = error("map", text, "-o", bands["blue"], "-m", random_model, "--overwrite")
    assert "is the input" in message
    assert bands["blue"].read_bytes() == before


def test_signatures_stay_secret(
    tmp_path: Path, make_scene: Make, random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "www"
    folder.mkdir()
    shutil.move(make_scene(PIXELS, photometric="rgb"), folder / "scene.tif")
    output = tmp_path / "m.gpkg"
    with serve(folder) as log:
        address = f"{log.address}/scene.tif?X-Amz-Signature=SECRET"
        monkeypatch.setattr(sys, "argv", ["geoclass", "map", address, "-o", str(output)])
        result = run("map", address, "-o", output, "-m", random_model)
        assert "SECRET" not in result.output
        assert "is up to date" in run("map", address, "-o", output, "-m", random_model).stdout
        assert "SECRET" not in error("info", f"{log.address}/none.tif?sig=SECRET")
    assert b"SECRET" not in output.read_bytes()
    provenance = read_map(output).provenance
    assert provenance.command == f"geoclass map '{log.address}/scene.tif' -o {output}"
