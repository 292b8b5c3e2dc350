"""The package as a wheel, in an environment that holds what the wheel asks for and nothing else.

The environment's libraries are links to those that the tests run with, so nothing is downloaded.
What this shows: the wheel is whole, and its metadata name all that it needs, in versions that
work. What it does not: that a package index has them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from email.parser import HeaderParser
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

import pyogrio
import pytest
from packaging.requirements import Requirement

from geoclass.model.checkpoint import SHIPPED_WEIGHTS
from tests.conftest import ROOT, SAMPLE_SCENE

MAX_BYTES = 15_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment into which the wheel is installed."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    for needed in find_needed(wheel):
        for top in {file.parts[0] for file in needed.files or []} - {"..", "__pycache__"}:
            link = packages / top
            if not link.exists():  # some libraries share a folder
                link.symlink_to(needed.locate_file(top).absolute())
    return home / "bin"


def find_needed(wheel: Path) -> Iterator[Distribution]:
    """What the wheel requires, and what that requires, each once."""
    with ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        asked = HeaderParser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])
    found = set()
    while asked:
        requirement = Requirement(asked.pop())
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        needed = distribution(requirement.name)
        assert requirement.specifier.contains(needed.version, prereleases=True), requirement
        if needed.name not in found:
            found.add(needed.name)
            asked += needed.requires or []
            yield needed


def run(*command: object, folder: Path) -> str:
    """The output of a program in a folder of its own, without a way to the source."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**env, "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_the_package_and_little_else(wheel: Path) -> None:
    assert wheel.stat().st_size <= MAX_BYTES
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    folders = {name.partition("/")[0] for name in names}
    weights = f"geoclass/model/weights/{SHIPPED_WEIGHTS}"
    assert {"geoclass/py.typed", "geoclass/__init__.pyi", weights} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert len(folders) == 2, folders  # the package and its metadata


def test_the_environment_holds_the_wheel_and_no_more(programs: Path, tmp_path: Path) -> None:
    code = "import geoclass, importlib.util as u; print(geoclass.__file__, u.find_spec('pytest'))"
    place, pytest_there = run(programs / "python", "-c", code, folder=tmp_path).split()
    assert Path(place).is_relative_to(programs.parent)
    assert pytest_there == "None"


def test_installed_program_maps_the_sample_scene(programs: Path, tmp_path: Path) -> None:
    geoclass = programs / "geoclass"
    assert run(geoclass, "--version", folder=tmp_path).startswith("geoclass ")
    out = run(geoclass, "map", SAMPLE_SCENE, "-o", "map.gpkg", folder=tmp_path)
    assert out.endswith("wrote map.gpkg\n")
    assert len(pyogrio.read_dataframe(tmp_path / "map.gpkg", layer="landcover")) == 288


def test_demo_needs_no_other_file_and_no_program_on_the_path(
    programs: Path, tmp_path: Path
) -> None:
    out = run(programs / "python", "-m", "geoclass", "demo", "-o", "my demo", folder=tmp_path)
    assert "$ geoclass map " in out
    assert "--overwrite" in out
    assert pyogrio.read_info(tmp_path / "my demo" / "landcover.gpkg", layer="landcover")["features"]
    page = (tmp_path / "my demo" / "report.html").read_text()
    assert "Leaflet" in page
    assert "data:image/webp" in page  # the scene is behind the map
