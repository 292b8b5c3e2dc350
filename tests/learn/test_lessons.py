"""What a step teaches: canvases, and pictures without labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from geoclass.errors import DatasetError, SettingsError
from geoclass.learn.lessons import CanvasLesson, consistency_loss, draw_crops
from geoclass.learn.recipes import RECIPES, UnlabelledSettings
from geoclass.learn.settings import CanvasSettings
from geoclass.learn.unlabelled import read_unlabelled
from geoclass.legend import EUROSAT
from geoclass.model.networks import DenseTileNet

SETTINGS = replace(RECIPES["tilenet-dense"], unlabelled=UnlabelledSettings(name="pictures.npy"))


def make_lesson(unlabelled: torch.Tensor | None = None) -> CanvasLesson:
    torch.manual_seed(0)
    network, teacher = DenseTileNet(10), DenseTileNet(10)
    return CanvasLesson(
        network=network,
        teacher=teacher,
        roles=CanvasSettings().find_roles(EUROSAT.names),
        settings=SETTINGS,
        unlabelled=unlabelled,
    )


def compute(lesson: CanvasLesson, progress: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (8, 3, 64, 64), generator=generator).to(torch.uint8)
    labels = torch.randint(10, (8,), generator=generator)
    return lesson.compute_loss(images, labels, progress, generator)


def test_all_weights_learn_from_canvases() -> None:
    lesson = make_lesson()
    compute(lesson, 0.5).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in lesson.network.parameters())
    assert all(p.grad is None for p in lesson.teacher.parameters())


def test_pictures_without_labels_add_to_the_loss_as_training_goes_on() -> None:
    pictures = torch.randint(0, 255, (3, 3, 100, 110)).to(torch.uint8)
    lesson = make_lesson(pictures)
    low = replace(SETTINGS, unlabelled=UnlabelledSettings(name="pictures.npy", threshold=0.0))
    lesson = replace(lesson, settings=low)
    none, some = compute(lesson, 0.0).detach(), compute(lesson, 0.2).detach()
    assert float(some) > float(none) > 0


def test_crops_are_parts_of_pictures_however_turned() -> None:
    pictures = torch.arange(2 * 3 * 5 * 6).reshape(2, 3, 5, 6).to(torch.uint8)
    crops = draw_crops(pictures, 50, 4, torch.Generator().manual_seed(0))
    assert crops.shape == (50, 3, 4, 4)
    values = set(pictures.flatten().tolist())
    assert all(len(set(crop.flatten().tolist()) & values) == 48 for crop in crops)


def test_doubtful_pseudo_labels_do_not_count() -> None:
    pseudo = torch.tensor([[0.6, 0.4], [0.9, 0.1]])[:, :, None, None]
    logits = torch.zeros(2, 2, 1, 1)
    loss = consistency_loss(logits, pseudo, 0.7)
    assert float(loss) == pytest.approx(np.log(2) / 2)


def test_files_that_hold_no_pictures_are_refused(tmp_path) -> None:
    path = tmp_path / "pictures.npy"
    with pytest.raises(DatasetError, match="cannot read"):
        read_unlabelled(path, SETTINGS)
    for wrong in (np.zeros((2, 3, 95, 96), np.uint8), np.zeros((2, 3, 96, 96), np.float32)):
        np.save(path, wrong)
        with pytest.raises(DatasetError, match="expected uint8"):
            read_unlabelled(path, SETTINGS)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="cannot read"):
        read_unlabelled(path, SETTINGS)
    np.save(path, np.zeros((2, 3, 96, 97), np.uint8))
    assert read_unlabelled(path, SETTINGS).shape == (2, 3, 96, 97)
    with pytest.raises(SettingsError, match="learns from whole tiles"):
        read_unlabelled(path, RECIPES["tilenet-fine"])
