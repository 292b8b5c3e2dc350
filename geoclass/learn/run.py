"""All that changes while a network is trained: weights, averages, optimiser, best epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format
from torch.optim.swa_utils import AveragedModel

from geoclass.contract import Arch
from geoclass.errors import GeoclassError, SettingsError
from geoclass.learn.companions import Companions, find_companions
from geoclass.learn.dataset import TileSet
from geoclass.learn.lessons import CanvasLesson, Lesson, TileLesson
from geoclass.learn.progress import Checkpoint, describe_changes
from geoclass.learn.recipes import TrainSettings
from geoclass.learn.schedule import build_optimizers, count_stale, ema, is_best, rate_factor
from geoclass.learn.splits import PARTS, Split, hash_names
from geoclass.learn.unlabelled import PseudoLabelled
from geoclass.model.checkpoint import Model
from geoclass.model.classifier import compute_outputs
from geoclass.model.device import send
from geoclass.model.networks import DenseTileNet, Network, build_network, copy_weights


def check_loss(loss: float, epoch: int) -> None:
    """GeoclassError where weights have gone astray."""
    if not math.isfinite(loss):
        raise GeoclassError(
            f"the loss became {loss} in epoch {epoch}: start anew with a lower --learning-rate"
        )


class TrainingRun:
    """All that changes while a network is trained."""

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
        self._lesson = self._plan_lesson(unlabelled)
        self._companions: Companions | None = None
        self._tiles_together = 1
        if isinstance(self._lesson, CanvasLesson) and settings.canvases is not None:
            self._companions = find_companions(
                tiles.labels, split.train, tiles.places, tiles.classes
            )
            self._tiles_together = settings.canvases.tiles
        self._optimizers = build_optimizers(self._network, settings)
        self._images = torch.from_numpy(tiles.images)
        self._labels = torch.from_numpy(tiles.labels)
        self.log: list[dict[str, float]] = []
        """A row an epoch done."""
        self.data_seconds = 0.0
        """Of the last epoch: spent on fetching tiles."""

    def _plan_lesson(self, unlabelled: PseudoLabelled | None) -> Lesson:
        """What a step teaches: canvases, where the network has cells; else tiles."""
        settings, network, classes = self._settings, self._network, self._tiles.classes
        if isinstance(network, DenseTileNet) and settings.canvases is not None:
            return CanvasLesson(
                network=network,
                roles=settings.canvases.find_roles(classes),
                settings=settings,
                unlabelled=unlabelled,
            )
        forward = torch.compile(network) if settings.compile else network
        return TileLesson(network=forward, classes=len(classes), settings=settings)

    def train_epoch(self, epoch: int, on_batch: Callable[[int, int, int], object]) -> float:
        """One pass over the training part; the mean loss a tile."""
        generator = torch.Generator().manual_seed(self._settings.seed * 1_000_003 + epoch)
        torch.manual_seed(self._settings.seed * 1_000_003 + epoch)  # for dropout
        self._network.train()
        self.data_seconds = 0.0
        batches = list(self._draw_batches(generator))
        losses: list[Tensor] = []
        for i, batch in enumerate(batches):
            progress = (epoch - 1 + i / len(batches)) / self._settings.epochs
            losses.append(self._step(batch, progress, generator))
            if i:  # while a GPU is at the next step already
                check_loss(float(losses[i - 1]), epoch)
            on_batch(epoch, i + 1, len(batches))
        check_loss(float(losses[-1]), epoch)
        total = sum(float(loss) * len(batch) for loss, batch in zip(losses, batches, strict=True))
        return total / sum(len(batch) for batch in batches)

    def _draw_batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        order = torch.from_numpy(self._split.train)
        order = order[torch.randperm(len(order), generator=generator)]
        if self._companions is not None:  # the others come in as companions
            order = order[: -(-len(order) // self._tiles_together)]
        size = self._settings.batch_size
        if self._settings.drop_partial_batch and len(order) >= size:
            order = order[: len(order) // size * size]
        return iter(order.split(size))

    def _step(self, batch: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        settings, device = self._settings, self._device
        started = time.perf_counter()
        if self._companions is not None:
            batch = self._companions.draw(batch, self._tiles_together, generator).flatten()
        images = send(self._images[batch], device)
        labels = self._labels[batch]
        self.data_seconds += time.perf_counter() - started
        factor = rate_factor(settings, progress, self._history)
        for group in (group for o in self._optimizers for group in o.param_groups):
            group["lr"] = settings.learning_rate * factor
        loss = self._lesson.compute_loss(images, labels, progress, generator)
        self._network.zero_grad()
        loss.backward()
        for optimizer in self._optimizers:
            optimizer.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self._network)
        return loss.detach()

    @property
    def evaluated(self) -> Network:
        """The network as it would be shipped now, in evaluation mode."""
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

    def note(self, row: dict[str, float]) -> bool:
        """Take down an epoch; whether it is as good as any before."""
        self.log.append(row)
        return is_best(self._history)

    @property
    def _history(self) -> list[float]:
        """Validation accuracy by epoch."""
        return [row["validation_accuracy"] for row in self.log]

    @property
    def is_stale(self) -> bool:
        """Whether the recipe's patience is at its end."""
        patience = self._settings.patience
        return patience is not None and count_stale(self._history) >= patience

    @property
    def is_done(self) -> bool:
        """Whether no epoch is left, or none that the recipe's patience waits for."""
        return len(self.log) == self._settings.epochs or self.is_stale

    def weights(self) -> dict[str, Tensor]:
        """The weights that would be shipped now."""
        return dict(self.evaluated.state_dict())

    def tensors(self) -> dict[str, Tensor]:
        """All that a later epoch depends on."""
        tensors = {f"network/{k}": v for k, v in self._network.state_dict().items()}
        if self._averaged is not None:
            tensors |= {f"averaged/{k}": v for k, v in self._averaged.state_dict().items()}
        for part, optimizer in enumerate(self._optimizers):
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{part}/{i}/{k}": v for k, v in state.items()}
        return tensors

    def state(self, epoch: int) -> dict[str, Any]:
        """The few numbers that go with the tensors."""
        names, split = self._tiles.names, self._split
        return {
            "epoch": epoch,
            "log": self.log,
            "settings": asdict(self._settings),
            "parts": {f"{p} part": hash_names(names[i] for i in getattr(split, p)) for p in PARTS},
        }

    def restore(self, checkpoint: Checkpoint) -> int:
        """Take up a stopped run; the number of epochs it has done."""
        expected = self.state(checkpoint.epoch)
        changes = [
            *describe_changes(checkpoint.state["settings"], expected["settings"]),
            *describe_changes(checkpoint.state["parts"], expected["parts"]),
        ]
        if changes:
            raise SettingsError(
                f"the checkpoint was made with {', '.join(changes)}: give the same options and "
                "data as before, or train anew without --resume"
            )
        self._network.load_state_dict(checkpoint.part("network"))
        if self._averaged is not None:
            self._averaged.load_state_dict(checkpoint.part("averaged"))
        for part, optimizer in enumerate(self._optimizers):
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in checkpoint.part(f"optimizer/{part}").items():
                i, key = name.split("/")
                state.setdefault(int(i), {})[key] = tensor
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
            for weight, kept in optimizer.state.items():
                # Fused kernels pair numbers as they lie in memory, which files do not keep.
                for key, tensor in kept.items():
                    if tensor.shape == weight.shape:
                        kept[key] = torch.empty_like(weight).copy_(tensor)
                    elif tensor.ndim:
                        raise SettingsError(
                            "the checkpoint's optimiser is of another version of geoclass: train "
                            "anew without --resume"
                        )
        self.log = checkpoint.log
        return checkpoint.epoch

    def release(self, weights: dict[str, Tensor]) -> Network:
        """The network with these weights, in evaluation mode; what training needs is let go."""
        network = self.evaluated
        network.load_state_dict(weights)
        # Of CustomNet, gradients and Adam's state take 5 GB, which calibrating has use for.
        self._network.zero_grad()
        self._optimizers.clear()
        return network
