"""Labels of single images."""

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
"""Enough tiles to keep all threads of a classifier busy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageLabel:
    """Label of a tile of an image."""

    image: str
    row: int
    """First pixel row of the tile."""
    col: int
    """First pixel column of the tile."""
    name: str
    """Top-1 class."""
    confidence: float
    """Its probability, 0–1."""
    unknown: bool
    """Whether the tile is out-of-distribution, which makes the class meaningless."""
    probabilities: dict[str, float]
    """By class."""
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

    The central tile is labelled, or with `whole` all tiles; the last row and column of tiles are
    moved inward. `model` defaults to the shipped one. `symmetries` means test-time augmentation.
    `on_images` gets the numbers of finished and of all images. `on_bad` gets a reason for each
    unusable image, which is then skipped. Raises DatasetError for such an image without `on_bad`,
    SettingsError for an unavailable device.
    """
    classifier = Classifier(
        model or load_model(), device=device, batch_size=batch_size, symmetries=symmetries
    )
    names = classifier.contract.legend.names
    labels: list[ImageLabel] = []
    waiting: list[tuple[str, int, int, np.ndarray]] = []
    for done, path in enumerate(paths, start=1):
        try:
            waiting += _cut_image(Path(path), classifier.contract.tile_size, whole)
        except DatasetError as error:
            if on_bad is None:
                raise
            on_bad(str(error))
        if waiting and (len(waiting) >= LABELLED_TOGETHER or done == len(paths)):
            prediction = classifier.predict(np.stack([tile for *_, tile in waiting]))
            labels += (
                ImageLabel(
                    image=image,
                    row=row,
                    col=col,
                    name=names[int(p.argmax())],
                    confidence=float(p.max()),
                    unknown=bool(unknown),
                    probabilities=dict(zip(names, p.tolist(), strict=True)),
                    tile=tile,
                )
                for (image, row, col, tile), p, unknown in zip(
                    waiting, prediction.probabilities, prediction.unknown, strict=True
                )
            )
            waiting.clear()
        on_images(done, len(paths))
    return labels


def _cut_image(path: Path, size: int, whole: bool) -> Iterator[tuple[str, int, int, np.ndarray]]:
    """File, first row, first column and pixels of each tile to label."""
    try:
        data = read_file(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(f"cannot read the image {path}: {why}") from error
    pixels = decode_image(data, str(path))
    height, width = pixels.shape[1:]
    if min(height, width) < size:
        raise DatasetError(
            f"image {path} has {width}×{height} pixels, expected at least {size}×{size}"
        )
    rows, cols = [(height - size) // 2], [(width - size) // 2]
    if whole:
        rows, cols = ([min(i, n - size) for i in range(0, n, size)] for n in (height, width))
    for row in rows:
        for col in cols:  # copies, because a view would keep the whole image
            yield str(path), row, col, pixels[:, row : row + size, col : col + size].copy()
