"""Labels for single images that are no scenes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoclass.errors import DatasetError
from geoclass.learn.dataset import decode_image
from geoclass.model.classifier import Classifier


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


def label_image(path: Path, classifier: Classifier, *, whole: bool = False) -> list[ImageLabel]:
    """Label the tile in the middle of a JPEG, PNG or TIFF, or with `whole` all its tiles.

    The last row and column of tiles is moved inward. Raises DatasetError where the file is
    missing, no RGB image of 8 bits, or smaller than a tile.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read the image {path}: {error.strerror}") from error
    pixels = decode_image(data, str(path))
    size = classifier.contract.tile_size
    height, width = pixels.shape[1:]
    if min(height, width) < size:
        raise DatasetError(
            f"image {path} has {width}×{height} pixels, at least {size}×{size} are needed"
        )
    places = [((height - size) // 2, (width - size) // 2)]
    if whole:
        places = [(row, col) for row in _origins(height, size) for col in _origins(width, size)]
    tiles = np.stack([pixels[:, row : row + size, col : col + size] for row, col in places])
    names = classifier.contract.legend.names
    labels = []
    prediction = classifier.predict(tiles)
    for (row, col), tile, p, unknown in zip(
        places, tiles, prediction.probabilities, prediction.unknown, strict=True
    ):
        labels.append(
            ImageLabel(
                image=str(path),
                row=row,
                col=col,
                name=names[int(p.argmax())],
                confidence=float(p.max()),
                unknown=bool(unknown),
                probabilities=dict(zip(names, p.tolist(), strict=True)),
                tile=tile,
            )
        )
    return labels


def _origins(length: int, size: int) -> Iterator[int]:
    for start in range(0, length, size):
        yield min(start, length - size)
