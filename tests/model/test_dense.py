"""Windows looked at by a real network: cells, tiles, and what is not to be seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from geoclass.errors import SettingsError
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier, normalise
from geoclass.model.dense import HALO, WAYS, Window, find_clouds, turn, turn_back
from geoclass.model.networks import TileNet
from geoclass.model.ood import describe_pixels
from tests.conftest import SAMPLE_SCENE
from tests.model.test_device import NO_MEMORY


@pytest.fixture(scope="module")
def model(dense_model: Path) -> Model:
    return load_model(dense_model)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Uint8 (3, 512, 1024): land as the network knows it."""
    with rasterio.open(SAMPLE_SCENE) as file:
        pixels = file.read()[:, 100:612, 100:1124]
    return np.clip(pixels / (2750 / 254) + 1, 1, 255).astype(np.uint8)


def cut(
    scene: np.ndarray, top: int, left: int, rows: int, cols: int, valid: np.ndarray | None = None
) -> Window:
    """A window of whole tiles of a scene, of which beyond its edge nothing is valid."""
    valid = np.ones(scene.shape[1:], bool) if valid is None else valid
    part = (slice(top, top + 64 * rows + 2 * HALO), slice(left, left + 64 * cols + 2 * HALO))
    padded = np.pad(scene, ((0, 0), (HALO, HALO), (HALO, HALO)))
    return Window(
        pixels=np.ascontiguousarray(padded[:, *part]),
        shown=np.ascontiguousarray(np.pad(valid, HALO)[part]),
        valid=np.ascontiguousarray(np.pad(valid, HALO)[part]),
        tile_rows=np.arange(rows) * 64,
        tile_cols=np.arange(cols) * 64,
    )


def classify(model: Model, **settings: object) -> Classifier:
    return Classifier(model, device="cpu", **{"precision": "fp32", **settings})


def test_survey_is_the_networks(model: Model, scene: np.ndarray) -> None:
    """The same by hand: normalise, 0 where nothing is valid, softmax, means over tiles."""
    survey = classify(model).predict_window(window := cut(scene, 0, 0, 2, 3))
    contract, network = model.contract, model.network
    with torch.inference_mode():
        x = normalise(torch.from_numpy(window.pixels)[None].float(), contract.mean, contract.std)
        logits, _ = network.forward_dense(x * torch.from_numpy(window.valid))
        inner = (slice(HALO // 4, -HALO // 4),) * 2
        likely = torch.softmax(logits[0] / contract.cell_temperature, dim=0)
        hidden, possible = find_clouds(likely, torch.from_numpy(window.shown))
        likely = likely[:, *inner]
        land = likely[:-1] / likely[:-1].sum(dim=0)
        np.testing.assert_array_equal(survey.obscured, hidden[inner])
        np.testing.assert_array_equal(survey.maybe_obscured, possible[inner])
        away = survey.cells.transpose(2, 0, 1) / 250 - land.numpy()
        assert np.abs(away).max() < 0.5 / 250 + 1e-4
    assert survey.obscured.any()
    assert survey.unknown.shape == (2, 3)
    assert survey.unknown_cells.shape == (4, 6)
    assert not survey.unknown.any()
    np.testing.assert_allclose(survey.tiles.sum(axis=2), 1, atol=1e-5)


def test_tiles_are_means_of_features_that_are_clear(model: Model, scene: np.ndarray) -> None:
    """Without a cell that is obscured, and with a hole."""
    plain = make_clear(model)
    valid = np.ones(scene.shape[1:], bool)
    valid[:24, :64] = False
    window = cut(scene, 0, 0, 1, 2, valid)
    survey = classify(plain).predict_window(window)
    contract, network = model.contract, plain.network
    with torch.inference_mode():
        x = normalise(torch.from_numpy(window.pixels)[None].float(), contract.mean, contract.std)
        _, deep = network.forward_dense(x * torch.from_numpy(window.valid))
        deep = deep[:, :, HALO // 8 :, HALO // 8 :]
        for col, rows in ((0, slice(3, 8)), (1, slice(0, 8))):
            pooled = deep[:, :, rows, 8 * col : 8 * col + 8].mean(dim=(2, 3))
            expected = torch.softmax(network.decide(pooled) / contract.temperature, dim=1)[0]
            np.testing.assert_allclose(survey.tiles[0, col], expected, atol=1e-4)


def make_clear(model: Model) -> Model:
    """The same with a network that never calls a cell obscured."""
    network = type(model.network)().eval()
    network.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        network.cells.bias[-1] = -1e4
    return replace(model, network=network)


@pytest.mark.parametrize("side", [2, 4])
def test_windows_of_any_size_say_the_same(model: Model, scene: np.ndarray, side: int) -> None:
    """Of 128 and 256 pixels, beside one of 512 × 1024: of a hundred cells, one may differ."""
    classifier = classify(model)
    whole = classifier.predict_window(cut(scene, 0, 0, 8, 16))
    same, tiles = [], []
    for row in range(0, 8, side):
        for col in range(0, 16, side):
            part = classifier.predict_window(cut(scene, 64 * row, 64 * col, side, side))
            there = (slice(16 * row, 16 * (row + side)), slice(16 * col, 16 * (col + side)))
            same.append(part.cells.argmax(axis=2) == whole.cells[there].argmax(axis=2))
            same.append(part.obscured == whole.obscured[there])
            same.append(part.maybe_obscured == whole.maybe_obscured[there])
            tile = (slice(row, row + side), slice(col, col + side))
            tiles.append(part.tiles.argmax(axis=2) == whole.tiles[tile].argmax(axis=2))
    assert np.mean(same) > 0.99
    assert np.mean(tiles) > 0.99
    assert len(np.unique(whole.cells.argmax(axis=2))) > 3


def test_missing_halves_do_not_invent_classes(model: Model, scene: np.ndarray) -> None:
    """What is missing is the mean to the network, whatever stands there."""
    valid = np.random.default_rng(0).random(scene.shape[1:]) > 0.1
    classifier = classify(model)
    one, other = (
        classifier.predict_window(
            cut(np.where(valid, scene, fill).astype(np.uint8), 0, 0, 2, 2, valid)
        )
        for fill in (0, 255)
    )
    np.testing.assert_array_equal(one.cells, other.cells)
    np.testing.assert_array_equal(one.tiles, other.tiles)


def test_novelty_is_of_clear_pixels(model: Model, scene: np.ndarray) -> None:
    shipped = load_model().ood_detector
    assert shipped is not None
    strange = make_clear(replace(model, ood_detector=shipped))
    valid = np.ones(scene.shape[1:], bool)
    broken = scene.copy()
    broken[:, :, 64:80] = 255
    valid[:, 64:80] = False
    broken[:, :, 128:192] = np.random.default_rng(0).integers(0, 256, (3, 512, 64))
    survey = classify(strange).predict_window(cut(broken, 0, 0, 2, 4, valid))
    assert survey.unknown.tolist() == [[False, False, True, False]] * 2
    assert survey.unknown_cells.tolist() == [[False] * 4 + [True] * 2 + [False] * 2] * 4


def test_ordinary_quarters_of_strange_tiles_are_known(model: Model, scene: np.ndarray) -> None:
    shipped = load_model().ood_detector
    assert shipped is not None
    strange = make_clear(replace(model, ood_detector=shipped))
    broken = scene.copy()
    broken[:, 64:96, 64:96] = np.random.default_rng(0).integers(0, 256, (3, 32, 32))
    survey = classify(strange).predict_window(cut(broken, 0, 0, 2, 3))
    assert survey.unknown.tolist() == [[False, False, False], [False, True, False]]
    assert survey.unknown_cells[2, 2]
    assert not survey.unknown_cells[3, 3]
    assert survey.unknown_cells.sum() < 4


def test_statistics_of_what_is_clear_are_those_of_it_alone() -> None:
    tiles = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 64, 64))).float()
    clear = torch.ones((4, 1, 64, 64), dtype=torch.bool)
    torch.testing.assert_close(describe_pixels(tiles, clear), describe_pixels(tiles))
    clear[:, :, :, 40:] = False
    torch.testing.assert_close(describe_pixels(tiles, clear), describe_pixels(tiles[..., :40]))


def test_ways_to_turn_come_back() -> None:
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    turned = [turn(x, turns, mirrored=mirrored) for turns, mirrored in WAYS]
    assert len({(t.shape, t.flatten().numpy().tobytes()) for t in turned}) == 8
    for (turns, mirrored), y in zip(WAYS, turned, strict=True):
        torch.testing.assert_close(turn_back(y, turns, mirrored=mirrored), x)


def test_symmetries_say_the_same_of_a_scene_that_is_turned(model: Model, scene: np.ndarray) -> None:
    classifier = classify(model, symmetries=True)
    window = cut(scene, 64, 64, 1, 2)
    turned = Window(
        pixels=np.ascontiguousarray(np.rot90(window.pixels, 1, (1, 2))),
        shown=np.ascontiguousarray(np.rot90(window.shown)),
        valid=np.ascontiguousarray(np.rot90(window.valid)),
        tile_rows=window.tile_cols,
        tile_cols=window.tile_rows,
    )
    one, other = classifier.predict_window(window), classifier.predict_window(turned)
    away = np.rot90(one.cells).astype(int) - other.cells
    assert np.abs(away).max() <= 1
    np.testing.assert_allclose(np.rot90(one.tiles), other.tiles, atol=1e-4)
    assert (one.cells != classify(model).predict_window(window).cells).any()


def test_half_the_bits_change_few_cells(model: Model, scene: np.ndarray) -> None:
    full, half = (
        classify(model, precision=p).predict_window(cut(scene, 64, 64, 4, 4)).cells.argmax(axis=2)
        for p in ("fp32", "bf16")
    )
    assert (full == half).mean() > 0.97


def test_network_without_cells_surveys_nothing(scene: np.ndarray) -> None:
    shipped = load_model()
    tiles_alone = replace(
        shipped,
        arch="tilenet",
        network=TileNet().eval(),
        contract=replace(shipped.contract, cell_temperature=None),
        ood_detector=None,
    )
    with pytest.raises(SettingsError, match="no cells of its own"):
        Classifier(tiles_alone, device="cpu").predict_window(cut(scene, 0, 0, 1, 1))


@pytest.mark.parametrize("error", NO_MEMORY)
def test_window_that_memory_cannot_hold_is_one_line(
    model: Model, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("geoclass.model.classifier.Classifier._predict_window", fail)
    with pytest.raises(SettingsError, match="memory of cpu is too small") as caught:
        classify(model).predict_window(cut(scene, 0, 0, 1, 1))
    assert "\n" not in str(caught.value)


def mark_cloud(*squares: tuple[int, int, float], cells: int = 60) -> torch.Tensor:
    """Probabilities (3, cells, cells) of two classes of land and of cloud.

    Each of `squares` is centred: its first row, its side and the probability of cloud in it.
    """
    probabilities = torch.full((3, cells, cells), 0.01)
    for first, side, cloud in squares:
        probabilities[2, first : first + side, first : first + side] = cloud
    probabilities[0] = 0.99 - probabilities[2]
    return probabilities


def test_likely_cloud_is_certain_in_its_cells() -> None:
    certain, possible = find_clouds(
        mark_cloud((20, 3, 0.9)), torch.ones(240, 240, dtype=torch.bool)
    )
    assert certain[20:23, 20:23].all()
    assert certain.sum() == possible.sum() == 9


def test_a_large_area_of_unlikely_cloud_is_possible_but_not_a_small_one() -> None:
    shown = torch.ones(240, 240, dtype=torch.bool)
    certain, possible = find_clouds(mark_cloud((10, 40, 0.15)), shown)
    assert not certain.any()
    assert possible[15:45, 15:45].all()
    assert not possible[:3].any()
    assert not find_clouds(mark_cloud((28, 4, 0.4)), shown)[1].any()


def test_what_the_network_does_not_see_says_nothing_about_cloud() -> None:
    shown = torch.zeros(240, 240, dtype=torch.bool)
    shown[:, :120] = True
    _, possible = find_clouds(mark_cloud((30, 30, 0.49)), shown)
    assert not possible.any()
