"""Training objectives: the loss of one step."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.augment import augment, augment_views
from geoclass.learn.canvases import Canvases, Composer
from geoclass.learn.degrade import mix_tiles
from geoclass.learn.recipes import TrainSettings
from geoclass.learn.unlabelled import PseudoLabelled
from geoclass.model.classifier import normalise
from geoclass.model.dense import FEATURE, TILE
from geoclass.model.device import send
from geoclass.model.networks import CELL, DenseTileNet

TILE_WEIGHT = 0.5
"""Weight of the loss of tiles relative to that of cells."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TileObjective:
    """Classification of whole tiles."""

    network: Callable[[Tensor], Tensor]
    """Float (n, 3, 64, 64) to logits (n, classes)."""
    classes: int
    settings: TrainSettings

    def compute_loss(
        self, images: Tensor, labels: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Cross entropy of augmented, partly mixed tiles, a scalar.

        `images` is uint8 (n, 3, 64, 64) on the device, `labels` int64 (n,) on the CPU, `progress`
        0–1 of training.
        """
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
class CanvasObjective:
    """Classification of the cells and tiles of canvases, and of unlabelled images if any."""

    network: DenseTileNet
    composer: Composer
    settings: TrainSettings
    unlabelled: PseudoLabelled | None = None
    """Images with pseudo-labels (noisy student, Xie et al. 2020), on the CPU."""

    def compute_loss(
        self, images: Tensor, labels: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Cross entropy of cells and tiles, plus that of cells against pseudo-labels, a scalar.

        Arguments are those of `TileObjective.compute_loss`; each canvas takes the next tiles.
        """
        settings, extra = self.settings, self.unlabelled
        canvases = self.composer.compose(images, labels, generator, progress)
        n, x, likely = len(canvases.pixels), canvases.pixels, None
        if extra is not None:
            more, likely = self._draw_unlabelled(extra, n, generator)
            x = torch.cat([x, more])
        with _autocast(settings, x.device):
            cells, deep = self.network.forward_dense(normalise(x, settings.mean, settings.std))
        loss = cell_loss(cells[:n], canvases)
        loss = loss + TILE_WEIGHT * self._tile_loss(deep[:n], canvases, generator)
        if extra is not None and likely is not None:
            loss = loss + extra.settings.weight * soft_loss(cells[n:], likely)
        return loss

    def _tile_loss(self, deep: Tensor, canvases: Canvases, generator: torch.Generator) -> Tensor:
        """Loss of a tile-sized window at a random position of the canvases."""
        size, side, finer = canvases.pixels.shape[3], TILE // FEATURE, FEATURE // CELL
        row, col = torch.randint((size - TILE) // FEATURE + 1, (2,), generator=generator).tolist()
        inside = deep[:, :, row : row + side, col : col + side]
        pooled = inside.mean(dim=(2, 3), dtype=torch.float32)
        rows, cols = (slice(finer * i, finer * (i + side)) for i in (row, col))
        return tile_loss(self.network.decide(pooled), canvases, (rows, cols))

    def _draw_unlabelled(
        self, unlabelled: PseudoLabelled, canvases: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw unlabelled images, augmented, with the probabilities of their cells.

        Float (m, 3, s, s), 0–255, and (m, classes + 1, s / 4, s / 4). Painted clouds move
        probability to the last class; undecided cells are 0.
        """
        settings, composer = unlabelled.settings, self.composer
        count = max(1, round(settings.share * canvases))
        drawn, likely = unlabelled.draw(count, composer.settings.size, generator)
        device = next(self.network.parameters()).device
        x, likely = send(drawn, device).float(), send(likely, device)
        x, obscured = augment_views(
            x, settings.plain_share, composer.light, composer.settings.clouds, generator
        )
        hidden = obscured.nan_to_num(0)[:, None]
        likely = likely * (1 - hidden)
        likely[:, -1:] += hidden
        return x, likely * ~obscured.isnan()[:, None]


def cell_loss(logits: Tensor, canvases: Canvases) -> Tensor:
    """Cross entropy of cells, logits (n, classes + 1, h, w), against a canvas's labels: scalar."""
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
    """Summed cross entropy of regions of which only a part must match, and its number of cells.

    The most probable cells of a region count. `share` is float (n, regions), the part that must
    match.
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
    """Cross entropy of tiles, logits (n, classes), against the class fractions within them.

    `window` holds the rows and columns of cells of the tile, the same in all canvases.
    """
    rows, cols = window
    labels = send(canvases.labels, logits.device)
    shares = canvases.shares[:, :, rows, cols].mean(dim=(2, 3))
    clear = 1 - canvases.obscured[:, rows, cols].nan_to_num(0.5).mean(dim=(1, 2))
    target = torch.einsum("ntc,nt->nc", F.one_hot(labels, logits.shape[1]).float(), shares)
    loss = -(target * F.log_softmax(logits.float(), dim=1)).sum(dim=1)
    return (loss * clear).sum() / clear.sum().clamp(min=1)


def soft_loss(logits: Tensor, likely: Tensor) -> Tensor:
    """Mean cross entropy of cells, logits (m, k, h, w), against probabilities of that shape."""
    return -(likely * F.log_softmax(logits.float(), dim=1)).sum(dim=1).mean()


def _autocast(settings: TrainSettings, device: torch.device) -> AbstractContextManager[None]:
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
