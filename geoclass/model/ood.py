"""Out-of-distribution (OOD) detection of tiles by three scores.

The energy of the logits detects new classes. For clouds, snow, noise, photographs and missing
pixels the network is confident, but its features and the pixel statistics differ from all training
tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

SCORES = ("energy", "features", "pixels")
"""The first detects near OOD tiles, the others far ones."""

STATISTICS = 25
"""Number of statistics of `describe_pixels`."""

_CHUNK = 1024
"""Tiles per chunk; limits the matrix of distances."""

BLACK, WHITE = 2, 254
"""Grey levels that count as black (up to) and white (from)."""

NEAREST = 5
"""With fewer neighbours, one unusual training tile would hide others like it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaussians:
    """One normal distribution per class, with a common covariance."""

    means: Tensor
    """float32 (classes, d)."""
    precision: Tensor
    """float32 (d, d): inverse of the covariance."""

    def distance(self, x: Tensor) -> Tensor:
        """Squared Mahalanobis distance (n,) of x (n, d) to the nearest class (Lee et al. 2018)."""
        offsets = (x - mean for mean in self.means)  # one class at a time saves memory
        return torch.stack([((d @ self.precision) * d).sum(dim=1) for d in offsets]).amin(dim=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """Nearest-neighbour distances to training tiles."""

    means: Tensor
    """float32 (d,)."""
    deviations: Tensor
    """float32 (d,): standard deviations, the units of distance."""
    references: Tensor
    """float32 (n, d): standardised training tiles."""

    def distance(self, x: Tensor) -> Tensor:
        """Distance (m,) of x (m, d) to its `NEAREST`th neighbour (Sun et al. 2022, section 3)."""
        scaled = (x - self.means) / self.deviations
        rank = min(NEAREST, len(self.references))
        distances = torch.cdist(scaled, self.references)
        # Five times as fast as `kthvalue`.
        return distances.topk(rank, dim=1, largest=False).values[:, -1]

    def is_far(self, x: Tensor, limit: Tensor) -> Tensor:
        """Whether `distance` is above a limit, bool (m,); counting is faster than sorting."""
        scaled = (x - self.means) / self.deviations
        near = torch.cdist(scaled, self.references) <= limit
        return near.sum(dim=1) < min(NEAREST, len(self.references))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OodDetector:
    """The OOD detector: distributions of training tiles, and thresholds."""

    features: Gaussians
    """Of the inputs of the network's last layer."""
    pixels: Neighbours
    """Of `describe_pixels`."""
    thresholds: Tensor
    """float32 (3,): a tile is unknown if any score is above its threshold."""

    def score(self, tiles: Tensor, features: Tensor, logits: Tensor) -> Tensor:
        """Float (n, 3), in the order of `SCORES`; larger is less like the training data.

        `tiles` are float (n, 3, s, s), 0–255, with `features` (n, f) and `logits` (n, classes).
        Energy is −log Σ exp(logits) (Liu et al. 2020, eq. 4).
        """
        return self.score_statistics(describe_pixels(tiles), features, logits)

    def score_statistics(self, statistics: Tensor, features: Tensor, logits: Tensor) -> Tensor:
        """The same from the statistics (n, 25) of `describe_pixels`."""
        return torch.stack(
            [
                -logits.logsumexp(dim=1),
                self.features.distance(features),
                self.pixels.distance(statistics),
            ],
            dim=1,
        )

    def detect(self, statistics: Tensor, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Whether tiles are OOD by any score, and by pixels alone, bool (n,) each.

        A faster test than comparing `score_statistics` with the thresholds.
        """
        energy, far, _ = self.thresholds
        by_pixels = self.has_far_pixels(statistics)
        by_network = (-logits.logsumexp(dim=1) > energy) | (self.features.distance(features) > far)
        return by_network | by_pixels, by_pixels

    def has_far_pixels(self, statistics: Tensor) -> Tensor:
        """Whether tiles are OOD by their pixels, bool (n,)."""
        limit = self.thresholds[2]
        return torch.cat([self.pixels.is_far(part, limit) for part in statistics.split(_CHUNK)])

    def to(self, device: torch.device) -> OodDetector:
        """The same on another device."""
        return self.from_tensors({name: part.to(device) for name, part in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, for `from_tensors`."""
        return {
            "thresholds": self.thresholds,
            **{f"features.{f.name}": getattr(self.features, f.name) for f in fields(Gaussians)},
            **{f"pixels.{f.name}": getattr(self.pixels, f.name) for f in fields(Neighbours)},
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> OodDetector:
        """Inverse of `tensors`; shapes are those of `tensor_shapes`."""
        return cls(
            features=Gaussians(
                **{f.name: tensors[f"features.{f.name}"] for f in fields(Gaussians)}
            ),
            pixels=Neighbours(**{f.name: tensors[f"pixels.{f.name}"] for f in fields(Neighbours)}),
            thresholds=tensors["thresholds"],
        )


def tensor_shapes(features: int) -> dict[str, tuple[int | None, ...]]:
    """Shapes for `OodDetector.from_tensors` and so many features; None is any size from 1."""
    return {
        "features.means": (None, features),
        "features.precision": (features, features),
        "pixels.means": (STATISTICS,),
        "pixels.deviations": (STATISTICS,),
        "pixels.references": (None, STATISTICS),
        "thresholds": (len(SCORES),),
    }


def describe_pixels(tiles: Tensor, clear: Tensor | None = None) -> Tensor:
    """Float (n, 3, s, s), 0–255, to statistics (n, 25) of similar variance.

    Per channel: logarithms of mean, standard deviation, mean difference of neighbours, minimum and
    maximum, and the minimum. Between channels: differences of means and Fisher's z of correlations.
    Overall: fractions of black and white values. Only pixels that are `clear`, bool (n, 1, s, s),
    count; by default all.
    """
    seen = tiles.new_ones(1, 1, *tiles.shape[2:]) if clear is None else clear.to(tiles.dtype)
    flat, counted = tiles.flatten(2), seen.flatten(2)
    count = counted.sum(dim=2).clamp(min=1)
    # Hidden pixels are 0 in one, 255 in the other.
    low, high = flat * counted, flat * counted + 255 * (1 - counted)
    mean = low.sum(dim=2) / count
    away = low - mean[:, :, None] * counted
    covariance = away @ away.transpose(1, 2) / count[:, :, None]
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    first, second = [0, 1, 0], [1, 2, 2]
    pairs = deviation[:, first] * deviation[:, second] + 1  # + 1 grey level² avoids 0/0
    correlation = (covariance[:, first, second] / pairs).clamp(-0.999, 0.999)
    step = (_average_steps(tiles, seen, 2) + _average_steps(tiles, seen, 3)) / 2
    darkest, brightest = high.amin(dim=2), low.amax(dim=2)
    shares = [(extreme.sum(dim=2) / count).mean(dim=1) for extreme in (high <= BLACK, low >= WHITE)]
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
    """Mean difference (n, 3) of neighbours along `dim` that are both seen."""
    counted = seen.narrow(dim, 1, seen.shape[dim] - 1) * seen.narrow(dim, 0, seen.shape[dim] - 1)
    steps = tiles.diff(dim=dim).abs() * counted
    return steps.sum(dim=(2, 3)) / counted.sum(dim=(2, 3)).clamp(min=1)
