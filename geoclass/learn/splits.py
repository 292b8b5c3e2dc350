"""Which tiles are trained on, chosen with, and held out for one honest score."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from geoclass.contract import Contract, SplitKind, SplitRecord
from geoclass.errors import DatasetError
from geoclass.learn.dataset import TileSet
from geoclass.learn.places import PLACES_FILE
from geoclass.learn.spatial_split import deal_ground, find_shared, measure_shares
from geoclass.legend import MAX_CLASSES
from geoclass.model.checkpoint import Model
from geoclass.outside import read_file

PARTS = ("train", "validation", "test")
Part = Literal["train", "validation", "test", "all"]

Lists = tuple[Path | str, Path | str, Path | str]
"""Text files that name the tiles to train on, to choose with and to hold out, one a line."""

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
"""Of what is left when the test part is taken out."""
FEWEST_TILES = 3
"""Of a class, for it is in all parts."""
FEW_TRAINED = 1 / 3
"""Of a class's tiles, less of which in training is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices into a TileSet, int64, sorted, disjoint."""

    kind: SplitKind
    seed: int | None
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    doubts: tuple[str, ...] = ()
    """Why the score of the test part may be too good, and which tiles are in no part."""

    def record(self, names: Sequence[str]) -> SplitRecord:
        """What a model remembers of its split."""
        return SplitRecord(
            kind=self.kind,
            seed=self.seed,
            test_sha256=hash_names(names[i] for i in self.test),
            train=len(self.train),
            validation=len(self.validation),
            test=len(self.test),
        )


def hash_names(names: Iterable[str]) -> str:
    """SHA-256 of the sorted names, one a line; the same for any order."""
    text = "\n".join(sorted(names)).encode(errors="surrogatepass")  # they may not be UTF-8
    return hashlib.sha256(text).hexdigest()


def split_randomly(
    labels: np.ndarray, seed: int = 0, *, classes: Sequence[str] | None = None
) -> Split:
    """Take a fifth of each class for testing, then a tenth of the rest for validation.

    `labels` is int (n,). The same labels and seed give the same split on every machine. `classes`
    names them in errors.
    Raises DatasetError for a class with fewer than three tiles, which cannot fill three parts.
    """
    _check_counts(labels, classes)
    generator = np.random.default_rng(seed)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        n_test = max(1, round(TEST_SHARE * len(members)))
        n_validation = max(1, round(VALIDATION_SHARE * (len(members) - n_test)))
        cuts = [n_test, n_test + n_validation]
        for part, chosen in zip(parts, np.split(members, cuts), strict=True):
            part.append(chosen)
    test, validation, train = (np.sort(np.concatenate(part)) for part in parts)
    return Split(kind="random", seed=seed, train=train, validation=validation, test=test)


def split_by_ground(tiles: TileSet, seed: int = 0) -> Split:
    """Take about as much for testing and validation, in blocks of ground that stay together.

    Tiles that share ground with those of the test part, or of validation, are in no lesser part.
    Raises DatasetError where the data set does not say where its tiles lie, or for a class with
    fewer than three.
    """
    if tiles.places is None:
        raise DatasetError(
            f"{tiles.name} does not say where its tiles lie, by which they are split: give it the "
            f"{PLACES_FILE} that it had"
        )
    _check_counts(tiles.labels, tiles.classes)
    parts, singly = deal_ground(
        tiles.labels,
        tiles.places,
        np.random.default_rng(seed),
        test_share=TEST_SHARE,
        validation_share=(1 - TEST_SHARE) * VALIDATION_SHARE,
    )
    doubts = [
        f"the tiles of class {tiles.classes[label]} lie too close together for three parts that "
        "share no ground, and are split one by one, so that its score may be too good: cut more "
        "of them elsewhere"
        for label in singly
    ]
    unplaced = np.flatnonzero(np.isnan(tiles.places).any(axis=1))
    if len(unplaced):
        doubts.append(
            f"{PLACES_FILE} does not say where {len(unplaced)} of the {len(tiles)} tiles lie, such "
            f"as {tiles.names[unplaced[0]]}; they are split one by one, so that the score may be "
            "too good: add them to it"
        )
    if lost := len(tiles) - sum(map(len, parts)):
        doubts.append(
            f"{lost} of the {len(tiles)} tiles are not used, for they would share ground with "
            "another part: give `geoclass tiles` --snap, so that those of several dates coincide"
        )
    for label, shares in zip(*measure_shares(tiles.labels, parts), strict=True):
        if shares[0] < FEW_TRAINED:
            doubts.append(
                f"of class {tiles.classes[label]} {shares[0]:.0%} of the tiles are trained on, for "
                "they lie close together: cut more of them elsewhere, or try another --split-seed"
            )
    return Split(kind="ground", seed=seed, **parts._asdict(), doubts=tuple(doubts))


def split_freely(tiles: TileSet, seed: int = 0) -> Split:
    """Split by ground where the data set says where its tiles lie, else tile by tile.

    Raises DatasetError for a class with fewer than three tiles.
    """
    if tiles.places is None:
        return split_randomly(tiles.labels, seed, classes=tiles.classes)
    return split_by_ground(tiles, seed)


def _check_counts(labels: np.ndarray, classes: Sequence[str] | None) -> None:
    """Refuse a class that cannot be in all parts; DatasetError."""
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        if count < FEWEST_TILES:
            name = f"number {label}" if classes is None else classes[label]
            raise DatasetError(say_too_few(name, int(count)))


def say_too_few(name: str, count: int) -> str:
    """What is wrong with a class of so few tiles."""
    return (
        f"class {name} has {count} tile{'s' * (count != 1)}, at least {FEWEST_TILES} are needed "
        "for training, validation and test: add tiles or remove the class"
    )


def say_class_count(name: str, count: int) -> str | None:
    """What is wrong with a data set of so many classes, if anything is."""
    if 2 <= count <= MAX_CLASSES:
        return None
    return (
        f"{name} has {count} class{'es' * (count != 1)}, 2 to {MAX_CLASSES} are possible: "
        "give a zip or folder with one folder a class"
    )


def split_by_lists(tiles: TileSet, train: Path, validation: Path, test: Path) -> Split:
    """Take the parts from text files with one tile's file name a line.

    Tiles in no list are left out. Raises DatasetError for a name that the data set lacks or
    that stands in two lists.
    """
    index = _index_by_file_name(tiles)
    parts = [_find_listed(path, index) for path in (train, validation, test)]
    every = np.concatenate(parts)
    if len(np.unique(every)) < len(every):
        raise DatasetError(f"a tile stands twice in {train}, {validation}, {test}: fix the lists")
    doubts = []
    if unlisted := len(tiles) - len(every):
        doubts.append(
            f"{unlisted} of the {len(tiles)} tiles are in none of the lists, and not used"
        )
    if tiles.places is not None:
        trained = tiles.places[np.concatenate(parts[:2])]
        if shared := int(find_shared(tiles.places[parts[2]], trained).sum()):
            doubts.append(
                f"{shared} of the {len(parts[2])} tiles held out share ground with others, so "
                f"that their score may be too good: list tiles of one ground in {test} alone"
            )
    return Split(
        kind="lists",
        seed=None,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        doubts=tuple(doubts),
    )


def choose_part(
    tiles: TileSet, contract: Contract, part: Part, lists: tuple[Path, Path, Path] | None = None
) -> np.ndarray:
    """Indices of the tiles in a part of a model's split, made again.

    `all` is every tile of a set that may lack some of the model's classes. Raises DatasetError
    where the split cannot be made again, so that tiles which were trained on never pass for
    unseen.
    """
    names = contract.legend.names
    fits = set(tiles.classes) <= set(names) if part == "all" else list(tiles.classes) == names
    if not fits:
        raise DatasetError(
            f"the classes of {tiles.name} are {', '.join(tiles.classes)}, "
            f"the model knows {', '.join(names)}: give the data set that fits the model"
        )
    if part == "all":
        return np.arange(len(tiles))
    record = contract.training.split
    if lists is not None:
        split = split_by_lists(tiles, *lists)
    elif record.kind == "lists" or record.seed is None:
        raise DatasetError("the model's split was given as lists: give them with --lists")
    elif record.kind == "ground":
        split = split_by_ground(tiles, record.seed)
    else:
        split = split_randomly(tiles.labels, record.seed, classes=tiles.classes)
    if hash_names(tiles.names[i] for i in split.test) != record.test_sha256:
        same = f"that data set, with the same {PLACES_FILE}" * (split.kind == "ground")
        raise DatasetError(
            f"the split of {tiles.name} is not the one the model was trained with, so its tiles "
            f"may have been seen in training: give {same or 'that data set'}, or score --part all "
            "knowingly"
        )
    chosen: np.ndarray = getattr(split, part)
    return chosen


AMBIGUOUS = -1


def _index_by_file_name(tiles: TileSet) -> dict[str, int]:
    """Place of each tile by `<class>/<file>` and by `<file>`, where just one class has it."""
    index: dict[str, int] = {}
    for i, name in enumerate(tiles.names):
        file = name.partition("/")[2]
        index[file] = AMBIGUOUS if file in index else i
        index[name] = i
    return index


def _find_listed(path: Path, index: dict[str, int]) -> np.ndarray:
    try:
        # Editors on Windows begin a file with a byte order mark.
        lines = read_file(path).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(f"cannot read the list {path}: {why}") from error
    listed = [line.strip() for line in lines if line.strip()]
    missing = [name for name in listed if name not in index]
    if missing or not listed:
        raise DatasetError(
            f"{len(missing)} of {len(listed)} names in {path} are not in the data set, "
            f"the first is {missing[0]}"
            if missing
            else f"the list {path} is empty: give one file name a line"
        )
    places = np.array([index[name] for name in listed], dtype=np.int64)
    if (places == AMBIGUOUS).any():
        name = listed[int(np.argmax(places == AMBIGUOUS))]
        raise DatasetError(f"several classes have a {name}: write <class>/{name} in {path}")
    return np.sort(places)


def hash_pixels(images: np.ndarray) -> np.ndarray:
    """int64 (n,) of uint8 tiles (n, 3, s, s): the first 8 bytes of their SHA-256.

    Tiles are the same wherever they lie and whatever they are called.
    """
    digests = b"".join(hashlib.sha256(image.tobytes()).digest()[:8] for image in images)
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)


def count_leaks(tiles: TileSet, split: Split) -> int:
    """How many tiles of the test part have the pixels of one that is trained on or chosen with."""
    held_out = hash_pixels(tiles.images[split.test])
    others = hash_pixels(tiles.images[np.concatenate([split.train, split.validation])])
    return int(np.isin(held_out, others).sum())


def count_seen(model: Model, images: np.ndarray) -> int | None:
    """How many of uint8 tiles (n, 3, s, s) the model was trained on or chosen with.

    None where it does not remember them, as models of older versions do not.
    """
    if model.seen is None:
        return None
    return int(np.isin(hash_pixels(images), model.seen.numpy()).sum())
