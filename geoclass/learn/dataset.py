"""Labelled tiles: a EuroSAT zip, the same unpacked, or any folder of class folders."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import re
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

from geoclass.errors import DatasetError, OutputError, SceneError
from geoclass.files.writing import draft_folder, move_into_place, sweep_drafts
from geoclass.learn.places import NEEDED, Place, parse_places
from geoclass.learn.tile_files import TileFiles, class_of, locate, open_tile_files
from geoclass.legend import LEGEND_FORM, MAX_CLASSES, Legend
from geoclass.outside import printable
from geoclass.scene.arrays import read_bands
from geoclass.scene.radiometry import BASELINE_OFFSET, stretch

SENTINEL_2_RGB = (4, 3, 2)
"""Of the 13 bands: B01, B02, B03, B04 … come first in each order that is in use."""
TILE_SIZE = 64
TILE_SHAPE = (3, TILE_SIZE, TILE_SIZE)

MAX_PIXELS = 50_000_000
"""Larger images are no tiles; some are made to fill the memory."""

IMAGE_FORMATS = ("JPEG", "PNG", "TIFF")
"""All that Pillow may try: others start programs, such as Ghostscript."""

RGB_TIFF, ALL_BANDS = "3 bands of 8 bits", "13 bands of 16 bits"
LEAST_WITH_OFFSET = int(stretch(np.array(BASELINE_OFFSET)))
"""Of 8 bits, what numbers with the offset of newer baselines do not fall below."""
SKIP_ADVICE = "; --skip-bad leaves out what cannot be used, `geoclass dataset` lists it all"
UNKNOWN = Place(math.nan, math.nan, math.nan)
SCENE_ADVICE = "; for scenes there are `geoclass map` and `geoclass tiles`"

# Pillow warns of images that are refused here in words of our own. The filters are set once, as
# they belong to all threads, and come last, so that those of who uses the library go first.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, append=True)
warnings.filterwarnings("ignore", "(?i)(possibly )?corrupt EXIF data", UserWarning, append=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSet:
    """Labelled tiles, decoded."""

    name: str
    """Name of the file or folder they came from."""
    classes: tuple[str, ...]
    """Class names in alphabetical order; the label is the index."""
    names: tuple[str, ...]
    """`<class>/<file>` of each tile, sorted."""
    images: np.ndarray
    """uint8 (n, 3, 64, 64): red, green, blue."""
    labels: np.ndarray
    """int64 (n,)."""
    legend: Legend
    """The classes as maps show them."""
    places: np.ndarray | None = None
    """float64 (n, 3): longitude and latitude of each tile's middle in degrees and its side in
    metres, NaN where unknown; None where there is no `places.csv`."""
    skipped: tuple[str, ...] = ()
    """What was wrong with each image or folder that was left out, or that it is in no class's."""

    def __len__(self) -> int:
        return len(self.names)


def read_tiles(
    path: Path,
    *,
    skip_bad: bool = False,
    keep: bool = False,
    known: Legend | None = None,
) -> TileSet:
    """Read and decode all tiles of a zip or folder.

    Images beside the class folders are left out and listed in `skipped`, and with `skip_bad` images
    and folders that cannot be used, too. With `keep` the decoded tiles are cached beside the data
    set, where that is possible; cached tiles are used if nothing has changed since. Classes that
    `known` or EuroSAT has look as there, unless `legend.json` says otherwise.

    Raises DatasetError where an image, a class or the whole cannot be used.
    """
    with open_tile_files(path) as files:
        if files.faults:
            raise DatasetError(files.faults[0])
        if files.left_out and not skip_bad:
            raise DatasetError(f"{files.left_out[0]}{SKIP_ADVICE}")
        names, classes = files.names, files.classes
        legend, told = find_legend(files, known), find_places(files)
        loose = [f"image {entry} stands in no class folder" for entry in files.loose]
        cache, shape = _name_cache(path, files), (len(names), *TILE_SHAPE)
        images, skipped = _read_cache(cache, shape), dict[int, str]()
        if images is None:
            images, skipped = _decode_all(files, names, skip_bad=skip_bad)
            if keep and not skipped:
                _write_cache(cache, images)
    if skipped:
        used = [i for i in range(len(names)) if i not in skipped]
        names, images = [names[i] for i in used], images[used]
        lost = set(classes) - {class_of(name) for name in names}
        if lost:
            raise DatasetError(f"no image of class {min(lost)} in {path} can be used: add some")
    labels = np.array([classes.index(class_of(name)) for name in names], dtype=np.int64)
    return TileSet(
        name=printable(locate(path).name),
        classes=tuple(classes),
        names=tuple(names),
        images=images,
        labels=labels,
        legend=legend,
        places=None if told is None else np.array([told.get(name, UNKNOWN) for name in names]),
        skipped=(*loose, *files.left_out, *(skipped[i] for i in sorted(skipped))),
    )


def _decode_all(
    files: TileFiles, names: Sequence[str], *, skip_bad: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """Uint8 (n, 3, 64, 64), and what is wrong with the images that were left black."""
    images = np.zeros((len(names), *TILE_SHAPE), dtype=np.uint8)
    measured = np.zeros(len(names), dtype=bool)
    skipped: dict[int, str] = {}

    def decode(i: int) -> None:
        try:
            data = files.read(names[i])
            images[i] = decode_tile(data, names[i])
            measured[i] = _describe_tiff(data) == ALL_BANDS
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
    """The legend that `legend.json` describes: title, color and group by class name.

    What it does not say is as `known` or EuroSAT has it, or made up. DatasetError where it is
    wrong, or where there are more classes than a map can show.
    """
    classes = files.classes
    if len(classes) > MAX_CLASSES:
        raise DatasetError(
            f"{files.path} has {len(classes)} classes, {MAX_CLASSES} at most are possible: "
            "join or remove some"
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
    """Places by `<class>/<file>` as `places.csv` tells them, if there is one.

    DatasetError where it cannot be read, or names none of the images.
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
        first = next(iter(places), "no tile at all")
        raise DatasetError(
            f"{entry} in {files.path} names none of its images, but {first}: expected names such "
            f"as {files.names[0]}; fix or remove it"
        )
    return places


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Uint8 (3, h, w) of an encoded 8-bit RGB image, or of all 13 bands of Sentinel-2's Level-1C.

    DatasetError for any other.
    """
    if _describe_tiff(data) == ALL_BANDS:
        return _decode_all_bands(data, name)
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            mode = _stored_mode(image, data)
            pixels = np.asarray(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DatasetError(
            f"image {name} is too large to decode: map it as a scene, or cut tiles from it"
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, UserWarning) as error:
        form = _describe_tiff(data)
        if form not in (None, RGB_TIFF):
            raise DatasetError(
                f"image {name} is a TIFF of {form}, expected RGB of 8 bits: convert or remove it"
                f"{SCENE_ADVICE}"
            ) from error
        raise DatasetError(f"image {name} cannot be decoded: replace or remove it") from error
    if mode == "RGBA" and (pixels[:, :, 3] == 255).all():  # opaque: its alpha says nothing
        mode, pixels = "RGB", pixels[:, :, :3]
    if mode != "RGB":
        raise DatasetError(
            f"image {name} is of mode {mode}, expected RGB of 8 bits: convert or remove it"
            f"{'' if _describe_tiff(data) is None else SCENE_ADVICE}"
        )
    return pixels.transpose(2, 0, 1)


def _decode_all_bands(data: bytes, name: str) -> np.ndarray:
    """Red, green and blue of a tile with all bands, in their order, stretched as EuroSAT's are."""
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


def _describe_tiff(data: bytes) -> str | None:
    """Bands and bits of a TIFF that Pillow need not be able to decode; None for what is none."""
    big = data[:4] in (b"II+\0", b"MM\0+")
    if not big and data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    try:
        tags = ImageFileDirectory_v2(data[: 16 if big else 8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bands, bits = int(tags.get(SAMPLESPERPIXEL, 1)), max(tags[BITSPERSAMPLE])
    except (struct.error, OSError, SyntaxError, ValueError, TypeError, KeyError, UserWarning):
        return None
    return f"{bands} band{'s' * (bands != 1)} of {bits} bits"


def _stored_mode(image: Image.Image, data: bytes) -> str:
    """The image's mode, with its depth where that is not 8 bits.

    Pillow says RGB of 16 bits too, and gives the high bytes.
    """
    depth = 8
    if image.format == "PNG":
        depth = data[24]
    elif isinstance(image, TiffImageFile):
        depth = max(image.tag_v2.get(BITSPERSAMPLE, (1,)))
    return image.mode if image.mode != "RGB" or depth == 8 else f"RGB of {depth} bits"


def decode_tile(data: bytes, name: str) -> np.ndarray:
    """Uint8 (3, 64, 64); DatasetError for any other image."""
    pixels = decode_image(data, name)
    check_size(pixels, name)
    return pixels


def check_size(pixels: np.ndarray, name: str) -> None:
    """Refuse an image (3, h, w) of another size than tiles have; DatasetError."""
    if pixels.shape != TILE_SHAPE:
        raise DatasetError(
            f"image {name} has {pixels.shape[2]}×{pixels.shape[1]} pixels, "
            f"expected {TILE_SIZE}×{TILE_SIZE}: cut, replace or remove it"
        )


VERSION = 2
"""Raised when tiles are decoded differently."""

logger = logging.getLogger(__name__)


def _name_cache(path: Path, files: TileFiles) -> Path:
    """A hidden file beside a data set, named after it and a hash of its content.

    What has changed has another name, and is decoded anew.
    """
    lines = [f"{VERSION} {TILE_SIZE}"]
    lines += map(" ".join, zip(files.names, files.identity, strict=True))
    text = "\n".join(lines).encode(errors="surrogatepass")  # file names may not be UTF-8
    place = locate(path)
    return place.with_name(f".{place.name}.{hashlib.sha256(text).hexdigest()[:16]}.npy")


def _read_cache(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The tiles, uint8, mapped into memory; None where they are not cached."""
    if not file.exists():
        return None
    try:
        # Copy on write: torch wants memory that it could write to.
        images: np.ndarray = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _write_cache(file: Path, images: np.ndarray) -> None:
    """Cache the tiles and drop those cached before; where that fails they are not cached."""
    try:
        sweep_drafts([file])
        # A draft of our own: another run may decode the same tiles at this moment.
        with draft_folder(file) as folder:
            draft = Path(folder) / file.name
            np.save(draft, images)
            # Just these: what of `pair.zip` is cached begins as what of `pair` is.
            data = re.escape(file.name[: -len("0123456789abcdef.npy")])
            for old in list(file.parent.iterdir()):
                if re.fullmatch(data + r"[0-9a-f]{16}\.npy", old.name):
                    old.unlink(missing_ok=True)
            move_into_place(draft, file)
    except (OSError, OutputError) as error:
        logger.info("decoded tiles are not cached: %s", error)
