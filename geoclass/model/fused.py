"""Networks as they are put to work: the same function in fewer passes over memory.

The normalisation's scale and the batch norms become part of the convolutions, ReLU is applied
as a convolution writes its result, and everything may run in half the bits. The plain networks
in `networks` stay what is trained and stored.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geoclass.model.convolution import Convolution, scale_input, without_shift
from geoclass.model.networks import (
    MARGIN,
    CustomNet,
    DenseTileNet,
    Network,
    ResidualBlock,
    TileNet,
    enlarge,
)


def fuse(
    network: Network,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
    device: torch.device,
) -> FusedNetwork:
    """The network with its normalisation, for inference; `network` itself is left as it is."""
    kinds: Mapping[type[Network], type[FusedCustomNet | FusedTileNet]] = {
        CustomNet: FusedCustomNet,
        DenseTileNet: FusedDenseNet,
    }
    kind = kinds.get(type(network), FusedTileNet)
    with torch.inference_mode():
        return kind(network, mean, std, dtype).eval().to(device)


class FusedNetwork(nn.Module):
    """What every network here can do once it is fused."""

    shift: Tensor
    in_cache: ClassVar[int]
    """Tiles whose feature maps a processor's caches hold: convolved together, by one core."""

    def __init__(self, mean: Sequence[float], dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        # Subtracted, not folded into the first bias: a padded border then means what it meant
        # in training, and small differences from the mean keep all their bits.
        self.register_buffer("shift", 255 * torch.tensor(mean).reshape(1, -1, 1, 1))

    def features(self, tiles: Tensor) -> Tensor:
        """Uint8 or float (n, 3, s, s), 0–255, to what the last layer decides by, float32 (n, f)."""
        at_once = self.in_cache if tiles.device.type == "cpu" else max(1, len(tiles))
        parts = [self._convolve(self._shift(part)) for part in tiles.split(at_once)]
        return self._connect(torch.cat(parts))

    def _shift(self, pixels: Tensor) -> Tensor:
        """Uint8 or float (n, 3, h, w), 0–255, to float32 about 0."""
        return pixels.to(dtype=torch.float32, memory_format=torch.channels_last) - self.shift

    def decide(self, features: Tensor) -> Tensor:
        """Features float32 (n, f) to logits float32 (n, classes)."""
        raise NotImplementedError

    def _convolve(self, x: Tensor) -> Tensor:
        """Float32 (n, 3, s, s), the shift subtracted, to one vector a tile, (n, m)."""
        raise NotImplementedError

    def _connect(self, x: Tensor) -> Tensor:
        """The vectors of all tiles (n, m) to features float32 (n, f)."""
        raise NotImplementedError


class FusedTileNet(FusedNetwork):
    """TileNet without its batch norms."""

    in_cache = 32

    def __init__(
        self, network: Network, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
    ) -> None:
        assert isinstance(network, TileNet)
        super().__init__(mean, dtype)
        first, norm, _ = network.stem
        # In float32: a hundredth of the work, and half of what bfloat16 would be off by.
        self.stem = Convolution(scale_input(first, std), norm, torch.float32)
        self.blocks = nn.ModuleList(_FusedBlock(block, dtype) for block in network.stages)
        self.head = copy.deepcopy(network.head)

    def convolve(self, x: Tensor) -> Tensor:
        """Float32 (n, 3, h, w), the shift subtracted, to (n, 192, h / 8, w / 8)."""
        x = self.stem(x).to(self._dtype)
        for block in self.blocks:
            x = block(x)
        return x

    def _convolve(self, x: Tensor) -> Tensor:
        return self.convolve(x).mean(dim=(2, 3), dtype=torch.float32)

    def _connect(self, x: Tensor) -> Tensor:
        return x

    def decide(self, features: Tensor) -> Tensor:
        """Features float32 (n, 192) to logits float32 (n, classes)."""
        logits: Tensor = self.head(features)
        return logits


REACH = 4
"""Rows of pixels around those that the stem and the first block look at."""


class FusedDenseNet(FusedTileNet):
    """DenseTileNet without its batch norms."""

    in_cache = 16
    rows_in_cache = 128

    def __init__(
        self, network: Network, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
    ) -> None:
        assert isinstance(network, DenseTileNet)
        super().__init__(network, mean, std, dtype)
        mix, mix_norm, _ = network.mix
        self.context = _FusedBlock(network.context, dtype)
        # One norm follows the sum of three: each has its scale, the first its shift as well.
        self.from_fine = Convolution(network.from_fine, network.norm, dtype)
        self.from_deep, self.from_context = (
            Convolution(without_shift(conv, network.norm), None, dtype, relu=False)
            for conv in (network.from_deep, network.from_context)
        )
        self.mix = Convolution(mix, mix_norm, dtype)
        self.cells = Convolution(network.cells, None, dtype, relu=False)

    def survey(self, pixels: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of cells and features of tiles, as `DenseTileNet.survey` gives them.

        `pixels` are uint8 (n, 3, h, w), `valid` is bool (n, h, w): all else is to the network as
        what lies beyond the borders of its training, the mean.
        """
        fine = self._begin(pixels, valid)
        for block in self.blocks[1:-1]:
            fine = block(fine)
        deep = self.blocks[-1](fine)
        around = enlarge(self.from_context(self.context(deep)))
        y = enlarge(self.from_deep(deep).add_(around))
        return self.cells(self.mix(self.from_fine(fine, y))).float(), deep

    def _begin(self, pixels: Tensor, valid: Tensor) -> Tensor:
        """What the first block makes of pixels, (n, 48, h / 2, w / 2).

        Rows by rows: in full resolution their features would take most of a window's memory, and
        lie in no cache.
        """
        height, on_cpu = pixels.shape[2], pixels.device.type == "cpu"
        rows = self.rows_in_cache if on_cpu else height
        parts = []
        for top in range(0, height, rows):
            first, last = max(0, top - REACH), min(height, top + rows + REACH)
            x = self._shift(pixels[:, :, first:last]) * valid[:, None, first:last]
            y = self.blocks[0](self.stem(x).to(self._dtype))
            parts.append(y[:, :, (top - first) // 2 :][:, :, : rows // 2])
        return torch.cat(parts, dim=2)

    def _convolve(self, x: Tensor) -> Tensor:
        deep = self.convolve(F.pad(x, (MARGIN,) * 4, mode="reflect"))
        inner = MARGIN // 8
        return deep[:, :, inner:-inner, inner:-inner].mean(dim=(2, 3), dtype=torch.float32)


class FusedCustomNet(FusedNetwork):
    """CustomNet, whose first linear layer takes pixels in the order that they lie in memory."""

    in_cache = 8

    def __init__(
        self, network: Network, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
    ) -> None:
        assert isinstance(network, CustomNet)
        super().__init__(mean, dtype)
        self.conv1 = Convolution(scale_input(network.conv1, std), None, dtype)
        self.conv2 = Convolution(network.conv2, None, dtype)
        self.conv3 = Convolution(network.conv3, None, dtype)
        weight, bias = network.fc1.weight, network.fc1.bias
        by_channel = weight.to(dtype).reshape(len(weight), network.conv3.out_channels, -1)
        self.fc1 = _make_linear(by_channel.transpose(1, 2).flatten(1), bias.to(dtype))
        self.fc2 = _make_linear(network.fc2.weight.to(dtype), network.fc2.bias.to(dtype))
        self.fc3 = _make_linear(network.fc3.weight.to(dtype), network.fc3.bias.to(dtype))
        self.fc4 = copy.deepcopy(network.fc4)

    def _convolve(self, x: Tensor) -> Tensor:
        x = self.conv3(self.conv2(self.conv1(x.to(self._dtype))))
        # The greatest of four, as max_pool2d, which is slow where channels lie last.
        above, below = x[:, :, ::2], x[:, :, 1::2]
        x = torch.maximum(above, below)
        x = torch.maximum(x[..., ::2], x[..., 1::2])
        return x.permute(0, 2, 3, 1).flatten(1)  # n, 215296

    def _connect(self, x: Tensor) -> Tensor:
        x = F.relu_(self.fc2(F.relu_(self.fc1(x))))
        return F.relu_(self.fc3(x)).float()

    def decide(self, features: Tensor) -> Tensor:
        """Features float32 (n, 128) to logits float32 (n, classes)."""
        logits: Tensor = self.fc4(features)
        return logits


class _FusedBlock(nn.Module):
    """A residual block of TileNet."""

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        assert isinstance(block, ResidualBlock)
        self.conv1 = Convolution(block.conv1, block.norm1, dtype)
        self.conv2 = Convolution(block.conv2, block.norm2, dtype)
        self.shrink: nn.Module = nn.Identity()
        self.widen: nn.Module = nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            self.shrink, conv, norm = block.shortcut
            self.widen = Convolution(conv, norm, dtype, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        beside: Tensor = self.widen(self.shrink(x))
        out: Tensor = self.conv2(self.conv1(x), beside)
        return out


def _make_linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer of given weights (out, in), which it does not copy."""
    layer = nn.Linear(1, 1)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer
