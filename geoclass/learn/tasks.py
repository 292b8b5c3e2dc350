"""Training, one call from a data set on disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geoclass.contract import SHIPPED_ARCH, Arch
from geoclass.learn.dataset import TILE_SIZE, TileSet, read_tiles
from geoclass.learn.progress import find_begun, read_settings
from geoclass.learn.recipes import (
    FINE_TUNING_EPOCHS,
    FINE_TUNING_RATE,
    RECIPES,
    TrainSettings,
    UnlabelledSettings,
    suit_tiles,
)
from geoclass.learn.schedule import fit_batch_size
from geoclass.learn.scoring import keep_scores, score_kept_apart
from geoclass.learn.splits import Lists, Split, split_by_lists, split_freely
from geoclass.learn.training import EpochReport, check_tiles, ignore, train_model
from geoclass.learn.unlabelled import read_unlabelled
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.model.device import find_device, has_bf16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingPlan:
    """All decisions about a training run."""

    tiles: TileSet
    split: Split
    settings: TrainSettings
    device: torch.device
    start: Model | None
    unlabelled: np.ndarray | None = None
    """uint8 (m, 3, h, w): pictures without labels."""


def choose_recipe(
    arch: Arch | None = None,
    *,
    device: str | None = None,
    start: Model | None = None,
    **changes: Any,
) -> TrainSettings:
    """The recipe of a network, with some fields changed; bf16 where the device is fast at it.

    `arch` is `tilenet-dense`, the network that ships, which has cells, `tilenet-fine` and
    `tilenet`, which have none, or `customnet`, the tutorial's; None takes that of the model
    `start`, if there is one, else the one that ships. `changes` are fields of `TrainSettings`.
    Where training begins with a model it takes a third of the rate, and 20 epochs. Raises
    SettingsError for impossible values.
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
        changes.setdefault("weight_decay", 0.0)  # adam decays none, and a recipe's may
    return replace(recipe, **changes)


def plan_training(
    data: Path | str,
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
    begun: Path | None = None,
) -> TrainingPlan:
    """Read the tiles and decide how they are trained on; arguments as of `train_on_tiles`.

    With `suit_few`, and where no settings are given, batches are smaller where tiles are few.
    `begun` is the last checkpoint of a run that goes on.
    """
    suit_few = suit_few or settings is None
    settings = settings or choose_recipe(device=device, start=start)
    chosen_device = find_device(device)
    pictures = None
    if unlabelled is not None:
        pictures = read_unlabelled(Path(unlabelled), settings)
        settings = replace(settings, unlabelled=UnlabelledSettings(name=Path(unlabelled).name))
    known = None if start is None else start.contract.legend
    tiles = read_tiles(Path(data), skip_bad=skip_bad, keep=True, known=known)
    if lists is None:
        split = split_freely(tiles, split_seed)
    else:
        split = split_by_lists(tiles, *map(Path, lists))
    check_tiles(tiles, split)
    few = suit_tiles(settings, len(split.train))
    if fill_memory and (few == settings or begun is not None):
        before = None if begun is None else read_settings(begun)
        settings = fit_batch_size(settings, len(tiles.classes), TILE_SIZE, chosen_device, before)
    elif suit_few or fill_memory:
        settings = few
    return TrainingPlan(
        tiles=tiles,
        split=split,
        settings=settings,
        device=chosen_device,
        start=start,
        unlabelled=pictures,
    )


def run_training(
    plan: TrainingPlan,
    output: Path | str,
    *,
    resume: bool = False,
    max_hours: float | None = None,
    on_batch: Callable[[int, int, int], object] = ignore,
    on_epoch: Callable[[EpochReport], object] = ignore,
) -> Model:
    """Train as planned, write the model, score it once it is done; see `train_on_tiles`."""
    output, split = Path(output), plan.split
    train_model(
        plan.tiles,
        split,
        plan.settings,
        output,
        device=plan.device,
        start=plan.start,
        unlabelled=plan.unlabelled,
        resume=resume,
        max_hours=max_hours,
        on_batch=on_batch,
        on_epoch=on_epoch,
    )
    model = load_model(output)
    if find_begun(output):  # it may go on, and the test part is read once
        return model
    with closing(Classifier(model, device=str(plan.device))) as classifier:
        scores = score_kept_apart(
            classifier, plan.tiles.images[split.test], plan.tiles.labels[split.test]
        )
    keep_scores(output, model, scores)
    return load_model(output)


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
    resume: bool = False,
    max_hours: float | None = None,
    on_batch: Callable[[int, int, int], object] = ignore,
    on_epoch: Callable[[EpochReport], object] = ignore,
) -> Model:
    """Train a network on a zip or folder of class folders, and write it to `output`.

    `settings` are by default the recipe of the network that ships, with smaller batches where
    tiles are few; see `choose_recipe`. `start` is a model to begin with. A fifth of each class is
    kept apart and scored once, by the finished model (`model.contract.scores`); a tenth of the
    rest chooses the best epoch; `split_seed` draws them, or `lists` name them. Where `places.csv`
    beside the class folders says where tiles lie, as `cut_scene` writes it, the parts share no
    ground, and are about as large. `unlabelled` names a NumPy file of pictures to train on without
    labels, see `read_unlabelled`. With `skip_bad` images that cannot be used are left out; with
    `fill_memory` a step takes as many tiles as a GPU holds, unless they are few. Where `max_hours`
    would not hold another epoch, the best so far becomes the model, without a score, and `resume`
    goes on from there.

    `on_batch` is told epoch, batch and batches, `on_epoch` how an epoch went. What one of them
    raises ends the training; checkpoints beside `output` stay, and `resume` goes on from them
    to the same weights. Raises DatasetError, SettingsError, ModelError, OutputError.
    """
    plan = plan_training(
        data,
        settings=settings,
        start=start,
        split_seed=split_seed,
        lists=lists,
        unlabelled=unlabelled,
        device=device,
        skip_bad=skip_bad,
        fill_memory=fill_memory,
        begun=find_begun(Path(output)) if resume else None,
    )
    return run_training(
        plan, output, resume=resume, max_hours=max_hours, on_batch=on_batch, on_epoch=on_epoch
    )
