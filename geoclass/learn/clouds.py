"""Clouds and their shadows, painted over canvases with the mask that goes with them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.settings import CloudSettings
from geoclass.model.device import send
from geoclass.model.networks import CELL

CLEAR, HIDDEN = 0.12, 0.35
"""A cell below the first opacity has its class still; one above the second has none."""

SHADOWED = 0.3
"""Shadows that take so much of the light hide a cell; weaker ones leave it in doubt."""

_KNOTS = (3, 6, 12, 24, 48)


def paint_clouds(
    x: Tensor, settings: CloudSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Float (n, 3, s, s), 0–255, to the same with clouds, and how much of each cell is hidden.

    The second is float (n, s / 4, s / 4): 0 clear, up to 1 hidden, NaN in doubt.
    """
    n, size = len(x), x.shape[3]
    obscured = x.new_zeros((n, size // CELL, size // CELL))
    chosen = (torch.rand(n, generator=generator) < settings.share).nonzero()[:, 0]
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
    """Opacity, light that shadows take, brightness: float (n, 1, s, s), 0–1, and (n, 3, s, s)."""
    reach = settings.distance
    field = _draw_fractal(n, size + 2 * reach, settings, generator)
    cover = _between(-1.0, 1.3, n, generator)
    edge = _between(0.05, 0.6, n, generator)
    dense = ((field - cover) / edge).sigmoid()
    alpha = dense * _between(*settings.opacity, n, generator)
    dy, dx = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
    inner = slice(reach, reach + size)
    # A fifth of the shadows are of clouds that lie elsewhere, outside the canvas.
    near = torch.rand((n, 1, 1, 1), generator=generator) < 0.8
    casting = torch.where(near, dense.roll((dy, dx), dims=(2, 3)), dense.roll(1, dims=0))
    moved = casting[:, :, inner, inner]
    alpha = alpha[:, :, inner, inner]
    shade = moved * (1 - _between(*settings.shadow, n, generator)) * (1 - alpha)
    light = _between(*settings.brightness, n, generator)
    light = light * (1 + 0.1 * field[:, :, inner, inner])
    tint = 1 + settings.tint * torch.randn((n, 3, 1, 1), generator=generator)
    return alpha, shade, (light * tint).clamp(0, 1)


def _draw_fractal(n: int, size: int, settings: CloudSettings, generator: torch.Generator) -> Tensor:
    """Float (n, 1, size, size) of unit variance: noise of all scales, the coarse strongest."""
    low, high = settings.roughness
    roughness = low + (high - low) * float(torch.rand(1, generator=generator))
    longer = int(torch.randint(1, settings.stretch + 1, (1,), generator=generator))
    total = torch.zeros((n, 1, size, size))
    for octave, knots in enumerate(_KNOTS):
        noise = torch.randn((n, 1, knots, max(2, knots // longer)), generator=generator)
        total += roughness**octave * F.interpolate(noise, size=size, mode="bicubic")
    lying = (torch.rand(n, generator=generator) < 0.5)[:, None, None, None]
    total = torch.where(lying, total, total.mT)
    return total / total.std(dim=(2, 3), keepdim=True)


def _find_obscured(alpha: Tensor, shade: Tensor) -> Tensor:
    """Float (n, h, w) of cells, from opacity and shade of pixels (n, s, s)."""
    hidden = F.avg_pool2d(((alpha >= HIDDEN) | (shade >= SHADOWED)).float()[:, None], CELL)[:, 0]
    touched = F.max_pool2d((alpha + shade)[:, None], CELL)[:, 0]
    doubtful = (touched > CLEAR) & (hidden == 0)
    return hidden.masked_fill(doubtful, torch.nan)


def _between(low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand((n, 1, 1, 1), generator=generator)
