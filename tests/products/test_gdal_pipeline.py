"""geoclass as a step of `gdal pipeline`, which GDAL has from 3.13 on.

The program is `gdal` on the PATH, or what GEOCLASS_GDAL names.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.cli.test_commands import run
from tests.conftest import ROOT

Make = Callable[..., Path]

GEOCLASS = f"{shlex.quote(sys.executable)} -m geoclass"


@pytest.fixture(scope="module")
def gdal() -> str:
    """A program with the step external."""
    program = shutil.which(os.environ.get("GEOCLASS_GDAL", "gdal"))
    if program is None:
        pytest.skip("no program gdal: GDAL 3.13 or newer has one with the step external")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"GDAL (\d+)\.(\d+)", told)
    if version is None or tuple(map(int, version.groups())) < (3, 13):
        pytest.skip(f"the step external needs GDAL 3.13 or newer, got {told.strip()}")
    return program


def run_pipeline(gdal: str, folder: Path, *steps: str) -> subprocess.CompletedProcess[str]:
    """Steps of `gdal pipeline`; programs may run, and temporary files are in the folder."""
    return subprocess.run(
        [gdal, "pipeline", "--config", "GDAL_ENABLE_EXTERNAL=YES", "--config",
         f"CPL_TMPDIR={folder}", *(word for step in steps for word in ("!", *shlex.split(step)))],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def make_l1c(make_scene: Make) -> Path:
    """Ten tiles of digital numbers, without a tag that says what they mean."""
    numbers = np.random.default_rng(0).integers(300, 2500, (3, 1, 10, 1))
    return make_scene(numbers.repeat(64, axis=1).repeat(64, axis=2)[..., 0].astype(np.uint16))


def test_a_pipeline_maps_as_the_program_does(
    gdal: str, make_scene: Make, random_model: Path, tmp_path: Path
) -> None:
    scene, alone, piped = make_l1c(make_scene), tmp_path / "alone.tif", tmp_path / "piped.tif"
    told = f"-m {shlex.quote(str(random_model))} --radiometry l1c"
    step = f"{GEOCLASS} map <INPUT> -o <OUTPUT> --overwrite {told}"
    done = run_pipeline(
        gdal,
        tmp_path,
        f"read {scene}",
        f"external {shlex.quote(step)}",
        "select 1",
        f"write {piped}",
    )
    assert done.returncode == 0, done.stderr
    run("map", scene, "-o", alone, "-m", random_model, "--radiometry", "l1c")
    with rasterio.open(alone) as wanted, rasterio.open(piped) as got:
        np.testing.assert_array_equal(got.read(1), wanted.read(1))
        for code in range(10):
            assert got.colormap(1)[code] == wanted.colormap(1)[code]
        assert got.transform == wanted.transform


def test_a_failed_step_fails_the_pipeline(gdal: str, make_scene: Make, tmp_path: Path) -> None:
    step = f"{GEOCLASS} map <INPUT> -o <OUTPUT> --overwrite --bands 1,2,9"
    done = run_pipeline(
        gdal,
        tmp_path,
        f"read {make_l1c(make_scene)}",
        f"external {shlex.quote(step)}",
        f"write {tmp_path / 'piped.tif'}",
    )
    assert done.returncode != 0
    assert "Error: " in done.stderr + done.stdout
    assert not (tmp_path / "piped.tif").exists()
