"""Data sets, described."""

import os
import shutil
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoclass.errors import DatasetError
from geoclass.learn.dataset import read_tiles
from geoclass.learn.inspection import inspect_tiles
from geoclass.legend import EUROSAT

Make = Callable[..., Path]


def test_sound_data_set(make_tiles: Make) -> None:
    found = inspect_tiles(make_tiles(classes=3, each=12), samples_each=4)
    assert found.images == 36
    assert found.classes == {"AnnualCrop": 12, "Forest": 12, "HerbaceousVegetation": 12}
    assert found.sizes == {"64×64": 36}
    assert found.unusable == found.duplicates == ()
    shapes = {name: tiles.shape for name, tiles in found.samples.items()}
    assert shapes == dict.fromkeys(EUROSAT.names[:3], (4, 3, 64, 64))


def test_what_is_wrong_is_listed(make_tiles: Make) -> None:
    folder = make_tiles(classes=2, each=5)
    (folder / "Forest" / "Forest_0.png").write_text("no image")
    Image.new("L", (64, 64)).save(folder / "Forest" / "Forest_1.png")
    Image.new("RGB", (32, 32)).save(folder / "Forest" / "Forest_2.png")
    (folder / "Forest" / "Forest_5.bmp").write_bytes(b"never read")
    same = (folder / "AnnualCrop" / "AnnualCrop_0.png").read_bytes()
    (folder / "Forest" / "copy.png").write_bytes(same)
    Image.new("RGB", (64, 64)).save(folder / "preview.png")
    found = inspect_tiles(folder)
    assert found.unused == ("preview.png",)
    assert found.images == 12
    assert found.sizes == {"64×64": 8, "32×32": 1}
    assert [text.split(" ")[1] for text in found.unusable] == [
        "Forest/Forest_0.png", "Forest/Forest_1.png", "Forest/Forest_2.png", "Forest/Forest_5.bmp",
    ]  # fmt: skip
    assert found.duplicates == (("AnnualCrop/AnnualCrop_0.png", "Forest/copy.png"),)


def test_what_training_refuses_is_listed(make_tiles: Make) -> None:
    """In the same words, but for what they advise while training."""
    folder = make_tiles(classes=3, each=3)
    (folder / "Desert").mkdir()
    (folder / "Forest" / "old").mkdir()
    for name in ("Forest/old/1.png", "River.png"):
        Image.new("RGB", (64, 64)).save(folder / name)
    Image.new("RGB", (32, 32)).save(folder / "AnnualCrop" / "AnnualCrop_0.png")
    (folder / "legend.json").write_text("{")
    found = inspect_tiles(folder)
    assert found.classes == {"AnnualCrop": 3, "HerbaceousVegetation": 3}
    assert found.unused == ("River.png",)
    mixed, empty, legend, small = found.unusable
    said = (
        f"folder Forest in {folder} contains images and folders of images (4 images in total) and "
    )
    assert mixed.startswith(said)
    assert empty == f"class folder Desert in {folder} has no images: add some or remove the folder"
    assert legend.startswith(f"legend.json in {folder} cannot be used")
    assert small.startswith("image AnnualCrop/AnnualCrop_0.png has 32×32 pixels, expected 64×64")
    with pytest.raises(DatasetError, match="folder Forest .*; --skip-bad skips unusable images"):
        read_tiles(folder)
    (folder / "legend.json").unlink()
    tiles = read_tiles(folder, skip_bad=True)
    assert tiles.classes == ("AnnualCrop", "HerbaceousVegetation")
    assert len(tiles) == 5
    assert tiles.skipped == ("image River.png is in no class folder", mixed, empty, small)
    (folder / "Forest" / "old" / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"folder Desert .* has no images: .*; --skip-bad skip"):
        read_tiles(folder)


def test_too_few_tiles_and_classes_are_listed(make_tiles: Make) -> None:
    folder = make_tiles(classes=1, each=2)
    few, lone = inspect_tiles(folder).unusable
    assert few.startswith("class AnnualCrop has 2 tiles, at least 3 are needed for training")
    assert lone.startswith(f"{folder} has 1 class, expected 2 to 250")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell these names apart not")
def test_names_that_cannot_be_classes_are_listed(make_tiles: Make) -> None:
    folder = make_tiles(classes=2, each=3)
    shutil.copytree(folder / "Forest", folder / "forest")
    shutil.copytree(folder / "Forest", folder / os.fsdecode(b"for\xeat"))
    found = inspect_tiles(folder)
    assert found.images == 12
    assert [text.partition(" in ")[0] for text in found.unusable[:1]] == [
        f"the name of class folder {os.fsdecode(bytes([102, 111, 114, 0xEA, 116]))}"
    ]
    told = "has Forest and forest, which differ only in case"
    assert any(told in text for text in found.unusable)


def test_tiles_of_another_size_throughout(make_tiles: Make) -> None:
    folder = make_tiles(classes=2, each=3)
    for path in folder.rglob("*.png"):
        Image.new("RGB", (128, 128)).save(path)
    found = inspect_tiles(folder)
    assert found.sizes == {"128×128": 6}
    assert len(found.unusable) == 6
    assert found.samples["Forest"].shape == (3, 3, 128, 128)


def test_images_of_many_sizes_do_not_fill_the_memory(make_tiles: Make) -> None:
    folder = make_tiles(classes=2, each=3)
    for i in range(20):
        Image.new("RGB", (1000, 300 + i)).save(folder / "Forest" / f"wide_{i}.png")
    tracemalloc.start()
    found = inspect_tiles(folder)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 6_000_000
    with Image.open(folder / "Forest" / "Forest_2.png") as image:
        np.testing.assert_array_equal(
            found.samples["Forest"][-1], np.asarray(image).transpose(2, 0, 1)
        )
