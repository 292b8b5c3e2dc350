"""Tiles dealt to parts by the ground that they lie on, so that no two parts share any of it.

Tiles of one place on two dates, and tiles that overlap, look alike: a network that was trained on
one knows the other, and its score would promise too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

EARTH_M = 6_371_000.0
TILE_M = 640.0
SIDES_M = (4 * TILE_M, 2 * TILE_M, TILE_M)
"""Of the blocks of ground that stay together; smaller ones where classes lie close together."""
OVERLAP_M = 0.9 * TILE_M
"""Tiles whose middles are nearer than this share ground, more than by rounding."""

TRAIN, VALIDATION, TEST = range(3)


class Parts(NamedTuple):
    """Indices of tiles, int64, sorted, disjoint. Tiles on ground of several parts are in none."""

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
) -> Parts | None:
    """Deal tiles with labels int (n,) in blocks of ground, so that each class is in all parts.

    `places` are longitude and latitude in degrees, float64 (n, 2); NaN for tiles whose place nobody
    knows, each of which stays by itself. The shares are of all tiles. The largest blocks are taken
    by which every class's test part comes out nearly as large as it should be.
    None where even the smallest leave a class out of a part.
    """
    best = None
    for side in SIDES_M:
        blocks = lay_blocks(places, side)
        dealt = _deal(labels, blocks, generator, (validation_share, test_share))
        parts = _part_overlaps(dealt[blocks], places)
        shares = _measure_shares(labels, parts)
        if (shares[:, :TEST] > 0).all() and (abs(shares[:, TEST] / test_share - 1) <= 0.5).all():
            return parts
        if (shares > 0).all():
            best = parts
    return best


def lay_blocks(places: np.ndarray, side_m: float) -> np.ndarray:
    """int64 (n,): the block of each place, degrees (n, 2), in rows of squares around the Earth."""
    longitude, latitude = np.radians(places).T
    rows = np.floor(EARTH_M * latitude / side_m)
    middle = np.cos((rows + 0.5) * side_m / EARTH_M)
    cols = np.floor(EARTH_M * middle * np.remainder(longitude, 2 * np.pi) / side_m)
    own = np.arange(len(places), dtype=float)
    unknown = np.isnan(rows)
    keys = np.stack([np.where(unknown, own, rows), np.where(unknown, 0, cols), unknown], axis=1)
    blocks: np.ndarray = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    return blocks


def count_squares(
    labels: np.ndarray, places: np.ndarray, classes: Sequence[str]
) -> list[tuple[int, str]]:
    """On how many squares as large as a tile those of each class lie; arguments as above."""
    blocks = lay_blocks(places, TILE_M)
    return [(len(np.unique(blocks[labels == k])), name) for k, name in enumerate(classes)]


def _deal(
    labels: np.ndarray,
    blocks: np.ndarray,
    generator: np.random.Generator,
    shares: tuple[float, float],
) -> np.ndarray:
    """The part of each block; the rarest class chooses first, with an eye to all."""
    classes, labels = np.unique(labels, return_inverse=True)
    counts = np.zeros((blocks.max() + 1, len(classes)))
    np.add.at(counts, (blocks, labels), 1)
    holds = counts / counts.sum(axis=0)
    part = np.full(len(counts), TRAIN)
    for label in np.argsort(counts.sum(axis=0), kind="stable"):
        for target, share in ((TEST, shares[1]), (VALIDATION, shares[0])):
            have = holds[part == target].sum(axis=0)
            free = np.flatnonzero((holds[:, label] > 0) & (part == TRAIN))
            for block in generator.permutation(free):
                more = have + holds[block]
                if abs(more - share).sum() < abs(have - share).sum():
                    part[block], have = target, more
            free = free[part[free] == TRAIN]
            if have[label] == 0 and len(free):  # each holds too much
                part[free[holds[free, label].argmin()]] = target
    return part


def _part_overlaps(part: np.ndarray, places: np.ndarray) -> Parts:
    """Take tiles (n,) out of training and validation whose ground other parts have."""
    known = ~np.isnan(places).any(axis=1)
    longitude, latitude = np.radians(places[known]).T
    parallel = np.cos(latitude)
    points = np.full((len(places), 3), np.inf)
    points[known] = EARTH_M * np.stack(
        [parallel * np.cos(longitude), parallel * np.sin(longitude), np.sin(latitude)], axis=1
    )
    part = part.copy()
    for target in (TEST, VALIDATION):
        kept = np.flatnonzero((part == target) & known)
        lower = np.flatnonzero((part >= TRAIN) & (part < target) & known)
        if len(kept) and len(lower):
            nearest, _ = cKDTree(points[kept]).query(points[lower])
            part[lower[nearest < OVERLAP_M]] = -1
    return Parts(*(np.flatnonzero(part == target) for target in (TRAIN, VALIDATION, TEST)))


def _measure_shares(labels: np.ndarray, parts: Parts) -> np.ndarray:
    """float64 (classes, 3): the share of each class's tiles in each part."""
    classes = np.unique(labels)
    return np.array(
        [[(labels[part] == k).sum() / (labels == k).sum() for part in parts] for k in classes]
    )
