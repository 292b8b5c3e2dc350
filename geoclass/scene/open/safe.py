"""Sentinel-2 products of ESA: a `.SAFE` folder or its zip, L1C or L2A, old or new names."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from geoclass.dates import parse_day
from geoclass.errors import SceneError
from geoclass.outside import BAD_ZIP, read_file
from geoclass.scene.open.facts import (
    SceneFacts,
    SceneInput,
    check_baseline,
    describe_scaling,
    make_triple,
)
from geoclass.scene.open.stack import BandFile, stack_bands

BANDS = {"B04": "3", "B03": "2", "B02": "1"}
"""Red, green, blue → `band_id` in the metadata."""

MOST_METADATA_BYTES = 20_000_000
"""Real files have about 50 kB."""

_METADATA_NAME = re.compile(r"(MTD_MSI\w+|S2[A-D]_\w{4}_MTD_SAFL\w+)\.xml")
_IMAGE_TAGS = {"IMAGE_FILE", "IMAGE_FILE_2A", "IMAGE_ID", "IMAGE_ID_2A"}
_IMAGE_SUFFIXES = {".jp2", ".tif"}
_LEVELS = {"Level-1C": "Level-1C", "Level-2A": "Level-2A", "Level-2Ap": "Level-2A"}
_TILE = re.compile(r"_T(\d{2}[A-Z]{3})(?=_|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFiles:
    """Files of a product in a folder or a zip, with POSIX names."""

    shown: str
    name: str
    root: Path
    """Absolute path of the folder or zip."""
    metadata: str
    """Name of the metadata file."""
    names: tuple[str, ...]
    """All files of the product."""
    prefix: str = ""
    """Folder of the product in the zip, with a slash."""
    granule: str | None = None
    """Folder of the requested tile."""

    def gdal_name(self, name: str) -> str:
        """The name with which GDAL opens a file."""
        if self.root.is_dir():
            return str(self.root / name)
        return f"/vsizip/{{{self.root}}}/{self.prefix}{name}"

    def local(self, name: str) -> Path:
        """The path of a file, or of the zip."""
        return self.root / name if self.root.is_dir() else self.root

    def read(self, name: str) -> bytes:
        """The first bytes of a file, at most MOST_METADATA_BYTES + 1."""
        if self.root.is_dir():
            return read_file(self.root / name, MOST_METADATA_BYTES)
        with zipfile.ZipFile(self.root) as archive, archive.open(self.prefix + name) as member:
            return member.read(MOST_METADATA_BYTES + 1)


def find_in_folder(path: Path) -> ProductFiles | None:
    """The product of a folder, of one of its granules or of its metadata file."""
    root, granule = path, None
    if path.is_file():
        root = path.parent
    elif path.parent.name == "GRANULE":
        root, granule = path.parent.parent, f"GRANULE/{path.name}/"
    found = [file.name for file in sorted(root.iterdir()) if _METADATA_NAME.fullmatch(file.name)]
    if not found or (path.is_file() and path.name not in (*found, "manifest.safe")):
        return None
    names = tuple(file.relative_to(root).as_posix() for file in sorted(root.rglob("*")))
    top = root.absolute()
    return ProductFiles(
        shown=str(path), name=top.name, root=top, metadata=found[0], names=names, granule=granule
    )


def find_in_zip(path: Path) -> ProductFiles | None:
    """The product in a zip, if there is one; SceneError for several, or a damaged zip."""
    names = list_zip(path)
    metadata = [name for name in names if _METADATA_NAME.fullmatch(PurePosixPath(name).name)]
    depth = min((name.count("/") for name in metadata), default=0)
    metadata = [name for name in metadata if name.count("/") == depth]
    if not metadata:
        return None
    if len(metadata) > 1:
        raise SceneError(
            f"{path} has {len(metadata)} products ({', '.join(metadata[:3])} …): "
            "unpack it and give one of their folders"
        )
    root = str(PurePosixPath(metadata[0]).parent)
    prefix = "" if root == "." else f"{root}/"
    return ProductFiles(
        shown=str(path),
        name=PurePosixPath(root).name if prefix else path.stem,
        root=path.absolute(),
        metadata=metadata[0].removeprefix(prefix),
        names=tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix)),
        prefix=prefix,
    )


def check_member(path: Path, name: str) -> None:
    """SceneError for a zip in which the checksum of a file is wrong.

    GDAL reads parts of files and does not check: one wrong bit changes a quarter of a JPEG 2000.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            while file.read(CHUNK):
                pass
    except (OSError, KeyError, ValueError, *BAD_ZIP) as error:
        raise SceneError(f"{path} is damaged ({error}): fetch it again") from error


CHUNK = 1 << 20


def list_zip(path: Path) -> list[str]:
    """Names of all files in a zip; SceneError if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise SceneError(f"{path} is not a whole zip ({error}): fetch it again") from error


def read_product(files: ProductFiles) -> SceneInput:
    """Red, green and blue at 10 m and the facts of a product, by its metadata.

    Raises SceneError for invalid metadata, a level without map projection, several tiles, and
    missing bands.
    """
    root = _parse(files)
    told = _text(root, "PROCESSING_LEVEL") or "no level"
    level = _LEVELS.get(told)
    if level is None:
        raise SceneError(
            f"{files.shown} is a product of {told}, expected Level-1C or Level-2A: "
            "only these have a map projection"
        )
    images = _choose_granule(files, root)
    names = {band: _find_band(files, images, band) for band in BANDS}
    scl = _find_scl(files, images)
    facts = SceneFacts(
        level=level,
        baseline=check_baseline(files.shown, _text(root, "PROCESSING_BASELINE")),
        date=parse_day(_text(root, "DATATAKE_SENSING_START") or _text(root, "PRODUCT_START_TIME")),
        platform=_text(root, "SPACECRAFT_NAME"),
        scl=files.gdal_name(scl) if scl else None,
    )
    bands = [
        BandFile(dataset=files.gdal_name(name), shown=f"{band} of {files.shown} ({name})")
        for band, name in names.items()
    ]
    used = (files.metadata, *names.values(), *([scl] if scl else []))
    return SceneInput(
        dataset=stack_bands(bands),
        shown=files.shown,
        name=files.name,
        kind="safe",
        files=tuple(dict.fromkeys(map(files.local, used))),
        facts=_find_scaling(files, root).over(facts),
    )


def _parse(files: ProductFiles) -> Element:
    try:
        text = files.read(files.metadata)
        if len(text) > MOST_METADATA_BYTES:
            raise SceneError(
                f"{files.metadata} of {files.shown} has more than 20 MB, which no metadata have"
            )
        root: Element = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, OSError, ValueError, *BAD_ZIP) as error:
        raise SceneError(
            f"{files.metadata} of {files.shown} is not the metadata of a product "
            f"({type(error).__name__}: {error}): fetch the product again"
        ) from error
    return root


def _choose_granule(files: ProductFiles, root: Element) -> list[str]:
    """The names of the images of the requested or only tile, without suffix."""
    granules: dict[str, list[str]] = {}
    for element in _elements(root, "Granule", "Granules"):
        images = [c.text.strip() for c in element if c.tag in _IMAGE_TAGS and c.text]
        granules.setdefault(element.get("granuleIdentifier", ""), []).extend(images)
    asked = [
        images
        for images in granules.values()
        if files.granule is None
        or any((_locate(files, image) or "").startswith(files.granule) for image in images)
    ]
    if len(asked) == 1:
        return asked[0]
    tiles = sorted({found[1] for found in map(_TILE.search, granules) if found})
    raise SceneError(
        f"{files.shown} has {len(asked)} tiles ({', '.join(tiles[:8]) or 'none named'}), "
        "expected one: give the folder of one tile, PRODUCT.SAFE/GRANULE/…"
    )


def _locate(files: ProductFiles, image: str) -> str | None:
    """The file of an image, which the metadata name with or without its folder."""
    stem = PurePosixPath(image).name
    found = [
        name
        for name in files.names
        if PurePosixPath(name).stem == stem
        and PurePosixPath(name).suffix.lower() in _IMAGE_SUFFIXES
    ]
    return min(found, key=lambda name: not name.startswith(image), default=None)


def _find_band(files: ProductFiles, images: Sequence[str], band: str) -> str:
    named = [image for image in images if re.search(rf"_{band}(_\d0m)?$", image)]
    fine = [image for image in named if not image.endswith(("_20m", "_60m"))]
    if not fine:
        also = f" (only {', '.join(sorted(i[-3:] for i in named))})" if named else ""
        raise SceneError(
            f"the metadata of {files.shown} do not name {band} at 10 m{also}: "
            "give a product with 10 m bands"
        )
    name = _locate(files, fine[0])
    if name is None:
        raise SceneError(
            f"{files.shown} lacks the file of {band}, {PurePosixPath(fine[0]).name}.jp2: "
            "fetch the product again"
        )
    return name


def _find_scl(files: ProductFiles, images: Sequence[str]) -> str | None:
    """The finest scene classification, if there is one."""
    named = (image for image in images if "_SCL_" in image)
    found = sorted(named, key=lambda image: (re.findall(r"(\d0)m$", image), image))
    return next(filter(None, (_locate(files, image) for image in found)), None)


def _find_scaling(files: ProductFiles, root: Element) -> SceneFacts:
    """Offsets of the three bands, and scales if the quantification is not 10000."""
    texts = {
        element.get("band_id", ""): element.text
        for element in _elements(root, "RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")
    }
    quantification = (
        _text(root, "QUANTIFICATION_VALUE") or _text(root, "BOA_QUANTIFICATION_VALUE") or "10000"
    )
    try:
        scale = 1 / float(quantification)
        found = [float(texts[i] or "") if texts else 0.0 for i in BANDS.values()]
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise SceneError(
            f"{files.metadata} of {files.shown} has offsets {texts} and quantification "
            f"{quantification!r}, expected numbers: fetch the product again"
        ) from error
    if not texts and scale == 1e-4:
        return SceneFacts()
    return describe_scaling((scale,) * 3, make_triple(offset * scale for offset in found))


def _elements(root: Element, *names: str) -> Iterator[Element]:
    return (element for element in root.iter() if element.tag in names)


def _text(root: Element, name: str) -> str | None:
    return (root.findtext(f".//{name}") or "").strip() or None
