"""Maps written to storage, here servers on this machine: moto's, and one of our own."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import boto3
import numpy as np
import pytest
from click.testing import CliRunner

from geoclass.campaign.run import Execute, execute_here, run_campaign
from geoclass.campaign.workers import ExecuteInProcesses
from geoclass.cli.main import main
from geoclass.errors import OutputError
from geoclass.files import storage
from geoclass.files.writing import parse_target
from geoclass.mapping.settings import MapRequest
from geoclass.products.files import read_map
from tests.conftest import paint

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """HOST:PORT. A process of its own: GDAL may hold the interpreter while it waits."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def point_to(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings = {
        "AWS_S3_ENDPOINT": endpoint,
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    storage._connect.cache_clear()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.client]:
    """A client of the server, with an empty bucket `maps`."""
    point_to(monkeypatch, server)
    post(server, "/moto-api/reset")
    client = boto3.client("s3", endpoint_url=f"http://{server}", region_name="us-east-1")
    client.create_bucket(Bucket="maps")
    yield client
    storage._connect.cache_clear()


def post(server: str, path: str, data: bytes = b"") -> None:
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"http://{server}{path}", data=data, headers=plain)
    urllib.request.urlopen(request).close()


def keys(s3: boto3.client) -> dict[str, str]:
    found = s3.list_objects_v2(Bucket="maps").get("Contents", [])
    return {item["Key"]: item["LastModified"].isoformat() + item["ETag"] for item in found}


@pytest.fixture
def scenes(make_scene: Make, tmp_path: Path) -> Path:
    (tmp_path / "scenes").mkdir()
    for n in range(3):
        make_scene(paint([[n, 1], [3, n + 5]]), f"scenes/good{n}.tif")
    (tmp_path / "scenes" / "text.tif").write_text("no raster")
    return tmp_path / "scenes"


@pytest.mark.parametrize(
    ("map_format", "execute"), [("gpkg", execute_here), ("tif", ExecuteInProcesses(2))]
)
def test_folder_of_maps(
    s3: boto3.client, scenes: Path, tmp_path: Path, map_format: str, execute: Execute
) -> None:
    campaign = MapRequest(map_format=map_format)
    inputs = [str(scenes)]
    first = run_campaign(inputs, "s3://maps/a/b/", campaign, execute=execute)
    assert first.counts == {"mapped": 3, "up to date": 0, "failed": 1}
    written = keys(s3)
    beside = ["", ".aux.xml"] if map_format == "tif" else [""]
    expected = {f"a/b/good{n}.{map_format}{s}" for n in range(3) for s in beside}
    expected |= {f"a/b/good{n}.qml" for n in range(3)} if map_format == "tif" else set()
    assert set(written) == expected | {"a/b/summary.json", "a/b/failures.csv"}
    body = s3.get_object(Bucket="maps", Key="a/b/summary.json")["Body"].read()
    assert json.loads(body)["failed"] == 1

    here = run_campaign(inputs, tmp_path / "here", campaign)
    for far, near in zip(first.outcomes[:3], here.outcomes[:3], strict=True):
        one, other = read_map(str(far.job.output)), read_map(near.job.output)
        assert np.array_equal(one.probabilities, other.probabilities)

    again = run_campaign(inputs, "s3://maps/a/b", campaign, execute=execute)
    assert again.counts == {"mapped": 0, "up to date": 3, "failed": 1}
    assert {k: v for k, v in keys(s3).items() if "good" in k} == {
        k: v for k, v in written.items() if "good" in k
    }
    os.utime(scenes / "good1.tif", ns=(1, 1))
    stale = run_campaign(inputs, "s3://maps/a/b", campaign, execute=execute)
    assert stale.counts == {"mapped": 0, "up to date": 2, "failed": 2}
    assert (
        f"s3://maps/a/b/good1.{map_format} exists and is not this map" in stale.failures[0].reason
    )
    forced = replace(campaign, overwrite=True)
    stale = run_campaign(inputs, "s3://maps/a/b", forced, execute=execute)
    assert stale.counts == {"mapped": 1, "up to date": 2, "failed": 1}
    assert run_campaign(inputs, "s3://maps/a/b", campaign).counts["up to date"] == 3


def test_file_of_someone_else_is_left_alone(s3: boto3.client, scenes: Path) -> None:
    s3.put_object(Bucket="maps", Key="good1.tif", Body=b"mine")
    scene = str(scenes / "good1.tif")
    refused = run_campaign([scene], "s3://maps", MapRequest(map_format="tif"))
    assert "s3://maps/good1.tif exists and is no map of geoclass" in refused.failures[0].reason
    assert s3.get_object(Bucket="maps", Key="good1.tif")["Body"].read() == b"mine"
    forced = MapRequest(map_format="tif", overwrite=True)
    assert run_campaign([scene], "s3://maps", forced).counts["mapped"] == 1


def test_one_map_of_a_scene_in_storage(s3: boto3.client, scenes: Path) -> None:
    s3.upload_file(str(scenes / "good0.tif"), "maps", "scenes/good0.tif")
    scene = "s3://maps/scenes/good0.tif"
    for output in ("s3://maps/one.gpkg", "s3://maps/one.tif"):
        first = CliRunner().invoke(main, ["map", scene, "-o", output])
        assert first.exit_code == 0, first.output
        assert f"wrote {output}" in first.output
        again = CliRunner().invoke(main, ["map", scene, "-o", output])
        assert f"{output} is up to date" in again.output
        other = CliRunner().invoke(main, ["map", scene, "-o", output, "--min-valid", "0.4"])
        assert other.exit_code == 1
        assert f"{output} exists and is not this map" in other.output
    itself = CliRunner().invoke(main, ["map", scene, "-o", scene, "--overwrite"])
    assert itself.exit_code == 1
    assert "would replace it" in itself.stderr
    overwrite = ["map", scene, "-f", "tif", "-o", "s3://maps/scenes/", "--overwrite"]
    assert "would replace it" in CliRunner().invoke(main, overwrite).output


def test_what_is_wrong_with_storage_is_one_line(
    s3: boto3.client, server: str, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = str(scenes / "good0.tif")
    for output in ("s3://nowhere/", "s3://nowhere/map.tif"):
        result = CliRunner().invoke(main, ["map", scene, "-o", output])
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "cannot use the bucket nowhere: there is none of that name" in result.stderr
    post(server, "/moto-api/reset-auth", b"0")
    try:
        result = CliRunner().invoke(main, ["map", scene, "-o", "s3://maps/"])
    finally:
        post(server, "/moto-api/reset-auth", b"inf")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "cannot use the bucket maps: access is denied" in result.stderr


@dataclass
class Relay:
    """What stands before the server, and may lose what it sends."""

    drops: int = 0
    """So many of the next answers with a body are cut off."""
    heads: int = 0
    """Questions for an object at this moment."""
    most_heads: int = 0
    pause_s: float = 0.0
    """Before such a question is answered."""
    hangs_up: str = ""
    """The method of requests that are not answered."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def count(self, command: str) -> Iterator[None]:
        asked = command == "HEAD"
        with self.lock:
            self.heads += asked
            self.most_heads = max(self.most_heads, self.heads)
        time.sleep(self.pause_s * asked)
        yield
        with self.lock:
            self.heads -= asked


@pytest.fixture
def relay(server: str, s3: boto3.client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    state = Relay()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.command == state.hangs_up:
                self.close_connection = True
                return
            with state.count(self.command):
                self.relay(content)

        def relay(self, content: bytes) -> None:
            far = http.client.HTTPConnection(server)
            far.request(self.command, self.path, content, dict(self.headers))
            answer = far.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            far.close()
            if self.command == "GET" and "list-type" not in self.path and state.drops:
                state.drops -= 1
                body, self.close_connection = body[: len(body) // 2], True
            self.wfile.write(body)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Quietly."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    point_to(monkeypatch, f"127.0.0.1:{proxy.server_address[1]}")
    try:
        yield state
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
        storage._connect.cache_clear()


def test_connection_that_drops_while_uploading(
    s3: boto3.client, relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "RETRIES", 1)
    relay.hangs_up = "PUT"
    for size in (1000, 20_000_000):  # the larger one in parts
        (tmp_path / "file").write_bytes(bytes(size))
        with pytest.raises(OutputError, match="cannot write s3://maps/map.tif") as caught:
            parse_target("s3://maps/map.tif").upload(tmp_path / "file")
        assert "\n" not in str(caught.value)
    assert keys(s3) == {}


@pytest.mark.parametrize("map_format", ["gpkg", "tif", "parquet"])
def test_connection_that_drops_makes_no_map_a_foreign_file(
    s3: boto3.client, relay: Relay, scenes: Path, map_format: str
) -> None:
    """Maps without a note, as other programs copy them, are fetched to be looked into."""
    inputs, request = [str(scenes / "good0.tif")], MapRequest(map_format=map_format)
    assert run_campaign(inputs, "s3://maps", request).counts["mapped"] == 1
    key, output = f"good0.{map_format}", f"s3://maps/good0.{map_format}"
    body = s3.get_object(Bucket="maps", Key=key)["Body"].read()
    s3.put_object(Bucket="maps", Key=key, Body=body)
    written = keys(s3)
    relay.drops = 2
    assert run_campaign(inputs, "s3://maps", request).counts["up to date"] == 1
    assert relay.drops == 0

    relay.drops = 1000
    careless = replace(request, overwrite=True)
    failed = run_campaign(inputs, "s3://maps", careless).failures[0].reason
    assert f"cannot read {output}: " in failed
    assert "\n" not in failed
    result = CliRunner().invoke(main, ["map", *inputs, "-o", output])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"cannot read {output}: " in result.stderr
    relay.drops = 0
    assert {k: v for k, v in keys(s3).items() if "good" in k} == {
        k: v for k, v in written.items() if "good" in k
    }


def test_storage_is_asked_for_several_maps_at_a_time(
    s3: boto3.client, relay: Relay, make_scene: Make, tmp_path: Path
) -> None:
    (tmp_path / "scenes").mkdir()
    for n in range(8):
        make_scene(paint([[n]]), f"scenes/good{n}.tif")
    inputs = [str(tmp_path / "scenes")]
    first = run_campaign(inputs, "s3://maps")
    relay.most_heads, relay.pause_s = 0, 0.2
    again = run_campaign(inputs, "s3://maps")
    assert again.counts == {"mapped": 0, "up to date": 8, "failed": 0}
    assert [o.job for o in again.outcomes] == [o.job for o in first.outcomes]
    assert relay.most_heads > 3


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A server that keeps objects as Google's and Azure's do; what it keeps, by path."""
    kept: dict[str, bytes] = {}
    notes: dict[str, dict[str, str]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            path = unquote(self.path)
            kept[path] = self.rfile.read(int(self.headers["Content-Length"]))
            notes[path] = {k: v for k, v in self.headers.items() if "-meta-" in k.lower()}
            self.answer(201, b"")

        def do_GET(self) -> None:
            path, _, query = unquote(self.path).partition("?")
            if "list" in query:
                listing = b"<EnumerationResults><Blobs/></EnumerationResults>"
                self.answer(200, b"<ListBucketResult/>" if "list-type" in query else listing)
            elif path in kept:
                self.answer(200, kept[path], notes[path])
            else:
                self.answer(404, b"")

        do_HEAD = do_GET  # noqa: N815

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            usual = {"ETag": '"1"', "Last-Modified": "Mon, 01 Jun 2020 00:00:00 GMT"}
            for name, value in {**usual, **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    account = {
        "gcs_base_url": address,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
    }
    (tmp_path / "account.json").write_text(json.dumps({**account, "private_key_id": ""}))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", address)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "mine")
    monkeypatch.setenv("AZURE_STORAGE_ACCESS_KEY", "c2VjcmV0")
    storage._connect.cache_clear()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        storage._connect.cache_clear()


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_storage_of_google_and_azure(
    clouds: dict[str, bytes], scenes: Path, tmp_path: Path, scheme: str
) -> None:
    inputs, folder = [str(scenes / "good0.tif"), str(scenes / "good1.tif")], f"{scheme}://bucket/a"
    request = MapRequest(map_format="tif")
    assert run_campaign(inputs, folder, request).counts["mapped"] == 2
    beside = {f"good{n}{suffix}" for n in (0, 1) for suffix in (".tif", ".tif.aux.xml", ".qml")}
    assert {Path(path).name for path in clouds} == {*beside, "summary.json", "failures.csv"}
    assert all("/bucket/a/" in path for path in clouds)
    here = run_campaign(inputs, tmp_path / "here", request)
    for outcome in here.outcomes:
        far, near = read_map(f"{folder}/{outcome.job.output.name}"), read_map(outcome.job.output)
        assert np.array_equal(far.probabilities, near.probabilities)
    assert run_campaign(inputs, folder, request).counts["up to date"] == 2
    other = ["map", inputs[0], "-o", f"{folder}/good1.tif"]
    assert "exists and is not this map" in CliRunner().invoke(main, other).stderr


@pytest.mark.parametrize("output", ["https://host/maps/", "/vsis3/bucket/map.tif", "S3:///x.tif"])
def test_other_addresses_are_refused(scenes: Path, output: str) -> None:
    result = CliRunner().invoke(main, ["map", str(scenes / "good0.tif"), "-o", output])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "cannot write to" in result.stderr or "names no bucket" in result.stderr


def test_credentials_in_files_need_boto3(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: boto3.client
) -> None:
    """As `aws configure` writes them; obstore reads variables alone."""
    (tmp_path / ".aws").mkdir()
    keys = "aws_access_key_id = dummy\naws_secret_access_key = dummy\n"
    (tmp_path / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    command = ["map", str(scenes / "good0.tif"), "-o", "s3://maps/map.tif"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    storage._connect.cache_clear()
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.delitem(sys.modules, "obstore.auth.boto3", raising=False)
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "need boto3, which is not installed: pip install 'geoclass[s3]'" in result.stderr


def test_outputs_that_stay_local_say_so(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    both = [str(scenes / "good0.tif"), str(scenes / "good1.tif")]
    for command in (
        ["map", *both, "-o", "s3://maps/all.gpkg"],
        ["change", *both, "-o", "s3://maps/change.gpkg"],
        ["monitor", *both, "-o", "s3://maps/monitor.gpkg"],
        ["train", str(scenes), "-o", "s3://maps/model.safetensors"],
    ):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1, command
        assert result.stderr.count("\n") == 1
        assert "must be a local file" in result.stderr, (command, result.stderr)
    assert not (tmp_path / "s3:").exists()
