"""Canvases: pieces of land composed of several tiles, so that the class of each pixel is known.

Land does not come in squares of one class. A network that has seen only whole tiles knows no
border; canvases give it borders of all kinds without a single label more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.augment import degrade, relight
from geoclass.learn.clouds import paint_clouds
from geoclass.learn.degrade import blur_tiles
from geoclass.learn.settings import AugmentSettings, CanvasSettings, Roles
from geoclass.model.device import send
from geoclass.model.networks import CELL

_PATCH = 16
"""Pixels a side of a patch of one color, more or less: a field has some."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvases:
    """A batch of canvases and what is known of them."""

    pixels: Tensor
    """float (n, 3, s, s), 0–255."""
    shares: Tensor
    """float (n, regions, s / 4, s / 4): how much of each cell each region fills: each tile, and
    the band of water."""
    labels: Tensor
    """int64 (n, regions): the class of each region."""
    required: Tensor
    """float (n, regions): the share of each region that is required to be of its class, 0–1."""
    obscured: Tensor
    """float (n, s / 4, s / 4): how much of each cell is hidden by cloud or shadow, 0–1; NaN where
    it is neither hidden nor clear."""


def compose_canvases(
    images: Tensor,
    labels: Tensor,
    roles: Roles,
    settings: CanvasSettings,
    look: AugmentSettings,
    generator: torch.Generator,
    progress: float = 0.0,
) -> Canvases:
    """Canvases of tiles, each seen on a day of its own.

    `images` is uint8 (n · tiles, 3, 64, 64) on any device, `labels` int64 (n · tiles,) on the CPU;
    `look` says how illumination and atmosphere vary, `progress` is 0–1 of training.
    """
    n = len(images) // settings.tiles
    device = images.device
    parcels, filling = draw_parcels(n, settings, generator)
    regions = _lay_tiles(images, labels, parcels, filling, roles, settings, generator)
    regions = _cross_by_water(regions, roles, settings, generator)
    colors = color_fields(images, labels, filling, roles, settings, generator)
    added = colors.gather(1, parcels.flatten(1)[:, :, None].expand(-1, -1, 3))
    x = _blend(
        regions, send(added.mT.reshape(n, 3, *parcels.shape[1:]), device), settings, generator
    )
    plain = look.plain_share + (look.plain_share_end - look.plain_share) * progress
    varied = send((torch.rand(n, generator=generator) >= plain).nonzero()[:, 0], device)
    x[varied] = relight(x[varied] / 255, look, generator).clamp(0, 1) * 255
    x, obscured = paint_clouds(x, settings.clouds, generator)
    x[varied] = degrade(x[varied], look, generator)
    return Canvases(
        pixels=x.clamp(0, 255),
        shares=F.avg_pool2d(regions.masks, CELL),
        labels=regions.labels,
        required=regions.required,
        obscured=obscured,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Regions:
    """What canvases are made of; fields as in `Canvases`, but of pixels."""

    masks: Tensor
    """float (n, regions, s, s), 0 or 1, on the device; the sum over regions is 1."""
    pixels: Tensor
    """float (n, regions, 3, s, s): what fills each region, all over the canvas."""
    labels: Tensor
    required: Tensor


def _lay_tiles(
    images: Tensor,
    labels: Tensor,
    parcels: Tensor,
    filling: Tensor,
    roles: Roles,
    settings: CanvasSettings,
    generator: torch.Generator,
) -> _Regions:
    """A region for each tile: the parcels that it fills."""
    tile = filling.gather(1, parcels.flatten(1)).reshape(parcels.shape)
    masks = F.one_hot(tile, settings.tiles).permute(0, 3, 1, 2).float()
    owners = labels.reshape(-1, settings.tiles)
    pixels = extend_tiles(images, settings, generator)
    if roles.water is not None:
        colored = torch.rand(len(labels), generator=generator) < settings.water_share
        there = send((colored & (labels == roles.water)).nonzero()[:, 0], images.device)
        pixels[there] = color_water(pixels[there], generator)
    return _Regions(
        masks=send(masks, images.device),
        pixels=pixels.unflatten(0, owners.shape),
        labels=owners,
        required=torch.tensor(roles.required)[owners],
    )


def _cross_by_water(
    regions: _Regions, roles: Roles, settings: CanvasSettings, generator: torch.Generator
) -> _Regions:
    """A region more: a band of water, whose pixels are those of a tile of water of the batch."""
    if roles.water is None or roles.band is None:
        return regions
    water = regions.labels.flatten().eq(roles.water).nonzero()[:, 0]
    if not len(water):
        return regions
    n, device = len(regions.labels), regions.masks.device
    band = send(draw_bands(n, settings, generator)[:, None], device)
    source = water[torch.randint(len(water), (n,), generator=generator)]
    river = color_water(regions.pixels.flatten(0, 1)[send(source, device)], generator)
    label = torch.full((n, 1), roles.band)
    return _Regions(
        masks=torch.cat([regions.masks * (1 - band), band], dim=1),
        pixels=torch.cat([regions.pixels, river[:, None]], dim=1),
        labels=torch.cat([regions.labels, label], dim=1),
        required=torch.cat([regions.required, torch.ones(n, 1)], dim=1),
    )


def _blend(
    regions: _Regions, added: Tensor, settings: CanvasSettings, generator: torch.Generator
) -> Tensor:
    """Pixels of canvases, float (n, 3, s, s), 0–255, with borders as soft as the instrument's.

    `added` is float (n, 3, s, s): the color that is added to parcels, not to water.
    """
    sigma = float(_uniform(*settings.psf, (1,), generator))
    soft = blur_tiles(regions.masks, sigma)
    tiles = soft[:, : settings.tiles].sum(dim=1, keepdim=True)
    x = (soft[:, :, None] * regions.pixels).sum(dim=1)
    return (x + tiles * blur_tiles(added, sigma)).clamp(0, 255)


def draw_parcels(
    n: int, settings: CanvasSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The parcel of each pixel of n canvases, int64 (n, s, s), and the tile of each parcel (n, p).

    Parcels are Voronoi cells of random points in a turned and stretched plane, so that some are
    as long and narrow as fields are; a smooth warp bends the borders of some.
    """
    size, tiles = settings.size, settings.tiles
    used = torch.randint(2, tiles + 1, (n, 1), generator=generator)
    used[torch.rand(n, generator=generator) < settings.single_share] = 1
    # Few regions as often as many: the number is spread evenly over its logarithm.
    most = (used * (settings.parcels / used) ** torch.rand((n, 1), generator=generator)).round()
    number = torch.arange(settings.parcels)
    filling = torch.randint(1 << 30, (n, settings.parcels), generator=generator) % used
    filling[:, :tiles] = torch.where(number[:tiles] < used, number[:tiles], filling[:, :tiles])
    points = size * torch.rand((n, settings.parcels, 2), generator=generator)
    plane = _draw_plane(n, settings, generator)  # n, s, s, 2
    turned = _draw_metric(n, settings, generator)  # n, 2, 2
    # Points that are not used lie where nothing is near them.
    points[number >= most] = 1e6
    away = torch.cdist(plane.flatten(1, 2) @ turned, points @ turned)  # n, s², parcels
    return away.argmin(dim=2).reshape(n, size, size), filling


def color_fields(
    images: Tensor,
    labels: Tensor,
    filling: Tensor,
    roles: Roles,
    settings: CanvasSettings,
    generator: torch.Generator,
) -> Tensor:
    """What is added to the color of each parcel, float (n, parcels, 3) in grey levels, on the CPU.

    0 for parcels that are no fields, and for those that keep their color.
    """
    n, parcels = filling.shape
    givers = torch.tensor(roles.colors)[labels].nonzero()[:, 0]
    if not len(givers):
        return torch.zeros(n, parcels, 3)
    mean = images.float().mean(dim=(2, 3)).cpu()
    patch = F.avg_pool2d(images.float(), _PATCH).flatten(2).cpu()  # tiles, 3, patches
    giver = givers[torch.randint(len(givers), (n, parcels), generator=generator)]
    place = torch.randint(patch.shape[2], (n, parcels), generator=generator)
    first = settings.tiles * torch.arange(n)[:, None]
    own = first + filling
    several = torch.rand((n, 1), generator=generator) < settings.field_share
    several = several & (filling != filling[:, :1]).any(dim=1, keepdim=True)
    chosen = several & (torch.rand((n, parcels), generator=generator) < 0.5)
    chosen = chosen & torch.tensor(roles.fields)[labels[own]]
    return torch.where(chosen[:, :, None], patch[giver, :, place] - mean[own], 0.0)


def draw_bands(n: int, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Float (n, s, s), 0 or 1: winding bands across some canvases."""
    size = settings.size
    line = torch.arange(size, dtype=torch.float32) - size / 2
    down, right = torch.meshgrid(line, line, indexing="ij")
    angle = 2 * torch.pi * torch.rand((n, 1, 1), generator=generator)
    away = down * angle.cos() + right * angle.sin()
    bends = torch.randn((n, 1, 4, 4), generator=generator)
    bends = F.interpolate(bends, size=size, mode="bicubic")[:, 0]
    away = away + 10 * torch.rand((n, 1, 1), generator=generator) * bends
    away = away + size * (torch.rand((n, 1, 1), generator=generator) - 0.5)
    narrow, wide = settings.band_width
    width = narrow * (wide / narrow) ** torch.rand((n, 1, 1), generator=generator)
    chosen = torch.rand((n, 1, 1), generator=generator) < settings.band_share
    return ((away.abs() < width / 2) & chosen).float()


def color_water(x: Tensor, generator: torch.Generator) -> Tensor:
    """Float (n, 3, s, s), 0–255, to the same as bright, brown or green as rivers are."""
    n = len(x)
    gain = (0.18 * torch.randn((n, 3, 1, 1), generator=generator)).exp()
    common = 40 * torch.rand((n, 1, 1, 1), generator=generator) ** 2
    tint = 6 * torch.randn((n, 3, 1, 1), generator=generator)
    return (x * send(gain, x.device) + send(common + tint, x.device)).clamp(0, 255)


def _draw_plane(n: int, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Float (n, s, s, 2): where each pixel lies, warped."""
    line = torch.arange(settings.size, dtype=torch.float32)
    plane = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=2)
    knots = int(torch.randint(3, 13, (1,), generator=generator))
    bends = torch.randn((n, 2, knots, knots), generator=generator)
    bends = F.interpolate(bends, size=settings.size, mode="bicubic")
    strength = settings.warp * torch.rand((n, 1, 1, 1), generator=generator)
    strength[torch.rand(n, generator=generator) < settings.straight_share] = 0
    return plane + (strength * bends).permute(0, 2, 3, 1)


def _draw_metric(n: int, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Float (n, 2, 2): a turn, and a stretch along one axis."""
    turn = _turn(torch.pi * torch.rand(n, generator=generator))
    longer = settings.stretch ** torch.rand(n, generator=generator)
    return turn * torch.stack([longer, torch.ones(n)], dim=1)[:, None, :]


def extend_tiles(images: Tensor, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Uint8 (m, 3, t, t) to float (m, 3, s, s): turned, moved, mirrored beyond their borders."""
    m, tile, size = len(images), images.shape[3], settings.size
    exact = torch.rand(m, generator=generator) >= settings.turn_share
    angle = 2 * torch.pi * torch.rand(m, generator=generator)
    angle[exact] = (angle[exact] / (torch.pi / 2)).floor() * (torch.pi / 2)
    scale = (1 + settings.scale) ** (2 * torch.rand(m, generator=generator) - 1)
    scale[exact] = 1
    mirror = torch.where(torch.rand(m, generator=generator) < 0.5, -1.0, 1.0)
    matrix = _turn(angle) * scale[:, None, None]
    matrix[:, :, 0] *= mirror[:, None]
    shift = torch.randint(-(tile // 2), tile // 2 + 1, (m, 2), generator=generator).float()
    # In units of half a tile, as grid_sample counts: from the middle to a border is 1.
    theta = torch.cat([matrix * (size / tile), (2 / tile * shift)[:, :, None]], dim=2)
    grid = F.affine_grid(send(theta, images.device), [m, 3, size, size], align_corners=False)
    return F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _turn(angle: Tensor) -> Tensor:
    """Radians (n,) to rotations (n, 2, 2)."""
    sine, cosine = angle.sin(), angle.cos()
    return torch.stack([cosine, -sine, sine, cosine], dim=1).reshape(-1, 2, 2)


def _uniform(low: float, high: float, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(tuple(shape), generator=generator)
