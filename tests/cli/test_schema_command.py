"""What other programs are told about the commands, and about how far they are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import geoclass
from geoclass.cli.main import COMMANDS, main
from geoclass.monitor.settings import MonitorSettings
from tests.conftest import SAMPLE_SCENE


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    done = CliRunner().invoke(main, ["schema", "--json"], catch_exceptions=False)
    told: dict[str, Any] = json.loads(done.output)
    return told


def params(schema: dict[str, Any], command: str) -> dict[str, dict[str, Any]]:
    return {param["name"]: param for param in schema["commands"][command]["params"]}


def test_every_command_is_told(schema: dict[str, Any]) -> None:
    assert list(schema["commands"]) == list(COMMANDS)
    assert schema["version"] == geoclass.__version__
    assert all(command["help"] for command in schema["commands"].values())


def test_defaults_are_those_of_the_settings(schema: dict[str, Any]) -> None:
    monitor, defaults = params(schema, "monitor"), MonitorSettings()
    assert monitor["min_probability"]["default"] == defaults.min_probability
    assert monitor["rate"]["default"] == defaults.series.rate
    assert monitor["states"]["type"]["choices"] == ["classes", "groups"]
    assert monitor["min_probability"]["type"]["param_type"] == "Float"


def test_roles_say_what_an_option_is_about(schema: dict[str, Any]) -> None:
    found = params(schema, "map")
    roles = {
        name: found[name]["type"]["role"]
        for name in ("scenes", "output", "bbox", "crs", "aoi", "model", "preview")
    }
    assert roles == {
        "scenes": "layer",
        "output": "output",
        "bbox": "extent",
        "crs": "crs",
        "aoi": "polygons",
        "model": "file",
        "preview": "output",
    }
    assert found["preview"]["type"]["suffixes"] == [".png", ".svg", ".pdf"]
    assert found["scenes"]["nargs"] == -1
    assert found["output"]["required"]


def start_mapping(output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "geoclass", "--progress", "json", "map"]
    # As a shell's background job: that must not keep it from being stopped.
    return subprocess.Popen(
        [*command, str(SAMPLE_SCENE), "-o", str(output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509
    )


def test_progress_is_told_in_lines_of_json(tmp_path: Path) -> None:
    with start_mapping(tmp_path / "map.gpkg") as process:
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
    assert process.returncode == 0
    told = [json.loads(line)["progress"] for line in lines if line.startswith("{")]
    assert [line for line in lines if not line.startswith(("{", "Warning: "))] == []
    assert told[0] == {"name": SAMPLE_SCENE.name, "done": 0, "total": 288, "unit": "cell"}
    assert told[-1]["done"] == 288
    done = [each["done"] for each in told]
    assert done == sorted(done)


def test_end_of_input_stops_the_work_and_leaves_nothing(tmp_path: Path) -> None:
    with start_mapping(tmp_path / "map.gpkg") as process:
        assert process.stderr is not None
        assert process.stdin is not None
        assert '"progress"' in process.stderr.readline()
        process.stdin.close()
        rest = process.stderr.read()
    assert process.returncode == 1
    assert "Aborted!" in rest
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []


def test_input_that_is_no_pipe_stops_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "geoclass", "--progress", "json", "schema"]
    with Path("/dev/null").open() as nothing:
        done = subprocess.run(command, stdin=nothing, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["version"] == geoclass.__version__
