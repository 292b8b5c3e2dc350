"""Canvases of held-out tiles, by which the cells and thresholds of a finished network are set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from geoclass.learn.canvases import Canvases, compose_canvases
from geoclass.learn.companions import find_companions
from geoclass.learn.dataset import TileSet
from geoclass.learn.recipes import TrainSettings
from geoclass.learn.settings import AugmentSettings, CanvasSettings, CloudSettings
from geoclass.model.classifier import normalise
from geoclass.model.device import send
from geoclass.model.networks import DenseTileNet

CALIBRATION_CANVASES = 512
"""Enough for one number, as each has 576 cells; no more than there are tiles."""

MIXED_TILES = 2_000
"""As many as a validation part has, about; no more than there are tiles."""

_AT_ONCE = 64
_AS_THEY_ARE = AugmentSettings(plain_share=1, plain_share_end=1)


def compute_cells(
    network: DenseTileNet, tiles: TileSet, chosen: np.ndarray, settings: TrainSettings
) -> tuple[Tensor, Tensor]:
    """Logits (n, classes) and labels (n,) of cells of canvases of some tiles, as they are.

    Cells count that one tile fills, of a class that fills its tiles; the last output, obscured, is
    left out. `chosen` are indices of tiles. Nothing depends on chance.
    """
    canvas_settings = settings.canvases or CanvasSettings()
    logits, labels = [], []
    for canvases in compose_clear(tiles, chosen, canvas_settings, CALIBRATION_CANVASES):
        pixels = send(canvases.pixels, next(network.parameters()).device)
        with torch.inference_mode():
            found = network.forward_dense(normalise(pixels, settings.mean, settings.std))[0].cpu()
        whole = (canvases.shares > 0.999) & (canvases.required == 1)[:, :, None, None]
        canvas, slot, row, col = whole.nonzero(as_tuple=True)
        logits.append(found[canvas, :-1, row, col].float())
        labels.append(canvases.labels[canvas, slot])
    return torch.cat(logits), torch.cat(labels)


def mix_whole_tiles(tiles: TileSet, chosen: np.ndarray) -> Tensor:
    """Uint8 (n, 3, 64, 64): tiles of several classes, cut from canvases of some tiles."""
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
    """Canvases of some tiles as they are, without clouds, the same every time."""
    generator = torch.Generator().manual_seed(0)
    clear = replace(
        settings, clouds=CloudSettings(share=0), field_share=0, water_share=0, band_share=0
    )
    roles = clear.find_roles(tiles.classes)
    companions = find_companions(tiles.labels, chosen, tiles.places, tiles.classes)
    first = torch.from_numpy(chosen)
    first = first[torch.randint(len(first), (min(count, len(first)),), generator=generator)]
    for batch in first.split(_AT_ONCE):
        together = companions.draw(batch, clear.tiles, generator).flatten()
        yield compose_canvases(
            torch.from_numpy(tiles.images[together]),
            torch.from_numpy(tiles.labels[together]),
            roles,
            clear,
            _AS_THEY_ARE,
            generator,
        )
