"""Labels for single images that are no scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoclass.errors import DatasetError
from geoclass.learn.dataset import decode_image
from geoclass.learn.tile_files import MAX_BYTES
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.outside import read_file

LABELLED_TOGETHER = 1024
"""Tiles of so many images or more keep all of a classifier's threads busy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageLabel:
    """What a tile of an image shows."""

    image: str
    """The file."""
    row: int
    """First pixel row of the tile."""
    col: int
    """First pixel column of the tile."""
    name: str
    """The likeliest class."""
    confidence: float
    """Its probability, 0–1."""
    unknown: bool
    """True where the tile is too unlike the training data for the class to mean anything."""
    probabilities: dict[str, float]
    """Of all classes, by name."""
    tile: np.ndarray
    """uint8 (3, tile, tile)."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the pixels."""
        data = asdict(self)
        del data["tile"]
        return data


def label_images(
    paths: Sequence[Path | str],
    model: Model | None = None,
    *,
    whole: bool = False,
    symmetries: bool = False,
    device: str | None = None,
    batch_size: int | None = None,
    on_bad: Callable[[str], object] | None = None,
    on_images: Callable[[int, int], object] = lambda _done, _all: None,
) -> list[ImageLabel]:
    """Label single images: JPEG, PNG or TIFF, RGB of 8 bits, 64×64 pixels or larger.

    Of each the tile in the middle is labelled, or with `whole` all its tiles, the last row and
    column moved inward; the model is by default the one that ships. `on_images` is told how many
    are done, and of how many. `on_bad` is told what is wrong with each file that cannot be used,
    which is left out then. Raises DatasetError for such a file where nobody is to be told,
    SettingsError for a device that is not there.
    """
    classifier = Classifier(
        model or load_model(), device=device, batch_size=batch_size, symmetries=symmetries
    )
    labels: list[ImageLabel] = []
    waiting: list[_Tile] = []
    for done, path in enumerate(paths, start=1):
        try:
            waiting += _cut_image(Path(path), classifier.contract.tile_size, whole)
        except DatasetError as error:
            if on_bad is None:
                raise
            on_bad(str(error))
        if len(waiting) >= LABELLED_TOGETHER or done == len(paths):
            labels += _label_tiles(waiting, classifier)
            waiting.clear()
        on_images(done, len(paths))
    return labels


@dataclass(frozen=True, slots=True, eq=False)
class _Tile:
    image: str
    row: int
    col: int
    pixels: np.ndarray


def _cut_image(path: Path, size: int, whole: bool) -> list[_Tile]:
    try:
        data = read_file(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(f"cannot read the image {path}: {why}") from error
    pixels = decode_image(data, str(path))
    height, width = pixels.shape[1:]
    if min(height, width) < size:
        raise DatasetError(
            f"image {path} has {width}×{height} pixels, at least {size}×{size} are needed"
        )
    places = [((height - size) // 2, (width - size) // 2)]
    if whole:
        places = [(row, col) for row in _origins(height, size) for col in _origins(width, size)]
    # Copies, for a view would keep the whole image.
    return [
        _Tile(str(path), row, col, pixels[:, row : row + size, col : col + size].copy())
        for row, col in places
    ]


def _label_tiles(tiles: Sequence[_Tile], classifier: Classifier) -> list[ImageLabel]:
    if not tiles:
        return []
    names = classifier.contract.legend.names
    prediction = classifier.predict(np.stack([tile.pixels for tile in tiles]))
    return [
        ImageLabel(
            image=tile.image,
            row=tile.row,
            col=tile.col,
            name=names[int(p.argmax())],
            confidence=float(p.max()),
            unknown=bool(unknown),
            probabilities=dict(zip(names, p.tolist(), strict=True)),
            tile=tile.pixels,
        )
        for tile, p, unknown in zip(
            tiles, prediction.probabilities, prediction.unknown, strict=True
        )
    ]


def _origins(length: int, size: int) -> Iterator[int]:
    for start in range(0, length, size):
        yield min(start, length - size)
