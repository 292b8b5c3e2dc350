"""JPEG reckoned without a codec."""

import pytest
import torch

from geoclass.learn.degrade import compress_tiles, simulate_jpeg

SIZES = ((64, 64), (24, 40), (9, 17))


def draw_fields(n: int, height: int, width: int) -> torch.Tensor:
    """Float (n, 3, h, w), whole numbers: smooth colours and some grain, as tiles are."""
    generator = torch.Generator().manual_seed(4)
    coarse = torch.rand((n, 3, 5, 5), generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear")
    grain = 6 * torch.randn((n, 1, 64, 64), generator=generator)
    return (smooth + grain).round().clamp(0, 255)[:, :, :height, :width]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("quality", [10, 25, 49, 50, 80, 100])
def test_it_is_what_a_codec_gives(size: tuple[int, int], quality: int) -> None:
    x = draw_fields(8, *size)
    asked = torch.full((8,), quality)
    codec, reckoned = compress_tiles(x, asked), simulate_jpeg(x, asked)
    assert reckoned.shape == x.shape
    assert reckoned.min() >= 0
    assert reckoned.max() <= 255
    # A codec rounds in more places, and repeats colours at the border otherwise.
    apart = (codec - reckoned).abs().mean()
    assert apart < 2
    if quality < 90:
        assert apart < 0.4 * (codec - x).abs().mean()


def test_each_tile_has_its_own_quality() -> None:
    x = draw_fields(2, 64, 64).repeat_interleave(2, dim=0)
    out = simulate_jpeg(x, torch.tensor([90, 20, 90, 20]))
    for i, quality in enumerate((90, 20, 90, 20)):
        alone = simulate_jpeg(x[i : i + 1], torch.tensor([quality]))
        torch.testing.assert_close(out[i : i + 1], alone)
    far = (out - x).abs().mean(dim=(1, 2, 3))
    assert far[0] < far[1]
    assert far[2] < far[3]


def test_no_tiles_are_no_trouble() -> None:
    none = simulate_jpeg(torch.zeros(0, 3, 64, 64), torch.zeros(0, dtype=torch.long))
    assert none.shape == (0, 3, 64, 64)
