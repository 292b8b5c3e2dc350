"""Batches of tiles, varied as the same ground might have looked on another day or orbit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentSettings:
    """How far tiles are varied."""

    symmetries: bool = True
    """Turn and mirror: land has no preferred direction."""
    shift: int = 6
    """Move by up to so many pixels; the border is mirrored."""
    gain: float = 0.3
    """Brightness factor between 1/(1+gain) and 1+gain: slopes, seasons, soils."""
    channel_gain: float = 0.08
    """The same for each channel alone."""
    gamma: float = 0.15
    """Exponent between 1/(1+gamma) and 1+gamma: how shadows and lights are spread."""
    path_radiance: float = 0.09
    """Standard deviation of the light added by the air in the blue band, as a share of white;
    less in green and red. Negative values take light away, as atmospheric correction does."""
    veil: float = 0.3
    """Up to such a share of a tile's light comes from thin cloud or smoke …"""
    veil_probability: float = 0.3
    """… in so many tiles."""


RAYLEIGH = (0.295, 0.586, 1.0)
"""Scattering in red, green and blue relative to blue: λ⁻⁴ at 665, 560 and 490 nm."""

MAX_PATH_RADIANCE = 0.22
"""About the blue light that L1C has and L2A lacks on a hazy day."""

VEIL_BRIGHTNESS = 0.8


def augment(images: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Uint8 (n, 3, s, s) to float (n, 3, s, s), 0–255, each tile varied on its own.

    `generator` is of the CPU; the images may be on any device.
    """
    x = _move(images, settings, generator) / 255
    return _relight(x, settings, generator).clamp_(0, 1) * 255


def _relight(x: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Other sun, other air: float (n, 3, s, s), 0–1, to the same; a little may leave 0–1."""
    n, channels = x.shape[:2]
    each, each_channel = (n, 1, 1, 1), (n, channels, 1, 1)
    gamma = _log_uniform(each, settings.gamma, generator)
    gain = _log_uniform(each, settings.gain, generator)
    gain = gain * _log_uniform(each_channel, settings.channel_gain, generator)
    path = settings.path_radiance * torch.randn(each, generator=generator)
    path = path.clamp(-MAX_PATH_RADIANCE, MAX_PATH_RADIANCE)
    path = path * torch.tensor(RAYLEIGH).reshape(1, channels, 1, 1)
    veil = settings.veil * torch.rand(each, generator=generator)
    veil = veil * (torch.rand(each, generator=generator) < settings.veil_probability)
    gamma, gain, path, veil = (v.to(x.device) for v in (gamma, gain, path, veil))
    x = x**gamma * gain
    x = x + path * (1 - x)  # towards white, or away from it
    return x + veil * (VEIL_BRIGHTNESS - x)


def _move(images: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Symmetries and shifts as one look-up a tile."""
    n, channels, size, _ = images.shape
    symmetry = torch.zeros(n, dtype=torch.long)
    if settings.symmetries:
        symmetry = torch.randint(8, (n,), generator=generator)
    shift = torch.randint(-settings.shift, settings.shift + 1, (n, 2), generator=generator)
    rows, cols = _symmetric_indices(size)
    rows = _reflect(rows[symmetry] + shift[:, :1], size)
    cols = _reflect(cols[symmetry] + shift[:, 1:], size)
    places = (rows * size + cols)[:, None].expand(n, channels, size * size)  # n, 3, size²
    moved = images.reshape(n, channels, -1).gather(2, places.to(images.device))
    return moved.reshape(n, channels, size, size).float()


def _reflect(index: Tensor, size: int) -> Tensor:
    """Mirror indices beyond either border back inside: −1 → 1, size → size − 2."""
    return (size - 1) - ((size - 1) - index.abs()).abs()


def _symmetric_indices(size: int) -> tuple[Tensor, Tensor]:
    """Row and column of each pixel under the eight symmetries of the square, (8, size²)."""
    line = torch.arange(size)
    rows, cols = torch.meshgrid(line, line, indexing="ij")
    last = size - 1
    turned = [(rows, cols), (cols, last - rows), (last - rows, last - cols), (last - cols, rows)]
    every = turned + [(c, r) for r, c in turned]
    return (
        torch.stack([r.reshape(-1) for r, _ in every]),
        torch.stack([c.reshape(-1) for _, c in every]),
    )


def _log_uniform(shape: tuple[int, ...], spread: float, generator: torch.Generator) -> Tensor:
    """Factors between 1/(1+spread) and 1+spread, as often below one as above."""
    exponent = 2 * torch.rand(shape, generator=generator) - 1
    return (1.0 + spread) ** exponent
