"""Classifiers."""

import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from geoclass.contract import Precision
from geoclass.errors import SettingsError
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.model.device import choose_precision
from geoclass.model.networks import CustomNet
from tests.conftest import make_contract
from tests.model.test_device import NO_MEMORY


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 3, 64, 64)).astype(np.uint8)


def test_probabilities_are_the_networks(random_model: Path, images: np.ndarray) -> None:
    """The same by hand: scale, normalise, forward, softmax."""
    classifier = Classifier(load_model(random_model), device="cpu", batch_size=3, precision="fp32")
    prediction = classifier.predict(images)
    x = (torch.from_numpy(images).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = torch.softmax(load_model(random_model).network(x), dim=1).numpy()
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, atol=1e-5)
    assert not prediction.unknown.any()


def make_small_customnet() -> CustomNet:
    """Its convolutions, but linear layers of a few neurons: the real one has 1.8 GB."""
    torch.manual_seed(0)
    network = CustomNet().to("meta")
    network.fc1, network.fc2 = nn.Linear(29 * 29 * 256, 8), nn.Linear(8, 8)
    network.fc3 = nn.Linear(8, 128)
    for name in ("conv1", "conv2", "conv3", "fc4"):
        layer = getattr(network, name).to_empty(device="cpu")
        layer.reset_parameters()
    return network.train()


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 1e-2)])
def test_customnet_is_the_plain_network(
    images: np.ndarray, precision: Precision, tolerance: float
) -> None:
    """Without the dropout of its training, and as it was afterwards."""
    network, contract = make_small_customnet(), make_contract()
    model = Model(arch="customnet", network=network, contract=contract, sha256="")
    prediction = Classifier(model, device="cpu", precision=precision).predict(images)
    assert network.training
    assert network.fc4.weight.dtype == torch.float32
    x = (torch.from_numpy(images).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = network.eval()(x).exp().numpy()
    np.testing.assert_allclose(prediction.probabilities, expected, atol=tolerance)


def test_temperature_softens(random_model: Path, images: np.ndarray) -> None:
    model = load_model(random_model)
    soft = Model(
        arch=model.arch,
        network=model.network,
        contract=make_contract(temperature=4.0),
        sha256=model.sha256,
    )
    plain, softened = (Classifier(m, device="cpu").predict(images) for m in (model, soft))
    assert (softened.probabilities.max(axis=1) < plain.probabilities.max(axis=1)).all()
    np.testing.assert_array_equal(
        softened.probabilities.argmax(axis=1), plain.probabilities.argmax(axis=1)
    )


@pytest.mark.parametrize("batch_size", [0, -1])
def test_impossible_batch_size(random_model: Path, batch_size: int) -> None:
    with pytest.raises(SettingsError, match="batch size must be at least 1"):
        Classifier(load_model(random_model), batch_size=batch_size)


@pytest.mark.parametrize("error", NO_MEMORY)
def test_batch_that_memory_cannot_hold_is_halved(
    random_model: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    whole = Classifier(load_model(random_model), device="cpu").predict(images)
    compute = Classifier._predict_batch

    def small_memory(self: Classifier, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if len(batch) > limit:
            raise error
        return compute(self, batch)

    monkeypatch.setattr(Classifier, "_predict_batch", small_memory)
    limit = 3
    classifier = Classifier(load_model(random_model), device="cpu", batch_size=16)
    parts = classifier.predict(images)
    assert classifier.batch_size == 2
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=1e-6)
    limit = 0
    with pytest.raises(SettingsError, match="cannot hold one tile"):
        classifier.predict(images)


def test_symmetries_average_the_eight_ways_a_square_can_lie(
    random_model: Path, images: np.ndarray
) -> None:
    model = load_model(random_model)
    eight = [
        np.rot90(x, turns, (2, 3)) for x in (images, images[:, :, :, ::-1]) for turns in range(4)
    ]
    plain = Classifier(model, device="cpu")
    expected = np.mean([plain.predict(x).probabilities for x in eight], axis=0)
    out = Classifier(model, device="cpu", symmetries=True).predict(images).probabilities
    np.testing.assert_allclose(out, expected, atol=1e-6)
    turned = Classifier(model, device="cpu", symmetries=True).predict(np.rot90(images, 1, (2, 3)))
    np.testing.assert_allclose(turned.probabilities, out, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_tiles_and_keep_their_order(
    random_model: Path, images: np.ndarray, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(random_model)
    whole = Classifier(model, device="cpu", precision="fp32").predict(images)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    shared = Classifier(model, device="cpu", precision="fp32").predict(images)
    np.testing.assert_allclose(shared.probabilities, whole.probabilities, atol=1e-6)
    assert Classifier(model, device="cpu").predict(images[:0]).probabilities.shape == (0, 10)


def test_device_that_fails_at_work_is_one_line(
    random_model: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall_off_the_bus(*_: object) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure\nCompile with …")

    classifier = Classifier(load_model(random_model), device="cpu")
    monkeypatch.setattr(Classifier, "_predict_batch", fall_off_the_bus)
    with pytest.raises(RuntimeError, match="unspecified"):  # a fault of ours, on the processor
        classifier.predict(images)
    classifier.device = torch.device("cuda:0")
    with pytest.raises(
        SettingsError, match=r"cuda:0 failed at work \(CUDA error.*failure\): start"
    ):
        classifier.predict(images)


def test_precision_is_the_processors_unless_chosen(
    random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for has, expected in ((True, "bf16"), (False, "fp32")):
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda has=has: has)
        assert choose_precision(torch.device("cpu")) == expected
        assert Classifier(load_model(random_model), device="cpu").precision == expected
    assert Classifier(load_model(random_model), precision="bf16").precision == "bf16"


def test_threads_born_later_keep_their_cores(random_model: Path, images: np.ndarray) -> None:
    """As in a service that answers every request by another thread."""
    model, found, before = load_model(random_model), list[int](), torch.get_num_threads()

    def answer() -> None:
        found.append(torch.get_num_threads())
        Classifier(model, device="cpu").predict(images)

    try:
        for work in (partial(torch.set_num_threads, 3), answer, answer):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    finally:
        torch.set_num_threads(before)
    assert found == [3, 3]
