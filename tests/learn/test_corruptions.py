"""The fixed list of corruptions."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy import ndimage

from geoclass.learn.corruptions import CORRUPTIONS, NOT_COUNTED, is_seen
from geoclass.learn.recipes import AUGMENTATIONS, RECIPES


@pytest.fixture
def images() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 40, (9, 3, 64, 64))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 3, 3)) * 6 + 110
    return np.clip(smooth, 0, 255).astype(np.uint8)


LABELS = np.array([0, 0, 1, 1, 1, 0, 2, 2, 1])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_tiles_stay_tiles_and_change_the_same_way_each_time(images: np.ndarray, name: str) -> None:
    before = images.copy()
    out = CORRUPTIONS[name].apply(images, LABELS)
    assert out.dtype == np.uint8
    assert out.shape == images.shape
    assert (out != images).any()
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(out, CORRUPTIONS[name].apply(images, LABELS))


def test_arithmetic(images: np.ndarray) -> None:
    grey = np.full((1, 3, 64, 64), 100, np.uint8)
    expected = {
        "gain ×0.7": 70, "gain ×1.4": 140, "haze 0.8x + 40": 120, "haze 0.6x + 80": 140,
        "offset +92": 192, "gamma 0.7": round(255 * (100 / 255) ** 0.7), "blur σ 1": 100,
        "20 m pixels": 100,
    }  # fmt: skip
    for name, value in expected.items():
        assert set(CORRUPTIONS[name].apply(grey, LABELS[:1]).ravel().tolist()) == {value}, name


def test_blur_is_scipys(images: np.ndarray) -> None:
    expected = ndimage.gaussian_filter(images.astype(float), (0, 0, 1, 1), mode="mirror")
    assert np.abs(CORRUPTIONS["blur σ 1"].apply(images, LABELS) - expected).max() <= 1


def test_halves_come_from_two_tiles_of_one_class(images: np.ndarray) -> None:
    out = CORRUPTIONS["two halves"].apply(images, LABELS)
    for i, tile in enumerate(out):
        np.testing.assert_array_equal(tile[:, :, :32], images[i, :, :, 32:])
        (mate,) = [j for j in range(9) if np.array_equal(tile[:, :, 32:], images[j, :, :, :32])]
        assert mate != i
        assert LABELS[mate] == LABELS[i]


def test_noise_has_its_width() -> None:
    grey = np.full((20, 3, 64, 64), 128, np.uint8)
    assert CORRUPTIONS["noise σ 8"].apply(grey, np.zeros(20)).std() == pytest.approx(8, rel=0.02)


def test_what_the_contract_refuses_is_not_counted() -> None:
    assert tuple(CORRUPTIONS)[-3:] == NOT_COUNTED
    assert len(CORRUPTIONS) == 15


def test_air_is_taken_off_most_in_blue_and_never_below_black(images: np.ndarray) -> None:
    forest = np.full((1, 3, 64, 64), 0, np.uint8) + np.array([45, 60, 84], np.uint8)[:, None, None]
    darker = (
        forest[0, :, 0, 0] - CORRUPTIONS["L2A, simulated"].apply(forest, LABELS[:1])[0, :, 0, 0]
    )
    assert 15 < darker[0] < darker[1] < darker[2] < 78
    assert CORRUPTIONS["L2A, simulated"].apply(images * 0, LABELS).max() == 0


def test_no_more_light_is_taken_than_the_darkest_pixel_has(images: np.ndarray) -> None:
    dark = images // 4 + 20
    out = CORRUPTIONS["L2A, simulated"].apply(dark, LABELS)
    assert out.min() >= 5
    assert (out.max(axis=(2, 3)) > out.min(axis=(2, 3))).all()


def test_what_training_has_seen_is_told_by_its_recipe() -> None:
    tutorial = asdict(RECIPES["customnet"])
    assert not any(is_seen(name, tutorial) for name in CORRUPTIONS)
    recipe = asdict(RECIPES["tilenet"])
    assert [name for name in CORRUPTIONS if not is_seen(name, recipe)] == [*NOT_COUNTED[1:]]
    gentle = {**recipe, "augment": {**recipe["augment"], "join_share": 0.0}}
    assert not is_seen("two halves", gentle)
    turned = {"augment": asdict(AUGMENTATIONS["turns"])}
    assert not any(is_seen(name, turned) for name in CORRUPTIONS)
    for share, names in (("veil_share", "haze"), ("offset_share", "offset")):
        without = {"augment": {**recipe["augment"], share: 0.0}}
        assert not any(is_seen(name, without) for name in CORRUPTIONS if name.startswith(names))
