"""Splits: stratified, repeatable, disjoint."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geoclass.errors import DatasetError
from geoclass.learn.dataset import read_tiles
from geoclass.learn.splits import hash_names, split_by_lists, split_randomly

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
        ({"train": ["none.png"]}, "1 of 1 names .* the first is none.png"),
        ({"train": []}, "the list .* is empty: give one"),
        ({"train": ["Forest_1.png"]}, "stands twice"),
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
    with pytest.raises(DatasetError, match="stands twice"):
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
