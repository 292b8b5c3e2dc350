"""Canvases: images composed of several tiles, so that the class of each pixel is known.

Land is not made of squares of one class. Canvases have borders of all kinds and need no labels
other than those of tiles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.augment import augment_views
from geoclass.learn.dataset import TileSet
from geoclass.learn.degrade import blur_tiles, draw_uniform
from geoclass.learn.neighbours import build_sampler
from geoclass.learn.recipes import (
    UNCHANGED_LIGHT,
    AugmentSettings,
    CanvasSettings,
    CloudSettings,
    TrainSettings,
)
from geoclass.model.classifier import normalise
from geoclass.model.device import send
from geoclass.model.networks import CELL, DenseTileNet

_PATCH = 16
"""Pixels per side of a patch of about one colour, as in a field."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvases:
    """A batch of canvases with their labels."""

    pixels: Tensor
    """float (n, 3, s, s), 0–255."""
    shares: Tensor
    """float (n, regions, s / 4, s / 4): fraction of each cell that each region covers. Regions are
    the tiles and the band."""
    labels: Tensor
    """int64 (n, regions): the class of each region."""
    required: Tensor
    """float (n, regions): minimum fraction of each region that must match its class, 0–1."""
    excluded: Tensor
    """bool (n, regions, classes): classes that do not occur in a region."""
    obscured: Tensor
    """float (n, s / 4, s / 4): fraction of each cell hidden by cloud or shadow, 0–1; NaN where
    undecided."""


class Composer:
    """Composes canvases of tiles, each with its own light, air and clouds."""

    def __init__(
        self, classes: Sequence[str], settings: CanvasSettings, light: AugmentSettings
    ) -> None:
        """`light` sets the augmentation of light and quality."""
        self.settings, self.light = settings, light
        self._required = torch.tensor([settings.required.get(name, 1.0) for name in classes])
        wet = torch.tensor([name in settings.wet_classes for name in classes])
        built = torch.tensor([name in settings.built_classes for name in classes])
        # Rows are classes of tiles, columns the classes that they do not contain.
        self._excluded = (wet & ~wet[:, None]) | (built & ~(built | wet)[:, None])
        self._are_fields = torch.tensor([name in settings.field_classes for name in classes])
        self._give_colors = torch.tensor([name in settings.field_colors for name in classes])
        index = {name: i for i, name in enumerate(classes)}
        self._wood = index.get(settings.wood_class, -1)  # -1: no class
        self._band = index.get(settings.band_class, -1)
        self._water = index.get(settings.water_class, -1) if self._band >= 0 else -1

    def compose(
        self, images: Tensor, labels: Tensor, generator: torch.Generator, progress: float = 0.0
    ) -> Canvases:
        """Compose uint8 (n · tiles, 3, 64, 64), on any device, to n canvases.

        `labels` is int64 (n · tiles,) on the CPU, `progress` 0–1 of training.
        """
        settings, device = self.settings, images.device
        n = len(images) // settings.tiles
        parcels, filling = draw_parcels(n, settings, generator)
        owners = labels.reshape(n, settings.tiles)
        tile = filling.gather(1, parcels.flatten(1)).reshape(parcels.shape)
        # Per pixel: float (n, regions, s, s), 0 or 1, and the content of each region.
        masks = send(F.one_hot(tile, settings.tiles).permute(0, 3, 1, 2).float(), device)
        contents = self._extend(images, labels, generator).unflatten(0, owners.shape)
        required = self._required[owners]
        bands = self._draw_bands(contents, owners, generator)
        if bands is not None:
            band, filled, crossing = bands
            masks = torch.cat([masks * (1 - band), band], dim=1)
            contents = torch.cat([contents, filled[:, None]], dim=1)
            owners = torch.cat([owners, crossing[:, None]], dim=1)
            required = torch.cat([required, torch.ones(n, 1)], dim=1)
        colors = self._color_fields(images, labels, filling, generator)
        added = colors.gather(1, parcels.flatten(1)[:, :, None].expand(-1, -1, 3))
        added = send(added.mT.reshape(n, 3, *parcels.shape[1:]), device)
        # Borders are blended by the point spread function; the band gets no colour.
        sigma = float(draw_uniform(*settings.psf, 1, generator))
        soft = blur_tiles(masks, sigma)
        land = soft[:, : settings.tiles].sum(dim=1, keepdim=True)
        x = (soft[:, :, None] * contents).sum(dim=1)
        x = (x + land * blur_tiles(added, sigma)).clamp(0, 255)
        plain_share = self.light.plain_share_at(progress)
        pixels, obscured = augment_views(x, plain_share, self.light, settings.clouds, generator)
        return Canvases(
            pixels=pixels,
            shares=F.avg_pool2d(masks, CELL),
            labels=owners,
            required=required,
            excluded=self._excluded[owners],
            obscured=obscured,
        )

    def _draw_bands(
        self, contents: Tensor, owners: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Draw bands of water and of woods: (n, 1, s, s), 0 or 1; (n, 3, s, s); and classes (n,).

        None without tiles of either. Without bands of woods, each narrow dark line would be water.
        """
        n, device = len(contents), contents.device
        tiles = contents.flatten(0, 1)
        water, woods = (owners.flatten().eq(k).nonzero()[:, 0] for k in (self._water, self._wood))
        if not len(water) + len(woods):
            return None
        woods_share = 0.5 if len(water) and len(woods) else float(len(woods) > 0)
        are_woods = torch.rand(n, generator=generator) < woods_share
        place = torch.rand(n, generator=generator)
        filled = torch.empty_like(tiles[:n])
        for chosen, source in ((~are_woods, water), (are_woods, woods)):
            drawn = source[(place[chosen] * len(source)).long()]
            filled[send(chosen, device)] = tiles[send(drawn, device)]
        wet = send(~are_woods, device)
        filled[wet] = color_water(filled[wet], generator)
        band = send(draw_bands(n, self.settings, generator)[:, None], device)
        return band, filled, torch.where(are_woods, self._wood, self._band)

    def _extend(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Tiles as large as canvases, some water and woods in other colours: (m, 3, s, s)."""
        settings = self.settings
        x = extend_tiles(images, settings, generator)
        for label, share, color in (
            (self._water, settings.water_share, color_water),
            (self._wood, settings.wood_share, color_woods),
        ):
            colored = torch.rand(len(labels), generator=generator) < share
            there = send((colored & (labels == label)).nonzero()[:, 0], images.device)
            x[there] = color(x[there], generator)
        return x

    def _color_fields(
        self, images: Tensor, labels: Tensor, filling: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Draw the colour added to each parcel: float (n, parcels, 3), grey levels, on the CPU.

        0 for parcels that are not fields or keep their colour.
        """
        n, parcels = filling.shape
        givers = self._give_colors[labels].nonzero()[:, 0]
        if not len(givers):
            return torch.zeros(n, parcels, 3)
        mean = images.float().mean(dim=(2, 3)).cpu()
        patch = F.avg_pool2d(images.float(), _PATCH).flatten(2).cpu()  # tiles, 3, patches
        giver = givers[torch.randint(len(givers), (n, parcels), generator=generator)]
        place = torch.randint(patch.shape[2], (n, parcels), generator=generator)
        own = self.settings.tiles * torch.arange(n)[:, None] + filling
        chosen = torch.rand((n, 1), generator=generator) < self.settings.field_share
        chosen = chosen & (filling != filling[:, :1]).any(dim=1, keepdim=True)  # several tiles
        chosen = chosen & (torch.rand((n, parcels), generator=generator) < 0.5)
        chosen = chosen & self._are_fields[labels[own]]
        return torch.where(chosen[:, :, None], patch[giver, :, place] - mean[own], 0.0)


def draw_parcels(
    n: int, settings: CanvasSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw the parcel of each pixel, int64 (n, s, s), and the tile of each parcel, (n, parcels).

    Parcels are Voronoi cells of random points in a rotated and stretched plane, so that some are
    long and narrow, like fields. A smooth warp bends the borders of some canvases.
    """
    size, tiles = settings.size, settings.tiles
    used = torch.randint(2, tiles + 1, (n, 1), generator=generator)
    used[torch.rand(n, generator=generator) < settings.single_share] = 1
    # The number of parcels is uniform in its logarithm.
    most = (used * (settings.parcels / used) ** torch.rand((n, 1), generator=generator)).round()
    number = torch.arange(settings.parcels)
    filling = torch.randint(1 << 30, (n, settings.parcels), generator=generator) % used
    filling[:, :tiles] = torch.where(number[:tiles] < used, number[:tiles], filling[:, :tiles])
    points = size * torch.rand((n, settings.parcels, 2), generator=generator)
    plane = _draw_plane(n, settings, generator)  # n, s, s, 2
    turned = _draw_metric(n, settings, generator)  # n, 2, 2
    # Unused points are moved far away.
    points[number >= most] = 1e6
    away = torch.cdist(plane.flatten(1, 2) @ turned, points @ turned)  # n, s², parcels
    return away.argmin(dim=2).reshape(n, size, size), filling


def draw_bands(n: int, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Draw winding bands across some canvases: float (n, s, s), 0 or 1."""
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
    """Change the colour of water, float (n, 3, s, s), 0–255, to that of rivers."""
    n = len(x)
    gain = (0.18 * torch.randn((n, 3, 1, 1), generator=generator)).exp()
    common = 40 * torch.rand((n, 1, 1, 1), generator=generator) ** 2
    tint = 6 * torch.randn((n, 3, 1, 1), generator=generator)
    return (x * send(gain, x.device) + send(common + tint, x.device)).clamp(0, 255)


def color_woods(x: Tensor, generator: torch.Generator) -> Tensor:
    """Change the colour of woods, float (n, 3, s, s), 0–255, to that of bright or dry ones."""
    n = len(x)
    brightness = 0.08 + 0.15 * torch.randn((n, 1, 1, 1), generator=generator)
    tint = torch.tensor([0.08, 0.04, 0.04])[:, None, None]  # dry leaves are redder
    tint = tint * torch.randn((n, 3, 1, 1), generator=generator)
    return (x * send((brightness + tint).exp(), x.device)).clamp(0, 255)


def _draw_plane(n: int, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Draw warped pixel coordinates: float (n, s, s, 2)."""
    line = torch.arange(settings.size, dtype=torch.float32)
    plane = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=2)
    knots = int(torch.randint(3, 13, (1,), generator=generator))
    bends = torch.randn((n, 2, knots, knots), generator=generator)
    bends = F.interpolate(bends, size=settings.size, mode="bicubic")
    strength = settings.warp * torch.rand((n, 1, 1, 1), generator=generator)
    strength[torch.rand(n, generator=generator) < settings.straight_share] = 0
    return plane + (strength * bends).permute(0, 2, 3, 1)


def _draw_metric(n: int, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Draw a rotation and a stretch along one axis: float (n, 2, 2)."""
    turn = _turn(torch.pi * torch.rand(n, generator=generator))
    longer = settings.stretch ** torch.rand(n, generator=generator)
    return turn * torch.stack([longer, torch.ones(n)], dim=1)[:, None, :]


def extend_tiles(images: Tensor, settings: CanvasSettings, generator: torch.Generator) -> Tensor:
    """Rotate, scale and shift tiles, mirrored at borders: uint8 (m, 3, t, t) to (m, 3, s, s)."""
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
    # grid_sample's units: 1 from the centre of a tile to its border.
    theta = torch.cat([matrix * (size / tile), (2 / tile * shift)[:, :, None]], dim=2)
    grid = F.affine_grid(send(theta, images.device), [m, 3, size, size], align_corners=False)
    return F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _turn(angle: Tensor) -> Tensor:
    """Rotation matrices (n, 2, 2) of angles in radians (n,)."""
    sine, cosine = angle.sin(), angle.cos()
    return torch.stack([cosine, -sine, sine, cosine], dim=1).reshape(-1, 2, 2)


CALIBRATION_CANVASES = 512
"""Maximum number, 576 cells each; at most one per tile."""

MIXED_TILES = 2_000
"""Maximum number, about the size of EuroSAT's validation part; at most one per tile."""

_BATCH_SIZE = 64


def compute_cells(
    network: DenseTileNet, tiles: TileSet, chosen: np.ndarray, settings: TrainSettings
) -> tuple[Tensor, Tensor]:
    """Logits (n, classes) and labels (n,) of cells of canvases; deterministic.

    `chosen` are indices of tiles. Only cells covered by one tile count, of classes of
    which at least half of the cells must match. The last output of the network, obscured, is
    omitted.
    """
    canvas_settings = settings.canvases or CanvasSettings()
    logits, labels = [], []
    for canvases in compose_clear(tiles, chosen, canvas_settings, CALIBRATION_CANVASES):
        pixels = send(canvases.pixels, next(network.parameters()).device)
        with torch.inference_mode():
            found = network.forward_dense(normalise(pixels, settings.mean, settings.std))[0].cpu()
        whole = (canvases.shares > 0.999) & (canvases.required >= 0.5)[:, :, None, None]
        canvas, slot, row, col = whole.nonzero(as_tuple=True)
        logits.append(found[canvas, :-1, row, col].float())
        labels.append(canvases.labels[canvas, slot])
    return torch.cat(logits), torch.cat(labels)


def mix_whole_tiles(tiles: TileSet, chosen: np.ndarray) -> Tensor:
    """Cut tiles of several classes from canvases of the tiles `chosen`: uint8 (n, 3, 64, 64)."""
    settings = CanvasSettings(single_share=0)
    size = tiles.images.shape[3]
    inner = slice((settings.size - size) // 2, (settings.size + size) // 2)
    parts = [
        canvases.pixels[:, :, inner, inner].round().to(torch.uint8)
        for canvases in compose_clear(tiles, chosen, settings, MIXED_TILES)
    ]
    return torch.cat(parts)


def compose_clear(
    tiles: TileSet, chosen: np.ndarray, settings: CanvasSettings, count: int
) -> Iterator[Canvases]:
    """Compose canvases of the tiles `chosen` in unchanged light, without clouds; deterministic."""
    generator = torch.Generator().manual_seed(0)
    clear = replace(
        settings,
        clouds=CloudSettings(share=0),
        field_share=0,
        water_share=0,
        wood_share=0,
        band_share=0,
    )
    composer = Composer(tiles.classes, clear, UNCHANGED_LIGHT)
    sampler = build_sampler(tiles.labels, chosen, tiles.places, tiles.classes)
    first = torch.from_numpy(chosen)
    first = first[torch.randint(len(first), (min(count, len(first)),), generator=generator)]
    for batch in first.split(_BATCH_SIZE):
        together = sampler.draw(batch, clear.tiles, generator).flatten()
        images, labels = (torch.from_numpy(x[together]) for x in (tiles.images, tiles.labels))
        yield composer.compose(images, labels, generator)
