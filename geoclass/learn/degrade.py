"""Degradation of tiles: joined, mixed, blurred, coarsened, compressed, seen through other air."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from geoclass.model.device import constant, send


def draw_subset(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Indices of 0 … n − 1, each chosen with probability `share`: int64 (m,)."""
    return (torch.rand(n, generator=generator) < share).nonzero()[:, 0]


def draw_uniform(low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers between `low` and `high`: float (n, 1, 1, 1)."""
    return low + (high - low) * torch.rand((n, 1, 1, 1), generator=generator)


def join_tiles(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Join the right part of each tile to the left part of another of its class.

    `images` is (n, 3, s, s) on any device, `labels` (n,) on the CPU. Each part has between a
    quarter and three quarters of the width. The only tile of a class is joined to itself.
    """
    mates = send(_find_mates(labels, generator), images.device)
    return _join(images, images[mates], _draw_cuts(images, generator))


def mix_tiles(
    x: Tensor, targets: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Replace a part of some tiles by a part of another (CutMix, Yun et al. 2019).

    `x` is float (n, 3, s, s), `targets` float (n, classes) with rows that sum to 1; the mixed
    targets are weighted by area. The cut is vertical or horizontal for the whole batch; its
    position varies as in `join_tiles`.
    """
    chosen = draw_subset(len(x), share, generator)
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
    """Columns that a joined tile keeps of its own: int64 (n, 1), on the CPU."""
    n, size = len(images), images.shape[3]
    return torch.randint(size // 4, 3 * size // 4 + 1, (n, 1), generator=generator)


def _join(mine: Tensor, theirs: Tensor, cuts: Tensor) -> Tensor:
    """Join the last `cuts` columns of each tile and the first columns of its mate."""
    size = mine.shape[3]
    line = torch.arange(size)
    rolled = send((line + size - cuts) % size, mine.device)  # n, s
    places = rolled[:, None, None, :].expand_as(mine)
    left = send(line < cuts, mine.device)[:, None, None, :]
    return torch.where(left, mine.gather(3, places), theirs.gather(3, places))


def _find_mates(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Another tile of the class of each tile, the next in a shuffled ring: int64 (n,)."""
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
    """Apply a Gaussian of `sigma` pixels to float (n, c, s, s); the border is mirrored."""
    reach = int(4 * sigma + 0.5)
    line = torch.exp(-(torch.arange(-reach, reach + 1.0, device=x.device) ** 2) / (2 * sigma**2))
    line = line / line.sum()
    kernel = torch.outer(line, line).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), kernel, groups=x.shape[1])


def coarsen_tiles(x: Tensor) -> Tensor:
    """Resample float (n, 3, s, s) to pixels of twice the size and back."""
    coarse = F.avg_pool2d(x, 2)
    return F.interpolate(coarse, scale_factor=2, mode="bicubic", align_corners=False)


def compress_tiles(x: Tensor, quality: Tensor) -> Tensor:
    """Compress float (n, 3, s, s), 0–255, as JPEG; `quality` is int (n,).

    The codec runs on the CPU. Tiles on a GPU are copied, so few of a batch should be compressed.
    """
    images = x.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    out = np.empty_like(images)
    for i, (image, q) in enumerate(zip(images, quality.tolist(), strict=True)):
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "JPEG", quality=q)
        with Image.open(encoded, formats=("JPEG",)) as decoded:
            out[i] = np.asarray(decoded)
    return send(torch.from_numpy(out).permute(0, 3, 1, 2).to(x.dtype), x.device)


WHITE_REFLECTANCE = 0.275
"""Reflectance that EuroSAT's stretch maps to 255."""

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
"""Minimum brightness of ground, as a fraction of white: a reflectance of 0.0055."""

TYPICAL_SUN = 0.643
"""Cosine of a solar zenith angle of 50°."""
TYPICAL_AEROSOL = 0.12
"""Optical depth at 550 nm on a clear day over land."""


def correct_atmosphere(x: Tensor, sun: Tensor, aerosol: Tensor) -> Tensor:
    """Convert Level-1C tiles to simulated Level-2A.

    `x` is float (n, 3, h, w), 0–1, red, green, blue with EuroSAT's stretch. `sun` (cosine of the
    solar zenith angle) and `aerosol` (optical depth at 550 nm) are (n, 1, 1, 1). The path
    radiance is at most that of the darkest pixel of a tile. The result may exceed 1.

    ρ_surface = (ρ − ρ_path) / T at nadir, with ρ_path = (τ_R P_R + ω τ_A P_A) / 4μ
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
    """Light that the air adds to a Level-1C tile, as a fraction of white: (n, 3, 1, 1).

    `sun`, `aerosol` and the formula (ρ_path) are those of `correct_atmosphere`.
    """
    rayleigh, color = (by_channel(v, sun.device) for v in (RAYLEIGH_DEPTH, _AEROSOL_COLOR))
    phase = 0.75 * (1 + sun**2)
    scattered = rayleigh * phase + aerosol * color * _AEROSOL_BACKSCATTER
    return scattered / (4 * sun) / WHITE_REFLECTANCE


def by_channel(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """Red, green, blue as (1, 3, 1, 1)."""
    return constant(values, device).reshape(1, 3, 1, 1)
