"""Three files of one band as one raster of three: a GDAL VRT that is never written to disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.dtypes import dtype_rev, typename_fwd
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader

from geoclass.errors import SceneError
from geoclass.scene.dataset import open_dataset

COLORS = ("Red", "Green", "Blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFile:
    """One of the three."""

    dataset: str
    """The name under which GDAL opens it."""
    shown: str
    """What messages call it."""
    description: str
    """The band's name, such as `B04`."""


def stack_bands(files: Sequence[BandFile]) -> str:
    """A VRT with the bands of three files, in their order, named and coloured.

    Raises SceneError where a file cannot be read, has several bands, or does not lie on the
    pixels of the first.
    """
    root: ET.Element | None = None
    first: _Shape | None = None
    for number, file in enumerate(files, start=1):
        with open_dataset(file.dataset, file.shown) as dataset:
            if dataset.count != 1:
                raise SceneError(
                    f"{file.shown} has {dataset.count} bands, expected one, "
                    f"{COLORS[number - 1].lower()}: give that band as a file of its own"
                )
            shape = _Shape.of(dataset)
            if root is None or first is None:
                root, first = _start(dataset), shape
            elif shape != first:
                raise SceneError(
                    f"{file.shown} ({shape}) does not lie on the pixels of {files[0].shown} "
                    f"({first}): give three bands of one size, place and type"
                )
            root.append(_describe_band(dataset, file, number))
            if number == len(files) and dataset.mask_flag_enums[0] == [MaskFlags.per_dataset]:
                root.append(_describe_mask(dataset, file))
    assert root is not None
    return ET.tostring(root, encoding="unicode")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What has to be the same in all three."""

    width: int
    height: int
    transform: Affine
    crs: str | None
    dtype: str

    @classmethod
    def of(cls, dataset: DatasetReader) -> _Shape:
        return cls(
            width=dataset.width,
            height=dataset.height,
            transform=dataset.transform,
            crs=dataset.crs.to_wkt() if dataset.crs else None,
            dtype=dataset.dtypes[0],
        )

    def __str__(self) -> str:
        x, y = self.transform.c, self.transform.f
        return f"{self.width}×{self.height} {self.dtype} at {x:.10g}, {y:.10g}"


def _start(dataset: DatasetReader) -> ET.Element:
    size = {"rasterXSize": str(dataset.width), "rasterYSize": str(dataset.height)}
    root = ET.Element("VRTDataset", size)
    if dataset.crs:
        _add(root, "SRS", dataset.crs.to_wkt(), dataAxisToSRSAxisMapping="1,2")
    if not dataset.transform.is_identity:
        _add(root, "GeoTransform", ", ".join(map(repr, map(float, dataset.transform.to_gdal()))))
    points, crs = dataset.gcps
    if points:
        projection = crs.to_wkt() if crs else ""
        parent = _add(root, "GCPList", None, Projection=projection, dataAxisToSRSAxisMapping="1,2")
        for i, point in enumerate(points):
            _add_point(parent, str(i), point)
    for domain in ({}, {"domain": "RPC"}):
        metadata = _add(root, "Metadata", None, **domain)
        for key, value in dataset.tags(ns=domain.get("domain")).items():
            _add(metadata, "MDI", value, key=key)
    rows, columns = dataset.block_shapes[0]
    _add(root, "BlockXSize", str(columns))
    _add(root, "BlockYSize", str(rows))
    return root


def _add_point(parent: ET.Element, name: str, point: GroundControlPoint) -> None:
    values = {"Pixel": point.col, "Line": point.row, "X": point.x, "Y": point.y, "Z": point.z or 0}
    _add(parent, "GCP", None, Id=name, **{key: repr(float(v)) for key, v in values.items()})


def _describe_band(dataset: DatasetReader, file: BandFile, number: int) -> ET.Element:
    rows, columns = dataset.block_shapes[0]
    band = ET.Element(
        "VRTRasterBand",
        dataType=typename_fwd[dtype_rev[dataset.dtypes[0]]],
        band=str(number),
        blockXSize=str(columns),
        blockYSize=str(rows),
    )
    _add(band, "Description", file.description)
    if dataset.nodata is not None:
        _add(band, "NoDataValue", repr(dataset.nodata))
    _add(band, "ColorInterp", COLORS[number - 1])
    if (dataset.scales[0], dataset.offsets[0]) != (1, 0):
        _add(band, "Offset", repr(dataset.offsets[0]))
        _add(band, "Scale", repr(dataset.scales[0]))
    band.append(_describe_source(dataset, file, "1"))
    return band


def _describe_mask(dataset: DatasetReader, file: BandFile) -> ET.Element:
    mask = ET.Element("MaskBand")
    band = ET.SubElement(mask, "VRTRasterBand", dataType="Byte")
    band.append(_describe_source(dataset, file, "mask,1"))
    return mask


def _describe_source(dataset: DatasetReader, file: BandFile, band: str) -> ET.Element:
    source = ET.Element("SimpleSource")
    _add(source, "SourceFilename", file.dataset, relativeToVRT="0")
    _add(source, "SourceBand", band)
    whole = {"xOff": "0", "yOff": "0", "xSize": str(dataset.width), "ySize": str(dataset.height)}
    _add(source, "SrcRect", None, **whole)
    _add(source, "DstRect", None, **whole)
    return source


def _add(parent: ET.Element, tag: str, text: str | None, **attributes: Any) -> ET.Element:
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child
