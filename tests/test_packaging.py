"""Recipes of other package systems say what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from geoclass import __version__
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAMES = {"torch": "pytorch"}
"""Where conda-forge has another name than the Python index."""


def test_conda_recipe_requires_what_the_package_requires() -> None:
    recipe = yaml.safe_load((ROOT / "packaging" / "conda" / "meta.yaml").read_text())
    wanted = []
    for requirement in PROJECT["project"]["dependencies"]:
        name, bound, rest = requirement.partition(">=")
        wanted.append(f"{NAMES.get(name, name)} {bound}{rest}")
    python = f"python {PROJECT['project']['requires-python']}"
    assert recipe["requirements"]["run"] == [python, *wanted]
    assert recipe["package"]["version"] == __version__
    assert recipe["requirements"]["host"][-1] == PROJECT["build-system"]["requires"][0].replace(
        ">=", " >="
    )
    (entry,) = PROJECT["project"]["scripts"].items()
    assert recipe["build"]["entry_points"] == [" = ".join(entry)]


def test_container_copies_what_the_build_needs() -> None:
    """What is copied is not left out by .dockerignore, and is all that the wheel is built of."""
    text = (ROOT / "packaging" / "Dockerfile").read_text()
    copied = {
        part
        for line in text.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for part in line.split()[1:-1]
    }
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert copied == allowed
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    named = {PROJECT["project"]["readme"], "LICENSE", "pyproject.toml", *wheel["packages"]}
    assert named | {Path(file).parts[0] for file in wheel["force-include"]} == copied
    assert "\nUSER 10001\n" in text


LOCK = ROOT / "packaging" / "lock"


def read_lock(name: str) -> dict[str, tuple[str, Marker | None, list[str]]]:
    """Version, marker and hashes of each package in a lock file, by name."""
    found = {}
    text = (LOCK / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        requirement, *hashes = line.split(" --hash=")
        parsed = Requirement(requirement)
        (pin,) = parsed.specifier
        assert pin.operator == "=="
        found[parsed.name] = (pin.version, parsed.marker, [part.strip() for part in hashes])
    return found


@pytest.mark.parametrize("name", ["test.txt", "plot.txt", "cuda.txt", "cpu.txt"])
def test_all_that_is_locked_has_hashes_and_no_address(name: str) -> None:
    locked = read_lock(name)
    assert locked
    for package, (_, _, hashes) in locked.items():
        assert hashes, package
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", part) for part in hashes), package
    assert "://" not in (LOCK / name).read_text()
    assert not re.search(r"^\s*-[^-]|--(index|extra|find)", (LOCK / name).read_text(), re.MULTILINE)


@pytest.mark.parametrize("extra", ["test", "plot"])
def test_the_lock_is_of_what_pyproject_asks_for(extra: str) -> None:
    locked, project = read_lock(f"{extra}.txt"), PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"][extra],
        *PROJECT["build-system"]["requires"],
    ]
    for text in wanted:
        requirement = Requirement(text)
        version, marker, _ = locked[canonicalize_name(requirement.name)]
        assert marker is None
        assert requirement.specifier.contains(version), f"{text}: run scripts/lock"


def test_builds_of_torch_are_of_one_version() -> None:
    (cpu,) = read_lock("cpu.txt").items()
    tested, shown = read_lock("test.txt"), read_lock("plot.txt")
    assert cpu[0] == "torch"
    assert cpu[1][0] == f"{tested['torch'][0]}+cpu"
    assert {name: shown[name][0] for name in shown} == {name: tested[name][0] for name in shown}
    needed = read_lock("cuda.txt")
    assert not needed.keys() & tested.keys()
    for _, marker, _ in needed.values():
        assert marker is not None
        assert not marker.evaluate({"sys_platform": "darwin"})
