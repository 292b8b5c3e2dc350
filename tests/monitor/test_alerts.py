"""Losses, what confirms them, and how they become alerts."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from geoclass.errors import SettingsError
from geoclass.monitor.alerts import LOSS, choose_level, group_losses
from geoclass.monitor.history import monitor_maps
from geoclass.monitor.layers import code_alerts
from geoclass.monitor.settings import MonitorSettings, SeriesSettings
from tests.monitor.scenes import CLOUD, CROP, FOREST, WATER, make_map, yearly

F, C, W, X = FOREST, CROP, WATER, CLOUD


def rows(*codes: int) -> list[list[list[int]]]:
    """One cell over the years."""
    return [[[code]] for code in codes]


def test_a_confirmed_loss_is_told_with_its_dates() -> None:
    (alert,) = monitor_maps(yearly(*rows(F, F, F, C, C, C))).alerts
    assert (alert.group, alert.became, alert.level) == ("forest", "AnnualCrop", "highest")
    assert (alert.last_seen, alert.first_gone) == (date(2017, 6, 1), date(2018, 6, 1))
    assert alert.confirmations == 3
    assert alert.probability > 0.95
    assert alert.area_ha == pytest.approx(40.96)


def test_dates_under_cloud_are_not_counted() -> None:
    (alert,) = monitor_maps(yearly(*([[code, W]] for code in (F, F, F, X, C, X, C)))).alerts
    assert (alert.last_seen, alert.first_gone) == (date(2017, 6, 1), date(2019, 6, 1))
    assert (alert.confirmations, alert.level) == (2, "high")


def test_a_single_odd_date_is_no_loss() -> None:
    assert monitor_maps(yearly(*rows(F, F, F, C, F, F))).alerts == ()


def test_an_observation_that_contradicts_keeps_the_level_from_the_highest() -> None:
    (alert,) = monitor_maps(yearly(*rows(F, F, F, C, C, C, F, C, C, C))).alerts
    assert alert.losses.contradictions.tolist() == [1]
    assert alert.level == "high"


def test_watched_groups_are_followed_each_for_itself() -> None:
    settings = MonitorSettings(watch=("forest", "water"))
    result = monitor_maps(
        yearly([[F, W]], [[F, W]], [[F, W]], [[C, C]], [[C, C]]), settings=settings
    )
    assert [(a.group, a.losses.cell.tolist()) for a in result.alerts] == [
        ("forest", [0]),
        ("water", [1]),
    ]
    with pytest.raises(SettingsError, match=r"wood is not a group of the maps, which are: crops"):
        monitor_maps(yearly(*rows(F, C)), settings=MonitorSettings(watch=("wood",)))


def test_neighbours_of_one_time_are_one_event_and_others_are_not() -> None:
    maps = yearly(
        [[F, F, F, F, F]], [[F, F, F, F, F]], [[F, C, F, F, C]], [[F, C, F, F, C]],
        [[F, C, F, F, C]], [[C, C, F, F, C]], [[C, C, F, F, C]], [[C, C, F, F, C]],
    )  # fmt: skip
    alerts = monitor_maps(maps).alerts
    # Cell 0 goes three years after its neighbour; cell 4 is no neighbour.
    assert [a.losses.cell.tolist() for a in alerts] == [[1], [4], [0]]


def test_touching_at_a_corner_is_touching_but_not_across_the_edge() -> None:
    def losses(*cells: int) -> np.recarray:
        rows = np.ones(len(cells), LOSS).view(np.recarray)
        rows.cell, rows.last_seen = cells, 0
        return rows

    assert group_losses(losses(0, 5), cols=4).tolist() == [0, 0]
    assert group_losses(losses(3, 4), cols=4).tolist() == [0, 1]
    assert group_losses(losses(1, 4), cols=4).tolist() == [0, 0]


def test_small_events_are_left_out() -> None:
    maps = yearly(*[[[F, F, F]]] * 3, *[[[C, F, F]]] * 3)
    assert len(monitor_maps(maps, settings=MonitorSettings(min_area_ha=40)).alerts) == 1
    # Half a cell, of 41 ha, is tolerated.
    assert len(monitor_maps(maps, settings=MonitorSettings(min_area_ha=61)).alerts) == 1
    assert monitor_maps(maps, settings=MonitorSettings(min_area_ha=62)).alerts == ()


def test_the_level_is_what_half_of_the_area_reaches() -> None:
    assert choose_level(np.array([0, 1, 2]), np.array([1.0, 1, 1])) == "high"
    assert choose_level(np.array([0, 0, 2]), np.array([1.0, 1, 1])) == "low"
    assert choose_level(np.array([0, 2]), np.array([1.0, 3])) == "highest"


def test_the_raster_is_coded_as_gfw_does() -> None:
    result = monitor_maps(yearly([[F, F]], [[F, F]], [[F, C]], [[F, C]]))
    days = (date(2017, 6, 1) - date(2014, 12, 31)).days
    assert code_alerts(result).tolist() == [[0, 30_000 + days]]


def test_one_date_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"all maps are of one date, 2020-06-01"):
        monitor_maps([make_map([[F]])])


def test_a_loss_that_most_dates_contradict_is_withdrawn_however_long_ago_it_was_seen() -> None:
    """Two odd dates lie more than half a year apart; between and after them forest is seen."""
    days = ("2018-06-01", "2018-07-01", "2019-06-01", "2020-02-01", "2020-06-01", "2021-02-01")
    maps = [make_map([[code]], day) for day, code in zip(days, (F, F, C, F, C, F), strict=True)]
    settings = MonitorSettings(series=SeriesSettings(rate=0.3, error_days=0))
    assert monitor_maps(maps[:3], settings=settings).alerts != ()
    assert monitor_maps(maps, settings=settings).alerts == ()
