"""Splits: stratified, repeatable, disjoint."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geoclass.errors import DatasetError
from geoclass.learn.dataset import read_tiles
from geoclass.learn.places import PLACES_FILE, Place, add_places
from geoclass.learn.splits import (
    choose_part,
    hash_names,
    split_by_blocks,
    split_by_lists,
    split_randomly,
    split_tiles,
)
from geoclass.legend import Legend
from tests.conftest import make_contract

Make = Callable[..., Path]


@given(st.lists(st.integers(3, 60), min_size=2, max_size=5), st.integers(0, 2**31))
def test_parts_are_disjoint_complete_and_stratified(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    split = split_randomly(labels, seed)
    every = np.concatenate([split.train, split.validation, split.test])
    assert sorted(every.tolist()) == list(range(len(labels)))
    for label, count in enumerate(counts):
        test = (labels[split.test] == label).sum()
        validation = (labels[split.validation] == label).sum()
        assert test == max(1, round(0.2 * count))
        assert validation == max(1, round(0.1 * (count - test)))


def test_eurosats_parts_have_the_tutorials_sizes() -> None:
    counts = [3000, 3000, 3000, 2500, 2500, 2000, 2500, 3000, 2500, 3000]
    split = split_randomly(np.repeat(np.arange(10), counts))
    assert (len(split.train), len(split.validation), len(split.test)) == (19440, 2160, 5400)


def test_split_is_the_same_on_every_machine() -> None:
    """Pinned: the shipped model's test part must stay what it was."""
    split = split_randomly(np.repeat([0, 1], 10), seed=0)
    assert split.test.tolist() == [4, 6, 12, 19]
    assert split.validation.tolist() == [2, 13]


def test_other_seed_other_split() -> None:
    labels = np.repeat([0, 1], 50)
    assert split_randomly(labels, 0).test.tolist() != split_randomly(labels, 1).test.tolist()


def test_class_of_two_tiles_is_refused() -> None:
    with pytest.raises(DatasetError, match="class number 1 has 2 tiles"):
        split_randomly(np.array([0, 0, 0, 1, 1]))
    with pytest.raises(DatasetError, match="class Wald has 2 tiles"):
        split_randomly(np.array([0, 0, 0, 1, 1]), classes=("See", "Wald"))


def test_hash_does_not_depend_on_the_order() -> None:
    assert hash_names(["b", "a"]) == hash_names(["a", "b"])
    assert hash_names(["a"]) != hash_names(["a", "b"])


def test_hash_of_names_is_what_models_remember() -> None:
    """Pinned: models could not make their split again."""
    text = "Forêt/1.png\nWald/2.png"
    assert hash_names(["Wald/2.png", "Forêt/1.png"]) == sha256(text.encode()).hexdigest()


def write_lists(folder: Path, **lists: list[str]) -> tuple[Path, Path, Path]:
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder / "train.txt", folder / "validation.txt", folder / "test.txt"


def test_lists_name_the_parts(make_tiles: Make, tmp_path: Path) -> None:
    tiles = read_tiles(make_tiles(classes=2, each=3))
    paths = write_lists(
        tmp_path,
        train=["AnnualCrop_0.png", "Forest/Forest_0.png"],
        validation=["Forest_2.png"],
        test=["Forest_1.png", "AnnualCrop_2.png"],
    )
    split = split_by_lists(tiles, *paths)
    names = [name.partition("/")[2] for name in tiles.names]
    assert [names[i] for i in split.train] == ["AnnualCrop_0.png", "Forest_0.png"]
    assert [names[i] for i in split.test] == ["AnnualCrop_2.png", "Forest_1.png"]
    record = split.record(tiles.names)
    assert (record.kind, record.seed, record.train, record.test) == ("lists", None, 2, 2)


def test_lists_may_begin_with_a_byte_order_mark(make_tiles: Make, tmp_path: Path) -> None:
    tiles = read_tiles(make_tiles(classes=2, each=3))
    parts = {"train": ["AnnualCrop_0.png"], "validation": ["Forest_2.png"]}
    paths = write_lists(tmp_path, **parts, test=["Forest_1.png"])
    plain = split_by_lists(tiles, *paths)
    for path in paths:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    marked = split_by_lists(tiles, *paths)
    assert marked.record(tiles.names) == plain.record(tiles.names)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": ["none.png"]}, "1 of 1 names .* such as none.png: fix the list"),
        ({"train": []}, "the list .* is empty: give one"),
        ({"train": ["Forest_1.png"]}, "is listed twice"),
    ],
)
def test_lists_that_cannot_be(
    make_tiles: Make, tmp_path: Path, lists: dict[str, list[str]], message: str
) -> None:
    good = {"train": ["AnnualCrop_0.png"], "validation": ["Forest_0.png"], "test": ["Forest_1.png"]}
    paths = write_lists(tmp_path, **{**good, **lists})
    with pytest.raises(DatasetError, match=message):
        split_by_lists(read_tiles(make_tiles(classes=2, each=3)), *paths)


def test_one_list_given_twice_is_refused(make_tiles: Make, tmp_path: Path) -> None:
    tiles = read_tiles(make_tiles(classes=2, each=3))
    train, _, test = write_lists(
        tmp_path, train=["AnnualCrop_0.png"], validation=[], test=["Forest_0.png"]
    )
    with pytest.raises(DatasetError, match="is listed twice"):
        split_by_lists(tiles, train, test, test)


def test_file_name_of_two_classes_must_be_written_out(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "tiles" / folder).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (64, 64)).save(tmp_path / "tiles" / folder / f"no {i}.png")
    tiles = read_tiles(tmp_path / "tiles")
    lists = {"train": ["a/no 0.png"], "validation": ["b/no 1.png"], "test": ["b/no 0.png"]}
    split = split_by_lists(tiles, *write_lists(tmp_path, **lists))
    assert [tiles.names[i] for i in split.test] == ["b/no 0.png"]
    with pytest.raises(DatasetError, match="several classes have a no 0.png: write <class>/no 0"):
        split_by_lists(tiles, *write_lists(tmp_path, **{**lists, "test": ["no 0.png"]}))


def test_missing_list(make_tiles: Make, tmp_path: Path) -> None:
    path = tmp_path / "none.txt"
    with pytest.raises(DatasetError, match="cannot read the list"):
        split_by_lists(read_tiles(make_tiles(classes=2, each=3)), path, path, path)


def tell_places(data: Path, *, km_apart: float = 1, skip: int = 0) -> None:
    """Say that the tiles of each class lie in a row, all but the first ones."""
    files = sorted(data.rglob("*.png"))[skip:]
    names = [f"{file.parent.name}/{file.name}" for file in files]
    places = {name: Place(i * km_apart / 111.2, 0.1, 640) for i, name in enumerate(names)}
    (data / PLACES_FILE).write_text(add_places("", places))


@pytest.mark.parametrize("zipped", [False, True])
def test_tiles_that_tell_their_place_are_split_by_ground(make_tiles: Make, zipped: bool) -> None:
    data = make_tiles(classes=2, each=30)
    assert read_tiles(data).places is None
    assert split_tiles(read_tiles(data)).kind == "random"
    tell_places(data, skip=1)
    if zipped:
        data = Path(shutil.make_archive(str(data.parent / "zipped"), "zip", data))
    tiles = read_tiles(data)
    assert tiles.places is not None
    assert np.isnan(tiles.places[0]).all()
    assert tiles.places[3].tolist() == pytest.approx([2 / 111.2, 0.1, 640], abs=1e-6)
    split = split_tiles(tiles, 5)
    assert (split.kind, split.seed) == ("ground", 5)
    (warning,) = split.warnings
    assert warning.startswith(
        "places.csv has no place for 1 of the 60 tiles, such as AnnualCrop/AnnualCrop_0.png"
    )
    assert len(split.train) + len(split.validation) + len(split.test) == 60
    # Blocks of 2,560 m of a row of tiles a kilometre apart hold two or three.
    assert (np.diff(split.test) == 1).sum() >= len(split.test) / 3

    record = split.record(tiles.names)
    contract = make_contract()
    contract = replace(
        contract,
        legend=Legend.for_names(tiles.classes),
        class_shares=(0.5, 0.5),
        confusion=((1, 0), (0, 1)),
        training=replace(contract.training, split=record),
    )
    for part in ("train", "validation", "test"):
        assert choose_part(tiles, contract, part).tolist() == getattr(split, part).tolist()
    with pytest.raises(
        DatasetError, match="the split needs the places of the tiles of .*: add its places.csv"
    ):
        choose_part(replace(tiles, places=None), contract, "test")
    elsewhere = replace(tiles, places=tiles.places[::-1])
    with pytest.raises(DatasetError, match="give that data set, with the same places.csv, or"):
        choose_part(elsewhere, contract, "test")


def test_tiles_of_one_place_are_split_one_by_one(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=10)
    tell_places(data, km_apart=0)
    warnings = split_by_blocks(read_tiles(data)).warnings
    assert sorted(warning.partition(" are too close")[0] for warning in warnings) == [
        "the tiles of class AnnualCrop", "the tiles of class Forest",
    ]  # fmt: skip


def test_tiles_that_overlap_are_said_to_be_lost(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=30)
    tell_places(data, km_apart=0.5)
    split = split_by_blocks(read_tiles(data))
    lost = 60 - len(split.train) - len(split.validation) - len(split.test)
    assert lost > 0
    assert any(f"{lost} of the 60 tiles are not used" in warning for warning in split.warnings)


def test_class_of_two_tiles_is_refused_by_ground(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=2)
    tell_places(data)
    with pytest.raises(DatasetError, match="class AnnualCrop has 2 tiles"):
        split_by_blocks(read_tiles(data))


def test_lists_of_tiles_that_share_ground_give_a_warning(make_tiles: Make, tmp_path: Path) -> None:
    data = make_tiles(classes=2, each=6)
    tell_places(data, km_apart=0.5)
    names = read_tiles(data).names
    lists = []
    for part in range(3):
        lists.append(tmp_path / f"{part}.txt")
        lists[-1].write_text("\n".join(names[part::3][:3]))
    (unlisted, shared) = split_by_lists(read_tiles(data), *lists).warnings
    assert unlisted == "3 of the 12 tiles are in no list and are not used"
    assert shared.startswith("3 of the 3 held-out tiles share ground with others")
    (data / PLACES_FILE).unlink()
    assert len(split_by_lists(read_tiles(data), *lists).warnings) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"tile,x,y\n",
            r"no column longitude, only tile, x, y\): expected columns tile, longitude, latitude",
        ),
        (b"tile,longitude,latitude\na,\xff,1\n", "can't decode"),
    ],
)
def test_places_that_cannot_be_read(make_tiles: Make, content: bytes, message: str) -> None:
    data = make_tiles(classes=2, each=3)
    (data / PLACES_FILE).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"places.csv in .*tiles cannot be used \(.*{message}"):
        read_tiles(data)


def test_places_of_other_tiles_are_refused(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=3)
    (data / PLACES_FILE).write_text("tile,longitude,latitude\nother.png,1,2\n")
    with pytest.raises(DatasetError, match=r"has none of its images, but other.png: expected na"):
        read_tiles(data)
    (data / PLACES_FILE).write_text("tile,longitude,latitude\n")
    with pytest.raises(DatasetError, match=r"but no tile: expected .* AnnualCrop/AnnualCr"):
        read_tiles(data)


def test_folder_named_like_the_table_is_none(make_tiles: Make) -> None:
    data = make_tiles(classes=2, each=3)
    (data / PLACES_FILE / "Lake").mkdir(parents=True)
    assert read_tiles(data, skip_bad=True).places is None
