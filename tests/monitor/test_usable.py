"""Which maps of a series are left out, and that the others go on without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
from affine import Affine

from geoclass.errors import SettingsError
from geoclass.legend import NODATA, UNKNOWN
from geoclass.monitor.align import DatedMap, LeftOut
from geoclass.monitor.files import read_monitor, update_monitor, write_monitor
from geoclass.monitor.history import monitor_maps
from geoclass.monitor.settings import AlignSettings, MonitorSettings
from tests.conftest import TRANSFORM
from tests.monitor.scenes import CLOUD, CROP, FOREST, make_map, yearly

F, C, X = FOREST, CROP, CLOUD
WOOD, FELLED = [[F, F]], [[F, C]]


def overcast(day: str) -> DatedMap:
    return make_map([[X, X]], day, scene=f"cloud_{day}.tif")


def strange(day: str) -> DatedMap:
    """Of another model."""
    return make_map(FELLED, day, scene=f"other_{day}.tif", provenance={"model": "ef" * 32})


def test_an_overcast_date_does_not_stop_the_run() -> None:
    maps = yearly(WOOD, WOOD, FELLED, FELLED)
    result = monitor_maps([*maps, overcast("2016-07-01")])
    assert len(result.stack.dates) == 4
    (left,) = result.stack.left_out
    assert str(left.day) == "2016-07-01"
    assert left.reason == "no cell could be classified (100% masked)"
    assert [a.alert_id for a in result.alerts] == [a.alert_id for a in monitor_maps(maps).alerts]


def test_all_that_a_map_without_a_class_shows_is_told() -> None:
    nothing = make_map([[X, UNKNOWN]], "2016-07-01")
    (left,) = monitor_maps([*yearly(WOOD, WOOD), nothing]).stack.left_out
    assert left.reason == "no cell could be classified (50% unknown, 50% masked)"


def test_a_map_unlike_most_is_left_out_even_the_first() -> None:
    maps = [strange("2014-06-01"), *yearly(WOOD, WOOD, FELLED)]
    result = monitor_maps(maps)
    assert [day.year for day in result.stack.dates] == [2015, 2016, 2017]
    (left,) = result.stack.left_out
    assert left.scene == "other_2014-06-01.tif"
    assert "of efefefefefef: map all scenes with the same model" in left.reason
    borne = MonitorSettings(align=AlignSettings(allow_mismatch=True))
    assert monitor_maps(maps, settings=borne).stack.left_out == ()


def test_of_two_kinds_with_as_many_dates_the_first_is_kept() -> None:
    maps = [*yearly(WOOD, WOOD), strange("2018-06-01"), strange("2019-06-01")]
    assert [day.year for day in monitor_maps(maps).stack.dates] == [2015, 2016]
    assert [day.year for day in monitor_maps(maps[::-1]).stack.dates] == [2018, 2019]


def test_shifted_cells_are_left_out_unless_resampled() -> None:
    shifted = make_map(WOOD, "2017-06-01", transform=TRANSFORM @ Affine.translation(20, 3))
    maps = [*yearly(WOOD, WOOD), shifted]
    (left,) = monitor_maps(maps).stack.left_out
    assert "do not coincide" in left.reason
    borne = MonitorSettings(align=AlignSettings(resample=True))
    assert len(monitor_maps(maps, settings=borne).stack.dates) == 3


def test_too_few_dates_of_use_are_refused_with_the_reasons() -> None:
    with pytest.raises(SettingsError, match=r"one date, 2015-06-01, after skipping cloud_"):
        monitor_maps([*yearly(WOOD), overcast("2016-07-01")])
    with pytest.raises(SettingsError, match=r"no scene or map is usable: cloud_.*; cloud_"):
        monitor_maps([overcast("2016-07-01"), overcast("2017-07-01")])
    with pytest.raises(SettingsError, match=r"after skipping other_.*--allow-mismatch"):
        monitor_maps([*yearly(WOOD), strange("2016-06-01")])


def test_what_was_left_out_is_kept_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.gpkg"
    refused = LeftOut(day=None, scene="broken.tif", reason="the file is cut off")
    first = monitor_maps([*yearly(WOOD, WOOD), overcast("2016-07-01")], left_out=[refused])
    write_monitor(first, path)
    assert read_monitor(path)[0].left_out == first.stack.left_out
    maps = [make_map(FELLED, "2017-06-01"), strange("2018-06-01"), overcast("2019-06-01")]
    later = update_monitor(path, maps)
    assert [day.year for day in later.stack.dates] == [2015, 2016, 2017]
    assert [item.scene for item in later.stack.left_out] == [
        "broken.tif", "cloud_2016-07-01.tif", "other_2018-06-01.tif", "cloud_2019-06-01.tif",
    ]  # fmt: skip
    write_monitor(later, path)
    table = pyogrio.read_dataframe(path, layer="dates")
    assert table["status"].tolist() == ["used"] * 3 + ["left out"] * 4
    assert table["observed_share"].tolist() == [1.0] * 3 + [0.0] * 4
    assert table["reason"].tolist()[3] == "the file is cut off"
    assert table["date"].isna().tolist() == [False] * 3 + [True] + [False] * 3


def test_an_update_with_nothing_of_use_changes_no_date(tmp_path: Path) -> None:
    path = tmp_path / "m.gpkg"
    write_monitor(monitor_maps(yearly(WOOD, WOOD, FELLED)), path)
    later = update_monitor(path, [overcast("2019-06-01")])
    assert [day.year for day in later.stack.dates] == [2015, 2016, 2017]
    assert [item.scene for item in later.stack.left_out] == ["cloud_2019-06-01.tif"]
    with pytest.raises(SettingsError, match="no new scenes or maps were given"):
        update_monitor(path, [])


def test_of_one_day_each_cell_is_the_clearest() -> None:
    """Two orbits: what one sees better, or at all, is taken from it."""
    one = make_map([[F, X, C, UNKNOWN, NODATA, F]], "2016-06-01", scene="one.tif", sure=0.9)
    other = make_map([[C, F, F, C, C, X]], "2016-06-01", scene="other.tif", sure=0.95)
    one.landcover.valid_share[0, 2] = 200
    other.landcover.valid_share[0, 0] = 200
    for maps in ([one, other], [other, one]):
        base = make_map([[F] * 6], "2015-06-01", scene="base.tif")
        stack = monitor_maps([base, *maps]).stack
        assert stack.class_id[1].tolist() == [[F, F, F, C, C, F]]
        assert stack.scenes[1] == ", ".join(m.landcover.provenance.scene for m in maps)
        assert stack.probabilities[1, 0, 0].argmax() == F
    sure = make_map([[F]], "2016-06-01", sure=0.99, scene="sure.tif")
    unsure = make_map([[C]], "2016-06-01", sure=0.6, scene="unsure.tif")
    stack = monitor_maps([make_map([[F]], "2015-06-01"), unsure, sure]).stack
    assert stack.class_id[1].tolist() == [[F]]
    np.testing.assert_array_equal(stack.probabilities[1], sure.landcover.probabilities)
