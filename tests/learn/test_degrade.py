"""Tiles made worse."""

import torch

from geoclass.learn.degrade import compress_tiles, join_tiles


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
