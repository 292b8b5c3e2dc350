"""What a network is taught by a batch of tiles: the loss of one step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.augment import augment, degrade, relight
from geoclass.learn.canvases import Canvases, compose_canvases
from geoclass.learn.degrade import mix_tiles
from geoclass.learn.recipes import TrainSettings, UnlabelledSettings
from geoclass.learn.settings import AugmentSettings, Roles
from geoclass.model.classifier import normalise
from geoclass.model.device import send
from geoclass.model.networks import CELL, DenseTileNet
from geoclass.model.survey import WAYS, turn, turn_back

TILE = 64
"""Pixels a side of a tile."""

FEATURE = 8
"""Pixels a side of one of the features that a tile's class is pooled from."""

TILE_WEIGHT = 0.5
"""Of the loss of tiles beside that of cells."""

WARM_UP = 0.2
"""Share of training after which pseudo-labels have their full weight: the first are poor."""


AS_THEY_ARE = AugmentSettings(plain_share=1, plain_share_end=1)
"""Canvases are composed, but their light is that of their tiles."""


class Lesson(Protocol):
    """One way of teaching."""

    def compute_loss(
        self, images: Tensor, labels: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        """The loss of a batch, a scalar.

        `images` is uint8 (n, 3, 64, 64) on the device, `labels` int64 (n,) on the CPU, `progress`
        0–1 of training.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class TileLesson:
    """Whole tiles and their classes."""

    network: Callable[[Tensor], Tensor]
    """Float (n, 3, 64, 64) to logits (n, classes)."""
    classes: int
    settings: TrainSettings

    def compute_loss(
        self, images: Tensor, labels: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Cross entropy against the classes of tiles, some of them mixed."""
        settings = self.settings
        x = images.float()
        targets = send(F.one_hot(labels, self.classes).float(), images.device)
        if settings.augment is not None:
            x = augment(images, labels, settings.augment, generator, progress)
            mixed = settings.augment.mix_share * (1 - progress)
            x, targets = mix_tiles(x, targets, mixed, generator)
        x = normalise(x, settings.mean, settings.std)
        with _autocast(settings, x.device):
            logits = self.network(x)
        return F.cross_entropy(logits.float(), targets, label_smoothing=settings.label_smoothing)


@dataclass(frozen=True, kw_only=True, eq=False)
class CanvasLesson:
    """Canvases composed of tiles; where there are some, unlabelled pictures beside them."""

    network: DenseTileNet
    teacher: DenseTileNet
    """Averaged weights, which label the pictures (Tarvainen and Valpola 2017, mean teacher)."""
    roles: Roles
    """Of the classes, see `CanvasSettings.find_roles`."""
    settings: TrainSettings
    unlabelled: Tensor | None = None
    """uint8 (m, 3, h, w), on the CPU."""

    def compute_loss(
        self, images: Tensor, labels: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Cross entropy of cells and tiles, and of cells of pictures against pseudo-labels."""
        settings = self.settings
        assert settings.canvases is not None
        look = settings.augment or AS_THEY_ARE
        canvases = compose_canvases(
            images, labels, self.roles, settings.canvases, look, generator, progress
        )
        x, pseudo = canvases.pixels, None
        if self.unlabelled is not None and settings.unlabelled is not None:
            pictures, pseudo = self._label_pictures(len(x), settings.unlabelled, generator)
            x = torch.cat([x, pictures])
        with _autocast(settings, x.device):
            cells, deep = self.network.survey(normalise(x, settings.mean, settings.std))
        n = len(canvases.pixels)
        loss = cell_loss(cells[:n], canvases)
        loss = loss + TILE_WEIGHT * self._tile_loss(deep[:n], canvases, generator)
        if pseudo is not None and settings.unlabelled is not None:
            weight = settings.unlabelled.weight * min(1, progress / WARM_UP)
            loss = loss + weight * consistency_loss(
                cells[n:], pseudo, settings.unlabelled.threshold
            )
        return loss

    def _tile_loss(self, deep: Tensor, canvases: Canvases, generator: torch.Generator) -> Tensor:
        """Of a window as large as a tile, somewhere in the canvases."""
        size = canvases.pixels.shape[3]
        row, col = torch.randint((size - TILE) // FEATURE + 1, (2,), generator=generator).tolist()
        side = TILE // FEATURE
        pooled = deep[:, :, row : row + side, col : col + side].mean(
            dim=(2, 3), dtype=torch.float32
        )
        finer = FEATURE // CELL
        window = tuple(slice(finer * i, finer * (i + side)) for i in (row, col))
        return tile_loss(self.network.decide(pooled), canvases, (window[0], window[1]))

    def _label_pictures(
        self, canvases: int, settings: UnlabelledSettings, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Pictures in strong light and what the teacher says of them as they are.

        Float (m, 3, s, s), 0–255, and probabilities (m, classes + 1, s / 4, s / 4). The teacher
        looks in two ways: the mean of two is right more often than one.
        """
        assert self.unlabelled is not None
        assert self.settings.canvases is not None
        count = max(1, round(settings.share * canvases))
        crops = draw_crops(self.unlabelled, count, self.settings.canvases.size, generator)
        x = send(crops, next(self.network.parameters()).device).float()
        weak = normalise(x, self.settings.mean, self.settings.std)
        another = 1 + int(torch.randint(len(WAYS) - 1, (1,), generator=generator))
        likely = [self._ask_teacher(weak, *way) for way in (WAYS[0], WAYS[another])]
        pseudo = torch.stack(likely).mean(dim=0)
        look = self.settings.augment or AS_THEY_ARE
        strong = relight(x / 255, look, generator).clamp(0, 1) * 255
        strong = degrade(strong, look, generator).clamp(0, 255)
        return strong, pseudo

    def _ask_teacher(self, x: Tensor, turns: int, mirrored: bool) -> Tensor:
        """Probabilities of cells of pictures that are looked at in one of `WAYS`."""
        with torch.inference_mode(), _autocast(self.settings, x.device):
            turned = turn(x, turns, mirrored=mirrored).contiguous(memory_format=torch.channels_last)
            logits, _ = self.teacher.eval().survey(turned)
            likely = logits.float().softmax(dim=1)
        return turn_back(likely, turns, mirrored=mirrored).clone()


def cell_loss(logits: Tensor, canvases: Canvases) -> Tensor:
    """Cross entropy of cells (n, classes + 1, h, w) against what is known of them; a scalar."""
    likely = F.log_softmax(logits.float(), dim=1)
    classes = likely.shape[1] - 1
    labels = send(canvases.labels, logits.device)
    share = send(canvases.required, logits.device)  # n, regions
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


def draw_crops(pictures: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Uint8 (m, 3, h, w) to squares out of some of them, (count, 3, size, size), turned anyhow."""
    chosen = torch.randint(len(pictures), (count,), generator=generator).tolist()
    crops = []
    for i in chosen:
        rows, cols = (pictures.shape[k] - size + 1 for k in (2, 3))
        row = int(torch.randint(rows, (1,), generator=generator))
        col = int(torch.randint(cols, (1,), generator=generator))
        turns = int(torch.randint(4, (1,), generator=generator))
        crop = torch.rot90(pictures[i, :, row : row + size, col : col + size], turns, (1, 2))
        mirrored = torch.rand(1, generator=generator) < 0.5
        crops.append(crop.flip(2) if mirrored else crop)
    return torch.stack(crops)


def consistency_loss(logits: Tensor, pseudo: Tensor, threshold: float) -> Tensor:
    """Cross entropy of cells, logits (m, k, h, w), against probabilities of the same shape.

    Cells count where the teacher is sure, at least by `threshold` (Sohn et al. 2020, FixMatch);
    its probabilities are kept as they are, not made sure, so that doubt between classes remains.
    """
    sure = (pseudo.amax(dim=1) >= threshold).float()
    likely = F.log_softmax(logits.float(), dim=1)
    return -((pseudo * likely).sum(dim=1) * sure).mean()


def _autocast(settings: TrainSettings, device: torch.device) -> AbstractContextManager[None]:
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
