"""Models for other programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from geoclass.errors import GeoclassError, ModelError
from geoclass.model import export
from geoclass.model.checkpoint import load_model
from geoclass.model.classifier import Classifier
from geoclass.model.export import export_onnx


def test_any_number_of_tiles_gets_the_models_probabilities(
    random_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(random_model)
    assert export_onnx(model, tmp_path / "m.onnx") < 1e-4
    assert capsys.readouterr().out == ""
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for n in (1, 7):
        tiles = np.random.default_rng(n).integers(0, 256, (n, 3, 64, 64)).astype(np.uint8)
        (found,) = session.run(["probabilities"], {"tiles": tiles.astype(np.float32)})
        expected = Classifier(model, device="cpu").predict(tiles).probabilities
        np.testing.assert_allclose(found, expected, atol=1e-4)
    metadata = {p.key: p.value for p in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert json.loads(metadata["geoclass"])["legend"] == model.contract.legend.to_json()
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_model_that_disagrees_is_not_written(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = export._run_onnx
    monkeypatch.setattr(export, "_run_onnx", lambda data, tiles: run(data, tiles) + 1e-3)
    with pytest.raises(ModelError, match="differs by 0.001 in a probability"):
        export_onnx(load_model(random_model), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_named(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(GeoclassError, match=r"needs onnxscript.*geoclass\[onnx\]"):
        export_onnx(load_model(random_model), tmp_path / "m.onnx")
