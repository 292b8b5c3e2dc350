"""Contents of a data set, and its problems."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoclass.errors import DatasetError
from geoclass.learn.dataset import check_size, decode_image, find_legend, find_places
from geoclass.learn.splits import check_class_count, check_tile_count, hash_pixels
from geoclass.learn.tile_files import class_of, open_tile_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Description of a data set."""

    images: int
    classes: dict[str, int]
    """Number of images per class, in alphabetical order."""
    sizes: dict[str, int]
    """Number of images per `<width>×<height>`, the most common first."""
    unusable: tuple[str, ...]
    """A reason for each class folder, legend and image that cannot be used for training."""
    unused: tuple[str, ...]
    """Images outside class folders; `images` does not count them."""
    placed: int
    """Number of images with a place in `places.csv`."""
    duplicates: tuple[tuple[str, ...], ...]
    samples: dict[str, np.ndarray]
    """uint8 (n, 3, s, s) by class: the first images of the most common size, if any."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the samples."""
        data = asdict(self)
        del data["samples"]
        return data


def inspect_tiles(
    path: Path | str,
    *,
    samples_each: int = 10,
    on_images: Callable[[int, int], object] = lambda _done, _all: None,
) -> Inspection:
    """Check every image of a zip or folder of class folders.

    `samples_each` is the number of samples per class. `on_images` gets the number of the current
    image and of all images. Raises DatasetError if there are no images, or two folders of one
    class.
    """
    sizes: Counter[str] = Counter()
    unusable: list[str] = []
    by_pixels: dict[tuple[str, int], list[str]] = {}
    first: dict[tuple[str, str], list[str]] = {}

    def check(function: Callable[..., object], *arguments: object) -> Any:
        """The result of the function, or None if it fails, with the reason noted."""
        try:
            return function(*arguments)
        except DatasetError as error:
            unusable.append(str(error))
            return None

    with open_tile_files(Path(path)) as files:
        names, classes = files.names, files.classes
        unusable += [*files.faults, *files.unusable]
        check(find_legend, files)
        places = check(find_places, files) or {}
        for number, name in enumerate(names, start=1):
            on_images(number, len(names))
            pixels = check(lambda name: decode_image(files.read(name), name), name)
            if pixels is None:
                continue
            size = f"{pixels.shape[2]}×{pixels.shape[1]}"
            sizes[size] += 1
            check(check_size, pixels, name)
            by_pixels.setdefault((size, int(hash_pixels(pixels[None])[0])), []).append(name)
            shown = first.setdefault((class_of(name), size), [])
            if len(shown) < samples_each:
                shown.append(name)
        common = sizes.most_common(1)[0][0] if sizes else ""
        # Decoded again, because keeping samples of all sizes would need too much memory.
        samples = {
            label: np.stack([decode_image(files.read(name), name) for name in chosen])
            for label in classes
            if (chosen := first.get((label, common)))
        }
    decoded = Counter(class_of(name) for group in by_pixels.values() for name in group)
    for label in classes:
        check(check_tile_count, label, decoded[label])
    check(check_class_count, str(path), len(classes))
    counts = Counter(class_of(name) for name in names)
    return Inspection(
        images=len(names),
        classes={label: counts[label] for label in classes},
        sizes=dict(sizes.most_common()),
        unusable=tuple(unusable),
        unused=tuple(files.loose),
        placed=sum(name in places for name in names),
        duplicates=tuple(tuple(group) for group in by_pixels.values() if len(group) > 1),
        samples=samples,
    )
