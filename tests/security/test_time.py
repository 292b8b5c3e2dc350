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

from geoclass.cli.main import main
from geoclass.cli.options import access
from geoclass.errors import DatasetError, OutputError, SceneError, SettingsError
from geoclass.learn.download import MOST_BYTES, Source, download
from geoclass.legend import EUROSAT, read_legend
from geoclass.monitor.counts import read_table
from geoclass.outside import DRIVERS_VARIABLE, TIMEOUT_VARIABLE, find_timeout, within_time
from geoclass.products.layers import write_csv
from geoclass.scene.region import read_region
from geoclass.scene.source import open_scene
from tests.security.listener import listen

SECONDS = 1.0


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
    texts = np.array(["=1+1", "@x", "-a", "plain", "\tb"], dtype=object)
    write_csv(tmp_path / "a.csv", {"=name": texts, "number": np.array([-1.0, 2, 3, 4, 5])})
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "'=name,number"
    assert [line.partition(",")[0] for line in lines[1:]] == [
        "'=1+1",
        "'@x",
        "'-a",
        "plain",
        "'\tb",
    ]
    assert lines[1].endswith(",-1.0")
