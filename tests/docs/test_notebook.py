"""The notebook runs and prints what is stored in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "scene-to-alert.ipynb"

RUN = """
import sys
import nbformat
from nbclient import NotebookClient

source, target, root = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
NotebookClient(notebook, timeout=300, resources={"metadata": {"path": root}}).execute()
nbformat.write(notebook, target)
"""
"""Runs in a process of its own, because its libraries print warnings."""


def read_outputs(path: Path) -> list[tuple[str, list[str]]]:
    """Printed text and kinds of output of each code cell."""
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    return [(_printed(cell), _shown(cell)) for cell in cells]


def _printed(cell: dict[str, Any]) -> str:
    streams = [o for o in cell["outputs"] if o["output_type"] == "stream"]
    return "".join("".join(o["text"]) for o in streams if o["name"] == "stdout")


def _shown(cell: dict[str, Any]) -> list[str]:
    return [kind for o in cell["outputs"] for kind in o.get("data", {})]


def test_notebook_prints_what_is_stored_in_it(tmp_path: Path) -> None:
    target = tmp_path / "run.ipynb"
    subprocess.run([sys.executable, "-c", RUN, NOTEBOOK, target, ROOT], check=True)
    assert read_outputs(target) == read_outputs(NOTEBOOK), (
        "run jupyter execute --inplace docs/scene-to-alert.ipynb"
    )
