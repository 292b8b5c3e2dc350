"""Data sets, described."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from geoclass.learn.inspection import inspect_tiles

Make = Callable[..., Path]


def test_sound_data_set(make_tiles: Make) -> None:
    found = inspect_tiles(make_tiles(classes=3, each=12), samples_each=4)
    assert found.images == 36
    assert found.classes == {"AnnualCrop": 12, "Forest": 12, "HerbaceousVegetation": 12}
    assert found.sizes == {"64×64": 36}
    assert found.unusable == found.duplicates == ()
    assert found.samples.shape == (12, 3, 64, 64)


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
