"""Make a confidence of 90 % right nine times in ten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.augment import AugmentSettings
from geoclass.learn.canvases import CanvasSettings, compose_canvases
from geoclass.learn.clouds import CloudSettings
from geoclass.learn.companions import find_companions
from geoclass.learn.dataset import TileSet
from geoclass.learn.recipes import TrainSettings
from geoclass.model.classifier import normalise
from geoclass.model.device import send
from geoclass.model.networks import DenseTileNet


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T that makes softmax(logits / T) likeliest (Guo et al. 2017, "On Calibration").

    `logits` float (n, classes), `labels` int64 (n,), of tiles that were not trained on.
    The result is kept within 0.05–20, where a network without a single mistake would
    otherwise push it to 0.
    """
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")
    exact = logits.double()

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(exact / log_t.clamp(-3, 3).exp(), labels)
        value.backward()
        return value

    optimizer.step(loss)
    return float(log_t.detach().clamp(-3, 3).exp())


CALIBRATION_CANVASES = 512
"""Enough for one number: each has 576 cells."""


def compute_cells(
    network: DenseTileNet, tiles: TileSet, chosen: np.ndarray, settings: TrainSettings
) -> tuple[Tensor, Tensor]:
    """Logits (n, classes) and labels (n,) of cells of canvases of some tiles, as they are.

    Cells count that one tile fills, of a class that fills its tiles; the last output, obscured, is
    left out. `chosen` are indices of tiles. Nothing depends on chance.
    """
    generator = torch.Generator().manual_seed(0)
    clear = replace(settings.canvases or CanvasSettings(), clouds=CloudSettings(share=0))
    companions = find_companions(tiles.labels, chosen, tiles.places, tiles.classes)
    first = torch.from_numpy(chosen)
    first = first[torch.randint(len(first), (CALIBRATION_CANVASES,), generator=generator)]
    lines = torch.tensor([name in clear.line_classes for name in tiles.classes])
    logits, labels = [], []
    for batch in first.split(64):
        together = companions.draw(batch, clear.tiles, generator).flatten()
        canvases = compose_canvases(
            torch.from_numpy(tiles.images[together]),
            torch.from_numpy(tiles.labels[together]),
            clear,
            AugmentSettings(plain_share=1, plain_share_end=1),
            generator,
        )
        pixels = send(canvases.pixels, next(network.parameters()).device)
        with torch.inference_mode():
            found = network.survey(normalise(pixels, settings.mean, settings.std))[0].cpu()
        whole = (canvases.shares > 0.999) & ~lines[canvases.labels][:, :, None, None]
        canvas, slot, row, col = whole.nonzero(as_tuple=True)
        logits.append(found[canvas, :-1, row, col].float())
        labels.append(canvases.labels[canvas, slot])
    return torch.cat(logits), torch.cat(labels)
