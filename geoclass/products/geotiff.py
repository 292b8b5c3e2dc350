"""Land-cover maps as cloud-optimised GeoTIFF: one pixel per smallest cell, all bands uint8.

Bands: 1 class; 2 confidence in percent; with a detail, 3 and 4 the same of the tile; top-1 class;
valid fraction and class probabilities in 1/250; colours of cells smaller than a tile; mask reason.
255 is nodata in all bands. The full data of tiles are a metadata item, because bands would take
longer to write.

Beside the file, `.aux.xml` has names, colours and the attribute table for GDAL, and `.qml` has the
style for QGIS: a TIFF of many bands cannot store them.
"""

import base64
import math
import warnings
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geoclass.errors import OutputError
from geoclass.files.writing import drafted
from geoclass.grid import Grid
from geoclass.landcover import COLORS, FULL_SCALE, LandCoverMap
from geoclass.legend import NODATA
from geoclass.products.blobs import deflate, inflate
from geoclass.products.document import PLANES, Document, describe_map, parse_document, summarise_map
from geoclass.products.formats import FileSettings
from geoclass.products.styles import format_qml, raster_styles

DEFAULTS = {
    "COMPRESS": "DEFLATE", "LEVEL": "1", "PREDICTOR": "NO", "BIGTIFF": "IF_SAFER",
    "NUM_THREADS": "ALL_CPUS",
    # Averaging would invent classes.
    "OVERVIEW_RESAMPLING": "MODE",
}  # fmt: skip


def write_cog(
    path: Path,
    bands: Mapping[str, np.ndarray],
    grid: Grid,
    tags: Mapping[str, str],
    options: Mapping[str, str],
) -> None:
    """Write a new file with one pixel per cell; OSError or RasterioError if that fails.

    `bands` are uint8 (rows, cols) by name, `options` creation options that override `DEFAULTS`.
    """
    profile = {"driver": "COG", "count": len(bands), "dtype": "uint8", "nodata": NODATA}
    try:
        with rasterio.open(path, "w", **{**_place(grid), **profile, **DEFAULTS, **options}) as file:
            file.update_tags(**tags)
            for number, (name, pixels) in enumerate(bands.items(), start=1):
                file.write(pixels, number)
                file.set_band_description(number, name)
    except CPLE_BaseError as error:
        raise OSError(f"{error}; is the disk full?") from error
    # On a full disk GDAL fails silently when it closes the file.
    with rasterio.open(path) as file:
        for _, window in file.block_windows(1):
            rows, cols = window.toslices()
            expected = np.stack([pixels[rows, cols] for pixels in bands.values()])
            if not np.array_equal(file.read(window=window), expected):
                raise OSError("the written file is damaged; is the disk full?")


COMPANIONS = (".aux.xml", ".qml")

TILES = "GEOCLASS_TILES"
"""Metadata item with the tiles of a map that has a detail."""


def write_geotiff(landcover: LandCoverMap, path: Path, settings: FileSettings) -> None:
    """Write a new GeoTIFF with its companions; OSError or RasterioError if that fails."""
    tags = {
        **describe_map(landcover, settings),
        "TIFFTAG_IMAGEDESCRIPTION": summarise_map(landcover),
        "TIFFTAG_COPYRIGHT": landcover.provenance.attribution,
        "TIFFTAG_SOFTWARE": f"geoclass {landcover.provenance.version}",
    }
    if landcover.detail is not None:
        planes = [getattr(landcover, name) for name in PLANES]
        stacked = np.stack([*planes, *landcover.probabilities.transpose(2, 0, 1)])
        tags[TILES] = base64.b64encode(deflate(stacked)).decode()
    write_cog(path, _list_bands(landcover), landcover.finest.grid, tags, dict(settings.creation))
    companion(path, ".aux.xml").write_text(_auxiliary(landcover), encoding="utf-8")
    style = raster_styles(landcover.legend)["Class"]
    companion(path, ".qml").write_text(format_qml(style), encoding="utf-8")


def companion(path: Path, suffix: str) -> Path:
    """The file beside a map: GDAL appends to the name, QGIS replaces the suffix."""
    return path.with_suffix(suffix) if suffix == ".qml" else path.with_name(path.name + suffix)


def name_bands(landcover: LandCoverMap) -> dict[str, bool]:
    """All bands in order: name → whether it contains codes."""
    tiles = {"tile_class": True, "tile_confidence_percent": False}
    return {
        "class": True,
        "confidence_percent": False,
        **(tiles if landcover.detail else {}),
        "best_class": True,
        "valid_share_per_250": False,
        **{f"p_{name}_per_250": False for name in landcover.legend.names},
        **({} if landcover.finest.colors is None else dict.fromkeys(COLORS, False)),
        "mask_reason": True,
    }


def read_geotiff(path: Path) -> LandCoverMap:
    """The map that `write_geotiff` wrote; OutputError for any other file."""
    items = read_items(path)
    document = parse_document(str(path), items)
    classes = len(document.contract.legend)
    tiles = [_unpack_tiles(path, items, document)] if len(document.grids) > 1 else []
    with _open(path) as file:
        best = 3 + 2 * len(tiles)
        finest = document.grids[-1]
        if file.shape != (finest.rows, finest.cols) or {*file.dtypes} != {"uint8"}:
            raise ValueError(f"its pixels are not {finest.rows}×{finest.cols} of uint8")
        colored = len(COLORS) if document.colored[-1] else 0
        if file.count - best - classes - colored not in (1, 2):
            raise ValueError(f"it has {file.count} bands")
        bands = file.read((1, best, best + 1, *range(best + 2, file.count + 1)))
    # Copies, because a view would keep all bands in memory.
    names = ("class_id", "best_class", "valid_share")
    arrays = {
        **{name: plane.copy() for name, plane in zip(names, bands, strict=False)},
        "probabilities": np.ascontiguousarray(bands[3 : 3 + classes].transpose(1, 2, 0)),
        # Schema version 1 has no mask reasons.
        "mask_reason": (
            bands[-1].copy() if len(bands) > 3 + classes + colored else np.zeros_like(bands[0])
        ),
    }
    if colored:
        colors = bands[3 + classes : 3 + classes + len(COLORS)]
        arrays["colors"] = np.ascontiguousarray(colors.transpose(1, 2, 0))
    return document.build([*tiles, arrays])


def read_items(path: Path) -> dict[str, str]:
    """Metadata items of a GeoTIFF; OutputError if it cannot be opened."""
    with _open(path) as file:
        tags: dict[str, str] = file.tags()
    return tags


def _open(path: Path) -> rasterio.DatasetReader:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path, driver="GTiff", num_threads="all_cpus")
    except (RasterioError, UnicodeEncodeError) as error:
        raise OutputError(f"cannot open {path} as a GeoTIFF: {error}") from error


def _list_bands(landcover: LandCoverMap) -> dict[str, np.ndarray]:
    finest = landcover.finest
    inside = landcover.grid.spread(finest.grid)
    tiles = (landcover.class_id, _round_confidence(landcover)) if landcover.detail else ()
    planes = (
        finest.class_id,
        _round_confidence(finest),
        *(plane[inside] for plane in tiles),
        finest.best_class,
        finest.valid_share,
        *finest.probabilities.transpose(2, 0, 1),
        *(() if finest.colors is None else finest.colors.transpose(2, 0, 1)),
        finest.mask_reason,
    )
    return dict(zip(name_bands(landcover), planes, strict=True))


def _round_confidence(landcover: LandCoverMap) -> np.ndarray:
    """uint8 (rows, cols): percent, 255 where not classified."""
    percent = np.rint(landcover.best_probability * (100 / FULL_SCALE)).astype(np.uint8)
    return np.where(landcover.best_class == NODATA, np.uint8(NODATA), percent)


def _unpack_tiles(
    path: Path, items: Mapping[str, str], document: Document
) -> dict[str, np.ndarray]:
    grid, classes = document.grids[0], len(document.contract.legend)
    shape = (len(PLANES) + classes, grid.rows, grid.cols)
    try:
        packed = base64.b64decode(items[TILES], validate=True)
        stacked = inflate(TILES, [packed], math.prod(shape)).reshape(shape)
    except (KeyError, ValueError, zlib.error) as error:
        raise OutputError(
            f"the tiles in {path} have been changed or damaged since geoclass wrote it "
            f"({error}): map it again"
        ) from error
    planes = dict(zip(PLANES, stacked, strict=False))
    probabilities = np.ascontiguousarray(stacked[len(PLANES) :].transpose(1, 2, 0))
    return {**planes, "probabilities": probabilities}


def _auxiliary(landcover: LandCoverMap) -> str:
    """GDAL's persistent auxiliary metadata for band 1."""
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    ET.SubElement(band, "ColorInterp").text = "Palette"
    colors, names = ET.SubElement(band, "ColorTable"), ET.SubElement(band, "CategoryNames")
    entries = {entry.class_id: entry for entry in landcover.legend.entries}
    for code in range(256):
        entry = entries.get(code)
        rgba = (*entry.rgb, 255) if entry else (0, 0, 0, 0)
        ET.SubElement(colors, "Entry", {f"c{i}": str(v) for i, v in enumerate(rgba, start=1)})
        ET.SubElement(names, "Category").text = entry.title if entry else ""
    _add_attributes(band, landcover)
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode")


ATTRIBUTES = {
    "Value": (0, 5), "Class": (2, 2), "Group": (2, 0), "Count": (0, 1), "Area_ha": (1, 0),
    "Red": (0, 6), "Green": (0, 7), "Blue": (0, 8),
}  # fmt: skip
"""Columns of the attribute table → GDAL's codes of type (GDALRATFieldType) and usage."""


def _add_attributes(band: ET.Element, landcover: LandCoverMap) -> None:
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for i, (name, (kind, usage)) in enumerate(ATTRIBUTES.items()):
        field = ET.SubElement(table, "FieldDefn", index=str(i))
        for tag, text in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(field, tag).text = str(text)
    for i, (area, entry) in enumerate(
        zip(landcover.areas(), landcover.legend.entries, strict=True)
    ):
        row = ET.SubElement(table, "Row", index=str(i))
        values = (area.class_id, area.title, area.group or "", area.cells, round(area.area_ha, 4))
        for value in (*values, *entry.rgb):
            ET.SubElement(row, "F").text = str(value)


def write_codes(path: Path, codes: np.ndarray, grid: Grid, tags: Mapping[str, str]) -> None:
    """Write uint16 (rows, cols), 0 for nodata, atomically; OutputError if that fails."""
    storage = {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256}
    profile = {**storage, "compress": "deflate", "count": 1, "dtype": "uint16", "nodata": 0}
    profile |= _place(grid)
    with drafted(path, RasterioError) as draft, rasterio.open(draft, "w", **profile) as file:
        file.write(codes, 1)
        file.update_tags(**tags)


def _place(grid: Grid) -> dict[str, Any]:
    """Size and location of a raster with one pixel per cell."""
    crs = grid.crs and rasterio.CRS.from_wkt(grid.crs)
    transform = grid.cell_transform
    return {"height": grid.rows, "width": grid.cols, "crs": crs, "transform": transform}
