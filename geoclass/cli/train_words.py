"""What `geoclass train` tells a person."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from geoclass.learn.tasks import TrainingPlan
    from geoclass.learn.training import EpochReport

FEW_STEPS = 15
"""After fewer, a network of new classes has learnt little."""


def warn_of(plan: TrainingPlan) -> None:
    """Say where the tiles or the recipe promise more than they can keep."""
    from geoclass.learn.seen import count_leaks
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
            f"Warning: {leaks} of the {len(split.test)} tiles kept apart are equal to others, so "
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
