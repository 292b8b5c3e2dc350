"""Split of a data set into training, validation and test (held-out) tiles."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from geoclass.contract import Contract, SplitKind, SplitRecord
from geoclass.errors import DatasetError
from geoclass.learn.dataset import TileSet
from geoclass.learn.places import PLACES_FILE
from geoclass.learn.spatial_split import assign_parts, find_shared, measure_shares
from geoclass.legend import MAX_CLASSES
from geoclass.model.checkpoint import Model
from geoclass.outside import read_file

PARTS = ("train", "validation", "test")
Part = Literal["train", "validation", "test", "all"]

Lists = tuple[Path | str, Path | str, Path | str]
"""Text files with the training, validation and test tiles, one per line."""

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
"""Fraction of the tiles outside the test part."""
MIN_TILES = 3
"""Per class, for three parts."""
FEW_TRAINED = 1 / 3
"""Fraction of a class's tiles; a smaller training part gives a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices into a TileSet, int64, sorted, disjoint."""

    kind: SplitKind
    seed: int | None
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    warnings: tuple[str, ...] = ()
    """Reasons why the test score may be too high, and which tiles are not used."""

    def record(self, names: Sequence[str]) -> SplitRecord:
        """The record of the split in a model."""
        return SplitRecord(
            kind=self.kind,
            seed=self.seed,
            test_sha256=hash_names(names[i] for i in self.test),
            train=len(self.train),
            validation=len(self.validation),
            test=len(self.test),
        )


def hash_names(names: Iterable[str]) -> str:
    """SHA-256 of the sorted names, one per line."""
    text = "\n".join(sorted(names)).encode(errors="surrogatepass")  # names may not be UTF-8
    return hashlib.sha256(text).hexdigest()


def split_randomly(
    labels: np.ndarray, seed: int = 0, *, classes: Sequence[str] | None = None
) -> Split:
    """Take a fifth of each class for testing, and a tenth of the rest for validation.

    `labels` is int (n,). The same labels and seed give the same split on every machine. `classes`
    are names for errors. Raises DatasetError for a class with fewer than three tiles.
    """
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        check_tile_count(f"number {label}" if classes is None else classes[label], int(count))
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


def split_by_blocks(tiles: TileSet, seed: int = 0) -> Split:
    """Split by spatial blocks, with about the fractions of `split_randomly`.

    Tiles that share ground with the test part, or with validation, are in no other part. Raises
    DatasetError for a data set without places, or for a class with fewer than three tiles.
    """
    if tiles.places is None:
        raise DatasetError(
            f"the split needs the places of the tiles of {tiles.name}: add its {PLACES_FILE}"
        )
    for label, name in enumerate(tiles.classes):
        check_tile_count(name, int((tiles.labels == label).sum()))
    parts, singly = assign_parts(
        tiles.labels,
        tiles.places,
        np.random.default_rng(seed),
        test_share=TEST_SHARE,
        validation_share=(1 - TEST_SHARE) * VALIDATION_SHARE,
    )
    warnings = [
        f"the tiles of class {tiles.classes[label]} are too close together for three parts that "
        "share no ground; they are split at random, and its score may be too high: cut more "
        "of them elsewhere"
        for label in singly
    ]
    unplaced = np.flatnonzero(np.isnan(tiles.places).any(axis=1))
    if len(unplaced):
        warnings.append(
            f"{PLACES_FILE} has no place for {len(unplaced)} of the {len(tiles)} tiles, such "
            f"as {tiles.names[unplaced[0]]}; they are split at random, and the score may be too "
            "high: add their places"
        )
    if lost := len(tiles) - sum(map(len, parts)):
        warnings.append(
            f"{lost} of the {len(tiles)} tiles are not used, because they would share ground with "
            "another part: give `geoclass tiles` --snap, so that tiles of several dates coincide"
        )
    for label, shares in zip(*measure_shares(tiles.labels, parts), strict=True):
        if shares[0] < FEW_TRAINED:
            warnings.append(
                f"only {shares[0]:.0%} of the tiles of class {tiles.classes[label]} are trained "
                "on, because they are close together: cut more of them elsewhere, or try another "
                "--split-seed"
            )
    return Split(kind="ground", seed=seed, **parts._asdict(), warnings=tuple(warnings))


def split_by_folders(tiles: TileSet) -> Split | None:
    """The split of a data set with class folders in `train`, `test` …; None without such folders.

    With only two of the three, 8 % of `train` become validation, and the other folder is held out.
    Raises DatasetError for a class that is missing from a part.
    """
    folders = [name.split("/")[1] if name.count("/") == 2 else "" for name in tiles.names]
    if not all(folders):
        return None
    parts = {part: np.flatnonzero(np.array(folders) == part) for part in PARTS}
    warnings: tuple[str, ...] = ()
    if not (len(parts["validation"]) and len(parts["test"])):
        if not len(parts["test"]):
            parts["test"] = parts["validation"]
            warnings = (f"{tiles.name} has no folder test: its validation folder is held out",)
        drawn = split_randomly(tiles.labels[parts["train"]], classes=tiles.classes)
        parts["validation"] = parts["train"][drawn.validation]
        parts["train"] = np.setdiff1d(parts["train"], parts["validation"])
    for part, chosen in parts.items():
        if missing := set(range(len(tiles.classes))) - set(tiles.labels[chosen].tolist()):
            raise DatasetError(
                f"{tiles.name} has no tile of class {tiles.classes[min(missing)]} for {part}: "
                "add some to that folder, or put all class folders into one folder"
            )
    return Split(kind="lists", seed=None, **parts, warnings=warnings)


def split_tiles(tiles: TileSet, seed: int = 0) -> Split:
    """Split by the data set's own folders, else by spatial blocks if it has places, else at random.

    Raises DatasetError for a class with fewer than three tiles.
    """
    if (given := split_by_folders(tiles)) is not None:
        return given
    if tiles.places is None:
        return split_randomly(tiles.labels, seed, classes=tiles.classes)
    return split_by_blocks(tiles, seed)


def check_tile_count(name: str, count: int) -> None:
    """Raise DatasetError if a class has too few tiles for three parts."""
    if count < MIN_TILES:
        raise DatasetError(
            f"class {name} has {count} tile{'s' * (count != 1)}, at least {MIN_TILES} are needed "
            "for training, validation and test: add tiles or remove the class"
        )


def check_class_count(name: str, count: int) -> None:
    """Raise DatasetError if a data set has too few classes."""
    if count < 2:
        raise DatasetError(
            f"{name} has {count} class, expected 2 to {MAX_CLASSES}: "
            "give a zip or folder with one folder per class"
        )


def split_by_lists(tiles: TileSet, train: Path, validation: Path, test: Path) -> Split:
    """Split by text files with one tile file name per line.

    Tiles in no list are not used. Raises DatasetError for a name that is not in the data set or
    is in two lists.
    """
    index: dict[str, list[int]] = {}
    for i, name in enumerate(tiles.names):
        for key in (name, name.partition("/")[2]):
            index.setdefault(key, []).append(i)
    paths = zip(PARTS, (train, validation, test), strict=True)
    parts = {part: _find_listed(path, index) for part, path in paths}
    every = np.concatenate(list(parts.values()))
    if len(np.unique(every)) < len(every):
        raise DatasetError(f"a tile is listed twice in {train}, {validation}, {test}: fix them")
    warnings = []
    if unlisted := len(tiles) - len(every):
        warnings.append(f"{unlisted} of the {len(tiles)} tiles are in no list and are not used")
    if tiles.places is not None:
        trained = tiles.places[np.concatenate([parts["train"], parts["validation"]])]
        if shared := int(find_shared(tiles.places[parts["test"]], trained).sum()):
            warnings.append(
                f"{shared} of the {len(parts['test'])} held-out tiles share ground with others, "
                f"and their score may be too high: list all tiles of a place in {test} only"
            )
    return Split(kind="lists", seed=None, **parts, warnings=tuple(warnings))


def choose_part(
    tiles: TileSet, contract: Contract, part: Part, lists: Lists | None = None
) -> np.ndarray:
    """Repeat a model's split and return the indices of the tiles of a part.

    `all` means all tiles, of a subset of the model's classes. Raises DatasetError if the split
    cannot be repeated: training tiles are never scored as held out.
    """
    names = contract.legend.names
    fits = set(tiles.classes) <= set(names) if part == "all" else list(tiles.classes) == names
    if not fits:
        raise DatasetError(
            f"{tiles.name} has the classes {', '.join(tiles.classes)}, "
            f"the model has {', '.join(names)}: give the data set of the model"
        )
    if part == "all":
        return np.arange(len(tiles))
    record = contract.training.split
    if lists is not None:
        split = split_by_lists(tiles, *map(Path, lists))
    elif (given := split_by_folders(tiles)) is not None:
        split = given
    elif record.kind == "lists" or record.seed is None:
        raise DatasetError("the model was trained with lists: give them with --lists")
    elif record.kind == "ground":
        split = split_by_blocks(tiles, record.seed)
    else:
        split = split_randomly(tiles.labels, record.seed, classes=tiles.classes)
    if hash_names(tiles.names[i] for i in split.test) != record.test_sha256:
        same = f"that data set, with the same {PLACES_FILE}" * (split.kind == "ground")
        raise DatasetError(
            f"{tiles.name} does not give the split that the model was trained with, so its tiles "
            f"may be training tiles: give {same or 'that data set'}, or score all tiles with "
            "--part all"
        )
    return getattr(split, part)


def _find_listed(path: Path, index: Mapping[str, list[int]]) -> np.ndarray:
    try:
        # Editors on Windows write a byte order mark.
        lines = read_file(path).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(f"cannot read the list {path}: {reason}") from error
    listed = [line.strip() for line in lines if line.strip()]
    if not listed:
        raise DatasetError(f"the list {path} is empty: give one file name per line")
    if missing := [name for name in listed if name not in index]:
        raise DatasetError(
            f"{len(missing)} of {len(listed)} names in {path} are not in the data set, such as "
            f"{missing[0]}: fix the list"
        )
    if name := next((name for name in listed if len(index[name]) > 1), None):
        raise DatasetError(f"several classes have a {name}: write <class>/{name} in {path}")
    return np.sort(np.array([index[name][0] for name in listed], dtype=np.int64))


def hash_pixels(images: np.ndarray) -> np.ndarray:
    """First 8 bytes of the SHA-256 of each uint8 tile (n, 3, s, s): int64 (n,)."""
    digests = b"".join(hashlib.sha256(image.tobytes()).digest()[:8] for image in images)
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)


def count_leaks(tiles: TileSet, split: Split) -> int:
    """Number of test tiles whose pixels equal those of a training or validation tile."""
    held_out = hash_pixels(tiles.images[split.test])
    others = hash_pixels(tiles.images[np.concatenate([split.train, split.validation])])
    return int(np.isin(held_out, others).sum())


def count_seen(model: Model, images: np.ndarray) -> int | None:
    """Number of uint8 tiles (n, 3, s, s) that the model was trained on or selected with.

    None if the model does not record them.
    """
    if model.seen is None:
        return None
    return int(np.isin(hash_pixels(images), model.seen.numpy()).sum())
