"""Data sets, described."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

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
        "Forest/Forest_0.png", "Forest/Forest_1.png", "Forest/Forest_5.bmp",
    ]  # fmt: skip
    assert found.duplicates == (("AnnualCrop/AnnualCrop_0.png", "Forest/copy.png"),)


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
