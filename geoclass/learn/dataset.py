"""Labelled tiles: a zip such as EuroSAT, or a folder, of class folders."""

import io
import math
import struct
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    SAMPLESPERPIXEL,
    ImageFileDirectory_v2,
    TiffImageFile,
)

from geoclass.errors import DatasetError, SceneError
from geoclass.learn.places import NEEDED, Place, parse_places
from geoclass.learn.tile_files import TileFiles, class_of, open_tile_files
from geoclass.legend import LEGEND_FORM, MAX_CLASSES, Legend
from geoclass.outside import printable
from geoclass.scene.open.arrays import read_bands
from geoclass.scene.radiometry.conversion import BASELINE_OFFSET, stretch

SENTINEL_2_RGB = (4, 3, 2)
"""Of 13 bands: every order in use begins with B01, B02, B03, B04."""
TILE_SIZE = 64
TILE_SHAPE = (3, TILE_SIZE, TILE_SIZE)

MAX_PIXELS = 50_000_000
"""Larger images are refused: they may be made to fill the memory."""

IMAGE_FORMATS = ("JPEG", "PNG", "TIFF")
"""Formats that Pillow may try; others start programs such as Ghostscript."""

LEAST_WITH_OFFSET = int(stretch(np.array(BASELINE_OFFSET)))
"""Minimum 8-bit value of tiles with the offset of baseline 04.00 and later."""
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SKIP_ADVICE = "; --skip-bad skips unusable images, `geoclass dataset` lists them all"
UNKNOWN = Place(math.nan, math.nan, math.nan)
SCENE_ADVICE = "; use `geoclass map` and `geoclass tiles` for scenes"

# Images that Pillow warns of are refused here. Filters apply to all threads, so they are set once;
# they come last, so that those of the calling program have priority.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, append=True)
warnings.filterwarnings("ignore", "(?i)(possibly )?corrupt EXIF data", UserWarning, append=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSet:
    """Labelled tiles, decoded."""

    name: str
    classes: tuple[str, ...]
    """Class names in alphabetical order; the label is the index."""
    names: tuple[str, ...]
    """`<class>/<file>` of each tile, sorted."""
    images: np.ndarray
    """uint8 (n, 3, 64, 64): red, green, blue."""
    labels: np.ndarray
    """int64 (n,)."""
    legend: Legend
    places: np.ndarray | None = None
    """float64 (n, 3): longitude and latitude of the centre of each tile in degrees and its side in
    metres, NaN where unknown; None without `places.csv`."""
    skipped: tuple[str, ...] = ()
    """A reason for each image or folder that was skipped."""

    def __len__(self) -> int:
        return len(self.names)


def read_tiles(
    path: Path,
    *,
    skip_bad: bool = False,
    known: Legend | None = None,
) -> TileSet:
    """Read and decode all tiles of a zip or folder.

    Images outside class folders are skipped and listed in `skipped`; with `skip_bad` also unusable
    images and folders. Classes of `known` or EuroSAT have the same legend as there, unless
    `legend.json` differs.

    Raises DatasetError for an unusable image, class or data set.
    """
    with open_tile_files(path) as files:
        if files.faults:
            raise DatasetError(files.faults[0])
        if files.unusable and not skip_bad:
            raise DatasetError(f"{files.unusable[0]}{SKIP_ADVICE}")
        names, classes = files.names, files.classes
        legend, places = find_legend(files, known), find_places(files)
        loose = [f"image {entry} is in no class folder" for entry in files.loose]
        images, skipped = _decode_all(files, names, skip_bad=skip_bad)
    if skipped:
        used = [i for i in range(len(names)) if i not in skipped]
        names, images = [names[i] for i in used], images[used]
        lost = set(classes) - {class_of(name) for name in names}
        if lost:
            raise DatasetError(f"class {min(lost)} in {path} has no usable image: add some")
    labels = np.array([classes.index(class_of(name)) for name in names], dtype=np.int64)
    named = path.resolve() if path.name in ("", "..") else path  # "." has no name
    return TileSet(
        name=printable(named.name),
        classes=tuple(classes),
        names=tuple(names),
        images=images,
        labels=labels,
        legend=legend,
        places=None if places is None else np.array([places.get(n, UNKNOWN) for n in names]),
        skipped=(*loose, *files.unusable, *(skipped[i] for i in sorted(skipped))),
    )


def _decode_all(
    files: TileFiles, names: Sequence[str], *, skip_bad: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """Decode to uint8 (n, 3, 64, 64); also returns a reason for each image that stays black."""
    images = np.zeros((len(names), *TILE_SHAPE), dtype=np.uint8)
    measured = np.zeros(len(names), dtype=bool)
    skipped: dict[int, str] = {}

    def decode(i: int) -> None:
        try:
            data = files.read(names[i])
            pixels = decode_image(data, names[i])
            check_size(pixels, names[i])
            images[i] = pixels
            measured[i] = _has_all_bands(data)
        except DatasetError as error:
            if not skip_bad:
                raise DatasetError(f"{error}{SKIP_ADVICE}") from error
            skipped[i] = str(error)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(decode, range(len(names))):
            pass
    if measured.any() and images[measured, 0].min() >= LEAST_WITH_OFFSET:
        raise DatasetError(
            f"no pixel of the tiles of 13 bands in {files.path} is darker than 1000 in red, so "
            "their numbers contain the offset of baseline 04.00 and later: subtract 1000"
        )
    return images, skipped


def find_legend(files: TileFiles, known: Legend | None = None) -> Legend:
    """Read `legend.json`: title, colour and group by class name.

    Missing values come from `known` or EuroSAT, or are generated. Raises DatasetError if it is
    invalid or if there are too many classes for a map.
    """
    classes = files.classes
    if len(classes) > MAX_CLASSES:
        raise DatasetError(
            f"{files.path} has {len(classes)} classes, expected at most {MAX_CLASSES}: "
            "merge or remove some"
        )
    try:
        legend = Legend.for_names(classes, known)
    except ValueError as error:
        raise DatasetError(f"a folder of {files.path} cannot be a class: {error}") from error
    if files.legend_entry is None:
        return legend
    try:
        return legend.described(files.load(files.legend_entry))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{files.legend_entry} in {files.path} cannot be used ({error}): expected {LEGEND_FORM}"
        ) from error


def find_places(files: TileFiles) -> Mapping[str, Place] | None:
    """Read places by `<class>/<file>` from `places.csv`; None without it.

    Raises DatasetError if it is invalid, or has none of the images.
    """
    entry = files.places_entry
    if entry is None:
        return None
    try:
        places = parse_places(files.load(entry).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{entry} in {files.path} cannot be used ({error}): expected columns "
            f"{', '.join(NEEDED)}, in degrees; fix or remove it"
        ) from error
    if places.keys().isdisjoint(files.entries):
        first = next(iter(places), "no tile")
        raise DatasetError(
            f"{entry} in {files.path} has none of its images, but {first}: expected names such "
            f"as {files.names[0]}; fix or remove it"
        )
    return places


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Decode an 8-bit RGB image, or a TIFF of all 13 bands of Level-1C, to uint8 (3, h, w).

    DatasetError for any other image.
    """
    if _has_all_bands(data):
        return _decode_all_bands(data, name)
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            mode, is_tiff = _stored_mode(image, data), image.format == "TIFF"
            pixels = np.asarray(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DatasetError(
            f"image {name} is too large to decode: map it as a scene, or cut tiles from it"
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, UserWarning) as error:
        if data[:4] in TIFF_HEADS:
            raise DatasetError(
                f"image {name} is a TIFF that cannot be decoded as RGB of 8 bits: replace, convert "
                f"or remove it{SCENE_ADVICE}"
            ) from error
        raise DatasetError(f"image {name} cannot be decoded: replace or remove it") from error
    if mode == "RGBA" and (pixels[:, :, 3] == 255).all():  # opaque
        mode, pixels = "RGB", pixels[:, :, :3]
    if mode != "RGB":
        raise DatasetError(
            f"image {name} is of mode {mode}, expected RGB of 8 bits: convert or remove it"
            f"{SCENE_ADVICE * is_tiff}"
        )
    return pixels.transpose(2, 0, 1)


def _decode_all_bands(data: bytes, name: str) -> np.ndarray:
    """Decode red, green and blue of a tile with all bands, with EuroSAT's stretch."""
    try:
        stored = read_bands(data, SENTINEL_2_RGB, MAX_PIXELS)
    except SceneError as error:
        raise DatasetError(
            f"image {name} cannot be decoded ({error}): replace or remove it"
        ) from error
    if stored.dtype != np.uint16:
        raise DatasetError(
            f"image {name} has 13 bands of {stored.dtype}, expected uint16: convert or remove it"
        )
    return stretch(stored)


def _has_all_bands(data: bytes) -> bool:
    """True for a TIFF of 13 bands of 16 bits, which Pillow cannot decode."""
    if not data.startswith(TIFF_HEADS):
        return False
    try:
        tags = ImageFileDirectory_v2(data[: 16 if data[2:4] in (b"+\0", b"\0+") else 8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return int(tags.get(SAMPLESPERPIXEL, 1)) == 13 and max(tags[BITSPERSAMPLE]) == 16
    except (struct.error, OSError, SyntaxError, ValueError, TypeError, KeyError, UserWarning):
        return False


def _stored_mode(image: Image.Image, data: bytes) -> str:
    """The image's mode, with its depth if that is not 8 bits.

    Pillow calls 16-bit images RGB, too, and returns the high bytes.
    """
    depth = 8
    if image.format == "PNG":
        depth = data[24]
    elif isinstance(image, TiffImageFile):
        depth = max(image.tag_v2.get(BITSPERSAMPLE, (1,)))
    return image.mode if image.mode != "RGB" or depth == 8 else f"RGB of {depth} bits"


def check_size(pixels: np.ndarray, name: str) -> None:
    """Raise DatasetError if an image (3, h, w) does not have the size of a tile."""
    if pixels.shape != TILE_SHAPE:
        raise DatasetError(
            f"image {name} has {pixels.shape[2]}×{pixels.shape[1]} pixels, "
            f"expected {TILE_SIZE}×{TILE_SIZE}: cut, replace or remove it"
        )
