"""The model file: safetensors with the contract as its metadata.

Nothing in it can run code: a pickled file is refused by its first bytes, unread.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from geoclass.contract import Contract
from geoclass.errors import ModelError, OutputError
from geoclass.legend import Legend, read_legend
from geoclass.model.networks import ARCHS, Arch, Network, build_network
from geoclass.model.novelty import Novelty

SHIPPED_WEIGHTS = "tilenet.safetensors"
"""The model used where none is named; its card stands beside it."""

NOVELTY = "novelty."
"""Tensors whose names begin so are no weights."""

SEEN = "seen"
"""The tensor of `Model.seen`."""

_PICKLE_HEADS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network, the contract that it must be used by, and the file's fingerprint."""

    arch: Arch
    network: Network
    """In evaluation mode, on the CPU."""
    contract: Contract
    novelty: Novelty | None = None
    """What it takes for a tile to be unknown; None: nothing is."""
    seen: Tensor | None = None
    """int64 (n,), sorted: hashes of the tiles that it was trained on or chosen with, see
    `geoclass.learn.splits.hash_pixels`; None where nobody has recorded them."""
    sha256: str
    """Hash of the file's bytes; names the model in every map made with it."""


def load_model(path: Path | str | None = None, *, legend: Path | str | None = None) -> Model:
    """Read a model file; without a path the model that ships in the package.

    `legend` names a JSON file of other titles, colours and groups for some of its classes. Raises
    ModelError for a file that is missing, is no safetensors file or is no geoclass model, and
    SettingsError for a legend that cannot be used.
    """
    model = _load_shipped() if path is None else _load(Path(path))
    return model if legend is None else _relabel(model, read_legend(legend, model.contract.legend))


def find_model_file(path: Path | None = None) -> Path:
    """The file of a model; without a path of the one that ships."""
    return path or Path(str(files("geoclass.model") / "weights" / SHIPPED_WEIGHTS))


def save_model(
    path: Path,
    arch: Arch,
    network: Network,
    contract: Contract,
    novelty: Novelty | None = None,
    seen: Tensor | None = None,
) -> None:
    """Write a model file, whole or not at all."""
    # One JSON text, because safetensors writes its metadata entries in no fixed order.
    metadata = {"geoclass": json.dumps({"arch": arch, "contract": contract.to_json()})}
    tensors = dict(network.state_dict())
    if novelty is not None:
        tensors |= {f"{NOVELTY}{name}": tensor for name, tensor in novelty.tensors().items()}
    if seen is not None:
        tensors[SEEN] = seen
    save_tensors(path, tensors, metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors beside the target, then rename, so that `path` is never half a file."""
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.touch()
        readers = partial.stat().st_mode  # safetensors closes its files to all but their owner
        save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata)
        partial.chmod(readers)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; ModelError for anything else, unread."""
    if not path.is_file():
        raise ModelError(f"no model file at {path}: give the path of a .safetensors file")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    if head.startswith(_PICKLE_HEADS):
        raise ModelError(
            f"{path} is a pickled PyTorch file, which can run code when loaded: "
            "geoclass reads only .safetensors files that `geoclass train` wrote"
        )
    try:
        with safe_open(path, framework="pt") as tensors:
            names = tensors.keys()
            return {name: tensors.get_tensor(name) for name in names}, tensors.metadata() or {}
    except SafetensorError as error:
        raise ModelError(
            f"{path} is not a safetensors file ({error}): give a model that `geoclass train` wrote"
        ) from error


def _load_shipped() -> Model:
    model = _load(find_model_file())
    # Its classes look as this version has them, not as they did on the day of its training.
    return _relabel(model, Legend.for_names(model.contract.legend.names))


def _relabel(model: Model, legend: Legend) -> Model:
    return replace(model, contract=replace(model.contract, legend=legend))


def _load(path: Path) -> Model:
    tensors, metadata = read_tensors(path)
    arch, contract = _parse_metadata(path, metadata)
    seen = tensors.pop(SEEN, None)
    with torch.device("meta"):  # no weights are drawn, only to be replaced
        network = build_network(arch, len(contract.legend))
    fitted = {k.removeprefix(NOVELTY): t for k, t in tensors.items() if k.startswith(NOVELTY)}
    try:
        weights = {k: t for k, t in tensors.items() if not k.startswith(NOVELTY)}
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ModelError(f"the weights in {path} do not fit the network {arch}") from error
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        novelty = Novelty.from_tensors(fitted) if fitted else None
    except KeyError as error:
        raise ModelError(f"the statistics of novelty in {path} lack {error}: train anew") from error
    return Model(
        arch=arch,
        network=network.eval(),
        contract=contract,
        novelty=novelty,
        seen=seen,
        sha256=sha256,
    )


def _parse_metadata(path: Path, metadata: Mapping[str, str]) -> tuple[Arch, Contract]:
    if "geoclass" not in metadata:
        raise ModelError(
            f"{path} holds tensors, but no geoclass contract: "
            "give a model that `geoclass train` wrote"
        )
    try:
        data = json.loads(metadata["geoclass"])
        if data["arch"] not in ARCHS:
            raise ModelError(f"{path} is a {data['arch']!r}; known networks: {', '.join(ARCHS)}")
        return data["arch"], Contract.from_json(data["contract"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the contract in {path} cannot be used: {error}") from error
