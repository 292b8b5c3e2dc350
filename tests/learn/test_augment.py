"""Variations of tiles."""

import pytest
import torch

import geoclass.learn.augment as module
from geoclass.learn.augment import augment
from geoclass.learn.recipes import AugmentSettings

PLAIN = AugmentSettings(
    symmetries=False,
    shift=0,
    join_share=0,
    plain_share=0,
    plain_share_end=0,
    gain=0,
    channel_gain=0,
    gamma=0,
    relief=0,
    path_radiance=0,
    corrected_share=0,
    veil=0,
    offset=0,
    degrade_share=0,
)


def tiles(n: int = 1, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 3, size, size), generator=generator, dtype=torch.uint8)


def run(images: torch.Tensor, seed: int = 0, **changes: object) -> torch.Tensor:
    fields = {name: getattr(PLAIN, name) for name in PLAIN.__slots__}
    settings = AugmentSettings(**{**fields, **changes})
    labels = torch.arange(len(images)) % 3
    return augment(images, labels, settings, torch.Generator().manual_seed(seed))


def test_nothing_asked_for_nothing_changed() -> None:
    torch.testing.assert_close(run(tiles(4)), tiles(4).float())


def test_all_eight_symmetries_occur_and_no_other() -> None:
    image = tiles()
    turned = [torch.rot90(image, k, (2, 3)) for k in range(4)]
    expected = {tuple(t.flatten().tolist()) for x in turned for t in (x, x.transpose(2, 3))}
    out = run(image.repeat(200, 1, 1, 1), symmetries=True).round().to(torch.uint8)
    assert {tuple(x.flatten().tolist()) for x in out} == expected


def test_shift_moves_and_mirrors_the_border() -> None:
    image = tiles()
    padded = torch.nn.functional.pad(image.float(), (2, 2, 2, 2), mode="reflect")
    expected = {
        tuple(padded[0, :, y : y + 64, x : x + 64].flatten().tolist())
        for y in range(5)
        for x in range(5)
    }
    out = run(image.repeat(300, 1, 1, 1), shift=2).round()
    assert {tuple(x.flatten().tolist()) for x in out} == expected


def test_same_seed_same_variation() -> None:
    settings, labels = AugmentSettings(), torch.arange(64) % 3
    one, same = (
        augment(tiles(64), labels, settings, torch.Generator().manual_seed(5)) for _ in range(2)
    )
    other = augment(tiles(64), labels, settings, torch.Generator().manual_seed(6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_values_stay_grey_levels() -> None:
    images = tiles(256)
    labels = torch.arange(256) % 3
    before = images.clone()
    out = augment(images, labels, AugmentSettings(), torch.Generator().manual_seed(0))
    assert torch.equal(images, before)
    assert out.min() >= 0
    assert out.max() <= 255
    assert out.isfinite().all()


def test_path_radiance_moves_blue_most_and_red_least() -> None:
    grey = torch.full((200, 3, 64, 64), 100, dtype=torch.uint8)
    moved = (run(grey, path_radiance=0.09) - 100).abs().mean(dim=(0, 2, 3))
    assert moved[0] < moved[1] < moved[2]
    signs = (run(grey, path_radiance=0.09) - 100).sign().mean(dim=(1, 2, 3))
    assert signs.min() == -1
    assert signs.max() == 1


def test_relief_lights_ground_unevenly_and_leaves_the_air_alone() -> None:
    grey = torch.full((400, 3, 64, 64), 100, dtype=torch.uint8)
    out = run(grey, relief=0.5, relief_share=0.5)
    uneven = out.std(dim=(1, 2, 3)) > 0.1
    assert 0.4 < uneven.float().mean() < 0.6
    assert (out[~uneven] - 100).abs().max() < 0.1
    # As often darker as brighter; blue, which has most of the air's light, less so than red.
    assert 90 < out[uneven].median() < 110
    ground = out[uneven].std(dim=(0, 2, 3))
    assert ground[0] > ground[1] > ground[2] > 0
    # Where all light is the air's, there is none to vary.
    dark = torch.zeros_like(grey)
    assert run(dark, relief=0.5).abs().max() == 0


def test_slopes_are_as_wide_as_hills() -> None:
    """Neighbours are lit alike, opposite ends are not."""
    grey = torch.full((300, 3, 64, 64), 100, dtype=torch.uint8)
    red = run(grey, relief=0.5, relief_share=1.0)[:, 0].log()
    red = red - red.mean(dim=(1, 2), keepdim=True)
    near = (red[:, :, 1:] * red[:, :, :-1]).mean() / (red**2).mean()
    far = (red[:, :, 32:] * red[:, :, :-32]).mean() / (red**2).mean()
    assert near > 0.9
    assert abs(far) < 0.3


def test_veil_lightens_some_tiles() -> None:
    dark = torch.full((400, 3, 8, 8), 20, dtype=torch.uint8)
    lighter = (run(dark, veil=0.3, veil_share=0.3).mean(dim=(1, 2, 3)) > 20.01).float()
    assert 0.2 < lighter.mean() < 0.4


def test_offset_lightens_some_tiles_evenly() -> None:
    dark = torch.full((400, 3, 8, 8), 20, dtype=torch.uint8)
    out = run(dark, offset=0.4, offset_share=0.25)
    lighter = (out.mean(dim=(1, 2, 3)) > 20.01).float()
    assert 0.15 < lighter.mean() < 0.35
    assert out.max() <= 20 + 0.4 * 255 + 1e-3
    assert out.std(dim=(1, 2, 3)).max() < 1e-3


def test_plain_tiles_are_only_moved() -> None:
    images = tiles(200, size=16)
    out = run(images, plain_share=0.5, gain=0.5, degrade_share=0.5)
    same = (out == images.float()).all(dim=3).all(dim=2).all(dim=1).float().mean()
    assert 0.4 < same < 0.6


def test_more_tiles_are_plain_as_training_goes_on() -> None:
    images, labels = tiles(400, size=16), torch.arange(400) % 3
    moved = AugmentSettings(
        symmetries=False, shift=0, join_share=0, plain_share=0.2, plain_share_end=0.6
    )
    shares = []
    for progress in (0.0, 0.5, 1.0):
        generator = torch.Generator().manual_seed(0)
        out = augment(images, labels, moved, generator, progress)
        same = (out == images.float()).all(dim=3).all(dim=2).all(dim=1).float().mean()
        shares.append(float(same))
    assert shares == pytest.approx([0.2, 0.4, 0.6], abs=0.07)


def test_some_tiles_lose_the_light_of_the_air() -> None:
    # Forest as Level-1C shows it; Level-2A is darker, most in blue.
    forest = torch.tensor([45, 60, 78], dtype=torch.uint8)[None, :, None, None]
    out = run(forest.expand(400, 3, 8, 8), corrected_share=0.5)[:, :, 0, 0]
    corrected = out[:, 2] < 70
    assert 0.4 < corrected.float().mean() < 0.6
    lost = forest[:, :, 0, 0] - out[corrected]
    assert (lost[:, 2] > lost[:, 1]).all()
    assert (lost[:, 1] > lost[:, 0]).all()


DEGRADED_BY = {"blur_tiles": 0, "coarsen_tiles": 0, "compress_tiles": 0, "NOISE_SIGMA": (0.0, 0.0)}


@pytest.mark.parametrize("way", DEGRADED_BY)
def test_every_way_of_degrading_touches_its_share(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Each alone, the three others being without effect."""
    for other, off in DEGRADED_BY.items():
        if other != way:
            monkeypatch.setattr(module, other, off or (lambda x, _setting=None: x))
    images = tiles(1000, size=16)
    out = run(images, degrade_share=0.2)
    same = (out == images.float()).all(dim=3).all(dim=2).all(dim=1).float().mean()
    assert abs(same - 0.8) < 0.05
