"""State of a training run, its checkpoints and its log."""

import csv
import io
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format
from torch.optim.swa_utils import AveragedModel

from geoclass.contract import Arch
from geoclass.errors import GeoclassError, ModelError, SettingsError
from geoclass.files.writing import write_whole
from geoclass.learn.canvases import Composer
from geoclass.learn.dataset import TileSet
from geoclass.learn.neighbours import NeighbourSampler, build_sampler
from geoclass.learn.objectives import CanvasObjective, PseudoLabelled, TileObjective
from geoclass.learn.recipes import UNCHANGED_LIGHT, TrainSettings
from geoclass.learn.schedule import build_optimizers, count_stale, ema, rate_factor
from geoclass.learn.splits import PARTS, Split, hash_names
from geoclass.model.checkpoint import Model, read_metadata, read_tensors, save_tensors
from geoclass.model.classifier import compute_outputs
from geoclass.model.device import send
from geoclass.model.networks import DenseTileNet, Network, build_network, copy_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """State of a run besides its tensors."""

    epoch: int
    """The last finished epoch."""
    log: list[dict[str, float]]
    """A row per epoch."""
    settings: dict[str, Any]
    parts: dict[str, str]


def last_checkpoint(output: Path) -> Path:
    """The checkpoint that training of `output` resumes from."""
    return output.with_suffix(".last.safetensors")


def best_checkpoint(output: Path) -> Path:
    """The checkpoint with the weights of the best epoch."""
    return output.with_suffix(".best.safetensors")


def write_checkpoint(path: Path, tensors: dict[str, Tensor], state: RunState) -> None:
    """Replace the file atomically; OutputError if that fails."""
    save_tensors(path, tensors, {"training": json.dumps(asdict(state))})


def read_state(path: Path) -> RunState:
    """Read the state of a checkpoint without its tensors; ModelError for an invalid file."""
    try:
        return RunState(**json.loads(read_metadata(path)["training"]))
    except (ModelError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path} is not a checkpoint of training, is damaged, or comes from another version "
            "of geoclass: train again without --resume"
        ) from error


def write_log(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Replace the log, a CSV with a row per epoch, atomically; OutputError if that fails."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Describe differences, such as `epochs 30 (now 20)`; tuples equal lists."""
    before, now = (json.loads(json.dumps(state)) for state in (before, now))
    keys = sorted(before.keys() | now.keys())
    return [
        f"{key} {before.get(key)} (now {now.get(key)})"
        if isinstance(now.get(key), int | float) or key in _WORDS
        else f"another {key.replace('_', ' ')}"
        for key in keys
        if before.get(key) != now.get(key)
    ]


_WORDS = ("arch", "optimizer", "precision", "schedule")
"""Settings that are words, not hashes."""


def _take(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def check_loss(loss: float, epoch: int) -> None:
    """Raise GeoclassError where training diverged."""
    if not math.isfinite(loss):
        raise GeoclassError(
            f"the loss became {loss} in epoch {epoch}: train again with a lower --learning-rate"
        )


class TrainingRun:
    """State of a training run: weights, averages, optimisers, log."""

    def __init__(
        self,
        tiles: TileSet,
        split: Split,
        settings: TrainSettings,
        device: torch.device,
        start: Model | None,
        build: Callable[[Arch, int], Network] = build_network,
        unlabelled: PseudoLabelled | None = None,
    ) -> None:
        self._tiles, self._split, self._settings, self._device = tiles, split, settings, device
        torch.manual_seed(settings.seed)
        network = build(settings.arch, len(tiles.classes))
        if start is not None:
            known = {name: i for i, name in enumerate(start.contract.legend.names)}
            rows = {i: known[name] for i, name in enumerate(tiles.classes) if name in known}
            copy_weights(start.network, network, rows)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        self._network = network.to(device)
        self._averaged: AveragedModel | None = None
        if settings.ema_decay is not None:
            self._averaged = AveragedModel(
                self._network, multi_avg_fn=ema(settings.ema_decay), use_buffers=True
            )
        self._objective: TileObjective | CanvasObjective
        self._sampler: NeighbourSampler | None = None
        self._tiles_together = 1
        if isinstance(network, DenseTileNet) and settings.canvases is not None:
            light = settings.augment or UNCHANGED_LIGHT
            self._objective = CanvasObjective(
                network=network,
                composer=Composer(tiles.classes, settings.canvases, light),
                settings=settings,
                unlabelled=unlabelled,
            )
            self._sampler = build_sampler(tiles.labels, split.train, tiles.places, tiles.classes)
            self._tiles_together = settings.canvases.tiles
        else:
            forward = torch.compile(self._network) if settings.compile else self._network
            self._objective = TileObjective(
                network=forward, classes=len(tiles.classes), settings=settings
            )
        self._optimizers = build_optimizers(self._network, settings)
        self._images = torch.from_numpy(tiles.images)
        self._labels = torch.from_numpy(tiles.labels)
        self.log: list[dict[str, float]] = []
        """A row per finished epoch."""
        self.data_seconds = 0.0
        """Time for loading tiles in the last epoch."""

    def train_epoch(self, epoch: int, on_batch: Callable[[int, int, int], object]) -> float:
        """Train for one pass over the training part; returns the mean loss per tile."""
        generator = torch.Generator().manual_seed(self._settings.seed * 1_000_003 + epoch)
        torch.manual_seed(self._settings.seed * 1_000_003 + epoch)  # for dropout
        self._network.train()
        self.data_seconds = 0.0
        batches = self._draw_batches(generator)
        losses: list[Tensor] = []
        for i, batch in enumerate(batches):
            progress = (epoch - 1 + i / len(batches)) / self._settings.epochs
            losses.append(self._step(batch, progress, generator))
            if i:  # a GPU already works on the next step
                check_loss(float(losses[i - 1]), epoch)
            on_batch(epoch, i + 1, len(batches))
        check_loss(float(losses[-1]), epoch)
        total = sum(float(loss) * len(batch) for loss, batch in zip(losses, batches, strict=True))
        return total / sum(len(batch) for batch in batches)

    def _draw_batches(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        order = torch.from_numpy(self._split.train)
        order = order[torch.randperm(len(order), generator=generator)]
        if self._sampler is not None:  # the sampler draws the other tiles of canvases
            order = order[: -(-len(order) // self._tiles_together)]
        size = self._settings.batch_size
        if self._settings.drop_partial_batch and len(order) >= size:
            order = order[: len(order) // size * size]
        return order.split(size)

    def _step(self, batch: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        settings, device = self._settings, self._device
        started = time.perf_counter()
        if self._sampler is not None:
            batch = self._sampler.draw(batch, self._tiles_together, generator).flatten()
        images = send(self._images[batch], device)
        labels = self._labels[batch]
        self.data_seconds += time.perf_counter() - started
        factor = rate_factor(settings, progress, self._history)
        for group in (group for o in self._optimizers for group in o.param_groups):
            group["lr"] = settings.learning_rate * factor
        loss = self._objective.compute_loss(images, labels, progress, generator)
        self._network.zero_grad()
        loss.backward()
        for optimizer in self._optimizers:
            optimizer.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self._network)
        return loss.detach()

    @property
    def evaluated(self) -> Network:
        """The network with the current (averaged) weights, in evaluation mode."""
        network = self._network if self._averaged is None else self._averaged.module
        return cast("Network", network.eval())

    def validate(self) -> tuple[float, float]:
        """Cross entropy and accuracy on the validation part."""
        chosen = torch.from_numpy(self._split.validation)
        labels = self._labels[chosen]
        _, logits = compute_outputs(
            self.evaluated,
            self._images[chosen],
            mean=self._settings.mean,
            std=self._settings.std,
            batch_size=self._settings.batch_size,
        )
        accuracy = (logits.argmax(dim=1) == labels).double().mean()
        return float(F.cross_entropy(logits, labels)), float(accuracy)

    def record(self, row: dict[str, float]) -> bool:
        """Log an epoch; returns whether it is at least as good as all before."""
        self.log.append(row)
        return row["validation_accuracy"] == max(self._history)

    @property
    def _history(self) -> list[float]:
        """Validation accuracy by epoch."""
        return [row["validation_accuracy"] for row in self.log]

    @property
    def is_stale(self) -> bool:
        """Whether early stopping applies."""
        patience = self._settings.patience
        return patience is not None and count_stale(self._history) >= patience

    @property
    def is_done(self) -> bool:
        """Whether all epochs are finished or early stopping applies."""
        return len(self.log) == self._settings.epochs or self.is_stale

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that later epochs depend on."""
        tensors = {f"network/{k}": v for k, v in self._network.state_dict().items()}
        if self._averaged is not None:
            tensors |= {f"averaged/{k}": v for k, v in self._averaged.state_dict().items()}
        for part, optimizer in enumerate(self._optimizers):
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{part}/{i}/{k}": v for k, v in state.items()}
        return tensors

    def state(self, epoch: int) -> RunState:
        """The rest of the state of a checkpoint."""
        names, split = self._tiles.names, self._split
        return RunState(
            epoch=epoch,
            log=self.log,
            settings=asdict(self._settings),
            parts={f"{p} part": hash_names(names[i] for i in getattr(split, p)) for p in PARTS},
        )

    def restore(self, path: Path) -> int:
        """Resume from a checkpoint; returns the number of finished epochs."""
        state = read_state(path)
        expected = self.state(state.epoch)
        changes = [
            *describe_changes(state.settings, expected.settings),
            *describe_changes(state.parts, expected.parts),
        ]
        if changes:
            raise SettingsError(
                f"the checkpoint was made with {', '.join(changes)}: give the same options and "
                "data as before, or train again without --resume"
            )
        tensors = read_tensors(path)[0]
        self._network.load_state_dict(_take(tensors, "network/"))
        if self._averaged is not None:
            self._averaged.load_state_dict(_take(tensors, "averaged/"))
        for part, optimizer in enumerate(self._optimizers):
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _take(tensors, f"optimizer/{part}/").items():
                i, key = name.split("/")
                moments.setdefault(int(i), {})[key] = tensor
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": moments, "param_groups": groups})
            for weight, kept in optimizer.state.items():
                # Fused kernels need the memory layout of the weights, which files do not store.
                for key, tensor in kept.items():
                    if tensor.shape == weight.shape:
                        kept[key] = torch.empty_like(weight).copy_(tensor)
                    elif tensor.ndim:
                        raise SettingsError(
                            "the checkpoint's optimiser is of another version of geoclass: train "
                            "again without --resume"
                        )
        self.log = list(state.log)
        return state.epoch

    def release(self, weights: dict[str, Tensor]) -> Network:
        """Return the network with these weights, in evaluation mode, and free other memory."""
        network = self.evaluated
        network.load_state_dict(weights)
        # Gradients and Adam's state of CustomNet take 5 GB.
        self._network.zero_grad()
        self._optimizers.clear()
        return network
