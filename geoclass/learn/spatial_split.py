"""Spatial block split: no two parts of a data set share ground.

Tiles of one place on two dates, and overlapping tiles, look alike. In different parts they would
raise the test score.

Places are float64 (n, 3): longitude and latitude of the centre of a tile in degrees and its side
in metres. A tile with unknown place (NaN) is a block of its own.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from geoclass.learn.places import EARTH_M, to_sphere

SIDES = (4, 2, 1)
"""Sides of blocks in tiles; smaller blocks are used where classes are close together."""
DRAWS = 10
"""Attempts per size of block to reach the intended fractions."""
ROUNDING = 0.02
"""Fraction of a tile's side: smaller overlaps come from rounded places."""

TRAIN, VALIDATION, TEST = range(3)


class Parts(NamedTuple):
    """Indices of tiles, int64, sorted, disjoint, without tiles that would share ground."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def assign_parts(
    labels: np.ndarray,
    places: np.ndarray,
    generator: np.random.Generator,
    *,
    test_share: float,
    validation_share: float,
) -> tuple[Parts, list[int]]:
    """Assign tiles with labels int (n,) to parts in blocks of ground, each class to all parts.

    The shares are fractions of all tiles. The blocks are the largest that nearly give every class
    its fractions. A class on too little ground is assigned tile by tile; the labels of such
    classes are returned as well. Each class must have three tiles.
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
    """The first good parts, else the best ones tried, else None and the class at fault."""
    best, least, lacking = None, np.inf, int(labels[0])
    tile_m = np.nanmax(places[:, 2], initial=1.0)
    for side in SIDES:
        blocks = find_blocks(places, side * tile_m)
        for _ in range(DRAWS):
            parts = _drop_shared(_assign_blocks(labels, blocks, generator, shares)[blocks], places)
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


def find_blocks(places: np.ndarray, side_m: float) -> np.ndarray:
    """Block of each place, in rows of squares around the Earth: int64 (n,)."""
    longitude, latitude = np.radians(places[:, :2]).T
    rows = np.floor(EARTH_M * latitude / side_m)
    middle = np.cos((rows + 0.5) * side_m / EARTH_M)
    cols = np.floor(EARTH_M * middle * np.remainder(longitude, 2 * np.pi) / side_m)
    own = np.arange(len(places), dtype=float)
    unknown = np.isnan(rows)
    keys = np.stack([np.where(unknown, own, rows), np.where(unknown, 0, cols), unknown], axis=1)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


def find_shared(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each tile shares ground with any of the others: bool (n,)."""
    shared = np.zeros(len(places), dtype=bool)
    known = np.flatnonzero(~np.isnan(places).any(axis=1))
    # Several dates of one place are compared once.
    here, which = np.unique(places[known], axis=0, return_inverse=True)
    there = np.unique(others[~np.isnan(others).any(axis=1)], axis=0)
    if not len(here) or not len(there):
        return shared
    reach = np.sqrt(2) * max(here[:, 2].max(), there[:, 2].max())
    near = cKDTree(EARTH_M * to_sphere(here[:, :2])).sparse_distance_matrix(
        cKDTree(EARTH_M * to_sphere(there[:, :2])), reach, output_type="ndarray"
    )
    one, other = here[near["i"]], there[near["j"]]
    east, north = np.radians(one - other)[:, :2].T
    east = abs(np.remainder(east + np.pi, 2 * np.pi) - np.pi) * np.cos(np.radians(one[:, 1]))
    apart = EARTH_M * np.maximum(east, abs(north))
    overlap = apart < (1 - ROUNDING) * (one[:, 2] + other[:, 2]) / 2
    shared[known] = np.isin(which.reshape(-1), near["i"][overlap])
    return shared


def measure_shares(labels: np.ndarray, parts: Parts) -> tuple[np.ndarray, np.ndarray]:
    """The classes, and the fraction of their tiles in each part: float64 (classes, 3)."""
    classes, counts = np.unique(labels, return_counts=True)
    within = [(labels[part] == classes[:, None]).sum(axis=1) for part in parts]
    return classes, np.stack(within, axis=1) / counts[:, None]


def _assign_blocks(
    labels: np.ndarray, blocks: np.ndarray, generator: np.random.Generator, shares: np.ndarray
) -> np.ndarray:
    """The part of each block; the rarest class is assigned first."""
    classes, labels = np.unique(labels, return_inverse=True)
    counts = np.zeros((blocks.max() + 1, len(classes)))
    np.add.at(counts, (blocks, labels), 1)
    holds = counts / counts.sum(axis=0)
    part = np.full(len(counts), TRAIN)
    # Number of blocks per part and class; those in training are still free.
    filled = np.stack([(holds > 0).sum(axis=0), *np.zeros((2, len(classes)), dtype=int)])

    def take(block: int, target: int) -> bool:
        """Move the block unless a class would keep too few blocks for the parts that lack it."""
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
            if have[label] == 0:  # each of its blocks is too large
                left = free[part[free] == TRAIN]
                for block in left[np.argsort(holds[left, label], kind="stable")]:
                    if take(block, target):
                        break
    return part


def _drop_shared(part: np.ndarray, places: np.ndarray) -> Parts:
    """Drop tiles (n,) from training and validation that share ground with a later part."""
    part = part.copy()
    for target in (TEST, VALIDATION):
        lower = np.flatnonzero((part >= TRAIN) & (part < target))
        part[lower[find_shared(places[lower], places[part == target])]] = -1
    return Parts(*(np.flatnonzero(part == target) for target in (TRAIN, VALIDATION, TEST)))
