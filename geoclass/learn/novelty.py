"""What training tiles are like, for a model to tell what is unlike them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from geoclass.learn.augment import augment
from geoclass.learn.settings import AugmentSettings
from geoclass.model.classifier import compute_outputs
from geoclass.model.networks import Network
from geoclass.model.ood import Gaussians, Neighbours, OodDetector, describe_pixels

UNKNOWN_SHARE = 0.01
"""Of validation tiles, all of which are known, as many are called unknown."""

WEIGHTS = (0.5, 1.0, 8.0)
"""How that share is divided between the scores. Energy is high for every cell that lies across
a border, and maps are full of those, so it is asked for little; pixel statistics see thin cloud."""

MAX_TILES = 8_000
"""More training tiles than so many change little."""

AS_MAPPED = AugmentSettings(
    plain_share=0.0,
    gain=0.0,
    channel_gain=0.0,
    gamma=0.0,
    relief=0.0,
    path_radiance=0.0,
    corrected_share=0.0,
    veil_share=0.0,
    offset_share=0.0,
    degrade_share=0.1,
)
"""Training tiles as maps meet them: across borders, resampled, compressed; in their own light,
because other light is what clouds and wrong radiometry look like. Tiles corrected for the air are
not among them either: a Level-2A scene gets its air back before the network sees it."""

BATCH_SIZE = 256

FOLDS = 5
"""Parts of the training tiles that are scored by a fit to the others, where tiles are few."""
MIN_TILES = 3
"""Without one of fewer, what is left has no spread."""


def fit_novelty(
    network: Network,
    images: Tensor,
    labels: Tensor,
    validation: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    mixed: tuple[Tensor, Tensor] | None = None,
) -> OodDetector:
    """Fit on training tiles, set the thresholds on validation tiles.

    `images` are uint8 (n, 3, s, s) with `labels` int64 (n,), `validation` are tiles alike;
    `mean` and `std` are those that the network was trained with. `mixed` are tiles of several
    classes, composed of training and of validation tiles: where given, they are as well known as
    others. Nothing depends on chance.
    """
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(images), generator=generator)[:MAX_TILES]
    images, labels = images[chosen], labels[chosen]
    mapped = vary_as_mapped(images, labels, generator)
    compute = partial(compute_outputs, network, mean=mean, std=std, batch_size=BATCH_SIZE)
    features, logits = compute(mapped)
    training = _Statistics(pixels=_describe(mapped), features=features, logits=logits)
    if mixed is not None:
        validation = torch.cat([validation, mixed[1]])
    seen, logits = compute(validation)
    known = _Statistics(pixels=_describe(validation), features=seen, logits=logits)
    novelty = _fit(training, labels)
    if mixed is not None:
        novelty = replace(novelty, pixels=fit_neighbours(_describe(torch.cat([mapped, mixed[0]]))))
    scores = known.score(novelty)
    if len(validation) * UNKNOWN_SHARE < 1:  # too few to tell one in a hundred
        scores = torch.cat([scores, *_score_by_others(training, labels)])
    return replace(novelty, thresholds=choose_thresholds(scores, UNKNOWN_SHARE, WEIGHTS))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Statistics:
    """What novelty is told by, of n tiles."""

    pixels: Tensor
    features: Tensor
    logits: Tensor

    def __getitem__(self, chosen: Tensor) -> _Statistics:
        return _Statistics(
            pixels=self.pixels[chosen], features=self.features[chosen], logits=self.logits[chosen]
        )

    def score(self, novelty: OodDetector) -> Tensor:
        """Float (n, 3), as of `OodDetector.score`."""
        parts = (x.split(BATCH_SIZE) for x in (self.pixels, self.features, self.logits))
        return torch.cat([novelty.score_statistics(*part) for part in zip(*parts, strict=True)])


def _describe(images: Tensor) -> Tensor:
    return torch.cat([describe_pixels(part.float()) for part in images.split(BATCH_SIZE)])


def _fit(training: _Statistics, labels: Tensor) -> OodDetector:
    return OodDetector(
        features=fit_gaussians(training.features, labels),
        pixels=fit_neighbours(training.pixels),
        thresholds=torch.zeros(3),
    )


def _score_by_others(training: _Statistics, labels: Tensor) -> Iterator[Tensor]:
    """Scores of training tiles by what a fit to the others says of them.

    By a fit to themselves, few tiles would be much more like training tiles than any other.
    """
    if len(labels) < MIN_TILES:
        yield training.score(_fit(training, labels))
        return
    fold = torch.arange(len(labels)) % FOLDS
    for k in fold.unique():
        yield training[fold == k].score(_fit(training[fold != k], labels[fold != k]))


def vary_as_mapped(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Uint8 tiles (n, 3, s, s) of classes (n,) as maps meet their like."""
    parts = zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True)
    varied = (augment(part, own, AS_MAPPED, generator) for part, own in parts)
    return torch.cat([part.round().to(torch.uint8) for part in varied])


def fit_gaussians(x: Tensor, labels: Tensor) -> Gaussians:
    """A normal distribution for each class of x (n, d), labels (n,), all of one shape."""
    x = x.double()
    classes = labels.unique()
    means = torch.stack([x[labels == label].mean(dim=0) for label in classes])
    away = x - means[torch.searchsorted(classes, labels)]
    covariance = away.T @ away / len(x)
    # Where a feature never changes, a little of the mean variance keeps its inverse finite.
    covariance += 1e-4 * covariance.diagonal().mean().clamp(min=1e-6) * torch.eye(x.shape[1])
    return Gaussians(means=means.float(), precision=torch.linalg.inv(covariance).float())


def fit_neighbours(x: Tensor) -> Neighbours:
    """All of x (n, d), each direction in units of its standard deviation."""
    means, deviations = x.mean(dim=0), x.std(dim=0).clamp(min=1e-3)
    return Neighbours(means=means, deviations=deviations, references=(x - means) / deviations)


def choose_thresholds(scores: Tensor, share: float, weights: Sequence[float]) -> Tensor:
    """The thresholds (k,) above which `share` of tiles with scores (n, k) have one of theirs.

    Each score's own share is in proportion to its weight; how much they overlap is found by
    bisection.
    """

    def thresholds(factor: float) -> Tensor:
        cuts = [1 - factor * weight for weight in weights]
        columns = zip(scores.unbind(dim=1), cuts, strict=True)
        return torch.stack([column.quantile(cut) for column, cut in columns])

    low, high = 0.0, share / max(weights)
    for _ in range(30):
        middle = (low + high) / 2
        flagged = (scores > thresholds(middle)).any(dim=1).double().mean()
        low, high = (low, middle) if flagged > share else (middle, high)
    return thresholds(low).float()
