"""Steps of Muon, and which weights take them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from geoclass.learn.recipes import RECIPES
from geoclass.learn.schedule import ConvolutionMuon, build_optimizers, orthogonalise
from geoclass.model.networks import TileNet

FORMATS = [torch.contiguous_format, torch.channels_last]


def make_weight(memory_format: torch.memory_format) -> nn.Parameter:
    torch.manual_seed(0)
    return nn.Parameter(torch.randn(8, 4, 3, 3).contiguous(memory_format=memory_format))


@pytest.mark.parametrize("memory_format", FORMATS)
def test_all_directions_are_moved_alike(memory_format: torch.memory_format) -> None:
    """Whatever the gradient's singular values, those of the step lie close together."""
    weight = make_weight(memory_format)
    before = weight.detach().clone()
    gradient = torch.randn(8, 36)
    gradient[0] *= 1000
    weight.grad = gradient.reshape(8, 4, 3, 3)
    ConvolutionMuon([weight], learning_rate=1.0, weight_decay=0.0).step()
    sizes = torch.linalg.svdvals((weight.detach() - before).flatten(1))
    assert torch.linalg.svdvals(gradient).max() > 100 * torch.linalg.svdvals(gradient).min()
    assert sizes.max() < 2.5 * sizes.min()


def test_step_does_not_depend_on_how_weights_lie_in_memory() -> None:
    weights = [make_weight(memory_format) for memory_format in FORMATS]
    gradient = torch.randn(8, 4, 3, 3)
    for weight in weights:
        optimizer = ConvolutionMuon([weight], learning_rate=0.1, weight_decay=0.05)
        for _ in range(3):
            weight.grad = gradient
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1], atol=1e-5, rtol=0)
    assert (weights[0] - make_weight(FORMATS[0])).abs().max() > 0.05


def test_step_is_as_large_as_adams() -> None:
    """A matrix of root mean square .2 times the rate (Liu et al. 2025, eq. 4)."""
    weight = make_weight(torch.channels_last)
    before = weight.detach().clone()
    weight.grad = torch.randn(8, 4, 3, 3)
    ConvolutionMuon([weight], learning_rate=0.1, weight_decay=0.0).step()
    size = (weight.detach() - before).square().mean().sqrt()
    assert 0.1 * 0.2 * 0.6 < size < 0.1 * 0.2 * 1.4


@pytest.mark.parametrize("shape", [(16, 100), (100, 16), (16, 16)])
def test_orthogonalising_keeps_directions_and_evens_their_sizes(shape: tuple[int, int]) -> None:
    """U S Vᵀ becomes U Vᵀ, up to what five iterations leave."""
    torch.manual_seed(0)
    left, sizes, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    even = left.T @ orthogonalise((left * sizes) @ right) @ right.T
    assert even.diagonal().min() > 0.6
    assert even.diagonal().max() < 1.3
    off = even - even.diagonal().diag()
    assert off.abs().max() < 1e-4


def test_gradient_of_zeros_moves_nothing() -> None:
    weight = make_weight(torch.channels_last)
    weight.grad = torch.zeros_like(weight)
    ConvolutionMuon([weight], learning_rate=0.1, weight_decay=0.0).step()
    assert torch.equal(weight, make_weight(torch.channels_last))


def test_each_weight_has_one_optimizer() -> None:
    network = TileNet()
    convolutions, rest = build_optimizers(network, RECIPES["tilenet"])
    moved = sum(len(group["params"]) for group in rest.param_groups)
    hidden = convolutions.param_groups[0]["params"]
    assert len(hidden) + moved == len(list(network.parameters()))
    assert len(hidden) == 13  # two of each block, and three shortcuts
    left = [p for group in rest.param_groups for p in group["params"]]
    assert any(p is network.head.weight for p in left)
    assert any(p is network.stem[0].weight for p in left)
