"""Overlapping tiles labelled together: their features are computed once, not once a tile.

A tile by itself ends in zeros, of which the network makes something; together, tiles see their
neighbours' pixels instead. So labels differ from those of tiles by themselves, and distances of
features from those of training tiles mean nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.model.novelty import BLACK, WHITE, Novelty, combine_statistics

FEATURE_STRIDE = 8
"""Pixels between neighbouring features of TileNet."""

SIDE = 8
"""Features a side of a tile."""

CONTEXT = 64
"""Pixels around a tile that can change its features: a little more than there are."""

_WINDOW = 2048
"""Columns of tiles' corners that are worked on together; memory grows with it."""


_MIDDLE = 100
"""A grey level that most pixels are near."""

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_PLACES = [[0, 3, 4], [3, 1, 5], [4, 5, 2]]
"""Pairs of channels, and where each stands in a covariance matrix."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """Some columns of a lattice's tiles, which are labelled at once."""

    pixels: np.ndarray
    """uint8 (3, h, w): the tiles with what lies around them."""
    first: tuple[int, int]
    """Row and column of the first tile's corner in the pixels."""
    cols: int
    """Columns of tiles."""
    step: int
    """Pixels from one tile to the next."""


WindowLabels = tuple[np.ndarray, np.ndarray]
"""Of a lattice's tiles: probabilities, float32 (rows, cols, classes), and bool (rows, cols), True
where they are unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFeatures:
    """Labels all tiles of a lattice; their features are means over a map of features."""

    map_features: Callable[[Tensor], Tensor]
    """Uint8 pixels (1, 3, h, w) to features (1, f, h / 8, w / 8)."""
    decide: Callable[[Tensor], Tensor]
    """Features float32 (n, f) to logits (n, classes)."""
    temperature: float
    novelty: Novelty | None
    device: torch.device
    threads: Executor
    """Each works on a window of its own."""

    def predict(self, pixels: np.ndarray, first: tuple[int, int], step: int) -> WindowLabels:
        """Labels of all whole tiles whose corners lie `step` pixels apart.

        `pixels` are uint8 (3, h, w); `first` are row and column of the first corner. These and
        `step` are multiples of FEATURE_STRIDE.
        """
        return join_windows(self.threads.map(self.predict_window, cut_windows(pixels, first, step)))

    def predict_window(self, window: Window) -> WindowLabels:
        """The same of one window."""
        row, col = window.first
        with torch.inference_mode():
            pixels = torch.from_numpy(window.pixels).to(self.device)[None]
            features = self.map_features(pixels).float()
            pooled = pool_features(
                features[:, :, row // FEATURE_STRIDE :, col // FEATURE_STRIDE :], window.step
            )[0, :, :, : window.cols]
            rows, cols = pooled.shape[1:]
            logits = self.decide(pooled.flatten(1).T).float()
            unknown = torch.zeros(len(logits), dtype=torch.bool)
            if self.novelty is not None:
                cut = pixels[:, :, row:, col:].float()
                statistics = describe_lattice(cut, window.step, rows, cols)
                unknown = self.novelty.is_unknown_together(logits, statistics).cpu()
            probabilities = torch.softmax(logits / self.temperature, dim=1).cpu()
        return probabilities.reshape(rows, cols, -1).numpy(), unknown.reshape(rows, cols).numpy()


def cut_windows(pixels: np.ndarray, first: tuple[int, int], step: int) -> Iterator[Window]:
    """All tiles of a lattice; arguments as of `SharedFeatures.predict`."""
    size = SIDE * FEATURE_STRIDE
    row, col = first
    # Odd rows and columns at the end would not come out even in the network's halves.
    height, width = (side // FEATURE_STRIDE * FEATURE_STRIDE for side in pixels.shape[1:])
    corners = range(col, width - size + 1, step)
    at_once = _WINDOW // step
    for begin in range(0, len(corners), at_once):
        some = corners[begin : begin + at_once]
        left, right = max(0, some[0] - CONTEXT), min(width, some[-1] + size + CONTEXT)
        yield Window(
            pixels=np.ascontiguousarray(pixels[:, :height, left:right]),
            first=(row, some[0] - left),
            cols=len(some),
            step=step,
        )


def join_windows(parts: Iterable[WindowLabels]) -> WindowLabels:
    """Labels of neighbouring windows, from left to right, as those of one."""
    probabilities, unknown = zip(*parts, strict=True)
    return np.concatenate(probabilities, axis=1), np.concatenate(unknown, axis=1)


def pool_features(features: Tensor, step: int) -> Tensor:
    """Float (1, c, h, w) to means over tiles `step` pixels apart, (1, c, rows, cols)."""
    return F.avg_pool2d(features, SIDE, step // FEATURE_STRIDE)


def describe_lattice(pixels: Tensor, step: int, rows: int, cols: int) -> Tensor:
    """Statistics (rows · cols, 25) of tiles, as `describe_pixels` has them of each by itself.

    `pixels` are float (1, 3, h, w), 0–255; the first tile's corner is that of the pixels.
    """

    def average(values: Tensor) -> Tensor:
        """Float (1, c, h, w) to means over tiles, (n, c)."""
        tiles = pool_features(F.avg_pool2d(values, FEATURE_STRIDE), step)
        return tiles[0, :, :rows, :cols].flatten(1).T

    def find_greatest(values: Tensor) -> Tensor:
        blocks = F.max_pool2d(values, FEATURE_STRIDE)
        tiles = F.max_pool2d(blocks, SIDE, step // FEATURE_STRIDE)
        return tiles[0, :, :rows, :cols].flatten(1).T

    def average_steps(steps: Tensor, outward: Tensor, shift: tuple[int, int]) -> Tensor:
        """Means of steps within tiles, (n, c): those that lead out of a tile are left out.

        `outward` holds the steps from one block to the next alone, 0 elsewhere; in the blocks at
        `shift`, the last of the first tile, they lead out of it.
        """
        down, right = shift
        kernel = (SIDE if down == 0 else 1, SIDE if right == 0 else 1)
        blocks = F.avg_pool2d(outward, FEATURE_STRIDE)[..., down:, right:]
        last = F.avg_pool2d(blocks, kernel, step // FEATURE_STRIDE)
        size = SIDE * FEATURE_STRIDE
        out = FEATURE_STRIDE * last[0, :, :rows, :cols].flatten(1).T
        return (size * average(steps) - out) / (size - 1)

    across = F.pad((pixels[..., 1:] - pixels[..., :-1]).abs(), (0, 1))
    along = F.pad((pixels[..., 1:, :] - pixels[..., :-1, :]).abs(), (0, 0, 0, 1))
    border = torch.arange(max(pixels.shape[2:]), device=pixels.device) % FEATURE_STRIDE
    border = (border == FEATURE_STRIDE - 1).float()
    right = average_steps(across, across * border[: across.shape[3]], (0, SIDE - 1))
    down = average_steps(along, along * border[: along.shape[2], None], (SIDE - 1, 0))
    mean = average(pixels)
    # Moments about a grey level that most pixels are near lose fewer digits.
    away = pixels - _MIDDLE
    pairs = torch.stack([average(away[:, [i]] * away[:, [j]])[:, 0] for i, j in _PAIRS], dim=1)
    products = (mean - _MIDDLE)[:, :, None] * (mean - _MIDDLE)[:, None, :]
    covariance = pairs[:, _PLACES] - products
    return combine_statistics(
        mean=mean,
        covariance=covariance,
        step=(right + down) / 2,
        darkest=-find_greatest(-pixels),
        brightest=find_greatest(pixels),
        black=average((pixels <= BLACK).float().mean(dim=1, keepdim=True))[:, 0],
        white=average((pixels >= WHITE).float().mean(dim=1, keepdim=True))[:, 0],
    )
