"""The demo's later dates, from the sample scene to alerts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

import geoclass
from geoclass.mapping.settings import MapSettings
from geoclass.monitor.layers import outline
from geoclass.scene.settings import FrameSettings
from tests.conftest import SAMPLE_SCENE
from tests.test_scripts import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The later dates, and where they are cleared."""
    folder: Path = tmp_path_factory.mktemp("later")
    load("make_sample_scenes").simulate_later(SAMPLE_SCENE, folder)
    return folder


def test_later_dates_are_made_alike_each_time_and_say_what_they_are(
    folder: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "clearings.json", "havelland_20180211_simulated.tif", "havelland_20190226_simulated.tif",
        "havelland_20200216_simulated.tif",
    ]  # fmt: skip
    with rasterio.open(folder / names[2]) as later, rasterio.open(SAMPLE_SCENE) as scene:
        assert "made up" in later.tags()["SIMULATED"]
        one, before = later.read().astype(float), scene.read().astype(float)
    told = json.loads((folder / "clearings.json").read_text())
    assert [round(c["area_ha"]) for c in told] == [100, 20, 10, 5, 2, 1]
    first = told[0]
    inside = np.s_[0, first["row"] - 20 : first["row"] + 20, first["col"] - 20 : first["col"] + 20]
    assert one[inside].mean() > 1.4 * before[inside].mean()
    load("make_sample_scenes").simulate_later(SAMPLE_SCENE, tmp_path)
    assert (tmp_path / names[2]).read_bytes() == (folder / names[2]).read_bytes()


def test_every_clearing_of_two_hectares_is_found_and_nothing_elsewhere(folder: Path) -> None:
    later = sorted(folder.glob("*.tif"))
    settings = MapSettings(frame=FrameSettings(snap=True))
    maps = [
        geoclass.date_map(geoclass.map_scene(path, settings=settings))
        for path in (SAMPLE_SCENE, *later)
    ]
    result = geoclass.monitor_maps(maps)
    alerts = [outline(result, alert) for alert in result.alerts]
    clearings = [
        shapely.box(c["x"] - side, c["y"] - side, c["x"] + side, c["y"] + side)
        for c in json.loads((folder / "clearings.json").read_text())
        for side in [np.sqrt(c["area_ha"] * 1e4) / 2]
    ]
    large = [c for c in clearings if c.area >= 1.9e4]
    assert len(large) == 5
    assert all(any(alert.intersects(c) for alert in alerts) for c in large)
    # A cell reaches 40 m beyond an outline, which is rougher than a square.
    assert all(any(alert.distance(c) < 80 for c in clearings) for alert in alerts)
