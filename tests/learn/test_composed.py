"""Canvases of held-out tiles."""

import numpy as np
import torch

from geoclass.learn import canvases
from geoclass.learn.canvases import compute_cells, mix_whole_tiles
from geoclass.learn.dataset import TileSet
from geoclass.learn.recipes import RECIPES
from geoclass.legend import Legend
from geoclass.model.networks import DenseTileNet

CLASSES = ("Forest", "River", "SeaLake")


def make_tiles() -> TileSet:
    labels = np.arange(30) % 3
    images = np.broadcast_to((80 * labels)[:, None, None, None], (30, 3, 64, 64))
    return TileSet(
        name="made",
        classes=CLASSES,
        names=tuple(f"{CLASSES[k]}/{i}.jpg" for i, k in enumerate(labels)),
        images=images.astype(np.uint8),
        labels=labels.astype(np.int64),
        legend=Legend.for_names(CLASSES),
    )


def test_cells_of_classes_that_do_not_fill_their_tiles_are_left_out(monkeypatch) -> None:
    monkeypatch.setattr(canvases, "CALIBRATION_CANVASES", 8)
    network = DenseTileNet(3).eval()
    logits, labels = compute_cells(
        network, make_tiles(), np.arange(0, 30), RECIPES["tilenet-dense"]
    )
    assert logits.shape == (len(labels), 3)
    assert set(labels.tolist()) == {0, 2}
    assert len(labels) > 300


def test_mixed_tiles_show_several_classes_of_the_chosen_tiles(monkeypatch) -> None:
    monkeypatch.setattr(canvases, "MIXED_TILES", 20)
    mixed = mix_whole_tiles(make_tiles(), np.arange(0, 30))
    assert mixed.shape == (20, 3, 64, 64)
    assert mixed.dtype == torch.uint8
    several = [len(torch.unique(tile)) > 1 for tile in mixed]
    assert np.mean(several) > 0.4
    only = mix_whole_tiles(make_tiles(), np.arange(0, 30, 3))
    assert (only == 0).all()  # forest alone
