"""Model files."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from geoclass.errors import ModelError, OutputError
from geoclass.model.checkpoint import (
    find_model_file,
    load_model,
    read_tensors,
    save_model,
    save_tensors,
)
from geoclass.model.networks import build_network
from geoclass.model.ood import Gaussians, Neighbours, OodDetector
from tests.conftest import make_contract

CONTRACT = make_contract().to_json()


def test_round_trip(tmp_path: Path) -> None:
    network = build_network("tilenet", 10)
    contract = make_contract(temperature=1.5)
    save_model(tmp_path / "m.safetensors", "tilenet", network, contract)
    model = load_model(tmp_path / "m.safetensors")
    assert model.arch == "tilenet"
    assert model.contract == contract
    assert not model.network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], tensor)
    assert len(model.sha256) == 64


def test_a_legend_may_be_given(random_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "legend.json"
    file.write_text('{"Forest": {"title": "Wald"}}')
    plain, own = load_model(random_model), load_model(random_model, legend=file)
    assert own.contract.legend[1].title == "Wald"
    assert own.contract.legend[0] == plain.contract.legend[0]
    assert own.sha256 == plain.sha256


def test_same_model_has_the_same_hash(tmp_path: Path) -> None:
    network = build_network("tilenet", 10)
    for name in ("a.safetensors", "b.safetensors"):
        save_model(tmp_path / name, "tilenet", network, make_contract())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model file at"):
        load_model(tmp_path / "none.safetensors")


def test_text_is_no_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_text("hello, this is no model")
    with pytest.raises(ModelError, match="is not a safetensors file"):
        load_model(path)


class Bomb:
    """Pickles to a call that would leave a trace."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_pickles_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.safetensors"
    if writer == "torch":
        torch.save(Bomb(), path)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="pickled PyTorch file"):
        load_model(path)
    assert not Path("exploded").exists()


def test_foreign_tensors(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="no geoclass contract"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"arch": "resnet"},
            "arch must be customnet or tilenet or tilenet-fine or tilenet-dense, got 'resnet'",
        ),
        ({"arch": None}, "got None"),
        ({"arch": ["tilenet"]}, "arch must be"),
        ({"contract": {"schema_version": 9}}, "schema version 9"),
        ({"contract": {}}, "cannot be used"),
        ({"contract": []}, "contract: Expected `object`, got `array`"),
        ({"contract": {**CONTRACT, "gsd_m": float("nan")}}, "gsd_m: Expected `float` >= 0.1"),
        ({"contract": {**CONTRACT, "tile_size": "64"}}, "tile_size: Expected `int`, got `str`"),
        ({"contract": {**CONTRACT, "cell_temperature": 1.0}}, "tilenet has no cells of its own"),
        ({"contract": {**CONTRACT, "\n": 1}}, r"contract has unknown fields: \['\\n'\]"),
        (
            {"contract": {**CONTRACT, "radiometry": "\ud800"}},
            "must not contain half a surrogate pair",
        ),
    ],
)
def test_damaged_contract(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "m.safetensors"
    data = {"arch": "tilenet", "contract": make_contract().to_json(), **change}
    save_file({"a": torch.zeros(1)}, path, {"geoclass": json.dumps(data)})
    assert_refused(path, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "metadata: Expected `object`, got `array`"),
        ("null", "metadata: Expected `object`, got `null`"),
        ("[" * 100_000, "nested too deep"),
        (f'{{"arch": "tilenet", "contract": {"9" * 5000}}}', "limit"),
    ],
)
def test_damaged_metadata(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"geoclass": text})
    assert_refused(path, f"cannot be used: .*{message}")


def assert_refused(path: Path, message: str) -> None:
    """In one line that names the file."""
    with pytest.raises(ModelError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def make_novelty(features: int = 192) -> OodDetector:
    return OodDetector(
        features=Gaussians(means=torch.zeros(10, features), precision=torch.eye(features)),
        pixels=Neighbours(
            means=torch.zeros(25), deviations=torch.ones(25), references=torch.zeros(7, 25)
        ),
        thresholds=torch.ones(3),
    )


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("head.weight", torch.zeros(7, 192), r"'head.weight' is float32 \(7, 192\), expected"),
        ("head.weight", torch.zeros(10, 192).half(), r"is float16 \(10, 192\), expected float32"),
        ("head.bias", torch.zeros(10, dtype=torch.int32), "is int32"),
        ("head.bias", torch.full((10,), float("nan")), "'head.bias' is not finite"),
        ("head.bias", torch.tensor([float("-inf")] + [0.0] * 9), "'head.bias' is not finite"),
        ("head.bias", None, r"'head.bias' is absent, expected float32 \(10\)"),
        ("stem.1.num_batches_tracked", torch.zeros(0, dtype=torch.int64), r"is int64 \(0\)"),
        ("stem.1.running_var", torch.full((32,), -1.0), "holds a variance of -1"),
        ("more", torch.zeros(1), r"'more' is float32 \(1\), expected absent"),
        ("novelty.thresholds", torch.ones(4), r"thresholds' is float32 \(4\), expected"),
        ("novelty.thresholds", torch.ones(3).double(), "thresholds' is float64"),
        ("novelty.thresholds", None, "thresholds' is absent"),
        ("novelty.features.means", torch.zeros(10, 128), r"expected float32 \(n, 192\)"),
        ("novelty.features.means", torch.zeros(0, 192), r"is float32 \(0, 192\)"),
        ("novelty.features.precision", torch.zeros(192), r"expected float32 \(192, 192\)"),
        ("novelty.pixels.means", torch.zeros(25, dtype=torch.int64), "is int64"),
        ("novelty.pixels.deviations", torch.full((25,), float("nan")), "is not finite"),
        ("novelty.pixels.references", torch.zeros(7, 24), r"expected float32 \(n, 25\)"),
        ("novelty.pixels.references", torch.zeros(25), r"expected float32 \(n, 25\)"),
        ("seen", torch.zeros(3), r"'seen' is float32 \(3\), expected int64 \(n\)"),
    ],
)
def test_tensors_that_do_not_fit(
    tmp_path: Path, name: str, tensor: torch.Tensor | None, message: str
) -> None:
    path = tmp_path / "m.safetensors"
    save_model(path, "tilenet", build_network("tilenet", 10), make_contract(), make_novelty())
    tensors, metadata = read_tensors(path)
    assert load_model(path).ood_detector is not None
    changed = {**tensors, name: tensor}
    save_tensors(path, {k: t for k, t in changed.items() if t is not None}, metadata)
    assert_refused(path, f"do not fit the network tilenet: .*{message}")


def test_shipped_is_a_word_for_the_model_that_ships() -> None:
    assert load_model("shipped").sha256 == load_model().sha256 == load_model(Path("shipped")).sha256
    assert find_model_file("shipped") == find_model_file()


def test_others_may_read_a_model_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    save_model(tmp_path / "m", "tilenet", build_network("tilenet", 10), make_contract())
    assert (tmp_path / "m").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    network = build_network("tilenet", 10)
    with pytest.raises(OutputError, match="cannot write"):
        save_model(tmp_path / "none" / "m", "tilenet", network, make_contract())
    assert list(tmp_path.iterdir()) == []
