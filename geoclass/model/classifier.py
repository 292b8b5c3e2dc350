"""A model put to work: uint8 tiles in, calibrated class probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from geoclass.errors import SettingsError
from geoclass.model.checkpoint import Model

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
        self, model: Model, *, device: str | None = None, batch_size: int | None = None
    ) -> None:
        """`device` is torch's name for it; None takes CUDA where there is one, else the CPU.

        Raises SettingsError for a device that is not there or a batch size below 1.
        """
        if batch_size is not None and batch_size < 1:
            raise SettingsError(f"batch size must be at least 1, got {batch_size}")
        self.contract = model.contract
        self.device = find_device(device)
        on_cuda = self.device.type == "cuda"
        self.batch_size = batch_size or (CUDA_BATCH_SIZE if on_cuda else CPU_BATCH_SIZE)
        network = model.network.eval().to(self.device)
        self._network = convert_conv2d_weight_memory_format(network, torch.channels_last)

    def predict(self, images: np.ndarray) -> Prediction:
        """Probabilities of uint8 tiles (n, 3, tile, tile); SettingsError if memory lacks."""
        tiles = torch.from_numpy(np.ascontiguousarray(images))
        logits = self._compute_within_memory(tiles)
        probabilities = torch.softmax(logits / self.contract.temperature, dim=1).numpy()
        return Prediction(
            probabilities=probabilities, unknown=np.zeros(len(probabilities), dtype=bool)
        )

    def _compute_within_memory(self, tiles: Tensor) -> Tensor:
        """Logits; a batch that the device's memory cannot hold is halved, now and hereafter."""
        while True:
            try:
                return compute_logits(
                    self._network,
                    tiles,
                    mean=self.contract.mean,
                    std=self.contract.std,
                    batch_size=self.batch_size,
                )
            except torch.OutOfMemoryError as error:
                if self.batch_size == 1:
                    raise SettingsError(
                        f"the memory of {self.device} cannot hold one tile: try --device cpu"
                    ) from error
                self.batch_size //= 2
                torch.cuda.empty_cache()


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


def describe_device(device: torch.device) -> str:
    """For people: the device's name and memory."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    return f"{device} ({torch.get_num_threads()} threads)"


def compute_logits(
    network: nn.Module,
    images: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int,
) -> Tensor:
    """Float32 (n, classes), on the CPU, of uint8 images (n, 3, s, s) on any device."""
    device = next(network.parameters()).device
    logits = []
    with torch.inference_mode():
        for batch in images.split(batch_size):
            x = normalise(batch.to(device, non_blocking=True).float(), mean, std)
            logits.append(network(x).float().cpu())
    return torch.cat(logits)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Bring float (n, 3, s, s) from 0–255 to the range that the network was trained on."""
    scale = torch.tensor(std, device=images.device).mul(255).reshape(1, -1, 1, 1)
    shift = torch.tensor(mean, device=images.device).div(torch.tensor(std, device=images.device))
    x = images / scale - shift.reshape(1, -1, 1, 1)
    return x.contiguous(memory_format=torch.channels_last)
