"""Pictures without labels, to train on beside labelled tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geoclass.errors import DatasetError, SettingsError
from geoclass.learn.recipes import TrainSettings


def read_unlabelled(path: Path, settings: TrainSettings) -> np.ndarray:
    """Uint8 (m, 3, h, w) of a NumPy file (.npy): red, green, blue, stretched as EuroSAT is.

    Raises DatasetError for any other file, and for pictures smaller than a canvas; SettingsError
    where the network does not learn from canvases.
    """
    if settings.canvases is None:
        raise SettingsError(
            f"{settings.arch} learns from whole tiles, not from pictures without labels: "
            "train tilenet-dense, or leave out --unlabelled"
        )
    try:
        pictures = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"cannot read {path} as a NumPy file of pictures: {error}") from error
    size = settings.canvases.size
    shape = pictures.shape
    if pictures.dtype != np.uint8 or len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < size:
        raise DatasetError(
            f"{path} holds {pictures.dtype} {shape}, expected uint8 (pictures, 3, height, width) "
            f"of {size} pixels a side or more"
        )
    return np.array(pictures)  # a copy: torch wants to be able to write
