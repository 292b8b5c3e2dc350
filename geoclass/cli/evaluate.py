"""geoclass evaluate"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli import kinds, options
from geoclass.cli.options import check_pictures

if TYPE_CHECKING:
    from geoclass.learn.corruptions import CorruptionScore
    from geoclass.learn.scoring import Evaluation
    from geoclass.learn.splits import Part

PARTS = ("test", "validation", "train", "all")
SHOWN_MISTAKES = 48


@click.command("evaluate")
@click.argument("model", type=kinds.FILE)
@click.argument("data", type=kinds.FILE)
@click.option(
    "--part",
    type=click.Choice(PARTS),
    default="test",
    show_default=True,
    help="Part of the model's split to score.",
)
@options.lists
@click.option("--mistakes", type=kinds.FILE, help="Draw the most confident mistakes: .png, .svg …")
@click.option("--confusion", type=kinds.FILE, help="Draw the confusion matrix: .png, .svg …")
@click.option(
    "--corrupt", is_flag=True, help="Also score the tiles under a fixed list of corruptions."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON with all mistakes instead of tables."
)
@options.symmetries
@options.device
@options.batch_size
@options.skip_bad
def command(
    model: Path,
    data: Path,
    part: Part,
    lists: tuple[Path, Path, Path] | None,
    mistakes: Path | None,
    confusion: Path | None,
    corrupt: bool,
    as_json: bool,
    symmetries: bool,
    device: str | None,
    batch_size: int | None,
    skip_bad: bool,
) -> None:
    """Score MODEL on the held-out tiles of DATA.

    MODEL is a model file, or the word `shipped`. DATA is a zip or folder of class folders. The
    model's split is repeated and verified, so that only held-out tiles are scored.
    """
    from geoclass.learn.scoring import score_on_tiles
    from geoclass.model.checkpoint import load_model

    check_pictures([mistakes, confusion], model, data)
    score = score_on_tiles(
        load_model(model),
        data,
        part=part,
        lists=lists,
        corrupt=corrupt,
        symmetries=symmetries,
        device=device,
        batch_size=batch_size,
        skip_bad=skip_bad,
    )
    options.list_skipped(score.skipped)
    result = score.evaluation
    if as_json:
        more: dict[str, object] = {"unknown_share": score.unknown_share, "seen": score.seen}
        more["mistakes"] = [mistake.to_json() for mistake in score.mistakes]
        if corrupt:
            more["robustness"] = [asdict(r) for r in score.robustness]
        click.echo(json.dumps({**result.to_json(), **more}))
    else:
        click.echo(format_evaluation(result, score.unknown_share, score.seen))
        if corrupt:
            click.echo(format_robustness(score.robustness))
    if confusion is not None:
        from geoclass.report.charts import draw_confusion

        draw_confusion(result, confusion)
        click.echo(f"wrote {confusion}", err=as_json)
    if mistakes is not None:
        if not len(score.mistakes):
            click.echo(f"no mistakes: {mistakes} is not written", err=True)
            return
        from geoclass.report.charts import draw_mistakes

        draw_mistakes(score.mistakes[:SHOWN_MISTAKES], mistakes)
        click.echo(f"wrote {mistakes}", err=as_json)


def format_robustness(scores: Sequence[CorruptionScore]) -> str:
    """A line a corruption."""
    from geoclass.learn.corruptions import mean_accuracy

    lines = ["", f"{'accuracy under':<20}{'':>8}  training varied tiles so"]
    for score in scores:
        seen = "yes" if score.seen else "no"
        note = "" if score.counted else ", not in the mean"
        lines.append(f"{score.name:<20}{score.accuracy:>8.2%}  {seen}{note}")
    lines.append(f"{'mean':<20}{mean_accuracy(scores):>8.2%}")
    return "\n".join(lines)


def format_evaluation(result: Evaluation, unknown_share: float, seen: int | None) -> str:
    """Scores, a line a class, and the confusion matrix."""
    lines = [
        f"tiles                {result.tiles}",
        f"accuracy             {result.accuracy:.2%}",
        f"macro-F1             {result.macro_f1:.4f}",
        f"calibration error    {result.calibration_error:.2%}",
        f"unknown              {unknown_share:.2%}  (scored all the same)",
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
    """Four decimals, or a dash where there is nothing to have a share of."""
    return f"{'–' if value is None else f'{value:.4f}':>10}"
