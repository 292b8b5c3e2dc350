"""Maps whose tiles share features: bands and edges do not show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from geoclass.errors import SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.legend import NODATA
from geoclass.mapping import bands
from geoclass.mapping.pipeline import run_map
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import load_model
from geoclass.model.classifier import Classifier
from tests.conftest import assert_equal_maps

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(load_model(), device="cpu", precision="fp32")


@pytest.fixture
def scene(make_scene: Make) -> Path:
    """700 × 420 pixels of soft colours, with a hole."""
    soft = np.random.default_rng(0).uniform(20, 235, (3, 24, 15))
    pixels = np.stack([zoom(band, (700 / 24, 420 / 15), order=1) for band in soft]).astype(np.uint8)
    pixels[:, 300:380, 100:150] = 0
    return make_scene(pixels)


def map_file(
    path: Path, classifier: Classifier, strip_pixels: int = 10**9, **settings: Any
) -> LandCoverMap:
    plan = plan_map(path, classifier.contract, "ab" * 32, MapSettings(fast=True, **settings))
    return run_map(plan, classifier, strip_pixels=strip_pixels)


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_bands_do_not_show(
    scene: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    """Strips change nothing at all; other bands no more than the order of sums does."""
    whole = map_file(scene, classifier, stride=stride)
    assert (whole.class_id != NODATA).mean() > 0.9
    assert_equal_maps(map_file(scene, classifier, 1, stride=stride), whole)
    monkeypatch.setattr(bands, "BAND_ROWS", 192)
    parts = map_file(scene, classifier, stride=stride)
    np.testing.assert_array_equal(parts.valid_share, whole.valid_share)
    away = np.abs(parts.probabilities.astype(int) - whole.probabilities)
    assert away.max() <= 1


def test_tiles_that_miss_pixels_are_labelled_alone(scene: Path, classifier: Classifier) -> None:
    """Their labels are those without --fast; others see their neighbours."""
    fast = map_file(scene, classifier, stride=32)
    plan = plan_map(scene, classifier.contract, "ab" * 32, MapSettings(stride=32))
    slow = run_map(plan, classifier)
    np.testing.assert_array_equal(fast.class_id == NODATA, slow.class_id == NODATA)
    same = (fast.probabilities == slow.probabilities).all(axis=2)
    assert same[9:12, 3:5].all()  # around the hole
    assert not same[2:-2, 7:-2].all()


def test_narrow_scenes_are_labelled_tile_by_tile(make_scene: Make, classifier: Classifier) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (3, 200, 500)).astype(np.uint8)
    path = make_scene(pixels)
    plan = plan_map(path, classifier.contract, "ab" * 32, MapSettings(stride=32))
    np.testing.assert_array_equal(
        map_file(path, classifier, stride=32).probabilities,
        run_map(plan, classifier).probabilities,
    )


def test_networks_that_share_nothing_are_refused_by_the_plan(
    make_scene: Make, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the scene, so that a dry run knows it, too."""
    monkeypatch.setattr(classifier, "_network", torch.nn.Identity())
    path = make_scene(np.full((3, 64, 64), 90, np.uint8))
    settings = MapSettings(fast=True, stride=32)
    with pytest.raises(SettingsError, match="only TileNet has features"):
        plan_map(path, classifier.contract, "ab" * 32, settings, classifier=classifier)


@pytest.mark.parametrize("stride", [None, 64, 4])
def test_strides_without_features_to_share_are_refused(
    scene: Path, classifier: Classifier, stride: int | None
) -> None:
    with pytest.raises(SettingsError, match="give --stride 32, 16 or 8 with --fast"):
        map_file(scene, classifier, stride=stride)
    with pytest.raises(SettingsError, match="cannot be turned"):
        MapSettings(fast=True, symmetries=True)
