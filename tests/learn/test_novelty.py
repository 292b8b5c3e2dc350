"""Fitting what tiles are like, and noticing those that are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from geoclass.learn.dataset import read_tiles
from geoclass.learn.finishing import (
    choose_thresholds,
    fit_gaussians,
    fit_neighbours,
    fit_novelty,
)
from geoclass.learn.recipes import RECIPES
from geoclass.learn.splits import split_randomly
from geoclass.learn.training import train_model
from geoclass.model.checkpoint import load_model
from geoclass.model.classifier import Classifier, compute_outputs
from geoclass.model.networks import TileNet
from geoclass.model.ood import NEAREST, describe_pixels

Make = Callable[..., Path]


def test_distance_is_that_of_mahalanobis_from_the_nearest_class() -> None:
    rng = np.random.default_rng(0)
    shape = np.array([[2.0, 0.5], [0.5, 1.0]])
    centres = [np.zeros(2), np.array([6.0, 1.0])]
    drawn = [rng.multivariate_normal(m, shape, 20_000) for m in centres]
    x = torch.from_numpy(np.concatenate(drawn)).float()
    fitted = fit_gaussians(x, torch.arange(2).repeat_interleave(20_000))
    points = np.array([[0.0, 0.0], [6.0, 1.0], [3.0, 4.0], [20.0, -20.0]])
    inverse = np.linalg.inv(shape)
    expected = [min(mahalanobis(p, m, inverse) ** 2 for m in centres) for p in points]
    found = fitted.distance(torch.from_numpy(points).float())
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.01)


def test_class_of_one_tile_and_constant_columns_stay_finite() -> None:
    x = torch.zeros((10, 5))
    x[:, 0] = torch.arange(10.0)
    assert fit_gaussians(x, torch.tensor([0] * 9 + [1])).distance(x).isfinite().all()
    assert fit_neighbours(x).distance(x).isfinite().all()


def test_neighbours_are_counted_in_deviations() -> None:
    x = torch.randn((500, 2), generator=torch.Generator().manual_seed(0))
    fitted = fit_neighbours(x * torch.tensor([1.0, 100.0]) + 7)
    point = torch.tensor([[5.0, 0.0]])
    expected = torch.cdist(point, (x - x.mean(dim=0)) / x.std(dim=0)).sort().values[:, NEAREST - 1]
    given = point * x.std(dim=0) * torch.tensor([1.0, 100.0])
    found = fitted.distance(given + fitted.means)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_fewer_tiles_than_neighbours_do() -> None:
    fitted = fit_neighbours(torch.tensor([[0.0], [1.0]]))
    assert fitted.distance(torch.tensor([[0.5]])).isfinite().all()


@pytest.mark.parametrize("overlap", [0.0, 1.0])
def test_thresholds_leave_the_share_asked_for(overlap: float) -> None:
    own = torch.randn((20_000, 3), generator=torch.Generator().manual_seed(0))
    scores = overlap * own[:, :1] + (1 - overlap) * own
    thresholds = choose_thresholds(scores, 0.01, (1, 1, 4))
    above = (scores > thresholds).double()
    assert above.amax(dim=1).mean() == pytest.approx(0.01, abs=5e-4)
    energy, features, pixels = above.mean(dim=0).tolist()
    assert energy == pytest.approx(features, abs=2e-4)
    assert pixels == pytest.approx(4 * energy, rel=0.1)


def test_statistics_by_hand() -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (4, 3, 8, 8)).astype(np.float32)
    out = describe_pixels(torch.from_numpy(tiles)).numpy()
    flat = tiles.reshape(4, 3, 64)
    np.testing.assert_allclose(out[:, :3], np.log1p(flat.mean(axis=2)), rtol=1e-5)
    np.testing.assert_allclose(out[:, 3:6], np.log1p(flat.std(axis=2)), rtol=1e-5)
    steps = np.abs(np.diff(tiles)).mean(axis=(2, 3)) + np.abs(np.diff(tiles, axis=2)).mean((2, 3))
    np.testing.assert_allclose(out[:, 6:9], np.log1p(steps / 2), rtol=1e-5)
    np.testing.assert_allclose(out[:, 9:12], np.log1p(flat.min(axis=2)), rtol=1e-5)
    np.testing.assert_allclose(out[:, 12:15], np.log1p(flat.max(axis=2)), rtol=1e-5)
    np.testing.assert_allclose(out[:, 15:18], flat.min(axis=2) / 20, rtol=1e-5)
    correlation = [np.corrcoef(tile)[[0, 1, 0], [1, 2, 2]] for tile in flat]
    np.testing.assert_allclose(np.tanh(out[:, 20:23]), correlation, atol=1e-3)
    assert out.shape == (4, 25)


def test_blank_tiles_have_finite_statistics() -> None:
    for value in (0.0, 255.0):
        assert describe_pixels(torch.full((2, 3, 64, 64), value)).isfinite().all()


def test_trained_model_knows_its_tiles_and_no_others(make_tiles: Make, tmp_path: Path) -> None:
    tiles = read_tiles(make_tiles(classes=3, each=40))
    split = split_randomly(tiles.labels)
    settings = replace(RECIPES["tilenet"], epochs=2, batch_size=16, ema_decay=None)
    output = tmp_path / "m.safetensors"
    train_model(tiles, split, settings, output, device=torch.device("cpu"))
    # Two epochs leave features that hardly vary: rounding to bf16 would be a strange thing there.
    classifier = Classifier(load_model(output), device="cpu", precision="fp32")
    assert classifier.predict(tiles.images[split.test]).unknown.mean() < 0.3
    noise = np.random.default_rng(0).integers(0, 256, (20, 3, 64, 64)).astype(np.uint8)
    for strange in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        assert classifier.predict(strange).unknown.all()


@pytest.mark.parametrize("each", [4, 20])
def test_few_tiles_do_not_make_their_like_unknown(each: int) -> None:
    """By a fit to themselves, which tells nothing of others, four in five would be with 20."""
    torch.manual_seed(0)
    network, look = TileNet(3).eval(), {"mean": (0.3, 0.3, 0.3), "std": (0.2, 0.2, 0.2)}
    (training, labels), (validation, _), (others, _) = (
        draw_tiles(n, seed) for seed, n in enumerate((each, 1, 100))
    )
    novelty = fit_novelty(network, training, labels, validation, **look)
    features, logits = compute_outputs(network, others, batch_size=100, **look)
    scores = novelty.score(others.float(), features, logits)
    unknown = (scores > novelty.thresholds).any(dim=1)
    assert unknown.float().mean() < 0.1


def draw_tiles(each: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy tiles of three colours, each a little brighter or darker, and their classes."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), each)
    colors = np.array([[60, 90, 50], [120, 100, 80], [30, 50, 90]])[labels][:, :, None, None]
    light = generator.normal(0, 8, (len(labels), 3, 1, 1))
    noise = generator.normal(0, 12, (len(labels), 3, 64, 64))
    tiles = np.clip(colors + light + noise, 0, 255).astype(np.uint8)
    return torch.from_numpy(tiles), torch.from_numpy(labels)
