"""Tiles side by side."""

from __future__ import annotations

import numpy as np
import torch

from geoclass.learn.vision import import_torchvision

GAP = 2
"""Pixels between and around tiles."""


def arrange_tiles(images: np.ndarray, tiles_a_row: int) -> np.ndarray:
    """Uint8 tiles (n, 3, s, s) as one picture (h, w, 3) on white; the last row may be shorter."""
    import_torchvision()
    from torchvision.utils import make_grid

    lacking = -len(images) % tiles_a_row
    white = np.full((lacking, *images.shape[1:]), 255, np.uint8)
    tiles = torch.from_numpy(np.concatenate([images, white]))
    grid: torch.Tensor = make_grid(tiles, nrow=tiles_a_row, padding=GAP, pad_value=255)
    return grid.permute(1, 2, 0).numpy()
