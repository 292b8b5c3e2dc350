"""What training tiles are like, for a model to tell what is unlike them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from geoclass.learn.augment import AugmentSettings, augment
from geoclass.model.classifier import compute_outputs
from geoclass.model.networks import Network
from geoclass.model.novelty import Gaussians, Novelty, describe_pixels

UNKNOWN_SHARE = 0.01
"""Of validation tiles, all of which are known, as many are called unknown."""

MAX_TILES = 10_000
"""More training tiles than so many change little."""

SHRINKAGE = 100
"""A class's covariance is mixed with that of all classes as if so many tiles were added."""

MAPPED = AugmentSettings(
    plain_share=0.4,
    gain=0.0,
    channel_gain=0.0,
    gamma=0.0,
    path_radiance=0.0,
    corrected_share=0.0,
    veil_share=0.0,
    offset_share=0.0,
    degrade_share=0.15,
)
"""Training tiles as maps meet them: across borders, resampled, compressed; in their own light,
because other light is what clouds and wrong radiometry look like."""

BATCH_SIZE = 256


def fit_novelty(
    network: Network,
    images: Tensor,
    labels: Tensor,
    validation: Tensor,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
) -> Novelty:
    """Fit on training tiles, set the thresholds on validation tiles.

    `images` are uint8 (n, 3, s, s) with `labels` int64 (n,), `validation` are tiles alike;
    `normalisation` is mean and standard deviation of the channels. Nothing depends on chance.
    """
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(images), generator=generator)[:MAX_TILES]
    labels = labels[chosen]
    mapped = torch.cat(
        [
            augment(images[i], labels_, MAPPED, generator).round().to(torch.uint8)
            for i, labels_ in zip(chosen.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True)
        ]
    )
    mean, std = normalisation
    features, _ = compute_outputs(network, mapped, mean=mean, std=std, batch_size=BATCH_SIZE)
    pixels = torch.cat([describe_pixels(part.float()) for part in mapped.split(BATCH_SIZE)])
    novelty = Novelty(
        features=fit_gaussians(features, labels, shared=True),
        pixels=fit_gaussians(pixels, labels, shared=False),
        thresholds=torch.zeros(3),
    )
    if len(validation) * UNKNOWN_SHARE < 1:  # too few to tell one in a hundred
        validation = torch.cat([validation, mapped])
    seen, logits = compute_outputs(network, validation, mean=mean, std=std, batch_size=BATCH_SIZE)
    parts = (tensor.split(BATCH_SIZE) for tensor in (validation, seen, logits))
    scores = [novelty.score(tile.float(), f, z) for tile, f, z in zip(*parts, strict=True)]
    return replace(novelty, thresholds=choose_thresholds(torch.cat(scores), UNKNOWN_SHARE))


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


def choose_thresholds(scores: Tensor, share: float) -> Tensor:
    """The thresholds (k,) above which `share` of tiles with scores (n, k) have one of theirs.

    Each score is given the same share of its own; how much they overlap is found by bisection.
    """
    low, high = 1 - share, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        thresholds = scores.quantile(middle, dim=0)
        if (scores > thresholds).any(dim=1).double().mean() > share:
            low = middle
        else:
            high = middle
    return scores.quantile(high, dim=0).float()
