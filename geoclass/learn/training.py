"""Labelled tiles → model: one loop for every network.

The weights after epoch e depend on the seed and the weights after epoch e − 1 alone, because
order, variations and dropout of an epoch are drawn from (seed, epoch). So a run that was
stopped goes on from its last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from geoclass.errors import DatasetError, SettingsError
from geoclass.files.writing import claim
from geoclass.learn.dataset import TileSet
from geoclass.learn.finishing import finish_model
from geoclass.learn.progress import (
    Checkpoint,
    best_checkpoint,
    last_checkpoint,
    read_checkpoint,
    write_checkpoint,
    write_log,
)
from geoclass.learn.recipes import TrainSettings
from geoclass.learn.run import TrainingRun, check_loss
from geoclass.learn.splits import Split, count_seen, hash_names, say_class_count
from geoclass.learn.unlabelled import PseudoLabelled
from geoclass.model.checkpoint import Model
from geoclass.model.device import is_out_of_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """How an epoch went."""

    epoch: int
    """Counted from 1."""
    loss: float
    """Mean over the epoch's training tiles, as they were varied."""
    validation_loss: float
    """Cross entropy on the validation part."""
    validation_accuracy: float
    """0–1."""
    seconds: float
    """Validation included."""
    data_share: float
    """Of the time of training proper, spent on fetching tiles; 0–1."""


def ignore(*_args: object) -> None:
    """Take a report and do nothing."""


def train_model(
    tiles: TileSet,
    split: Split,
    settings: TrainSettings,
    output: Path,
    *,
    device: torch.device,
    start: Model | None = None,
    unlabelled: PseudoLabelled | None = None,
    resume: bool = False,
    max_hours: float | None = None,
    on_batch: Callable[[int, int, int], object] = ignore,
    on_epoch: Callable[[EpochReport], object] = ignore,
) -> None:
    """Train, choose the epoch that is best on validation, calibrate, write the model.

    Beside `output` stand, while it runs, the last and best checkpoints, and for good the log
    (CSV). With `start` training begins with that model's weights, but for the last layer where
    the classes are others. `unlabelled` are images with pseudo-labels to
    train on beside the tiles. With `resume` a run continues from the last checkpoint,
    if there is one. Where `max_hours` would not hold another epoch, the best so far becomes the
    model and the checkpoints stay, so that the run can go on. The test part is not looked at.

    Raises DatasetError where training cannot work, SettingsError where start or checkpoint do
    not fit, OutputError where a file cannot be written.
    """
    check_tiles(tiles, split)
    check_hours(max_hours)
    if start is not None:
        _check_start(start, tiles, split)
        settings = replace(settings, start=start.sha256)
    last, best = last_checkpoint(output), best_checkpoint(output)
    log, done = output.with_suffix(".csv"), 0
    with (
        claim(output),
        _explained_memory(settings.batch_size, device),
        _repeatable(device),
    ):
        began = time.perf_counter()
        run = TrainingRun(tiles, split, settings, device, start, unlabelled=unlabelled)
        if resume and last.exists():
            done = run.restore(read_checkpoint(last))
            write_log(log, run.log)  # the run may have ended before it was written
        for epoch in range(done + 1, settings.epochs + 1):
            if run.is_stale:
                break
            started = time.perf_counter()
            report = _run_epoch(run, epoch, on_batch)
            if run.note(asdict(report)):
                write_checkpoint(best, Checkpoint(tensors=run.weights(), state=run.state(epoch)))
            write_checkpoint(last, Checkpoint(tensors=run.tensors(), state=run.state(epoch)))
            write_log(log, run.log)
            on_epoch(report)
            now = time.perf_counter()
            next_end = now - began + now - started
            if max_hours is not None and epoch < settings.epochs and next_end > max_hours * 3600:
                break
        chosen = read_checkpoint(best)
        finish_model(
            output,
            run.release(chosen.tensors),
            tiles,
            split,
            settings,
            epoch=chosen.epoch,
            validation_accuracy=chosen.log[-1]["validation_accuracy"],
            start=start,
        )
    if run.is_done:
        last.unlink()
        best.unlink()


def _run_epoch(
    run: TrainingRun, epoch: int, on_batch: Callable[[int, int, int], object]
) -> EpochReport:
    started = time.perf_counter()
    loss = run.train_epoch(epoch, on_batch)
    trained = time.perf_counter() - started
    validation_loss, accuracy = run.validate()
    # The last step may have led astray, after its loss was looked at.
    check_loss(validation_loss, epoch)
    return EpochReport(
        epoch=epoch,
        loss=loss,
        validation_loss=validation_loss,
        validation_accuracy=accuracy,
        seconds=time.perf_counter() - started,
        data_share=run.data_seconds / trained,
    )


@contextmanager
def _explained_memory(batch_size: int, device: torch.device) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        advice = "give a smaller --batch-size, or auto" if batch_size > 1 else "try another device"
        raise SettingsError(
            f"the memory of {device} cannot hold a batch of {batch_size} tiles: {advice}"
        ) from error


@contextmanager
def _repeatable(device: torch.device) -> Iterator[None]:
    """Let a GPU's convolutions give the same sums each time, and those of float32 exact ones."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield


def check_hours(max_hours: float | None) -> None:
    """Refuse a time in which nothing can be done; SettingsError."""
    if max_hours is not None and not max_hours > 0:
        raise SettingsError(f"the hours to train for must be positive, got {max_hours}")


def check_tiles(tiles: TileSet, split: Split) -> None:
    """Refuse tiles that cannot be learnt from; DatasetError."""
    if fault := say_class_count(tiles.name, len(tiles.classes)):
        raise DatasetError(fault)
    missing = set(range(len(tiles.classes))) - set(tiles.labels[split.train])
    if missing:
        name = tiles.classes[min(missing)]
        raise DatasetError(f"class {name} has no tile in the training part: fix the split")


def _check_start(start: Model, tiles: TileSet, split: Split) -> None:
    """Refuse a beginning that may have seen the tiles held out now."""
    trained = start.contract.training
    if trained.split.test_sha256 == hash_names(tiles.names[i] for i in split.test):
        return
    count = count_seen(start, tiles.images[split.test])
    if count is None:  # it remembers no more than names
        leaks, leaked = trained.data_set == tiles.name, f"tiles of {tiles.name}"
    else:
        leaks, leaked = count > 0, f"{count} of the {len(split.test)} tiles"
    if leaks:
        raise SettingsError(
            f"the model to begin with was trained on another split: it has seen {leaked} that are "
            "held out now; hold others out by --lists, or begin with another model"
        )
