"""What JPEG leaves of tiles, reckoned on the device that they are on.

Training compresses some tiles of every batch. A codec would fetch them from a GPU, one by one,
and the GPU would wait; what a codec takes away is a rounded cosine transform (ITU-T T.81).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.model.device import constant, send

BLOCK = 8
"""Pixels along a side of what is transformed as one."""

# How coarsely each frequency is rounded at quality 50: T.81, tables K.1 and K.2.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8),) * 4,
)

# Luminance, blueness and redness of red, green and blue (JFIF, after ITU-R BT.601).
_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))

_COSINES = tuple(
    tuple(
        math.sqrt((1 + (frequency > 0)) / BLOCK)
        * math.cos(math.pi / BLOCK * frequency * (place + 0.5))
        for place in range(BLOCK)
    )
    for frequency in range(BLOCK)
)
"""The orthonormal cosine transform (DCT-II): frequency, place."""


def simulate_jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """Float (n, 3, h, w), 0–255, as JPEG of `quality`, int (n,), 1–100, each gives it back.

    Colours at half the resolution, as most files have them. What other bits of rounding a codec
    does is left out: a grey level or two.
    """
    height, width = x.shape[2:]
    whole = 2 * BLOCK  # of halved colours a block covers so much
    x = F.pad(x, (0, -width % whole, 0, -height % whole), mode="replicate")
    scale = send(_find_scale(quality), x.device)
    light = torch.einsum("cd,ndhw->nchw", constant(_FROM_RGB, x.device), x.round().clamp(0, 255))
    y = _round_blocks(light[:, :1] - 128, _find_steps(_LUMINANCE, scale)) + 128
    colour = F.avg_pool2d(light[:, 1:], 2)
    colour = _round_blocks(colour, _find_steps(_CHROMINANCE, scale))
    colour = F.interpolate(colour, scale_factor=2, mode="bilinear")
    light = torch.cat([y, colour], dim=1)
    x = torch.einsum("cd,ndhw->nchw", constant(_TO_RGB, x.device), light).round().clamp(0, 255)
    return x[:, :, :height, :width]


def _find_scale(quality: Tensor) -> Tensor:
    """Percent by which the tables are coarser than at quality 50: the Independent JPEG Group's."""
    quality = quality.float()
    return torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor()


def _find_steps(table: tuple[tuple[int, ...], ...], scale: Tensor) -> Tensor:
    """What frequencies are rounded to, (n, 1, 1, 8, 1, 8)."""
    steps = constant(table, scale.device).reshape(1, 1, 1, BLOCK, 1, BLOCK)
    return ((steps * scale.reshape(-1, 1, 1, 1, 1, 1) + 50) / 100).floor().clamp(1, 255)


def _round_blocks(x: Tensor, steps: Tensor) -> Tensor:
    """Float (n, c, h, w) with the frequencies of each block rounded to steps."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    cosines = constant(_COSINES, x.device)
    spectrum = torch.einsum("ur,ncirjs,vs->nciujv", cosines, blocks, cosines)
    spectrum = (spectrum / steps).round() * steps
    blocks = torch.einsum("ur,nciujv,vs->ncirjs", cosines, spectrum, cosines)
    return blocks.reshape(n, channels, height, width)
