"""From trained weights to a model file: calibration and out-of-distribution scores."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from geoclass.contract import Contract, TrainingRecord
from geoclass.learn.augment import augment
from geoclass.learn.canvases import compute_cells, mix_whole_tiles
from geoclass.learn.dataset import TileSet
from geoclass.learn.recipes import AugmentSettings, TrainSettings
from geoclass.learn.splits import Split, hash_pixels
from geoclass.model.checkpoint import Model, save_model
from geoclass.model.classifier import compute_outputs
from geoclass.model.networks import DenseTileNet, Network
from geoclass.model.ood import Gaussians, Neighbours, OodDetector, describe_pixels


def finish_model(
    output: Path,
    network: Network,
    tiles: TileSet,
    split: Split,
    settings: TrainSettings,
    row: Mapping[str, float],
    start: Model | None,
) -> None:
    """Calibrate the weights of an epoch, fit the out-of-distribution scores, write the model.

    `network` is in evaluation mode, on any device; `row` is the epoch in the log, `start` the
    model training started from.
    """
    n = len(tiles.classes)
    labels = torch.from_numpy(tiles.labels[split.validation])
    _, logits = compute_outputs(
        network,
        torch.from_numpy(tiles.images[split.validation]),
        mean=settings.mean,
        std=settings.std,
        batch_size=settings.batch_size,
    )
    pairs = labels * n + logits.argmax(dim=1)
    confusion = torch.bincount(pairs, minlength=n * n).reshape(n, n)
    counts = np.bincount(tiles.labels[split.train], minlength=n)
    cell_temperature = None
    if isinstance(network, DenseTileNet):
        cell_temperature = fit_temperature(
            *compute_cells(network, tiles, split.validation, settings)
        )
    contract = Contract(
        legend=tiles.legend,
        mean=settings.mean,
        std=settings.std,
        temperature=fit_temperature(logits, labels),
        cell_temperature=cell_temperature,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        class_shares=tuple((counts / counts.sum()).tolist()),
        training=TrainingRecord(
            data_set=tiles.name,
            split=split.record(tiles.names),
            recipe=asdict(settings),
            epoch=int(row["epoch"]),
            validation_accuracy=row["validation_accuracy"],
            skipped=len(tiles.skipped),
        ),
    )
    novelty = fit_to_tiles(network, tiles, split.train, split.validation, contract)
    seen = hash_seen(tiles, split.train, split.validation, start)
    save_model(output, settings.arch, network.cpu(), contract, novelty, seen)


def fit_to_tiles(
    network: Network,
    tiles: TileSet,
    train: np.ndarray,
    validation: np.ndarray,
    contract: Contract,
) -> OodDetector:
    """Fit the out-of-distribution scores; `train` and `validation` are indices of tiles."""
    mixed = None
    if isinstance(network, DenseTileNet):  # its maps contain mixed tiles
        mixed = (mix_whole_tiles(tiles, train), mix_whole_tiles(tiles, validation))
    return fit_novelty(
        network,
        torch.from_numpy(tiles.images[train]),
        torch.from_numpy(tiles.labels[train]),
        torch.from_numpy(tiles.images[validation]),
        mean=contract.mean,
        std=contract.std,
        mixed=mixed,
    )


def hash_seen(
    tiles: TileSet, train: np.ndarray, validation: np.ndarray, start: Model | None = None
) -> Tensor | None:
    """Hashes of the tiles used in this run and in that of the starting model: int64 (n,).

    None if the starting model does not record them.
    """
    seen = hash_pixels(tiles.images[np.concatenate([train, validation])])
    if start is not None:
        if start.seen is None:
            return None
        seen = np.concatenate([seen, start.seen.numpy()])
    return torch.from_numpy(np.unique(seen))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T of softmax(logits / T) with maximum likelihood (Guo et al. 2017, "On Calibration").

    `logits` is float (n, classes), `labels` int64 (n,), of tiles outside the training part. The
    result is within 0.05–20; a network without a mistake would otherwise give 0.
    """
    exact = logits.double()

    def loss(log_t: float) -> float:
        return float(F.cross_entropy(exact / math.exp(log_t), labels))

    return math.exp(minimize_scalar(loss, bounds=(-3, 3)).x)


UNKNOWN_SHARE = 0.01
"""Fraction of validation tiles that become unknown."""

WEIGHTS = (0.5, 1.0, 8.0)
"""Weights of energy, feature distance and pixel statistics in this fraction. Energy is high for
all cells on borders, of which maps have many; pixel statistics detect thin cloud."""

MAX_TILES = 8_000

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
"""Augmentation as in maps: borders, resampling, compression. Light does not change, because
clouds and wrong radiometry look like changed light. Simulated Level-2A is excluded, because maps
add the atmosphere to Level-2A scenes."""

BATCH_SIZE = 256

FOLDS = 5
"""Cross-validation folds of training tiles, for data sets with few tiles."""
MIN_TILES = 3
"""For cross-validation."""


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
    """Fit statistics of training tiles, and thresholds on validation tiles; deterministic.

    `images` is uint8 (n, 3, s, s) with `labels` int64 (n,), `validation` is uint8 (m, 3, s, s);
    `mean` and `std` are those of training. `mixed` are tiles of several classes, composed of
    training and of validation tiles, which also count as in-distribution.
    """
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(images), generator=generator)[:MAX_TILES]
    images, labels = images[chosen], labels[chosen]
    mapped = augment_as_mapped(images, labels, generator)
    compute = partial(compute_outputs, network, mean=mean, std=std, batch_size=BATCH_SIZE)
    # Statistics of n tiles each: of pixels, features, logits.
    training = (_describe(mapped), *compute(mapped))
    if mixed is not None:
        validation = torch.cat([validation, mixed[1]])
    known = (_describe(validation), *compute(validation))
    novelty = _fit(training, labels)
    if mixed is not None:
        novelty = replace(novelty, pixels=fit_neighbours(_describe(torch.cat([mapped, mixed[0]]))))
    scores = _score(novelty, known)
    if len(validation) * UNKNOWN_SHARE < 1:  # too few for this fraction
        scores = torch.cat([scores, *_cross_validate(training, labels)])
    return replace(novelty, thresholds=choose_thresholds(scores, UNKNOWN_SHARE, WEIGHTS))


def _score(detector: OodDetector, statistics: Sequence[Tensor]) -> Tensor:
    """Scores, float (n, 3), as of `OodDetector.score`."""
    parts = zip(*(x.split(BATCH_SIZE) for x in statistics), strict=True)
    return torch.cat([detector.score_statistics(*part) for part in parts])


def _describe(images: Tensor) -> Tensor:
    return torch.cat([describe_pixels(part.float()) for part in images.split(BATCH_SIZE)])


def _fit(statistics: Sequence[Tensor], labels: Tensor) -> OodDetector:
    pixels, features, _ = statistics
    return OodDetector(
        features=fit_gaussians(features, labels),
        pixels=fit_neighbours(pixels),
        thresholds=torch.zeros(3),
    )


def _cross_validate(statistics: Sequence[Tensor], labels: Tensor) -> Iterator[Tensor]:
    """Scores of training tiles by fits to the other tiles."""
    if len(labels) < MIN_TILES:
        yield _score(_fit(statistics, labels), statistics)
        return
    fold = torch.arange(len(labels)) % FOLDS
    for k in fold.unique():
        detector = _fit([x[fold != k] for x in statistics], labels[fold != k])
        yield _score(detector, [x[fold == k] for x in statistics])


def augment_as_mapped(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Augment uint8 tiles (n, 3, s, s) of classes (n,) as in maps."""
    parts = zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True)
    varied = (augment(part, own, AS_MAPPED, generator) for part, own in parts)
    return torch.cat([part.round().to(torch.uint8) for part in varied])


def fit_gaussians(x: Tensor, labels: Tensor) -> Gaussians:
    """Fit normal distributions with a common covariance to the classes of x (n, d), labels (n,)."""
    x = x.double()
    classes = labels.unique()
    means = torch.stack([x[labels == label].mean(dim=0) for label in classes])
    away = x - means[torch.searchsorted(classes, labels)]
    covariance = away.T @ away / len(x)
    # Regularised, because constant features have no variance.
    covariance += 1e-4 * covariance.diagonal().mean().clamp(min=1e-6) * torch.eye(x.shape[1])
    return Gaussians(means=means.float(), precision=torch.linalg.inv(covariance).float())


def fit_neighbours(x: Tensor) -> Neighbours:
    """Standardise all columns of x (n, d)."""
    means, deviations = x.mean(dim=0), x.std(dim=0).clamp(min=1e-3)
    return Neighbours(means=means, deviations=deviations, references=(x - means) / deviations)


def choose_thresholds(scores: Tensor, share: float, weights: Sequence[float]) -> Tensor:
    """Thresholds (k,) of scores (n, k) that a fraction `share` of tiles exceeds in any score.

    The fraction of each score is proportional to its weight; their overlap is found by bisection.
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
