"""Scenes of one file per band: found in folders, and stacked to one raster."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.ElementTree import fromstring
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from geoclass.errors import SceneError
from geoclass.scene.open.gdal import open_dataset, read_within_time

_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img")
_BANDS = {"red": "red", "b04": "red", "b4": "red", "green": "green", "b03": "green", "b3": "green",
          "blue": "blue", "b02": "blue", "b2": "blue", "scl": "scl", "b1": "violet"}  # fmt: skip
_TOKEN = re.compile(
    rf"(?<![a-z0-9])({'|'.join(_BANDS)})(?:_([126]0)m)?(?![a-z0-9])(?![ _.-]?edge)", re.IGNORECASE
)
_NO_REFLECTANCE = re.compile(
    r"(?<![a-z])(ma?sk|unc(ertainty)?|std(dev)?|var(iance)?|count|preview)(?![a-z])", re.IGNORECASE
)
"""Files about a band without its reflectance."""
_OF_SENTINEL_2 = re.compile(r"(?<![a-z0-9])b(0\d|1\d|8a?|9)(?![a-z0-9])|(?<![a-z])scl(?![a-z])")
"""Names of bands that only Sentinel-2 has."""
COLORS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFiles:
    """The files of one scene."""

    name: str
    """Common part of the file names, or the name of the folder."""
    files: dict[str, Path]
    """Of red, green and blue, and of `scl` if there is one."""

    @property
    def scene(self) -> str:
        """The scene as red=FILE,green=FILE,blue=FILE."""
        return ",".join(f"{color}={self.files[color]}" for color in COLORS)


def find_band_files(folder: Path) -> list[BandFiles]:
    """Scenes whose red, green and blue files differ only in the name of the band.

    The finest of several pixel sizes is used. Other bands and previews are ignored, and so are
    bands named only B1 to B4, because B4 of other sensors is near infrared.
    """
    found: dict[str, dict[str, tuple[str, Path]]] = defaultdict(dict)
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES]
    for path in files:
        tokens = _TOKEN.findall(path.stem)
        named = {_BANDS[band.lower()] for band, _ in tokens}
        if len(named) != 1 or _NO_REFLECTANCE.search(path.stem) or not path.is_file():
            continue
        bands, band = found[_TOKEN.sub("", path.stem).strip("_.- ()")], named.pop()
        one = (max(gsd for _, gsd in tokens) or "10", path)
        bands[band] = min(bands.get(band, one), one)
    is_sentinel_2 = any(_OF_SENTINEL_2.search(path.stem.lower()) for path in files)
    return [
        BandFiles(
            name=scene or folder.name,
            files={band: bands[band][1] for band in (*COLORS, "scl") if band in bands},
        )
        for scene, bands in sorted(found.items())
        if set(COLORS) <= set(bands) and (is_sentinel_2 or "violet" not in bands)
    ]


_NAMES = ("B04", "B03", "B02")
_OF_ALL = ("SRS", "GeoTransform", "GCPList", "Metadata", "VRTRasterBand", "MaskBand")
_OF_BAND = ("NoDataValue", "Offset", "Scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFile:
    """The file of a band."""

    dataset: str
    """The name that GDAL opens."""
    shown: str
    """Its name in messages."""


def stack_bands(files: Sequence[BandFile]) -> str:
    """A VRT with the bands of three files as red, green and blue.

    Raises SceneError if a file cannot be read, has several bands, or differs from the first in
    size, location or type.
    """
    (stack, form), *others = map(_describe, files, range(1, 4))
    for file, (other, other_form) in zip(files[1:], others, strict=True):
        if other_form != form:
            raise SceneError(
                f"{file.shown} ({other_form[0]}) does not lie on the pixels of {files[0].shown} "
                f"({form[0]}): give three bands of one size, place and type"
            )
        stack.extend(other.iterfind("VRTRasterBand"))
    return tostring(stack, encoding="unicode")


def _describe(file: BandFile, number: int) -> tuple[Element, tuple[object, ...]]:
    """A VRT of a file as band `number` of three, and what must be equal in all files."""
    color = COLORS[number - 1]
    with open_dataset(file.dataset, file.shown) as dataset, MemoryFile(ext=".vrt") as memory:
        if dataset.count != 1:
            raise SceneError(
                f"{file.shown} has {dataset.count} bands, expected one, {color}: "
                "give that band as a separate file"
            )
        read_within_time(file.dataset, lambda: copy(dataset, memory.name, driver="VRT"))
        vrt: Element = fromstring(memory.read())
        x, y = dataset.transform.c, dataset.transform.f
        shape = f"{dataset.width}×{dataset.height} {dataset.dtypes[0]} at {x:.10g}, {y:.10g}"
        form = (shape, dataset.transform, dataset.crs)
    # If the file is a VRT, GDAL has copied its sources, which are replaced by the file itself.
    band, mask = vrt.find("VRTRasterBand"), vrt.find("MaskBand/VRTRasterBand")
    assert band is not None
    for element, kept in ((vrt, _OF_ALL), (band, _OF_BAND), (mask, ())):
        if element is not None:
            element.attrib.pop("subClass", None)
            for child in [child for child in element if child.tag not in kept]:
                element.remove(child)
    band.set("band", str(number))
    SubElement(band, "Description").text = _NAMES[number - 1]
    SubElement(band, "ColorInterp").text = color.title()
    for element, which in ((band, "1"), (mask, "mask,1")):
        if element is not None:
            source = SubElement(element, "SimpleSource")
            SubElement(source, "SourceFilename", relativeToVRT="0").text = file.dataset
            SubElement(source, "SourceBand").text = which
    return vrt, form
