"""Labelled tiles: a EuroSAT zip, the same unpacked, or any folder of class folders."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from geoclass.errors import DatasetError
from geoclass.legend import Legend

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})

LEGEND_FILE = "legend.json"

MAX_PIXELS = 50_000_000
"""Larger images are no tiles; some are made to fill the memory."""

# What zipfile raises for damaged, cut, encrypted and oddly compressed archives.
BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


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
    """uint8 (n, 3, tile, tile): red, green, blue."""
    labels: np.ndarray
    """int64 (n,)."""
    legend: Legend
    """The classes as maps show them."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Labelled images, not yet read."""

    path: Path
    entries: Mapping[str, str]
    """From `<class>/<file>` to the entry of the zip or folder that holds it."""
    load: Callable[[str], bytes]
    """Reads an entry."""
    legend_entry: str | None
    """The entry `legend.json` beside the class folders, if there is one."""

    @property
    def names(self) -> list[str]:
        """`<class>/<file>` of each image, sorted."""
        return sorted(self.entries)

    @property
    def classes(self) -> list[str]:
        """Class names in alphabetical order."""
        return sorted({class_of(name) for name in self.entries})

    def read(self, name: str) -> bytes:
        """The encoded image; DatasetError if it cannot be read."""
        try:
            return self.load(self.entries[name])
        except OSError as error:
            raise DatasetError(f"image {name} cannot be read: {error}") from error


@contextmanager
def open_samples(path: Path) -> Iterator[Samples]:
    """List the images of a zip or folder.

    A class is a folder with images in it; `__MACOSX` and names that begin with a dot are
    ignored. Raises DatasetError where the whole or a class cannot be used.
    """
    if path.is_dir():
        listed = _list_folder(path)
        yield _list_samples(path, listed, lambda name: (path / name).read_bytes())
        return
    if not path.is_file():
        raise DatasetError(f"no data set at {path}: give a zip or a folder of class folders")
    try:
        with zipfile.ZipFile(path) as archive:
            yield _list_samples(path, archive.namelist(), archive.read)
    except BAD_ZIP as error:
        raise DatasetError(
            f"{path} is no zip file, or a damaged one ({error}): download it again, "
            "or give a folder of class folders"
        ) from error


def read_tiles(path: Path, tile_size: int = 64) -> TileSet:
    """Read and decode all tiles of a zip or folder.

    Raises DatasetError where an image, a class or the whole cannot be used.
    """
    with open_samples(path) as samples:
        names, classes = samples.names, samples.classes
        legend = read_legend(samples)
        images = np.empty((len(names), 3, tile_size, tile_size), dtype=np.uint8)

        def decode(i: int) -> None:
            images[i] = decode_tile(samples.read(names[i]), names[i], tile_size)

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(decode, range(len(names))):
                pass
    labels = np.array([classes.index(class_of(name)) for name in names], dtype=np.int64)
    return TileSet(
        name=path.name,
        classes=tuple(classes),
        names=tuple(names),
        images=images,
        labels=labels,
        legend=legend,
    )


def read_legend(samples: Samples) -> Legend:
    """The legend that `legend.json` describes: title, color and group by class name.

    What it does not say is as EuroSAT has it, or made up. DatasetError where it is wrong.
    """
    if samples.legend_entry is None:
        return Legend.for_names(samples.classes)
    try:
        described = json.loads(samples.load(samples.legend_entry))
        return Legend.for_names(samples.classes, described)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{samples.legend_entry} in {samples.path} cannot be used ({error}): expected "
            '{"<class>": {"title": …, "color": "#rrggbb", "group": …}}'
        ) from error


def class_of(name: str) -> str:
    """The class in `<class>/<file>`."""
    return name.partition("/")[0]


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Uint8 (3, h, w) of an encoded 8-bit RGB image; DatasetError for any other."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            mode, pixels = image.mode, np.asarray(image)
    except Image.DecompressionBombError as error:
        raise DatasetError(f"image {name} is too large to decode: map it as a scene") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"image {name} cannot be decoded: replace or remove it") from error
    if mode != "RGB":
        raise DatasetError(
            f"image {name} is of mode {mode}, expected RGB of 8 bits: convert or remove it"
        )
    return pixels.transpose(2, 0, 1)


def decode_tile(data: bytes, name: str, tile_size: int) -> np.ndarray:
    """Uint8 (3, tile_size, tile_size); DatasetError for any other image."""
    pixels = decode_image(data, name)
    if pixels.shape[1:] != (tile_size, tile_size):
        raise DatasetError(
            f"image {name} has {pixels.shape[2]}×{pixels.shape[1]} pixels, "
            f"expected {tile_size}×{tile_size}: cut, replace or remove it"
        )
    return pixels


def _list_folder(path: Path) -> list[str]:
    """All paths below a folder as a zip would name them, folders with a slash at the end."""
    return [p.relative_to(path).as_posix() + ("/" if p.is_dir() else "") for p in path.rglob("*")]


def _list_samples(path: Path, listed: Sequence[str], load: Callable[[str], bytes]) -> Samples:
    entries = _find_samples(path, listed)
    above = PurePosixPath(next(iter(entries.values()))).parent.parent
    legends = [entry for entry in listed if PurePosixPath(entry) == above / LEGEND_FILE]
    return Samples(
        path=path, entries=entries, load=load, legend_entry=legends[0] if legends else None
    )


def _find_samples(path: Path, entries: Sequence[str]) -> dict[str, str]:
    """Map `<class>/<file>` to the entry that holds it."""
    files = {PurePosixPath(entry): entry for entry in entries if not entry.endswith("/")}
    paths = [path for path in files if not _is_hidden(path)]
    images = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and len(p.parts) > 1]
    if not images:
        raise DatasetError(
            f"{path} holds no class folders with images "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}): expected <class>/<image>"
        )
    folders = {p.parent for p in images}
    empty = _empty_class_folders(entries, folders)
    if empty:
        raise DatasetError(
            f"class folder {empty[0]} in {path} has no images: add some or remove the folder"
        )
    samples = {f"{p.parent.name}/{p.name}": files[p] for p in images}
    if len(samples) < len(images) or len({f.name for f in folders}) < len(folders):
        raise DatasetError(
            f"{path} holds two folders of one class name: give one folder with one folder a class"
        )
    return samples


def _empty_class_folders(entries: Sequence[str], folders: set[PurePosixPath]) -> list[str]:
    """Folders that stand beside class folders and have no images themselves."""
    parents = {folder.parent for folder in folders}
    listed = (PurePosixPath(entry) for entry in entries if entry.endswith("/"))
    return sorted(
        p.name
        for p in listed
        if p.parent in parents and p not in folders | parents and not _is_hidden(p)
    )


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
