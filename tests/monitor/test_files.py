"""The monitor file: read back, added to, and refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest

from geoclass.errors import OutputError, SettingsError
from geoclass.monitor.files import (
    add_dates,
    read_monitor,
    update_monitor,
    write_monitor,
)
from geoclass.monitor.history import Monitoring, match_alerts, monitor_maps
from geoclass.monitor.settings import AlignSettings, MonitorSettings, PairRate, SeriesSettings
from tests.monitor.scenes import CLOUD, CROP, FOREST, WATER, make_map, yearly

F, C, W, X = FOREST, CROP, WATER, CLOUD

YEARS = yearly(
    [[F, F, F, W]], [[F, F, F, W]], [[F, C, F, W]], [[F, C, X, W]],
    [[F, C, C, W]], [[F, C, C, F]], [[C, F, C, W]], [[C, F, C, W]],
    [[C, F, C, W]],
)  # fmt: skip


def assert_equal(one: Monitoring, other: Monitoring) -> None:
    np.testing.assert_array_equal(one.smoothed.path, other.smoothed.path)
    np.testing.assert_array_equal(one.smoothed.probability, other.smoothed.probability)
    np.testing.assert_array_equal(one.smoothed.groups, other.smoothed.groups)
    np.testing.assert_array_equal(one.smoothed.flows_ha, other.smoothed.flows_ha)
    assert one.history == other.history
    for a, b in zip(one.alerts, other.alerts, strict=True):
        for name in a.__slots__:
            if name != "losses":
                assert getattr(a, name) == getattr(b, name), name


def test_update_by_update_equals_all_at_once(tmp_path: Path) -> None:
    settings = MonitorSettings(
        watch=("forest", "water"),
        series=SeriesSettings(rate=0.03, pairs=(PairRate(old="forest", new="water", rate=0.01),)),
        align=AlignSettings(resample=True),
    )
    path = tmp_path / "m.gpkg"
    write_monitor(monitor_maps(YEARS[:2], settings=settings), path)
    for item in YEARS[2:]:
        stack, known = read_monitor(path)
        assert known == settings
        write_monitor(monitor_maps(add_dates(stack, [item]), settings=known), path)
    whole = monitor_maps(YEARS, settings=settings)
    stack, _ = read_monitor(path)
    np.testing.assert_array_equal(stack.probabilities, whole.stack.probabilities)
    again = monitor_maps(add_dates(stack.until(8), YEARS[8:]), settings=settings)
    assert_equal(again, whole)
    write_monitor(whole, tmp_path / "whole.gpkg")
    for layer in ("series", "alerts", "areas", "transitions", "history"):
        one = pyogrio.read_dataframe(path, layer=layer)
        assert one.equals(pyogrio.read_dataframe(tmp_path / "whole.gpkg", layer=layer)), layer
    assert len(pyogrio.read_dataframe(path, layer="history")) > 3


def test_borne_mismatches_are_remembered(tmp_path: Path) -> None:
    strange = replace(YEARS[1].landcover.provenance, radiometry={"name": "l2a"})
    other = replace(YEARS[1], landcover=replace(YEARS[1].landcover, provenance=strange))
    settings = MonitorSettings(align=AlignSettings(allow_mismatch=True))
    path = tmp_path / "m.gpkg"
    result = monitor_maps([YEARS[0], other], settings=settings)
    assert len(result.stack.mismatches) == 1
    write_monitor(result, path)
    assert update_monitor(path, YEARS[2:3]).stack.mismatches == result.stack.mismatches


def test_alerts_keep_their_numbers_rise_and_are_withdrawn() -> None:
    result = monitor_maps(YEARS)
    steps = [(r.alert_id, r.day.year, r.step, r.level) for r in result.history]
    # Cell 1 goes in 2017; it is forest again from 2021 on, which does not undo the loss.
    assert (1, 2017, "issued", "low") in steps or (1, 2018, "issued", "high") in steps
    assert any(step == "raised" for _, _, step, _ in steps)
    assert [a.alert_id for a in result.alerts] == sorted({a.alert_id for a in result.alerts})


def test_a_withdrawn_alert_keeps_its_number_when_it_comes_back() -> None:
    (alert,) = monitor_maps(yearly([[F]], [[F]], [[C]], [[C]])).alerts
    numbered, rows = match_alerts([], [], [alert], alert.first_gone)
    assert (numbered[0].alert_id, rows[0].step) == (1, "issued")
    gone, rows = match_alerts(numbered, [], [], alert.first_gone)
    assert (gone, rows[0].step) == ([], "withdrawn")
    back, rows = match_alerts([], numbered, [alert], alert.first_gone)
    assert (back[0].alert_id, rows[0].step) == (1, "issued")


def test_alerts_that_grow_together_are_merged_into_the_larger() -> None:
    def event(drawing: list[list[int]]) -> Monitoring:
        before = [[F] * len(drawing[0])]
        return monitor_maps(yearly(before, before, drawing, drawing))

    apart = event([[C, C, F, C]]).alerts
    assert [a.alert_id for a in apart] == [1, 2]
    joined, rows = match_alerts(apart, [], event([[C, C, C, C]]).alerts, apart[0].first_gone)
    assert [a.alert_id for a in joined] == [1]
    assert [(r.alert_id, r.step, r.into) for r in rows] == [(1, "resized", None), (2, "merged", 1)]
    split, rows = match_alerts(joined, [], apart, apart[0].first_gone)
    assert [(a.alert_id, len(a.losses)) for a in split] == [(1, 2), (2, 1)]


def test_earlier_and_known_dates_cannot_be_added(tmp_path: Path) -> None:
    write_monitor(monitor_maps(YEARS[:3]), tmp_path / "m.gpkg")
    stack, _ = read_monitor(tmp_path / "m.gpkg")
    for item in (YEARS[0], YEARS[2], make_map([[F] * 4], "2016-01-01")):
        with pytest.raises(SettingsError, match=r"already reaches 2017-06-01"):
            add_dates(stack, [item])
    with pytest.raises(SettingsError, match="no new scenes"):
        add_dates(stack, [])


def test_other_files_and_other_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gpkg"
    with pytest.raises(OutputError, match="no file at"):
        read_monitor(path)
    path.write_text("hello")
    with pytest.raises(OutputError, match="as a GeoPackage"):
        read_monitor(path)
    write_monitor(monitor_maps(YEARS[:3]), path)
    with closing(sqlite3.connect(path)) as database, database:
        (text,) = database.execute(
            "SELECT metadata FROM gpkg_metadata WHERE metadata LIKE ?", ("%GEOCLASS_MONITOR%",)
        ).fetchone()
        newer = text.replace('"schema_version": 1', '"schema_version": 9', 1)
        newer = newer.replace("&quot;schema_version&quot;: 1", "&quot;schema_version&quot;: 9", 1)
        assert newer != text
        database.execute("UPDATE gpkg_metadata SET metadata = ? WHERE metadata = ?", (newer, text))
    with pytest.raises(OutputError, match="schema version 9, this geoclass writes 1"):
        read_monitor(path)


def test_damaged_observations_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.gpkg"
    write_monitor(monitor_maps(YEARS[:3]), path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE geoclass_blobs SET content = X'00'")
    with pytest.raises(OutputError, match="has been changed or damaged"):
        read_monitor(path)


def test_the_description_travels_as_json(tmp_path: Path) -> None:
    write_monitor(monitor_maps(YEARS[:3]), tmp_path / "m.gpkg", command="geoclass monitor a b")
    items = pyogrio.read_info(tmp_path / "m.gpkg", layer="series")["layer_metadata"]
    assert json.loads(items["GEOCLASS_MONITOR"])["command"] == "geoclass monitor a b"
