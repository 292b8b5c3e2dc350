"""The tutorial's network, layer for layer, and the small one."""

import pytest
import torch
from torch import nn

from geoclass.contract import Arch
from geoclass.model.networks import CustomNet, FineTileNet, TileNet, build_network


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_customnet_is_the_tutorials() -> None:
    with torch.device("meta"):  # shapes without 1.8 GB of weights
        network = CustomNet()
    assert count(network) == 442_415_114
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters() if p.ndim > 1}
    assert shapes == {
        "conv1.weight": (64, 3, 3, 3),
        "conv2.weight": (128, 64, 3, 3),
        "conv3.weight": (256, 128, 3, 3),
        "fc1.weight": (2048, 215_296),
        "fc2.weight": (512, 2048),
        "fc3.weight": (128, 512),
        "fc4.weight": (10, 128),
    }
    assert (network.dropout1.p, network.dropout2.p) == (0.25, 0.5)
    with torch.device("meta"):
        assert network(torch.empty(2, 3, 64, 64)).shape == (2, 10)


def test_customnet_returns_log_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    linear = nn.Linear

    def narrow(width_in: int, width_out: int) -> nn.Linear:
        """The widest layer at a 64th of its width: 27 MB instead of 1.8 GB."""
        return linear(32 if width_in == 2048 else width_in, 32 if width_out == 2048 else width_out)

    monkeypatch.setattr(nn, "Linear", narrow)
    out = CustomNet().eval()(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(out.exp().sum(dim=1), torch.ones(2))


def test_tilenet_is_small() -> None:
    network = TileNet()
    assert count(network) == 1_238_826
    assert network.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


def test_fine_tilenet_is_smaller_still() -> None:
    network = FineTileNet()
    assert count(network) == 848_290
    assert network.stem(torch.zeros(2, 3, 64, 64)).shape == (2, 24, 64, 64)
    assert network.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


@pytest.mark.parametrize("kind", [TileNet, FineTileNet])
def test_tilenet_takes_any_size(kind: type[TileNet]) -> None:
    network = kind().eval()
    assert network.stages(network.stem(torch.zeros(1, 3, 96, 160))).shape == (1, 192, 12, 20)


@pytest.mark.parametrize("classes", [2, 17])
@pytest.mark.parametrize("arch", ["tilenet", "tilenet-fine"])
def test_networks_for_other_classes(arch: Arch, classes: int) -> None:
    network = build_network(arch, classes).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, classes)
