"""Dense prediction: windows of a scene, their cells and tiles, and orientations of images."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.errors import ModelError
from geoclass.model.networks import CELL

HALO = 32
"""Pixels around a window that its cells depend on. Doubling it changes the class of one cell in 300
of windows of 512 pixels a side; halving it, of one in 70."""

TILE = 64
"""Pixels a side of a tile."""

FEATURE = 8
"""Pixels a side of one feature of a tile."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """Neighbouring tiles with a halo."""

    pixels: np.ndarray
    """uint8 (3, h, w), including the halo; sides are multiples of 64."""
    shown: np.ndarray
    """bool (h, w): pixels that the network sees, of the scene or mirrored beyond the edge of its
    data; the others are replaced by the mean of the training data."""
    valid: np.ndarray
    """bool (h, w): pixels of the scene that have data and are not masked."""
    tile_rows: np.ndarray
    """int64 (r,): first pixel rows of the tiles, without the halo; multiples of FEATURE."""
    tile_cols: np.ndarray
    """int64 (c,): the same for columns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowPrediction:
    """Predictions for a window without its halo."""

    cells: np.ndarray
    """uint8 (rows, cols, classes): calibrated probabilities of 4×4-pixel cells, 250 is 1; of
    obscured cells, those of the land classes."""
    obscured: np.ndarray
    """bool (rows, cols): cells with cloud or cloud shadow."""
    maybe_obscured: np.ndarray
    """bool (rows, cols): these, and cells that are likely cloud if there is much cloud around."""
    tiles: np.ndarray
    """float32 (r, c, classes): calibrated probabilities of tiles."""
    unknown: np.ndarray
    """bool (r, c): tiles that are out-of-distribution by any score."""
    unknown_cells: np.ndarray
    """bool (2r, 2c): quarters of tiles that are out-of-distribution by their pixels, so that their
    cells are unknown. The other scores also reject mixed tiles, whose cells are ordinary."""


def softmax(logits: Tensor, temperature: float, *, dim: int) -> Tensor:
    """Calibrated probabilities; ModelError for overflows, which would become class 0."""
    probabilities = torch.softmax(logits / temperature, dim=dim)
    if not torch.isfinite(probabilities.sum()):
        raise ModelError(
            "the model's numbers overflow, so that it labels nothing: give --precision fp32, or "
            "another model"
        )
    return probabilities


CLOUD_CELLS = 15
"""Cells a side of the neighbourhood that decides about possible cloud, 600 m; it must fit into the
halo."""
CLOUD_ODDS = -2.3
"""Mean logarithm of the odds of cloud against the likeliest class of land from which cloud is
possible."""
_MOST_CERTAIN = 4.0
"""Odds are clipped to this, so that a single bright roof does not decide for its neighbours."""


def find_clouds(probabilities: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Cells where cloud or cloud shadow is certain, and where it is possible: bool (rows, cols).

    It is certain where it is likelier than every class of land, and possible where its mean odds
    in the neighbourhood are not low: thin and broken clouds are uncertain cell by cell, but extend
    far, while bright roofs are small. `probabilities` is float (classes + 1, rows, cols), the last
    of cloud; `shown` is bool (4 · rows, 4 · cols), pixels that the network sees.
    """
    land, cloud = probabilities[:-1].amax(dim=0), probabilities[-1]
    tiny = torch.finfo(torch.float32).tiny  # probabilities may be 0 in float32
    odds = cloud.clamp(min=tiny).log() - land.clamp(min=tiny).log()
    seen = F.avg_pool2d(shown[None].float(), CELL)
    clipped = seen * odds.clamp(-_MOST_CERTAIN, _MOST_CERTAIN)
    total, count = (
        F.avg_pool2d(x, CLOUD_CELLS, stride=1, padding=CLOUD_CELLS // 2)[0] for x in (clipped, seen)
    )
    certain = odds > 0
    return certain, certain | ((count > 0) & (total > CLOUD_ODDS * count))


WAYS = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))
"""Orientations of a square: quarter turns, and whether it is mirrored before; identity first."""


def turn(x: Tensor, turns: int, *, mirrored: bool) -> Tensor:
    """Mirror and rotate (…, h, w)."""
    return torch.rot90(x.flip(-1) if mirrored else x, turns, (-2, -1))


def turn_back(x: Tensor, turns: int, *, mirrored: bool) -> Tensor:
    """Inverse of `turn`."""
    x = torch.rot90(x, -turns, (-2, -1))
    return x.flip(-1) if mirrored else x


def cut_squares(x: Tensor, rows: np.ndarray, cols: np.ndarray, scale: int = 1) -> Tensor:
    """Tiles (rows · cols, c, s, s) of (c, h, w); `scale` is the number of pixels per value."""
    side = TILE // scale
    strips = torch.stack([x[:, top : top + side] for top in rows // scale])
    parts = torch.stack([strips[..., left : left + side] for left in cols // scale], dim=1)
    return parts.flatten(0, 1)


def crop(x: Tensor, margin: int) -> Tensor:
    """(…, h, w) without a margin."""
    return x[..., margin:-margin, margin:-margin]
