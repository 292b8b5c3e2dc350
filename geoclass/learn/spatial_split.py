"""Tiles dealt to parts by the ground that they lie on, so that no two parts share any of it.

Tiles of one place on two dates, and tiles that overlap, look alike: a network that was trained on
one knows the other, and its score would promise too much.

Places are longitude and latitude of a tile's middle in degrees and its side in metres, float64
(n, 3); NaN for tiles whose place nobody knows, each of which stays by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

EARTH_M = 6_371_000.0
SIDES = (4, 2, 1)
"""Of the blocks of ground that stay together, in tiles; smaller ones where classes lie close."""
DRAWS = 10
"""Of blocks of one size, until parts come out as large as they should be."""
ROUNDING = 0.02
"""Of a tile's side: neighbours overlap by less, as their places are told and reckoned."""

TRAIN, VALIDATION, TEST = range(3)


class Parts(NamedTuple):
    """Indices of tiles, int64, sorted, disjoint; not of those that would share ground."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def deal_ground(
    labels: np.ndarray,
    places: np.ndarray,
    generator: np.random.Generator,
    *,
    test_share: float,
    validation_share: float,
) -> tuple[Parts, list[int]]:
    """Deal tiles with labels int (n,) in blocks of ground, so that each class is in all parts.

    The shares are of all tiles. The largest blocks are taken by which every class comes out nearly
    as it should. A class on too little ground is dealt tile by tile; the labels of such classes
    are told, too. Each class must have three tiles.
    """
    places, singly = places.copy(), list[int]()
    shares = np.array([1 - test_share - validation_share, validation_share, test_share])
    while True:
        parts, lacking = _try_blocks(labels, places, generator, shares)
        if parts is not None:
            return parts, singly
        singly.append(lacking)
        places[labels == lacking] = np.nan


def _try_blocks(
    labels: np.ndarray, places: np.ndarray, generator: np.random.Generator, shares: np.ndarray
) -> tuple[Parts | None, int]:
    """The first good parts, or the best of all that were tried; or None, and the class at fault."""
    best, least, lacking = None, np.inf, int(labels[0])
    tile_m = np.nanmax(places[:, 2], initial=1.0)
    for side in SIDES:
        blocks = lay_blocks(places, side * tile_m)
        for _ in range(DRAWS):
            parts = _drop_shared(_deal(labels, blocks, generator, shares)[blocks], places)
            classes, came = measure_shares(labels, parts)
            if not (came > 0).all():
                lacking = int(classes[came.min(axis=1).argmin()])
                continue
            fair = abs(came[:, TEST] / shares[TEST] - 1) <= 0.5
            if (fair & (came[:, TRAIN] >= shares[TRAIN] / 2)).all():
                return parts, lacking
            if (off := abs(came - shares).sum()) < least:
                best, least = parts, off
    return best, lacking


def lay_blocks(places: np.ndarray, side_m: float) -> np.ndarray:
    """int64 (n,): the block of each place, in rows of squares around the Earth."""
    longitude, latitude = np.radians(places[:, :2]).T
    rows = np.floor(EARTH_M * latitude / side_m)
    middle = np.cos((rows + 0.5) * side_m / EARTH_M)
    cols = np.floor(EARTH_M * middle * np.remainder(longitude, 2 * np.pi) / side_m)
    own = np.arange(len(places), dtype=float)
    unknown = np.isnan(rows)
    keys = np.stack([np.where(unknown, own, rows), np.where(unknown, 0, cols), unknown], axis=1)
    blocks: np.ndarray = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    return blocks


def find_shared(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Bool (n,): the tiles that share ground with any of the others."""
    shared = np.zeros(len(places), dtype=bool)
    known = np.flatnonzero(~np.isnan(places).any(axis=1))
    # Many dates of one place are looked at once.
    here, which = np.unique(places[known], axis=0, return_inverse=True)
    there = np.unique(others[~np.isnan(others).any(axis=1)], axis=0)
    if not len(here) or not len(there):
        return shared
    reach = np.sqrt(2) * max(here[:, 2].max(), there[:, 2].max())
    near = cKDTree(_to_points(here)).sparse_distance_matrix(
        cKDTree(_to_points(there)), reach, output_type="ndarray"
    )
    one, other = here[near["i"]], there[near["j"]]
    east, north = np.radians(one - other)[:, :2].T
    east = abs(np.remainder(east + np.pi, 2 * np.pi) - np.pi) * np.cos(np.radians(one[:, 1]))
    apart = EARTH_M * np.maximum(east, abs(north))
    overlap = apart < (1 - ROUNDING) * (one[:, 2] + other[:, 2]) / 2
    found = np.zeros(len(here), dtype=bool)
    found[near["i"][overlap]] = True
    shared[known] = found[which.reshape(-1)]
    return shared


def measure_shares(labels: np.ndarray, parts: Parts) -> tuple[np.ndarray, np.ndarray]:
    """The classes, and the share of each one's tiles in each part, float64 (classes, 3)."""
    classes, counts = np.unique(labels, return_counts=True)
    within = [(labels[part] == classes[:, None]).sum(axis=1) for part in parts]
    return classes, np.stack(within, axis=1) / counts[:, None]


def _to_points(places: np.ndarray) -> np.ndarray:
    """float64 (n, 3): metres from the middle of the Earth."""
    longitude, latitude = np.radians(places[:, :2]).T
    parallel = np.cos(latitude)
    return EARTH_M * np.stack(
        [parallel * np.cos(longitude), parallel * np.sin(longitude), np.sin(latitude)], axis=1
    )


def _deal(
    labels: np.ndarray, blocks: np.ndarray, generator: np.random.Generator, shares: np.ndarray
) -> np.ndarray:
    """The part of each block; the rarest class chooses first, with an eye to all."""
    classes, labels = np.unique(labels, return_inverse=True)
    counts = np.zeros((blocks.max() + 1, len(classes)))
    np.add.at(counts, (blocks, labels), 1)
    holds = counts / counts.sum(axis=0)
    part = np.full(len(counts), TRAIN)
    filled = np.stack([(holds > 0).sum(axis=0), *np.zeros((2, len(classes)), dtype=int)])
    """Blocks of each class in each part; those of training are still free."""

    def take(block: int, target: int) -> bool:
        """Unless that would leave a class too few blocks for the parts that lack it."""
        after = filled.copy()
        after[TRAIN] -= holds[block] > 0
        after[target] += holds[block] > 0
        lack = 1 + (after[VALIDATION:] == 0).sum(axis=0)
        if (after[TRAIN] < lack)[holds[block] > 0].any():
            return False
        part[block] = target
        filled[:] = after
        return True

    for label in np.argsort(counts.sum(axis=0), kind="stable"):
        for target in (TEST, VALIDATION):
            have = holds[part == target].sum(axis=0)
            free = np.flatnonzero((holds[:, label] > 0) & (part == TRAIN))
            for block in generator.permutation(free):
                more = have + holds[block]
                nearer = abs(more - shares[target]).sum() < abs(have - shares[target]).sum()
                if nearer and take(block, target):
                    have = more
            if have[label] == 0:  # each of its blocks holds too much
                left = free[part[free] == TRAIN]
                for block in left[np.argsort(holds[left, label], kind="stable")]:
                    if take(block, target):
                        break
    return part


def _drop_shared(part: np.ndarray, places: np.ndarray) -> Parts:
    """Take tiles (n,) out of training and validation whose ground the part above has."""
    part = part.copy()
    for target in (TEST, VALIDATION):
        lower = np.flatnonzero((part >= TRAIN) & (part < target))
        part[lower[find_shared(places[lower], places[part == target])]] = -1
    return Parts(*(np.flatnonzero(part == target) for target in (TRAIN, VALIDATION, TEST)))
