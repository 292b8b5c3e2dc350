"""Formats that start programs, ask hosts or read other files are not opened."""

from __future__ import annotations

import json
import os
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geoclass.errors import DatasetError, GeoclassError, SceneError
from geoclass.learn.dataset import decode_image
from geoclass.outside import DRIVERS_VARIABLE
from geoclass.products.files import read_map, write_map
from geoclass.products.layers import read_features
from geoclass.report.page.render import _read_chip
from geoclass.scene.georeference.region import read_region
from geoclass.scene.open.gdal import open_dataset
from geoclass.scene.open.source import open_scene
from tests.conftest import make_landcover
from tests.scene.server import serve
from tests.security.listener import listen
from tests.security.test_names import drop_triggers

Make = Callable[..., Path]
PIXELS = np.random.default_rng(0).integers(1, 3000, (3, 70, 90)).astype(np.uint16)


def make_vrt(source: str, *, band: str = "", inside: str = "") -> str:
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{i}" {band}>{inside}<SimpleSource>'
        f"<SourceFilename>{source}</SourceFilename><SourceBand>{i}</SourceBand>"
        "</SimpleSource></VRTRasterBand>"
        for i in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="90" rasterYSize="70">{bands}</VRTDataset>'


WMS = (
    '<GDAL_WMS><Service name="WMS"><ServerUrl>{host}/wms?</ServerUrl><SRS>EPSG:4326</SRS>'
    "<ImageFormat>image/png</ImageFormat><Layers>a</Layers></Service><DataWindow>"
    "<UpperLeftX>0</UpperLeftX><UpperLeftY>1</UpperLeftY><LowerRightX>1</LowerRightX>"
    "<LowerRightY>0</LowerRightY><SizeX>90</SizeX><SizeY>70</SizeY></DataWindow>"
    "<BandsCount>3</BandsCount></GDAL_WMS>"
)


def test_pictures_start_no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tmp_path / "started"
    ghost = tmp_path / "gs"
    ghost.write_text(f"#!/bin/sh\ntouch {started}\n")
    ghost.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(DatasetError, match="cannot be decoded"):
        decode_image(eps, "x.png")
    (tmp_path / "0001.png").write_bytes(eps)
    assert _read_chip(tmp_path, "0001.png") is None
    assert not started.exists()


@pytest.mark.parametrize("name", ["x.tif", "x.xml", "x.vrt"])
def test_local_files_make_nobody_ask_a_host(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with listen() as host:
        (tmp_path / "wms.tif").write_text(WMS.format(host=host.address))
        (tmp_path / "deep.vrt").write_text(make_vrt(f"/vsicurl/{host.address}/x.tif"))
        for text in (
            WMS.format(host=host.address),
            make_vrt(f"/vsicurl/{host.address}/x.tif"),
            make_vrt(f"/vsicurl?url={host.address}/x.tif"),
            make_vrt(f"{host.address}/x.tif"),
            make_vrt(str(tmp_path / "wms.tif")),
            make_vrt(str(tmp_path / "deep.vrt")),
            make_vrt(f"vrt:///vsicurl/{host.address}/x.tif"),
            make_vrt(WMS.format(host=host.address).replace("<", "&lt;")),
            f"\n {make_vrt(f'/vsicurl/{host.address}/x.tif')}",
        ):
            path.write_text(text)
            with pytest.raises(SceneError):
                open_scene(path)
        assert host.asked == []


@pytest.mark.parametrize("suffix", [".ovr", ".msk", ".aux.xml"])
def test_companions_make_nobody_ask_a_host(make_scene: Make, suffix: str) -> None:
    path = make_scene(np.ones((3, 300, 300), np.uint16))
    overview = "<PAMDataset><Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>/vsicurl/{host}/x"
    text = f"{overview}</MDI></Metadata></PAMDataset>" if suffix == ".aux.xml" else WMS
    with listen() as host:
        path.with_name(path.name + suffix).write_text(text.format(host=host.address))
        with pytest.raises(SceneError, match=f"scene.tif{suffix} beside it"):
            open_scene(path)
        assert host.asked == []


def test_vrts_of_code_and_of_raw_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    ran = tmp_path / "ran"
    code = (
        "<PixelFunctionType>f</PixelFunctionType>"
        "<PixelFunctionLanguage>Python</PixelFunctionLanguage><PixelFunctionCode>"
        f"open('{ran}', 'w')\ndef f(*a, **k): pass</PixelFunctionCode>"
    )
    path = tmp_path / "x.vrt"
    path.write_text(make_vrt("x", band='subClass="VRTDerivedRasterBand"', inside=code))
    with pytest.raises(SceneError, match="runs Python code, which is never run") as caught:
        open_scene(path)
    assert "GDAL_VRT" not in str(caught.value)
    path.write_text(make_vrt("/etc/passwd", band='subClass="VRTRawRasterBand"'))
    with pytest.raises(SceneError, match="raw bytes of other files"):
        open_scene(path)
    assert not ran.exists()


def test_nothing_from_a_zip_or_a_host_reads_local_files(tmp_path: Path, make_scene: Make) -> None:
    secret = make_scene(PIXELS, "secret.tif")
    served = tmp_path / "served"
    served.mkdir()
    (served / "x.vrt").write_text(make_vrt(str(secret)))
    (served / "x.tif").write_text(make_vrt(str(secret)))
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None, "links": [],
        "properties": {"datetime": "2023-08-23T10:15:59Z"}, "stac_extensions": [],
        "assets": {c: {"href": "x.vrt"} for c in ("red", "green", "blue")},
    }  # fmt: skip
    (served / "item.json").write_text(json.dumps(item))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x.vrt", make_vrt(str(secret)))
    with serve(served) as log:
        for scene in (
            f"{log.address}/x.vrt",
            f"{log.address}/x.tif",
            f"{log.address}/item.json",
            f"/vsicurl/{log.address}/x.vrt",
            str(tmp_path / "x.zip"),
            f"/vsizip/{tmp_path}/x.zip/x.vrt",
            f"vrt:///vsicurl/{log.address}/x.vrt",
            f"red={log.address}/x.vrt,green={log.address}/x.vrt,blue={log.address}/x.vrt",
        ):
            with pytest.raises(SceneError):
                open_scene(scene)


def test_a_local_vrt_of_local_files_is_opened(tmp_path: Path, make_scene: Make) -> None:
    make_scene(PIXELS, "a;b.tif")
    (tmp_path / "x.vrt").write_text(
        make_vrt("a;b.tif").replace("<SourceFilename>", '<SourceFilename relativeToVRT="1">')
    )
    (tmp_path / "y.vrt").write_text(make_vrt(str(tmp_path / "x.vrt")))
    source = open_scene(tmp_path / "y.vrt", [1, 2, 3])
    with open_dataset(source.dataset) as dataset:
        np.testing.assert_array_equal(dataset.read(source.bands), PIXELS)


def test_a_driver_is_named_to_open_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.ppm"
    pixels = (PIXELS // 12).astype(np.uint8).transpose(1, 2, 0)
    path.write_bytes(b"P6 90 70 255\n" + pixels.tobytes())
    with pytest.raises(SceneError, match="name its GDAL driver with --driver"):
        open_scene(path)
    monkeypatch.setenv(DRIVERS_VARIABLE, "PNM")
    assert open_scene(path).width == 90


OGR = (
    '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/{host}/a.geojson'
    "</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
)
GDALG = (
    '{{"type": "gdal_streamed_alg", "command_line": "gdal vector convert {host}/a.geojson '
    '--output-format=stream streamed_dataset"}}'
)


def write_square(path: Path, **more: object) -> None:
    shape = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    path.write_text(json.dumps({"type": "FeatureCollection", **more, "features": [feature]}))


@pytest.mark.parametrize("key", ["crs", "CRS", "\\u0063rs", "c\\u0072\\u0073"])
@pytest.mark.parametrize("kind", ["link", "url", "URL"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_reference_system_is_fetched_from_nowhere(
    tmp_path: Path, key: str, kind: str, zipped: bool
) -> None:
    path = tmp_path / "aoi.geojson"
    with listen() as host:
        where = {"href": host.address, "url": host.address, "type": "proj4"}
        write_square(path, KEY={"properties": where, "type": kind})
        path.write_text(path.read_text().replace("KEY", key))
        if zipped:
            with zipfile.ZipFile(tmp_path / "aoi.zip", "w") as archive:
                archive.write(path, path.name)
            path = tmp_path / "aoi.zip"
        for read in (read_region, read_features):
            with pytest.raises(GeoclassError, match="its crs is not a name"):
                read(path)
        assert host.asked == []


def test_a_reference_system_of_a_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "aoi.geojson"
    name = "urn:ogc:def:crs:EPSG::32633"
    write_square(path, crs={"type": "name", "properties": {"name": name}})
    assert "UTM zone 33N" in read_region(path).crs
    write_square(path, crs=None)
    assert "WGS 84" in read_region(path).crs


@pytest.mark.parametrize("padding", [0, 5000])
def test_plots_refer_to_nothing_elsewhere(tmp_path: Path, padding: int) -> None:
    path = tmp_path / "plots.geojson"
    pad = f"<!--<kml{' ' * padding}-->" if padding else ""
    with listen() as host:
        for text in (pad + OGR.format(host=host.address), GDALG.format(host=host.address)):
            path.write_text(text)
            for read in (read_region, read_features):
                with pytest.raises(GeoclassError, match="as a vector file"):
                    read(path)
        assert host.asked == []


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"


@pytest.mark.parametrize(
    "change",
    [
        f"CREATE VIEW {{0}} AS {ENDLESS} SELECT old.* FROM old, c",
        "CREATE VIEW {0} AS SELECT * FROM old",
        "CREATE TABLE {0} (name TEXT, content BLOB AS (zeroblob(900000000)))",
    ],
)
@pytest.mark.parametrize(
    "table", ["geoclass_blobs", "landcover", "gpkg_metadata", "gpkg_contents", "layer_styles"]
)
def test_tables_are_tables(tmp_path: Path, table: str, change: str) -> None:
    path = tmp_path / "map.gpkg"
    write_map(make_landcover(2, 3), path)
    with sqlite3.connect(path) as database:
        drop_triggers(database)
        database.execute("PRAGMA legacy_alter_table = ON")
        database.execute(f"ALTER TABLE {table} RENAME TO old")
        database.execute(change.format(table))
    database.close()
    with zipfile.ZipFile(tmp_path / "map.zip", "w") as archive:
        archive.write(path, path.name)
    for read, file in (
        (read_map, path),
        (open_scene, path),
        (read_region, path),
        (read_region, path.with_suffix(".zip")),
    ):
        with pytest.raises(GeoclassError, match=f"'{table}' in it is computed when it is read"):
            read(file)


def test_a_tiff_names_no_other_file_as_its_overview(tmp_path: Path, make_scene: Make) -> None:
    secret = make_scene(PIXELS[:, :35, :45], "secret.tif")
    path = make_scene(PIXELS, "scene.tif")
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(secret))
    with zipfile.ZipFile(tmp_path / "scene.zip", "w") as archive:
        archive.write(path, path.name)
    (tmp_path / "scene.vrt").write_text(make_vrt(str(path)))
    for name in ("scene.tif", "scene.zip", "scene.vrt"):
        with pytest.raises(SceneError, match="refer to another file as its overview"):
            open_scene(tmp_path / name)


def test_nothing_beside_a_file_in_a_zip_is_read(tmp_path: Path, make_scene: Make) -> None:
    secret = make_scene(np.full((3, 70, 90), 255, np.uint16), "secret.tif")
    path = make_scene(PIXELS, "scene.tif")
    with zipfile.ZipFile(tmp_path / "scene.zip", "w") as archive:
        archive.write(path, path.name)
        for suffix in (".msk", ".ovr"):
            archive.writestr(path.name + suffix, make_vrt(str(secret)))
    source = open_scene(tmp_path / "scene.zip", [1, 2, 3])
    assert source.always_valid
    with open_dataset(source.dataset) as dataset:
        assert dataset.overviews(1) == []
        assert all(name.startswith("/vsizip/") for name in dataset.files)
        np.testing.assert_array_equal(dataset.read(source.bands), PIXELS)


def test_vector_files_that_refer_elsewhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "aoi.geojson"
    with listen() as host:
        for text in (
            OGR.format(host=host.address),
            f"<OGRWFSDataSource><URL>{host.address}/wfs</URL></OGRWFSDataSource>",
            GDALG.format(host=host.address),
            f'<gml:x xmlns:gml="http://www.opengis.net/gml" schemaLocation="{host.address}/a"/>',
        ):
            path.write_text(text)
            with zipfile.ZipFile(tmp_path / "aoi.zip", "w") as archive:
                archive.writestr("aoi.shp", text)
            for file in (path, tmp_path / "aoi.zip"):
                with pytest.raises(GeoclassError, match="it is not a GeoPackage, GeoJSON"):
                    read_region(file)
        with pytest.raises(GeoclassError, match="no regular file"):
            read_region(Path(f"{host.address}/a.geojson"))
        assert host.asked == []
