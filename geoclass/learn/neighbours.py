"""Neighbour sampling: the tiles of a canvas come from one neighbourhood where places are known.

Neighbouring tiles mostly come from one date. Classes on a canvas then differ by land cover, not
by light, and occur together as they do on the ground.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from geoclass.learn.places import EARTH_M, to_sphere

NEAR_KM = 60.0
"""Maximum distance of neighbours: mostly within one scene, which is 110 km wide."""

NEAREST = 16

NEAR_SHARE = 0.7
"""Probability of drawing a neighbour where places are known; the others come from anywhere."""

LAND_SHARES = {
    "AnnualCrop": 0.21,
    "Forest": 0.40,
    "HerbaceousVegetation": 0.10,
    "Highway": 0.01,
    "Industrial": 0.01,
    "Pasture": 0.17,
    "PermanentCrop": 0.03,
    "Residential": 0.03,
    "River": 0.01,
    "SeaLake": 0.03,
}
"""Fraction of EuroSAT's classes in the land of the European Union, rounded from Eurostat's LUCAS
survey of 2018 (land cover overview): in the data set rare classes have as many tiles as common
ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NeighbourSampler:
    """Draws the tiles that are composed with given ones."""

    by_class: tuple[Tensor, ...]
    """int64 (members,): the tiles of each class."""
    shares: Tensor
    """float (classes,): relative frequency of each class."""
    near: Tensor | None
    """int64 (tiles of the data set, classes, NEAREST): neighbours of each class, padded with −1;
    None where places are unknown."""

    def draw(self, first: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Add `count` − 1 tiles to each tile of `first`, int64 (n,): int64 (n, count)."""
        others = [self._draw_one(first, generator) for _ in range(count - 1)]
        return torch.stack([first, *others], dim=1)

    def _draw_one(self, first: Tensor, generator: torch.Generator) -> Tensor:
        """Draw mostly neighbours, where there are any: int64 (n,)."""
        n = len(first)
        chosen = torch.multinomial(self.shares, n, replacement=True, generator=generator)
        place = torch.rand(n, generator=generator)
        anywhere = torch.stack(
            [
                self.by_class[k][int(u * len(self.by_class[k]))]
                for k, u in zip(chosen.tolist(), place.tolist(), strict=True)
            ]
        )
        wanted = torch.rand(n, generator=generator) < NEAR_SHARE
        if self.near is None:
            return anywhere
        near = self.near[first]  # n, classes, NEAREST
        there = (near[:, :, 0] >= 0) * self.shares
        possible = there.sum(dim=1) > 0
        chosen = torch.multinomial(there + ~possible[:, None], 1, generator=generator)[:, 0]
        some = near[torch.arange(n), chosen]  # n, NEAREST
        place = torch.rand(n, generator=generator) * (some >= 0).sum(dim=1)
        tiles = some.gather(1, place.long()[:, None])[:, 0]
        return torch.where(wanted & possible, tiles, anywhere)


def build_sampler(
    labels: np.ndarray, train: np.ndarray, places: np.ndarray | None, names: tuple[str, ...]
) -> NeighbourSampler:
    """Build the sampler of training tiles.

    `labels` is int64 (n,) of all tiles, `train` the indices of training tiles, `places` float64
    (n, 2 or more): longitude and latitude in degrees, NaN where unknown; `names` are the classes.
    Unless `LAND_SHARES` has all classes, they are drawn as often as they have tiles.
    """
    counts = np.bincount(labels[train], minlength=len(names)).astype(np.float64)
    shares = counts / counts.sum()
    if all(name in LAND_SHARES for name in names):
        shares = np.array([LAND_SHARES[name] for name in names]) * (counts > 0)
    by_class = [train[labels[train] == k] for k in range(len(names))]
    return NeighbourSampler(
        by_class=tuple(torch.from_numpy(tiles) for tiles in by_class),
        shares=torch.from_numpy(shares).float(),
        near=None if places is None else torch.from_numpy(_find_near(by_class, train, places)),
    )


def _find_near(by_class: list[np.ndarray], train: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Find the neighbours, as in `NeighbourSampler.near`."""
    near = np.full((len(places), len(by_class), NEAREST), -1, dtype=np.int64)
    known = np.isfinite(places[:, :2]).all(axis=1)
    points = EARTH_M / 1000 * to_sphere(np.where(known[:, None], places[:, :2], 0))
    asking = train[known[train]]
    for k, tiles in enumerate(by_class):
        members = tiles[known[tiles]]
        if len(members) == 0:
            continue
        # One more, because the tile itself may be among them: it is moved to the end and cut off.
        _, place = cKDTree(points[members]).query(
            points[asking], k=NEAREST + 1, distance_upper_bound=NEAR_KM
        )
        found = np.append(members, -1)[place]
        order = (found == asking[:, None]).argsort(axis=1, kind="stable")
        near[asking, k] = np.take_along_axis(found, order, axis=1)[:, :NEAREST]
    return near
