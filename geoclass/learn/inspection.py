"""What a data set holds, and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from geoclass.errors import DatasetError
from geoclass.learn.dataset import (
    check_size,
    decode_image,
    find_legend,
    find_places,
)
from geoclass.learn.splits import FEWEST_TILES, say_class_count, say_too_few
from geoclass.learn.tile_files import class_of, open_tile_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A data set, described."""

    images: int
    classes: dict[str, int]
    """Images by class, in alphabetical order."""
    sizes: dict[str, int]
    """Images by `<width>×<height>`, the commonest first."""
    unusable: tuple[str, ...]
    """What is wrong with each class folder, legend and image that cannot be trained with."""
    unused: tuple[str, ...]
    """Images beside the class folders, which are of no class; `images` does not count them."""
    placed: int
    """Images whose place on Earth is told by `places.csv`."""
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of images with the same pixels."""
    samples: dict[str, np.ndarray]
    """By class, uint8 (n, 3, s, s): its first images of the commonest size, if it has any."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the samples."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        del data["samples"]
        return data


def inspect_tiles(
    path: Path | str,
    *,
    samples_each: int = 10,
    on_images: Callable[[int, int], object] = lambda _done, _all: None,
) -> Inspection:
    """Look at every image of a zip or folder of class folders.

    `samples_each` is how many images of each class are kept to be shown. `on_images` is told at
    which image it is, and of how many. Raises DatasetError where there are none, or two folders of
    one class.
    """
    sizes: Counter[str] = Counter()
    unusable: list[str] = []
    by_pixels: dict[str, list[str]] = {}
    first: dict[tuple[str, str], list[str]] = {}
    with open_tile_files(Path(path)) as files:
        names, classes = files.names, files.classes
        unusable += [*files.faults, *files.left_out, *_find_faults(find_legend, files)]
        try:
            told = find_places(files) or {}
        except DatasetError as error:
            told = {}
            unusable.append(str(error))
        for place, name in enumerate(names, start=1):
            on_images(place, len(names))
            try:
                pixels = decode_image(files.read(name), name)
            except DatasetError as error:
                unusable.append(str(error))
                continue
            size = f"{pixels.shape[2]}×{pixels.shape[1]}"
            sizes[size] += 1
            unusable += _find_faults(check_size, pixels, name)
            by_pixels.setdefault(_hash_pixels(pixels), []).append(name)
            shown = first.setdefault((class_of(name), size), [])
            if len(shown) < samples_each:
                shown.append(name)
        common = sizes.most_common(1)[0][0] if sizes else ""
        # Read again: which size is the commonest was not known, and all would fill the memory.
        pictures = {
            label: np.stack([decode_image(files.read(name), name) for name in chosen])
            for label in classes
            if (chosen := first.get((label, common)))
        }
    decoded = Counter(class_of(name) for group in by_pixels.values() for name in group)
    unusable += [say_too_few(c, decoded[c]) for c in classes if decoded[c] < FEWEST_TILES]
    if len(classes) == 1 and (fault := say_class_count(str(path), 1)):
        unusable.append(fault)
    counts = Counter(class_of(name) for name in names)
    return Inspection(
        images=len(names),
        classes={label: counts[label] for label in classes},
        sizes=dict(sizes.most_common()),
        unusable=tuple(unusable),
        unused=tuple(files.loose),
        placed=sum(name in told for name in names),
        duplicates=tuple(tuple(group) for group in by_pixels.values() if len(group) > 1),
        samples=pictures,
    )


def _find_faults(check: Callable[..., object], *arguments: object) -> list[str]:
    """What a check says that fails."""
    try:
        check(*arguments)
    except DatasetError as error:
        return [str(error)]
    return []


def _hash_pixels(pixels: np.ndarray) -> str:
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
