"""What bfloat16 leaves open is looked at again in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from geoclass.model import classifier as classifiers
from geoclass.model.checkpoint import load_model
from geoclass.model.classifier import Classifier, Prediction
from geoclass.model.fused import FusedTileNet
from geoclass.model.second_look import (
    ENERGY_MARGIN,
    FEATURES_MARGIN,
    LOGITS_MARGIN,
    find_borderline,
    find_close,
)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 3, 64, 64)).astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_classes_are_close_by_their_logits_whatever_the_temperature(temperature: float) -> None:
    margin = LOGITS_MARGIN
    logits = torch.tensor(
        [[5, 5, 0], [5, 5 - 0.9 * margin, 0], [5 - 1.1 * margin, 0, 5], [90, 0, -90]]
    )
    probabilities = torch.softmax(logits / temperature, dim=1)
    assert find_close(probabilities, temperature).tolist() == [True, True, False, False]


def test_borderline_is_a_score_that_decides_near_its_threshold() -> None:
    novelty = load_model().novelty
    assert novelty is not None
    energy, features, pixels = novelty.thresholds.tolist()
    scores = torch.tensor(
        [
            [energy - 1, features / 2, pixels / 2],
            [energy - 0.9 * ENERGY_MARGIN, features / 2, pixels / 2],
            [energy + 0.9 * ENERGY_MARGIN, features / 2, pixels / 2],
            [energy + 1.1 * ENERGY_MARGIN, features / 2, pixels / 2],
            [energy - 1, features * (1 - 0.9 * FEATURES_MARGIN), pixels / 2],
            [energy - 1, features * (1 + 1.1 * FEATURES_MARGIN), pixels / 2],
            [energy, features, 2 * pixels],  # unknown in any case
            [energy - 1, features / 2, pixels + 1e-6],  # the same number in either precision
        ]
    )
    expected = [False, True, True, False, True, False, False, False]
    assert find_borderline(novelty, scores).tolist() == expected


def label(path: Path, images: np.ndarray, precision: str, **settings: object) -> Prediction:
    return Classifier(load_model(path), device="cpu", precision=precision, **settings).predict(
        images
    )


@pytest.mark.parametrize("symmetries", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 128])
def test_doubtful_tiles_alone_are_computed_in_float32(
    random_model: Path,
    images: np.ndarray,
    batch_size: int,
    symmetries: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However tiles are batched, each keeps its own numbers and its place."""
    wanted = np.isin(np.arange(len(images)), (0, 3, 7))
    brightness = torch.from_numpy(images[wanted]).float().mean(dim=(1, 2, 3))
    way = {"symmetries": symmetries}
    full = label(random_model, images, "fp32", **way).probabilities
    look = Classifier._look

    def doubt_some(self: Classifier, network: FusedTileNet, tiles: Tensor) -> classifiers._Look:
        found = look(self, network, tiles)
        mean = tiles.float().mean(dim=(1, 2, 3))
        found.doubtful[:] = (mean[:, None] == brightness).any(dim=1)
        return found

    monkeypatch.setattr(classifiers, "find_close", lambda p, _: torch.zeros(len(p), dtype=bool))
    half = label(random_model, images, "bf16", **way).probabilities
    assert (half != full).any(axis=1).all()
    monkeypatch.setattr(Classifier, "_look", doubt_some)
    both = label(random_model, images, "bf16", batch_size=batch_size, **way).probabilities
    np.testing.assert_allclose(both[wanted], full[wanted], atol=1e-6)
    np.testing.assert_allclose(both[~wanted], half[~wanted], atol=1e-6)


def test_float32_does_not_look_twice(
    random_model: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights find all classes nearly alike: every tile is doubtful."""
    seen: list[int] = []
    compute = FusedTileNet.features

    def count(self: FusedTileNet, tiles: Tensor) -> Tensor:
        seen.append(len(tiles))
        return compute(self, tiles)

    monkeypatch.setattr(FusedTileNet, "features", count)
    for precision, times in (("fp32", 1), ("bf16", 2)):
        seen.clear()
        label(random_model, images, precision)
        assert sum(seen) == times * len(images)
