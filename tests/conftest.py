"""Scenes, data sets and models, made on the fly."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image

from geoclass.contract import Contract, SplitRecord, TrainingRecord
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap, Provenance, quantise_probabilities
from geoclass.legend import EUROSAT, MASKED, NODATA, UNKNOWN
from geoclass.model.checkpoint import save_model
from geoclass.model.classifier import Prediction
from geoclass.model.dense import HALO, Window, WindowPrediction
from geoclass.model.networks import build_network
from tests.model.dense import make_dense_model

# Tests run beside each other: threads of one network would only wait for one another. The
# variable is for the processes that tests start.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

UTM = "EPSG:32633"
TRANSFORM = Affine(10, 0, 330000, 0, -10, 5822040)
ROOT = Path(__file__).parents[1]
SAMPLE_SCENE = ROOT / "sample_scenes" / "havelland_20170216_l1c.tif"

COLORS = np.array(
    [
        [200, 160, 80], [20, 80, 40], [150, 170, 90], [90, 90, 90], [160, 60, 180],
        [110, 200, 100], [230, 140, 40], [220, 50, 40], [100, 190, 240], [30, 70, 160],
    ],
    dtype=np.uint8,
)  # fmt: skip
"""A plain colour for each class: what the fake classifier knows."""

STRANGE = np.array([255, 0, 255], dtype=np.uint8)
"""The colour that the fake classifier takes for none of the classes."""

WHITE = np.array([250, 250, 250], dtype=np.uint8)
"""The colour that the fake dense_classifier takes for cloud."""

HAZE = np.array([220, 220, 220], dtype=np.uint8)
"""The colour that the fake dense_classifier takes for possible cloud."""


def make_contract(**changes: Any) -> Contract:
    """A contract as a training run would write it."""
    split = SplitRecord(
        kind="random", seed=0, test_sha256="0" * 64, train=72, validation=8, test=20
    )
    fields: dict[str, Any] = {
        "legend": EUROSAT,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "temperature": 1.0,
        "confusion": tuple(tuple(8 * int(i == j) for j in range(10)) for i in range(10)),
        "class_shares": (0.1,) * 10,
        "training": TrainingRecord(
            data_set="tiles.zip",
            split=split,
            recipe={"epochs": 1},
            epoch=1,
            validation_accuracy=0.9,
        ),
    }
    return Contract(**{**fields, **changes})


class FakeClassifier:
    """Names a tile by its mean colour, without weights; sure of 0.9."""

    def __init__(self) -> None:
        self.contract = make_contract()
        self.sha256 = "0" * 64
        self.precision = "fp32"
        self.seen: list[np.ndarray] = []

    def predict(self, images: np.ndarray) -> Prediction:
        self.seen.append(images)
        mean = images.reshape(len(images), 3, -1).mean(axis=2)
        return Prediction(probabilities=name_colors(mean), unknown=is_near(mean, STRANGE))


class FakeDenseClassifier(FakeClassifier):
    """Names the cells of a window, too, and tells cloud by its white."""

    windows_at_once = 2

    def __init__(self) -> None:
        super().__init__()
        self.contract = make_contract(cell_temperature=1.0)
        self.windows: list[Window] = []

    def predict_window(self, window: Window) -> WindowPrediction:
        self.windows.append(window)
        inner = (..., slice(HALO, -HALO), slice(HALO, -HALO))
        pixels, valid = window.pixels[inner], window.valid[inner]
        cells = _average(pixels, valid, 4)
        obscured = is_near(cells, WHITE)
        clear = valid & ~obscured.repeat(4, axis=0).repeat(4, axis=1)
        tiles = np.array(
            [
                [
                    _average(pixels[:, r:r + 64, c:c + 64], clear[r:r + 64, c:c + 64], 64)[0, 0]
                    for c in window.tile_cols
                ]
                for r in window.tile_rows
            ]
        )  # fmt: skip
        strange = is_near(tiles, STRANGE)
        return WindowPrediction(
            cells=quantise_probabilities(name_colors(cells)),
            obscured=obscured,
            maybe_obscured=obscured | is_near(cells, HAZE),
            tiles=name_colors(tiles),
            unknown=strange,
            unknown_cells=strange.repeat(2, axis=0).repeat(2, axis=1),
        )


def _average(pixels: np.ndarray, valid: np.ndarray, side: int) -> np.ndarray:
    """Mean colours (rows, cols, 3) of what is valid of squares."""
    rows, cols = (n // side for n in valid.shape)
    total = (pixels * valid).reshape(3, rows, side, cols, side).sum(axis=(2, 4))
    count = valid.reshape(rows, side, cols, side).sum(axis=(1, 3))
    return (total / np.maximum(count, 1)).transpose(1, 2, 0)


def name_colors(mean: np.ndarray) -> np.ndarray:
    """Mean colours (…, 3) to probabilities (…, 10): sure of 0.9."""
    distance = np.abs(mean[..., None, :] - COLORS.astype(float)).sum(axis=-1)
    nearest = np.eye(10, dtype=bool)[distance.argmin(axis=-1)]
    return np.where(nearest, 0.9, 0.1 / 9).astype(np.float32)


def is_near(mean: np.ndarray, color: np.ndarray) -> np.ndarray:
    return np.abs(mean - color).sum(axis=-1) < 30


@pytest.fixture
def dense_classifier() -> FakeDenseClassifier:
    return FakeDenseClassifier()


@pytest.fixture
def classifier() -> FakeClassifier:
    return FakeClassifier()


@pytest.fixture
def make_scene(tmp_path: Path) -> Callable[..., Path]:
    """Write pixels (bands, rows, cols) as a GeoTIFF; keywords are rasterio's."""

    def make(
        pixels: np.ndarray,
        name: str = "scene.tif",
        *,
        tags: dict[str, str] | None = None,
        descriptions: tuple[str | None, ...] | None = None,
        mask: np.ndarray | None = None,
        **profile: Any,
    ) -> Path:
        path = tmp_path / name
        settings = {"crs": UTM, "transform": TRANSFORM, "driver": "GTiff", **profile}
        bands, height, width = pixels.shape
        with rasterio.open(
            path, "w", count=bands, height=height, width=width, dtype=pixels.dtype, **settings
        ) as file:
            file.write(pixels)
            if descriptions:
                file.descriptions = descriptions
            if mask is not None:
                file.write_mask(mask)
            if pixels.dtype == np.uint8:
                file.update_tags(RADIOMETRY="eurosat-l1c-8bit")
            file.update_tags(**(tags or {}))
        return path

    return make


def paint(class_rows: list[list[int]], tile: int = 64) -> np.ndarray:
    """Uint8 (3, rows·tile, cols·tile): each cell in its class's plain colour."""
    colors = COLORS[np.array(class_rows)]
    return colors.transpose(2, 0, 1).repeat(tile, axis=1).repeat(tile, axis=2)


def make_landcover(rows: int = 3, cols: int = 4, *, seed: int = 0, **changes: Any) -> LandCoverMap:
    """A map with all statuses, its last row and column clipped."""
    generator = np.random.default_rng(seed)
    grid = Grid(
        height=max(64, 64 * rows - 24),
        width=max(64, 64 * cols - 40),
        transform=TRANSFORM,
        crs=rasterio.CRS.from_string(UTM).to_wkt(),
    )
    probabilities = quantise_probabilities(
        generator.dirichlet(np.ones(10) * 0.3, rows * cols)
    ).reshape(rows, cols, 10)
    best = probabilities.argmax(axis=2).astype(np.uint8)
    class_id = best.copy()
    valid_share = generator.integers(125, 251, (rows, cols)).astype(np.uint8)
    mask_reason = np.zeros_like(class_id)
    mask_reason.flat[1] = 1
    class_id.flat[0] = UNKNOWN
    for place, code in ((1, MASKED), (2, NODATA)):
        class_id.flat[place] = code
        best.flat[place] = NODATA
        probabilities.reshape(-1, 10)[place] = 0
        valid_share.flat[place] = 100
    provenance = Provenance(
        scene="scene.tif",
        date="2020-06-01",
        source={"path": "scene.tif", "bytes": 1, "modified_ns": 2},
        bands=(1, 2, 3),
        radiometry={"name": "l1c", "dn_offset": 0, "reason": "uint16 & <tags>"},
        model="ab" * 32,
        options={"min_valid_share": 0.5},
        version="0.1.0",
        command="geoclass map scene.tif",
        fingerprint="cd" * 32,
        request="cd" * 32,
        masked_by=("cloud by the scene classification",),
        warnings=("the scene is a drawing",),
        mission="Sentinel-2",
    )
    fields = {
        "grid": grid,
        "contract": make_contract(),
        "provenance": provenance,
        "class_id": class_id,
        "best_class": best,
        "probabilities": probabilities,
        "valid_share": valid_share,
        "mask_reason": mask_reason,
    }
    return LandCoverMap(**{**fields, **changes})


def make_detailed(
    rows: int = 3, cols: int = 4, *, seed: int = 0, stride: int = 16, **changes: Any
) -> LandCoverMap:
    """The same with a detail: patches of some cells, of all statuses; `changes` are its own."""
    whole = make_landcover(rows, cols, seed=seed)
    grid = replace(whole.grid, stride=stride)
    generator = np.random.default_rng(seed + 1)
    shape = (grid.rows, grid.cols)
    kinds = generator.integers(0, 13, (-(-grid.rows // 2), -(-grid.cols // 2))).repeat(2, 0)
    kinds = kinds.repeat(2, 1)[: grid.rows, : grid.cols].astype(np.uint8)
    probabilities = quantise_probabilities(
        generator.dirichlet(np.ones(10) * 0.3, grid.rows * grid.cols)
    ).reshape(*shape, 10)
    seen = kinds < 11
    best = np.where(kinds < 10, kinds, np.where(seen, 7, NODATA)).astype(np.uint8)
    probabilities[~seen] = 0
    class_id = np.where(kinds < 10, kinds, kinds + (UNKNOWN - 10)).astype(np.uint8)
    fields = {
        "class_id": class_id,
        "best_class": best,
        "probabilities": probabilities,
        "valid_share": np.where(class_id == NODATA, 7, 250).astype(np.uint8),
        "mask_reason": np.where(
            class_id == MASKED, 1 + (best.cumsum() % 2).reshape(shape), 0
        ).astype(np.uint8),
    }
    detail = replace(whole, grid=grid, **{**fields, **changes})
    return replace(whole, detail=detail)


def assert_equal_maps(one: LandCoverMap, other: LandCoverMap) -> None:
    for name in ("grid", "contract", "provenance"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("class_id", "best_class", "probabilities", "valid_share", "mask_reason"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert (one.colors is None) == (other.colors is None)
    if one.colors is not None and other.colors is not None:
        np.testing.assert_array_equal(one.colors, other.colors)
    assert (one.detail is None) == (other.detail is None)
    if one.detail is not None and other.detail is not None:
        assert_equal_maps(one.detail, other.detail)


def write_tiles(root: Path, classes: int = 3, each: int = 20, size: int = 64) -> Path:
    """A folder of class folders of noisy plain-coloured PNG tiles, the same each time."""
    generator = np.random.default_rng(0)
    for label, class_name in enumerate(EUROSAT.names[:classes]):
        folder = root / class_name
        folder.mkdir(parents=True)
        for i in range(each):
            noise = generator.integers(-20, 21, (size, size, 3))
            pixels = np.clip(COLORS[label].astype(int) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{class_name}_{i}.png")
    return root


@pytest.fixture
def make_tiles(tmp_path: Path) -> Callable[..., Path]:
    """Write tiles (`write_tiles`) into a folder of the test."""

    def make(classes: int = 3, each: int = 20, name: str = "tiles", size: int = 64) -> Path:
        return write_tiles(tmp_path / name, classes, each, size)

    return make


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TileNet that has learnt nothing, but is a whole model file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_model(path, "tilenet", build_network("tilenet", 10).eval(), make_contract())
    return path


@pytest.fixture(scope="session")
def dense_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with cells of its own, which knows tiles and tells cells apart by chance."""
    path = tmp_path_factory.mktemp("model") / "dense.safetensors"
    make_dense_model(path)
    return path
