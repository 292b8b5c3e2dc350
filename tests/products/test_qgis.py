"""Maps opened by QGIS itself, headless, as a user's drag and drop would."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geoclass.legend import EUROSAT, STATUS_STYLES
from geoclass.products.files import write_map
from tests.conftest import make_landcover

DESCRIBE = Path(__file__).parents[1] / "qgis_describe.py"
EXPECTED = {c.title: c.color for c in EUROSAT.classes} | {s.title: s.color for s in STATUS_STYLES}


@functools.cache
def find_qgis() -> str | None:
    """The Python that has qgis.core, if there is one."""
    for python in ("/usr/bin/python3", "python3"):
        try:
            subprocess.run([python, "-c", "import qgis.core"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


@pytest.fixture
def qgis() -> str:
    python = find_qgis()
    if python is None:
        reason = "no Python with qgis.core: apt-get install qgis-providers python3-qgis"
        if os.environ.get("GEOCLASS_REQUIRE_QGIS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return python


def describe(qgis: str, path: Path, layer: str) -> dict[str, Any]:
    run = subprocess.run(
        [qgis, DESCRIBE, path, layer, path.with_suffix(".png")],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Warning" not in run.stderr, run.stderr
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def test_geopackage_opens_with_its_default_style(qgis: str, tmp_path: Path) -> None:
    landcover = make_landcover(8, 8)
    write_map(landcover, tmp_path / "map.gpkg")
    seen = describe(qgis, tmp_path / "map.gpkg", "landcover")
    assert seen["valid"]
    assert seen["crs"] == "EPSG:32633"
    assert seen["renderer"] == "categorizedSymbol"
    assert seen["classes"] == EXPECTED
    assert seen["styles"] == ["Class", "Confidence"]
    assert seen["features"] == 63
    assert "Confidence (0–1)" in seen["aliases"]
    assert len(set(seen["shown"]) & set(EXPECTED.values())) >= 6


def test_geotiff_opens_with_names_and_colours(qgis: str, tmp_path: Path) -> None:
    landcover = make_landcover(8, 8)
    write_map(landcover, tmp_path / "map.tif")
    seen = describe(qgis, tmp_path / "map.tif", "-")
    assert seen["valid"]
    assert seen["crs"] == "EPSG:32633"
    assert seen["renderer"] == "paletted"
    assert seen["classes"] == EXPECTED
    present = {EUROSAT[int(code)].color for code in np.unique(landcover.class_id) if code < 10}
    assert present <= set(seen["shown"])
    assert seen["categories"][: len(EUROSAT)] == [c.title for c in EUROSAT.classes]
    assert seen["attributes"] == list(EXPECTED)
