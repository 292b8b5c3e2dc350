"""Lists of the images in a data set, made without reading them."""

import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from geoclass.errors import DatasetError
from geoclass.learn.places import PLACES_FILE
from geoclass.legend import MOST_LETTERS, STATUSES
from geoclass.outside import BAD_ZIP, find_twins, has_controls

LEGEND_FILE = "legend.json"

MAX_BYTES = 200_000_000
"""Larger files are refused: they may be made to fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileFiles:
    """Labelled images that are not yet read."""

    path: Path
    entries: Mapping[str, str]
    """From `<class>/<file>` to the entry of the zip or folder; from `<class>/<part>/<file>` if the
    data set is split by folders."""
    loose: Sequence[str]
    """Entries of images outside class folders, sorted."""
    unusable: Sequence[str]
    """A reason for each folder or image that cannot be used and may be skipped."""
    faults: Sequence[str]
    """Invalid names of classes and images, which make the whole data set unusable."""
    load: Callable[[str], bytes]
    legend_entry: str | None
    """The entry `legend.json` beside the class folders, if it exists."""
    places_entry: str | None
    """The entry `places.csv` beside the class folders, if it exists."""

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
        suffix = PurePosixPath(name).suffix
        if suffix.lower() not in IMAGE_SUFFIXES:
            raise DatasetError(
                f"image {name} is a {suffix}, expected {', '.join(sorted(IMAGE_SUFFIXES))}: "
                "convert or remove it"
            )
        try:
            return self.load(self.entries[name])
        except OSError as error:
            raise DatasetError(f"image {name} cannot be read: {error}") from error


@contextmanager
def open_tile_files(path: Path) -> Iterator[TileFiles]:
    """List the images of a zip or folder.

    A class is a folder that contains images, even of unsupported types, and no folders of images.
    `__MACOSX` and names that start with a dot are ignored. Raises DatasetError if there is no
    class, or two of one name.
    """
    if path.is_dir():
        found = [(p, p.relative_to(path).as_posix()) for p in path.rglob("*")]
        listed = [f"{name}/" if p.is_dir() else name for p, name in found]
        yield _list_samples(path, listed, partial(_load_file, path))
        return
    if not path.is_file():
        raise DatasetError(f"no data set at {path}: give a zip or a folder of class folders")
    try:
        archive = zipfile.ZipFile(path)
    except BAD_ZIP as error:
        raise DatasetError(
            f"{path} is not a zip file, or is damaged ({error}): download it again, "
            "or give a folder of class folders"
        ) from error
    # Outside of the `try`: errors of the caller are not errors of the archive.
    with archive:
        # Some programs for Windows write backslashes.
        entries = [entry.replace("\\", "/") for entry in archive.namelist()]
        infos = dict(zip(entries, archive.infolist(), strict=True))
        yield _list_samples(
            path, entries, lambda name: _load_entry(path, archive, name, infos[name])
        )


def _load_file(path: Path, name: str) -> bytes:
    status = (path / name).stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe may never end
        raise DatasetError(f"{name} in {path} is not a regular file: replace or remove it")
    _check_size(path, name, status.st_size)
    return (path / name).read_bytes()


def _load_entry(path: Path, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> bytes:
    _check_size(path, name, info.file_size)
    try:
        # An entry may contain more than its stated size.
        with archive.open(info) as file:
            return file.read(info.file_size)
    except BAD_ZIP as error:
        raise DatasetError(
            f"{name} in {path} is damaged ({error}): download the zip again"
        ) from error


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise DatasetError(
            f"{name} in {path} has {size / 1e6:.0f} MB, "
            f"expected at most {MAX_BYTES / 1e6:.0f} MB: replace or remove it"
        )


def class_of(name: str) -> str:
    """The class in `<class>/<file>`."""
    return name.partition("/")[0]


IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})

OTHER_IMAGE_SUFFIXES = frozenset({
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".ico", ".j2c", ".j2k", ".jfif",
    ".jp2", ".jpc", ".jpe", ".jpf", ".jpx", ".pbm", ".pcx", ".pgm", ".pnm", ".ppm", ".psd", ".qoi",
    ".rgb", ".sgi", ".tga", ".webp",
})  # fmt: skip
"""Images of unsupported types, which must not be ignored silently."""


def _list_samples(path: Path, entries: Sequence[str], load: Callable[[str], bytes]) -> TileFiles:
    """Find the class folders among all entries of a zip or folder; folders end with a slash."""
    files = {PurePosixPath(entry): entry for entry in entries if not entry.endswith("/")}
    suffixes = IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES
    pictures = [p for p in files if p.suffix.lower() in suffixes]
    outside = {p for p in pictures if p.is_absolute() or ".." in p.parts}
    every = [p for p in pictures if p not in outside and not _is_hidden(p)]
    folders, mixed = _part_folders({p.parent for p in every})
    images = [p for p in every if p.parent in folders]
    if not images:
        raise DatasetError(
            f"{path} has no class folders with images "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}): expected <class>/<image>"
        )
    parts = _find_parts(folders)
    samples = {f"{p.parent.name}/{parts[p.parent]}{p.name}": files[p] for p in images}
    if len({(f.name, parts[f]) for f in folders}) < len(folders):
        raise DatasetError(
            f"{path} has two folders of one class name: give one folder with a folder per class, "
            "or the folders train, val and test with a folder per class each"
        )
    unusable = [
        f"folder {folder} in {path} contains images and folders of images "
        f"({sum(folder in p.parents for p in every)} images in total) and is beside a class "
        "folder: move its images, or its folders, elsewhere"
        for folder in sorted(mixed)
    ]
    unusable += [
        f"image {files[p]} would be unpacked outside {path}: remove it, or move it into a class "
        "folder"
        for p in sorted(outside)
    ]
    unusable += [
        f"class folder {name} in {path} has no images: add some or remove the folder"
        for name in _empty_class_folders(entries, folders | mixed)
    ]
    beside = (p for p in every if p.parent not in folders and mixed.isdisjoint(p.parents))
    names = sorted({folder.name for folder in folders})
    above = images[0].parent.parent
    above = above.parent if parts[images[0].parent] else above
    return TileFiles(
        path=path,
        entries=samples,
        loose=sorted(files[p] for p in beside),
        unusable=unusable,
        faults=[
            *(
                f"the name of class folder {name} in {path} is reserved, too long, not UTF-8 or "
                "has control characters: rename it"
                for name in names
                if name.casefold() in STATUSES
                or len(name) > MOST_LETTERS
                or has_controls(name)
                or name != name.encode(errors="ignore").decode()
            ),
            *(
                f"{path} has {entry} {times} times: remove all but one"
                for entry, times in Counter(entries).items()
                if times > 1 and not entry.endswith("/")
            ),
            *(
                f"{path} has {one} and {other}, which differ only in case: rename one"
                for one, other in (*find_twins(names), *find_twins(samples))
            ),
        ],
        load=load,
        legend_entry=files.get(above / LEGEND_FILE),
        places_entry=files.get(above / PLACES_FILE),
    )


def _part_folders(
    filled: set[PurePosixPath],
) -> tuple[set[PurePosixPath], set[PurePosixPath]]:
    """Divide the folders that contain images into class folders and ambiguous ones.

    Class folders contain no other folders. Ambiguous ones do, but are beside class folders.
    """
    above = {parent for folder in filled for parent in folder.parents}
    folders = {folder for folder in filled - above if folder.name}
    parents = {folder.parent for folder in folders}
    mixed = {f for f in filled & above if f.name and f.parent in parents}
    # Folders in an ambiguous one are skipped with it.
    return (
        {folder for folder in folders if mixed.isdisjoint(folder.parents)},
        {folder for folder in mixed if mixed.isdisjoint(folder.parents)},
    )


PART_FOLDERS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "validation", "valid": "validation", "validation": "validation",
}  # fmt: skip
"""From names of folders with class folders to parts of a split."""


def _find_parts(folders: set[PurePosixPath]) -> dict[PurePosixPath, str]:
    """From class folders to `train/`, `validation/` or `test/`; to "" unless all are in these."""
    parts = {folder: PART_FOLDERS.get(folder.parent.name.lower(), "") for folder in folders}
    is_split = all(parts.values()) and len(set(parts.values())) > 1
    beside = len({folder.parent.parent for folder in folders}) == 1
    return {f: f"{part}/" if is_split and beside else "" for f, part in parts.items()}


def _empty_class_folders(entries: Sequence[str], folders: set[PurePosixPath]) -> list[str]:
    """Names of folders without images beside class folders."""
    parents = {folder.parent for folder in folders}
    listed = (PurePosixPath(entry) for entry in entries if entry.endswith("/"))
    return sorted(
        p.name
        for p in listed
        if p.parent in parents and p not in folders | parents and not _is_hidden(p)
    )


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
