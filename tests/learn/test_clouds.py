"""Clouds painted over canvases."""

import torch

from geoclass.learn.augment import paint_clouds
from geoclass.learn.recipes import CloudSettings


def test_without_clouds_nothing_changes() -> None:
    x = torch.full((3, 3, 96, 96), 80.0)
    painted, obscured = paint_clouds(x, CloudSettings(share=0), torch.Generator().manual_seed(0))
    assert torch.equal(painted, x)
    assert (obscured == 0).all()


def test_clear_cells_keep_their_pixels_and_hidden_ones_do_not() -> None:
    x = torch.full((200, 3, 96, 96), 80.0)
    painted, obscured = paint_clouds(x, CloudSettings(share=1), torch.Generator().manual_seed(0))
    change = torch.nn.functional.avg_pool2d((painted - x).abs(), 4).mean(dim=1)
    clear, hidden, doubtful = obscured == 0, obscured == 1, obscured.isnan()
    assert min(clear.sum(), hidden.sum(), doubtful.sum()) > 1000
    assert change[clear].max() < 0.13 * 255
    assert (change[hidden] > 15).double().mean() > 0.95
    assert change[clear].mean() < change[doubtful].mean() < change[hidden].mean()


def test_shadows_are_dark_and_clouds_bright() -> None:
    x = torch.full((200, 3, 96, 96), 80.0)
    painted, obscured = paint_clouds(x, CloudSettings(share=1), torch.Generator().manual_seed(1))
    grey = torch.nn.functional.avg_pool2d(painted, 4).mean(dim=1)[obscured == 1]
    assert (grey < 60).double().mean() > 0.005
    assert (grey > 120).double().mean() > 0.3
    assert painted.min() >= 0
