"""Corruptions of tiles: a fixed list of ways in which real scenes differ from EuroSAT.

Robustness is the accuracy under them. The list and its seed never change, so that scores of
models can be compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoclass.learn.degrade import (
    TYPICAL_AEROSOL,
    TYPICAL_SUN,
    blur_tiles,
    coarsen_tiles,
    compress_tiles,
    correct_atmosphere,
)
from geoclass.model.classifier import Classifier

SEED = 20170216

NOT_COUNTED = ("L2A, simulated", "contrast stretch", "blue, green, red")
"""Not in the mean: another product, and errors of preparation that a model's contract rejects."""

BATCH_SIZE = 1024
"""Tiles that are processed as floats together."""

Apply = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way to corrupt tiles."""

    apply: Apply
    """Corrupts uint8 tiles (n, 3, s, s) with labels (n,)."""
    augmented_by: tuple[str, ...] = ()
    """Fields of `AugmentSettings` that do the same to training tiles, unless one of them is 0."""
    of_plain_tiles: bool = False
    """Whether this augmentation also applies to tiles whose light does not change."""


def corrupt_each(change: Callable[[np.ndarray], np.ndarray]) -> Apply:
    """Make a corruption of a function of tiles, whose result is rounded and clipped to 0–255."""

    def corrupt(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
        corrupted = np.empty_like(images)
        for first in range(0, len(images), BATCH_SIZE):
            part = slice(first, first + BATCH_SIZE)
            corrupted[part] = np.rint(np.clip(change(images[part]), 0, 255))
        return corrupted

    return corrupt


def corrupt_tensors(change: Callable[[Tensor], Tensor]) -> Apply:
    """Make a corruption of a function of float tensors, 0–255."""
    return corrupt_each(lambda part: change(torch.from_numpy(part).float()).numpy())


def add_noise(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Add Gaussian noise of σ = 8 grey levels."""
    generator = np.random.default_rng(SEED)
    add = corrupt_each(lambda part: part + generator.normal(0, 8, part.shape).astype(np.float32))
    return add(images, labels)


def join_halves(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Join the right half of a tile to the left half of another of its class."""
    generator = np.random.default_rng(SEED)
    half = images.shape[3] // 2
    out = np.empty_like(images)
    for label in np.unique(labels):
        # The mate of a tile is the next in a shuffled ring, never the tile itself.
        ring = generator.permutation(np.flatnonzero(labels == label))
        out[ring, :, :, :half] = images[ring, :, :, half:]
        out[ring, :, :, half:] = images[np.roll(ring, -1), :, :, :half]
    return out


def simulate_l2a(x: Tensor) -> Tensor:
    """Convert to Level-2A of a clear day with the sun 40° above the horizon."""
    sun, aerosol = torch.full((1, 1, 1, 1), TYPICAL_SUN), torch.full((1, 1, 1, 1), TYPICAL_AEROSOL)
    return 255 * correct_atmosphere(x / 255, sun, aerosol)


def stretch_contrast(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Stretch each channel from its 2nd to its 98th percentile over all tiles, as viewers do."""
    low, high = np.percentile(images, (2, 98), axis=(0, 2, 3), keepdims=True)
    span = np.maximum(high - low, 1)
    return corrupt_each(lambda part: (part - low) / span * 255)(images, labels)


_GAIN, _GAMMA, _DEGRADE = ("gain",), ("gamma",), ("degrade_share",)
_VEIL, _OFFSET = ("veil", "veil_share"), ("offset", "offset_share")

CORRUPTIONS: Mapping[str, Corruption] = {
    "gain ×0.7": Corruption(corrupt_each(lambda v: v * 0.7), _GAIN),
    "gain ×1.4": Corruption(corrupt_each(lambda v: v * 1.4), _GAIN),
    "gamma 0.7": Corruption(corrupt_each(lambda v: 255 * (v / 255.0) ** 0.7), _GAMMA),
    "gamma 1.5": Corruption(corrupt_each(lambda v: 255 * (v / 255.0) ** 1.5), _GAMMA),
    "haze 0.8x + 40": Corruption(corrupt_each(lambda v: v * 0.8 + 40), _VEIL),
    "haze 0.6x + 80": Corruption(corrupt_each(lambda v: v * 0.6 + 80), _VEIL),
    "offset +92": Corruption(corrupt_each(lambda v: v * 1.0 + 92), _OFFSET),
    "blur σ 1": Corruption(corrupt_tensors(lambda x: blur_tiles(x, sigma=1.0)), _DEGRADE),
    "noise σ 8": Corruption(add_noise, _DEGRADE),
    "JPEG quality 30": Corruption(
        corrupt_tensors(lambda x: compress_tiles(x, torch.full((len(x),), 30))), _DEGRADE
    ),
    "two halves": Corruption(join_halves, ("join_share",), of_plain_tiles=True),
    "20 m pixels": Corruption(corrupt_tensors(coarsen_tiles), _DEGRADE),
    "L2A, simulated": Corruption(corrupt_tensors(simulate_l2a), ("corrected_share",)),
    "contrast stretch": Corruption(stretch_contrast),
    "blue, green, red": Corruption(corrupt_each(lambda v: v[:, ::-1])),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionScore:
    """Score of a model under one corruption."""

    name: str
    accuracy: float
    """0–1."""
    seen: bool
    """Whether the augmentation of training includes it."""
    counted: bool


def score_corruptions(
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    on_tiles: Callable[[int], object],
) -> list[CorruptionScore]:
    """Score uint8 tiles (n, 3, s, s) with labels (n,) under each corruption.

    `on_tiles` gets the number of tiles scored, after each corruption.
    """
    recipe = classifier.contract.training.recipe
    scores = []
    for name, corruption in CORRUPTIONS.items():
        corrupted = corruption.apply(images, labels)
        predicted = classifier.predict(corrupted).probabilities.argmax(axis=1)
        scores.append(
            CorruptionScore(
                name=name,
                accuracy=float((predicted == labels).mean()),
                seen=is_seen(name, recipe),
                counted=name not in NOT_COUNTED,
            )
        )
        on_tiles(len(images))
    return scores


def mean_accuracy(scores: Sequence[CorruptionScore]) -> float:
    """Robustness: the mean accuracy of the corruptions that count, 0–1."""
    return float(np.mean([score.accuracy for score in scores if score.counted]))


def is_seen(name: str, recipe: Mapping[str, Any]) -> bool:
    """Whether the augmentation of a recipe includes the corruption `name`."""
    augment = recipe.get("augment")
    corruption = CORRUPTIONS.get(name)
    if corruption is None or not corruption.augmented_by or not isinstance(augment, Mapping):
        return False
    if not all(augment.get(setting) for setting in corruption.augmented_by):
        return False
    plain = min(augment.get("plain_share", 0), augment.get("plain_share_end", 0))
    return corruption.of_plain_tiles or plain < 1
