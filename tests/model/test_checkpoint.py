"""Model files."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from geoclass.errors import ModelError, OutputError
from geoclass.model.checkpoint import load_model, save_model
from geoclass.model.networks import build_network
from tests.conftest import make_contract


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
        ({"arch": "resnet"}, "known networks: customnet, tilenet"),
        ({"contract": {"schema_version": 9}}, "schema version 9"),
        ({"contract": {}}, "cannot be used"),
    ],
)
def test_damaged_contract(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "m.safetensors"
    data = {"arch": "tilenet", "contract": make_contract().to_json(), **change}
    save_file({"a": torch.zeros(1)}, path, {"geoclass": json.dumps(data)})
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_weights_of_another_shape(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(path, "tilenet", build_network("tilenet", 7), make_contract())
    with pytest.raises(ModelError, match="do not fit the network tilenet"):
        load_model(path)


def test_others_may_read_a_model_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    save_model(tmp_path / "m", "tilenet", build_network("tilenet", 10), make_contract())
    assert (tmp_path / "m").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    network = build_network("tilenet", 10)
    with pytest.raises(OutputError, match="cannot write"):
        save_model(tmp_path / "none" / "m", "tilenet", network, make_contract())
    assert list(tmp_path.iterdir()) == []
