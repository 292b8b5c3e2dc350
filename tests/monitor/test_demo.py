"""The demo's later dates, from the sample scene to alerts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import rasterio
import shapely

import geoclass
from geoclass.mapping.settings import MapSettings
from geoclass.monitor.layers import outline
from geoclass.scene.settings import FrameSettings
from tests.conftest import SAMPLE_SCENE
from tests.test_scripts import load


def test_later_dates_are_made_alike_each_time_and_say_what_they_are(tmp_path: Path) -> None:
    module = load("make_sample_scenes")
    module.simulate_later(SAMPLE_SCENE, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "clearings.json", "havelland_20180211_simulated.tif", "havelland_20190226_simulated.tif",
        "havelland_20200216_simulated.tif",
    ]  # fmt: skip
    with rasterio.open(tmp_path / names[2]) as later, rasterio.open(SAMPLE_SCENE) as scene:
        assert "made up" in later.tags()["SIMULATED"]
        one, before = later.read().astype(float), scene.read().astype(float)
    told = json.loads((tmp_path / "clearings.json").read_text())
    assert [round(c["area_ha"]) for c in told] == [100, 20, 10, 5, 2, 1]
    first = told[0]
    inside = np.s_[0, first["row"] - 20 : first["row"] + 20, first["col"] - 20 : first["col"] + 20]
    assert one[inside].mean() > 1.4 * before[inside].mean()
    again = tmp_path / "again"
    again.mkdir()
    module.simulate_later(SAMPLE_SCENE, again)
    assert (again / names[2]).read_bytes() == (tmp_path / names[2]).read_bytes()


def test_every_clearing_of_two_hectares_is_found_and_nothing_elsewhere(tmp_path: Path) -> None:
    later = load("make_sample_scenes").simulate_later(SAMPLE_SCENE, tmp_path)
    settings = MapSettings(frame=FrameSettings(snap=True))
    maps = [
        geoclass.date_map(geoclass.map_scene(path, settings=settings))
        for path in (SAMPLE_SCENE, *later)
    ]
    result = geoclass.monitor_maps(maps)
    alerts = [outline(result, alert) for alert in result.alerts]
    clearings = [
        shapely.box(c["x"] - side, c["y"] - side, c["x"] + side, c["y"] + side)
        for c in json.loads((tmp_path / "clearings.json").read_text())
        for side in [np.sqrt(c["area_ha"] * 1e4) / 2]
    ]
    large = [c for c in clearings if c.area >= 1.9e4]
    assert len(large) == 5
    assert all(any(alert.intersects(c) for alert in alerts) for c in large)
    # A cell reaches 40 m beyond an outline, which is rougher than a square.
    assert all(any(alert.distance(c) < 80 for c in clearings) for alert in alerts)
