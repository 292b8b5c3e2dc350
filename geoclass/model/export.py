"""Export to ONNX."""

import contextlib
import io
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from geoclass.contract import Contract
from geoclass.errors import GeoclassError, ModelError
from geoclass.files.writing import write_whole
from geoclass.model.checkpoint import Model
from geoclass.model.classifier import normalise
from geoclass.model.networks import Network

TOLERANCE = 1e-4
"""Maximum difference of a probability of the exported model."""

_SEED = 0
_CHECKED_TILES = 5


class _Calibrated(nn.Module):
    """Float (n, 3, s, s), 0–255, to calibrated probabilities (n, classes)."""

    def __init__(self, network: Network, contract: Contract) -> None:
        super().__init__()
        self._network, self._contract = network, contract

    def forward(self, tiles: Tensor) -> Tensor:
        x = normalise(tiles, self._contract.mean, self._contract.std)
        logits = self._network.decide(self._network.features(x))
        return torch.softmax(logits / self._contract.temperature, dim=1)


def export_onnx(model: Model, path: Path | str) -> float:
    """Write the model as ONNX and return the maximum difference of its probabilities.

    Input `tiles`: float32 (n, 3, 64, 64), 0–255, red, green, blue in the contract's radiometry.
    Output `probabilities`: float32 (n, classes), calibrated; unknown tiles are not detected. The
    metadata item `geoclass` is the contract as JSON.

    Raises GeoclassError if packages are missing, ModelError if the exported model differs,
    OutputError if the file cannot be written.
    """
    path = Path(path)
    module = _Calibrated(model.network, model.contract).eval()
    size = model.contract.tile_size
    data = _to_onnx(module, size, json.dumps(model.contract.to_json()))
    tiles = np.random.default_rng(_SEED).integers(0, 256, (_CHECKED_TILES, 3, size, size))
    tiles = tiles.astype(np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(tiles)).numpy()
    difference = float(np.abs(_run_onnx(data, tiles) - expected).max())
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the exported model differs by {difference:.2g} in a probability, at most "
            f"{TOLERANCE:g} is allowed: try other versions of torch and onnxruntime"
        )
    write_whole(path, data)
    return difference


def _to_onnx(module: nn.Module, size: int, contract: str) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401  # required by torch's exporter
    except ImportError as error:
        raise _missing(error) from error
    # Two tiles, because a dimension of 1 would become constant.
    example = torch.zeros((2, 3, size, size))
    # The exporter prints progress and irrelevant warnings.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (example,),
            input_names=["tiles"],
            output_names=["probabilities"],
            dynamic_shapes={"tiles": {0: torch.export.Dim("n")}},
            dynamo=True,
        )
    if program is None:
        raise ModelError("torch could not export the network: try another version of torch")
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {"geoclass": contract})
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def _run_onnx(data: bytes, tiles: np.ndarray) -> np.ndarray:
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(error) from error
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {"tiles": tiles})[0]


def _missing(error: ImportError) -> GeoclassError:
    return GeoclassError(
        f"exporting needs {error.name}, which is not installed: pip install 'geoclass[onnx]'"
    )
