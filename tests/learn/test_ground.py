"""Splits by ground: no two parts share any of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geoclass.learn.ground import OVERLAP_M, TILE_M, Parts, deal_ground, lay_blocks

GEOD = Geod(ellps="WGS84")


def lay_out(
    rows: int, cols: int, *, longitude: float = 2.8, latitude: float = 42.3, shift_m: float = 0
) -> np.ndarray:
    """Middles of a scene's tiles, degrees (n, 2), moved diagonally by some metres."""
    east, north = np.meshgrid(np.arange(cols) * TILE_M + shift_m, np.arange(rows) * TILE_M)
    degree_m = 111_195 * np.cos(np.radians(latitude))
    places = [longitude + east / degree_m, latitude + (north + shift_m) / 111_195]
    return np.stack([place.ravel() for place in places], axis=1)


def deal(labels: np.ndarray, places: np.ndarray, seed: int = 0) -> Parts | None:
    generator = np.random.default_rng(seed)
    return deal_ground(labels, places, generator, test_share=0.2, validation_share=0.08)


def nearest_m(places: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """The least distance between two parts, on the ellipsoid."""
    pairs = [places[i].repeat(len(other)).reshape(2, -1) for i in one]
    there = places[other].T
    return min(GEOD.inv(*here, *there)[2].min() for here in pairs)


def check(parts: Parts | None, labels: np.ndarray, places: np.ndarray) -> Parts:
    assert parts is not None
    assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        # The sphere is not the ellipsoid: .4 % of a distance at most.
        assert nearest_m(places, parts[one], parts[other]) > 0.99 * OVERLAP_M
    for part in parts:
        assert set(labels[part]) == set(labels)
    return parts


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    shifts=st.lists(st.integers(0, 640), min_size=1, max_size=3),
    longitude=st.sampled_from([2.8, -0.1, 179.9, -180.1]),
    latitude=st.sampled_from([42.3, -0.05, 69.0]),
)
def test_parts_share_no_ground(
    seed: int, shifts: list[int], longitude: float, latitude: float
) -> None:
    places = np.concatenate(
        [lay_out(12, 16, longitude=longitude, latitude=latitude, shift_m=m) for m in shifts]
    )
    labels = np.tile(np.random.default_rng(seed).integers(0, 3, 192), len(shifts))
    parts = check(deal(labels, places, seed), labels, places)
    shares = np.array([len(part) for part in parts]) / len(labels)
    assert shares[2] == pytest.approx(0.2, abs=0.05)
    assert 0.02 < shares[1] < 0.12
    assert shares[0] > 0.4


def test_dates_of_one_place_stay_together() -> None:
    places = np.tile(lay_out(8, 8), (5, 1))
    labels = np.tile(np.arange(64) // 16, 5)
    parts = check(deal(labels, places), labels, places)
    assert sum(map(len, parts)) == len(labels)  # nothing overlaps but the dates
    for part in parts:
        assert np.unique(part % 64, return_counts=True)[1].tolist() == [5] * (len(part) // 5)


def test_tiles_moved_inward_are_not_in_another_part_than_what_they_overlap() -> None:
    """As the last column of a scene is: by half a tile over its neighbour."""
    places = lay_out(12, 12)
    step = places[1, 0] - places[0, 0]
    places[11::12, 0] -= step / 2
    labels = np.arange(144) % 2
    parts = check(deal(labels, places), labels, places)
    assert 130 <= sum(map(len, parts)) <= 144


def test_rare_class_is_in_all_parts() -> None:
    places = lay_out(20, 20)
    labels = np.zeros(400, dtype=int)
    labels[[0, 1, 20, 21, 210, 399]] = 1
    check(deal(labels, places), labels, places)


def test_class_on_too_little_ground() -> None:
    places = np.tile(lay_out(10, 10), (4, 1))
    labels = np.zeros(400, dtype=int)
    labels[55::100] = 1  # one place, on four dates
    assert deal(labels, places) is None


def test_tiles_whose_place_nobody_knows_stay_by_themselves() -> None:
    places = lay_out(10, 10)
    places[::2] = np.nan
    labels = np.arange(100) // 50
    parts = deal(labels, places)
    assert parts is not None
    assert sum(map(len, parts)) == 100
    known = [part[part % 2 == 1] for part in parts]
    assert nearest_m(places, known[0], known[2]) > OVERLAP_M


def test_split_is_the_same_on_every_machine() -> None:
    """Pinned: the test parts of trained models must stay what they were."""
    parts = deal(np.arange(100) % 2, lay_out(10, 10), seed=3)
    assert parts is not None
    test = [0, 9, 10, 19, 20, 29, 71, 72, 73, 74, 81, 82, 83, 84, 91, 92, 93, 94]
    assert parts.test.tolist() == test
    assert parts.validation.tolist() == [75, 76, 77, 78, 85, 86, 87, 88, 95, 96, 97, 98]


def test_blocks_are_as_large_as_they_say() -> None:
    places = lay_out(64, 64, latitude=60.0)
    counts = np.bincount(lay_blocks(places, 4 * TILE_M))
    assert np.median(counts) == pytest.approx(16, abs=1)


def test_blocks_go_on_across_the_date_line() -> None:
    here = lay_blocks(np.array([[180.0, 0.001], [-180.0, 0.001], [180.001, 0.001]]), 2560)
    assert len(set(here.tolist())) == 1
