"""The same tiles on a bad day: a fixed list of ways in which real scenes differ from EuroSAT.

Robustness is accuracy on these. The list and its seed never change, so that scores of
different models compare; nothing here is used in training.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from geoclass.model.classifier import Classifier

SEED = 20170216

Corruption = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From uint8 tiles (n, 3, s, s) and their labels (n,) to as many corrupted tiles."""

NOT_COUNTED = ("contrast stretch", "blue, green, red")
"""Errors of preparation, which the contract refuses; no network has to live with them."""


def change_gain(factor: float) -> Corruption:
    """Another exposure."""
    return lambda images, _labels: _to_bytes(images * factor)


def change_gamma(exponent: float) -> Corruption:
    """Another tone curve."""
    return lambda images, _labels: _to_bytes(255 * (images / 255.0) ** exponent)


def add_haze(transmittance: float, airlight: float) -> Corruption:
    """Some light lost, some added: v·t + a, in grey levels."""
    return lambda images, _labels: _to_bytes(images * transmittance + airlight)


def blur(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Gaussian of σ = 1 pixel."""
    line = torch.exp(-(torch.arange(-4.0, 5.0) ** 2) / 2)
    line /= line.sum()
    kernel = torch.outer(line, line).expand(3, 1, 9, 9)
    padded = F.pad(torch.from_numpy(images).float(), (4, 4, 4, 4), mode="reflect")
    return _to_bytes(F.conv2d(padded, kernel, groups=3).numpy())


def add_noise(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Gaussian of σ = 8 grey levels."""
    noise = np.random.default_rng(SEED).normal(0, 8, images.shape).astype(np.float32)
    return _to_bytes(images + noise)


def compress(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """JPEG of quality 30."""
    out = np.empty_like(images)
    for i, image in enumerate(images):
        encoded = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(encoded, "JPEG", quality=30)
        with Image.open(encoded) as decoded:
            out[i] = np.asarray(decoded).transpose(2, 0, 1)
    return out


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


def coarsen(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Pixels of 20 m, brought back to 10 m by cubic interpolation."""
    coarse = F.avg_pool2d(torch.from_numpy(images).float(), 2)
    fine = F.interpolate(coarse, scale_factor=2, mode="bicubic", align_corners=False)
    return _to_bytes(fine.numpy())


def stretch_contrast(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Each channel from its 2nd to its 98th percentile over all tiles, as viewers do."""
    low, high = np.percentile(images, (2, 98), axis=(0, 2, 3), keepdims=True)
    return _to_bytes((images - low) / np.maximum(high - low, 1) * 255)


def swap_channels(images: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Blue taken for red."""
    return np.ascontiguousarray(images[:, ::-1])


CORRUPTIONS: Mapping[str, Corruption] = {
    "gain ×0.7": change_gain(0.7),
    "gain ×1.4": change_gain(1.4),
    "gamma 0.7": change_gamma(0.7),
    "gamma 1.5": change_gamma(1.5),
    "haze 0.8x + 40": add_haze(0.8, 40),
    "haze 0.6x + 80": add_haze(0.6, 80),
    "offset +92": add_haze(1.0, 92),
    "blur σ 1": blur,
    "noise σ 8": add_noise,
    "JPEG quality 30": compress,
    "two halves": join_halves,
    "20 m pixels": coarsen,
    "contrast stretch": stretch_contrast,
    "blue, green, red": swap_channels,
}


def score_corruptions(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Accuracy, 0–1, under each corruption, and the mean of those that count."""
    scores = {}
    for name, corrupt in CORRUPTIONS.items():
        predicted = classifier.predict(corrupt(images, labels)).probabilities.argmax(axis=1)
        scores[name] = float((predicted == labels).mean())
    counted = [score for name, score in scores.items() if name not in NOT_COUNTED]
    return {**scores, "mean": sum(counted) / len(counted)}


def _to_bytes(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded
