"""Augmentation of tiles and canvases: position, light, clouds and quality."""

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
    draw_subset,
    draw_uniform,
    join_tiles,
    path_radiance,
)
from geoclass.learn.recipes import AugmentSettings, CloudSettings
from geoclass.model.device import constant, send
from geoclass.model.networks import CELL

RAYLEIGH = (0.295, 0.586, 1.0)
"""Scattering in red, green and blue relative to blue: λ⁻⁴ at 665, 560 and 490 nm."""

VEIL_BRIGHTNESS = 0.8
EVEN_VEILS = 0.4
"""Fraction of veils of uniform density."""
BLUR_SIGMA = (0.5, 1.2)
"""Pixels."""
NOISE_SIGMA = (2.0, 10.0)
"""Grey levels."""
JPEG_QUALITY = (25, 80)
SUN_COSINE = (0.42, 0.94)
"""Zenith angles from 65° to 20°."""
AEROSOL_DEPTH = (0.02, 0.3)
RELIEF_KNOTS = (4, 16)
"""Range of the number of hills and valleys along the side of a tile."""


def augment(
    images: Tensor,
    labels: Tensor,
    settings: AugmentSettings,
    generator: torch.Generator,
    progress: float = 0.0,
) -> Tensor:
    """Augment each tile independently: uint8 (n, 3, s, s) to float (n, 3, s, s), 0–255.

    `labels` is int64 (n,), `progress` 0–1 of training. `labels` and `generator` are on the CPU;
    the images may be on any device.
    """
    joined = images.clone()
    i = draw_subset(len(images), settings.join_share, generator)
    if len(i):
        there = send(i, images.device)
        joined[there] = join_tiles(images[there], labels[i], generator)
    x = _move(joined, settings, generator)
    chosen = draw_subset(len(x), 1 - settings.plain_share_at(progress), generator)
    i = send(chosen, x.device)
    lit = relight(x[i] / 255, settings, generator).clamp(0, 1) * 255
    x[i] = degrade(lit, settings, generator).clamp(0, 255)
    return x


def relight(x: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Change sun and air of float (n, 3, s, s), 0–1; the result may slightly leave 0–1."""
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
    corrected = send(draw_subset(n, settings.corrected_share, generator), x.device)
    sun = send(draw_uniform(*SUN_COSINE, len(corrected), generator), x.device)
    aerosol = send(draw_uniform(*AEROSOL_DEPTH, len(corrected), generator), x.device)
    if settings.relief:
        x = _shade(x, settings, generator)
    # The air of the original scene is corrected first.
    x[corrected] = correct_atmosphere(x[corrected], sun, aerosol)
    x = x**gamma * gain
    x = x + path * (1 - x)  # towards white or away from it
    veil = veil * send(_draw_veil(n, x.shape[2], generator), x.device)
    return x + veil * (VEIL_BRIGHTNESS - x) + offset


def _draw_veil(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Relative density of veils, 0 to 1.3; some are uniform: float (n, 1, size, size)."""
    knots = int(torch.randint(2, 6, (1,), generator=generator))
    drifts = (1.5 * torch.randn((n, 1, knots, knots), generator=generator)).clamp(-3, 3)
    drifts = 1.3 * F.interpolate(drifts, size=size, mode="bicubic").sigmoid()
    even = torch.rand((n, 1, 1, 1), generator=generator) < EVEN_VEILS
    return torch.where(even, 1.0, drifts)


def _shade(x: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Light ground unevenly, as on slopes; path radiance does not change."""
    n, size = len(x), x.shape[3]
    low, high = RELIEF_KNOTS
    knots = int(torch.randint(low, high + 1, (1,), generator=generator))
    slopes = torch.randn((n, 1, knots, knots), generator=generator)
    strength = _sometimes(settings.relief, settings.relief_share, n, generator)
    slopes = F.interpolate(send(strength * slopes, x.device), size=size, mode="bicubic")
    sun, aerosol = constant((TYPICAL_SUN, TYPICAL_AEROSOL), x.device)
    # Path radiance is at most the darkest pixel.
    air = path_radiance(sun, aerosol).minimum(x.amin(dim=(2, 3), keepdim=True))
    return air + (x - air) * slopes.exp()


def degrade(x: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Blur, coarsen, add noise to and compress some tiles, float (n, 3, s, s), 0–255, in place."""
    n, share = len(x), settings.degrade_share
    draws = (draw_subset(n, share, generator) for _ in range(4))
    blurred, coarse, noisy, packed = (send(i, x.device) for i in draws)
    sigma = float(draw_uniform(*BLUR_SIGMA, 1, generator))
    if len(blurred):
        x[blurred] = blur_tiles(x[blurred], sigma)
    if len(coarse):
        x[coarse] = coarsen_tiles(x[coarse])
    noise = torch.randn((len(noisy), *x.shape[1:]), generator=generator)
    noise = noise * draw_uniform(*NOISE_SIGMA, len(noisy), generator)
    x[noisy] = x[noisy] + send(noise, x.device)
    low, high = JPEG_QUALITY
    quality = torch.randint(low, high + 1, (len(packed),), generator=generator)
    x[packed] = compress_tiles(x[packed], quality)
    return x


def _move(images: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Rotate, mirror and shift tiles by one look-up each."""
    n, channels, size, _ = images.shape
    symmetry = torch.zeros(n, dtype=torch.long)
    if settings.symmetries:
        symmetry = torch.randint(8, (n,), generator=generator)
    shift = torch.randint(-settings.shift, settings.shift + 1, (n, 2), generator=generator)
    rows, cols = _reflect(_find_lines(symmetry, size) + shift[:, :, None], size).unbind(dim=1)
    # A flat index is the sum of a part that depends on the new row and one on the new column.
    is_swapped = ((symmetry % 2 == 1) ^ (symmetry >= 4))[:, None]  # rows become columns
    by_row = send(torch.where(is_swapped, cols, rows * size), images.device)
    by_col = send(torch.where(is_swapped, rows * size, cols), images.device)
    places = (by_row[:, :, None] + by_col[:, None, :]).reshape(n, 1, size * size)
    moved = images.reshape(n, channels, -1).gather(2, places.expand(n, channels, size * size))
    return moved.reshape(n, channels, size, size).float()


def _reflect(index: Tensor, size: int) -> Tensor:
    """Mirror indices outside 0 … size − 1 back inside: −1 → 1, size → size − 2."""
    return (size - 1) - ((size - 1) - index.abs()).abs()


def _find_lines(symmetry: Tensor, size: int) -> Tensor:
    """Source rows and columns of tiles under symmetries (n,): int64 (n, 2, size).

    0 to 3 are quarter turns, 4 to 7 the same mirrored at the diagonal.
    """
    line = torch.arange(size)
    backward = line.flip(0)
    rows = torch.stack([line, line, backward, backward, line, backward, backward, line])
    cols = torch.stack([line, backward, backward, line, line, line, backward, backward])
    return torch.stack([rows, cols], dim=1)[symmetry]


def _log_uniform(shape: tuple[int, ...], spread: float, generator: torch.Generator) -> Tensor:
    """Factors from 1/(1+spread) to 1+spread, uniform in the logarithm."""
    exponent = 2 * torch.rand(shape, generator=generator) - 1
    return (1.0 + spread) ** exponent


def _sometimes(most: float, share: float, n: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers from 0 to `most` for a fraction of n tiles, else 0: (n, 1, 1, 1)."""
    chosen = torch.rand((n, 1, 1, 1), generator=generator) < share
    return chosen * draw_uniform(0, most, n, generator)


CLEAR, HIDDEN = 0.12, 0.35
"""Opacity below which a cell keeps its class, and from which it has none."""

SHADOWED = 0.3
"""Shadows that remove this fraction of the light hide a cell; weaker ones leave it undecided."""

_KNOTS = (3, 6, 12, 24, 48)


def augment_views(
    x: Tensor,
    plain_share: float,
    light: AugmentSettings,
    clouds: CloudSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Change light, clouds and quality of float (n, 3, s, s), 0–255, partly in place.

    A fraction `plain_share` keeps light and quality. Also returns the hidden fraction of each
    cell, as `paint_clouds`.
    """
    varied = send(
        (torch.rand(len(x), generator=generator) >= plain_share).nonzero()[:, 0], x.device
    )
    x[varied] = relight(x[varied] / 255, light, generator).clamp(0, 1) * 255
    x, obscured = paint_clouds(x, clouds, generator)
    x[varied] = degrade(x[varied], light, generator)
    return x.clamp(0, 255), obscured


def paint_clouds(
    x: Tensor, settings: CloudSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Paint clouds on float (n, 3, s, s), 0–255, and return the hidden fraction of each cell.

    The latter is float (n, s / 4, s / 4): 0 clear to 1 hidden, NaN undecided.
    """
    n, size = len(x), x.shape[3]
    obscured = x.new_zeros((n, size // CELL, size // CELL))
    chosen = draw_subset(n, settings.share, generator)
    if not len(chosen):
        return x, obscured
    alpha, shade, light = _draw_clouds(len(chosen), size, settings, generator)
    alpha, shade, light, there = (send(t, x.device) for t in (alpha, shade, light, chosen))
    lit = x[there] * (1 - shade)
    x = x.clone()
    x[there] = lit + alpha * (255 * light - lit)
    obscured[there] = _find_obscured(alpha[:, 0], shade[:, 0])
    return x, obscured


def _draw_clouds(
    n: int, size: int, settings: CloudSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Opacity, light lost to shadows, brightness: float (n, 1, s, s), 0–1, and (n, 3, s, s)."""
    reach = settings.distance
    field = _draw_fractal(n, size + 2 * reach, settings, generator)
    cover = draw_uniform(-1.0, 1.3, n, generator)
    edge = draw_uniform(0.05, 0.6, n, generator)
    dense = ((field - cover) / edge).sigmoid()
    alpha = dense * draw_uniform(*settings.opacity, n, generator)
    dy, dx = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
    inner = slice(reach, reach + size)
    # A fifth of the shadows belong to clouds outside the canvas.
    near = torch.rand((n, 1, 1, 1), generator=generator) < 0.8
    casting = torch.where(near, dense.roll((dy, dx), dims=(2, 3)), dense.roll(1, dims=0))
    moved = casting[:, :, inner, inner]
    alpha = alpha[:, :, inner, inner]
    shade = moved * (1 - draw_uniform(*settings.shadow, n, generator)) * (1 - alpha)
    light = draw_uniform(*settings.brightness, n, generator)
    light = light * (1 + 0.1 * field[:, :, inner, inner])
    tint = 1 + settings.tint * torch.randn((n, 3, 1, 1), generator=generator)
    return alpha, shade, (light * tint).clamp(0, 1)


def _draw_fractal(n: int, size: int, settings: CloudSettings, generator: torch.Generator) -> Tensor:
    """Fractal noise of unit variance: float (n, 1, size, size)."""
    low, high = settings.roughness
    roughness = low + (high - low) * float(torch.rand(1, generator=generator))
    longer = int(torch.randint(1, settings.stretch + 1, (1,), generator=generator))
    total = torch.zeros((n, 1, size, size))
    for octave, knots in enumerate(_KNOTS):
        noise = torch.randn((n, 1, knots, max(2, knots // longer)), generator=generator)
        total += roughness**octave * F.interpolate(noise, size=size, mode="bicubic")
    lying = torch.rand(n, generator=generator)[:, None, None, None] < 0.5
    total = torch.where(lying, total, total.mT)
    return total / total.std(dim=(2, 3), keepdim=True)


def _find_obscured(alpha: Tensor, shade: Tensor) -> Tensor:
    """Hidden fraction of cells (n, h, w) from opacity and shade of pixels (n, s, s)."""
    hidden = F.avg_pool2d(((alpha >= HIDDEN) | (shade >= SHADOWED)).float()[:, None], CELL)[:, 0]
    touched = F.max_pool2d((alpha + shade)[:, None], CELL)[:, 0]
    doubtful = (touched > CLEAR) & (hidden == 0)
    return hidden.masked_fill(doubtful, torch.nan)
