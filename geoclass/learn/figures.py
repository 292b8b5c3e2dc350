"""Tiles side by side."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import numpy as np
import torch

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


_SCHEMAS = {
    # torchvision 0.20 and later asks for the first, 0.28 for the second too.
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: dict[str, torch.library.Library] = {}  # a declaration lasts as long as its Library


def import_torchvision() -> ModuleType:
    """The torchvision package, imported."""
    for _ in range(len(_SCHEMAS)):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None or missing[1] not in _SCHEMAS or missing[1] in _declared:
                raise
            _declare(missing[1])
            _forget_half_import()
    return importlib.import_module("torchvision")


def _declare(name: str) -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(_SCHEMAS[name])
    _declared[name] = library


def _forget_half_import() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
