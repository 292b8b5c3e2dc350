"""The networks: the tutorial's CustomNet and the small TileNets.

Input is float (n, 3, 64, 64), normalised; the softmax of the output (n, classes) are the class
probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geoclass.contract import Arch
from geoclass.errors import ModelError

ARCHS: tuple[Arch, ...] = get_args(Arch)
ARCHS_WITH_CELLS: tuple[Arch, ...] = ("tilenet-dense",)


class Network(nn.Module):
    """Base of all networks."""

    last: ClassVar[str]
    """Name of the linear layer with one row per class."""
    backbone: ClassVar[type[Network] | None] = None
    """A network whose layers are all part of this one; its weights can initialise this one."""

    @property
    def by_class(self) -> tuple[str, ...]:
        """Names of all layers with one row per class."""
        return (self.last,)

    @property
    def last_layer(self) -> nn.Linear:
        """The linear layer with one row per class."""
        layer = self.get_submodule(self.last)
        assert isinstance(layer, nn.Linear)
        return layer

    def features(self, x: Tensor) -> Tensor:
        """Float (n, 3, 64, 64) to the inputs of the last layer, (n, features)."""
        raise NotImplementedError

    def decide(self, features: Tensor) -> Tensor:
        """Features (n, features) to logits (n, classes)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, 3, 64, 64) to logits (n, classes)."""
        return self.decide(self.features(x))


class CustomNet(Network):
    """The tutorial's network, layer for layer: 442,415,114 parameters with ten classes."""

    last = "fc4"

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3)
        self.conv2 = nn.Conv2d(64, 128, 3)
        self.conv3 = nn.Conv2d(128, 256, 3)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(29 * 29 * 256, 2048)
        self.dropout2 = nn.Dropout(0.5)
        self.fc2 = nn.Linear(2048, 512)
        self.fc3 = nn.Linear(512, 128)
        self.fc4 = nn.Linear(128, classes)

    def features(self, x: Tensor) -> Tensor:
        """Float (n, 3, 64, 64) to (n, 128)."""
        x = F.relu(self.conv1(x))  # n, 64, 62, 62
        x = F.relu(self.conv2(x))  # n, 128, 60, 60
        x = F.relu(self.conv3(x))  # n, 256, 58, 58
        x = F.max_pool2d(x, 2)  # n, 256, 29, 29
        x = torch.flatten(self.dropout1(x), 1)  # n, 215296
        x = self.dropout2(F.relu(self.fc1(x)))  # n, 2048
        return F.relu(self.fc3(F.relu(self.fc2(x))))  # n, 128

    def decide(self, features: Tensor) -> Tensor:
        """Features (n, 128) to logits (n, classes)."""
        return self.fc4(features)

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, 3, 64, 64) to log-probabilities (n, classes), as in the tutorial."""
        return F.log_softmax(self.decide(self.features(x)), dim=1)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, basic block)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            # Averaging before the 1×1 convolution uses all pixels (He et al. 2019, ResNet-D).
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride),
                nn.Conv2d(channels_in, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


TILENET_BLOCKS = ((64, 2), (64, 1), (128, 2), (128, 1), (192, 1))
FINE_BLOCKS = ((48, 2), (96, 2), (96, 1), (192, 2))
"""Channels and stride of residual blocks."""


class TileNet(Network):
    """A small residual network: 1.24 million parameters, 105 MMAC per tile.

    No layer depends on the size of the input.
    """

    last = "head"

    def __init__(
        self,
        classes: int = 10,
        stem: int = 32,
        blocks: Sequence[tuple[int, int]] = TILENET_BLOCKS,
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        )
        widths = [stem, *(channels for channels, _ in blocks)]
        self.stages = nn.Sequential(
            *(
                ResidualBlock(width, channels, stride)
                for width, (channels, stride) in zip(widths, blocks, strict=False)
            )
        )
        self.head = nn.Linear(widths[-1], classes)

    def features(self, x: Tensor) -> Tensor:
        """Float (n, 3, 64, 64) to (n, 192)."""
        x = self.stem(x)  # n, 32, 32, 32; FineTileNet: n, 24, 64, 64
        x = self.stages(x)  # n, 192, 8, 8
        return x.mean(dim=(2, 3))

    def decide(self, features: Tensor) -> Tensor:
        """Features (n, 192) to logits (n, classes)."""
        return self.head(features)


class FineTileNet(TileNet):
    """TileNet with a stem of full resolution: 0.85 million parameters, 144 MMAC per tile.

    More accurate, at two thirds of the speed.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes, stem=24, blocks=FINE_BLOCKS, stem_stride=1)


CELL = 4
"""Pixels a side of the cells that a dense network classifies."""

MARGIN = 16
"""Pixels by which a single tile is mirrored outward; in a scene, land surrounds it."""


class DenseTileNet(TileNet):
    """FineTileNet with a second output: the class of each cell of 4×4 pixels.

    One pass over an image of any size gives both. Cells use features of three scales, as in a
    feature pyramid (Lin et al. 2017). Cells have one more class, the last: obscured by cloud or
    cloud shadow.
    """

    backbone = FineTileNet

    def __init__(self, classes: int = 10, width: int = 128) -> None:
        super().__init__(classes, stem=24, blocks=FINE_BLOCKS, stem_stride=1)
        fine, deep = FINE_BLOCKS[2][0], FINE_BLOCKS[3][0]
        self.context = ResidualBlock(deep, deep, 2)
        self.from_fine = nn.Conv2d(fine, width, 1, bias=False)
        self.from_deep = nn.Conv2d(deep, width, 1, bias=False)
        self.from_context = nn.Conv2d(deep, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.cells = nn.Conv2d(width, classes + 1, 1)

    @property
    def by_class(self) -> tuple[str, ...]:
        """Names of all layers with one row per class; `cells` has one more, the last."""
        return (self.last, "cells")

    def forward_dense(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Float (n, 3, h, w), sides multiples of 16, to logits of cells and features.

        Logits are (n, classes + 1, h / 4, w / 4); features are (n, 192, h / 8, w / 8), and their
        mean over a tile is the input of `decide`.
        """
        fine = self.stages[:3](self.stem(x))  # n, 96, h / 4, w / 4
        deep = self.stages[3](fine)  # n, 192, h / 8, w / 8
        around = self.from_context(self.context(deep))  # n, width, h / 16, w / 16
        y = self.from_deep(deep) + enlarge(around)
        y = F.relu(self.norm(self.from_fine(fine) + enlarge(y)), inplace=True)
        return self.cells(self.mix(y)), deep

    def features(self, x: Tensor) -> Tensor:
        """Float (n, 3, 64, 64) to (n, 192)."""
        x = F.pad(x, (MARGIN,) * 4, mode="reflect")
        deep = self.stages(self.stem(x))  # n, 192, 12, 12
        inner = MARGIN // 8
        return deep[:, :, inner:-inner, inner:-inner].mean(dim=(2, 3))


def enlarge(x: Tensor) -> Tensor:
    """Float (n, c, h, w) to (n, c, 2h, 2w), interpolated."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


_NETWORKS: Mapping[Arch, type[CustomNet | TileNet]] = {
    "customnet": CustomNet,
    "tilenet": TileNet,
    "tilenet-fine": FineTileNet,
    "tilenet-dense": DenseTileNet,
}


def build_network(arch: Arch, classes: int) -> Network:
    """A network with random weights from torch's global generator."""
    return _NETWORKS[arch](classes)


def copy_weights(source: Network, target: Network, rows: Mapping[int, int]) -> None:
    """Copy the weights of `source` to `target`.

    `rows` maps the index of each common class in the target to that in the source. Rows of other
    classes, and cells if the source has none, keep their random weights. Raises ModelError for
    different networks.
    """
    if type(source) not in (type(target), target.backbone):
        raise ModelError(
            f"weights of {type(source).__name__} do not fit {type(target).__name__}: "
            "begin with a model of the same network"
        )
    ours = target.state_dict()
    theirs = {**ours, **source.state_dict()}
    for name in (f"{layer}.{kind}" for layer in target.by_class for kind in ("weight", "bias")):
        known = source.state_dict().get(name)
        mixed = ours[name].clone()
        if known is not None:
            for place, other in rows.items():
                mixed[place] = known[other]
            if len(known) > source.last_layer.out_features:  # cells have one more class, the last
                mixed[-1] = known[-1]
        theirs[name] = mixed
    target.load_state_dict(theirs)
