"""Land-cover maps as cloud-optimised GeoTIFF: one pixel a cell, all bands uint8.

Band 1 is the class, band 2 the confidence in percent, for people and other programs.
Band 3 is the likeliest class, band 4 the valid share, then come the class probabilities, both
in 1/250, and last why a cell is masked, so that the map can be read back. 255 is nodata in all
bands.

What a TIFF of many bands cannot hold stands beside it: names, colours and attribute table in
`.aux.xml`, which GDAL reads, and the style in `.qml`, which QGIS reads.
"""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geoclass.errors import OutputError
from geoclass.landcover import LandCoverMap
from geoclass.legend import NODATA, STATUS_STYLES, Legend
from geoclass.products.cog import Band, write_cog
from geoclass.products.document import describe_map, parse_document, summarise_map
from geoclass.products.formats import FileSettings
from geoclass.products.qml import format_qml
from geoclass.products.styles import list_codes, raster_styles

COMPANIONS = (".aux.xml", ".qml")

LAST_BAND = "mask_reason"
FIRST_BANDS = {
    "class": True,
    "confidence_percent": False,
    "best_class": True,
    "valid_share_per_250": False,
}
"""Name → whether it holds codes."""


def write_geotiff(landcover: LandCoverMap, path: Path, settings: FileSettings) -> None:
    """Write a new GeoTIFF and its two companions; OSError or RasterioError if that fails."""
    tags = {
        **describe_map(landcover, settings),
        "TIFFTAG_IMAGEDESCRIPTION": summarise_map(landcover),
        "TIFFTAG_COPYRIGHT": landcover.provenance.attribution,
        "TIFFTAG_SOFTWARE": f"geoclass {landcover.provenance.version}",
    }
    write_cog(path, _list_bands(landcover), landcover.grid, tags, dict(settings.creation))
    companion(path, ".aux.xml").write_text(_auxiliary(landcover), encoding="utf-8")
    style = raster_styles(landcover.legend)["Class"]
    companion(path, ".qml").write_text(format_qml(style), encoding="utf-8")


def companion(path: Path, suffix: str) -> Path:
    """The file beside a GeoTIFF: GDAL adds to the name, QGIS replaces its suffix."""
    return path.with_suffix(suffix) if suffix == ".qml" else path.with_name(path.name + suffix)


def name_bands(legend: Legend) -> dict[str, bool]:
    """All bands in order: name → whether it holds codes."""
    probabilities = {f"p_{name}_per_250": False for name in legend.names}
    return {**FIRST_BANDS, **probabilities, LAST_BAND: True}


def read_geotiff(path: Path) -> LandCoverMap:
    """The map that `write_geotiff` wrote; OutputError for any other file."""
    document = parse_document(str(path), read_items(path))
    with _open(path) as file:
        bands = file.read()
    # Maps of schema version 1 end with the probabilities.
    after = 4 + len(document.contract.legend)
    arrays = {
        "class_id": bands[0],
        "best_class": bands[2],
        "valid_share": bands[3],
        "probabilities": np.ascontiguousarray(bands[4:after].transpose(1, 2, 0)),
        "mask_reason": bands[after] if len(bands) > after else np.zeros_like(bands[0]),
    }
    return document.build([arrays])


def read_items(path: Path | str) -> dict[str, str]:
    """Metadata items of a GeoTIFF; OutputError if it cannot be opened."""
    with _open(path) as file:
        tags: dict[str, str] = file.tags()
    return tags


def _open(path: Path | str) -> rasterio.DatasetReader:
    try:
        with warnings.catch_warnings():
            # A map of ours has a georeference; other files are refused for what they lack.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioError as error:
        raise OutputError(f"cannot open {path} as a GeoTIFF: {error}") from error


def _list_bands(landcover: LandCoverMap) -> list[Band]:
    percent = np.rint(100 * landcover.confidence)
    planes = (
        landcover.class_id,
        np.where(np.isnan(percent), NODATA, percent).astype(np.uint8),
        landcover.best_class,
        landcover.valid_share,
        *landcover.probabilities.transpose(2, 0, 1),
        landcover.mask_reason,
    )
    return [
        Band(name=name, pixels=pixels, is_code=is_code)
        for (name, is_code), pixels in zip(
            name_bands(landcover.legend).items(), planes, strict=True
        )
    ]


def _auxiliary(landcover: LandCoverMap) -> str:
    """GDAL's persistent auxiliary metadata for band 1."""
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    ET.SubElement(band, "ColorInterp").text = "Palette"
    _add_colors(band, landcover.legend)
    names = ET.SubElement(band, "CategoryNames")
    titles = {entry.value: entry.label for entry in list_codes(landcover.legend)}
    for code in range(256):
        ET.SubElement(names, "Category").text = titles.get(code, "")
    _add_attributes(band, landcover)
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode")


def _add_colors(band: ET.Element, legend: Legend) -> None:
    colors = {c.class_id: c.rgb for c in legend.classes} | {s.code: s.rgb for s in STATUS_STYLES}
    table = ET.SubElement(band, "ColorTable")
    for code in range(256):
        red, green, blue = colors.get(code, (0, 0, 0))
        alpha = 255 if code in colors else 0
        ET.SubElement(table, "Entry", c1=f"{red}", c2=f"{green}", c3=f"{blue}", c4=f"{alpha}")


# GDAL's codes for a column's type and its use.
_INTEGER, _REAL, _STRING = "0", "1", "2"
_GENERIC, _PIXEL_COUNT, _NAME, _MIN_MAX, _RED, _GREEN, _BLUE = "0", "1", "2", "5", "6", "7", "8"


def _add_attributes(band: ET.Element, landcover: LandCoverMap) -> None:
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    columns = (
        ("Value", _INTEGER, _MIN_MAX),
        ("Class", _STRING, _NAME),
        ("Group", _STRING, _GENERIC),
        ("Count", _INTEGER, _PIXEL_COUNT),
        ("Area_ha", _REAL, _GENERIC),
        ("Red", _INTEGER, _RED),
        ("Green", _INTEGER, _GREEN),
        ("Blue", _INTEGER, _BLUE),
    )
    for i, (name, kind, usage) in enumerate(columns):
        field = ET.SubElement(table, "FieldDefn", index=str(i))
        ET.SubElement(field, "Name").text = name
        ET.SubElement(field, "Type").text = kind
        ET.SubElement(field, "Usage").text = usage
    colors = {e.value: e.color for e in list_codes(landcover.legend)}
    for i, area in enumerate(landcover.areas()):
        color = colors[area.class_id]
        rgb = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
        row = ET.SubElement(table, "Row", index=str(i))
        values = (area.class_id, area.title, area.group or "", area.cells, round(area.area_ha, 4))
        for value in (*values, *rgb):
            ET.SubElement(row, "F").text = str(value)
