"""What other systems do differently: no program on the PATH, spawned processes, encodings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geoclass.products.files import read_map
from tests.conftest import ROOT, paint

Make = Callable[..., Path]


def run_module(*args: object, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """`python -m geoclass` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "geoclass", *map(str, args)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )


def test_module_maps_in_processes_in_folders_with_spaces(
    make_scene: Make, random_model: Path, tmp_path: Path
) -> None:
    """Processes are spawned, as Windows and macOS do: each imports the main module once more."""
    folder = tmp_path / "my scenes"
    folder.mkdir()
    for name in ("one day.tif", "another day.tif"):
        make_scene(paint([[0, 1]]), name).rename(folder / name)
    done = run_module("map", folder, "-o", f"{tmp_path / 'my maps'}{os.sep}", "--workers", 2,
                      "-m", random_model)  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = sorted((tmp_path / "my maps").glob("*.gpkg"))
    assert [path.name for path in made] == ["another day.gpkg", "one day.gpkg"]
    assert all(read_map(path).class_id.shape == (1, 2) for path in made)


@pytest.mark.parametrize(("command", "status"), [("completion", 2), ("schema", 0)])
def test_program_ends_with_all_printed_and_exit_functions_called(command: str, status: int) -> None:
    code = "import atexit; from geoclass.__main__ import run; atexit.register(print, 'end'); run()"
    done = subprocess.run(
        [sys.executable, "-c", code, command], capture_output=True, check=False, text=True
    )
    assert done.returncode == status
    printed, end = done.stdout[: -len("end\n")], done.stdout[-len("end\n") :]
    assert end == "end\n"
    assert (printed == "") == (status != 0)
    if status == 0:
        assert "commands" in json.loads(printed)


def test_characters_that_the_output_lacks_are_replaced(
    make_scene: Make, random_model: Path, tmp_path: Path
) -> None:
    """A pipe on Windows has an encoding of its own: `×` may not be in it."""
    scene = make_scene(paint([[0, 1]]))
    given = ("map", scene, "-o", tmp_path / "m.tif", "-m", random_model, "--dry-run")
    done = run_module(*given, PYTHONIOENCODING="cp437", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert b"128?64 pixels" in done.stdout
    assert "128×64 pixels" in run_module(*given, PYTHONUTF8="1").stdout.decode()
