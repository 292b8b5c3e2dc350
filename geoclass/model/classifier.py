"""Inference: uint8 pixels to calibrated class probabilities."""

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
from torch.nn import functional as F

from geoclass.contract import Contract, Precision
from geoclass.errors import SettingsError
from geoclass.landcover import FULL_SCALE
from geoclass.model.checkpoint import Model
from geoclass.model.dense import (
    FEATURE,
    HALO,
    WAYS,
    Window,
    WindowPrediction,
    crop,
    cut_squares,
    find_clouds,
    softmax,
    turn,
    turn_back,
)
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
from geoclass.model.networks import CELL, Network, TileNet
from geoclass.model.ood import describe_pixels

Answer = TypeVar("Answer")

IN_CACHE = 64
"""Tiles whose pixels are described together; more would not fit into a core's caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Predictions for n tiles."""

    probabilities: np.ndarray
    """float32 (n, classes), calibrated, rows sum to 1."""
    unknown: np.ndarray
    """bool (n,): True for out-of-distribution tiles."""


class Classifier:
    """Classifies tiles and windows on one device; thread-safe."""

    def __init__(
        self,
        model: Model,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        symmetries: bool = False,
        precision: Precision | None = None,
    ) -> None:
        """`device` is torch's name; None is CUDA if available, else the CPU.

        `symmetries` enables test-time augmentation: the mean probabilities of eight rotations and
        mirrors, in eight times the time. `precision` None is bfloat16 if the device is faster with
        it. Raises SettingsError for an unavailable device or a batch size below 1.
        """
        if batch_size is not None and batch_size < 1:
            raise SettingsError(f"batch size must be at least 1, got {batch_size}")
        self.contract, self.sha256 = model.contract, model.sha256
        self.device = find_device(device)
        self.precision: Precision = precision or choose_precision(self.device)
        demand_float32(self.device)
        self._ways = WAYS if symmetries else WAYS[:1]
        self._network = _prepare(model, self.precision, self.device)
        detector = model.ood_detector
        self._ood_detector = None if detector is None else detector.to(self.device)
        self.batch_size = batch_size or choose_batch_size(self.device)
        # Each thread has its own batch and one core: threads that share a batch wait for one
        # another at every layer.
        allowed = torch.get_num_threads()
        self._workers = {"cpu": allowed, "cuda": CUDA_THREADS}.get(self.device.type, 1)
        self._threads = ThreadPoolExecutor(
            self._workers,
            thread_name_prefix="classifier",
            initializer=_start_thread,
            initargs=(self.device, allowed),
        )

    def close(self) -> None:
        """Finish pending work and end the threads."""
        self._threads.shutdown()

    def predict(self, images: np.ndarray) -> Prediction:
        """Classify uint8 tiles (n, 3, tile, tile).

        Raises SettingsError if memory is exhausted or the device fails.
        """
        tiles = torch.from_numpy(np.ascontiguousarray(images))
        probabilities, unknown = self._try(lambda: self._predict_within_memory(tiles))
        return Prediction(probabilities=probabilities.numpy(), unknown=unknown.numpy())

    @property
    def windows_at_once(self) -> int:
        """Number of pending windows that keeps all threads busy."""
        return self._workers + 1

    def predict_window(self, window: Window) -> WindowPrediction:
        """Classify the cells and tiles of a window.

        Tiles are classified by features and pixels that are valid and not obscured. Raises
        SettingsError if the network has no cells, memory is exhausted or the device fails.
        """
        if not isinstance(self._network, FusedDenseNet) or self.contract.cell_temperature is None:
            raise SettingsError("the model has no cells of its own: label tiles instead")
        network, temperature = self._network, self.contract.cell_temperature
        return self._try(
            lambda: self._threads.submit(
                self._predict_window, network, temperature, window
            ).result()
        )

    def _predict_window(
        self, network: FusedDenseNet, temperature: float, window: Window
    ) -> WindowPrediction:
        with torch.inference_mode():
            pixels, shown, valid = (
                send(torch.from_numpy(array), self.device)[None]
                for array in (window.pixels, window.shown, window.valid)
            )
            cells, deep = [], []
            for turns, mirrored in self._ways:
                logits, features = network.forward_dense(
                    turn(pixels, turns, mirrored=mirrored), turn(shown, turns, mirrored=mirrored)
                )
                probabilities = softmax(logits, temperature, dim=1)
                cells.append(turn_back(probabilities, turns, mirrored=mirrored))
                deep.append(turn_back(features, turns, mirrored=mirrored))
            mean = torch.stack(cells).mean(dim=0)[0]
            obscured, possible = (
                crop(cells, HALO // CELL) for cells in find_clouds(mean, shown[0])
            )
            land = crop(mean[:-1], HALO // CELL)
            # With certain cloud, all land probabilities may be 0 in float32.
            stored = land / land.sum(dim=0).clamp(min=1e-30) * FULL_SCALE
            hidden_pixels = obscured.repeat_interleave(CELL, dim=0).repeat_interleave(CELL, dim=1)
            rows, cols = window.tile_rows, window.tile_cols
            clear = valid[0] & ~F.pad(hidden_pixels, (HALO,) * 4)
            tiles, unknown, by_pixels = self._classify_tiles(
                cut_squares(crop(pixels[0], HALO), rows, cols),
                cut_squares(crop(clear, HALO)[None], rows, cols),
                [cut_squares(crop(x[0], HALO // FEATURE), rows, cols, FEATURE) for x in deep],
            )
            shape = (len(rows), len(cols))
            quarters = self._find_strange_quarters(
                pixels[0], clear, window, by_pixels.reshape(shape)
            )
        return WindowPrediction(
            cells=stored.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy(),
            obscured=obscured.cpu().numpy(),
            maybe_obscured=possible.cpu().numpy(),
            tiles=tiles.reshape(*shape, -1).cpu().numpy(),
            unknown=unknown.reshape(shape).cpu().numpy(),
            unknown_cells=quarters.cpu().numpy(),
        )

    def _classify_tiles(
        self, pixels: Tensor, clear: Tensor, deep: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities (n, classes) of tiles (n, c, s, s), and which are OOD, bool (n,).

        `deep` are features in each orientation. The last output is OOD by pixels alone.
        """
        weight = F.avg_pool2d(clear.float(), FEATURE)
        weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        features = [(x.float() * weight).sum(dim=(2, 3)) for x in deep]
        logits = [self._network.decide(pooled) for pooled in features]
        probabilities = softmax(torch.stack(logits), self.contract.temperature, dim=2).mean(dim=0)
        if self._ood_detector is None:
            none = torch.zeros(len(probabilities), dtype=torch.bool)
            return probabilities, none, none
        parts = zip(pixels.split(IN_CACHE), clear.split(IN_CACHE), strict=True)
        statistics = torch.cat([describe_pixels(part.float(), seen) for part, seen in parts])
        return probabilities, *self._ood_detector.detect(statistics, features[0], logits[0])

    def _find_strange_quarters(
        self, pixels: Tensor, clear: Tensor, window: Window, strange: Tensor
    ) -> Tensor:
        """Quarters of strange tiles that another square shows to be OOD by pixels, (2r, 2c).

        `pixels` (3, h, w) and `clear`, bool (h, w), include the halo; `strange` is bool (r, c).
        Four squares of a tile's size cover a quarter: its tile and three shifted by half a tile.
        Ordinary quarters are thus not lost for one strange corner.
        """
        found = strange.new_zeros([2 * side for side in strange.shape])
        if self._ood_detector is None:
            return found
        for i, j in strange.nonzero().tolist():
            # The halo is half a tile: the first square starts at the tile's place in the window.
            tops, lefts = (
                start + HALO * np.arange(3) for start in (window.tile_rows[i], window.tile_cols[j])
            )
            seen = cut_squares(clear[None], tops, lefts)
            statistics = describe_pixels(cut_squares(pixels, tops, lefts).float(), seen)
            far = self._ood_detector.has_far_pixels(statistics)
            # A square of mostly missing pixels shows nothing: the verdict on the tile stands.
            far |= seen.float().mean(dim=(1, 2, 3)) < 0.5
            covering = far.reshape(3, 3).unfold(0, 2, 1).unfold(1, 2, 1)  # 2, 2, four squares
            found[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = covering.sum(dim=(2, 3)) > 1
        return found

    def _try(self, work: Callable[[], Answer]) -> Answer:
        """Run `work`; SettingsError if memory is exhausted or the device fails."""
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
        """Predict in batches; the batch size is halved if memory is exhausted."""
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
        """Batches for all threads, smaller ones if there are few tiles."""
        fair = max(1, -(-len(tiles) // self._workers))
        return tiles.split(min(size, fair))

    def _predict_batch(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (n, classes) and whether tiles are unknown, bool (n,), on the CPU."""
        with torch.inference_mode():
            tiles = send(batch, self.device)
            turned = (turn(tiles, turns, mirrored=mirrored) for turns, mirrored in self._ways)
            features = [self._network.features(images) for images in turned]
            logits = [self._network.decide(pooled) for pooled in features]
            probabilities = softmax(torch.stack(logits), self.contract.temperature, dim=2)
            unknown = torch.zeros(len(tiles), dtype=torch.bool)
            if self._ood_detector is not None:
                statistics = describe_pixels(tiles.float())
                unknown, _ = self._ood_detector.detect(statistics, features[0], logits[0])
            return probabilities.mean(dim=0).cpu(), unknown.cpu()


def _prepare(
    model: Model, precision: Precision, device: torch.device
) -> FusedTileNet | _PlainNetwork:
    network, contract = model.network, model.contract
    if not isinstance(network, TileNet):
        return _PlainNetwork(network, contract, precision).to(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return fuse(network, mean=contract.mean, std=contract.std, dtype=dtype, device=device)


class _PlainNetwork(nn.Module):
    """A copy of CustomNet with its normalisation."""

    def __init__(self, network: Network, contract: Contract, precision: Precision) -> None:
        super().__init__()
        self._network = copy.deepcopy(network).eval()
        self._contract, self._in_half = contract, precision == "bf16"

    def features(self, tiles: Tensor) -> Tensor:
        """Uint8 (n, 3, s, s) to the inputs of the last layer, float32 (n, f)."""
        x = normalise(tiles.float(), self._contract.mean, self._contract.std)
        with torch.autocast(tiles.device.type, torch.bfloat16, enabled=self._in_half):
            return self._network.features(x).float()

    def decide(self, features: Tensor) -> Tensor:
        """Features float32 (n, f) to logits float32 (n, classes)."""
        return self._network.decide(features)


def _start_thread(device: torch.device, allowed: int) -> None:
    """Initialise a thread: its own CUDA stream, or one core."""
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device))
        return
    torch.set_num_threads(1)
    # New threads inherit this setting, so another thread restores it.
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
    """Normalise float (n, 3, s, s), 0–255, by the mean and std of the training data."""
    mean_, std_ = (constant(tuple(v), images.device) for v in (mean, std))
    scale, shift = std_.mul(255), mean_.div(std_)
    x = images / scale.reshape(1, -1, 1, 1) - shift.reshape(1, -1, 1, 1)
    return x.contiguous(memory_format=torch.channels_last)
