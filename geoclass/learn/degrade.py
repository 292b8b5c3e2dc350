"""Tiles made worse: joined, blurred, coarser, noisy, badly compressed.

Maps are made of scenes that are not as clean as the tiles a network learns from, and of cells
that no one chose because they show one class well.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from geoclass.model.device import send


def join_tiles(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """The right part of each tile beside the left part of another of its class.

    `images` (n, 3, s, s) on any device, `labels` (n,) on the CPU; between a quarter and three
    quarters of the width come from each. A tile that is alone in its class is joined to itself.
    """
    mates = send(_find_mates(labels, generator), images.device)
    return _join(images, images[mates], _draw_cuts(images, generator))


def mix_tiles(
    x: Tensor, targets: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A share of tiles, each beside a part of another; targets by area (CutMix, Yun et al. 2019).

    `x` is float (n, 3, s, s), `targets` float (n, classes), rows sum to 1. Parts lie side by side
    or one above the other, a whole batch alike, and are as wide as in `join_tiles`.
    """
    chosen = (torch.rand(len(x), generator=generator) < share).nonzero()[:, 0]
    upright = bool(torch.rand(1, generator=generator) < 0.5)
    if not len(chosen):
        return x, targets
    chosen = send(chosen, x.device)
    some = x[chosen].transpose(2, 3) if upright else x[chosen]
    cuts = _draw_cuts(some, generator)
    joined = _join(some, some.roll(1, dims=0), cuts)
    own = send(cuts / some.shape[3], targets.device)  # n, 1
    theirs = targets[chosen].roll(1, dims=0)
    x, targets = x.clone(), targets.clone()
    x[chosen] = joined.transpose(2, 3) if upright else joined
    targets[chosen] = own * targets[chosen] + (1 - own) * theirs
    return x, targets


def _draw_cuts(images: Tensor, generator: torch.Generator) -> Tensor:
    """Columns of each tile that are its own in a joined one, int64 (n, 1), on the CPU."""
    n, size = len(images), images.shape[3]
    return torch.randint(size // 4, 3 * size // 4 + 1, (n, 1), generator=generator)


def _join(mine: Tensor, theirs: Tensor, cuts: Tensor) -> Tensor:
    """The last `cuts` columns of each, and after them the first of its mate."""
    size = mine.shape[3]
    line = torch.arange(size)
    rolled = send((line + size - cuts) % size, mine.device)  # n, s
    places = rolled[:, None, None, :].expand_as(mine)
    left = send(line < cuts, mine.device)[:, None, None, :]
    return torch.where(left, mine.gather(3, places), theirs.gather(3, places))


def _find_mates(labels: Tensor, generator: torch.Generator) -> Tensor:
    """For each tile another of its class: the next in a shuffled ring of them, int64 (n,)."""
    order = torch.randperm(len(labels), generator=generator)
    ring = order[torch.argsort(labels[order], stable=True)]
    following = ring.roll(-1)
    _, counts = torch.unique_consecutive(labels[ring], return_counts=True)
    last = counts.cumsum(0) - 1
    following[last] = ring[last - counts + 1]
    mates = torch.empty_like(ring)
    mates[ring] = following
    return mates


def blur_tiles(x: Tensor, sigma: float) -> Tensor:
    """Float (n, 3, s, s) through a Gaussian of `sigma` pixels; the border is mirrored."""
    reach = int(4 * sigma + 0.5)
    line = torch.exp(-(torch.arange(-reach, reach + 1.0, device=x.device) ** 2) / (2 * sigma**2))
    line = line / line.sum()
    kernel = torch.outer(line, line).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), kernel, groups=x.shape[1])


def coarsen_tiles(x: Tensor) -> Tensor:
    """Float (n, 3, s, s) as if its pixels had twice the size, brought back by interpolation."""
    coarse = F.avg_pool2d(x, 2)
    return F.interpolate(coarse, scale_factor=2, mode="bicubic", align_corners=False)


def compress_tiles(x: Tensor, quality: Tensor) -> Tensor:
    """Float (n, 3, s, s), 0–255, through JPEG of `quality`, int (n,), each."""
    images = x.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    out = np.empty_like(images)
    for i, (image, q) in enumerate(zip(images, quality.tolist(), strict=True)):
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "JPEG", quality=q)
        with Image.open(encoded) as decoded:
            out[i] = np.asarray(decoded)
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(x)
