"""Bands of bytes as a cloud-optimised GeoTIFF, codes and numbers each with overviews that suit."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio import shutil
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling

from geoclass.grid import Grid
from geoclass.legend import NODATA

BLOCK = 512
"""Pixels a side of a block; the smallest overview is no larger."""

DEFAULTS = {
    "COMPRESS": "DEFLATE", "LEVEL": "1", "PREDICTOR": "NO", "BIGTIFF": "IF_SAFER",
    "NUM_THREADS": "ALL_CPUS",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Band:
    """One band of a raster."""

    name: str
    pixels: np.ndarray
    """uint8 (rows, cols)."""
    is_code: bool
    """Codes have the commonest of four in an overview, numbers their mean."""


def write_cog(
    path: Path,
    bands: Sequence[Band],
    grid: Grid,
    tags: Mapping[str, str],
    options: Mapping[str, str],
) -> None:
    """Write a new file, a pixel a cell; OSError or RasterioError if that fails.

    `options` are those of GDAL's COG driver, beside `DEFAULTS`.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # GDAL makes all overviews of one file in one way, so each kind of band gets its own file.
        # The COG driver takes over the overviews that it finds.
        factors = _overview_factors(grid)
        places: dict[str, tuple[Path, int]] = {}
        for is_code, resampling in ((True, Resampling.mode), (False, Resampling.average)):
            part = [band for band in bands if band.is_code == is_code]
            file = Path(folder) / f"{resampling.name}.tif"
            _write_part(file, part, grid)
            if factors:
                with rasterio.open(file, "r+") as written:
                    written.build_overviews(factors, resampling)
            places |= {band.name: (file, i) for i, band in enumerate(part, start=1)}
        virtual = _start(grid, tags)
        for number, band in enumerate(bands, start=1):
            _add_band(virtual, number, band.name, *places[band.name], len(factors))
        source = Path(folder) / "bands.vrt"
        source.write_bytes(ET.tostring(virtual, encoding="utf-8"))
        try:
            shutil.copy(source, path, driver="COG", **{**DEFAULTS, **options})
        except CPLE_BaseError as error:
            raise OSError(f"{error}; is the disk full?") from error
    _check_written(path, bands)


def _write_part(path: Path, bands: Sequence[Band], grid: Grid) -> None:
    profile = {
        "driver": "GTiff",
        "height": grid.rows,
        "width": grid.cols,
        "dtype": "uint8",
        "nodata": NODATA,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "zlevel": 1,  # it lives for a moment
        "interleave": "band",
        "bigtiff": "if_safer",
        "transform": grid.cell_transform,
    }
    with rasterio.open(path, "w", count=len(bands), **profile) as file:
        for number, band in enumerate(bands, start=1):
            file.write(band.pixels, number)


def _overview_factors(grid: Grid) -> list[int]:
    factors, factor = [], 2
    while max(grid.rows, grid.cols) * 2 > BLOCK * factor:
        factors.append(factor)
        factor *= 2
    return factors


def _start(grid: Grid, tags: Mapping[str, str]) -> ET.Element:
    root = ET.Element("VRTDataset", rasterXSize=f"{grid.cols}", rasterYSize=f"{grid.rows}")
    if grid.crs is not None:
        ET.SubElement(root, "SRS").text = grid.crs
    numbers = ", ".join(repr(float(number)) for number in grid.cell_transform.to_gdal())
    ET.SubElement(root, "GeoTransform").text = numbers
    metadata = ET.SubElement(root, "Metadata")
    for key, value in tags.items():
        ET.SubElement(metadata, "MDI", key=key).text = value
    return root


def _add_band(
    root: ET.Element, number: int, name: str, file: Path, band: int, overviews: int
) -> None:
    element = ET.SubElement(root, "VRTRasterBand", dataType="Byte", band=f"{number}")
    ET.SubElement(element, "Description").text = name
    ET.SubElement(element, "NoDataValue").text = f"{NODATA}"
    ET.SubElement(element, "SimpleSource").extend(_name_source(f"{file}", band))
    for level in range(1, overviews + 1):
        # Overviews are further directories of a TIFF; left to itself, a VRT sees large ones only.
        place = f"GTIFF_DIR:{level + 1}:{file}"
        ET.SubElement(element, "Overview").extend(_name_source(place, band))


def _name_source(dataset: str, band: int) -> list[ET.Element]:
    file, number = ET.Element("SourceFilename"), ET.Element("SourceBand")
    file.text, number.text = dataset, f"{band}"
    return [file, number]


def _check_written(path: Path, bands: Sequence[Band]) -> None:
    """Read back what was written: on a full disk GDAL fails at closing, and says nothing."""
    with rasterio.open(path) as file:
        for _, window in file.block_windows(1):
            rows, cols = window.toslices()
            wanted = np.stack([band.pixels[rows, cols] for band in bands])
            if not np.array_equal(file.read(window=window), wanted):
                raise OSError("the file came out damaged; is the disk full?")
