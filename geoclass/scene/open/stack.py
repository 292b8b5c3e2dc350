"""Three files of one band each as one raster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.ElementTree import fromstring
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from geoclass.errors import SceneError
from geoclass.scene.open.gdal import open_dataset, read_within_time

_COLORS = ("Red", "Green", "Blue")
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
    color = _COLORS[number - 1]
    with open_dataset(file.dataset, file.shown) as dataset, MemoryFile(ext=".vrt") as memory:
        if dataset.count != 1:
            raise SceneError(
                f"{file.shown} has {dataset.count} bands, expected one, {color.lower()}: "
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
    SubElement(band, "ColorInterp").text = color
    for element, which in ((band, "1"), (mask, "mask,1")):
        if element is not None:
            source = SubElement(element, "SimpleSource")
            SubElement(source, "SourceFilename", relativeToVRT="0").text = file.dataset
            SubElement(source, "SourceBand").text = which
    return vrt, form
