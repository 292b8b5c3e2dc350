"""Batches of tiles, varied as the same ground might have looked on another day or orbit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.degrade import (
    TYPICAL_AEROSOL,
    TYPICAL_SUN,
    blur_tiles,
    by_channel,
    coarsen_tiles,
    compress_tiles,
    correct_atmosphere,
    join_tiles,
    path_radiance,
)
from geoclass.learn.settings import AugmentSettings
from geoclass.model.device import constant, send

RAYLEIGH = (0.295, 0.586, 1.0)
"""Scattering in red, green and blue relative to blue: λ⁻⁴ at 665, 560 and 490 nm."""

VEIL_BRIGHTNESS = 0.8
EVEN_VEILS = 0.4
"""Share of veils that are as dense everywhere."""
BLUR_SIGMA = (0.5, 1.2)
"""Pixels."""
NOISE_SIGMA = (2.0, 10.0)
"""Grey levels."""
JPEG_QUALITY = (25, 80)
SUN_COSINE = (0.42, 0.94)
"""Of zenith angles from 65° to 20°."""
AEROSOL_DEPTH = (0.02, 0.3)
RELIEF_KNOTS = (4, 16)
"""Heights and hollows along a tile's side."""


def augment(
    images: Tensor,
    labels: Tensor,
    settings: AugmentSettings,
    generator: torch.Generator,
    progress: float = 0.0,
) -> Tensor:
    """Uint8 (n, 3, s, s) to float (n, 3, s, s), 0–255, each tile varied on its own.

    `labels` is int64 (n,), `progress` 0–1 of training. `labels` and `generator` are of the CPU;
    the images may be on any device.
    """
    joined = images.clone()
    i = _draw(len(images), settings.join_share, generator)
    if len(i):
        there = send(i, images.device)
        joined[there] = join_tiles(images[there], labels[i], generator)
    x = _move(joined, settings, generator)
    plain = settings.plain_share + (settings.plain_share_end - settings.plain_share) * progress
    i = send(_draw(len(x), 1 - plain, generator), x.device)
    lit = relight(x[i] / 255, settings, generator).clamp(0, 1) * 255
    x[i] = degrade(lit, settings, generator).clamp(0, 255)
    return x


def _draw(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Which of n tiles, each with a chance of `share`: int64, on the CPU."""
    return (torch.rand(n, generator=generator) < share).nonzero()[:, 0]


def relight(x: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Other sun, other air: float (n, 3, s, s), 0–1, to the same; a little may leave 0–1."""
    n, channels = x.shape[:2]
    each, each_channel = (n, 1, 1, 1), (n, channels, 1, 1)
    gamma = _log_uniform(each, settings.gamma, generator)
    gain = _log_uniform(each, settings.gain, generator)
    gain = gain * _log_uniform(each_channel, settings.channel_gain, generator)
    path = settings.path_radiance * torch.randn(each, generator=generator)
    path = path * by_channel(RAYLEIGH, path.device)
    veil = _sometimes(settings.veil, settings.veil_share, n, generator)
    offset = _sometimes(settings.offset, settings.offset_share, n, generator)
    drawn = send(torch.cat([gamma, gain, path, veil, offset], dim=1), x.device)
    parts: Sequence[Tensor] = drawn.split([1, channels, channels, 1, 1], dim=1)
    gamma, gain, path, veil, offset = parts
    corrected = send(_draw(n, settings.corrected_share, generator), x.device)
    sun = send(_uniform(*SUN_COSINE, len(corrected), generator), x.device)
    aerosol = send(_uniform(*AEROSOL_DEPTH, len(corrected), generator), x.device)
    if settings.relief:
        x = _shade(x, settings, generator)
    # The air first: it was between the ground and the tile as it is.
    x[corrected] = correct_atmosphere(x[corrected], sun, aerosol)
    x = x**gamma * gain
    x = x + path * (1 - x)  # towards white, or away from it
    veil = veil * send(_draw_veil(n, x.shape[2], generator), x.device)
    return x + veil * (VEIL_BRIGHTNESS - x) + offset


def _draw_veil(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Float (n, 1, size, size), 0 to 1.3: density of veils; some are even, others drift."""
    knots = int(torch.randint(2, 6, (1,), generator=generator))
    drifts = (1.5 * torch.randn((n, 1, knots, knots), generator=generator)).clamp(-3, 3)
    drifts = 1.3 * F.interpolate(drifts, size=size, mode="bicubic").sigmoid()
    even = torch.rand((n, 1, 1, 1), generator=generator) < EVEN_VEILS
    return torch.where(even, 1.0, drifts)


def _shade(x: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Ground as on slopes, which the sun lights unevenly; the light of the air stays."""
    n, size = len(x), x.shape[3]
    low, high = RELIEF_KNOTS
    knots = int(torch.randint(low, high + 1, (1,), generator=generator))
    slopes = torch.randn((n, 1, knots, knots), generator=generator)
    strength = _sometimes(settings.relief, settings.relief_share, n, generator)
    slopes = F.interpolate(send(strength * slopes, x.device), size=size, mode="bicubic")
    sun, aerosol = constant((TYPICAL_SUN, TYPICAL_AEROSOL), x.device)
    # No pixel has less light than the air gave it.
    air = path_radiance(sun, aerosol).minimum(x.amin(dim=(2, 3), keepdim=True))
    return air + (x - air) * slopes.exp()


def degrade(x: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Some tiles as a worse instrument, another format or a coarser product would show them."""
    n, share = len(x), settings.degrade_share
    draws = (_draw(n, share, generator) for _ in range(4))
    blurred, coarse, noisy, packed = (send(i, x.device) for i in draws)
    sigma = float(_uniform(*BLUR_SIGMA, 1, generator))
    if len(blurred):
        x[blurred] = blur_tiles(x[blurred], sigma)
    if len(coarse):
        x[coarse] = coarsen_tiles(x[coarse])
    noise = torch.randn((len(noisy), *x.shape[1:]), generator=generator)
    noise = noise * _uniform(*NOISE_SIGMA, len(noisy), generator)
    x[noisy] = x[noisy] + send(noise, x.device)
    low, high = JPEG_QUALITY
    quality = torch.randint(low, high + 1, (len(packed),), generator=generator)
    x[packed] = compress_tiles(x[packed], quality)
    return x


def _move(images: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Symmetries and shifts as one look-up a tile."""
    n, channels, size, _ = images.shape
    symmetry = torch.zeros(n, dtype=torch.long)
    if settings.symmetries:
        symmetry = torch.randint(8, (n,), generator=generator)
    shift = torch.randint(-settings.shift, settings.shift + 1, (n, 2), generator=generator)
    rows, cols = _reflect(_find_lines(symmetry, size) + shift[:, :, None], size).unbind(dim=1)
    # A place is the sum of a part that follows the new row and one that follows the new column.
    is_swapped = _is_swapped(symmetry)[:, None]
    by_row = send(torch.where(is_swapped, cols, rows * size), images.device)
    by_col = send(torch.where(is_swapped, rows * size, cols), images.device)
    places = (by_row[:, :, None] + by_col[:, None, :]).reshape(n, 1, size * size)
    moved = images.reshape(n, channels, -1).gather(2, places.expand(n, channels, size * size))
    return moved.reshape(n, channels, size, size).float()


def _reflect(index: Tensor, size: int) -> Tensor:
    """Mirror indices beyond either border back inside: −1 → 1, size → size − 2."""
    return (size - 1) - ((size - 1) - index.abs()).abs()


def _is_swapped(symmetry: Tensor) -> Tensor:
    """Of the eight symmetries of the square, whether rows become columns; bool (n,)."""
    return (symmetry % 2 == 1) ^ (symmetry >= 4)


def _find_lines(symmetry: Tensor, size: int) -> Tensor:
    """Where rows and columns of tiles come from under symmetries (n,), int64 (n, 2, size).

    0 to 3 are quarter turns, 4 to 7 the same mirrored at the diagonal.
    """
    line = torch.arange(size)
    backward = line.flip(0)
    rows = torch.stack([line, line, backward, backward, line, backward, backward, line])
    cols = torch.stack([line, backward, backward, line, line, line, backward, backward])
    return torch.stack([rows, cols], dim=1)[symmetry]


def _log_uniform(shape: tuple[int, ...], spread: float, generator: torch.Generator) -> Tensor:
    """Factors between 1/(1+spread) and 1+spread, as often below one as above."""
    exponent = 2 * torch.rand(shape, generator=generator) - 1
    return (1.0 + spread) ** exponent


def _uniform(low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand((n, 1, 1, 1), generator=generator)


def _sometimes(most: float, share: float, n: int, generator: torch.Generator) -> Tensor:
    """Between 0 and `most` for a share of n tiles, 0 for the others, (n, 1, 1, 1)."""
    chosen = torch.rand((n, 1, 1, 1), generator=generator) < share
    return chosen * _uniform(0, most, n, generator)
