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
from geoclass.learn.clouds import paint_clouds
from geoclass.learn.degrade import mix_tiles
from geoclass.learn.recipes import TrainSettings, UnlabelledSettings
from geoclass.learn.settings import AugmentSettings, Roles
from geoclass.learn.unlabelled import PseudoLabelled
from geoclass.model.classifier import normalise
from geoclass.model.device import send
from geoclass.model.networks import CELL, DenseTileNet

TILE = 64
"""Pixels a side of a tile."""

FEATURE = 8
"""Pixels a side of one of the features that a tile's class is pooled from."""

TILE_WEIGHT = 0.5
"""Of the loss of tiles beside that of cells."""

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
    """Canvases composed of tiles; where there are some, unlabelled images beside them."""

    network: DenseTileNet
    roles: Roles
    """Of the classes, see `CanvasSettings.find_roles`."""
    settings: TrainSettings
    unlabelled: PseudoLabelled | None = None
    """Images that older models have labelled (Xie et al. 2020, noisy student), on the CPU."""

    def compute_loss(
        self, images: Tensor, labels: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Cross entropy of cells and tiles, and of cells of images against pseudo-labels."""
        settings = self.settings
        assert settings.canvases is not None
        look = settings.augment or AS_THEY_ARE
        canvases = compose_canvases(
            images, labels, self.roles, settings.canvases, look, generator, progress
        )
        x, pseudo = canvases.pixels, None
        if self.unlabelled is not None and settings.unlabelled is not None:
            images, pseudo = self._draw_unlabelled(len(x), settings.unlabelled, generator)
            x = torch.cat([x, images])
        with _autocast(settings, x.device):
            cells, deep = self.network.forward_dense(normalise(x, settings.mean, settings.std))
        n = len(canvases.pixels)
        loss = cell_loss(cells[:n], canvases)
        loss = loss + TILE_WEIGHT * self._tile_loss(deep[:n], canvases, generator)
        if pseudo is not None and settings.unlabelled is not None:
            loss = loss + settings.unlabelled.weight * soft_loss(cells[n:], pseudo)
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

    def _draw_unlabelled(
        self, canvases: int, settings: UnlabelledSettings, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Images in other light and under clouds, and what is known of their cells.

        Float (m, 3, s, s), 0–255, and (m, classes + 1, s / 4, s / 4): probabilities of models that
        saw them as they are, moved to the last class where a cloud was painted; 0 where a cell is
        neither hidden nor clear.
        """
        assert self.unlabelled is not None
        assert self.settings.canvases is not None
        count = max(1, round(settings.share * canvases))
        drawn, likely = self.unlabelled.draw(count, self.settings.canvases.size, generator)
        device = next(self.network.parameters()).device
        x, likely = send(drawn, device).float(), send(likely, device)
        look = self.settings.augment or AS_THEY_ARE
        varied = torch.rand(count, generator=generator) >= settings.plain_share
        there = send(varied.nonzero()[:, 0], device)
        x[there] = relight(x[there] / 255, look, generator).clamp(0, 1) * 255
        x, obscured = paint_clouds(x, self.settings.canvases.clouds, generator)
        x[there] = degrade(x[there], look, generator)
        hidden = obscured.nan_to_num(0)[:, None]
        likely = torch.cat(
            [likely[:, :-1] * (1 - hidden), likely[:, -1:] * (1 - hidden) + hidden], 1
        )
        return x.clamp(0, 255), likely * ~obscured.isnan()[:, None]


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


def soft_loss(logits: Tensor, likely: Tensor) -> Tensor:
    """Mean cross entropy of cells, logits (m, k, h, w), against probabilities of that shape.

    Probabilities stay what they are, not made sure, so that doubt between classes remains.
    """
    return -(likely * F.log_softmax(logits.float(), dim=1)).sum(dim=1).mean()


def _autocast(settings: TrainSettings, device: torch.device) -> AbstractContextManager[None]:
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
