"""torchvision beside any build of torch."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoclass.errors import OutputError
from geoclass.learn.figures import save_contact_sheet
from geoclass.learn.vision import import_torchvision


def test_imagefolder_transforms_and_grids_work(make_tiles: Callable[..., Path]) -> None:
    """In a fresh interpreter, where nobody else has imported it before."""
    code = f"""
from geoclass.learn.vision import import_torchvision
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

    monkeypatch.setattr("geoclass.learn.vision.importlib.import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()


def test_contact_sheet(tmp_path: Path) -> None:
    images = np.full((12, 3, 64, 64), 100, np.uint8)
    save_contact_sheet(images, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (10 * 66 + 2, 2 * 66 + 2)
    with pytest.raises(OutputError, match="cannot write the picture"):
        save_contact_sheet(images, tmp_path / "none" / "sheet.png")


def test_contact_sheet_that_fails_leaves_the_former(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.full((12, 3, 64, 64), 100, np.uint8)
    (tmp_path / "sheet.png").write_bytes(b"before")
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        save_contact_sheet(images, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def full_disk(path: Path, _content: bytes) -> int:
    path.touch()
    raise OSError(errno.ENOSPC, "No space left on device")
