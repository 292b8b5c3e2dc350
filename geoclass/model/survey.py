"""A window of a scene in one look: what its tiles are, and what each of their cells is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.contract import Contract
from geoclass.errors import ModelError
from geoclass.landcover import FULL_SCALE
from geoclass.model.device import send
from geoclass.model.fused import FusedDenseNet
from geoclass.model.networks import CELL
from geoclass.model.novelty import Novelty, describe_pixels

HALO = 32
"""Pixels around a window that its cells are judged with. Twice as many change the class of one
cell in 300 of windows of 512 pixels a side; half as many, of one in 70."""

TILE = 64
"""Pixels a side of a tile."""

FEATURE = 8
"""Pixels a side of what one feature of a tile is of."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """Neighbouring tiles with what lies around them."""

    pixels: np.ndarray
    """uint8 (3, h, w), the halo included; sides are multiples of 64."""
    shown: np.ndarray
    """bool (h, w): pixels that the network is shown, of the scene or mirrored beyond the edge of
    its data; it sees the training data's mean in place of the others."""
    valid: np.ndarray
    """bool (h, w): pixels of the scene that have data and are not masked."""
    tile_rows: np.ndarray
    """int64 (r,): where tiles begin, in rows of pixels below the halo; multiples of FEATURE."""
    tile_cols: np.ndarray
    """int64 (c,): the same in columns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """What the network says of a window without its halo."""

    cells: np.ndarray
    """uint8 (rows, cols, classes): probabilities of cells of 4×4 pixels, calibrated; 250 is 1.
    Those of the land, of obscured cells, too."""
    obscured: np.ndarray
    """bool (rows, cols): cells that show cloud or its shadow rather than any class of land."""
    tiles: np.ndarray
    """float32 (r, c, classes): probabilities of tiles, calibrated."""
    unknown: np.ndarray
    """bool (r, c): tiles that are too unlike the training data to be given a class."""
    strange: np.ndarray
    """bool (r, c): tiles whose very pixels are too unlike the training data, so that their cells
    are unknown. The other scores judge a tile as a whole: a mixed one is unlike all tiles that
    the network was trained on, though each of its cells is plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyor:
    """Looks at windows with one network."""

    network: FusedDenseNet
    contract: Contract
    novelty: Novelty | None
    symmetries: bool
    """Look in the eight ways that a square can lie, and average."""
    device: torch.device

    def survey(self, window: Window) -> Survey:
        """The network's word on all cells and tiles of a window.

        Tiles are judged by what can be seen of them: by the features and pixels that are valid and
        not obscured.
        """
        with torch.inference_mode():
            pixels, shown, valid = (
                send(torch.from_numpy(array), self.device)[None]
                for array in (window.pixels, window.shown, window.valid)
            )
            looks = list(self._look(pixels, shown))
            likely = torch.stack([cells for cells, _ in looks]).mean(dim=0)[0]
            land, hidden = _crop(likely, HALO // CELL).split([len(likely) - 1, 1])
            obscured = hidden[0] > land.amax(dim=0)
            # Of certain cloud nothing is left for the land, in float32.
            stored = land / land.sum(dim=0).clamp(min=1e-30) * FULL_SCALE
            clear = _crop(valid[0], HALO) & ~_repeat(obscured, CELL)
            rows, cols = window.tile_rows, window.tile_cols
            tiles, unknown, strange = self._judge_tiles(
                _cut(_crop(pixels[0], HALO), rows, cols),
                _cut(clear[None], rows, cols),
                [_cut(_crop(deep[0], HALO // FEATURE), rows, cols, FEATURE) for _, deep in looks],
            )
        shape = (len(rows), len(cols))
        return Survey(
            cells=stored.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy(),
            obscured=obscured.cpu().numpy(),
            tiles=tiles.reshape(*shape, -1).cpu().numpy(),
            unknown=unknown.reshape(shape).cpu().numpy(),
            strange=strange.reshape(shape).cpu().numpy(),
        )

    def _look(self, pixels: Tensor, shown: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Probabilities of cells and features, as they lie in the scene, for each way to look."""
        assert self.contract.cell_temperature is not None
        for turns, mirrored in WAYS if self.symmetries else WAYS[:1]:
            logits, deep = self.network.survey(
                turn(pixels, turns, mirrored=mirrored), turn(shown, turns, mirrored=mirrored)
            )
            likely = soften(logits, self.contract.cell_temperature, dim=1)
            yield (
                turn_back(likely, turns, mirrored=mirrored),
                turn_back(deep, turns, mirrored=mirrored),
            )

    def _judge_tiles(
        self, pixels: Tensor, clear: Tensor, looks: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities (n, classes), unknown and strange, bool (n,), of tiles (n, c, s, s)."""
        weight = F.avg_pool2d(clear.float(), FEATURE)
        weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        features = [(deep.float() * weight).sum(dim=(2, 3)) for deep in looks]
        logits = [self.network.decide(pooled) for pooled in features]
        likely = soften(torch.stack(logits), self.contract.temperature, dim=2).mean(dim=0)
        if self.novelty is None:
            nothing = torch.zeros(len(likely), dtype=torch.bool)
            return likely, nothing, nothing
        statistics = describe_pixels(pixels.float(), clear)
        unknown, strange = self.novelty.judge(statistics, features[0], logits[0])
        return likely, unknown, strange


def soften(logits: Tensor, temperature: float, *, dim: int) -> Tensor:
    """Probabilities by a calibrated softmax; ModelError where numbers have overflowed.

    They would become class 0 without a word: a cast makes 0 of NaN.
    """
    likely = torch.softmax(logits / temperature, dim=dim)
    if not torch.isfinite(likely.sum()):
        raise ModelError(
            "the model's numbers overflow, so that it labels nothing: give --precision fp32, or "
            "another model"
        )
    return likely


WAYS = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))
"""Quarter turns, and whether mirrored first: the ways that a square can lie; as it is at first."""


def turn(x: Tensor, turns: int, *, mirrored: bool) -> Tensor:
    """Pixels (…, h, w) as they lie another way."""
    return torch.rot90(x.flip(-1) if mirrored else x, turns, (-2, -1))


def turn_back(x: Tensor, turns: int, *, mirrored: bool) -> Tensor:
    """What `turn` turned, as it was."""
    x = torch.rot90(x, -turns, (-2, -1))
    return x.flip(-1) if mirrored else x


def _cut(x: Tensor, rows: np.ndarray, cols: np.ndarray, scale: int = 1) -> Tensor:
    """Tiles (rows · cols, c, s, s) of (c, h, w), whose sides are those of pixels over `scale`."""
    side = TILE // scale
    i, j = (
        torch.from_numpy((starts[:, None] // scale + np.arange(side)).ravel()).to(x.device)
        for starts in (rows, cols)
    )
    beside = x[:, i][:, :, j].reshape(len(x), len(rows), side, len(cols), side)
    return beside.permute(1, 3, 0, 2, 4).reshape(-1, len(x), side, side)


def _crop(x: Tensor, margin: int) -> Tensor:
    return x[..., margin:-margin, margin:-margin]


def _repeat(x: Tensor, times: int) -> Tensor:
    return x.repeat_interleave(times, dim=-2).repeat_interleave(times, dim=-1)
