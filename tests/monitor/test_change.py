"""Two maps compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest

from geoclass.errors import OutputError, SettingsError
from geoclass.monitor.align import date_map
from geoclass.monitor.change import (
    change_maps,
    compare_areas,
    compare_dates,
    expect_difference,
    write_change,
)
from geoclass.monitor.files import read_stack
from geoclass.monitor.settings import PairRate, SeriesSettings
from geoclass.products.files import write_map
from tests.monitor.scenes import CLOUD, CROP, FOREST, WATER, make_map

F, C, W, X = FOREST, CROP, WATER, CLOUD


def test_sure_changes_are_called_and_unsure_ones_are_not() -> None:
    old, new = make_map([[F, F, F]], "2020-06-01"), make_map([[F, C, X]], "2021-06-01", sure=0.99)
    change = change_maps(old, new, settings=SeriesSettings(rate=0.1))
    probability = change.probability[0]
    assert probability[0] < 0.01
    assert probability[1] > 0.5
    assert np.isnan(probability[2])
    unsure = change_maps(old, make_map([[F, C, X]], "2021-06-01", sure=0.4))
    assert unsure.probability[0, 1] < 0.3
    assert unsure.raw_share == 0.5


def test_the_longer_the_time_the_likelier_the_change() -> None:
    old = make_map([[F]], "2000-06-01")
    near, far = (change_maps(old, make_map([[C]], day)) for day in ("2001-06-01", "2020-06-01"))
    assert far.probability[0, 0] > near.probability[0, 0]


def test_the_expected_difference_is_that_of_two_independent_errors() -> None:
    rng = np.random.default_rng(0)
    n, classes = 200_000, 10
    right = np.array([0.9, 0.8])
    labels = np.where(
        rng.random((2, n)) < right[:, None], 0, rng.integers(1, classes, (2, n))
    )  # each label is the true one as often as its confidence says, else any other
    drawn = (labels[0] != labels[1]).mean()
    probabilities = np.zeros((2, 1, classes), dtype=np.uint8)
    probabilities[:, 0, 0] = right * 250
    assert expect_difference(probabilities) == pytest.approx(drawn, abs=0.005)


def test_the_file_has_the_layers_that_are_promised(tmp_path: Path) -> None:
    old, new = make_map([[F, F, W]], "2020-06-01"), make_map([[F, C, X]], "2021-06-01")
    change = change_maps(old, new)
    write_change(change, tmp_path / "c.gpkg")
    cells = pyogrio.read_dataframe(tmp_path / "c.gpkg", layer="change")
    assert cells["status"].tolist()[2] == "no claim"
    assert cells["old_class"].tolist() == ["Forest", "Forest", "SeaLake"]
    assert cells["new_class"].tolist() == ["Forest", "AnnualCrop", "masked"]
    table = pyogrio.read_dataframe(tmp_path / "c.gpkg", layer="transitions")
    assert table["area_ha"].sum() == pytest.approx(2 * 40.96)
    areas = pyogrio.read_dataframe(tmp_path / "c.gpkg", layer="areas")
    assert areas.groupby("date")["share"].sum().tolist() == pytest.approx([1, 1])
    assert compare_areas(change)["cells"].sum() == 2


def test_a_file_is_read_back_whole(tmp_path: Path) -> None:
    old, new = make_map([[F, F, W]], "2020-06-01"), make_map([[F, C, X]], "2021-06-01")
    settings = SeriesSettings(rate=0.05, pairs=(PairRate(old="forest", new="crops", rate=0.1),))
    change = change_maps(old, new, settings=settings)
    path = tmp_path / "c.gpkg"
    write_change(change, path)
    again = compare_dates(*read_stack(path, "change", SeriesSettings)[:2])
    assert again.settings == settings
    assert again.stack.dates == change.stack.dates
    np.testing.assert_array_equal(again.stack.class_id, change.stack.class_id)
    np.testing.assert_array_equal(again.probability, change.probability)
    assert again.raw_share == change.raw_share
    write_map(old.landcover, tmp_path / "map.gpkg")
    with pytest.raises(OutputError, match="no change file"):
        read_stack(tmp_path / "map.gpkg", "change", SeriesSettings)


def test_maps_out_of_order_of_one_day_or_apart_are_refused() -> None:
    old, new = make_map([[F]], "2020-06-01"), make_map([[C]], "2021-06-01")
    with pytest.raises(SettingsError, match="give the older one first"):
        change_maps(new, old)
    with pytest.raises(SettingsError, match="give the older one first"):
        change_maps(old, old)
    with pytest.raises(SettingsError, match="no cell in common"):
        change_maps(old, make_map([[X]], "2021-06-01"))


def test_days_come_from_tags_names_or_the_caller() -> None:
    known = make_map([[F]], "2020-06-01").landcover
    named = replace(known, provenance=replace(known.provenance, date=None, scene="x_20210203.tif"))
    unnamed = replace(known, provenance=replace(known.provenance, date=None, scene="x.tif"))
    assert date_map(known).day.isoformat() == "2020-06-01"
    assert date_map(named).day.isoformat() == "2021-02-03"
    assert date_map(unnamed, file_name="map_2019-12-31.gpkg").day.isoformat() == "2019-12-31"
    with pytest.raises(SettingsError, match=r"the date of x.tif is unknown.*--date"):
        date_map(unnamed)
    tiled = replace(known, provenance=replace(known.provenance, date=None, scene="t_1024_1024.tif"))
    with pytest.raises(SettingsError, match=r"the date of t_1024_1024.tif is unknown"):
        date_map(tiled)


def test_of_several_days_in_a_name_none_is_chosen() -> None:
    known = make_map([[F]], "2020-06-01").landcover
    scene = "new_20240101_20170216.tif"
    doubtful = replace(known, provenance=replace(known.provenance, date=None, scene=scene))
    with pytest.raises(SettingsError, match=r"may mean 2017-02-16 or 2024-01-01; give --date"):
        date_map(doubtful)
    assert date_map(doubtful, file_name="map_20170216.tif").day.isoformat() == "2017-02-16"
