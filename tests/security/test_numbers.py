"""Numbers that no product has are told of, and never become a class."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geoclass.contract import Contract
from geoclass.errors import ModelError, SceneError
from geoclass.grid import Grid
from geoclass.mapping.job import map_scene
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import load_model
from geoclass.model.classifier import Classifier
from geoclass.model.dense import softmax
from geoclass.scene.open.facts import describe_scaling
from geoclass.scene.open.source import open_scene
from geoclass.scene.settings import FrameSettings
from tests.conftest import make_contract
from tests.scene.products import make_safe

Make = Callable[..., Path]
PIXELS = np.random.default_rng(0).integers(1, 3000, (3, 70, 90)).astype(np.uint16)
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("scales", "offsets", "message"),
    [
        ((1e-4,) * 3, (-0.1, NAN, -0.1), "expected finite numbers"),
        ((1e-4, INF, 1e-4), (0, 0, 0), "expected finite numbers"),
        ((1e-4, 0, 1e-4), (0, 0, 0), "no scale of 0"),
        ((1e-4,) * 3, (-0.1, 0, -0.1), "but some are missing"),
    ],
)
def test_scaling_that_no_product_has(scales: tuple, offsets: tuple, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        describe_scaling(scales, offsets)


@given(st.tuples(*[st.floats()] * 3), st.tuples(*[st.floats()] * 3))
def test_what_scaling_says_is_finite(scales: tuple, offsets: tuple) -> None:
    try:
        facts = describe_scaling(scales, offsets)
    except SceneError:
        return
    assert np.isfinite([*(facts.scales or ()), *(facts.offsets or ())]).all()


@pytest.mark.parametrize("offset", ["nan", "", None])
def test_a_products_offsets_are_whole(tmp_path: Path, offset: str | None) -> None:
    product = make_safe(tmp_path, PIXELS, offsets=True)
    (metadata,) = product.glob("MTD_*.xml")
    pattern = r'(<RADIO_ADD_OFFSET band_id="2">)-?[0-9]+(</RADIO_ADD_OFFSET>)'
    other = "" if offset is None else rf"\g<1>{offset}\g<2>"
    text, count = re.subn(pattern, other, metadata.read_text())
    assert count == 1
    metadata.write_text(text)
    with pytest.raises(SceneError, match="expected numbers|expected finite numbers"):
        open_scene(product)


def test_a_transform_without_size_is_refused(make_scene: Make) -> None:
    path = make_scene(PIXELS, transform=Affine(1e-300, 0, 0, 0, -1e-300, 0))
    with pytest.raises(SceneError, match="whose pixels have no size"):
        open_scene(path)
    with pytest.raises(ValueError, match="pixels of some size"):
        Grid(height=64, width=64, transform=Affine(NAN, 0, 0, 0, -1, 0), crs=None)


def test_overflowing_weights_label_nothing(random_model: Path) -> None:
    with pytest.raises(ModelError, match="numbers overflow"):
        softmax(torch.tensor([[INF, 1.0]]), 1.0, dim=1)
    model = load_model(random_model)
    with torch.no_grad():
        model.network.last_layer.weight.fill_(3e38)
    with pytest.raises(ModelError, match="numbers overflow"):
        Classifier(model, device="cpu").predict(np.full((2, 3, 64, 64), 200, np.uint8))


def test_a_pixel_size_that_no_model_has() -> None:
    with pytest.raises(ValueError, match=r"contract.gsd_m: Expected `float` >= 0\.1"):
        Contract.from_json({**make_contract().to_json(), "gsd_m": 0.01})


def test_a_map_without_one_cell_is_none(make_scene: Make, random_model: Path) -> None:
    path = make_scene(np.zeros((3, 128, 128), np.uint8))
    model = load_model(random_model)
    with pytest.raises(SceneError, match=r"not one cell of .* could be classified \(0% are masked"):
        map_scene(path, model)
    forced = MapSettings(frame=FrameSettings(force=True))
    assert (map_scene(path, model, settings=forced).class_id == 255).all()


def test_one_bit_is_no_scene(tmp_path: Path) -> None:
    path = tmp_path / "bits.tif"
    settings = {"driver": "GTiff", "count": 3, "height": 70, "width": 90, "dtype": "uint8"}
    with rasterio.open(
        path, "w", nbits=1, crs="EPSG:32633", transform=Affine(10, 0, 0, 0, -10, 0), **settings
    ) as file:
        file.write(PIXELS.astype(np.uint8) % 2)
    with pytest.raises(SceneError, match="bands of 1 bit"):
        open_scene(path)


def test_a_small_file_takes_no_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=30_000, width=30_000, dtype="uint8",
        blockxsize=30_000, blockysize=30_000, tiled=True, interleave="pixel", compress="deflate",
        sparse_ok=True, photometric="rgb", crs="EPSG:32633", transform=Affine(10, 0, 0, 0, -10, 0),
    ):  # fmt: skip
        pass
    assert path.stat().st_size < 2000
    with pytest.raises(SceneError, match=r"blocks of 30000×30000 pixels, which take 2.7 GB"):
        open_scene(path)
