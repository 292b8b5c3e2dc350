"""Labelled tiles from zips and folders."""

import os
import re
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from geoclass.errors import DatasetError
from geoclass.learn import dataset, tile_files
from geoclass.learn.dataset import read_tiles
from geoclass.learn.splits import choose_part, hash_names, split_tiles
from tests.conftest import TRANSFORM, UTM, make_contract

Make = Callable[..., Path]


def zip_folder(folder: Path, path: Path, prefix: str = "EuroSAT_RGB/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
        archive.writestr("__MACOSX/EuroSAT_RGB/Forest/._Forest_1.png", b"rubbish")
        archive.writestr(prefix + ".DS_Store", b"rubbish")
        archive.writestr(prefix + "Forest/._Forest_1.png", b"rubbish")
    return path


def test_folder_and_zip_hold_the_same_tiles(make_tiles: Make, tmp_path: Path) -> None:
    folder = make_tiles(classes=3, each=4)
    one, other = read_tiles(folder), read_tiles(zip_folder(folder, tmp_path / "tiles.zip"))
    assert one.classes == other.classes == ("AnnualCrop", "Forest", "HerbaceousVegetation")
    assert one.names == other.names
    assert one.names[0] == "AnnualCrop/AnnualCrop_0.png"
    assert one.images.shape == (12, 3, 64, 64)
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, np.repeat([0, 1, 2], 4))


def test_outer_folder_is_looked_through(make_tiles: Make) -> None:
    folder = make_tiles(classes=2, each=3, name="outer/inner")
    assert read_tiles(folder.parent).names == read_tiles(folder).names


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("depth", ["", "EuroSAT/", "a/EuroSAT/"])
def test_images_in_no_class_folder_are_told_and_not_used(
    make_tiles: Make, tmp_path: Path, depth: str, zipped: bool
) -> None:
    data = tmp_path / "data"
    tiles = make_tiles(classes=2, each=3, name=f"data/{depth}")
    loose = sorted({"top.png", f"{depth}preview.GIF"})
    for name in loose:
        Image.new("RGB", (300, 200)).save(data / name)
    if zipped:
        data = zip_folder(data, tmp_path / "data.zip", prefix="")
    found = read_tiles(data)
    assert found.classes == ("AnnualCrop", "Forest")
    assert found.names == read_tiles(tiles).names
    assert list(found.skipped) == [f"image {name} is in no class folder" for name in loose]


@pytest.mark.parametrize("name", ["Forest/old/1.png", "more/River/1.png"])
def test_class_folder_with_folders_of_images(make_tiles: Make, name: str) -> None:
    folder = make_tiles(classes=2, each=3)
    for path in (folder / name, folder / "more" / "1.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64)).save(path)
    top = name.partition("/")[0]
    with pytest.raises(DatasetError, match=f"folder {top} in .* contains images and folders of im"):
        read_tiles(folder)


def test_folder_given_as_dots(make_tiles: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_tiles(classes=2, each=3)
    monkeypatch.chdir(data / "Forest")
    assert read_tiles(Path("..")).name == data.name


def test_channels_come_first_and_red_first(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[3, 5] = (10, 20, 30)
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "1.png")
    assert read_tiles(tmp_path).images[0, :, 3, 5].tolist() == [10, 20, 30]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of Unicode alone")
def test_names_that_are_not_utf8(make_tiles: Make) -> None:
    folder = make_tiles(classes=2, each=3)
    odd = os.fsdecode(b"caf\xe9.png")
    shutil.copy(folder / "Forest" / "Forest_0.png", folder / "Forest" / odd)
    tiles = read_tiles(folder)
    assert f"Forest/{odd}" in tiles.names
    assert hash_names(tiles.names) != hash_names(tiles.names[:3])
    assert read_tiles(folder.rename(folder.with_name(odd))).name == r"caf\udce9.png"
    odd_class = folder.with_name(odd) / os.fsdecode(b"for\xeat")
    (folder.with_name(odd) / "Forest").rename(odd_class)
    with pytest.raises(
        DatasetError, match=r"class folder for\\udceat in .* too long, not UTF-8 or .*: rename it"
    ):
        read_tiles(folder.with_name(odd))


def test_zip_with_names_that_are_not_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "tiles.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Forest/é.png", b"never read")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xe9("))
    with pytest.raises(DatasetError, match="is not a zip file, or is damaged"):
        read_tiles(path)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set at"):
        read_tiles(tmp_path / "none.zip")


def test_corrupt_zip(make_tiles: Make, tmp_path: Path) -> None:
    path = zip_folder(make_tiles(), tmp_path / "tiles.zip")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DatasetError, match="is not a zip file, or is damaged"):
        read_tiles(path)


@pytest.mark.parametrize("place", [60, 100, 400, 5000, 20000])
def test_zip_with_a_damaged_entry(make_tiles: Make, tmp_path: Path, place: int) -> None:
    path = zip_folder(make_tiles(), tmp_path / "tiles.zip")
    data = bytearray(path.read_bytes())
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="damaged|cannot be decoded"):
        read_tiles(path)


def test_links_to_nowhere_and_folders_named_like_images(make_tiles: Make) -> None:
    folder = make_tiles()
    (folder / "Forest" / "folder.png").mkdir()
    assert len(read_tiles(folder)) == 60
    (folder / "Forest" / "link.png").symlink_to("nowhere.png")
    with pytest.raises(DatasetError, match="image Forest/link.png cannot be read"):
        read_tiles(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipes_are_not_waited_for(make_tiles: Make) -> None:
    folder = make_tiles(classes=2, each=3)
    os.mkfifo(folder / "Forest" / "pipe.png")
    (folder / "Forest" / "link.png").symlink_to("pipe.png")
    with pytest.raises(DatasetError, match=r"Forest/(link|pipe).png in .* is not a regular file"):
        read_tiles(folder)
    tiles = read_tiles(folder, skip_bad=True)
    assert (len(tiles), len(tiles.skipped)) == (6, 2)
    os.mkfifo(folder / "legend.json")
    with pytest.raises(DatasetError, match=r"legend.json in .* is not a regular file"):
        read_tiles(folder)


def test_class_folder_without_images(make_tiles: Make) -> None:
    folder = make_tiles()
    (folder / "Desert").mkdir()
    with pytest.raises(DatasetError, match="class folder Desert in .* has no images"):
        read_tiles(folder)


@pytest.mark.parametrize("make_more", [False, True])
def test_no_class_folders(tmp_path: Path, make_more: bool) -> None:
    if make_more:
        Image.new("RGB", (64, 64)).save(tmp_path / "loose.png")
    with pytest.raises(DatasetError, match="has no class folders with images"):
        read_tiles(tmp_path)


def test_image_that_is_none(make_tiles: Make) -> None:
    folder = make_tiles()
    (folder / "Forest" / "Forest_0.png").write_text("no image")
    with pytest.raises(DatasetError, match="image Forest/Forest_0.png cannot be decoded"):
        read_tiles(folder)


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "P", "CMYK"])
def test_image_of_another_mode(make_tiles: Make, mode: str) -> None:
    folder = make_tiles()
    Image.new(mode, (64, 64)).save(folder / "Forest" / "Forest_0.tif")
    with pytest.raises(DatasetError, match=f"Forest_0.tif is of mode {mode}, expected RGB"):
        read_tiles(folder)


def test_an_alpha_band_that_is_opaque_is_passed_over(make_tiles: Make) -> None:
    folder = make_tiles()
    expected = read_tiles(folder).images
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            image.convert("RGBA").save(path)
    np.testing.assert_array_equal(read_tiles(folder).images, expected)


def test_a_zip_made_on_windows_may_have_backslashes(make_tiles: Make, tmp_path: Path) -> None:
    folder, path = make_tiles(), tmp_path / "windows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            entry = zipfile.ZipInfo()
            entry.filename = str(file.relative_to(folder.parent)).replace("/", "\\")
            archive.writestr(entry, file.read_bytes())
    one, other = read_tiles(folder), read_tiles(path)
    assert one.names == other.names
    assert one.classes == other.classes
    np.testing.assert_array_equal(one.images, other.images)


def write_all_bands(path: Path, stored: np.ndarray) -> None:
    """A tile as EuroSAT's multispectral edition has it; `stored` is red, green, blue."""
    bands = np.full((13, 64, 64), 4000, stored.dtype)
    bands[[3, 2, 1]] = stored
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=13, height=64, width=64, dtype=stored.dtype, crs=UTM,
        transform=TRANSFORM,
    ) as target:  # fmt: skip
        target.write(bands)


def test_of_tiles_with_13_bands_the_visible_ones_are_read(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    tiles = {name: generator.integers(200, 3000, (3, 64, 64)) for name in ("Forest", "River")}
    for name, stored in tiles.items():
        write_all_bands(tmp_path / name / f"{name}_1.tif", stored.astype(np.uint16))
    found = read_tiles(tmp_path)
    assert found.classes == ("Forest", "River")
    for image, stored in zip(found.images, tiles.values(), strict=True):
        expected = np.floor(1 + np.clip(stored, 0, 2750) * 254 / 2750 + 0.5)
        np.testing.assert_array_equal(image, expected)
    for name, stored in tiles.items():
        write_all_bands(tmp_path / name / f"{name}_1.tif", (stored + 1000).astype(np.uint16))
    with pytest.raises(DatasetError, match=r"offset of baseline 04\.00 and later: subtract 1000"):
        read_tiles(tmp_path)
    write_all_bands(tmp_path / "River" / "River_1.tif", tiles["River"].astype(np.int16))
    with pytest.raises(DatasetError, match="13 bands of int16, expected uint16"):
        read_tiles(tmp_path)
    path = tmp_path / "River" / "River_1.tif"
    path.write_bytes(path.read_bytes()[:-30000])
    with pytest.raises(DatasetError, match=r"River_1\.tif cannot be decoded"):
        read_tiles(tmp_path)


def split_folder(folder: Path, into: Path, counts: dict[str, int]) -> Path:
    """The tiles of class folders, dealt to folders of parts under equal names in each."""
    for label in folder.iterdir():
        files = iter(sorted(label.iterdir()))
        for part, count in counts.items():
            (into / part / label.name).mkdir(parents=True)
            for number in range(count):
                shutil.copy(next(files), into / part / label.name / f"{number}.png")
    return into


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"train": 12, "val": 3, "test": 5}, (12, 3, 5)),
        ({"Train": 12, "Validation": 3, "Testing": 5}, (12, 3, 5)),
        ({"training": 15, "test": 5}, (14, 1, 5)),
        ({"train": 15, "valid": 5}, (14, 1, 5)),
    ],
)
def test_folders_of_parts_are_the_split(
    make_tiles: Make, tmp_path: Path, counts: dict[str, int], expected: tuple[int, int, int]
) -> None:
    data = split_folder(make_tiles(classes=3), tmp_path / "data", counts)
    (data / "legend.json").write_text('{"Forest": {"title": "Woods"}}')
    tiles = read_tiles(data)
    zipped = read_tiles(zip_folder(data, tmp_path / "data.zip"))
    assert tiles.classes == ("AnnualCrop", "Forest", "HerbaceousVegetation")
    assert tiles.names == zipped.names
    assert tiles.legend[1].title == "Woods"
    split = split_tiles(tiles, seed=5)
    parts = (split.train, split.validation, split.test)
    assert tuple(len(part) for part in parts) == tuple(3 * count for count in expected)
    assert sorted(np.concatenate(parts).tolist()) == list(range(60))
    held_out = {tiles.names[i].split("/")[1] for i in split.test}
    assert held_out == {"test" if any(p.lower()[:4] == "test" for p in counts) else "validation"}
    assert len(split.warnings) == (held_out == {"validation"})
    contract = make_contract(
        legend=tiles.legend,
        confusion=((1,) * 3,) * 3,
        class_shares=(1 / 3,) * 3,
        training=replace(make_contract().training, split=split.record(tiles.names)),
    )
    np.testing.assert_array_equal(choose_part(zipped, contract, "test"), split.test)


def test_a_class_that_a_part_lacks(make_tiles: Make, tmp_path: Path) -> None:
    data = split_folder(make_tiles(classes=3), tmp_path / "data", {"train": 15, "test": 5})
    shutil.rmtree(data / "test" / "Forest")
    with pytest.raises(DatasetError, match="data has no tile of class Forest for test: add some"):
        split_tiles(read_tiles(data))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("driver", "suffix"), [("PNG", "png"), ("GTiff", "tif")])
def test_image_of_sixteen_bits(make_tiles: Make, driver: str, suffix: str) -> None:
    folder = make_tiles()
    path = folder / "Forest" / f"deep.{suffix}"
    shape = {"count": 3, "height": 64, "width": 64}
    options = {"photometric": "rgb", "interleave": "pixel"} if driver == "GTiff" else {}
    with rasterio.open(path, "w", driver=driver, dtype="uint16", **shape, **options) as target:
        target.write(np.full((3, 64, 64), 1500, np.uint16))
    with Image.open(path) as image:
        assert image.mode == "RGB"
    with pytest.raises(
        DatasetError, match="is of mode RGB of 16 bits, expected RGB of 8 bits"
    ) as e:
        read_tiles(folder)
    assert ("geoclass map" in str(e.value)) == (suffix == "tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("bands", "dtype", "options"),
    [
        (3, "uint16", {"interleave": "band"}),
        (5, "uint8", {}),
        (5, "float32", {"bigtiff": "yes"}),
    ],
)
def test_tiff_of_a_scene(make_tiles: Make, bands: int, dtype: str, options: dict[str, str]) -> None:
    folder = make_tiles(classes=2, each=3)
    shape = {"count": bands, "height": 64, "width": 64, "dtype": dtype}
    with rasterio.open(folder / "Forest" / "a.tif", "w", driver="GTiff", **shape, **options) as t:
        t.write(np.ones((bands, 64, 64), dtype))
    message = "image Forest/a.tif is a TIFF that cannot be decoded as RGB .* `geoclass map`"
    with pytest.raises(DatasetError, match=message):
        read_tiles(folder)


@pytest.mark.filterwarnings("ignore:(?i)(possibly )?corrupt EXIF data")
@pytest.mark.parametrize(
    "data", [b"II*\0", b"II*\0\x08\0\0\0\x05", b"MM\0+" + bytes(12), b"II*\0abcd"]
)
def test_tiff_that_is_cut(data: bytes) -> None:
    with pytest.raises(
        DatasetError, match="a.tif is a TIFF that cannot be decoded as RGB of 8 bits"
    ):
        dataset.decode_image(data, "a.tif")


def test_tiff_of_tiles_that_is_damaged(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = (tmp_path / "a.tif").read_bytes()
    with pytest.raises(
        DatasetError, match="a.tif is a TIFF that cannot be decoded as RGB of 8 bits"
    ):
        dataset.decode_image(data[:8] + bytes(len(data) - 200) + data[-192:], "a.tif")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("suffix", ["bmp", "GIF", "webp", "jp2", "jfif", "heic"])
def test_image_of_a_type_that_is_not_read(
    make_tiles: Make, tmp_path: Path, suffix: str, zipped: bool
) -> None:
    data = make_tiles(classes=2, each=3)
    (data / "Forest" / f"a.{suffix}").write_bytes(b"never read")
    if zipped:
        data = zip_folder(data, tmp_path / "tiles.zip")
    message = f"image Forest/a.{suffix} is a .{suffix}, expected .jpeg, .jpg, .png, .tif, .tiff: "
    with pytest.raises(DatasetError, match=message):
        read_tiles(data)
    tiles = read_tiles(data, skip_bad=True)
    assert len(tiles) == 6
    assert [reason[: len(message)] for reason in tiles.skipped] == [message]


def test_class_of_images_that_are_not_read(make_tiles: Make, tmp_path: Path) -> None:
    """Zips without entries of their own for folders hold no trace of such a class but these."""
    folder = make_tiles(classes=2, each=3)
    path = tmp_path / "tiles.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(folder).as_posix())
        archive.writestr("Desert/1.bmp", b"never read")
    with pytest.raises(DatasetError, match="image Desert/1.bmp is a .bmp"):
        read_tiles(path)
    with pytest.raises(DatasetError, match="class Desert in .* has no usable image"):
        read_tiles(path, skip_bad=True)


def test_files_that_are_no_images_are_ignored(make_tiles: Make) -> None:
    folder = make_tiles(classes=2, each=3)
    for name in ("a.txt", "Thumbs.db", "Forest_0.png.aux.xml", "Forest_0.pgw", "a.npy", "noend"):
        (folder / "Forest" / name).write_bytes(b"never read")
    tiles = read_tiles(folder)
    assert len(tiles) == 6
    assert tiles.skipped == ()


def test_image_of_another_size(make_tiles: Make) -> None:
    folder = make_tiles()
    Image.new("RGB", (32, 64)).save(folder / "Forest" / "Forest_0.png")
    with pytest.raises(DatasetError, match="has 32×64 pixels, expected 64×64"):
        read_tiles(folder)


def test_image_that_would_fill_the_memory(
    make_tiles: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(DatasetError, match="too large to decode"):
        read_tiles(make_tiles())


def test_pillow_does_not_warn_of_images_that_are_refused(tmp_path: Path) -> None:
    image = tmp_path / "large.png"
    Image.new("1", (10_000, 10_000)).save(image)
    code = (
        "import sys, pathlib; from geoclass.errors import DatasetError\n"
        "from geoclass.learn.dataset import decode_image\n"
        "try: decode_image(pathlib.Path(sys.argv[1]).read_bytes(), 'large.png')\n"
        "except DatasetError as error: print(error, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, image], capture_output=True, text=True, check=True
    )
    said = "image large.png is too large to decode: map it as a scene, or cut tiles from it"
    assert done.stdout == said
    assert done.stderr == ""
    # Here warnings are errors.
    with pytest.raises(DatasetError, match="too large to decode"):
        dataset.decode_image(image.read_bytes(), "large.png")


@pytest.mark.parametrize("zipped", [False, True])
def test_file_that_would_fill_the_memory(
    make_tiles: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    data = make_tiles(classes=2, each=3)
    (data / "Forest" / "bomb.png").write_bytes(bytes(1_000_001))
    if zipped:
        data = zip_folder(data, tmp_path / "tiles.zip")
    monkeypatch.setattr(tile_files, "MAX_BYTES", 1_000_000)
    with pytest.raises(
        DatasetError, match=r"Forest/bomb.png in .* has 1 MB, expected at most 1 MB"
    ):
        read_tiles(data)
    (reason,) = read_tiles(data, skip_bad=True).skipped
    assert "bomb.png" in reason


def test_zip_entry_that_holds_more_than_it_says(make_tiles: Make, tmp_path: Path) -> None:
    data = make_tiles(classes=2, each=3)
    (data / "Forest" / "bomb.png").write_bytes(bytes(50_000_000))
    path = zip_folder(data, tmp_path / "tiles.zip")
    said = (50_000_000).to_bytes(4, "little")
    assert path.read_bytes().count(said) == 2
    path.write_bytes(path.read_bytes().replace(said, (5000).to_bytes(4, "little")))
    with tile_files.open_tile_files(path) as listed:
        tracemalloc.start()
        with pytest.raises(DatasetError, match="damaged"):
            listed.read("Forest/bomb.png")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 5_000_000


def test_zip_entries_may_begin_with_a_dot_and_slash(make_tiles: Make, tmp_path: Path) -> None:
    path = zip_folder(make_tiles(each=2), tmp_path / "tiles.zip", prefix="./tiles/")
    assert len(read_tiles(path)) == 6


@pytest.mark.parametrize("entry", ["../evil/a.png", "/evil/a.png", "EuroSAT_RGB/../../a.png"])
def test_zip_entries_that_lead_out_are_told(make_tiles: Make, tmp_path: Path, entry: str) -> None:
    folder = make_tiles(classes=2, each=3)
    path = zip_folder(folder, tmp_path / "tiles.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, next(folder.rglob("*.png")).read_bytes())
    assert entry in zipfile.ZipFile(path).namelist()
    said = f"image {entry} would be unpacked outside {path}: remove it"
    with pytest.raises(DatasetError, match=re.escape(said)):
        read_tiles(path)
    tiles = read_tiles(path, skip_bad=True)
    assert len(tiles) == 6
    assert tiles.skipped[0].startswith(said)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_with_an_entry_twice(make_tiles: Make, tmp_path: Path) -> None:
    folder = make_tiles(classes=2, each=3)
    path = zip_folder(folder, tmp_path / "tiles.zip")
    file = next(folder.rglob("*.png"))
    entry = f"EuroSAT_RGB/{file.relative_to(folder).as_posix()}"
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(file, entry)
    with pytest.raises(DatasetError, match=f"has {entry} 2 times: remove all but one"):
        read_tiles(path, skip_bad=True)


def test_two_folders_of_one_class(make_tiles: Make, tmp_path: Path) -> None:
    make_tiles(name="all/one")
    make_tiles(name="all/two")
    with pytest.raises(DatasetError, match="two folders of one class name"):
        read_tiles(tmp_path / "all")


def test_legend_beside_the_class_folders_travels(make_tiles: Make, tmp_path: Path) -> None:
    folder = make_tiles(classes=2)
    (folder / "legend.json").write_text('{"Forest": {"title": "Wald", "color": "#00ff00"}}')
    for tiles in (read_tiles(folder), read_tiles(zip_folder(folder, tmp_path / "tiles.zip"))):
        assert tiles.legend.names == ["AnnualCrop", "Forest"]
        assert (tiles.legend[1].title, tiles.legend[1].color) == ("Wald", "#00ff00")
    (folder / "legend.json").write_text('{"Desert": {}}')
    with pytest.raises(DatasetError, match="Desert: no such class"):
        read_tiles(folder)
    (folder / "legend.json").write_text('["Forest"]')
    with pytest.raises(DatasetError, match="legend.json in .* cannot be used"):
        read_tiles(folder)


def test_more_classes_than_a_map_can_show(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiles.zip", "w") as archive:
        for i in range(251):
            archive.writestr(f"class{i}/1.png", b"never read")
    with pytest.raises(DatasetError, match=r"tiles.zip has 251 classes, expected at most 250"):
        read_tiles(tmp_path / "tiles.zip")


def test_bad_images_may_be_left_out(make_tiles: Make) -> None:
    root = make_tiles(classes=3, each=4)
    (root / "Forest" / "Forest_1.png").write_bytes(b"no image")
    Image.new("L", (64, 64)).save(root / "AnnualCrop" / "AnnualCrop_3.png")
    tiles = read_tiles(root, skip_bad=True)
    assert len(tiles) == len(tiles.images) == len(tiles.labels) == 10
    assert "Forest/Forest_1.png" not in tiles.names
    assert [reason.split()[1] for reason in tiles.skipped] == [
        "AnnualCrop/AnnualCrop_3.png", "Forest/Forest_1.png",
    ]  # fmt: skip
    for name, image in zip(tiles.names, tiles.images, strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(root / name)).transpose(2, 0, 1))


def test_class_without_a_good_image(make_tiles: Make) -> None:
    root = make_tiles(classes=2, each=1)
    (root / "Forest" / "Forest_0.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="class Forest in .* has no usable image"):
        read_tiles(root, skip_bad=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Forest/a.png", "forest/b.png"), ("Forest/a.png", "Forest/A.png")],
)
def test_names_that_differ_only_in_case(tmp_path: Path, one: str, other: str) -> None:
    with zipfile.ZipFile(tmp_path / "tiles.zip", "w") as archive:
        for name in (one, other):
            archive.writestr(name, b"never read")
    with pytest.raises(DatasetError, match=r"differ only in case: rename one"):
        read_tiles(tmp_path / "tiles.zip")
