"""geoclass evaluate"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli import options

if TYPE_CHECKING:
    import numpy as np

    from geoclass.contract import Contract
    from geoclass.learn.dataset import TileSet
    from geoclass.learn.evaluation import Evaluation
    from geoclass.model.classifier import Classifier

PARTS = ("test", "validation", "train", "all")
SHIPPED = "shipped"
SHOWN_MISTAKES = 50


@click.command("evaluate")
@click.argument("model", type=options.FILE)
@click.argument("data", type=options.FILE)
@click.option(
    "--part",
    type=click.Choice(PARTS),
    default="test",
    show_default=True,
    help="Which tiles of the model's split to score.",
)
@options.lists
@click.option(
    "--mistakes", type=options.FILE, help="Write the most confident mistakes as a picture."
)
@click.option("--confusion", type=options.FILE, help="Draw the confusion matrix: .png, .svg …")
@click.option(
    "--corrupt", is_flag=True, help="Score the tiles under a fixed list of corruptions too."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@options.device
@options.batch_size
def command(
    model: Path,
    data: Path,
    part: str,
    lists: tuple[Path, Path, Path] | None,
    mistakes: Path | None,
    confusion: Path | None,
    corrupt: bool,
    as_json: bool,
    device: str | None,
    batch_size: int | None,
) -> None:
    """Score MODEL on the tiles of DATA that it has never seen.

    MODEL is a model file, or the word `shipped`. DATA is a zip or folder of class folders. The
    model remembers its split; it is made again, and checked, so that just the test part counts.
    """
    import numpy as np

    from geoclass.learn.dataset import read_tiles
    from geoclass.learn.evaluation import evaluate
    from geoclass.learn.figures import save_contact_sheet
    from geoclass.model.checkpoint import load_model
    from geoclass.model.classifier import Classifier
    from geoclass.products.formats import check_not_input

    for picture in (mistakes, confusion):
        if picture is not None:
            check_not_input(picture, model, data)
    loaded = load_model(None if str(model) == SHIPPED else model)
    classifier = Classifier(loaded, device=device, batch_size=batch_size)
    tiles = read_tiles(data, loaded.contract.tile_size)
    chosen = _choose_tiles(tiles, loaded.contract, part, lists)
    prediction = classifier.predict(tiles.images[chosen])
    labels = tiles.labels[chosen]
    result = evaluate(prediction.probabilities, labels, loaded.contract.legend.names)
    robustness = score_corruptions(classifier, tiles.images[chosen], labels) if corrupt else None
    if as_json:
        more = {} if robustness is None else {"robustness": robustness}
        click.echo(json.dumps({**result.to_json(), **more}))
    else:
        click.echo(format_evaluation(result))
        if robustness is not None:
            click.echo(format_robustness(robustness))
    if confusion is not None:
        from geoclass.report.charts import draw_confusion

        draw_confusion(result, confusion)
    if mistakes is not None:
        wrong = prediction.probabilities.argmax(axis=1) != labels
        surest = np.argsort(-prediction.probabilities.max(axis=1) * wrong)[: wrong.sum()]
        if not len(surest):
            click.echo(f"no mistakes: {mistakes} is not written", err=True)
            return
        save_contact_sheet(tiles.images[chosen[surest[:SHOWN_MISTAKES]]], mistakes)


def _choose_tiles(
    tiles: TileSet, contract: Contract, part: str, lists: tuple[Path, Path, Path] | None
) -> np.ndarray:
    """Indices of the tiles to score; DatasetError where the split cannot be made again."""
    import numpy as np

    from geoclass.errors import DatasetError
    from geoclass.learn.splits import hash_names, split_by_lists, split_randomly

    names = contract.legend.names
    if list(tiles.classes) != names:
        raise DatasetError(
            f"the classes of {tiles.name} are {', '.join(tiles.classes)}, "
            f"the model knows {', '.join(names)}: give the data set that fits the model"
        )
    if part == "all":
        return np.arange(len(tiles))
    record = contract.training.split
    if lists is not None:
        split = split_by_lists(tiles, *lists)
    elif record.kind == "random" and record.seed is not None:
        split = split_randomly(tiles.labels, record.seed)
    else:
        raise DatasetError("the model's split was given as lists: give them with --lists")
    if hash_names(tiles.names[i] for i in split.test) != record.test_sha256:
        raise DatasetError(
            f"the split of {tiles.name} is not the one the model was trained with, so its tiles "
            "may have been seen in training: give that data set, or score --part all knowingly"
        )
    chosen: np.ndarray = getattr(split, part)
    return chosen


def score_corruptions(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Accuracy, 0–1, under each corruption, and the mean of those that count."""
    from geoclass.learn.corruptions import CORRUPTIONS, NOT_COUNTED

    scores = {}
    for name, corrupt in CORRUPTIONS.items():
        predicted = classifier.predict(corrupt(images, labels)).probabilities.argmax(axis=1)
        scores[name] = float((predicted == labels).mean())
    counted = [score for name, score in scores.items() if name not in NOT_COUNTED]
    return {**scores, "mean": sum(counted) / len(counted)}


def format_robustness(scores: dict[str, float]) -> str:
    """A line a corruption."""
    from geoclass.learn.corruptions import NOT_COUNTED

    lines = ["", "accuracy under corruption"]
    for name, score in scores.items():
        note = "  (not in the mean)" if name in NOT_COUNTED else ""
        lines.append(f"{name:<20}{score:>8.2%}{note}")
    return "\n".join(lines)


def format_evaluation(result: Evaluation) -> str:
    """Scores, a line a class, and the confusion matrix."""
    lines = [
        f"tiles                {result.tiles}",
        f"accuracy             {result.accuracy:.2%}",
        f"macro-F1             {result.macro_f1:.4f}",
        f"calibration error    {result.calibration_error:.2%}",
        "",
        f"{'class':<22}{'precision':>10}{'recall':>10}{'F1':>10}{'tiles':>8}",
    ]
    lines += [
        f"{c.name:<22}{c.precision:>10.4f}{c.recall:>10.4f}{c.f1:>10.4f}{c.tiles:>8}"
        for c in result.classes
    ]
    lines += ["", "confusion (row: true class, column: predicted class)"]
    width = max(len(c.name) for c in result.classes)
    for score, row in zip(result.classes, result.confusion, strict=True):
        lines.append(f"{score.name:<{width}}" + "".join(f"{count:>6}" for count in row))
    return "\n".join(lines)
