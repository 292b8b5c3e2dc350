"""Unlabelled images with pseudo-labels of older models (noisy student)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.errors import DatasetError, SettingsError
from geoclass.learn.recipes import TrainSettings
from geoclass.model.checkpoint import Model
from geoclass.model.classifier import normalise
from geoclass.model.dense import HALO, WAYS, turn, turn_back
from geoclass.model.networks import CELL, DenseTileNet

FULL_SCALE = 255
"""Stored value of a probability of 1."""

_BATCH_SIZE = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PseudoLabelled:
    """Images with the class probabilities of their cells."""

    images: Tensor
    """uint8 (m, 3, h, w): red, green, blue, with EuroSAT's stretch."""
    likely: Tensor
    """uint8 (m, classes + 1, h / 4, w / 4): probabilities, the last of "obscured"; 255 is 1."""

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


def label_images(models: Sequence[Model], images: np.ndarray) -> np.ndarray:
    """Mean probabilities of cells by several models in eight orientations.

    `images` is uint8 (m, 3, h, w); sides are cut to multiples of 4. Returns uint8 (m, classes +
    1, h / 4, w / 4), 255 is 1. Raises SettingsError for a model without cells.
    """
    height, width = (side // CELL * CELL for side in images.shape[2:])
    parts = []
    for first in range(0, len(images), _BATCH_SIZE):
        x = torch.from_numpy(images[first : first + _BATCH_SIZE, :, :height, :width]).float()
        # Images are mirrored at the border to multiples of 16 pixels.
        x = F.pad(x, (HALO, HALO + -width % 16, HALO, HALO + -height % 16), mode="reflect")
        likely = torch.stack([_survey(model, x) for model in models]).mean(dim=0)
        edge = HALO // CELL
        inner = likely[:, :, edge : edge + height // CELL, edge : edge + width // CELL]
        parts.append((inner * FULL_SCALE).round().to(torch.uint8).numpy())
    return np.concatenate(parts)


def _survey(model: Model, x: Tensor) -> Tensor:
    """Probabilities (n, classes + 1, h / 4, w / 4) of float (n, 3, h, w), 0–255."""
    network, contract = model.network.eval(), model.contract
    if not isinstance(network, DenseTileNet):
        raise SettingsError(f"{model.arch} has no cells: use tilenet-dense models")
    looks = []
    with torch.inference_mode():
        for turns, mirrored in WAYS:
            turned = turn(normalise(x, contract.mean, contract.std), turns, mirrored=mirrored)
            logits, _ = network.forward_dense(turned.contiguous(memory_format=torch.channels_last))
            looks.append(turn_back(logits.float().softmax(dim=1), turns, mirrored=mirrored))
        return torch.stack(looks).mean(dim=0)


def write_pseudo_labelled(path: Path, images: np.ndarray, likely: np.ndarray) -> None:
    """Write a NumPy file (.npz) for `read_pseudo_labelled`."""
    np.savez_compressed(path, images=images, likely=likely)


def read_pseudo_labelled(path: Path, settings: TrainSettings, classes: int) -> PseudoLabelled:
    """Read a file of `write_pseudo_labelled`.

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
    return PseudoLabelled(images=torch.from_numpy(images), likely=torch.from_numpy(likely))
