"""What a step teaches: canvases, and pictures without labels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from geoclass.errors import DatasetError, SettingsError
from geoclass.learn.canvases import Composer
from geoclass.learn.objectives import (
    CanvasObjective,
    PseudoLabelled,
    read_pseudo_labelled,
    soft_loss,
)
from geoclass.learn.recipes import RECIPES, AugmentSettings, CanvasSettings, UnlabelledSettings
from geoclass.legend import EUROSAT
from geoclass.model.networks import DenseTileNet

SETTINGS = RECIPES["tilenet-dense"]


def make_objective(unlabelled: PseudoLabelled | None = None) -> CanvasObjective:
    torch.manual_seed(0)
    return CanvasObjective(
        network=DenseTileNet(10),
        composer=Composer(EUROSAT.names, CanvasSettings(), SETTINGS.augment or AugmentSettings()),
        settings=SETTINGS,
        unlabelled=unlabelled,
    )


def make_images(count: int = 3) -> PseudoLabelled:
    """Random pixels of 112 by 128, each cell surely of the class that its first pixel says."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 255, (count, 3, 112, 128), generator=generator).to(torch.uint8)
    classes = images[:, 0, ::4, ::4].long() % 11
    likely = 255 * torch.nn.functional.one_hot(classes, 11).permute(0, 3, 1, 2)
    settings = UnlabelledSettings(name="labelled.npz")
    return PseudoLabelled(images=images, likely=likely.to(torch.uint8), settings=settings)


def compute(objective: CanvasObjective, progress: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (8, 3, 64, 64), generator=generator).to(torch.uint8)
    labels = torch.randint(10, (8,), generator=generator)
    return objective.compute_loss(images, labels, progress, generator)


def test_all_weights_learn_from_canvases() -> None:
    objective = make_objective()
    compute(objective, 0.5).backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for p in objective.network.parameters()
    )


def test_images_without_labels_add_to_the_loss() -> None:
    none = compute(make_objective(), 0.0).detach()
    some = compute(make_objective(make_images()), 0.0).detach()
    assert float(some) > float(none) > 0


def test_labels_stay_with_their_pixels_however_turned() -> None:
    pixels, likely = make_images().draw(40, 96, torch.Generator().manual_seed(0))
    assert pixels.shape == (40, 3, 96, 96)
    assert likely.shape == (40, 11, 24, 24)
    torch.testing.assert_close(likely.sum(dim=1), torch.ones(40, 24, 24))
    # Turned, the first pixel of a cell is one of its corners.
    corners = [pixels[:, 0, i::4, j::4].long() % 11 for i in (0, 3) for j in (0, 3)]
    hits = torch.stack([corner == likely.argmax(dim=1) for corner in corners])
    assert bool(hits.flatten(2).all(dim=2).any(dim=0).all())


def test_cross_entropy_keeps_doubt() -> None:
    likely = torch.tensor([[0.6, 0.4], [0.0, 0.0]])[:, :, None, None]
    logits = torch.tensor([[2.0, 0.0], [5.0, 0.0]])[:, :, None, None]
    expected = -(0.6 * np.log(1 / (1 + np.exp(-2))) + 0.4 * np.log(1 / (1 + np.exp(2)))) / 2
    assert float(soft_loss(logits, likely)) == pytest.approx(expected)


def test_files_that_hold_no_labelled_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labelled.npz"
    images, likely = np.zeros((2, 3, 96, 100), np.uint8), np.zeros((2, 11, 24, 25), np.uint8)
    with pytest.raises(DatasetError, match="cannot read"):
        read_pseudo_labelled(path, SETTINGS, 10)
    np.savez(path, images=images)
    with pytest.raises(DatasetError, match="cannot read .* scripts/label_unlabelled"):
        read_pseudo_labelled(path, SETTINGS, 10)
    np.savez(path, images=np.array([{}], dtype=object), likely=likely)
    with pytest.raises(DatasetError, match="cannot read"):
        read_pseudo_labelled(path, SETTINGS, 10)
    for wrong in (images[:, :, :92], images.astype(np.float32), images[:, :2], images[:1]):
        np.savez(path, images=wrong, likely=likely)
        with pytest.raises(DatasetError, match="expected uint8"):
            read_pseudo_labelled(path, SETTINGS, 10)
    np.savez(path, images=images, likely=likely)
    with pytest.raises(DatasetError, match=r"uint8 \(images, 13, height / 4"):
        read_pseudo_labelled(path, SETTINGS, 12)
    with pytest.raises(SettingsError, match="has no cells and cannot be trained on unlabelled"):
        read_pseudo_labelled(path, RECIPES["tilenet-fine"], 10)
