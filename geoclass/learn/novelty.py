"""What training tiles are like, for a model to tell what is unlike them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from geoclass.learn.augment import AugmentSettings, augment
from geoclass.learn.recipes import TrainSettings
from geoclass.model.classifier import compute_outputs
from geoclass.model.networks import Network
from geoclass.model.novelty import Gaussians, Novelty, describe_pixels

UNKNOWN_SHARE = 0.01
"""Of validation tiles, all of which are known, as many are called unknown."""

WEIGHTS = (1.0, 1.0, 4.0)
"""How that share is divided between the scores. Energy is high for every cell that lies across
a border, and maps are full of those, so it is asked for little; pixel statistics see thin cloud."""

MAX_TILES = 8_000
"""More training tiles than so many change little."""

SHRINKAGE = 100
"""A class's covariance is mixed with that of all classes as if so many tiles were added."""

AS_MAPPED = AugmentSettings(
    plain_share=0.0,
    gain=0.0,
    channel_gain=0.0,
    gamma=0.0,
    path_radiance=0.0,
    corrected_share=0.0,
    veil_share=0.0,
    offset_share=0.0,
    degrade_share=0.1,
)
"""Training tiles as maps meet them: across borders, resampled, compressed; in their own light,
because other light is what clouds and wrong radiometry look like."""

BATCH_SIZE = 256


def fit_novelty(
    network: Network,
    images: Tensor,
    labels: Tensor,
    validation: Tensor,
    settings: TrainSettings,
) -> Novelty:
    """Fit on training tiles, set the thresholds on validation tiles.

    `images` are uint8 (n, 3, s, s) with `labels` int64 (n,), `validation` are tiles alike;
    `settings` are those that the network was trained by: where it has seen tiles corrected for
    the air, such tiles are known too. Nothing depends on chance.
    """
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(images), generator=generator)[:MAX_TILES]
    images, labels = images[chosen], labels[chosen]
    looks = [AS_MAPPED]
    if settings.augment is not None and settings.augment.corrected_share > 0:
        looks.append(replace(AS_MAPPED, corrected_share=1.0))
    mapped = torch.cat([_vary(images, labels, look, generator) for look in looks])
    compute = partial(
        compute_outputs, network, mean=settings.mean, std=settings.std, batch_size=BATCH_SIZE
    )
    features, _ = compute(mapped)
    pixels = torch.cat([describe_pixels(part.float()) for part in mapped.split(BATCH_SIZE)])
    # Each class has a look of its own in every light.
    looking = torch.cat([labels + i * (labels.max() + 1) for i in range(len(looks))])
    novelty = Novelty(
        features=fit_gaussians(features, labels.repeat(len(looks)), shared=True),
        pixels=fit_gaussians(pixels, looking, shared=False),
        thresholds=torch.zeros(3),
    )
    if len(validation) * UNKNOWN_SHARE < 1:  # too few to tell one in a hundred
        validation = torch.cat([validation, mapped])
    seen, logits = compute(validation)
    parts = (tensor.split(BATCH_SIZE) for tensor in (validation, seen, logits))
    scores = [novelty.score(tile.float(), f, z) for tile, f, z in zip(*parts, strict=True)]
    return replace(novelty, thresholds=choose_thresholds(torch.cat(scores), UNKNOWN_SHARE, WEIGHTS))


def _vary(
    images: Tensor, labels: Tensor, look: AugmentSettings, generator: torch.Generator
) -> Tensor:
    parts = zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True)
    varied = [augment(part, own, look, generator) for part, own in parts]
    return torch.cat(varied).round().to(torch.uint8)


def fit_gaussians(x: Tensor, labels: Tensor, *, shared: bool) -> Gaussians:
    """A normal distribution for each class of x (n, d), labels (n,), or one shape for all.

    A class's own covariance is shrunk towards the pooled one, which few tiles cannot spoil.
    """
    x = x.double()
    classes = labels.unique()
    parts = [x[labels == label] for label in classes]
    means = torch.stack([part.mean(dim=0) for part in parts])
    scatters = torch.stack([(p - m).T @ (p - m) for p, m in zip(parts, means, strict=True)])
    pooled = scatters.sum(dim=0) / len(x)
    # Where a feature never changes, a little of the mean variance keeps its inverse finite.
    pooled += 1e-4 * pooled.diagonal().mean().clamp(min=1e-6) * torch.eye(x.shape[1])
    if shared:
        covariances = pooled[None]
    else:
        counts = torch.tensor([len(part) for part in parts])[:, None, None]
        covariances = (scatters + SHRINKAGE * pooled) / (counts + SHRINKAGE)
    volumes = torch.zeros(len(classes)) if shared else torch.logdet(covariances)
    return Gaussians(
        means=means.float(),
        precisions=torch.linalg.inv(covariances).float(),
        log_volumes=volumes.float(),
    )


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
