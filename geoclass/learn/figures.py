"""Grids of tiles."""

import importlib
import sys
from types import ModuleType

import numpy as np
import torch

GAP = 2
"""Pixels between and around tiles."""


def arrange_tiles(images: np.ndarray, tiles_a_row: int) -> np.ndarray:
    """Arrange uint8 tiles (n, 3, s, s) in an image (h, w, 3) on white."""
    import_torchvision()
    from torchvision.utils import make_grid

    lacking = -len(images) % tiles_a_row
    white = np.full((lacking, *images.shape[1:]), 255, np.uint8)
    tiles = torch.from_numpy(np.concatenate([images, white]))
    grid: torch.Tensor = make_grid(tiles, nrow=tiles_a_row, padding=GAP, pad_value=255)
    return grid.permute(1, 2, 0).numpy()


_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Operators that torchvision expects when it is imported (the second since 0.28)."""
_libraries: list[torch.library.Library] = []  # a declaration exists as long as its Library


def import_torchvision() -> ModuleType:
    """Import torchvision, even if its compiled operators do not fit the build of torch."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if _libraries or "operator torchvision::" not in str(error):
            raise
    _libraries.append(torch.library.Library("torchvision", "FRAGMENT"))
    for schema in _SCHEMAS:
        _libraries[0].define(schema)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # imported in part
    return importlib.import_module("torchvision")
