"""The model file: safetensors with the contract as its metadata.

Nothing in it can run code: a pickled file is refused by its first bytes, unread.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from geoclass.contract import SHIPPED, SHIPPED_ARCH, Arch, Contract
from geoclass.errors import ModelError
from geoclass.files.writing import drafted
from geoclass.legend import Legend, read_legend
from geoclass.model.networks import (
    ARCHS,
    ARCHS_WITH_CELLS,
    Network,
    build_network,
)
from geoclass.model.novelty import Novelty, tensor_shapes
from geoclass.outside import parse_json

SHIPPED_WEIGHTS = f"{SHIPPED_ARCH}.safetensors"

NOVELTY = "novelty."
"""Tensors whose names begin so are no weights."""

SEEN = "seen"
"""The tensor of `Model.seen`."""

MOST_BYTES = 2_000_000_000
"""Of a model file, or of one that a stopped training goes on from: far more than any takes."""


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
    """Read a model file; without a path, or with the word `shipped`, the model that ships.

    `legend` names a JSON file of other titles, colours and groups for some of its classes. Raises
    ModelError for a file that is missing, is no safetensors file or is no geoclass model, and
    SettingsError for a legend that cannot be used.
    """
    model = _load(find_model_file(path))
    if path is None or str(path) == SHIPPED:
        # Its classes look as this version has them, not as they did on the day of its training.
        model = _relabel(model, Legend.for_names(model.contract.legend.names))
    return model if legend is None else _relabel(model, read_legend(legend, model.contract.legend))


def find_model_file(path: Path | str | None = None) -> Path:
    """The file of a model; without a path, or with the word `shipped`, of the one that ships."""
    if path is None or str(path) == SHIPPED:
        return Path(str(files("geoclass.model") / "weights" / SHIPPED_WEIGHTS))
    return Path(path)


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
    """Write tensors, so that `path` is never half a file; OutputError where that fails."""
    with drafted(path, SafetensorError) as draft:
        draft.touch()
        readers = draft.stat().st_mode  # safetensors closes its files to all but their owner
        save_file({k: v.contiguous() for k, v in tensors.items()}, draft, metadata)
        draft.chmod(readers)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; ModelError for anything else, unread."""
    with _open_tensors(path) as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, file.metadata() or {}


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file, however large; ModelError for anything else, unread."""
    with _open_tensors(path) as file:
        return file.metadata() or {}


@contextmanager
def _open_tensors(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise ModelError(f"no model file at {path}: give the path of a .safetensors file")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ModelError(
            f"{path} has {size / 1e9:.1f} GB, expected at most {MOST_BYTES / 1e9:.0f} GB: "
            "give a model that `geoclass train` wrote"
        )
    if head.startswith((ZIP_HEAD, *PICKLE_HEADS)):
        raise ModelError(
            f"{path} is a pickled PyTorch file, which can run code when loaded: "
            "geoclass reads only .safetensors files that `geoclass train` wrote"
        )
    try:
        with safe_open(path, framework="pt") as tensors:
            yield tensors
    except SafetensorError as error:
        raise ModelError(
            f"{path} is not a safetensors file ({error}): give a model that `geoclass train` wrote"
        ) from error


def _relabel(model: Model, legend: Legend) -> Model:
    return replace(model, contract=replace(model.contract, legend=legend))


def _load(path: Path) -> Model:
    tensors, metadata = read_tensors(path)
    arch, contract = _parse_metadata(path, metadata)
    with torch.device("meta"):  # no weights are drawn, only to be replaced
        network = build_network(arch, len(contract.legend))
    forms: dict[str, _Form] = {
        name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in network.state_dict().items()
    }
    weights = list(forms)
    if any(name.startswith(NOVELTY) for name in tensors):
        shapes = tensor_shapes(network.last_layer.in_features)
        forms |= {f"{NOVELTY}{name}": (torch.float32, shape) for name, shape in shapes.items()}
    if SEEN in tensors:
        forms[SEEN] = (torch.int64, (None,))
    _check_tensors(f"the tensors in {path} do not fit the network {arch}", tensors, forms)
    network.load_state_dict({name: tensors.pop(name) for name in weights}, assign=True)
    seen = tensors.pop(SEEN, None)
    fitted = {name.removeprefix(NOVELTY): tensor for name, tensor in tensors.items()}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Model(
        arch=arch,
        network=network.eval(),
        contract=contract,
        novelty=Novelty.from_tensors(fitted) if fitted else None,
        seen=seen,
        sha256=sha256,
    )


_Form = tuple[torch.dtype, tuple[int | None, ...]]
"""Type and shape of a tensor; where the shape has None, anything from 1."""


def _check_tensors(problem: str, tensors: Mapping[str, Tensor], forms: Mapping[str, _Form]) -> None:
    """Refuse tensors of other names, types or shapes, and what no training leaves in them."""
    for name in sorted(forms.keys() | tensors.keys()):
        form, tensor = forms.get(name), tensors.get(name)
        if form is None or tensor is None or not _has_form(tensor, form):
            got = None if tensor is None else (tensor.dtype, tuple(tensor.shape))
            raise ModelError(
                f"{problem}: {name!r} is {_describe(got)}, expected {_describe(form)}; "
                "give a model as `geoclass train` wrote it"
            )
        low, high = (float(value) for value in tensor.aminmax())  # NaN, if it holds any
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ModelError(f"{problem}: {name!r} is not finite; train anew")
        if low < 0 and name.endswith("running_var"):
            raise ModelError(f"{problem}: {name!r} holds a variance of {low:g}; train anew")


def _has_form(tensor: Tensor, form: _Form) -> bool:
    dtype, shape = form
    return (
        tensor.dtype == dtype
        and tensor.dim() == len(shape)
        and all(n == m or (m is None and n) for n, m in zip(tensor.shape, shape, strict=True))
    )


def _describe(form: _Form | None) -> str:
    if form is None:
        return "absent"
    dtype, shape = form
    sides = ", ".join("n" if side is None else str(side) for side in shape)
    return f"{dtype} ({sides})".removeprefix("torch.")


def _parse_metadata(path: Path, metadata: Mapping[str, str]) -> tuple[Arch, Contract]:
    if "geoclass" not in metadata:
        raise ModelError(
            f"{path} holds tensors, but no geoclass contract: "
            "give a model that `geoclass train` wrote"
        )
    try:
        data = parse_json(metadata["geoclass"], dict[str, Any], what="metadata", nan=True)
        arch = data.get("arch")
        if arch not in ARCHS:
            raise ValueError(f"arch must be {' or '.join(ARCHS)}, got {shorten(arch)}")
        contract = Contract.from_json(data.get("contract", {}))
        if contract.cell_temperature is not None and arch not in ARCHS_WITH_CELLS:
            raise ValueError(f"cell_temperature must be null, for {arch} has no cells of its own")
        return arch, contract
    except ValueError as error:
        raise ModelError(
            f"the contract in {path} cannot be used: {error}; "
            "give a model as `geoclass train` wrote it"
        ) from error


ZIP_HEAD = b"PK\x03\x04"
PICKLE_HEADS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""`torch.save` writes a pickle, or since torch 1.6 a zip around one."""
