"""The training loop, from labelled tiles to a model file.

Order, augmentation and dropout of an epoch are drawn from (seed, epoch). A run that resumes from
a checkpoint therefore gives the same weights as one without interruption.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from geoclass.contract import SHIPPED_ARCH, Arch
from geoclass.errors import DatasetError, SettingsError
from geoclass.files.writing import claim
from geoclass.learn.dataset import TileSet, read_tiles
from geoclass.learn.finishing import finish_model
from geoclass.learn.objectives import PseudoLabelled, read_pseudo_labelled
from geoclass.learn.recipes import (
    FINE_TUNING_EPOCHS,
    FINE_TUNING_RATE,
    RECIPES,
    TrainSettings,
    limit_batch_size,
)
from geoclass.learn.run import (
    TrainingRun,
    best_checkpoint,
    check_loss,
    last_checkpoint,
    read_state,
    write_checkpoint,
    write_log,
)
from geoclass.learn.schedule import fit_batch_size
from geoclass.learn.scoring import keep_scores, score_held_out
from geoclass.learn.splits import (
    Lists,
    Split,
    check_class_count,
    count_seen,
    hash_names,
    split_by_lists,
    split_tiles,
)
from geoclass.model.checkpoint import Model, load_model, read_tensors
from geoclass.model.classifier import Classifier
from geoclass.model.device import find_device, has_bf16, is_out_of_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """Scores and times of an epoch."""

    epoch: int
    """Counted from 1."""
    loss: float
    """Mean over the training tiles, as augmented."""
    validation_loss: float
    """Cross entropy on the validation part."""
    validation_accuracy: float
    """0–1."""
    seconds: float
    """Including validation."""
    data_share: float
    """Fraction of the training time spent on loading tiles, 0–1."""


def ignore(*_args: object) -> None:
    """Do nothing: the default of callbacks."""


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
    """Train, select the epoch that is best on validation, calibrate, write the model.

    See `train_on_tiles`. The log (CSV) and, during training, the last and best checkpoints are
    written beside `output`. The last layer of `start` is not used for new classes. The test part
    is not used.
    """
    check_hours(max_hours)
    check_tiles(tiles, split)
    if start is not None:
        _check_start(start, tiles, split)
        settings = replace(settings, start=start.sha256)
    last, best = last_checkpoint(output), best_checkpoint(output)
    log, done = output.with_suffix(".csv"), 0
    with (
        claim(output),
        _out_of_memory_advice(settings.batch_size, device),
        # Without effect on a CPU.
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        began = time.perf_counter()
        run = TrainingRun(tiles, split, settings, device, start, unlabelled=unlabelled)
        if resume and last.exists():
            done = run.restore(last)
            write_log(log, run.log)  # it may have stopped before this was written
        for epoch in range(done + 1, settings.epochs + 1):
            if run.is_stale:
                break
            started = time.perf_counter()
            report = _run_epoch(run, epoch, on_batch)
            if run.record(asdict(report)):
                weights = dict(run.evaluated.state_dict())
                write_checkpoint(best, weights, run.state(epoch))
            write_checkpoint(last, run.tensors(), run.state(epoch))
            write_log(log, run.log)
            on_epoch(report)
            now = time.perf_counter()
            next_end = now - began + now - started
            if max_hours is not None and epoch < settings.epochs and next_end > max_hours * 3600:
                break
        state, network = read_state(best), run.release(read_tensors(best)[0])
        finish_model(output, network, tiles, split, settings, state.log[-1], start)
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
    # The last step may have diverged after its loss was computed.
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
def _out_of_memory_advice(batch_size: int, device: torch.device) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        advice = "give a smaller --batch-size, or auto" if batch_size > 1 else "try another device"
        raise SettingsError(
            f"the memory of {device} cannot hold a batch of {batch_size} tiles: {advice}"
        ) from error


def check_hours(max_hours: float | None) -> None:
    """Raise SettingsError for an invalid time limit."""
    if max_hours is not None and not max_hours > 0:
        raise SettingsError(f"the maximum time must be positive, got {max_hours} hours")


def check_tiles(tiles: TileSet, split: Split) -> None:
    """Raise DatasetError for tiles that cannot be trained on."""
    check_class_count(tiles.name, len(tiles.classes))
    if missing := set(range(len(tiles.classes))) - set(tiles.labels[split.train]):
        name = tiles.classes[min(missing)]
        raise DatasetError(f"class {name} has no tile in the training part: fix the split")


def _check_start(start: Model, tiles: TileSet, split: Split) -> None:
    """Raise SettingsError for a model that may have been trained on tiles held out now."""
    trained = start.contract.training
    if trained.split.test_sha256 == hash_names(tiles.names[i] for i in split.test):
        return
    count = count_seen(start, tiles.images[split.test])
    if count is None:  # it records the data set only
        leaks, leaked = trained.data_set == tiles.name, f"tiles of {tiles.name}"
    else:
        leaks, leaked = count > 0, f"{count} of the {len(split.test)} tiles"
    if leaks:
        raise SettingsError(
            f"the starting model was trained on another split, with {leaked} that are held out "
            "now: give --lists that hold out others, or another starting model"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingPlan:
    """What a training run will do."""

    tiles: TileSet
    split: Split
    settings: TrainSettings
    device: torch.device


def choose_recipe(
    arch: Arch | None = None,
    *,
    device: str | None = None,
    start: Model | None = None,
    **changes: Any,
) -> TrainSettings:
    """Return the recipe of a network, with changed fields; bf16 if the GPU supports it.

    `arch` is `tilenet-dense`, the shipped network, which has cells, `tilenet-fine` or `tilenet`,
    without cells, or `customnet`, the tutorial's. None means that of the model `start`, else the
    shipped one. `changes` are fields of `TrainSettings`. Fine-tuning of a model `start` uses a
    third of the learning rate and 20 epochs. Raises SettingsError for invalid values.
    """
    if arch is None:
        arch = SHIPPED_ARCH if start is None else start.arch
    recipe = RECIPES[arch]
    if has_bf16(find_device(device)):
        recipe = replace(recipe, precision="bf16")
    if start is not None:
        rate = recipe.learning_rate * FINE_TUNING_RATE
        recipe = replace(recipe, epochs=FINE_TUNING_EPOCHS, learning_rate=rate)
    if changes.get("optimizer") == "adam":
        changes.setdefault("weight_decay", 0.0)  # the recipe's may not be 0
    return replace(recipe, **changes)


def train_on_tiles(
    data: Path | str,
    output: Path | str,
    *,
    settings: TrainSettings | None = None,
    start: Model | None = None,
    split_seed: int = 0,
    lists: Lists | None = None,
    unlabelled: Path | str | None = None,
    device: str | None = None,
    skip_bad: bool = False,
    fill_memory: bool = False,
    suit_few: bool = False,
    resume: bool = False,
    max_hours: float | None = None,
    on_plan: Callable[[TrainingPlan], object] = ignore,
    on_batch: Callable[[int, int, int], object] = ignore,
    on_epoch: Callable[[EpochReport], object] = ignore,
) -> Model:
    """Train a network on a zip or folder of class folders, and write it to `output`.

    `settings` defaults to the recipe of the shipped network, see `choose_recipe`. `start` is a
    model to fine-tune. A fifth of each class is held out and scored once, by the finished model
    (`model.contract.scores`). A tenth of the rest is for validation and selects the best epoch.
    The split is random by `split_seed`, or given by `lists`. If the data set has a `places.csv`,
    as written by `cut_scene`, it is split by spatial blocks, so that the parts share no ground.
    `unlabelled` is a file of images with pseudo-labels, see `read_pseudo_labelled`. With
    `skip_bad` unusable images are skipped. With `suit_few`, or without `settings`, batches are
    smaller if there are few tiles. With `fill_memory` a batch has as many tiles as fit on the
    GPU, unless there are few. If another epoch would exceed `max_hours`, the best epoch so far
    becomes the model, without scores, and `resume` continues later.

    `on_plan` is called before training, `on_batch` with epoch, batch and number of batches,
    `on_epoch` after each epoch. An exception of one of them stops the training; the checkpoints
    beside `output` stay, and `resume` continues to the same weights. Raises DatasetError,
    SettingsError, ModelError, OutputError.
    """
    check_hours(max_hours)
    output = Path(output)
    last = last_checkpoint(output)
    begun = read_state(last).settings if resume and last.exists() else None
    suit_few = suit_few or settings is None
    settings = settings or choose_recipe(device=device, start=start)
    chosen_device, pseudo_labelled = find_device(device), None
    known = None if start is None else start.contract.legend
    tiles = read_tiles(Path(data), skip_bad=skip_bad, known=known)
    if lists is None:
        split = split_tiles(tiles, split_seed)
    else:
        split = split_by_lists(tiles, *map(Path, lists))
    check_tiles(tiles, split)
    if unlabelled is not None:
        pseudo_labelled = read_pseudo_labelled(Path(unlabelled), settings, len(tiles.classes))
        settings = replace(settings, unlabelled=pseudo_labelled.settings)
    few = limit_batch_size(settings, len(split.train))
    if fill_memory and (few == settings or begun is not None):
        settings = fit_batch_size(settings, len(tiles.classes), chosen_device, begun)
    elif suit_few or fill_memory:
        settings = few
    on_plan(TrainingPlan(tiles=tiles, split=split, settings=settings, device=chosen_device))
    train_model(
        tiles,
        split,
        settings,
        output,
        device=chosen_device,
        start=start,
        unlabelled=pseudo_labelled,
        resume=resume,
        max_hours=max_hours,
        on_batch=on_batch,
        on_epoch=on_epoch,
    )
    model = load_model(output)
    if last.exists():  # training may resume; the test part is scored only once
        return model
    with closing(Classifier(model, device=str(chosen_device))) as classifier:
        scores = score_held_out(classifier, tiles.images[split.test], tiles.labels[split.test])
    keep_scores(output, model, scores)
    return load_model(output)
