"""Nothing from outside makes geoclass wait for ever, or fills memory and disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from geoclass.campaign.jobs import check_summary
from geoclass.campaign.scenes import find_scenes
from geoclass.cli.main import main
from geoclass.cli.options import access
from geoclass.errors import DatasetError, ModelError, OutputError, SceneError, SettingsError
from geoclass.learn.download import MOST_BYTES, Source, download
from geoclass.learn.single import _cut_image
from geoclass.learn.splits import _find_listed
from geoclass.legend import EUROSAT, read_legend
from geoclass.model.checkpoint import load_model
from geoclass.monitor.counts import read_table
from geoclass.outside import DRIVERS_VARIABLE, TIMEOUT_VARIABLE, find_timeout, within_time
from geoclass.products.layers import read_features, write_csv
from geoclass.scene.georeference.region import read_region
from geoclass.scene.open.source import open_scene
from tests.scene.products import make_safe
from tests.security.listener import listen
from tests.security.test_formats import make_vrt

SECONDS = 1.0

Make = Callable[..., Path]


@contextmanager
def soon(seconds: float = 25) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def stay_silent(_handler: BaseHTTPRequestHandler) -> None:
    time.sleep(60)


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b"{")
        handler.wfile.flush()
        time.sleep(0.1)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(600):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def go_round(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", f"{handler.path}x")
    handler.end_headers()


@pytest.mark.parametrize("answer", [stay_silent, drip, drip_headers, go_round])
@pytest.mark.parametrize("name", ["a.tif", "a.json", "a.json#b"])
def test_a_server_gets_so_much_time(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[Any], None], name: str
) -> None:
    monkeypatch.setenv(TIMEOUT_VARIABLE, str(SECONDS))
    with listen(answer) as host, soon(), pytest.raises(SceneError):
        open_scene(f"{host.address}/{name}")


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1/x.json", "http://127.0.0.1:99999/x.json", "http:///x.json", "http://a\0b/x.tif",
        "http://127.0.0.1:9/x.json\r\nX: y", "http://" + 70 * "a" + ".b/x.json#i",
    ],
)  # fmt: skip
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with soon(), pytest.raises(SceneError):
        open_scene(address)


def test_time_and_drivers_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TIMEOUT_VARIABLE, DRIVERS_VARIABLE):
        monkeypatch.setenv(name, "")  # so that it is taken back

    @click.command()
    @access
    def show() -> None:
        click.echo(f"{find_timeout()} {os.environ[DRIVERS_VARIABLE]}")

    arguments = ["--timeout", "1.5", "--driver", "PNM", "--driver", "ERS"]
    assert CliRunner().invoke(show, arguments).output == "1.5 PNM,ERS\n"
    assert CliRunner().invoke(show, ["--timeout", "0"]).exit_code == 2


def test_what_a_thread_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        within_time(lambda: 1 // 0)
    assert within_time(lambda: 5) == 5


def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with soon():
        for path in (pipe, Path("/dev/zero")):
            with pytest.raises(SceneError):
                open_scene(path)
            with pytest.raises(SceneError):
                open_scene(f"red={path},green={path},blue={path}")
            with pytest.raises(SceneError):
                read_region(path)
            with pytest.raises((SettingsError, OutputError), match="(no|not a) regular file"):
                read_legend(path, EUROSAT)
            with pytest.raises(OutputError, match="(no|not a) regular file"):
                read_table(path)
            result = CliRunner().invoke(main, ["map", f"@{path}", "-o", f"{tmp_path}/maps/"])
            assert "not a regular file" in result.output


@pytest.mark.parametrize("suffix", [".ovr", ".msk", ".aux.xml"])
def test_pipes_beside_a_scene_are_not_read(make_scene: Make, suffix: str) -> None:
    path = make_scene(np.ones((3, 70, 90), np.uint16))
    os.mkfifo(path.with_name(path.name + suffix))
    with soon(), pytest.raises(SceneError, match=f"scene.tif{suffix} beside it is neither a file"):
        open_scene(path)
    other = make_scene(np.ones((3, 70, 90), np.uint16), "other.tif")
    os.mkfifo(path.with_name("other.tfw"))
    with soon(), pytest.raises(SceneError, match="other.tfw beside it is neither a file"):
        open_scene(other)


def test_pipes_and_devices_among_pictures_lists_and_products(tmp_path: Path) -> None:
    product = make_safe(tmp_path, np.ones((3, 70, 90), np.uint16))
    (metadata,) = product.glob("MTD_*.xml")
    metadata.unlink()
    os.mkfifo(metadata)
    os.mkfifo(tmp_path / "summary.json")
    with soon():
        with pytest.raises(SceneError, match="regular file"):
            open_scene(product)
        with pytest.raises(OutputError, match="exists and is of no campaign|no regular file"):
            check_summary(tmp_path)
        for path in (metadata, Path("/dev/zero")):
            with pytest.raises(DatasetError, match="regular file"):
                list(_cut_image(path, 64, whole=False))
            with pytest.raises(DatasetError, match="regular file"):
                _find_listed(path, {})
            with pytest.raises(OutputError, match="regular file"):
                read_features(path)


def test_lists_and_patterns_end(
    tmp_path: Path, make_scene: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(np.ones((3, 70, 90), np.uint16))
    for number in range(15):
        line = f"@{tmp_path}/{number + 1}\n" if number < 14 else f"{scene}\n"
        (tmp_path / str(number)).write_text(line * 15)
    with soon():
        assert find_scenes([f"@{tmp_path}/0"]) == (str(scene),)
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path)
    monkeypatch.setenv(TIMEOUT_VARIABLE, str(SECONDS))
    with soon(), pytest.raises(SceneError, match="gave no answer within 1 s"):
        find_scenes([f"{tmp_path}/**/*.png"])


def test_vrts_of_vrts_end(tmp_path: Path, make_scene: Make) -> None:
    inner = str(make_scene(np.ones((3, 70, 90), np.uint16)))
    for number in range(4):
        whole = make_vrt(inner)
        source = whole[whole.index("<SimpleSource>") : whole.index("</VRTRasterBand>")]
        path = tmp_path / f"{number}.vrt"
        path.write_text(whole.replace(source, source * 60))
        inner = str(path)
    with soon(), pytest.raises(SceneError, match="a VRT of more than 100000 parts"):
        open_scene(inner)


def test_a_model_of_any_size_is_not_read(tmp_path: Path, random_model: Path) -> None:
    path = tmp_path / "large.safetensors"
    path.write_bytes(random_model.read_bytes())
    os.truncate(path, 10**13)
    with soon(), pytest.raises(ModelError, match="has 10000.0 GB, expected at most 2 GB"):
        load_model(path)


def test_a_download_ends_where_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(bytes(100_000))

    monkeypatch.setattr("geoclass.learn.download.MOST_BYTES", 1_000_000)
    monkeypatch.setattr("geoclass.learn.download.CHUNK", 100_000)
    with listen(pour) as host:
        source = Source(url=f"{host.address}/a.zip", file="a.zip", md5="0" * 32)
        with pytest.raises(DatasetError, match="sends more than expected"):
            download(source, tmp_path, pause_s=0)
    assert (tmp_path / "a.zip.part").stat().st_size < 1_500_000
    assert MOST_BYTES > 95_000_000


def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "a.zip.part").symlink_to(mine)
    with listen() as host:
        source = Source(url=f"{host.address}/a.zip", file="a.zip", md5="0" * 32)
        with pytest.raises(OutputError, match="is a link"):
            download(source, tmp_path)
    assert mine.read_text() == "mine"


def test_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    texts = np.array(["=1+1", "@x", "-a", "plain", "\tb", "\uff1d1+1"])
    write_csv(tmp_path / "a.csv", {"=name": texts, "number": np.array([-1.0, 2, 3, 4, 5, 6])})
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "'=name,number"
    assert [line.partition(",")[0] for line in lines[1:]] == [
        "'=1+1",
        "'@x",
        "'-a",
        "plain",
        "'\tb",
        "'\uff1d1+1",
    ]
    assert lines[1].endswith(",-1.0")
