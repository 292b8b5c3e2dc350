"""Canvases composed of tiles: what fills them, and what is asked of the network."""

from dataclasses import replace

import pytest
import torch

from geoclass.learn.canvases import (
    Canvases,
    Composer,
    draw_bands,
    draw_parcels,
    extend_tiles,
)
from geoclass.learn.objectives import cell_loss, tile_loss
from geoclass.learn.recipes import AugmentSettings, CanvasSettings, CloudSettings
from geoclass.legend import EUROSAT

CLEAR = CanvasSettings(
    clouds=CloudSettings(share=0),
    turn_share=0,
    field_share=0,
    water_share=0,
    wood_share=0,
    band_share=0,
)
NAMES = EUROSAT.names
CROP, FOREST, RESIDENTIAL, RIVER, LAKE = (
    NAMES.index(name) for name in ("AnnualCrop", "Forest", "Residential", "River", "SeaLake")
)
AS_IT_IS = AugmentSettings(plain_share=1, plain_share_end=1)


def make_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def compose(images: torch.Tensor, labels: torch.Tensor, settings: CanvasSettings) -> Canvases:
    return Composer(NAMES, settings, AS_IT_IS).compose(images, labels, make_generator())


def make_colored(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tiles of one grey level each, ten times the class."""
    labels = torch.arange(count) % 10
    images = (10 * labels)[:, None, None, None].expand(-1, 3, 64, 64).to(torch.uint8)
    return images.clone(), labels


def make_canvases(
    labels: list[list[int]], shares: torch.Tensor, required: float = 1.0, classes: int = 2
) -> Canvases:
    n, regions, h, w = shares.shape
    return Canvases(
        pixels=torch.zeros(n, 3, 4 * h, 4 * w),
        shares=shares,
        labels=torch.tensor(labels),
        required=torch.full((n, regions), required),
        excluded=torch.zeros((n, regions, classes), dtype=torch.bool),
        obscured=torch.zeros(n, h, w),
    )


def test_every_parcel_belongs_to_a_tile_and_every_pixel_to_a_parcel() -> None:
    parcels, filling = draw_parcels(40, CanvasSettings(), make_generator())
    assert parcels.shape == (40, 96, 96)
    assert filling.shape == (40, 14)
    assert 0 <= parcels.min() <= parcels.max() < 14
    assert 0 <= filling.min() <= filling.max() < 4


def test_about_a_third_of_canvases_shows_one_tile() -> None:
    parcels, filling = draw_parcels(400, CanvasSettings(), make_generator())
    tiles = [
        len(row[parcel.unique()].unique()) for row, parcel in zip(filling, parcels, strict=True)
    ]
    assert 0.25 < sum(count == 1 for count in tiles) / 400 < 0.45
    assert max(tiles) == 4


def test_fields_have_colors_of_their_own_and_stay_crops() -> None:
    images = torch.full((8, 3, 64, 64), 100, dtype=torch.uint8)
    labels = torch.tensor([CROP] * 4 + [NAMES.index("Forest")] * 4)
    images[1] = 200
    settings = replace(CLEAR, field_share=1.0, single_share=0.0)
    canvases = compose(images, labels, settings)
    bright = canvases.pixels[:, 0] > 150
    own = canvases.shares[:, 1].repeat_interleave(4, 1).repeat_interleave(4, 2) == 1
    assert (bright & ~own)[0].sum() > 100  # fields as bright as another's
    assert not bright[1].any()  # forest keeps its color
    assert canvases.labels[0, :4].tolist() == [CROP] * 4


def test_bands_are_rivers_or_woods_in_full() -> None:
    images, labels = make_colored(160)
    settings = replace(CLEAR, band_share=1.0)
    canvases = compose(images, labels, settings)
    assert canvases.labels.shape == (40, 5)
    assert set(canvases.labels[:, 4].tolist()) == {RIVER, FOREST}
    assert 10 < (canvases.labels[:, 4] == RIVER).sum() < 30
    assert (canvases.required[:, 4] == 1).all()
    assert 0 < canvases.shares[:, 4].mean() < 0.3
    torch.testing.assert_close(canvases.shares.sum(dim=1), torch.ones(40, 24, 24))
    inside = canvases.shares[:, 4].repeat_interleave(4, 1).repeat_interleave(4, 2) == 1
    woods = inside & (canvases.labels[:, 4] == FOREST)[:, None, None]
    assert canvases.pixels[:, 0][woods].median() == pytest.approx(10 * FOREST, abs=1)


def test_some_lakes_have_other_colors() -> None:
    images = torch.full((400, 3, 64, 64), 70, dtype=torch.uint8)
    labels = torch.full((400,), LAKE)
    settings = replace(CLEAR, water_share=0.3, single_share=1.0)
    canvases = compose(images, labels, settings)
    colored = (canvases.pixels - 70).abs().amax(dim=(1, 2, 3)) > 1
    assert 0.15 < colored.double().mean() < 0.45


def test_some_woods_have_other_colors() -> None:
    images = torch.full((400, 3, 64, 64), 70, dtype=torch.uint8)
    labels = torch.full((400,), FOREST)
    settings = replace(CLEAR, wood_share=0.3, single_share=1.0)
    canvases = compose(images, labels, settings)
    colored = (canvases.pixels - 70).abs().amax(dim=(1, 2, 3)) > 1
    assert 0.15 < colored.double().mean() < 0.45
    assert canvases.pixels[colored].mean() > 72


def test_bands_need_tiles_of_water_or_woods() -> None:
    settings = replace(CLEAR, band_share=1.0)
    images, labels = make_colored(8)
    without_water = compose(images, labels, settings)
    assert (without_water.labels[:, 4] == FOREST).all()
    with_neither = compose(images, torch.full((8,), CROP), settings)
    assert with_neither.labels.shape == (2, 4)


def test_classes_of_users_have_neither_fields_nor_bands() -> None:
    images, labels = make_colored(8)
    settings = replace(CLEAR, field_share=1.0, water_share=1.0, wood_share=1.0, band_share=1.0)
    composer = Composer(("wood", "meadow"), settings, AS_IT_IS)
    canvases = composer.compose(images, labels % 2, make_generator())
    assert canvases.labels.shape == (2, 4)
    assert (canvases.required == 1).all()
    plain = Composer(("wood", "meadow"), CLEAR, AS_IT_IS)
    torch.testing.assert_close(
        canvases.pixels, plain.compose(images, labels % 2, make_generator()).pixels
    )


def test_bands_cross_a_share_of_canvases_and_are_as_wide_as_told() -> None:
    settings = CanvasSettings(band_share=0.5, band_width=(6.0, 6.0))
    bands = draw_bands(200, settings, make_generator())
    crossed = bands.sum(dim=(1, 2)) > 0
    assert 0.35 < crossed.double().mean() < 0.6
    assert 3 * 96 < bands[crossed].sum(dim=(1, 2)).median() < 12 * 96


def test_cells_have_the_class_of_what_fills_them() -> None:
    images, labels = make_colored(80)
    canvases = compose(images, labels, CLEAR)
    assert canvases.pixels.shape == (20, 3, 96, 96)
    torch.testing.assert_close(canvases.shares.sum(dim=1), torch.ones(20, 24, 24))
    grey = torch.nn.functional.avg_pool2d(canvases.pixels, 4)[:, 0]
    expected = torch.einsum("nt,nthw->nhw", 10.0 * canvases.labels, canvases.shares)
    inner = canvases.shares.amax(dim=1) == 1
    # The point spread function mixes a little of the next region into cells at a border.
    assert (grey - expected)[inner].abs().median() < 0.1
    assert (grey - expected).abs().mean() < 1.0


def test_a_tile_alone_is_turned_and_mirrored_but_keeps_its_pixels() -> None:
    images = torch.arange(3 * 64 * 64).reshape(1, 3, 64, 64).remainder(251).to(torch.uint8)
    extended = extend_tiles(images, CLEAR, make_generator())
    assert extended.shape == (1, 3, 96, 96)
    assert set(extended.round().flatten().tolist()) == set(images.flatten().tolist())
    torch.testing.assert_close(extended, extended.round(), atol=1e-2, rtol=0)


def test_the_same_seed_gives_the_same_canvases() -> None:
    images, labels = make_colored(16)
    composer = Composer(NAMES, CanvasSettings(), AugmentSettings())
    first, again = (composer.compose(images, labels, make_generator(5)) for _ in range(2))
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.shares, again.shares)


def test_loss_of_cells_is_cross_entropy_against_shares() -> None:
    shares = torch.zeros(1, 2, 1, 1)
    shares[0, :, 0, 0] = torch.tensor([0.25, 0.75])
    logits = torch.randn(1, 4, 1, 1, generator=make_generator())
    likely = logits.log_softmax(dim=1)[0, :, 0, 0]
    loss = cell_loss(logits, make_canvases([[2, 0]], shares, classes=3))
    assert float(loss) == pytest.approx(float(-(0.25 * likely[2] + 0.75 * likely[0])))


def test_of_a_region_of_which_a_share_is_required_only_the_likeliest_cells_are_asked() -> None:
    shares = torch.ones(1, 1, 2, 3)
    logits = torch.zeros(1, 3, 2, 3, requires_grad=True)
    with torch.no_grad():
        logits[0, 1, 0, 1] = 2.0  # the river
    cell_loss(logits, make_canvases([[1]], shares, 1 / 6)).backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=1)[0] > 0
    assert touched.nonzero().tolist() == [[0, 1]]


def test_other_cells_of_a_region_must_not_be_of_an_excluded_class() -> None:
    canvases = make_canvases([[1]], torch.ones(1, 1, 2, 3), 1 / 6)
    canvases = replace(canvases, excluded=torch.tensor([[[True, False]]]))
    logits = torch.zeros(1, 3, 2, 3, requires_grad=True)
    with torch.no_grad():
        logits[0, 1, 0, 1] = 2.0
    cell_loss(logits, canvases).backward()
    assert logits.grad is not None
    free = logits.grad.flatten(2)[0][:, [0, 2, 3, 4, 5]]
    assert (free[0] > 0).all()  # the excluded class falls
    assert (free[1:] < 0).all()  # the others rise


def test_tiles_of_land_have_no_water_and_fields_no_houses() -> None:
    images, labels = make_colored(40)
    canvases = compose(images, labels, CLEAR)
    built = [NAMES.index(name) for name in CanvasSettings().built_classes]
    for label, absent in (
        (CROP, [RIVER, LAKE, *built]),
        (RESIDENTIAL, [RIVER, LAKE]),
        (RIVER, []),
    ):
        excluded = canvases.excluded[canvases.labels == label]
        assert excluded[:, absent].all()
        assert (excluded.sum(dim=1) == len(absent)).all()


def test_hidden_cells_are_asked_to_be_obscured_and_doubtful_ones_nothing() -> None:
    canvases = make_canvases([[0]], torch.ones(1, 1, 1, 2))
    canvases = replace(canvases, obscured=torch.tensor([[[1.0, torch.nan]]]))
    logits = torch.zeros(1, 3, 1, 2, requires_grad=True)
    cell_loss(logits, canvases).backward()
    assert logits.grad is not None
    assert logits.grad[0, 2, 0, 0] < 0 < logits.grad[0, 0, 0, 0]
    assert (logits.grad[..., 1] == 0).all()


def test_loss_of_tiles_is_against_the_shares_within_the_window() -> None:
    shares = torch.zeros(1, 2, 24, 24)
    shares[:, 0, :, :12] = 1
    shares[:, 1, :, 12:] = 1
    canvases = make_canvases([[1, 2]], shares)
    sure = torch.full((1, 3), -20.0)
    sure[0, 1] = 20.0
    left, right = slice(0, 12), slice(12, 24)
    assert float(tile_loss(sure, canvases, (left, left))) == pytest.approx(0, abs=1e-4)
    assert float(tile_loss(sure, canvases, (left, right))) > 30
