"""torchvision beside any build of torch."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geoclass.learn.figures import arrange_tiles, import_torchvision


def test_imagefolder_transforms_and_grids_work(make_tiles: Callable[..., Path]) -> None:
    """In a fresh interpreter, where nobody else has imported it before."""
    code = f"""
from geoclass.learn.figures import import_torchvision
import_torchvision()
from torchvision import datasets, transforms, utils
folder = datasets.ImageFolder({str(make_tiles(each=2))!r}, transforms.ToTensor())
print(len(folder), folder.classes, utils.make_grid([image for image, _ in folder]).shape)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("6 ['AnnualCrop', 'Forest', 'HerbaceousVegetation'] torch")


def test_import_is_idempotent() -> None:
    assert import_torchvision() is import_torchvision()


def test_other_errors_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr("geoclass.learn.figures.importlib.import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()


def test_tiles_side_by_side() -> None:
    images = np.full((12, 3, 64, 64), 100, np.uint8)
    joined = arrange_tiles(images, 10)
    assert joined.shape == (2 * 66 + 2, 10 * 66 + 2, 3)
    assert (joined[2:66, 2:66] == 100).all()
    assert (joined[68:, 2 + 2 * 66 :] == 255).all()
    assert arrange_tiles(images[:1], 10).shape == (66 + 2, 10 * 66 + 2, 3)
