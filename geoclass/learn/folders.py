"""Which folders of a data set are classes, told by the paths of its files alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from geoclass.errors import DatasetError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})

OTHER_IMAGE_SUFFIXES = frozenset({
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".ico", ".j2c", ".j2k", ".jfif",
    ".jp2", ".jpc", ".jpe", ".jpf", ".jpx", ".pbm", ".pcx", ".pgm", ".pnm", ".ppm", ".psd", ".qoi",
    ".rgb", ".sgi", ".tga", ".webp",
})  # fmt: skip
"""Of pictures that are not read: passing over them would make a data set smaller silently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFolders:
    """Images by their class, and what is wrong with the others."""

    entries: dict[str, str]
    """From `<class>/<file>` to the entry of the zip or folder that holds it."""
    loose: list[str]
    """Entries of images that stand beside class folders, in none themselves; sorted."""
    left_out: list[str]
    """What is wrong with each folder beside those of classes that cannot be one."""
    faults: list[str]
    """What is wrong with names of classes and images, which nothing can be trained with."""


def find_class_folders(path: Path, entries: Sequence[str]) -> ClassFolders:
    """Find the class folders among all entries of a zip or folder; folders end with a slash.

    Raises DatasetError where there is none, or where two have one name.
    """
    files = {PurePosixPath(entry): entry for entry in entries if not entry.endswith("/")}
    suffixes = IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES
    pictures = [p for p in files if p.suffix.lower() in suffixes]
    astray = {p for p in pictures if _leads_out(p)}
    every = [p for p in pictures if p not in astray and not _is_hidden(p)]
    folders, mixed = _part_folders({p.parent for p in every})
    images = [p for p in every if p.parent in folders]
    if not images:
        raise DatasetError(
            f"{path} holds no class folders with images "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}): expected <class>/<image>"
        )
    samples = {f"{p.parent.name}/{p.name}": files[p] for p in images}
    if len(samples) < len(images) or len({f.name for f in folders}) < len(folders):
        raise DatasetError(
            f"{path} holds two folders of one class name: give one folder with one folder a class"
        )
    left_out = [
        f"folder {folder} in {path} holds images and folders of images "
        f"({sum(folder in p.parents for p in every)} images in all), but stands "
        "beside a class folder: move its images, or its folders, elsewhere"
        for folder in sorted(mixed)
    ]
    left_out += [
        f"image {files[p]} would stand outside {path}: remove it, or put it into a class folder"
        for p in sorted(astray)
    ]
    left_out += [
        f"class folder {name} in {path} has no images: add some or remove the folder"
        for name in _empty_class_folders(entries, folders | mixed)
    ]
    beside = (p for p in every if p.parent not in folders and mixed.isdisjoint(p.parents))
    names = sorted(folder.name for folder in folders)
    return ClassFolders(
        entries=samples,
        loose=sorted(files[p] for p in beside),
        left_out=left_out,
        faults=[
            *(
                # It would be a class's name, which maps, models and legends hold.
                f"the name of class folder {name} in {path} is not UTF-8: rename it"
                for name in names
                if not _is_utf8(name)
            ),
            *(
                f"{path} holds {entry} {times} times: remove all but one"
                for entry, times in Counter(entries).items()
                if times > 1 and not entry.endswith("/")
            ),
            *_find_twins(path, names),
            *_find_twins(path, samples),
        ],
    )


def _part_folders(
    filled: set[PurePosixPath],
) -> tuple[set[PurePosixPath], set[PurePosixPath]]:
    """Of the folders with images in them, those of a class, and those that nobody should guess.

    The former hold no other, and have a name; the latter hold others, but stand beside the former
    and may be meant to be such.
    """
    above = {parent for folder in filled for parent in folder.parents}
    folders = {folder for folder in filled - above if folder.name}
    parents = {folder.parent for folder in folders}
    mixed = {f for f in filled & above if f.name and f.parent in parents}
    # What lies in one that is left out is left out with it.
    return (
        {folder for folder in folders if mixed.isdisjoint(folder.parents)},
        {folder for folder in mixed if mixed.isdisjoint(folder.parents)},
    )


def _find_twins(path: Path, names: Iterable[str]) -> Iterator[str]:
    """Say which names are one and the same on Windows and macOS."""
    first: dict[str, str] = {}
    for name in sorted(names):
        other = first.setdefault(name.casefold(), name)
        if other != name:
            yield f"{path} holds {other} and {name}, which differ only in case: rename one"


def _empty_class_folders(entries: Sequence[str], folders: set[PurePosixPath]) -> list[str]:
    """Folders that stand beside class folders and have no images themselves."""
    parents = {folder.parent for folder in folders}
    listed = (PurePosixPath(entry) for entry in entries if entry.endswith("/"))
    return sorted(
        p.name
        for p in listed
        if p.parent in parents and p not in folders | parents and not _is_hidden(p)
    )


def _leads_out(path: PurePosixPath) -> bool:
    """Whether an entry of a zip would be written outside of where it is unpacked."""
    return path.is_absolute() or ".." in path.parts


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _is_utf8(name: str) -> bool:
    return name == name.encode(errors="ignore").decode()
