"""How unlike the training data a tile is.

No single score sees everything. A class that training lacked is seen by the network's
indecision (energy); clouds, snow, noise, photographs and missing pixels leave the network sure
of itself, but have features and, plainer still, pixel statistics that no training tile has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

SCORES = ("energy", "features", "pixels")
"""The order of scores: the first sees near novelties, the others far ones."""

STATISTICS = 25
"""How many numbers `describe_pixels` makes of a tile."""

_AT_ONCE = 1024
"""Tiles whose distances from all training tiles are held together."""

BLACK, WHITE = 2, 254
"""Grey levels up to and from which a value counts as black or white."""

NEAREST = 5
"""Of fewer neighbours, a single odd training tile makes others of its kind known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaussians:
    """A normal distribution a class, all of one shape."""

    means: Tensor
    """float32 (classes, d)."""
    precision: Tensor
    """float32 (d, d): the inverse of their covariance."""

    def distance(self, x: Tensor) -> Tensor:
        """Of x (n, d) from the nearest class, (n,): Mahalanobis squared (Lee et al. 2018, eq. 2).

        One class after the other, so that no array is larger than x.
        """
        away = (x - mean for mean in self.means)
        return torch.stack([((a @ self.precision) * a).sum(dim=1) for a in away]).amin(dim=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """Training tiles themselves, to which others are near or far."""

    means: Tensor
    """float32 (d,)."""
    deviations: Tensor
    """float32 (d,): what one unit of distance is, in each direction."""
    references: Tensor
    """float32 (n, d), in those units about the means."""

    def distance(self, x: Tensor) -> Tensor:
        """Of x (m, d) from its `NEAREST`th neighbour, (m,) (Sun et al. 2022, section 3)."""
        scaled = (x - self.means) / self.deviations
        rank = min(NEAREST, len(self.references))
        distances = torch.cdist(scaled, self.references)
        # `kthvalue` would say it, too, but in five times the time.
        return distances.topk(rank, dim=1, largest=False).values[:, -1]

    def is_far(self, x: Tensor, limit: Tensor) -> Tensor:
        """Whether `distance` is above a limit, bool (m,): counted, which is quicker than sorted."""
        scaled = (x - self.means) / self.deviations
        near = torch.cdist(scaled, self.references) <= limit
        return near.sum(dim=1) < min(NEAREST, len(self.references))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Novelty:
    """What training tiles are like, and how unlike them a tile may be."""

    features: Gaussians
    """Of what the network's last layer decides by."""
    pixels: Neighbours
    """By `describe_pixels`."""
    thresholds: Tensor
    """float32 (3,): a tile is unknown where any of its scores is above."""

    def score(self, tiles: Tensor, features: Tensor, logits: Tensor) -> Tensor:
        """Float (n, 3), in the order of `SCORES`, higher is stranger.

        `tiles` are float (n, 3, s, s), 0–255, `features` (n, f) and `logits` (n, classes) what
        the network makes of them. Energy is −log Σ exp(logits) (Liu et al. 2020, eq. 4).
        """
        return self.score_statistics(describe_pixels(tiles), features, logits)

    def score_statistics(self, statistics: Tensor, features: Tensor, logits: Tensor) -> Tensor:
        """The same of tiles whose statistics (n, 25) are known."""
        return torch.stack(
            [
                -logits.logsumexp(dim=1),
                self.features.distance(features),
                self.pixels.distance(statistics),
            ],
            dim=1,
        )

    def judge(self, statistics: Tensor, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Whether tiles are unknown, and whether by their pixels alone, bool (n,) each.

        Those whose `score` passes a threshold, found quicker; `statistics` are those of
        `describe_pixels`, (n, 25).
        """
        energy, far, limit = self.thresholds
        strange = torch.cat(
            [self.pixels.is_far(part, limit) for part in statistics.split(_AT_ONCE)]
        )
        unlike = (-logits.logsumexp(dim=1) > energy) | (self.features.distance(features) > far)
        return unlike | strange, strange

    def to(self, device: torch.device) -> Novelty:
        """The same on another device."""
        return self.from_tensors({name: part.to(device) for name, part in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """By name, as `from_tensors` takes them."""
        return {
            "thresholds": self.thresholds,
            **{f"features.{f.name}": getattr(self.features, f.name) for f in fields(Gaussians)},
            **{f"pixels.{f.name}": getattr(self.pixels, f.name) for f in fields(Neighbours)},
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Novelty:
        """What `tensors` gave; they have the forms that `tensor_shapes` names."""
        return cls(
            features=Gaussians(
                **{f.name: tensors[f"features.{f.name}"] for f in fields(Gaussians)}
            ),
            pixels=Neighbours(**{f.name: tensors[f"pixels.{f.name}"] for f in fields(Neighbours)}),
            thresholds=tensors["thresholds"],
        )


def tensor_shapes(features: int) -> dict[str, tuple[int | None, ...]]:
    """What `Novelty.from_tensors` takes, for a network of so many features; None: 1 or more."""
    return {
        "features.means": (None, features),
        "features.precision": (features, features),
        "pixels.means": (STATISTICS,),
        "pixels.deviations": (STATISTICS,),
        "pixels.references": (None, STATISTICS),
        "thresholds": (len(SCORES),),
    }


def describe_pixels(tiles: Tensor, clear: Tensor | None = None) -> Tensor:
    """Float (n, 3, s, s), 0–255, to statistics (n, 25) of comparable spread.

    A channel: logarithms of mean, standard deviation, mean step between neighbours, darkest and
    brightest value, and the darkest value itself; between channels: differences of the means and
    Fisher's z of the correlations; of all: how many values are black, how many white. Of pixels
    that are `clear`, bool (n, 1, s, s), alone; by default of all.
    """
    seen = tiles.new_ones(1, 1, *tiles.shape[2:]) if clear is None else clear.to(tiles.dtype)
    flat, counted = tiles.flatten(2), seen.flatten(2)
    count = counted.sum(dim=2).clamp(min=1)
    mean = (flat * counted).sum(dim=2) / count
    away = (flat - mean[:, :, None]) * counted
    covariance = away @ away.transpose(1, 2) / count[:, :, None]
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    first, second = [0, 1, 0], [1, 2, 2]
    pairs = deviation[:, first] * deviation[:, second] + 1  # a grey level² keeps it finite
    correlation = (covariance[:, first, second] / pairs).clamp(-0.999, 0.999)
    step = (_average_steps(tiles, seen, 2) + _average_steps(tiles, seen, 3)) / 2
    hidden = counted == 0
    darkest = flat.masked_fill(hidden, 255).amin(dim=2)
    brightest = flat.masked_fill(hidden, 0).amax(dim=2)
    shares = [
        ((extreme * counted).sum(dim=2) / count).mean(dim=1)
        for extreme in (flat <= BLACK, flat >= WHITE)
    ]
    logarithms = [mean, deviation, step, darkest, brightest]
    return torch.cat(
        [
            *(value.log1p() for value in logarithms),
            darkest / 20,
            (mean[:, :-1] - mean[:, 1:]) / 20,
            correlation.atanh(),
            (100 * torch.stack(shares, dim=1)).log1p(),
        ],
        dim=1,
    )


def _average_steps(tiles: Tensor, seen: Tensor, dim: int) -> Tensor:
    """Mean difference (n, 3) between neighbours along rows or columns, of which both are seen."""
    counted = seen.narrow(dim, 1, seen.shape[dim] - 1) * seen.narrow(dim, 0, seen.shape[dim] - 1)
    steps = tiles.diff(dim=dim).abs() * counted
    return steps.sum(dim=(2, 3)) / counted.sum(dim=(2, 3)).clamp(min=1)
