"""Convolutions in one pass over memory, with all that follows them."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format


class Convolution(nn.Module):
    """A convolution, the batch norm after it, a sum with something beside it, and ReLU."""

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

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        """Float (n, c, h, w) to (n, channels, …); `beside` is used up."""
        if x.device.type == "cpu" and has_one_pass(x.dtype):
            return self._in_one_pass(x, beside)
        y: Tensor = self.conv(x)
        y = y if beside is None else y.add_(beside)
        return F.relu_(y) if self.relu else y

    def _in_one_pass(self, x: Tensor, beside: Tensor | None) -> Tensor:
        """The same by the operations that torch.compile makes of it, without its compiler."""
        conv, mkldnn = self.conv, torch.ops.mkldnn
        shape = (conv.padding, conv.stride, conv.dilation, conv.groups)
        if self._packed is None:  # in the order of the processor's instructions
            self._packed = mkldnn._reorder_convolution_weight(conv.weight, *shape, x.shape)  # noqa: SLF001
        relu = "relu" if self.relu else None
        if beside is None:
            y: Tensor = mkldnn._convolution_pointwise(  # noqa: SLF001
                x, self._packed, conv.bias, *shape, relu or "none", [], ""
            )
        else:
            y = mkldnn._convolution_pointwise_.binary(
                beside, x, self._packed, conv.bias, *shape, "add", 1.0, relu, [], ""
            )
        return y


def has_one_pass(dtype: torch.dtype) -> bool:
    """Whether the processor convolves, adds and clips in one operation; bfloat16 not by AVX2."""
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001
        return False
    return bool(torch.backends.mkldnn.is_available())


def _fold(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """A convolution that does what the two do."""
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(copy.deepcopy(conv).eval(), copy.deepcopy(norm).eval())


def without_shift(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution and the scale of the norm after it alone, for one of several terms."""
    fused = _fold(conv, norm)
    fused.bias = None
    return fused


def scale_input(conv: nn.Module, std: Sequence[float]) -> nn.Conv2d:
    """The first convolution, for pixels that have not been divided by 255 · std."""
    assert isinstance(conv, nn.Conv2d)
    scaled = copy.deepcopy(conv)
    scaled.weight = nn.Parameter(conv.weight / (255 * torch.tensor(std)).reshape(1, -1, 1, 1))
    return scaled
