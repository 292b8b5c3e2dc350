"""Recipes of other package systems say what pyproject.toml says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

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
