"""A model put to work: uint8 tiles in, calibrated class probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from geoclass.errors import SettingsError
from geoclass.model.checkpoint import Model
from geoclass.model.networks import Network

CPU_BATCH_SIZE = 128
"""Larger batches fall out of the processor's caches and are slower."""
CUDA_BATCH_SIZE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the network says of n tiles."""

    probabilities: np.ndarray
    """float32 (n, classes), calibrated, rows sum to 1."""
    unknown: np.ndarray
    """bool (n,): True where the tile is too unlike the training data to be given a class."""


class Classifier:
    """Labels tiles on one device."""

    def __init__(
        self,
        model: Model,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        symmetries: bool = False,
    ) -> None:
        """`device` is torch's name for it; None takes CUDA where there is one, else the CPU.

        With `symmetries` a tile is looked at in the eight ways that a square can lie, and the
        probabilities are averaged (test-time augmentation): eight times the work.

        Raises SettingsError for a device that is not there or a batch size below 1.
        """
        if batch_size is not None and batch_size < 1:
            raise SettingsError(f"batch size must be at least 1, got {batch_size}")
        self.contract = model.contract
        self.device = find_device(device)
        on_cuda = self.device.type == "cuda"
        self.batch_size = batch_size or (CUDA_BATCH_SIZE if on_cuda else CPU_BATCH_SIZE)
        self._symmetries = symmetries
        network = model.network.eval().to(self.device)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        self._network = network
        self._novelty = None if model.novelty is None else model.novelty.to(self.device)

    def predict(self, images: np.ndarray) -> Prediction:
        """Probabilities of uint8 tiles (n, 3, tile, tile); SettingsError if memory lacks."""
        tiles = torch.from_numpy(np.ascontiguousarray(images))
        probabilities, unknown = self._predict_within_memory(tiles)
        return Prediction(probabilities=probabilities.numpy(), unknown=unknown.numpy())

    def _predict_within_memory(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """What `_predict_batch` gives; a batch that memory cannot hold is halved from now on."""
        while True:
            try:
                parts = [self._predict_batch(batch) for batch in tiles.split(self.batch_size)]
                probabilities, unknown = zip(*parts, strict=True)
                return torch.cat(probabilities), torch.cat(unknown)
            except torch.OutOfMemoryError as error:
                if self.batch_size == 1:
                    raise SettingsError(
                        f"the memory of {self.device} cannot hold one tile: try --device cpu"
                    ) from error
                self.batch_size //= 2
                torch.cuda.empty_cache()

    def _predict_batch(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (n, classes) and whether tiles are unknown, bool (n,), on the CPU."""
        with torch.inference_mode():
            tiles = batch.to(self.device, non_blocking=True).float()
            features, logits = self._compute(tiles)
            if self._novelty is None:
                unknown = torch.zeros(len(batch), dtype=torch.bool)
            else:
                unknown = self._novelty.is_unknown(self._novelty.score(tiles, features, logits))
            probabilities = self._calibrate(logits)
            if self._symmetries:
                others = [self._calibrate(self._compute(x)[1]) for x in _turn(tiles)]
                probabilities = torch.stack([probabilities, *others]).mean(dim=0)
            return probabilities.cpu(), unknown.cpu()

    def _compute(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        x = normalise(tiles, self.contract.mean, self.contract.std)
        features = self._network.features(x)
        return features, self._network.decide(features)

    def _calibrate(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits.float() / self.contract.temperature, dim=1)


def _turn(tiles: Tensor) -> Iterator[Tensor]:
    """The seven other ways in which a square can lie."""
    for turns in range(4):
        turned = torch.rot90(tiles, turns, (2, 3))
        if turns:
            yield turned
        yield turned.flip(3)


def find_device(name: str | None) -> torch.device:
    """The device of that name, or the best there is; SettingsError if it is not there."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"device {name!r} cannot be used here ({reason}): try --device cpu"
        ) from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"device {name!r} is none that computes: try --device cpu")
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether it is a GPU whose tensor cores multiply bfloat16."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def describe_device(device: torch.device) -> str:
    """For people: the device's name and memory."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    return f"{device} ({torch.get_num_threads()} threads)"


def describe_torch() -> str:
    """For people: torch's version, what it was built for, and the device taken by default."""
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
    return f"{torch.__version__}, built for {built}; device {describe_device(find_device(None))}"


def compute_outputs(
    network: Network,
    images: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """Features (n, f) and logits (n, classes), float32, on the CPU.

    `images` are uint8 (n, 3, s, s) on any device.
    """
    device = next(network.parameters()).device
    features, logits = [], []
    with torch.inference_mode():
        for batch in images.split(batch_size):
            x = normalise(batch.to(device, non_blocking=True).float(), mean, std)
            features.append(network.features(x))
            logits.append(network.decide(features[-1]).float().cpu())
    return torch.cat([f.float().cpu() for f in features]), torch.cat(logits)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Bring float (n, 3, s, s) from 0–255 to the range that the network was trained on."""
    scale = torch.tensor(std, device=images.device).mul(255).reshape(1, -1, 1, 1)
    shift = torch.tensor(mean, device=images.device).div(torch.tensor(std, device=images.device))
    x = images / scale - shift.reshape(1, -1, 1, 1)
    return x.contiguous(memory_format=torch.channels_last)
