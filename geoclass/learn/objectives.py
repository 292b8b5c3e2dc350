"""Training objectives: the loss of one step."""

import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.errors import DatasetError, SettingsError
from geoclass.learn.augment import augment, augment_views
from geoclass.learn.canvases import Canvases, Composer
from geoclass.learn.degrade import mix_tiles
from geoclass.learn.recipes import TrainSettings, UnlabelledSettings
from geoclass.model.classifier import normalise
from geoclass.model.dense import FEATURE, TILE, WAYS, turn
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PseudoLabelled:
    """Images with the class probabilities of their cells."""

    images: Tensor
    """uint8 (m, 3, h, w): red, green, blue, with EuroSAT's stretch."""
    likely: Tensor
    """uint8 (m, classes + 1, h / 4, w / 4): probabilities, the last of "obscured"; 255 is 1."""
    settings: UnlabelledSettings

    def draw(self, count: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw randomly rotated and mirrored squares with their probabilities.

        uint8 (count, 3, size, size) and float (count, classes + 1, size / 4, size / 4), which sum
        to 1 over the classes.
        """
        side = size // CELL
        images, labels = [], []
        for i in torch.randint(len(self.images), (count,), generator=generator).tolist():
            row, col = (
                int(torch.randint(cells - side + 1, (1,), generator=generator))
                for cells in self.likely.shape[2:]
            )
            way = WAYS[int(torch.randint(len(WAYS), (1,), generator=generator))]
            top, left = CELL * row, CELL * col
            image = self.images[i, :, top : top + size, left : left + size]
            label = self.likely[i, :, row : row + side, col : col + side]
            images.append(turn(image, way[0], mirrored=way[1]))
            labels.append(turn(label, way[0], mirrored=way[1]))
        likely = torch.stack(labels).float()
        return torch.stack(images), likely / likely.sum(dim=1, keepdim=True).clamp(min=1)


def read_pseudo_labelled(path: Path, settings: TrainSettings, classes: int) -> PseudoLabelled:
    """Read a NumPy file (.npz) of the arrays `images` and `likely`, as in `PseudoLabelled`.

    Raises DatasetError for an invalid file, images smaller than a canvas or another number of
    classes; SettingsError for a network without canvases.
    """
    if settings.canvases is None:
        raise SettingsError(
            f"{settings.arch} has no cells and cannot be trained on unlabelled images: "
            "train tilenet-dense, or omit --unlabelled"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            images, likely = file["images"], file["likely"]
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"cannot read {path} as images with pseudo-labels ({error}): create it with "
            "scripts/label_unlabelled"
        ) from error
    size = settings.canvases.size
    wanted = (len(images), classes + 1, *(side // CELL for side in images.shape[2:]))
    fits = images.ndim == 4 and images.shape[1] == 3 and min(images.shape[2:]) >= size
    if not fits or {images.dtype, likely.dtype} != {np.dtype(np.uint8)} or likely.shape != wanted:
        raise DatasetError(
            f"{path} has images {images.dtype} {images.shape} and labels {likely.dtype} "
            f"{likely.shape}, expected uint8 (images, 3, height, width) of at least {size} pixels "
            f"per side, and uint8 (images, {classes + 1}, height / {CELL}, width / {CELL})"
        )
    return PseudoLabelled(
        images=torch.from_numpy(images),
        likely=torch.from_numpy(likely),
        settings=UnlabelledSettings(name=path.name),
    )


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

    The most probable cells of a region count; the others must not be of an excluded class.
    `share` is float (n, regions), the part that must match.
    """
    partial = share < 1
    clear = (canvases.obscured == 0)[:, None]
    inside = ((canvases.shares > 0.5) & clear)[partial].flatten(1)  # regions, cells
    canvas, _ = partial.nonzero(as_tuple=True)
    own = likely[canvas, labels[partial]].flatten(1)  # regions, cells
    wanted = (share[partial][:, None] * inside.sum(dim=1, keepdim=True)).ceil()
    rank = own.detach().masked_fill(~inside, -torch.inf).argsort(dim=1, descending=True).argsort(1)
    chosen = inside & (rank < wanted)
    absent = send(canvases.excluded, likely.device)[partial]  # regions, classes
    others = (likely[canvas].exp()[:, :-1] * absent[:, :, None, None]).sum(dim=1).flatten(1)
    free = inside & ~chosen
    excluding = -(torch.log1p(-others.clamp(max=0.999)) * free).sum()
    return excluding - (own * chosen).sum(), chosen.sum()


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
