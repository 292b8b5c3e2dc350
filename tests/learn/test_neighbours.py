"""Neighbour sampling."""

import numpy as np
import torch

from geoclass.learn.neighbours import LAND_SHARES, NEAR_SHARE, build_sampler

NAMES = tuple(LAND_SHARES)
LABELS = np.repeat(np.arange(10), 30)


def make_places() -> np.ndarray:
    """Each class's tiles at 30 places one degree of longitude apart, on the equator."""
    place = np.tile(np.arange(30.0), 10)
    return np.stack([place, np.zeros(300), np.full(300, 640.0)], axis=1)


def test_sampled_tiles_come_from_training_alone() -> None:
    train = np.arange(0, 300, 2)
    sampler = build_sampler(LABELS, train, make_places(), NAMES)
    drawn = sampler.draw(torch.from_numpy(train), 4, torch.Generator().manual_seed(0))
    assert drawn.shape == (150, 4)
    assert torch.equal(drawn[:, 0], torch.from_numpy(train))
    assert set(drawn.flatten().tolist()) <= set(train.tolist())


def test_most_sampled_tiles_are_near_where_places_are_known() -> None:
    train = np.arange(300)
    places = make_places()
    sampler = build_sampler(LABELS, train, places, NAMES)
    first = torch.from_numpy(train).repeat(10)
    drawn = sampler.draw(first, 2, torch.Generator().manual_seed(0))[:, 1]
    near = (places[first, 0] == places[drawn, 0]).mean()
    assert NEAR_SHARE < near < NEAR_SHARE + 0.1
    assert (drawn != first).double().mean() > 0.98


def test_classes_are_drawn_as_often_as_land_has_them() -> None:
    sampler = build_sampler(LABELS, np.arange(300), None, NAMES)
    first = torch.zeros(5000, dtype=torch.long)
    drawn = sampler.draw(first, 2, torch.Generator().manual_seed(0))[:, 1]
    shares = np.bincount(LABELS[drawn.numpy()], minlength=10) / 5000
    np.testing.assert_allclose(shares, list(LAND_SHARES.values()), atol=0.03)


def test_other_classes_are_drawn_as_often_as_they_have_tiles() -> None:
    labels = np.array([0, 0, 0, 1])
    sampler = build_sampler(labels, np.arange(4), None, ("a", "b"))
    torch.testing.assert_close(sampler.shares, torch.tensor([0.75, 0.25]))


def test_tiles_of_unknown_place_have_sampled_tiles_from_anywhere() -> None:
    places = make_places()
    places[0] = np.nan
    sampler = build_sampler(LABELS, np.arange(300), places, NAMES)
    assert sampler.near is not None
    assert (sampler.near[0] == -1).all()
    assert not (sampler.near == 0).any()
    drawn = sampler.draw(torch.zeros(50, dtype=torch.long), 4, torch.Generator().manual_seed(0))
    assert (drawn >= 0).all()
