"""Tiles made worse."""

import pytest
import torch

from geoclass.learn.degrade import compress_tiles, join_tiles, mix_tiles


def tiles(n: int, size: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 3, size, size), generator=generator, dtype=torch.uint8)


def find_source(part: torch.Tensor, images: torch.Tensor, left: bool) -> list[int]:
    width = part.shape[2]
    ends = images[..., :width] if left else images[..., -width:]
    return [i for i, end in enumerate(ends) if torch.equal(end, part)]


def test_joined_tiles_are_the_ends_of_two_tiles_of_one_class() -> None:
    images, labels = tiles(40), torch.arange(40) % 4
    joined = join_tiles(images, labels, torch.Generator().manual_seed(0))
    cuts = set()
    for i, tile in enumerate(joined):
        cut = next(c for c in range(4, 13) if find_source(tile[..., :c], images, False) == [i]
                   and find_source(tile[..., c:], images, True))  # fmt: skip
        (mate,) = find_source(tile[..., cut:], images, True)
        assert mate != i
        assert labels[mate] == labels[i]
        cuts.add(cut)
    assert len(cuts) > 3


def test_a_tile_alone_in_its_class_is_joined_to_itself() -> None:
    images = tiles(3)
    joined = join_tiles(images, torch.tensor([0, 1, 0]), torch.Generator().manual_seed(0))
    assert sorted(joined[1].flatten().tolist()) == sorted(images[1].flatten().tolist())


def test_lower_quality_is_further_from_the_tile() -> None:
    x = tiles(2, 64).float().repeat_interleave(2, dim=0)
    far = (compress_tiles(x, torch.tensor([90, 20, 90, 20])) - x).abs().mean(dim=(1, 2, 3))
    assert far[0] < far[1]
    assert far[2] < far[3]


def test_mixed_tiles_have_both_labels_by_area() -> None:
    n, size = 64, 64
    grey = torch.arange(n).float()
    x = grey.reshape(n, 1, 1, 1).expand(n, 3, size, size).contiguous()
    targets = torch.eye(n)
    mixed, shared = mix_tiles(x, targets, 1.0, torch.Generator().manual_seed(0))
    for i, (tile, target) in enumerate(zip(mixed, shared, strict=True)):
        greys, counts = tile.unique(return_counts=True)
        assert {i, (i - 1) % n} == set(greys.int().tolist())
        areas = dict(zip(greys.int().tolist(), (counts / tile.numel()).tolist(), strict=True))
        assert 0.25 <= areas[i] <= 0.75
        assert {c: target[c].item() for c in areas} == pytest.approx(areas)
        assert target.sum() == pytest.approx(1)
    assert torch.equal(x[5], torch.full((3, size, size), 5.0))  # the batch itself is left alone


def test_tiles_are_mixed_side_by_side_and_one_above_the_other() -> None:
    x = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 3, 64, 64).contiguous()
    plain_rows = set()
    for seed in range(20):
        mixed, _ = mix_tiles(x, torch.eye(8), 1.0, torch.Generator().manual_seed(seed))
        plain_rows.add(bool((mixed[0, 0, 0] == mixed[0, 0, 0, 0]).all()))
    assert plain_rows == {True, False}


def test_a_share_of_tiles_is_mixed() -> None:
    x, targets = torch.rand(1000, 3, 8, 8), torch.eye(1000)
    _, shared = mix_tiles(x, targets, 0.3, torch.Generator().manual_seed(0))
    assert (shared.amax(dim=1) < 1).double().mean().item() == pytest.approx(0.3, abs=0.05)
    same, none = mix_tiles(x, targets, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(same, x)
    assert torch.equal(none, targets)
