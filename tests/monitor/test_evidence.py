"""What colours say of cells: light, noise, seasons, and felled ground in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pytest

from geoclass.monitor.align import DatedMap
from geoclass.monitor.forest import (
    add_neighbours,
    compare_scores,
    find_densest,
    fit_light,
    fit_noise,
    limit_doubt,
    relate_dates,
)
from geoclass.monitor.history import Monitoring, monitor_maps
from geoclass.monitor.settings import MonitorSettings
from tests.monitor.scenes import FOREST, make_map

SIDE = 24
BARE = (70.0, 49.0, 31.0)
"""Brightening by felling, in 8-bit steps."""
SUMMERS = ("2019-07-01", "2020-06-20", "2020-07-10", "2020-07-30", "2020-08-20")


def make_forest(
    days: Sequence[str],
    felled: dict[str, np.ndarray],
    *,
    haze: dict[str, float] | None = None,
    brighter: np.ndarray | float = 0.0,
    bare: tuple[float, float, float] = BARE,
    seed: int = 0,
) -> list[DatedMap]:
    """Maps that call everything forest, of forest that is lit and hazy as chance will have it.

    `felled` gives the share of each cell that is bare, float (rows, cols), by the first day, and
    `brighter` how much brighter a cell is on all dates, in 8-bit steps.
    """
    rng = np.random.default_rng(seed)
    stands = np.array([45.0, 68, 78]) + rng.normal(0, 4, (SIDE, SIDE, 1))
    stands += np.broadcast_to(brighter, (SIDE, SIDE))[..., None]
    maps = []
    for day in days:
        wisps = (haze or {}).get(day, 0) * rng.normal(0, 1, (SIDE, SIDE, 1)) * (0.8, 0.9, 1.0)
        colors = stands * rng.uniform(0.9, 1.1) + rng.uniform(0, 10) + wisps
        colors = colors + rng.normal(0, 1.5, colors.shape)
        gone = sum((share for first, share in felled.items() if first <= day), np.zeros((1, 1)))
        dark = colors - 3 + np.where(gone[..., None] > 0.75, bare, 0)
        both = np.concatenate([colors + gone[..., None] * bare, dark], axis=2)
        stored = np.clip(np.rint(both), 1, 255).astype(np.uint8)
        maps.append(make_map(np.full((SIDE, SIDE), FOREST), day, colors=stored))
    return maps


def clear(rows: slice, cols: slice, share: float = 1.0) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE))
    mask[rows, cols] = share
    return mask


def watch(maps: Sequence[DatedMap]) -> Monitoring:
    return monitor_maps(maps, settings=MonitorSettings(min_area_ha=100))


def test_felled_cells_are_found_at_once_and_confirmed_twenty_days_later() -> None:
    """The network sees nothing of it; cells are of 41 ha here."""
    felled = clear(slice(5, 8), slice(9, 12))
    maps = make_forest(SUMMERS, {"2020-07-10": felled})
    assert watch(maps[:2]).alerts == ()
    (low,) = watch(maps[:3]).alerts
    assert low.level == "low"
    assert sorted(low.losses.cell.tolist()) == np.flatnonzero(felled).tolist()
    (high,) = watch(maps[:4]).alerts
    assert (high.level, high.first_gone, high.last_seen) == (
        "high", date(2020, 7, 10), date(2020, 6, 20),
    )  # fmt: skip
    assert high.became != "Forest"


def test_dates_less_than_twenty_days_apart_confirm_nothing() -> None:
    days = (*SUMMERS[:3], "2020-07-15", "2020-07-29")
    maps = make_forest(days, {"2020-07-10": clear(slice(5, 8), slice(9, 12))})
    (alert,) = watch(maps).alerts
    assert alert.level == "low"


@pytest.mark.parametrize("seed", range(5))
def test_light_and_haze_are_no_loss(seed: int) -> None:
    maps = make_forest(SUMMERS, {}, haze={"2020-07-10": 12, "2020-07-30": 6}, seed=seed)
    assert watch(maps).alerts == ()


def test_felled_ground_is_seen_through_haze() -> None:
    felled = {"2020-07-10": clear(slice(5, 8), slice(9, 12))}
    maps = make_forest(SUMMERS[:3], felled, haze={"2020-07-10": 12})
    assert len(watch(maps).alerts) == 1


def test_half_of_a_forest_felled_at_once_is_not_taken_for_light() -> None:
    felled = clear(slice(0, 12), slice(0, SIDE))
    (alert,) = watch(make_forest(SUMMERS[:4], {"2020-07-10": felled})).alerts
    assert sorted(alert.losses.cell.tolist()) == np.flatnonzero(felled).tolist()


def test_cells_at_the_edge_count_as_far_as_they_are_felled() -> None:
    felled = clear(slice(5, 9), slice(8, 12)) + clear(slice(5, 9), slice(12, 13), 0.5)
    (alert,) = watch(make_forest(SUMMERS[:4], {"2020-07-10": felled})).alerts
    assert len(alert.losses) == 20
    assert alert.area_ha == pytest.approx(felled.sum() * 40.96, rel=0.05)


def test_leaves_that_fall_are_no_loss() -> None:
    """A quarter of the forest is broad-leaved: bright in winter, the rest is not."""
    days = ("2019-07-01", "2019-08-01", "2019-12-01", "2020-01-05", "2020-02-10", "2020-07-01")
    leafless = clear(slice(6, 12), slice(0, SIDE), 0.4)
    maps = make_forest(days, {"2019-12-01": leafless})
    green = make_forest(days, {})
    maps[-1] = green[-1]
    assert watch(maps[:5]).alerts == ()
    assert watch(maps).alerts == ()


def test_what_never_looked_like_the_forest_is_no_loss_of_it() -> None:
    """A meadow at the edge of a wood that classes call forest, and that dries in its third year."""
    meadow = clear(slice(2, 6), slice(2, 6))
    days = ("2018-06-20", "2018-07-10", "2019-06-20", "2019-07-10", "2020-07-10", "2020-08-01")
    dry = {"2020-07-10": 0.4 * meadow}
    assert watch(make_forest(days, dry, brighter=35 * meadow)).alerts == ()
    assert len(watch(make_forest(days, dry)).alerts) == 1


def test_a_cloud_that_no_mask_hides_is_no_loss() -> None:
    """It brightens blue as much as red; what is below it is as it was."""
    cloud = clear(slice(5, 8), slice(9, 12))
    clouded = make_forest(SUMMERS, {"2020-07-10": cloud}, bare=(120.0, 115, 110))
    clear_days = make_forest(SUMMERS, {})
    maps = [*clear_days[:2], clouded[2], *clear_days[3:]]
    assert watch(maps[:3]).alerts == ()
    assert watch(maps).alerts == ()


def test_dates_that_only_hint_at_a_loss_do_not_date_it() -> None:
    hint, felled = clear(slice(5, 8), slice(9, 12), 0.04), clear(slice(5, 8), slice(9, 12))
    maps = make_forest(SUMMERS, {"2020-07-10": hint, "2020-07-30": felled - hint})
    (alert,) = watch(maps).alerts
    assert alert.first_gone == date(2020, 7, 30)


def test_maps_without_colours_are_followed_by_their_classes_alone() -> None:
    maps = make_forest(SUMMERS, {"2020-07-10": clear(slice(5, 8), slice(9, 12))})
    assert len(watch(maps).alerts) == 1
    plain = [DatedMap(day=m.day, landcover=_without_colors(m)) for m in maps]
    assert watch(plain).alerts == ()


def _without_colors(item: DatedMap) -> object:
    from dataclasses import replace

    return replace(item.landcover, colors=None)


def test_what_was_said_of_a_date_stays_when_later_ones_come() -> None:
    maps = make_forest(SUMMERS, {"2020-07-10": clear(slice(5, 8), slice(9, 12))})
    early, late = (watch(part).history for part in (maps[:4], maps))
    assert late[: len(early)] == early


def test_light_is_regressed_on_the_part_that_still_stands() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(50, 6, (500, 3)).astype(np.float32)
    now = (8 + 0.8 * before + rng.normal(0, 1, before.shape)).astype(np.float32)
    now[:200] += np.array(BARE, np.float32) * rng.uniform(0.7, 1.3, (200, 1)).astype(np.float32)
    offset, gain = fit_light(before, now)
    np.testing.assert_allclose(offset + gain * 50, 48, atol=0.5)
    np.testing.assert_allclose(gain, 0.8, atol=0.05)


def test_the_filter_looks_past_haze_and_at_felled_ground() -> None:
    rng = np.random.default_rng(0)
    haze = rng.normal(0, 10, (2000, 1)) * np.array([0.8, 0.9, 1.0])
    rest = (haze + rng.normal(0, 1.5, (2000, 3))).astype(np.float32)
    noise = fit_noise(rest)
    assert noise.score(rest.T).std() == pytest.approx(1, abs=0.1)
    felled, thick = np.array([BARE, (40.0, 45, 50)], np.float32)
    assert noise.score(felled[:, None])[0] > 8
    assert abs(noise.score(thick[:, None])[0]) < noise.score(felled[:, None])[0] / 3
    # Its answer is the brightening of red.
    assert float(felled @ noise.filter) == pytest.approx(70, rel=0.02)


def test_the_densest_third_is_where_most_values_lie() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(3, 2, 600), rng.uniform(20, 90, 700)])
    middle, spread = find_densest(values)
    assert middle == pytest.approx(3, abs=1)
    assert 2 < spread < 6  # too wide rather than too narrow, where half is felled


def test_seasons_are_alike_by_the_days_of_the_year() -> None:
    days = tuple(map(date.fromisoformat, ("2019-07-01", "2020-07-01", "2020-10-01", "2020-12-20")))
    north, tropics = relate_dates(days, 47.0), relate_dates(days, 2.0)
    assert north[0, 1] > 0.99
    assert north[0, 2] < 0.02
    assert north[2, 3] < 0.2 * tropics[2, 3]


def test_scores_speak_for_felling_from_about_two_on() -> None:
    ratio = compare_scores(np.array([-3.0, 0, 1, 3, 6, 15]), np.full(6, 10.0))
    assert (ratio[:3] < 0).all()
    assert (np.diff(ratio[2:]) > 0).all()
    assert ratio[4] > 4


def test_doubt_that_falls_on_much_of_the_forest_says_little() -> None:
    doubt = np.where(np.arange(100) < 40, 3.0, -3.0)
    limited = limit_doubt(doubt, np.sort(doubt))
    assert limited[0] == pytest.approx(np.log(101 / 41))
    assert limited[-1] == -3
    doubt[1:40] = -3
    assert limit_doubt(doubt, np.sort(doubt))[0] == 3


def test_neighbours_raise_a_loss_only_if_three_of_them_show_it() -> None:
    framed = np.zeros((6, 7), np.float32)
    framed[2, 2:5], framed[3, 3], framed[4, 1] = (2, 4, 6), 5, -2
    raised = add_neighbours(framed)
    ranked = np.sort([2, 6, 5, 0, 0, 0, 0, 0])[::-1]
    assert raised[1, 2] == 4 + ranked[2] / 2
    assert raised[2, 2] == 5 + 4 / 2 - 1  # the third highest of 2, 4 and 6
    assert raised[1, 1] == 2
    assert raised[3, 0] == -2


def test_a_date_on_which_the_network_sees_no_forest_loses_none() -> None:
    maps = make_forest(SUMMERS, {})
    colors = maps[2].landcover.colors
    maps[2] = make_map(np.zeros((SIDE, SIDE)), SUMMERS[2], sure=1.0, colors=colors)
    assert watch(maps).alerts == ()
