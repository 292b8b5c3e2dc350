"""Maps written to storage behind s3://, here a server of moto's on this machine."""

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
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import numpy as np
import pytest
from click.testing import CliRunner

from geoclass.campaign.jobs import CampaignSettings
from geoclass.campaign.run import Execute, execute_here, run_campaign
from geoclass.campaign.workers import ExecuteInProcesses
from geoclass.cli.main import main
from geoclass.errors import OutputError
from geoclass.products import writing
from geoclass.products.files import read_map
from geoclass.products.writing import parse_target
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
    writing._connect.cache_clear()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.client]:
    """A client of the server, with an empty bucket `maps`."""
    point_to(monkeypatch, server)
    post(server, "/moto-api/reset")
    client = boto3.client("s3", endpoint_url=f"http://{server}", region_name="us-east-1")
    client.create_bucket(Bucket="maps")
    yield client
    writing._connect.cache_clear()


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
    campaign = CampaignSettings(map_format=map_format)
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
    assert stale.counts == {"mapped": 1, "up to date": 2, "failed": 1}
    assert run_campaign(inputs, "s3://maps/a/b", campaign).counts["up to date"] == 3


def test_file_of_someone_else_is_left_alone(s3: boto3.client, scenes: Path) -> None:
    s3.put_object(Bucket="maps", Key="good1.tif", Body=b"mine")
    scene = str(scenes / "good1.tif")
    refused = run_campaign([scene], "s3://maps", CampaignSettings(map_format="tif"))
    assert "s3://maps/good1.tif exists and is no map of geoclass" in refused.failures[0].reason
    assert s3.get_object(Bucket="maps", Key="good1.tif")["Body"].read() == b"mine"
    forced = CampaignSettings(map_format="tif", overwrite=True)
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


def test_connection_that_drops_while_uploading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                connection.recv(100)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        point_to(monkeypatch, f"127.0.0.1:{listener.getsockname()[1]}")
        file = tmp_path / "file"
        file.write_bytes(bytes(20_000_000))
        target = parse_target("s3://maps/map.tif")
        with pytest.raises(OutputError, match="cannot write s3://maps/map.tif") as caught:
            target.upload(file)
        assert "\n" not in str(caught.value)
    writing._connect.cache_clear()


@dataclass
class Relay:
    """What stands before the server, and may lose what it sends."""

    drops: int = 0
    """So many of the next answers with a body are cut off."""


@pytest.fixture
def relay(server: str, s3: boto3.client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    state = Relay()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
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
            if self.command == "GET" and state.drops:
                state.drops -= 1
                body, self.close_connection = body[: len(body) // 2], True
            self.wfile.write(body)

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

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
        writing._connect.cache_clear()


@pytest.mark.parametrize("map_format", ["gpkg", "tif"])
def test_connection_that_drops_makes_no_map_a_foreign_file(
    s3: boto3.client, relay: Relay, scenes: Path, map_format: str
) -> None:
    inputs, campaign = [str(scenes / "good0.tif")], CampaignSettings(map_format=map_format)
    assert run_campaign(inputs, "s3://maps", campaign).counts["mapped"] == 1
    written = keys(s3)
    relay.drops = 3
    assert run_campaign(inputs, "s3://maps", campaign).counts["up to date"] == 1
    assert relay.drops == 0

    relay.drops = 1000
    careless = CampaignSettings(map_format=map_format, overwrite=True)
    failed = run_campaign(inputs, "s3://maps", careless).failures[0].reason
    assert f"cannot read s3://maps/good0.{map_format}: " in failed
    assert "\n" not in failed
    output = f"s3://maps/good0.{map_format}"
    result = CliRunner().invoke(main, ["map", *inputs, "-o", output])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"cannot read {output}: " in result.stderr
    relay.drops = 0
    assert {k: v for k, v in keys(s3).items() if "good" in k} == {
        k: v for k, v in written.items() if "good" in k
    }


def test_storage_is_asked_for_several_maps_at_a_time(
    s3: boto3.client, make_scene: Make, tmp_path: Path
) -> None:
    (tmp_path / "scenes").mkdir()
    for n in range(8):
        make_scene(paint([[n]]), f"scenes/good{n}.tif")
    inputs = [str(tmp_path / "scenes")]
    first = run_campaign(inputs, "s3://maps")
    lock, at_work, most = threading.Lock(), [0], [0]

    def count(**_: object) -> None:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        time.sleep(0.2)
        with lock:
            at_work[0] -= 1

    writing._connect().meta.events.register("before-send.s3.HeadObject", count)
    again = run_campaign(inputs, "s3://maps")
    assert again.counts == {"mapped": 0, "up to date": 8, "failed": 0}
    assert [o.job for o in again.outcomes] == [o.job for o in first.outcomes]
    assert most[0] > 3


@pytest.mark.parametrize("output", ["gs://bucket/maps/", "az://bucket/map.tif"])
def test_other_storage_is_refused(scenes: Path, output: str) -> None:
    result = CliRunner().invoke(main, ["map", str(scenes / "good0.tif"), "-o", output])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "cannot write to" in result.stderr


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
