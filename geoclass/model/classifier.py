"""A model put to work: uint8 pixels in, calibrated class probabilities out."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from geoclass.contract import Contract, Precision
from geoclass.errors import SettingsError
from geoclass.model.checkpoint import Model
from geoclass.model.device import (
    CUDA_THREADS,
    choose_batch_size,
    choose_precision,
    constant,
    demand_float32,
    find_device,
    is_out_of_memory,
    send,
)
from geoclass.model.fused import FusedDenseNet, FusedTileNet, fuse
from geoclass.model.networks import Network, TileNet
from geoclass.model.novelty import describe_pixels
from geoclass.model.survey import WAYS, Survey, Surveyor, Window, soften, turn

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the network says of n tiles."""

    probabilities: np.ndarray
    """float32 (n, classes), calibrated, rows sum to 1."""
    unknown: np.ndarray
    """bool (n,): True where the tile is too unlike the training data to be given a class."""


class Classifier:
    """Labels tiles and windows on one device; may be asked by several threads at a time."""

    def __init__(
        self,
        model: Model,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        symmetries: bool = False,
        precision: Precision | None = None,
    ) -> None:
        """`device` is torch's name for it; None takes CUDA where there is one, else the CPU.

        With `symmetries` a tile is looked at in the eight ways that a square can lie, and the
        probabilities are averaged (test-time augmentation): eight times the work. `precision`
        None takes bfloat16 where the device multiplies it faster.

        Raises SettingsError for a device that is not there or a batch size below 1.
        """
        if batch_size is not None and batch_size < 1:
            raise SettingsError(f"batch size must be at least 1, got {batch_size}")
        self.contract, self.sha256 = model.contract, model.sha256
        self.device = find_device(device)
        self.precision: Precision = precision or choose_precision(self.device)
        demand_float32(self.device)
        self._symmetries = symmetries
        self._network = _prepare(model, self.precision, self.device)
        self._novelty = None if model.novelty is None else model.novelty.to(self.device)
        self.batch_size = batch_size or choose_batch_size(self.device)
        # Threads with batches of their own, each on one core: threads that share the sums of one
        # batch wait for one another at every layer, long where the cores have other work, too.
        allowed = torch.get_num_threads()
        self._workers = {"cpu": allowed, "cuda": CUDA_THREADS}.get(self.device.type, 1)
        self._threads = ThreadPoolExecutor(
            self._workers,
            thread_name_prefix="classifier",
            initializer=_start_thread,
            initargs=(self.device, allowed),
        )

    def close(self) -> None:
        """End its threads, once they have done what they were given; it labels nothing more."""
        self._threads.shutdown()

    def predict(self, images: np.ndarray) -> Prediction:
        """Probabilities of uint8 tiles (n, 3, tile, tile).

        Raises SettingsError where memory lacks or the device fails.
        """
        tiles = torch.from_numpy(np.ascontiguousarray(images))
        probabilities, unknown = self._try(lambda: self._predict_within_memory(tiles))
        return Prediction(probabilities=probabilities.numpy(), unknown=unknown.numpy())

    @property
    def windows_at_once(self) -> int:
        """So many windows keep all its threads at work: one waits for the first that is done."""
        return self._workers + 1

    def survey(self, window: Window) -> Survey:
        """What a network that has cells of its own says of a window.

        Raises SettingsError where it has none, where memory lacks or the device fails.
        """
        if not isinstance(self._network, FusedDenseNet) or self.contract.cell_temperature is None:
            raise SettingsError("the model has no cells of its own: label tiles instead")
        surveyor = Surveyor(
            network=self._network,
            contract=self.contract,
            novelty=self._novelty,
            symmetries=self._symmetries,
            device=self.device,
        )
        return self._try(lambda: self._threads.submit(surveyor.survey, window).result())

    def _try(self, work: Callable[[], Answer]) -> Answer:
        """What the work comes to; SettingsError where memory lacks or the device fails."""
        try:
            return work()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise SettingsError(
                    f"the memory of {self.device} is too small: free some, or try --device cpu"
                ) from error
            if self.device.type == "cpu":
                raise
            raise SettingsError(
                f"{self.device} failed at work ({str(error).splitlines()[0]}): "
                "start again, or try --device cpu"
            ) from error

    def _predict_within_memory(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """What `_predict_batch` gives; a batch that memory cannot hold is halved from now on."""
        while True:
            size = self.batch_size
            try:
                parts = self._threads.map(self._predict_batch, self._split(tiles, size))
                probabilities, unknown = zip(*parts, strict=True)
                return torch.cat(probabilities), torch.cat(unknown)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise SettingsError(
                        f"the memory of {self.device} cannot hold one tile: free some, or try "
                        "--device cpu"
                    ) from error
                self.batch_size = min(self.batch_size, size // 2)
                torch.cuda.empty_cache()

    def _split(self, tiles: Tensor, size: int) -> Sequence[Tensor]:
        """Batches, of few tiles smaller ones, so that all threads have some."""
        fair = max(1, -(-len(tiles) // self._workers))
        batches: Sequence[Tensor] = tiles.split(min(size, fair))
        return batches

    def _predict_batch(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (n, classes) and whether tiles are unknown, bool (n,), on the CPU."""
        with torch.inference_mode():
            tiles = send(batch, self.device)
            features = self._network.features(tiles)
            logits = self._network.decide(features)
            looks = [self._calibrate(logits)]
            for turns, mirrored in WAYS[1:] if self._symmetries else ():
                turned = self._network.features(turn(tiles, turns, mirrored=mirrored))
                looks.append(self._calibrate(self._network.decide(turned)))
            unknown = torch.zeros(len(tiles), dtype=torch.bool)
            if self._novelty is not None:
                statistics = describe_pixels(tiles.float())
                unknown, _ = self._novelty.judge(statistics, features, logits)
            return torch.stack(looks).mean(dim=0).cpu(), unknown.cpu()

    def _calibrate(self, logits: Tensor) -> Tensor:
        return soften(logits, self.contract.temperature, dim=1)


def _prepare(
    model: Model, precision: Precision, device: torch.device
) -> FusedTileNet | _PlainNetwork:
    network, contract = model.network, model.contract
    if not isinstance(network, TileNet):
        return _PlainNetwork(network, contract, precision).to(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return fuse(network, mean=contract.mean, std=contract.std, dtype=dtype, device=device)


class _PlainNetwork(nn.Module):
    """CustomNet as it was trained, with its normalisation; `network` itself is left as it is."""

    def __init__(self, network: Network, contract: Contract, precision: Precision) -> None:
        super().__init__()
        self._network = copy.deepcopy(network).eval()
        self._contract, self._in_half = contract, precision == "bf16"

    def features(self, tiles: Tensor) -> Tensor:
        """Uint8 (n, 3, s, s) to what the last layer decides by, float32 (n, f)."""
        x = normalise(tiles.float(), self._contract.mean, self._contract.std)
        with torch.autocast(tiles.device.type, torch.bfloat16, enabled=self._in_half):
            return self._network.features(x).float()

    def decide(self, features: Tensor) -> Tensor:
        """Features float32 (n, f) to logits float32 (n, classes)."""
        return self._network.decide(features)


def _start_thread(device: torch.device, allowed: int) -> None:
    """Of a thread that computes: on a stream of its own, or on one core."""
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device))
        return
    torch.set_num_threads(1)
    # torch lets threads that are born later inherit this; another thread takes it back for them.
    restorer = threading.Thread(target=torch.set_num_threads, args=(allowed,))
    restorer.start()
    restorer.join()


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
    mean_there, std_there = (constant(tuple(v), images.device) for v in (mean, std))
    scale, shift = std_there.mul(255), mean_there.div(std_there)
    x = images / scale.reshape(1, -1, 1, 1) - shift.reshape(1, -1, 1, 1)
    return x.contiguous(memory_format=torch.channels_last)
