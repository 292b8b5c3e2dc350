"""The same tiles on a bad day: a fixed list of ways in which real scenes differ from EuroSAT.

Robustness is accuracy on these. The list and its seed never change, so that scores of
different models compare. Training may vary tiles in the same ways: `is_seen` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

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

Corruption = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From uint8 tiles (n, 3, s, s) and their labels (n,) to as many corrupted tiles."""

NOT_COUNTED = ("L2A, simulated", "contrast stretch", "blue, green, red")
"""Another product, scored for itself, and errors of preparation, which the contract refuses."""


AT_ONCE = 1024
"""Tiles that are worked on as floats together."""


def corrupt_each(change: Callable[[np.ndarray], np.ndarray]) -> Corruption:
    """The corruption that changes every tile alike, 0–255 to what is then brought to bytes."""

    def corrupt(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
        corrupted = np.empty_like(images)
        for first in range(0, len(images), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            corrupted[part] = np.rint(np.clip(change(images[part]), 0, 255))
        return corrupted

    return corrupt


@corrupt_each
def blur(images: np.ndarray) -> np.ndarray:
    """Gaussian of σ = 1 pixel."""
    return blur_tiles(torch.from_numpy(images).float(), sigma=1.0).numpy()


def add_noise(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gaussian of σ = 8 grey levels."""
    generator = np.random.default_rng(SEED)

    def add(part: np.ndarray) -> np.ndarray:
        noisy: np.ndarray = part + generator.normal(0, 8, part.shape).astype(np.float32)
        return noisy

    return corrupt_each(add)(images, labels)


@corrupt_each
def compress(images: np.ndarray) -> np.ndarray:
    """JPEG of quality 30."""
    quality = torch.full((len(images),), 30)
    return compress_tiles(torch.from_numpy(images).float(), quality).numpy()


def join_halves(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The right half of a tile beside the left half of another of its class: a tile's border."""
    generator = np.random.default_rng(SEED)
    half = images.shape[3] // 2
    out = np.empty_like(images)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        # Each member's mate is the next in a shuffled ring, so that none is its own.
        ring = generator.permutation(members)
        mates = np.empty_like(members)
        mates[np.searchsorted(members, ring)] = np.roll(ring, -1)
        out[members, :, :, :half] = images[members, :, :, half:]
        out[members, :, :, half:] = images[mates, :, :, :half]
    return out


@corrupt_each
def coarsen(images: np.ndarray) -> np.ndarray:
    """Pixels of 20 m, brought back to 10 m by cubic interpolation."""
    return coarsen_tiles(torch.from_numpy(images).float()).numpy()


@corrupt_each
def correct_for_air(images: np.ndarray) -> np.ndarray:
    """Level-2A of a clear day with the sun at 40° above the horizon."""
    x = torch.from_numpy(images).float() / 255
    sun, aerosol = torch.full((1, 1, 1, 1), TYPICAL_SUN), torch.full((1, 1, 1, 1), TYPICAL_AEROSOL)
    return 255 * correct_atmosphere(x, sun, aerosol).numpy()


def stretch_contrast(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each channel from its 2nd to its 98th percentile over all tiles, as viewers do."""
    low, high = np.percentile(images, (2, 98), axis=(0, 2, 3), keepdims=True)
    span = np.maximum(high - low, 1)
    return corrupt_each(lambda part: (part - low) / span * 255)(images, labels)


def swap_channels(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Blue taken for red."""
    return np.ascontiguousarray(images[:, ::-1])


CORRUPTIONS: Mapping[str, Corruption] = {
    "gain ×0.7": corrupt_each(lambda v: v * 0.7),
    "gain ×1.4": corrupt_each(lambda v: v * 1.4),
    "gamma 0.7": corrupt_each(lambda v: 255 * (v / 255.0) ** 0.7),
    "gamma 1.5": corrupt_each(lambda v: 255 * (v / 255.0) ** 1.5),
    "haze 0.8x + 40": corrupt_each(lambda v: v * 0.8 + 40),
    "haze 0.6x + 80": corrupt_each(lambda v: v * 0.6 + 80),
    "offset +92": corrupt_each(lambda v: v * 1.0 + 92),
    "blur σ 1": blur,
    "noise σ 8": add_noise,
    "JPEG quality 30": compress,
    "two halves": join_halves,
    "20 m pixels": coarsen,
    "L2A, simulated": correct_for_air,
    "contrast stretch": stretch_contrast,
    "blue, green, red": swap_channels,
}

_VARIED_BY: Mapping[str, tuple[str, ...]] = {
    "gain ×0.7": ("gain",),
    "gain ×1.4": ("gain",),
    "gamma 0.7": ("gamma",),
    "gamma 1.5": ("gamma",),
    "haze 0.8x + 40": ("veil", "veil_share"),
    "haze 0.6x + 80": ("veil", "veil_share"),
    "offset +92": ("offset", "offset_share"),
    "blur σ 1": ("degrade_share",),
    "noise σ 8": ("degrade_share",),
    "JPEG quality 30": ("degrade_share",),
    "two halves": ("join_share",),
    "20 m pixels": ("degrade_share",),
    "L2A, simulated": ("corrected_share",),
}
"""The settings of `AugmentSettings` that vary training tiles in the same way, where none is 0."""

_OF_PLAIN_TILES = ("two halves",)
"""What tiles undergo that are neither relit nor degraded, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionScore:
    """How a model fares under one corruption."""

    name: str
    accuracy: float
    """0–1."""
    seen: bool
    """Whether training varied tiles in this way."""
    counted: bool
    """Whether it counts in the mean."""


def score_corruptions(
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    on_tiles: Callable[[int], object] = lambda _: None,
) -> list[CorruptionScore]:
    """Accuracy on uint8 tiles (n, 3, s, s) with labels (n,) under each corruption.

    `on_tiles` is told how many more have been scored, after each corruption.
    """
    recipe = classifier.contract.training.recipe
    scores = []
    for name, corrupt in CORRUPTIONS.items():
        predicted = classifier.predict(corrupt(images, labels)).probabilities.argmax(axis=1)
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
    """Robustness: the mean over the corruptions that count, 0–1."""
    return float(np.mean([score.accuracy for score in scores if score.counted]))


def is_seen(name: str, recipe: Mapping[str, Any]) -> bool:
    """Whether training by this recipe varied tiles as the corruption `name` does."""
    variations = recipe.get("augment")
    settings = _VARIED_BY.get(name, ())
    if not settings or not isinstance(variations, Mapping):
        return False
    if not all(variations.get(setting) for setting in settings):
        return False
    plain = min(variations.get("plain_share", 0), variations.get("plain_share_end", 0))
    return name in _OF_PLAIN_TILES or plain < 1
