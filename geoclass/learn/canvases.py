"""Canvases: pieces of land composed of several tiles, so that the class of each pixel is known.

Land does not come in squares of one class. A network that has seen only whole tiles knows no
border; canvases give it borders of all kinds without a single label more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.augment import AugmentSettings, degrade, relight
from geoclass.learn.clouds import CloudSettings, paint_clouds
from geoclass.learn.degrade import blur_tiles
from geoclass.model.device import constant, send
from geoclass.model.networks import CELL


@dataclass(frozen=True, slots=True, kw_only=True)
class CanvasSettings:
    """How canvases are composed. Shares are of canvases."""

    size: int = 96
    """Pixels a side, a multiple of 16."""
    tiles: int = 4
    """Of so many tiles at most."""
    single_share: float = 0.33
    """Of one tile alone."""
    parcels: int = 14
    """Regions at most; several may be filled by one tile, as fields of one crop are."""
    straight_share: float = 0.5
    """With straight borders between regions; of the others borders are warped."""
    warp: float = 7.0
    """Standard deviation of the warp, up to so many pixels."""
    stretch: float = 3.0
    """Regions are up to so many times as long as wide."""
    turn_share: float = 0.5
    """Of tiles: turned by any angle and scaled, which blurs them a little; the others are turned
    by right angles, mirrored and moved by whole pixels."""
    scale: float = 0.2
    """Tiles are scaled by 1/(1+scale) to 1+scale."""
    psf: tuple[float, float] = (0.4, 0.9)
    """Standard deviation of the instrument's point spread function at borders, in pixels."""
    clouds: CloudSettings = field(default_factory=CloudSettings)
    line_classes: tuple[str, ...] = ("Highway", "River")
    """Classes of tiles that a line crosses: most of such a tile is something else."""
    line_share: float = 1 / 6
    """Of a region of such a class, so much is required to be of it: the cells that are likeliest;
    the others may be anything."""
    town_classes: tuple[str, ...] = ("Industrial", "Residential")
    """Classes of tiles that hold parks, trees and fields among what gives them their name."""
    town_share: float = 0.5
    """The same of those."""

    def required(self, names: Sequence[str]) -> tuple[float, ...]:
        """Of a region of each class, the share that is required to be of it, 0–1."""
        shares = dict.fromkeys(self.line_classes, self.line_share)
        shares |= dict.fromkeys(self.town_classes, self.town_share)
        return tuple(shares.get(name, 1.0) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvases:
    """A batch of canvases and what is known of them."""

    pixels: Tensor
    """float (n, 3, s, s), 0–255."""
    shares: Tensor
    """float (n, tiles, s / 4, s / 4): how much of each cell is filled by each of its tiles."""
    labels: Tensor
    """int64 (n, tiles): the class of each tile."""
    obscured: Tensor
    """float (n, s / 4, s / 4): how much of each cell is hidden by cloud or shadow, 0–1; NaN where
    it is neither hidden nor clear."""


def compose_canvases(
    images: Tensor,
    labels: Tensor,
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
    regions = send(draw_regions(n, settings, generator), device)  # n, tiles, s, s
    sigma = float(_uniform(*settings.psf, (1,), generator))
    soft = blur_tiles(regions, sigma)
    filled = extend_tiles(images, settings, generator).reshape(
        n, settings.tiles, 3, *soft.shape[2:]
    )
    x = (soft[:, :, None] * filled).sum(dim=1)
    plain = look.plain_share + (look.plain_share_end - look.plain_share) * progress
    varied = send((torch.rand(n, generator=generator) >= plain).nonzero()[:, 0], device)
    x[varied] = relight(x[varied] / 255, look, generator).clamp(0, 1) * 255
    x, obscured = paint_clouds(x, settings.clouds, generator)
    x[varied] = degrade(x[varied], look, generator)
    return Canvases(
        pixels=x.clamp(0, 255),
        shares=F.avg_pool2d(regions, CELL),
        labels=labels.reshape(n, settings.tiles),
        obscured=obscured,
    )


def draw_regions(n: int, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Float (n, tiles, s, s), 0 or 1: which tile fills each pixel of n canvases.

    Regions are Voronoi cells of random points in a turned and stretched plane, so that some are
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
    nearest = away.argmin(dim=2)
    tile = filling.gather(1, nearest).reshape(n, size, size)
    return F.one_hot(tile, tiles).permute(0, 3, 1, 2).float()


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


def cell_loss(logits: Tensor, canvases: Canvases, required: Sequence[float]) -> Tensor:
    """Cross entropy of cells (n, classes + 1, h, w) against what is known of them; a scalar.

    `required` has a share for each class, see `CanvasSettings.required`.
    """
    likely = F.log_softmax(logits.float(), dim=1)
    classes = likely.shape[1] - 1
    labels = send(canvases.labels, logits.device)
    share = constant(tuple(required), logits.device)[labels]  # n, tiles
    hidden = canvases.obscured.nan_to_num(0)[:, None]
    known = (~canvases.obscured.isnan())[:, None].float()
    whole = F.one_hot(labels, classes).float() * (share == 1)[:, :, None]
    target = torch.einsum("ntc,nthw->nchw", whole, canvases.shares)
    target = torch.cat([target * (1 - hidden), hidden], dim=1) * known
    partly, cells = _partial_loss(likely, canvases, labels, share)
    total = -(target * likely).sum() + partly
    return total / (target.sum() + cells).clamp(min=1)


def _partial_loss(
    likely: Tensor, canvases: Canvases, labels: Tensor, share: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross entropy, summed, of the likeliest cells of regions of which a share is required.

    And the number of those cells; `share` is float (n, tiles), 1 where all of a region is.
    """
    partial = share < 1
    clear = (canvases.obscured == 0)[:, None]
    inside = ((canvases.shares > 0.5) & clear)[partial].flatten(1)  # regions, cells
    canvas, _ = partial.nonzero(as_tuple=True)
    own = likely[canvas, labels[partial]].flatten(1)  # regions, cells
    wanted = (share[partial][:, None] * inside.sum(dim=1, keepdim=True)).ceil()
    rank = own.detach().masked_fill(~inside, -torch.inf).argsort(dim=1, descending=True).argsort(1)
    chosen = inside & (rank < wanted)
    return -(own * chosen).sum(), chosen.sum()


def tile_loss(logits: Tensor, canvases: Canvases, window: tuple[slice, slice]) -> Tensor:
    """Cross entropy of tiles (n, classes) against the shares of classes within them.

    `window` are the tile's rows and columns of cells, the same in all canvases.
    """
    rows, cols = window
    labels = send(canvases.labels, logits.device)
    shares = canvases.shares[:, :, rows, cols].mean(dim=(2, 3))
    clear = 1 - canvases.obscured[:, rows, cols].nan_to_num(0.5).mean(dim=(1, 2))
    target = torch.einsum("ntc,nt->nc", F.one_hot(labels, logits.shape[1]).float(), shares)
    loss = -(target * F.log_softmax(logits.float(), dim=1)).sum(dim=1)
    return (loss * clear).sum() / clear.sum().clamp(min=1)
