"""Tiles made worse: joined, blurred, coarser, noisy, badly compressed.

Maps are made of scenes that are not as clean as the tiles a network learns from, and of cells
that no one chose because they show one class well.
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from geoclass.model.device import constant, send


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
        with Image.open(encoded, formats=("JPEG",)) as decoded:
            out[i] = np.asarray(decoded)
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(x)


WHITE_REFLECTANCE = 0.275
"""The reflectance that EuroSAT's stretch makes 255."""

# At 665, 560 and 492 nm: red, green, blue.
RAYLEIGH_DEPTH = (0.0450, 0.0904, 0.1534)
"""Optical depth of clean air at sea level: 0.008569 λ⁻⁴ (1 + 0.0113 λ⁻² + 0.00013 λ⁻⁴), λ in µm
(Hansen and Travis 1974)."""
OZONE_DEPTH = (0.0146, 0.0310, 0.0063)
"""Optical depth of 300 Dobson units of ozone."""
_AEROSOL_COLOR = (0.796, 0.979, 1.143)
"""Optical depth relative to 550 nm: (λ / 550 nm) to the power of −1.2 (Ångström)."""
_AEROSOL_BACKSCATTER = 0.93 * 0.25
"""Single scattering albedo times phase function towards a sensor above."""

DARKEST = 0.02
"""No ground is darker, as a share of white: a reflectance of 0.0055."""

TYPICAL_SUN = 0.643
"""Cosine of the sun's zenith angle of 50°."""
TYPICAL_AEROSOL = 0.12
"""Optical depth at 550 nm on a clear day over land."""


def correct_atmosphere(x: Tensor, sun: Tensor, aerosol: Tensor) -> Tensor:
    """Level-1C tiles as Level-2A: path radiance taken off, transmittance divided out.

    EuroSAT shows the light above the air (Level-1C); what most people download is corrected for
    it, by single scattering here: darker, most in blue.

    `x` is float (n, 3, h, w), 0–1, red, green, blue, as EuroSAT's stretch has it; `sun`, the
    cosine of its zenith angle, and `aerosol`, the optical depth at 550 nm, are (n, 1, 1, 1).
    No more light is taken off than the darkest pixel of a tile has to give. The result may
    exceed 1.

    ρ_surface = (ρ − ρ_path) / T, seen from above, with ρ_path = (τ_R P_R + ω τ_A P_A) / 4μ
    and T = exp(−(τ_R/2 + τ_A/6 + τ_O₃)(1/μ + 1)) (single scattering, after Gordon and Wang 1994).
    """
    rayleigh, ozone, color = (
        by_channel(v, x.device) for v in (RAYLEIGH_DEPTH, OZONE_DEPTH, _AEROSOL_COLOR)
    )
    path = path_radiance(sun, aerosol)
    path = path.minimum((x.amin(dim=(2, 3), keepdim=True) - DARKEST).clamp(min=0))
    transmittance = torch.exp(-(rayleigh / 2 + aerosol * color / 6 + ozone) * (1 / sun + 1))
    return (x - path) / transmittance


def path_radiance(sun: Tensor, aerosol: Tensor) -> Tensor:
    """Light that the air adds to a Level-1C tile, (n, 3, 1, 1), as a share of white.

    `sun` and `aerosol` are as above: ρ_path there.
    """
    rayleigh, color = (by_channel(v, sun.device) for v in (RAYLEIGH_DEPTH, _AEROSOL_COLOR))
    phase = 0.75 * (1 + sun**2)
    scattered = rayleigh * phase + aerosol * color * _AEROSOL_BACKSCATTER
    return scattered / (4 * sun) / WHITE_REFLECTANCE


def by_channel(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """Red, green, blue as (1, 3, 1, 1)."""
    return constant(values, device).reshape(1, 3, 1, 1)


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

    Training compresses some tiles of every batch. A codec would fetch them from a GPU, one by one,
    and the GPU would wait; what a codec takes away is a rounded cosine transform (ITU-T T.81).
    Colours have half the resolution, as in most files. What other bits of rounding a codec
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
