"""geoclass evaluate, predict and export"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

import geoclass
from geoclass.cli.generated import FILE, command, options_of
from geoclass.cli.options import (
    Lists,
    as_json,
    check_output,
    check_pictures,
    list_skipped,
    output_option,
    overwrite,
)
from geoclass.cli.progress import echo, say

if TYPE_CHECKING:
    from geoclass.learn.corruptions import CorruptionScore

SHOWN_MISTAKES = 48
SHOWN_LABELS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Options of how tiles are classified."""

    symmetries: bool = False
    """Test-time augmentation: average eight rotations and mirrors; takes eight times as long."""
    device: str | None = None
    """Device: cpu, cuda, cuda:1 … None: cuda if available, else cpu."""
    batch_size: int | None = None
    """Tiles per batch. None: depends on the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """Options of which tiles are scored."""

    part: Literal["test", "validation", "train", "all"] = "test"
    """Part of the model's split to score."""
    lists: Lists | None = None
    """Three text files, one tile file name per line, instead of a random split."""
    corrupt: bool = False
    """Also score the tiles under a fixed list of corruptions."""
    skip_bad: bool = False
    """Skip unusable images and list them."""


@command("evaluate")
@click.argument("model", type=FILE)
@click.argument("data", type=FILE)
@options_of(EvaluateOptions, "options", flat=True)
@options_of(NetworkOptions, "network", flat=True, hidden={"batch_size"})
@click.option("--mistakes", type=FILE, help="Draw the most confident mistakes: .png, .svg …")
@click.option("--confusion", type=FILE, help="Draw the confusion matrix: .png, .svg …")
@as_json
def evaluate_command(
    model: Path,
    data: Path,
    options: dict[str, Any],
    network: dict[str, Any],
    mistakes: Path | None,
    confusion: Path | None,
    as_json: bool,
) -> None:
    """Score MODEL on the held-out tiles of DATA.

    MODEL is a model file, or the word `shipped`. DATA is a zip or folder of class folders. The
    model's split is repeated and verified, so that only held-out tiles are scored.
    """
    check_pictures([mistakes, confusion], model, data)
    score = geoclass.score_on_tiles(geoclass.load_model(model), data, **options, **network)
    list_skipped(score.skipped)
    result = score.evaluation
    if as_json:
        more: dict[str, object] = {"unknown_share": score.unknown_share, "seen": score.seen}
        more["mistakes"] = [mistake.to_json() for mistake in score.mistakes]
        if options["corrupt"]:
            more["robustness"] = [asdict(r) for r in score.robustness]
        echo(json.dumps({**result.to_json(), **more}))
    else:
        echo(format_evaluation(result, score.unknown_share, score.seen))
        if options["corrupt"]:
            echo(format_robustness(score.robustness))
    if confusion is not None:
        geoclass.draw_confusion(result, confusion)
        echo(f"wrote {confusion}", err=as_json)
    if mistakes is not None and not len(score.mistakes):
        echo(f"no mistakes: {mistakes} is not written", err=True)
    elif mistakes is not None:
        geoclass.draw_mistakes(score.mistakes[:SHOWN_MISTAKES], mistakes)
        echo(f"wrote {mistakes}", err=as_json)


def format_robustness(scores: Sequence[CorruptionScore]) -> str:
    """One line per corruption."""
    from geoclass.learn.corruptions import mean_accuracy

    lines = ["", f"{'accuracy under':<20}{'':>8}  in the augmentation of training"]
    for score in scores:
        seen = "yes" if score.seen else "no"
        note = "" if score.counted else ", not in the mean"
        lines.append(f"{score.name:<20}{score.accuracy:>8.2%}  {seen}{note}")
    lines.append(f"{'mean':<20}{mean_accuracy(scores):>8.2%}")
    return "\n".join(lines)


def format_evaluation(result: geoclass.Evaluation, unknown_share: float, seen: int | None) -> str:
    """Scores, one line per class, and the confusion matrix."""
    lines = [
        f"tiles                {result.tiles}",
        f"accuracy             {result.accuracy:.2%}",
        f"macro-F1             {result.macro_f1:.4f}",
        f"calibration error    {result.calibration_error:.2%}",
        f"unknown              {unknown_share:.2%}  (scored by their top-1 class)",
        f"seen in training     {'not recorded' if seen is None else seen}",
        "",
        f"{'class':<22}{'precision':>10}{'recall':>10}{'F1':>10}{'tiles':>8}",
    ]
    lines += [
        f"{c.name:<22}{_ratio(c.precision)}{_ratio(c.recall)}{_ratio(c.f1)}{c.tiles:>8}"
        for c in result.classes
    ]
    lines += ["", "confusion (row: true class, column: predicted class)"]
    width = max(len(c.name) for c in result.classes)
    for score, row in zip(result.classes, result.confusion, strict=True):
        lines.append(f"{score.name:<{width}}" + "".join(f"{count:>6}" for count in row))
    return "\n".join(lines)


def _ratio(value: float | None) -> str:
    """Four decimals, or a dash for None."""
    return f"{'–' if value is None else f'{value:.4f}':>10}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """Options."""

    model: Path | None = None
    """Model file. None: the shipped model."""
    tiles: bool = False
    """Label all tiles of an image, not only the central one."""
    show: Path | None = None
    """Draw the tiles with their labels: .png, .svg …"""
    skip_bad: bool = False
    """Skip unusable images and list them."""


@command("predict")
@click.argument("images", type=FILE, nargs=-1, required=True, metavar="IMAGE...")
@options_of(PredictOptions, "options")
@options_of(NetworkOptions, "network", flat=True, hidden={"batch_size"})
@as_json
def predict_command(
    images: tuple[Path, ...], options: PredictOptions, network: dict[str, Any], as_json: bool
) -> None:
    """Label single images: JPEG, PNG or TIFF, 8-bit RGB, 64×64 pixels or larger.

    The central tile is labelled; --tiles labels all tiles. For georeferenced scenes use
    `geoclass map`.
    """
    show = options.show
    check_pictures([show], options.model, *images)
    skipped: list[str] = []
    labels = geoclass.label_images(
        images,
        geoclass.load_model(options.model),
        whole=options.tiles,
        on_bad=skipped.append if options.skip_bad else None,
        **network,
    )
    list_skipped(skipped)
    if not labels:
        raise geoclass.DatasetError("none of the images can be used")
    if as_json:
        echo(json.dumps([label.to_json() for label in labels]))
    else:
        for label in labels:
            place = f" {label.row},{label.col}" if options.tiles else ""
            doubt = "out-of-distribution; top-1 " if label.unknown else ""
            echo(f"{label.image}{place}: {doubt}{label.name} {label.confidence:.1%}")
    if show is not None:
        geoclass.draw_labels(labels[:SHOWN_LABELS], show)
        echo(f"wrote {show}", err=True)
        if len(labels) > SHOWN_LABELS:
            echo(f"{show} shows the first {SHOWN_LABELS} of {len(labels)} tiles", err=True)


@command("export")
@click.argument("model", type=FILE)
@output_option(FILE, "Output file: .onnx.")
@overwrite
def export_command(model: Path, output: Path, overwrite: bool) -> None:
    """Export MODEL as ONNX and verify its output.

    MODEL is a model file, or the word `shipped`. The exported model takes tiles as float32
    (n, 3, 64, 64), 0–255, and returns calibrated probabilities.
    """
    check_output(output, model, suffix=".onnx", overwrite=overwrite)
    difference = geoclass.export_onnx(geoclass.load_model(model), output)
    say(f"wrote {output}; probabilities differ by {difference:.1g} at most")
