"""Odd files are mapped or refused with one line that names the trait; nothing else happens.

The traits are those of the files in the test suites of GDAL, rasterio and others, made anew.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC

from tests.conftest import TRANSFORM, UTM
from tests.scene.products import make_safe
from tests.scene.test_safe import BOMB
from tests.test_scripts import load

survey = load("survey_files")

RGB = np.random.default_rng(0).integers(1, 255, (3, 150, 200)).astype(np.uint8)
ROTATED = TRANSFORM @ Affine.rotation(20)
GCPS = [
    GroundControlPoint(row=r, col=c, x=330000 + 10 * c, y=5822040 - 10 * r)
    for r, c in ((0, 0), (0, 200), (150, 0), (150, 200), (75, 100))
]
RPCS = RPC(
    height_off=0, height_scale=500, lat_off=52.5, lat_scale=0.1, line_off=75, line_scale=75,
    long_off=13.4, long_scale=0.1, samp_off=100, samp_scale=100,
    line_num_coeff=[0, 0, -0.075] + [0] * 17, line_den_coeff=[1] + [0] * 19,
    samp_num_coeff=[0, 0.15] + [0] * 18, samp_den_coeff=[1] + [0] * 19,
)  # fmt: skip

# Name → pixels and rasterio's keywords. What is expected stands in EXPECTED.
RASTERS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "plain.tif": (RGB, {}),
    "bigtiff.tif": (RGB, {"BIGTIFF": "YES"}),
    "big_endian.tif": (RGB, {"ENDIANNESS": "BIG"}),
    "bands_apart.tif": (RGB, {"interleave": "band", "tiled": True}),
    "strip_of_one_row.tif": (RGB, {"blockysize": 1}),
    "one_band.tif": (RGB[:1], {}),
    "two_bands.tif": (RGB[:2], {}),
    "four_nameless_bands.tif": (np.concatenate([RGB, RGB[:1]]), {"photometric": "minisblack"}),
    "alpha.tif": (np.concatenate([RGB, RGB[:1] | 128]), {"photometric": "rgb", "alpha": "yes"}),
    "palette.tif": (RGB[:1], {"photometric": "palette"}),
    "cmyk.tif": (np.concatenate([RGB, RGB[:1]]), {"photometric": "cmyk"}),
    "one_pixel.tif": (RGB[:, :1, :1].copy(), {}),
    "narrow.tif": (RGB[:, :, :63].copy(), {}),
    "no_crs.tif": (RGB, {"crs": None}),
    "no_transform.tif": (RGB, {"transform": None}),
    "neither.tif": (RGB, {"crs": None, "transform": None}),
    "rotated.tif": (RGB, {"transform": ROTATED}),
    "south_up.tif": (RGB, {"transform": Affine(10, 0, 330000, 0, 10, 5820000)}),
    "no_area.tif": (RGB, {"transform": Affine(0, 0, 330000, 0, -10, 5820000)}),
    "beyond_the_earth.tif": (RGB, {"transform": Affine(10, 0, 9e12, 0, -10, 9e12)}),
    "coarse.tif": (RGB, {"transform": Affine(500, 0, 330000, 0, -500, 5820000)}),
    "degrees.tif": (RGB, {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 13, 0, -1e-4, 52)}),
    "geocentric.tif": (RGB, {"crs": "EPSG:4978"}),
    "local.tif": (RGB, {"crs": 'LOCAL_CS["arbitrary",UNIT["metre",1]]'}),
    "gcps.tif": (RGB, {"transform": None, "gcps": GCPS}),
    "rpcs.tif": (RGB, {"transform": None, "crs": None, "rpcs": RPCS}),
    "nbits_12.tif": (RGB.astype(np.uint16) * 10, {"NBITS": "12"}),
    "all_zero.tif": (RGB * np.uint8(0), {}),
    "nearly_nothing.tif": (RGB * (np.arange(200) < 20).astype(np.uint8), {}),
    "all_nodata.tif": (RGB * np.uint8(0) + np.uint8(7), {"nodata": 7}),
    "not_a_number.tif": (np.full((3, 150, 200), np.nan, np.float32), {}),
    **{f"{name}.tif": (RGB.astype(name), {}) for name in (
        "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
        "complex64", "complex128",
    )},
    **{f"compressed_{name}.tif": (RGB, {"compress": name}) for name in (
        "lzw", "deflate", "packbits", "jpeg", "webp", "zstd", "lzma", "lerc", "lerc_zstd",
    )},
    "compressed_ccitt.tif": (RGB & 1, {"compress": "ccittfax4", "NBITS": "1"}),
}  # fmt: skip

CUT_OFF = {
    "cut.jpg": "JPEG", "cut.png": "PNG", "cut.jp2": "JP2OpenJPEG", "cut.webp": "WEBP",
    "cut.envi": "ENVI", "cut.hfa": "HFA", "cut.bmp": "BMP", "cut.pix": "PCIDSK",
}  # fmt: skip
"""Name → driver: files that lack their last third."""

MAPPED = (
    "plain bigtiff big_endian bands_apart strip_of_one_row alpha cmyk no_crs no_transform neither "
    "south_up uint16 compressed_lzw compressed_deflate compressed_packbits compressed_zstd "
    "compressed_lzma gcps "
    "zipped masked"
)
REFUSED = {
    "rotated.tif": "have several possible meanings",
    "one_band.tif": "has 1 band",
    "two_bands.tif": "has 2 band",
    "four_nameless_bands.tif": r"4 bands are red, green and blue \(none has a name\)",
    "palette.tif": "one band of palette colours",
    "hues.tif": "1: hue, 2: saturation, 3: lightness",
    "one_pixel.tif": "1×1 pixels is smaller than one tile of 64×64",
    "narrow.tif": "63×150 pixels is smaller than one tile",
    "coarse.tif": r"pixels of 500",
    "complex64.tif": "complex numbers",
    "complex128.tif": "complex numbers",
    "truncated.tif": "cannot read",
    "corrupt_block.tif": "cannot read",
    **dict.fromkeys(CUT_OFF, "cannot read"),
    "header_only.tif": "cannot read",
    "empty.tif": "is empty",
    "text.tif": "format is not supported",
    "random.tif": "format is not supported",
    "no_raster.json": "format is not supported",
    "table.gpkg": "cannot read",
    "two_rasters.gpkg": "no bands of its own, but holds GPKG:",
    "no_bands.vrt": "cannot read .*or bands on VRTDataset",
    "lost_sources.vrt": "cannot read .*nowhere.tif",
    "own_source.vrt": "cannot read",
    "huge.vrt": "or map it in parts with --bbox",
    "pipe": "neither a file nor a folder",
    "nothing.zip": "has no raster",
    "broken.zip": "not a whole zip",
    "bomb/S2.SAFE": "not the metadata of a product",
    "bare.SAFE": "no metadata",
    "items.json": r"must end in \.gpkg",  # its items are many scenes
}


def write(path: Path, pixels: np.ndarray, **changes: Any) -> Path:
    settings = {"driver": "GTiff", "crs": UTM, "transform": TRANSFORM, **changes}
    settings = {key: value for key, value in settings.items() if value is not None}
    bands, height, width = pixels.shape
    with rasterio.open(
        path, "w", count=bands, height=height, width=width, dtype=pixels.dtype, **settings
    ) as file:
        file.write(pixels)
    return path


def damage(folder: Path) -> None:
    """Files that are not whole."""
    noise = np.random.default_rng(1).integers(0, 255, (3, 600, 600)).astype(np.uint8)
    data = write(folder / "corrupt_block.tif", noise, compress="deflate").read_bytes()
    (folder / "truncated.tif").write_bytes(data[: len(data) // 2])
    (folder / "header_only.tif").write_bytes(data[:8])
    middle = len(data) // 2
    (folder / "corrupt_block.tif").write_bytes(data[:middle] + bytes(2000) + data[middle + 2000 :])
    for name, driver in CUT_OFF.items():
        data = write(folder / name, noise, driver=driver).read_bytes()
        (folder / name).write_bytes(data[: len(data) * 2 // 3])
    (folder / "empty.tif").touch()
    (folder / "text.tif").write_text("hello")
    (folder / "random.tif").write_bytes(np.random.default_rng(2).bytes(5000))
    (folder / "no_raster.json").write_text('{"a": 1}')
    (folder / "items.json").write_text(
        '{"type": "FeatureCollection", "stac_version": "1.0.0", "features": [{}, {}]}'
    )
    with sqlite3.connect(folder / "table.gpkg") as base:
        base.execute("CREATE TABLE a (b INTEGER)")
    os.mkfifo(folder / "pipe")


def compose(folder: Path) -> None:
    """Files that consist of others."""
    band = '<VRTRasterBand dataType="Byte" band="{}">{}</VRTRasterBand>'
    part = (
        "<SimpleSource><SourceFilename>{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
    )

    def describe(name: str, size: int, source: str) -> None:
        bands = "".join(band.format(i, source) for i in (1, 2, 3)) if name != "no_bands" else ""
        (folder / f"{name}.vrt").write_text(
            f'<VRTDataset rasterXSize="{size}" rasterYSize="{size}">{bands}</VRTDataset>'
        )

    describe("no_bands", 100, "")
    describe("lost_sources", 100, part.format("/nowhere.tif"))
    describe("own_source", 100, part.format(folder / "own_source.vrt"))
    describe("huge", 2_000_000_000, "")
    for table, more in (("a", {}), ("b", {"APPEND_SUBDATASET": "YES"})):
        write(folder / "two_rasters.gpkg", RGB, driver="GPKG", RASTER_TABLE=table, **more)
    with zipfile.ZipFile(folder / "zipped.zip", "w") as archive:
        archive.write(folder / "plain.tif", "a/scene.tif")
    with zipfile.ZipFile(folder / "nothing.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    (folder / "broken.zip").write_bytes((folder / "zipped.zip").read_bytes()[:-100])
    hues = (ColorInterp.hue, ColorInterp.saturation, ColorInterp.lightness)
    with rasterio.open(write(folder / "hues.tif", RGB, photometric="minisblack"), "r+") as file:
        file.colorinterp = hues
    with rasterio.open(write(folder / "masked.tif", RGB), "r+") as file:
        file.write_mask(RGB[0] > 20)
    (folder / "bomb").mkdir()
    safe = make_safe(folder / "bomb", RGB.astype(np.uint16)).rename(folder / "bomb" / "S2.SAFE")
    (safe / "MTD_MSIL1C.xml").write_text(BOMB)
    (folder / "bare.SAFE").mkdir()


def make_files(folder: Path) -> list[Path]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they have no georeference
        for name, (pixels, settings) in RASTERS.items():
            write(folder / name, pixels, **settings)
        damage(folder)
        compose(folder)
    return [*survey.find_files(folder), folder / "pipe"]


def test_odd_files(tmp_path: Path, random_model: Path) -> None:
    """All in one test, because they share the process that maps them."""
    files = make_files(tmp_path)
    worker = survey.Worker(60, 2e9, survey.serving_command(str(random_model)))
    outcomes = survey.survey(files, worker)
    named = {str(Path(one.scene).relative_to(tmp_path)): one for one in outcomes}
    assert {name: one for name, one in named.items() if one.kind == survey.DEFECT} == {}
    mapped = {name.rpartition(".")[0] for name, one in named.items() if one.kind == survey.MAPPED}
    assert set(MAPPED.split()) - mapped == set()
    for name, trait in REFUSED.items():
        assert named[name].kind == survey.REFUSED, name
        assert re.search(trait, named[name].message), named[name].message
    table = survey.tabulate(outcomes)
    assert "| defect | 0 |" in table
    assert f"| mapped | {sum(one.kind == survey.MAPPED for one in outcomes)} |" in table


ANSWER = {
    "code": 0, "trace": "", "out": "scene  x\nwrote map.tif\n", "err": "", "seconds": 1.0,
    "peak": 10**8, "unreadable": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "left", "defect"),
    [
        ({}, ["map.tif"], ""),
        ({"err": "Warning: a\n"}, ["map.tif"], ""),
        ({"code": 1, "err": "Warning: a\nError: b\n"}, [], ""),
        ({"code": 1, "err": "Error: b\n"}, ["map.tif"], "left behind: map.tif"),
        ({}, [], "no map, and no error"),
        ({"code": 1, "err": "Error: b\nError: c\n"}, [], "2 lines of errors"),
        ({"code": 1}, [], "0 lines of errors"),
        ({"code": 2, "err": ""}, [], "exit code 2"),
        ({"err": "ERROR 1: TIFFReadDirectory\n"}, ["map.tif"], "foreign words: ERROR 1: TIFFRead"),
        ({"out": "H5Fopen: unable\n"}, ["map.tif"], "foreign words: H5Fopen"),
        ({"trace": "Traceback\nKeyError: 1\n"}, [], "traceback: KeyError: 1"),
        ({"peak": 3 * 10**9}, ["map.tif"], "3.0 GB of memory"),
        ({"unreadable": "block 3"}, ["map.tif"], "mapped, though block 3"),
    ],
)
def test_what_a_defect_is(changes: dict[str, Any], left: list[str], defect: str) -> None:
    found = survey.find_defect(ANSWER | changes, left, 2e9)
    assert found.startswith(defect)
    assert bool(found) == bool(defect)


@pytest.mark.parametrize(
    ("code", "seconds", "defect"),
    [
        (
            "import os, signal; input(); os.kill(os.getpid(), signal.SIGSEGV)",
            60,
            "crash .exit code -11",
        ),
        ("input(); import time; time.sleep(60)", 1, "no answer in 1 s"),
        ("input(); x = b'x' * 300_000_000; import time; time.sleep(90)", 60, "more than 0.2 GB"),
    ],
)
def test_a_process_that_ends_badly(tmp_path: Path, code: str, seconds: float, defect: str) -> None:
    make: Callable[..., Any] = survey.Worker
    worker = make(seconds, 0.2e9, [sys.executable, "-c", f"print('ready', flush=True); {code}"])
    for _ in range(2):  # it is started anew
        outcome = worker.map("scene.tif", tmp_path)
        assert outcome.kind == survey.DEFECT
        assert re.match(defect, outcome.message), outcome.message
    worker.stop()
