"""Fused networks for inference: the same function with fewer passes over memory.

The scale of the normalisation and the batch norms are folded into the convolutions, which also
apply ReLU; bfloat16 is possible. The networks in `networks` are trained and stored.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from geoclass.model.networks import (
    CELL,
    FINE_BLOCKS,
    MARGIN,
    DenseTileNet,
    ResidualBlock,
    TileNet,
    enlarge,
)


def fuse(
    network: TileNet,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
    device: torch.device,
) -> FusedTileNet:
    """A fused copy of the network, including its normalisation."""
    kind = FusedDenseNet if isinstance(network, DenseTileNet) else FusedTileNet
    with torch.inference_mode():
        return kind(network, mean, std, dtype).eval().to(device)


class FusedTileNet(nn.Module):
    """TileNet without its batch norms."""

    shift: Tensor
    in_cache: ClassVar[int] = 32
    """Tiles whose feature maps fit into a core's caches."""

    def __init__(
        self, network: TileNet, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
    ) -> None:
        super().__init__()
        first, norm, _ = network.stem
        self._dtype = dtype
        # Subtracted, not folded into the first bias: padding keeps its meaning, and small
        # differences from the mean keep their precision.
        self.register_buffer("shift", 255 * torch.tensor(mean).reshape(1, -1, 1, 1))
        # The stem stays in float32: 1 % of the work, but half of the rounding error of bfloat16.
        self.stem = Convolution(_scale_input(first, std), norm, torch.float32)
        self.blocks = nn.ModuleList(_FusedBlock(block, dtype) for block in network.stages)
        self.head = copy.deepcopy(network.head)

    def features(self, tiles: Tensor) -> Tensor:
        """Uint8 or float (n, 3, s, s), 0–255, to features float32 (n, 192)."""
        at_once = self.in_cache if tiles.device.type == "cpu" else max(1, len(tiles))
        return torch.cat([self._describe(self._shift(part)) for part in tiles.split(at_once)])

    def _shift(self, pixels: Tensor) -> Tensor:
        """Uint8 or float (n, 3, h, w), 0–255, to float32 about 0."""
        return pixels.to(dtype=torch.float32, memory_format=torch.channels_last) - self.shift

    def decide(self, features: Tensor) -> Tensor:
        """Features float32 (n, 192) to logits float32 (n, classes)."""
        return self.head(features)

    def convolve(self, x: Tensor) -> Tensor:
        """Float32 (n, 3, h, w), the shift subtracted, to (n, 192, h / 8, w / 8)."""
        x = self.stem(x).to(self._dtype)
        for block in self.blocks:
            x = block(x)
        return x

    def _describe(self, x: Tensor) -> Tensor:
        """Float32 (n, 3, s, s), the shift subtracted, to the inputs of the last layer."""
        return self.convolve(x).mean(dim=(2, 3), dtype=torch.float32)


REACH = 4
"""Receptive field of the stem and the first block, in rows on each side."""


class FusedDenseNet(FusedTileNet):
    """DenseTileNet without its batch norms."""

    in_cache = 16
    rows_in_cache = 128
    """Rows of pixels whose features of full resolution fit into a core's caches."""

    def __init__(
        self, network: TileNet, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
    ) -> None:
        assert isinstance(network, DenseTileNet)
        super().__init__(network, mean, std, dtype)
        mix, mix_norm, _ = network.mix
        self.context = _FusedBlock(network.context, dtype)
        # A norm follows the sum of three terms: its scale applies to each, its shift to the first.
        self.from_fine = Convolution(network.from_fine, network.norm, dtype)
        self.from_deep, self.from_context = (
            Convolution(_without_shift(conv, network.norm), None, dtype, relu=False)
            for conv in (network.from_deep, network.from_context)
        )
        self.mix = Convolution(mix, mix_norm, dtype)
        self.cells = Convolution(network.cells, None, dtype, relu=False)

    def forward_dense(self, pixels: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of cells and features, as `DenseTileNet.forward_dense`.

        `pixels` are uint8 (n, 3, h, w); where `valid`, bool (n, h, w), is False, the mean replaces
        them.
        """
        fine = self._begin(pixels, valid)
        for block in self.blocks[1:-1]:
            fine = block(fine)
        deep = self.blocks[-1](fine)
        coarse = self.from_deep(deep).add_(enlarge(self.from_context(self.context(deep))))
        return self._classify_cells(fine, coarse).float(), deep

    def _classify_cells(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Logits of cells, from features of them and, of half the height, of their surroundings.

        Computed in strips, with two more rows of cells on either side: the 3×3 convolution needs
        one, and strips of features an even number.
        """
        height, rows = fine.shape[2], self._strip_rows(fine) // CELL
        parts = []
        for top in range(0, height, rows):
            first, last = max(0, top - 2), min(height, top + rows + 2)
            # A strip's own first and last rows are interpolated without their neighbours.
            above = max(0, first // 2 - 1)
            y = enlarge(coarse[:, :, above : last // 2 + 1])[:, :, first - 2 * above :]
            y = self.from_fine(fine[:, :, first:last], y[:, :, : last - first])
            parts.append(self.cells(self.mix(y))[:, :, top - first :][:, :, :rows])
        return torch.cat(parts, dim=2)

    def _strip_rows(self, x: Tensor) -> int:
        """Rows of pixels per strip; a GPU takes them all."""
        return self.rows_in_cache if x.device.type == "cpu" else 1 << 30

    def _begin(self, pixels: Tensor, valid: Tensor) -> Tensor:
        """Output of the first block, (n, 48, h / 2, w / 2).

        Computed in strips: features of full resolution would not fit into the caches.
        """
        n, _, height, width = pixels.shape
        rows, features = self._strip_rows(pixels), FINE_BLOCKS[0][0]
        result = torch.empty(
            (n, features, height // 2, width // 2),
            dtype=self._dtype,
            device=pixels.device,
            memory_format=torch.channels_last,
        )
        for top in range(0, height, rows):
            first, last = max(0, top - REACH), min(height, top + rows + REACH)
            x = self._shift(pixels[:, :, first:last]) * valid[:, None, first:last]
            y = self.blocks[0](self.stem(x).to(self._dtype))
            part = result[:, :, top // 2 :][:, :, : rows // 2]
            part.copy_(y[:, :, (top - first) // 2 :][:, :, : rows // 2])
        return result

    def _describe(self, x: Tensor) -> Tensor:
        deep = self.convolve(F.pad(x, (MARGIN,) * 4, mode="reflect"))
        inner = MARGIN // 8
        return deep[:, :, inner:-inner, inner:-inner].mean(dim=(2, 3), dtype=torch.float32)


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
        shortcut: Tensor = self.widen(self.shrink(x))
        return self.conv2(self.conv1(x), shortcut)


class Convolution(nn.Module):
    """Convolution, batch norm, sum with a shortcut and ReLU, in one pass if possible."""

    def __init__(
        self,
        conv: nn.Module,
        norm: nn.Module | None,
        dtype: torch.dtype,
        *,
        relu: bool = True,
    ) -> None:
        super().__init__()
        assert isinstance(conv, nn.Conv2d)
        fused = copy.deepcopy(conv).eval() if norm is None else _fold(conv, norm)
        self.conv = fused.to(dtype)
        convert_conv2d_weight_memory_format(self.conv, torch.channels_last)
        self.relu = relu
        self._packed: Tensor | None = None

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Float (n, c, h, w) to (n, channels, …); `shortcut` is overwritten."""
        if x.device.type == "cpu" and has_one_pass(x.dtype):
            return self._in_one_pass(x, shortcut)
        y: Tensor = self.conv(x)
        y = y if shortcut is None else y.add_(shortcut)
        return F.relu_(y) if self.relu else y

    def _in_one_pass(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        """The operations that torch.compile would generate."""
        conv, mkldnn = self.conv, torch.ops.mkldnn
        shape = (conv.padding, conv.stride, conv.dilation, conv.groups)
        if self._packed is None:  # memory layout for the processor's instructions
            self._packed = mkldnn._reorder_convolution_weight(conv.weight, *shape, x.shape)  # noqa: SLF001
        relu = "relu" if self.relu else None
        if shortcut is None:
            y: Tensor = mkldnn._convolution_pointwise(  # noqa: SLF001
                x, self._packed, conv.bias, *shape, relu or "none", [], ""
            )
        else:
            y = mkldnn._convolution_pointwise_.binary(
                shortcut, x, self._packed, conv.bias, *shape, "add", 1.0, relu, [], ""
            )
        return y


def has_one_pass(dtype: torch.dtype) -> bool:
    """Whether oneDNN fuses these operations; it does not for bfloat16 with AVX2."""
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001
        return False
    return bool(torch.backends.mkldnn.is_available())


def _fold(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """Fold a batch norm into a convolution."""
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(copy.deepcopy(conv).eval(), copy.deepcopy(norm).eval())


def _without_shift(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution with only the scale of the norm."""
    fused = _fold(conv, norm)
    fused.bias = None
    return fused


def _scale_input(conv: nn.Module, std: Sequence[float]) -> nn.Conv2d:
    """The first convolution with the division by 255 · std."""
    assert isinstance(conv, nn.Conv2d)
    scaled = copy.deepcopy(conv)
    scaled.weight = nn.Parameter(conv.weight / (255 * torch.tensor(std)).reshape(1, -1, 1, 1))
    return scaled
