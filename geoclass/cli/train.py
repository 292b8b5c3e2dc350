"""geoclass train"""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geoclass.cli import kinds, options
from geoclass.cli.progress import open_bar

if TYPE_CHECKING:
    from geoclass.learn.recipes import Variation
    from geoclass.learn.tasks import TrainingPlan
    from geoclass.learn.training import EpochReport
    from geoclass.model.networks import Arch


SEED = click.IntRange(0, 2**31 - 1)
AUTO = "auto"


def parse_batch_size(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> int | str | None:
    """`64` → 64, `auto` stays."""
    if value is None or value == AUTO:
        return value
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor auto") from None


def refuse_existing(output: Path, *, resume: bool) -> None:
    """Refuse to replace what an earlier run made; OutputError says what can be done."""
    from geoclass.errors import OutputError
    from geoclass.learn.progress import best_checkpoint, find_begun, last_checkpoint

    made = map(output.with_suffix, (".safetensors", ".csv", ".png"))
    for file in (*made, last_checkpoint(output), best_checkpoint(output)):
        if file.exists():
            what = {".csv": "the log ", ".png": "the learning curve "}.get(file.suffix, "")
            ways = "--overwrite or another name"
            if resume:
                ways += f"; there is no {last_checkpoint(output).name} to go on from"
            elif find_begun(output):
                ways = "--resume to go on, or --overwrite to begin anew"
            raise OutputError(f"{what}{file} exists: give {ways}")


@click.command("train")
@click.argument("data", type=kinds.FILE)
@click.option("-o", "--output", type=kinds.FILE, required=True, help="Output model: .safetensors.")
@click.option(
    "--arch",
    type=click.Choice(["tilenet-dense", "tilenet-fine", "tilenet", "customnet"]),
    help="tilenet-dense, the shipped network, also classifies 4×4-pixel cells. tilenet-fine and "
    "tilenet classify whole tiles only; customnet is the tutorial's network.  [default: "
    "tilenet-dense, or the network of --from]",
)
@click.option(
    "--from",
    "start",
    type=kinds.FILE,
    help="Start from the weights of this model; `shipped` is the one in the package.",
)
@click.option(
    "--epochs",
    type=int,
    help="Passes over the tiles.  [default: tilenet 48, tilenet-fine 80, customnet 30, "
    "tilenet-dense 80; with --from 20]",
)
@click.option(
    "--batch-size",
    metavar="N|auto",
    callback=parse_batch_size,
    help="Tiles per step (canvases for tilenet-dense); auto: as many as fit on the GPU.  [default: "
    "tilenet 128, tilenet-fine 256, customnet 64, tilenet-dense 48; fewer if there are few tiles]",
)
@click.option(
    "--learning-rate",
    type=float,
    help="Maximum learning rate.  [default: tilenet 0.01, customnet 0.001; with --from a third]",
)
@click.option(
    "--schedule",
    type=click.Choice(["constant", "one-cycle", "plateau"]),
    help="Schedule of the learning rate.  [default: tilenet one-cycle, customnet constant]",
)
@click.option(
    "--optimizer",
    type=click.Choice(["adam", "adamw", "muon"]),
    help="Optimiser.  [default: tilenet muon, customnet adam]",
)
@click.option(
    "--vary",
    type=click.Choice(["none", "turns", "all"]),
    help="Augmentation: none; turns: rotate, mirror, shift; all: also light, blur, noise and "
    "mixing.  [default: tilenet all, customnet none]",
)
@click.option(
    "--patience", type=int, help="Stop after this many epochs without a better validation score."
)
@click.option(
    "--max-hours",
    type=float,
    help="Stop before this time is exceeded; --resume continues.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    help="Precision of the network.  [default: bf16 on a GPU that supports it, else fp32]",
)
@click.option(
    "--compile",
    is_flag=True,
    default=None,
    help="Use torch.compile; needs a C++ compiler.",
)
@click.option("--seed", type=SEED, help="Seed of weights, order and augmentation.  [default: 0]")
@click.option(
    "--split-seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the random or spatial split.",
)
@options.lists
@click.option(
    "--unlabelled",
    type=kinds.FILE,
    help="Unlabelled images for tilenet-dense to train on as well: a NumPy file, uint8 "
    "(images, 3, height, width), red, green, blue, with EuroSAT's stretch.",
)
@options.device
@options.skip_bad
@click.option("--resume", is_flag=True, help="Resume from the last checkpoint, if it exists.")
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
@options.quiet
def command(
    data: Path,
    output: Path,
    arch: Arch | None,
    start: Path | None,
    split_seed: int,
    lists: tuple[Path, Path, Path] | None,
    unlabelled: Path | None,
    device: str | None,
    skip_bad: bool,
    resume: bool,
    max_hours: float | None,
    overwrite: bool,
    quiet: bool,
    batch_size: int | str | None,
    vary: Variation | None,
    **changes: Any,
) -> None:
    """Train a network on the tiles of DATA, a zip or folder of class folders.

    A fifth of each class is held out and scored once, at the end. A tenth of the rest is for
    validation and selects the best epoch. If DATA has a `places.csv`, as written by `geoclass
    tiles`, tiles are split by blocks of ground, so that no two parts share ground. The log (.csv),
    the learning curve (.png) and, during training, the checkpoints are written beside the model.
    Decoded tiles are cached beside DATA if that folder is writable.
    """
    from geoclass.errors import OutputError
    from geoclass.files.writing import check_folder
    from geoclass.learn.progress import find_begun, last_checkpoint, read_state
    from geoclass.learn.recipes import VARIATIONS
    from geoclass.learn.tasks import choose_recipe, train_on_tiles
    from geoclass.learn.training import check_hours
    from geoclass.model.checkpoint import load_model
    from geoclass.model.device import describe_device

    if output.suffix != ".safetensors":
        raise OutputError(f"the model {output} must end in .safetensors")
    check_folder(output)
    check_hours(max_hours)
    begun = find_begun(output) if resume else None
    if not (overwrite or begun):
        refuse_existing(output, resume=resume)
    if batch_size != AUTO:
        changes["batch_size"] = batch_size
    given = {name: value for name, value in changes.items() if value is not None}
    if vary is not None:
        given["augment"] = VARIATIONS[vary]
    first = None if start is None else load_model(start)
    settings = choose_recipe(arch, device=device, start=first, **given)
    bar = open_bar(quiet=quiet, unit="batch", leave=False)

    def on_plan(plan: TrainingPlan) -> None:
        tiles, split = plan.tiles, plan.split
        bar.clear()
        options.list_skipped(tiles.skipped)
        warn_of(plan)
        if quiet:
            return
        if begun:
            click.echo(f"resume  after epoch {read_state(begun)['epoch']} of {settings.epochs}")
        elif resume:
            click.echo(f"resume  nothing to go on from: no {last_checkpoint(output).name}")
        click.echo(f"device  {describe_device(plan.device)}")
        click.echo(
            f"tiles   {len(split.train)} to train, {len(split.validation)} for validation, "
            f"{len(split.test)} held out, {len(tiles.classes)} classes"
            f"{'; split by blocks of ground' * (split.kind == 'ground')}"
        )

    def on_batch(epoch: int, batch: int, batches: int) -> None:
        if batch == 1:
            bar.reset(batches)
            bar.set_description(f"epoch {epoch}/{settings.epochs}")
        bar.update()

    def on_epoch(report: EpochReport) -> None:
        if not quiet:
            bar.clear()
            click.echo(format_epoch(report, settings.epochs))

    try:
        with bar:
            model = train_on_tiles(
                data,
                output,
                settings=settings,
                start=first,
                split_seed=split_seed,
                lists=lists,
                unlabelled=unlabelled,
                device=device,
                skip_bad=skip_bad,
                fill_memory=batch_size == AUTO,
                suit_few=batch_size is None,
                resume=resume,
                max_hours=max_hours,
                on_plan=on_plan,
                on_batch=on_batch,
                on_epoch=on_epoch,
            )
    except (KeyboardInterrupt, OutputError):
        if left := find_begun(output):
            click.echo(
                f"\nstopped: --resume goes on after epoch {read_state(left)['epoch']}", err=True
            )
        raise
    if importlib.util.find_spec("matplotlib"):  # an extra: training does not need it
        from geoclass.report.charts import draw_learning_curve

        draw_learning_curve(output.with_suffix(".csv"), output.with_suffix(".png"))
    say = (lambda _: None) if quiet else click.echo
    say(f"wrote {output}")
    scores = model.contract.scores
    if scores is None:
        say(f"stopped before {max_hours} hours were over: --resume goes on")
        return
    say(
        f"test    {scores.accuracy:.2%} of the {scores.tiles} tiles held out, macro-F1 "
        f"{scores.macro_f1:.4f}; more with: {say_evaluate(output, data, lists, skip_bad)}"
    )


FEW_STEPS = 15
"""After fewer, a network of new classes has learnt little."""


def warn_of(plan: TrainingPlan) -> None:
    """Say where the tiles or the recipe promise more than they can keep."""
    from geoclass.learn.splits import count_leaks
    from geoclass.model.device import choose_precision

    split, settings = plan.split, plan.settings
    if settings.precision == "bf16" and choose_precision(plan.device) == "fp32":
        click.echo(
            f"Warning: {plan.device} has no instructions for bfloat16, which may take ten times as "
            "long as float32 so: leave out --precision",
            err=True,
        )
    if leaks := count_leaks(plan.tiles, split):
        click.echo(
            f"Warning: {leaks} of the {len(split.test)} tiles held out are equal to others, so "
            "that their score will be too good: geoclass dataset lists duplicates",
            err=True,
        )
    for doubt in split.doubts:
        click.echo(f"Warning: {doubt}", err=True)
    steps = settings.epochs * max(1, len(split.train) // settings.batch_size)
    if steps < FEW_STEPS:
        click.echo(
            f"Warning: {steps} step(s) of training are few, one an epoch and {settings.batch_size} "
            "tiles: give more --epochs, or a smaller --batch-size",
            err=True,
        )


def say_evaluate(
    model: Path, data: Path, lists: tuple[Path, Path, Path] | None, skip_bad: bool
) -> str:
    """The command that scores what was trained just now."""
    words = ["geoclass", "evaluate", str(model), str(data)]
    if lists is not None:
        words += ["--lists", *map(str, lists)]
    if skip_bad:
        words.append("--skip-bad")
    return shlex.join(words)


def format_epoch(report: EpochReport, epochs: int) -> str:
    """One line about an epoch."""
    return (
        f"epoch {report.epoch:>3}/{epochs}  loss {report.loss:.4f}  "
        f"validation {report.validation_accuracy:.2%}  {report.seconds:.0f} s "
        f"(waiting for data {report.data_share:.1%})"
    )
