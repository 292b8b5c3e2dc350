"""geoclass train"""

from __future__ import annotations

import importlib.util
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

import geoclass
from geoclass.cli.generated import FILE, command, options_of
from geoclass.cli.options import Lists, list_skipped, output_option, overwrite, quiet
from geoclass.cli.progress import echo, open_bar, say, warn
from geoclass.contract import SHIPPED_ARCH
from geoclass.errors import OutputError
from geoclass.files.writing import check_folder
from geoclass.learn.recipes import (
    AUGMENTATIONS,
    FINE_TUNING_EPOCHS,
    RECIPES,
    Augmentation,
    TrainSettings,
)

if TYPE_CHECKING:
    from geoclass.learn.training import TrainingPlan

FEW_STEPS = 15
"""Fewer steps than this give a warning."""


def describe_recipes(field: str, more: str = "") -> str:
    """The default of a setting for the shipped network, then for those that differ."""
    usual = getattr(RECIPES[SHIPPED_ARCH], field)
    values = {arch: getattr(recipe, field) for arch, recipe in RECIPES.items()}
    others = [f"{arch} {value}" for arch, value in values.items() if value != usual]
    return ", ".join([str(usual), *others]) + more


USUAL = {
    "arch": f"{SHIPPED_ARCH}, or the network of --from",
    "epochs": describe_recipes("epochs", f"; with --from {FINE_TUNING_EPOCHS}"),
    "learning_rate": describe_recipes("learning_rate", "; with --from a third"),
    "schedule": describe_recipes("schedule"),
    "optimizer": describe_recipes("optimizer"),
    "patience": "never",
    "precision": "bf16 on a GPU that supports it, else fp32",
    "compile": "no",
    "seed": describe_recipes("seed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options: changes of the recipe."""

    start: Path | None = None
    """Start from the weights of this model; `shipped` is the one in the package."""
    batch_size: int | Literal["auto"] | None = None
    """Tiles per step, or canvases for networks with cells; auto: as many as fit on the GPU. None:
    by the recipe, fewer if there are few tiles."""
    augment: Augmentation | None = None
    """Augmentation; turns: rotate, mirror, shift; all: also light, blur, noise and mixing. None:
    all, customnet none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """Options: data and device; arguments of `train_on_tiles`."""

    split_seed: int = 0
    """Seed of the random or spatial split."""
    lists: Lists | None = None
    """Three text files, one tile file name per line, instead of a random split."""
    unlabelled: Path | None = None
    """Images with pseudo-labels for networks with cells to train on as well: a file (.npz) of
    scripts/label_unlabelled."""
    device: str | None = None
    """Device: cpu, cuda, cuda:1 … None: cuda if available, else cpu."""
    skip_bad: bool = False
    """Skip unusable images and list them."""


@command("train")
@click.argument("data", type=FILE)
@output_option(FILE, "Output model: .safetensors.")
@options_of(TrainSettings, "changes", only=USUAL, flat=True, usual=USUAL)
@options_of(TrainOptions, "options")
@options_of(DataOptions, "given", flat=True)
@click.option(
    "--max-hours", type=float, help="Stop before this time is exceeded; --resume continues."
)
@click.option("--resume", is_flag=True, help="Resume from the last checkpoint, if it exists.")
@overwrite
@quiet
def train_command(
    data: Path,
    output: Path,
    changes: dict[str, Any],
    options: TrainOptions,
    given: dict[str, Any],
    max_hours: float | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Train a network on the tiles of DATA, a zip or folder of class folders.

    A fifth of each class is held out and scored once, at the end. A tenth of the rest is for
    validation and selects the best epoch. If DATA has a `places.csv`, as written by `geoclass
    tiles`, tiles are split by spatial blocks, so that no two parts share ground. The log (.csv),
    the learning curve (.png) and, during training, the checkpoints are written beside the model.
    """
    from geoclass.learn.run import last_checkpoint, read_state
    from geoclass.model.device import describe_device

    if output.suffix != ".safetensors":
        raise OutputError(f"the model {output} must end in .safetensors")
    check_folder(output)
    last = last_checkpoint(output)
    begun = resume and last.exists()
    if not (overwrite or begun):
        check_absent(output, resume=resume)
    changes = {name: value for name, value in changes.items() if value is not None}
    if isinstance(options.batch_size, int):
        changes["batch_size"] = options.batch_size
    if options.augment is not None:
        changes["augment"] = AUGMENTATIONS[options.augment]
    start = None if options.start is None else geoclass.load_model(options.start)
    settings = geoclass.choose_recipe(device=given["device"], start=start, **changes)
    bar = open_bar(unit="batch", leave=False)

    def on_plan(plan: TrainingPlan) -> None:
        tiles, split = plan.tiles, plan.split
        bar.clear()
        list_skipped(tiles.skipped)
        warn_of_plan(plan)
        if begun:
            say(f"resume  after epoch {read_state(last).epoch} of {settings.epochs}")
        elif resume:
            say(f"resume  from the start, without {last.name}")
        say(f"device  {describe_device(plan.device)}")
        say(
            f"tiles   {len(split.train)} for training, {len(split.validation)} for validation, "
            f"{len(split.test)} held out, {len(tiles.classes)} classes"
            f"{'; spatial block split' * (split.kind == 'ground')}"
        )

    def on_batch(epoch: int, batch: int, batches: int) -> None:
        if batch == 1:
            bar.reset(batches)
            bar.set_description(f"epoch {epoch}/{settings.epochs}")
        bar.update()

    def on_epoch(report: geoclass.EpochReport) -> None:
        bar.clear()
        say(format_epoch(report, settings.epochs))

    try:
        with bar:
            model = geoclass.train_on_tiles(
                data,
                output,
                settings=settings,
                start=start,
                fill_memory=options.batch_size == "auto",
                suit_few=options.batch_size is None,
                resume=resume,
                max_hours=max_hours,
                on_plan=on_plan,
                on_batch=on_batch,
                on_epoch=on_epoch,
                **given,
            )
    except (KeyboardInterrupt, OutputError):
        if last.exists():
            epoch = read_state(last).epoch
            echo(f"\nstopped: --resume continues after epoch {epoch}", err=True)
        raise
    if importlib.util.find_spec("matplotlib"):  # an optional dependency
        geoclass.draw_learning_curve(output.with_suffix(".csv"), output.with_suffix(".png"))
    say(f"wrote {output}")
    scores = model.contract.scores
    if scores is None:
        say(f"stopped to stay within {max_hours} hours: --resume continues")
        return
    again = ["geoclass", "evaluate", output, data]
    again += ["--lists", *given["lists"]] if given["lists"] else []
    again += ["--skip-bad"] if given["skip_bad"] else []
    say(
        f"test    accuracy {scores.accuracy:.2%} on the {scores.tiles} held-out tiles, macro-F1 "
        f"{scores.macro_f1:.4f}; details: {shlex.join(map(str, again))}"
    )


def check_absent(output: Path, *, resume: bool) -> None:
    """Raise OutputError for files of an earlier run."""
    from geoclass.learn.run import best_checkpoint, last_checkpoint

    made = map(output.with_suffix, (".safetensors", ".csv", ".png"))
    last = last_checkpoint(output)
    for file in (*made, last, best_checkpoint(output)):
        if file.exists():
            kind = {".csv": "the log ", ".png": "the learning curve "}.get(file.suffix, "")
            advice = "--overwrite or another name"
            if resume:
                advice += f"; there is no {last.name} to resume from"
            elif last.exists():
                advice = "--resume to continue, or --overwrite to start again"
            raise OutputError(f"{kind}{file} exists: give {advice}")


def warn_of_plan(plan: TrainingPlan) -> None:
    """Warn of tiles and recipes that give a poor model, or a test score that is too high."""
    from geoclass.learn.splits import count_leaks
    from geoclass.model.device import choose_precision

    split, settings = plan.split, plan.settings
    if settings.precision == "bf16" and choose_precision(plan.device) == "fp32":
        warn(
            f"{plan.device} has no instructions for bfloat16, which may take ten times as long as "
            "float32: omit --precision"
        )
    if leaks := count_leaks(plan.tiles, split):
        warn(
            f"{leaks} of the {len(split.test)} held-out tiles are equal to other tiles, so their "
            "score will be too high: geoclass dataset lists duplicates"
        )
    for warning in split.warnings:
        warn(warning)
    steps = settings.epochs * max(1, len(split.train) // settings.batch_size)
    if steps < FEW_STEPS:
        warn(
            f"training has only {steps} step(s), one per epoch and {settings.batch_size} tiles: "
            "give more --epochs, or a smaller --batch-size"
        )


def format_epoch(report: geoclass.EpochReport, epochs: int) -> str:
    """One line about an epoch."""
    return (
        f"epoch {report.epoch:>3}/{epochs}  loss {report.loss:.4f}  "
        f"validation {report.validation_accuracy:.2%}  {report.seconds:.0f} s "
        f"(waiting for data {report.data_share:.1%})"
    )
