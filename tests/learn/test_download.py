"""Downloads from a server on this machine, which misbehaves as servers do."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from geoclass.cli.main import main
from geoclass.errors import Cancelled, DatasetError, OutputError
from geoclass.learn import download as module
from geoclass.learn.download import SOURCES, Source, download, fetch_dataset, unpack

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@dataclass
class Server:
    """What the server does, and what it was asked for."""

    url: str = ""
    content: bytes = CONTENT
    drops: int = 0
    """So many answers end half-way."""
    ranges: bool = True
    length: str | None = None
    """What it says the length is, if not the truth."""
    status: int = 200
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append(asked)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = int(asked[6:-1]) if asked and state.ranges else 0
            if start >= len(state.content):
                self.send_error(416)
                return
            rest = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", state.length or str(len(rest)))
            self.end_headers()
            if state.drops:
                state.drops -= 1
                rest = rest[: len(rest) // 2]
            self.wfile.write(rest)

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}/tiles.zip"
        yield state
        http.shutdown()
        thread.join()


def source(server: Server, md5: str = hashlib.md5(CONTENT).hexdigest()) -> Source:
    return Source(url=server.url, file="tiles.zip", md5=md5)


def test_file_arrives_whole(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(source(server), tmp_path, on_bytes=lambda *args: seen.append(args))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in tmp_path.iterdir()] == ["tiles.zip"]


def test_second_call_asks_for_nothing(server: Server, tmp_path: Path) -> None:
    download(source(server), tmp_path)
    download(source(server), tmp_path)
    assert server.asked == [None]


def test_dropped_connections_are_taken_up(server: Server, tmp_path: Path) -> None:
    server.drops = 3
    assert download(source(server), tmp_path, pause_s=0).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1500000-", "bytes=2250000-", "bytes=2625000-"]


def test_later_call_goes_on_where_an_earlier_stopped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tiles.zip.part").write_bytes(CONTENT[:1000])
    assert download(source(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_cancelled_call_leaves_what_a_later_one_goes_on_from(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "eurosat", source(server))
    monkeypatch.setattr("geoclass.learn.download.CHUNK", 1000)

    def cancel(_done: int, _total: int | None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch_dataset("eurosat", tmp_path, on_bytes=cancel)
    assert [file.name for file in tmp_path.iterdir()] == ["tiles.zip.part"]
    assert fetch_dataset("eurosat", str(tmp_path)).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]


def test_data_sets_are_known_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="choose eurosat"):
        fetch_dataset("bigearth", tmp_path)
    with pytest.raises(OutputError, match="create it first"):
        fetch_dataset("eurosat", tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file, expected a folder: give"):
        fetch_dataset("eurosat", tmp_path / "file")


def test_whole_part_is_recognised(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tiles.zip.part").write_bytes(CONTENT)
    assert download(source(server), tmp_path).read_bytes() == CONTENT


def test_server_without_ranges_is_asked_anew(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "tiles.zip.part").write_bytes(CONTENT[:1000])
    assert download(source(server), tmp_path).read_bytes() == CONTENT


def test_other_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected 000: it has been removed, download"):
        download(source(server, "000"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_web_page_is_called_one(server: Server, tmp_path: Path) -> None:
    server.content = b"\xef\xbb\xbf\n<!DOCTYPE html><title>Sign in</title>"
    with pytest.raises(DatasetError, match="it is a web page and has been removed: give the --url"):
        download(source(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_file_of_the_name_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tiles.zip").write_bytes(b"mine")
    with pytest.raises(
        DatasetError, match="remove it and download it again; or, .* use it as it is"
    ):
        download(source(server), tmp_path)
    assert (tmp_path / "tiles.zip").read_bytes() == b"mine"


@pytest.mark.parametrize("length", ["many", "-5", "9" * 5000])
def test_length_that_is_no_number_is_passed_over(
    server: Server, tmp_path: Path, length: str
) -> None:
    server.length = length
    seen: list[int | None] = []
    path = download(source(server), tmp_path, on_bytes=lambda _done, total: seen.append(total))
    assert path.read_bytes() == CONTENT
    assert set(seen) == {None}


@pytest.mark.parametrize("name", ["tiles.zip", "tiles.zip.part"])
def test_folder_in_the_place_of_the_file(server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=f"{name} is a folder"):
        download(source(server), tmp_path)
    assert server.asked == []


def test_server_that_is_down_keeps_what_there_is(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tiles.zip.part").write_bytes(CONTENT[:1000])
    server.status = 503
    with pytest.raises(DatasetError, match="cannot fetch .*start again, the download resumes"):
        download(source(server), tmp_path, pause_s=0)
    assert len(server.asked) == module.TRIES
    assert (tmp_path / "tiles.zip.part").read_bytes() == CONTENT[:1000]


def test_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DatasetError, match="answers 404"):
        download(source(server), tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "url",
    ["eurosat", "http://[::1", "http://127.0.0.1:port/", "http://a b/", "http://127.0.0.1:1/ä"],
)
def test_address_that_is_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatasetError, match="is not a URL"):
        download(Source(url=url, file="tiles.zip", md5=""), tmp_path)


def test_command_refuses_what_is_not_eurosat(server: Server, tmp_path: Path) -> None:
    arguments = ["download", "eurosat", "-o", str(tmp_path), "--url", server.url]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "expected c8fa014336c82ac7804f0398fcb19387" in result.stderr


def make_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"pixels")
    return path


def test_unpacked_folder_is_named_after_the_zip(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "tiles.zip", "EuroSAT_RGB/Forest/1.jpg", "__MACOSX/x")
    assert unpack(archive, tmp_path) == tmp_path / "tiles"
    assert (tmp_path / "tiles" / "Forest" / "1.jpg").read_bytes() == b"pixels"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiles", "tiles.zip"]
    with pytest.raises(OutputError, match="exists: remove it"):
        unpack(archive, tmp_path)


def test_unpacked_folder_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_zip(tmp_path / "tiles.zip", "Forest/1.jpg", "River/1.jpg")

    def stop(whole: Path, target: Path) -> None:
        assert len(list(whole.rglob("*.jpg"))) == 2
        assert not target.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiles.zip"]
    folder = unpack(archive, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["Forest", "River"]
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_entries_do_not_land_outside(tmp_path: Path) -> None:
    """Though what is unpacked has the published checksum."""
    (tmp_path / "in").mkdir()
    archive = make_zip(tmp_path / "in" / "tiles.zip", "a/1.jpg", "../evil.jpg", "/evil.jpg")
    unpack(archive, tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert not Path("/evil.jpg").exists()
