"""Fused networks say what the plain ones say."""

import pytest
import torch
from torch import Tensor, nn

import geoclass.model.fused as module
from geoclass.model.classifier import normalise
from geoclass.model.fused import FusedDenseNet, fuse
from geoclass.model.networks import DenseTileNet, FineTileNet, TileNet

MEAN, STD = (0.34, 0.38, 0.41), (0.2, 0.14, 0.12)
CPU = torch.device("cpu")


@pytest.fixture
def tiles() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=generator)


def make_tilenet(kind: type[TileNet] = TileNet) -> TileNet:
    """With batch norms as training leaves them: of other mean and spread than fresh ones."""
    torch.manual_seed(0)
    network = kind().eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    return network


def make_fine_tilenet() -> TileNet:
    return make_tilenet(FineTileNet)


def make_dense_tilenet() -> TileNet:
    return make_tilenet(DenseTileNet)


def compute_plainly(network: TileNet, tiles: Tensor) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        features = network.features(normalise(tiles.float(), MEAN, STD))
        return features, network.decide(features)


def compute_fused(
    network: TileNet, tiles: Tensor, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    fused = fuse(network, mean=MEAN, std=STD, dtype=dtype, device=CPU)
    with torch.inference_mode():
        features = fused.features(tiles)
        return features, fused.decide(features)


@pytest.mark.parametrize("one_pass", [True, False])
@pytest.mark.parametrize("make", [make_tilenet, make_fine_tilenet, make_dense_tilenet])
def test_fused_network_is_the_plain_one(
    make, one_pass: bool, tiles: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the processor's fused operations and, as on a GPU, by plain ones."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: one_pass)
    network = make()
    for fused, plain in zip(
        compute_fused(network, tiles), compute_plainly(network, tiles), strict=True
    ):
        assert fused.dtype == torch.float32
        torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("one_pass", [True, False])
@pytest.mark.parametrize("rows", [16, 64, 1000])
def test_fused_survey_is_the_plain_one(
    one_pass: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows are computed at a time; what is not valid is 0, the mean."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: one_pass)
    monkeypatch.setattr(FusedDenseNet, "rows_in_cache", rows)
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 80, 112)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    valid = torch.rand((2, 80, 112), generator=generator) > 0.3
    network = make_dense_tilenet()
    fused = fuse(network, mean=MEAN, std=STD, dtype=torch.float32, device=CPU)
    with torch.inference_mode():
        plain = network.forward_dense(normalise(pixels.float(), MEAN, STD) * valid[:, None])
        for found, expected in zip(fused.forward_dense(pixels, valid), plain, strict=True):
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_half_the_bits_change_little(tiles: Tensor) -> None:
    network = make_tilenet()
    features, logits = compute_fused(network, tiles, torch.bfloat16)
    plain_features, plain_logits = compute_plainly(network, tiles)
    assert features.dtype == logits.dtype == torch.float32
    assert (features - plain_features).abs().max() < 0.02 * plain_features.abs().max()
    assert (logits - plain_logits).abs().max() < 0.02 * plain_logits.abs().max()


def test_half_the_bits_go_where_the_processor_lacks_them(
    tiles: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OneDNN's operations raise on processors without AVX-512; plain ones are slow there."""
    expected = compute_fused(make_tilenet(), tiles, torch.bfloat16)
    monkeypatch.setattr(module, "has_one_pass", lambda dtype: dtype != torch.bfloat16)
    for found, other in zip(
        compute_fused(make_tilenet(), tiles, torch.bfloat16), expected, strict=True
    ):
        assert (found - other).abs().max() < 0.02 * other.abs().max()


def test_network_itself_is_left_as_it_is(tiles: Tensor) -> None:
    network = make_tilenet()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    compute_fused(network, tiles, torch.bfloat16)
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name]), name


def test_batches_of_any_size_give_the_same(tiles: Tensor) -> None:
    """Weights are laid out for the first batch that comes."""
    fused = fuse(make_tilenet(), mean=MEAN, std=STD, dtype=torch.float32, device=CPU)
    with torch.inference_mode():
        one = torch.cat([fused.features(tile[None]) for tile in tiles])
        torch.testing.assert_close(fused.features(tiles), one, atol=1e-4, rtol=1e-4)
