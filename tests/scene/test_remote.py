"""Scenes behind addresses: few bytes, dropped connections, no secrets in what is said."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from geoclass.errors import SceneError
from geoclass.grid import Grid
from geoclass.outside import hide_secrets
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.open.gdal import REMOTE_SETTINGS, gdal_settings, open_dataset
from geoclass.scene.open.network import gdal_name, is_address
from geoclass.scene.open.source import open_scene
from geoclass.scene.radiometry.conversion import read_as_rgb8
from geoclass.scene.read.masks import find_masks
from geoclass.scene.read.strips import Preprocessing, read_strips
from geoclass.scene.settings import MaskSettings
from tests.scene.server import serve
from tests.scene.test_stac import describe

Make = Callable[..., Path]

NOISE = np.random.default_rng(0).integers(1, 256, (3, 1024, 1024)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "www"
    path.mkdir()
    return path


@pytest.fixture
def cog(make_scene: Make, folder: Path) -> Path:
    path = folder / "scene.tif"
    settings = {"driver": "COG", "blocksize": 128, "compress": "deflate"}
    rasterio.shutil.copy(make_scene(NOISE, photometric="rgb"), path, **settings)
    return path


def read_all(address: str) -> np.ndarray:
    """All pixels, by strips, as a map is made."""
    source = open_scene(address)
    assert source.georeference.crs is not None
    grid = Grid(
        height=source.height,
        width=source.width,
        transform=source.georeference.transform,
        crs=source.georeference.crs,
    )
    frame = Frame(
        height=source.height,
        width=source.width,
        transform=source.georeference.transform,
        crs=source.georeference.crs,
    )
    preprocessing = Preprocessing(
        radiometry=read_as_rgb8("test"), masks=find_masks(source, MaskSettings())
    )
    rows = [
        strip.pixels[:, : (strip.last_row - strip.first_row) * 64]
        for strip in read_strips(source, frame, grid, preprocessing, 200 * 1024)
    ]
    return np.concatenate(rows, axis=1)


def test_only_what_is_read_is_fetched(folder: Path, cog: Path) -> None:
    with serve(folder) as log:
        source = open_scene(f"{log.address}/scene.tif")
        with open_dataset(source.dataset) as dataset:
            part = dataset.read(source.bands, window=((300, 500), (300, 500)))
    np.testing.assert_array_equal(part, NOISE[:, 300:500, 300:500])
    blocks = 2 * 2 * 3 * 128 * 128  # noise does not shrink
    assert log.sent_bytes <= 1.3 * blocks + 50_000
    assert cog.stat().st_size > 10 * log.sent_bytes


def test_nothing_is_looked_for_beside_a_scene(folder: Path, cog: Path) -> None:
    with serve(folder) as log:
        read_all(f"{log.address}/scene.tif")
    assert {path for _, path, _ in log.requests} == {"/scene.tif"}


@pytest.mark.parametrize("drop_every", [10, 3])
def test_dropped_connections_do_not_break_the_map(
    folder: Path, cog: Path, drop_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    monkeypatch.setattr("geoclass.scene.open.gdal.RETRY_DELAY_S", 0.01)
    with serve(folder, drop_every=drop_every) as log:
        np.testing.assert_array_equal(read_all(f"{log.address}/scene.tif"), NOISE)
    assert log.dropped > 0


def test_server_without_ranges(folder: Path, cog: Path) -> None:
    """GDAL fetches a whole file for no one."""
    bands = ",".join(f"{c}={{0}}/scene.tif" for c in ("red", "green", "blue"))
    for scene in ("{0}/scene.tif", "{0}/scene.tif?sig=SECRET", bands):
        with (
            serve(folder, ranges=False) as log,
            pytest.raises(
                SceneError, match="does not support range requests: download the file"
            ) as error,
        ):
            open_scene(scene.format(log.address))
        assert "SECRET" not in str(error.value)


def test_a_file_that_is_no_raster_is_not_blamed_on_its_server(folder: Path) -> None:
    (folder / "page.html").write_text("<html>" + "x" * 5000)
    with serve(folder) as log, pytest.raises(SceneError, match="its format is not supported"):
        open_scene(f"{log.address}/page.html")


def test_identity_is_the_servers_word(folder: Path, cog: Path) -> None:
    with serve(folder) as log:
        before = open_scene(f"{log.address}/scene.tif?sig=one").identity
        assert before["path"] == f"{log.address}/scene.tif"
        assert int(before["bytes"]) == cog.stat().st_size
        assert open_scene(f"{log.address}/scene.tif?sig=other").identity == before
        os.utime(cog, ns=(1, 1))
        assert open_scene(f"{log.address}/scene.tif").identity != before


def test_missing_file_is_an_error_without_the_signature(folder: Path) -> None:
    with serve(folder) as log, pytest.raises(SceneError, match=r"none.tif.*404") as error:
        open_scene(f"{log.address}/none.tif?sig=SECRET")
    assert "SECRET" not in str(error.value)


def test_nobody_answers() -> None:
    with pytest.raises(SceneError, match="cannot read http://127.0.0.1:1/a.tif as a raster"):
        open_scene("http://127.0.0.1:1/a.tif")


def test_item_by_address(folder: Path, make_scene: Make) -> None:
    for i, name in enumerate(("B04", "B03", "B02")):
        shutil.move(make_scene(NOISE[i : i + 1]), folder / f"{name}.tif")
    assets = {name: {"href": f"./{name}.tif"} for name in ("B04", "B03", "B02")}
    (folder / "item").write_text(json.dumps(describe(assets)))
    with serve(folder) as log:
        source = open_scene(f"{log.address}/item")
        assert source.kind == "stac"
        assert source.date == "2023-08-23"
        assert [part["path"] for part in source.identity["files"]] == [
            f"{log.address}/{name}.tif" for name in assets
        ]
        np.testing.assert_array_equal(read_all(f"{log.address}/item"), NOISE)


def test_three_addresses(folder: Path, make_scene: Make) -> None:
    colors = ("red", "green", "blue")
    for i, color in enumerate(colors):
        shutil.move(make_scene(NOISE[i : i + 1]), folder / f"{color}.tif")
    with serve(folder, drop_every=5) as log:
        text = ",".join(f"{color}={log.address}/{color}.tif?a=b,c" for color in colors)
        np.testing.assert_array_equal(read_all(text), NOISE)


def test_json_that_is_no_item(folder: Path) -> None:
    (folder / "x.json").write_text('{"a": 1}')
    with serve(folder) as log, pytest.raises(SceneError, match="is not a STAC item"):
        open_scene(f"{log.address}/x.json")


def test_s3_with_the_users_settings(
    folder: Path, cog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bucket").mkdir()
    shutil.move(cog, folder / "bucket" / "scene.tif")
    with serve(folder, drop_every=7) as log:
        settings = {
            "AWS_S3_ENDPOINT": log.address.removeprefix("http://"),
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        np.testing.assert_array_equal(read_all("s3://bucket/scene.tif"), NOISE)
        assert open_scene("s3://bucket/scene.tif").identity == {"path": "s3://bucket/scene.tif"}
    assert {path for _, path, _ in log.requests} == {"/bucket/scene.tif"}


def test_the_users_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "/vsicurl/https://example.org/a.tif"
    assert gdal_settings(name).items() >= REMOTE_SETTINGS.items()
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with rasterio.Env(GDAL_INGESTED_BYTES_AT_OPEN="1"):
        left = gdal_settings(name)
    assert set(REMOTE_SETTINGS) - set(left) == {
        "GDAL_HTTP_MAX_RETRY",
        "GDAL_INGESTED_BYTES_AT_OPEN",
    }
    assert set(gdal_settings("/data/scene.tif")).isdisjoint(REMOTE_SETTINGS)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://x.org/a.tif?sig=1", "/vsicurl/https://x.org/a.tif?sig=1"),
        ("s3://bucket/key/a.tif", "/vsis3/bucket/key/a.tif"),
        ("gs://bucket/a.tif", "/vsigs/bucket/a.tif"),
        ("az://container/a.tif", "/vsiaz/container/a.tif"),
    ],
)
def test_gdals_names(address: str, name: str) -> None:
    assert is_address(address)
    assert gdal_name(address) == name


@pytest.mark.parametrize("text", ["a.tif", "C:/a.tif", "NETCDF:a.nc:b", "ftp://x/a.tif", "http:x"])
def test_no_addresses(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("https://x.org/a.tif?sig=S", "https://x.org/a.tif"),
        ("https://me:S@x.org/a.tif", "https://x.org/a.tif"),
        ("red=https://x.org/a?S,green=/b.tif", "red=https://x.org/a,green=/b.tif"),
        ("code 403 on 'https://x.org/a?S' there", "code 403 on 'https://x.org/a' there"),
        ("red=s3://b/a.tif,green=https://me:S@x/a", "red=s3://b/a.tif,green=https://x/a"),
        ("red=https://x/a?S,green=https://x/b?S", "red=https://x/a,green=https://x/b"),
        ("/data/a@b?c.tif", "/data/a@b?c.tif"),
    ],
)
def test_secrets_are_hidden(text: str, hidden: str) -> None:
    assert hide_secrets(text) == hidden
