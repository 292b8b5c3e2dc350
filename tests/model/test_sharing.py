"""Features of overlapping tiles computed once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoclass.errors import SettingsError
from geoclass.model.checkpoint import Model
from geoclass.model.classifier import Classifier
from geoclass.model.networks import build_network
from geoclass.model.novelty import Neighbours, describe_pixels
from geoclass.model.sharing import CONTEXT, describe_lattice
from tests.conftest import make_contract

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 200, 330)).astype(np.uint8)


@pytest.fixture(scope="module", params=["tilenet", "tilenet-fine"])
def classifier(request: pytest.FixtureRequest) -> Classifier:
    torch.manual_seed(0)
    network = build_network(request.param, 10).eval()
    model = Model(arch=request.param, network=network, contract=make_contract(), sha256="")
    return Classifier(model, device="cpu", precision="fp32")


@pytest.mark.parametrize("step", [32, 16, 8])
def test_statistics_are_those_of_tiles_by_themselves(step: int) -> None:
    pixels = torch.from_numpy(PIXELS).float()
    pixels[:, 100:] = torch.where(pixels[:, 100:] > 250, 255, 40)  # nearly plain, some white
    rows, cols = (200 - 64) // step + 1, (330 - 64) // step + 1
    together = describe_lattice(pixels[None], step, rows, cols)
    tiles = pixels.unfold(1, 64, step).unfold(2, 64, step).permute(1, 2, 0, 3, 4).flatten(0, 1)
    torch.testing.assert_close(together, describe_pixels(tiles), rtol=1e-4, atol=1e-3)


def test_features_are_means_over_the_map_of_the_whole(classifier: Classifier) -> None:
    """Windows of columns with context give what the whole picture at once would."""
    shared = classifier.share_features()
    probabilities, unknown = shared.predict(PIXELS, (8, 16), 16)
    with torch.inference_mode():
        whole = shared.map_features(torch.from_numpy(PIXELS[None, :, :, :328].copy()))[0]
        for row, col in ((0, 0), (3, 7), (8, 15)):
            i, j = 1 + 2 * row, 2 + 2 * col
            logits = shared.decide(whole[None, :, i : i + 8, j : j + 8].mean(dim=(2, 3)))
            expected = torch.softmax(logits / shared.temperature, dim=1)[0]
            np.testing.assert_allclose(probabilities[row, col], expected, atol=1e-4)
    assert probabilities.shape == (9, 16, 10)
    assert not unknown.any()


def test_windows_do_not_show(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = classifier.share_features()
    whole, _ = shared.predict(PIXELS, (0, 8), 8)
    monkeypatch.setattr("geoclass.model.sharing._WINDOW", 64)
    parts, _ = shared.predict(PIXELS, (0, 8), 8)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_nothing_beyond_the_context_matters(classifier: Classifier) -> None:
    shared = classifier.share_features()
    size = 64 + 2 * CONTEXT
    pixels = PIXELS[:, :size, :size]
    wider = np.pad(pixels, ((0, 0), (64, 64), (64, 64)), constant_values=200)
    inner, _ = shared.predict(pixels, (CONTEXT, CONTEXT), 64)
    outer, _ = shared.predict(wider, (CONTEXT + 64, CONTEXT + 64), 64)
    np.testing.assert_allclose(inner[0, 0], outer[0, 0], atol=1e-5)


def test_other_networks_cannot_share(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_network", torch.nn.Identity())
    with pytest.raises(SettingsError, match="leave out --fast"):
        classifier.share_features()


def test_far_tiles_are_those_whose_distance_is_above_the_limit() -> None:
    generator = torch.Generator().manual_seed(0)
    references, x = (torch.randn(n, 25, generator=generator) for n in (200, 50))
    pixels = Neighbours(means=torch.zeros(25), deviations=torch.ones(25), references=references)
    distance = pixels.distance(x)
    limit = distance.median()
    assert torch.equal(pixels.is_far(x, limit), distance > limit)
