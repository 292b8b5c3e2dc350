"""Decoded tiles kept beside a data set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoclass.learn import dataset
from geoclass.learn.dataset import read_tiles

Make = Callable[..., Path]


def kept_files(data: Path) -> list[Path]:
    return sorted(data.parent.glob(f".{data.name}.*"))


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_data: bytes, name: str) -> np.ndarray:
        raise AssertionError(f"{name} was decoded again")

    monkeypatch.setattr(dataset, "decode_image", decode)


@pytest.mark.parametrize("zipped", [True, False])
def test_kept_tiles_are_the_decoded_ones(
    make_tiles: Make, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    data = make_tiles(classes=3, each=4)
    if zipped:
        data = Path(shutil.make_archive(str(data), "zip", data))
    first = read_tiles(data, keep=True)
    assert len(kept_files(data)) == 1
    forbid_decoding(monkeypatch)
    again = read_tiles(data)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert again.names == first.names


def test_images_beside_the_class_folders_do_not_hinder(
    make_tiles: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_tiles(classes=2, each=3)
    Image.new("RGB", (300, 200)).save(data / "curve.png")
    first = read_tiles(data, keep=True)
    forbid_decoding(monkeypatch)
    assert read_tiles(data).skipped == first.skipped != ()


def test_bad_images_hinder(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=3)
    (data / "Forest" / "Forest_0.bmp").write_bytes(b"never read")
    read_tiles(data, skip_bad=True, keep=True)
    assert kept_files(data) == []


@pytest.mark.parametrize(("inside", "given"), [("", "."), ("Forest", "..")])
def test_folder_given_as_dots(
    make_tiles: Make, monkeypatch: pytest.MonkeyPatch, inside: str, given: str
) -> None:
    data = make_tiles(classes=2, each=3)
    monkeypatch.chdir(data / inside)
    assert read_tiles(Path(given), keep=True).name == data.name
    assert len(kept_files(data)) == 1
    assert list(data.rglob(".*")) == []


def test_nothing_is_kept_unless_asked(make_tiles: Make) -> None:
    data = make_tiles(classes=2)
    read_tiles(data)
    assert kept_files(data) == []


def test_changed_image_is_decoded_anew_and_the_old_tiles_go(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=3)
    first = read_tiles(data, keep=True)
    (old,) = kept_files(data)
    changed = data / first.names[2]
    Image.new("RGB", (64, 64), (1, 2, 3)).save(changed)
    os.utime(changed, ns=(1, 1))
    again = read_tiles(data, keep=True)
    assert (again.images[2] != first.images[2]).any()
    np.testing.assert_array_equal(again.images[3:], first.images[3:])
    assert old not in kept_files(data)
    assert len(kept_files(data)) == 1


def test_tiles_of_a_zip_beside_its_folder_stay(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=3)
    archive = Path(shutil.make_archive(str(data), "zip", data))
    read_tiles(archive, keep=True)
    (kept,) = kept_files(archive)
    read_tiles(data, keep=True)
    assert kept_files(archive) == [kept]
    assert len(kept_files(data)) == 2


@pytest.mark.parametrize("name", ["tiles [1]", "tiles*"])
def test_old_tiles_go_whatever_the_name(make_tiles: Make, name: str) -> None:
    data = make_tiles(classes=2, each=3, name=name)
    read_tiles(data, keep=True)
    os.utime(data / "Forest" / "Forest_0.png", ns=(1, 1))
    read_tiles(data, keep=True)
    assert len(list(data.parent.glob(".tiles*.npy"))) == 1


def test_spoilt_file_is_passed_over(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=3)
    first = read_tiles(data, keep=True)
    (kept,) = kept_files(data)
    kept.write_bytes(kept.read_bytes()[:1000])
    np.testing.assert_array_equal(read_tiles(data).images, first.images)


def test_tiles_that_cannot_be_kept_are_read_all_the_same(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=3)
    read_tiles(data, keep=True)
    (kept,) = kept_files(data)
    kept.unlink()
    kept.mkdir()  # in the way of the file that is written
    assert len(read_tiles(data, keep=True)) == 6
    assert kept_files(data) == [kept]


def test_two_that_decode_the_same_tiles_do_not_meet(
    make_tiles: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One writes and stops half-way while the other is writing."""
    data = make_tiles(classes=2, each=3)
    save, begun = np.save, list[object]()

    def disturbed(file: object, images: np.ndarray) -> None:
        if begun:
            raise OSError("no space left")
        save(file, images)
        begun.append(file)
        read_tiles(data, keep=True)

    monkeypatch.setattr(np, "save", disturbed)
    first = read_tiles(data, keep=True)
    assert len(kept_files(data)) == 1
    forbid_decoding(monkeypatch)
    np.testing.assert_array_equal(read_tiles(data).images, first.images)


def test_writing_to_the_tiles_does_not_change_the_file(make_tiles: Make) -> None:
    data = make_tiles(classes=2)
    first = read_tiles(data, keep=True).images.copy()
    read_tiles(data).images[:] = 0
    np.testing.assert_array_equal(read_tiles(data).images, first)
