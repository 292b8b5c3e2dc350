"""geoclass map: which ground is mapped, on which pixels, and whether the disk holds it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine

from geoclass.products.files import read_map
from tests.cli.test_commands import error, run
from tests.conftest import UTM, paint

Make = Callable[..., Path]


@pytest.fixture
def scene(make_scene: Make) -> Path:
    return make_scene(paint([[0, 1, 2], [3, 4, 5]]))


@pytest.fixture
def nowhere(make_scene: Make) -> Path:
    return make_scene(paint([[0, 1]]), "nowhere.tif", crs=None)


def test_bounding_box(scene: Path, random_model: Path, tmp_path: Path) -> None:
    box = ("--bbox", "330600,5821300,332000,5823000", "--bbox-crs", UTM)
    out = run("map", scene, "-o", tmp_path / "map.tif", "-m", random_model, *box).output
    assert "2 (2 columns × 1 rows)" in out
    landcover = read_map(tmp_path / "map.tif")
    assert landcover.class_id.shape == (1, 2)
    assert landcover.grid.transform.c == 330640


def test_warp_is_announced_and_drawn(make_scene: Make, random_model: Path, tmp_path: Path) -> None:
    degrees = Affine(1.4e-4, 0, 12.5, 0, -9e-5, 52.5)
    scene = make_scene(paint([[0, 1, 2], [3, 4, 5]]), crs="EPSG:4326", transform=degrees)
    target = tmp_path / "map.gpkg"
    out = run("map", scene, "-o", target, "-m", random_model, "--snap").output
    assert "warp        scene in degrees" in out
    assert "10 m in WGS 84 / UTM zone 33N" in out
    grid = read_map(target).grid
    assert pyproj.CRS.from_wkt(str(grid.crs)).to_epsg() == 32633
    assert grid.transform.c % 640 == grid.transform.f % 640 == 0
    run("preview", target, "--scene", scene, "-o", tmp_path / "map.png")
    assert "10 m in WGS 84 / UTM zone 33N" in run("info", scene).output
    assert "degrees" not in run("info", scene, "--resolution", "native").output


def test_scene_without_a_place(nowhere: Path, random_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "map.gpkg"
    result = run("map", nowhere, "-o", target, "-m", random_model, code=1)
    assert "Error: the scene does not say where on Earth it lies" in result.stderr
    assert not target.exists()
    out = run("map", nowhere, "-o", tmp_path / "map.tif", "-m", random_model)
    assert "the map is in pixels" in out.stderr
    assert "unknown" in out.stdout
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.crs is None
    run("preview", tmp_path / "map.tif", "--scene", nowhere, "-o", tmp_path / "map.png")
    place = ("--crs", UTM, "--bounds", "330000,5821400,331280,5822040")
    run("map", nowhere, "-o", target, "-m", random_model, *place)
    assert read_map(target).grid.transform == Affine(10, 0, 330000, 0, -10, 5822040)
    run("preview", target, "--scene", nowhere, "-o", tmp_path / "placed.png")


def test_mostly_unknown_map_is_warned_of(make_scene: Callable[..., Path], tmp_path: Path) -> None:
    """Noise is no ground that the model which ships has seen."""
    noise = np.random.default_rng(0).integers(1, 255, (3, 128, 192)).astype(np.uint8)
    given = ("map", make_scene(noise), "-o", tmp_path / "map.tif")
    said = run(*given).stderr
    assert "Warning: 100% of the classified cells are out-of-distribution" in said
    assert "out-of-dist" not in run(*given, "--keep-unknown", "--overwrite").stderr


def test_disk_that_cannot_hold_the_map_is_refused_before_the_work(
    scene: Path, random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000))
    target = tmp_path / "map.gpkg"
    result = run("map", scene, "-o", target, "-m", random_model, code=1)
    assert f"needs about 0.1 MB, but the disk of {tmp_path} has 0.0 MB free" in result.stderr
    assert "device" not in result.stdout


def test_too_coarse_is_refused_unless_forced(
    make_scene: Make, random_model: Path, tmp_path: Path
) -> None:
    coarse = make_scene(paint([[0]]), transform=Affine(30, 0, 330000, 0, -30, 5822040))
    words = ("map", coarse, "-o", tmp_path / "map.tif", "-m", random_model)
    assert "pixels of 30.0 m" in error(*words)
    run(*words, "--force")
    assert read_map(tmp_path / "map.tif").class_id.shape == (3, 3)


@pytest.mark.parametrize(
    "option", [("--bbox", "1,2,3"), ("--resolution", "fine"), ("--resampling", "best")]
)
def test_unparsable_values_are_usage_errors(scene: Path, option: tuple[str, str]) -> None:
    run("map", scene, "-o", "map.tif", *option, code=2)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--bbox", "3,2,3,4"), "have south < north and a width"),
        (("--resolution", "-10"), "must be above 0 metres"),
        (("--bbox", "0,0,1,1"), "no cell of the scene"),
        (("--bbox", "0,0,1,1", "--bbox-crs", "EPSG:0"), "is not a coordinate reference system"),
        (("--aoi", "none.gpkg"), "cannot read none.gpkg as a vector file"),
    ],
)
def test_impossible_parts_are_one_line(
    scene: Path, option: tuple[str, ...], message: str, random_model: Path
) -> None:
    assert message in error("map", scene, "-o", "map.tif", "-m", random_model, *option)


def test_part_of_nothing_is_all_nodata(
    make_scene: Make, random_model: Path, tmp_path: Path
) -> None:
    empty = make_scene(np.zeros((3, 64, 128), np.uint8))
    run("map", empty, "-o", tmp_path / "map.tif", "-m", random_model, "--snap", "--force")
    assert (read_map(tmp_path / "map.tif").valid_share == 0).all()
