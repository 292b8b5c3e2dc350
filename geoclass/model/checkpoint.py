"""The model file: safetensors with the contract as metadata; pickled files are refused unread."""

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
from geoclass.model.networks import ARCHS, ARCHS_WITH_CELLS, Network, build_network
from geoclass.model.ood import OodDetector, tensor_shapes
from geoclass.outside import parse_json

SHIPPED_WEIGHTS = f"{SHIPPED_ARCH}.safetensors"

OOD_PREFIX = "novelty."
"""Prefix of the tensors of `Model.ood_detector` in files."""

SEEN = "seen"
"""Name of the tensor `Model.seen`."""

MOST_BYTES = 2_000_000_000
"""Maximum size of a model file or training checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network with its contract and the hash of its file."""

    arch: Arch
    network: Network
    """In evaluation mode, on the CPU."""
    contract: Contract
    ood_detector: OodDetector | None = None
    """None: no tile is unknown."""
    seen: Tensor | None = None
    """int64 (n,), sorted: hashes of the training and validation tiles, see
    `geoclass.learn.splits.hash_pixels`; None if not recorded."""
    sha256: str
    """Hash of the file; identifies the model in every map."""


def load_model(path: Path | str | None = None, *, legend: Path | str | None = None) -> Model:
    """Read a model file; without a path or with `shipped`, the model in the package.

    `legend` is a JSON file with titles, colours and groups of classes. Raises ModelError for a file
    that is missing or not a model of geoclass, SettingsError for an invalid legend.
    """
    model = _load(find_model_file(path))
    if path is None or str(path) == SHIPPED:
        # The titles and colours of this version, not those at training time.
        model = _relabel(model, Legend.for_names(model.contract.legend.names))
    return model if legend is None else _relabel(model, read_legend(legend, model.contract.legend))


def find_model_file(path: Path | str | None = None) -> Path:
    """The path of a model; without a path or with `shipped`, of the model in the package."""
    if path is None or str(path) == SHIPPED:
        return Path(str(files("geoclass.model") / "weights" / SHIPPED_WEIGHTS))
    return Path(path)


def save_model(
    path: Path,
    arch: Arch,
    network: Network,
    contract: Contract,
    ood_detector: OodDetector | None = None,
    seen: Tensor | None = None,
) -> None:
    """Write a model file atomically; OutputError if that fails."""
    # One JSON text, because safetensors does not keep the order of metadata entries.
    metadata = {"geoclass": json.dumps({"arch": arch, "contract": contract.to_json()})}
    tensors = dict(network.state_dict())
    if ood_detector is not None:
        parts = ood_detector.tensors()
        tensors |= {f"{OOD_PREFIX}{name}": tensor for name, tensor in parts.items()}
    if seen is not None:
        tensors[SEEN] = seen
    save_tensors(path, tensors, metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically; OutputError if that fails."""
    with drafted(path, SafetensorError) as draft:
        draft.touch()
        mode = draft.stat().st_mode  # safetensors creates files that only the owner can read
        save_file({k: v.contiguous() for k, v in tensors.items()}, draft, metadata)
        draft.chmod(mode)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; ModelError for other files, unread."""
    with _open_tensors(path) as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, file.metadata() or {}


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; ModelError for other files, unread."""
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
    with torch.device("meta"):  # without initialising weights
        network = build_network(arch, len(contract.legend))
    forms: dict[str, _Form] = {
        name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in network.state_dict().items()
    }
    weights = list(forms)
    if any(name.startswith(OOD_PREFIX) for name in tensors):
        shapes = tensor_shapes(network.last_layer.in_features)
        forms |= {f"{OOD_PREFIX}{name}": (torch.float32, shape) for name, shape in shapes.items()}
    if SEEN in tensors:
        forms[SEEN] = (torch.int64, (None,))
    _check_tensors(f"the tensors in {path} do not fit the network {arch}", tensors, forms)
    network.load_state_dict({name: tensors.pop(name) for name in weights}, assign=True)
    seen = tensors.pop(SEEN, None)
    fitted = {name.removeprefix(OOD_PREFIX): tensor for name, tensor in tensors.items()}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Model(
        arch=arch,
        network=network.eval(),
        contract=contract,
        ood_detector=OodDetector.from_tensors(fitted) if fitted else None,
        seen=seen,
        sha256=sha256,
    )


_Form = tuple[torch.dtype, tuple[int | None, ...]]
"""Type and shape of a tensor; None is any size from 1."""


def _check_tensors(problem: str, tensors: Mapping[str, Tensor], forms: Mapping[str, _Form]) -> None:
    """ModelError for tensors with other names, types, shapes or invalid values."""
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
            raise ModelError(f"{problem}: {name!r} is not finite; train again")
        if low < 0 and name.endswith("running_var"):
            raise ModelError(f"{problem}: {name!r} holds a variance of {low:g}; train again")


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
            f"{path} has tensors, but no geoclass contract: "
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
"""`torch.save` writes a pickle, since torch 1.6 inside a zip."""
