"""Training, one call from a data set on disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from geoclass.contract import SHIPPED_ARCH, Arch
from geoclass.learn.dataset import TileSet, read_tiles
from geoclass.learn.progress import find_begun, read_state
from geoclass.learn.recipes import (
    FINE_TUNING_EPOCHS,
    FINE_TUNING_RATE,
    RECIPES,
    TrainSettings,
    UnlabelledSettings,
    suit_tiles,
)
from geoclass.learn.schedule import fit_batch_size
from geoclass.learn.scoring import keep_scores, score_held_out
from geoclass.learn.splits import Lists, Split, split_by_lists, split_freely
from geoclass.learn.training import EpochReport, check_tiles, ignore, train_model
from geoclass.learn.unlabelled import read_pseudo_labelled
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.model.device import find_device, has_bf16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingPlan:
    """What was decided about a training run."""

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

    `settings` are by default the recipe of the network that ships; see `choose_recipe`. `start`
    is a model to begin with. A fifth of each class is held out and scored once, by the finished
    model (`model.contract.scores`); a tenth of the rest chooses the best epoch; `split_seed` draws
    them, or `lists` name them. Where `places.csv` beside the class folders says where tiles lie,
    as `cut_scene` writes it, the parts share no ground, and are about as large. `unlabelled` names
    a file of images with pseudo-labels, see `read_pseudo_labelled`. With `skip_bad` images that
    cannot be used are left out. With `suit_few`, and without `settings`, batches are smaller where
    tiles are few; with `fill_memory` a step takes as many tiles as a GPU holds, unless they are
    few. Where `max_hours` would not hold another epoch, the best so far becomes the model, without
    a score, and `resume` continues from there.

    `on_plan` gets all that was decided, before training; `on_batch` epoch, batch and batches;
    `on_epoch` how an epoch went. What one of them raises ends the training; checkpoints beside
    `output` stay, and `resume` continues from them to the same weights. Raises DatasetError,
    SettingsError, ModelError, OutputError.
    """
    output = Path(output)
    begun = find_begun(output) if resume else None
    suit_few = suit_few or settings is None
    settings = settings or choose_recipe(device=device, start=start)
    chosen_device, pseudo_labelled = find_device(device), None
    known = None if start is None else start.contract.legend
    tiles = read_tiles(Path(data), skip_bad=skip_bad, keep=True, known=known)
    if lists is None:
        split = split_freely(tiles, split_seed)
    else:
        split = split_by_lists(tiles, *map(Path, lists))
    check_tiles(tiles, split)
    if unlabelled is not None:
        path = Path(unlabelled)
        pseudo_labelled = read_pseudo_labelled(path, settings, len(tiles.classes))
        settings = replace(settings, unlabelled=UnlabelledSettings(name=path.name))
    few = suit_tiles(settings, len(split.train))
    if fill_memory and (few == settings or begun is not None):
        before = None if begun is None else read_state(begun)["settings"]
        settings = fit_batch_size(settings, len(tiles.classes), chosen_device, before)
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
    if find_begun(output):  # it may resume, and the test part is read once
        return model
    with closing(Classifier(model, device=str(chosen_device))) as classifier:
        scores = score_held_out(classifier, tiles.images[split.test], tiles.labels[split.test])
    keep_scores(output, model, scores)
    return load_model(output)
