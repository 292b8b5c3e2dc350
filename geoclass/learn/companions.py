"""Which tiles are composed into one canvas: such as lie near each other on the ground.

Tiles from one neighbourhood were mostly sensed on one day, so that within a canvas, as within a
scene, forest differs from field by what it is and not by its light; and they are what really lies
side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

EARTH_KM = 6371.0

NEAR_KM = 60.0
"""Two tiles this near are mostly of one scene, which has 110 km a side."""

NEAREST = 16
"""Of each class, companions are drawn from so many."""

NEAR_SHARE = 0.7
"""Of companions are near, where places are known; the others come from anywhere."""

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
"""Of EuroSAT's classes in the land of the European Union, rounded from Eurostat's LUCAS survey of
2018 (land cover overview): companions are drawn by them, for a class that is rare on the ground
but has as many tiles as any other would be seen everywhere."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Companions:
    """Draws tiles to be composed with others."""

    by_class: tuple[Tensor, ...]
    """int64 (members,): the tiles of each class."""
    shares: Tensor
    """float (classes,): how often each class is drawn."""
    near: Tensor | None
    """int64 (tiles of the data set, classes, NEAREST): near tiles of each class, −1 where there
    are no more; None where places are unknown."""

    def draw(self, first: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Int64 (n,) tiles with `count` − 1 companions each: (n, count)."""
        columns = [first]
        for _ in range(count - 1):
            anywhere = self._draw_anywhere(len(first), generator)
            columns.append(self._prefer_near(first, anywhere, generator))
        return torch.stack(columns, dim=1)

    def _draw_anywhere(self, n: int, generator: torch.Generator) -> Tensor:
        chosen = torch.multinomial(self.shares, n, replacement=True, generator=generator)
        place = torch.rand(n, generator=generator)
        tiles = [
            self.by_class[k][int(u * len(self.by_class[k]))]
            for k, u in zip(chosen.tolist(), place.tolist(), strict=True)
        ]
        return torch.stack(tiles)

    def _prefer_near(self, first: Tensor, anywhere: Tensor, generator: torch.Generator) -> Tensor:
        """Near tiles in place of most of those from anywhere, where there are any."""
        n = len(first)
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


def find_companions(
    labels: np.ndarray, train: np.ndarray, places: np.ndarray | None, names: tuple[str, ...]
) -> Companions:
    """Companions among training tiles.

    `labels` is int64 (n,) of all tiles, `train` their indices in training, `places` float64
    (n, 2 or more): longitude and latitude in degrees, NaN where unknown; `names` of classes.
    Classes that `LAND_SHARES` does not name are drawn as often as they have tiles.
    """
    counts = np.bincount(labels[train], minlength=len(names)).astype(np.float64)
    shares = counts / counts.sum()
    if all(name in LAND_SHARES for name in names):
        shares = np.array([LAND_SHARES[name] for name in names]) * (counts > 0)
    by_class = [train[labels[train] == k] for k in range(len(names))]
    return Companions(
        by_class=tuple(torch.from_numpy(tiles) for tiles in by_class),
        shares=torch.from_numpy(shares).float(),
        near=None if places is None else torch.from_numpy(_find_near(by_class, train, places)),
    )


def _find_near(by_class: list[np.ndarray], train: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What `Companions.near` holds."""
    near = np.full((len(places), len(by_class), NEAREST), -1, dtype=np.int64)
    known = np.isfinite(places[:, :2]).all(axis=1)
    points = EARTH_KM * _to_sphere(np.where(known[:, None], places[:, :2], 0))
    asking = train[known[train]]
    for k, tiles in enumerate(by_class):
        members = tiles[known[tiles]]
        if len(members) == 0:
            continue
        # One more than is wanted: a tile is no companion of its own.
        distance, place = cKDTree(points[members]).query(
            points[asking], k=NEAREST + 1, distance_upper_bound=NEAR_KM
        )
        found = np.append(members, -1)[place]
        distance[found == asking[:, None]] = np.inf
        order = distance.argsort(axis=1)[:, :NEAREST]
        sorted_km = np.take_along_axis(distance, order, axis=1)
        near[asking, k] = np.where(
            np.isfinite(sorted_km), np.take_along_axis(found, order, axis=1), -1
        )
    return near


def _to_sphere(degrees: np.ndarray) -> np.ndarray:
    """Longitude and latitude (n, 2) to points of the unit sphere (n, 3)."""
    lon, lat = np.radians(degrees).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
