"""torchvision, also where its compiled operators do not load.

The default torchvision wheel is built for CUDA. Beside a CPU build of torch its library of
operators cannot be loaded, and `import torchvision` stops at the first use of one of them:
"operator torchvision::nms does not exist". Nothing here needs those operators, so their names
are declared and the import is tried again. Transforms, ImageFolder and make_grid then work;
nms and decode_jpeg stay unavailable.
"""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import torch

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
