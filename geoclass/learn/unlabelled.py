"""Unlabelled images with pseudo-labels of older models (noisy student).

scripts/label_unlabelled writes them.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geoclass.errors import DatasetError, SettingsError
from geoclass.learn.recipes import TrainSettings, UnlabelledSettings
from geoclass.model.dense import WAYS, turn
from geoclass.model.networks import CELL


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
