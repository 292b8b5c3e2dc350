"""Tiles that a network has seen, told by their pixels, whatever they are called."""

from __future__ import annotations

import hashlib

import numpy as np

from geoclass.learn.dataset import TileSet
from geoclass.learn.splits import Split
from geoclass.model.checkpoint import Model


def hash_pixels(images: np.ndarray) -> np.ndarray:
    """int64 (n,) of uint8 tiles (n, 3, s, s): the first 8 bytes of their SHA-256.

    Tiles are the same wherever they lie and whatever they are called.
    """
    digests = b"".join(hashlib.sha256(image.tobytes()).digest()[:8] for image in images)
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)


def count_leaks(tiles: TileSet, split: Split) -> int:
    """How many tiles of the test part have the pixels of one that is trained on or chosen with."""
    kept_apart = hash_pixels(tiles.images[split.test])
    others = hash_pixels(tiles.images[np.concatenate([split.train, split.validation])])
    return int(np.isin(kept_apart, others).sum())


def count_seen(model: Model, images: np.ndarray) -> int | None:
    """How many of uint8 tiles (n, 3, s, s) the model was trained on or chosen with.

    None where it does not remember them, as models of older versions do not.
    """
    if model.seen is None:
        return None
    return int(np.isin(hash_pixels(images), model.seen.numpy()).sum())
