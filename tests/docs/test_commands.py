"""Every command that README and guides tell a reader to type, run on small stand-ins."""

from __future__ import annotations

import itertools
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from geoclass.cli.main import main
from tests.docs import standins
from tests.docs.pages import PAGES, read_commands, read_python

NOT_RUN = {
    "git clone … && cd geoclass": "fetches the repository",
    "./scripts/demo": "makes an environment; what it runs then is on the page of the monitor",
    "./scripts/test": "runs this very test",
    "geoclass download eurosat --unpack": "fetches 95 MB; test_download.py has a server",
    "geoclass map https://example.org/scene.tif --bbox 11.2,46.4,11.5,46.6 -o part.gpkg": (
        "asks the network; tests/mapping/test_remote_map.py has a server"
    ),
    "geoclass train EuroSAT_RGB.zip -o customnet.safetensors --arch customnet": (
        "442 million parameters need 10 GB and hours; tests/model/test_networks.py builds them"
    ),
}
"""Command → why it is not run."""

ADDED = {
    "geoclass train EuroSAT_RGB.zip -o model.safetensors": "--epochs 1 --batch-size 16",
    "geoclass train my_tiles -o mine.safetensors --from shipped": "--epochs 1",
    # The stand-in is not what the shipped model was trained beside.
    "geoclass evaluate shipped EuroSAT_RGB.zip --corrupt": "--part all",
}
"""Command → what is typed behind it, so that seconds will do."""

BEFORE: dict[str, Callable[[Path], object]] = {
    "geoclass monitor --update demo_output/monitor.gpkg NEW_SCENE.tif": (standins.make_later_scene),
    "geoclass sample demo_output/landcover.gpkg -o demo_output/sample.gpkg --per-class 50": (
        standins.map_sample
    ),
    "geoclass assess demo_output/sample.gpkg": standins.label_sample,
}
"""Command → what a person has done before."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    standins.make_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> None:
    program, *args = shlex.split(f"{command} {ADDED.get(command, '')}")
    args = [path for arg in args for path in expand(arg)]
    if program == "geoclass":
        result = CliRunner().invoke(main, args)
        assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception}"
    else:
        started = sys.executable if program == "python" else program
        subprocess.run([started, *args], check=True, capture_output=True)


def expand(argument: str) -> list[str]:
    """What a shell makes of a pattern."""
    found = sorted(map(str, Path().glob(argument))) if "*" in argument else []
    return found or [argument]


@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page: str, folder: Path) -> None:
    commands = [command for command in read_commands(page) if command not in NOT_RUN]
    assert commands
    for command in commands:
        if command in BEFORE:
            BEFORE[command](folder)
        run(command)
        for output in written_by(command):
            assert (folder / output).exists(), f"{command} did not write {output}"


def written_by(command: str) -> list[str]:
    """The files that a command names as its outputs."""
    words = shlex.split(command)
    options = ("-o", "--output", "--show", "--sheet", "--confusion", "--chart", "--tables")
    return [file for option, file in itertools.pairwise(words) if option in options]


def test_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [block for page in PAGES for block in read_python(page)]
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "2018-06-01" in capsys.readouterr().out


def test_lists_name_commands_of_the_pages() -> None:
    commands = {command for page in PAGES for command in read_commands(page)}
    assert {*NOT_RUN, *ADDED, *BEFORE} <= commands
