"""Charts."""

from __future__ import annotations

import csv
import importlib.util
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geoclass.errors import DatasetError, GeoclassError, OutputError
from geoclass.files.writing import write_whole
from geoclass.monitor.history import Monitoring
from geoclass.monitor.tables import sum_areas
from geoclass.outside import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geoclass.learn.scoring import Evaluation, Mistake
    from geoclass.learn.single import ImageLabel


PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")

SHOWN_CLASSES = 5
MISTAKES_A_ROW = 6
TILES_A_ROW = 10
INK = "#2c7fb8"

# Characters that fit beside and above tiles.
MISTAKE_NAME = 24
MISTAKE_CLASS = 20
LABEL_NAME = 28
LABEL_CLASS = 28
SAMPLES_CLASS = 70

# Glyphs that matplotlib's font lacks become boxes; a warning for each of them is not useful. The
# filter is set once, because filters apply to all threads, and appended, so that filters of the
# calling program take precedence.
warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning, append=True)


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure; GeoclassError if matplotlib is not installed."""
    _check_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained", dpi=120)


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a PNG, SVG or PDF atomically; OutputError if that fails."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    path = Path(path)
    check_picture(path)
    content = io.BytesIO()
    # Names of files and classes are not formulas; tick labels are created during drawing.
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with rc_context({"text.parse_math": False}):
        figure.savefig(content, format=path.suffix[1:].lower())
    write_whole(path, content.getvalue())


def _check_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise GeoclassError(
            "pictures need matplotlib, which is not installed: pip install 'geoclass[plot]'"
        )


def check_picture(path: Path) -> None:
    """OutputError for other suffixes; GeoclassError if matplotlib is not installed."""
    _check_matplotlib()
    if path.suffix.lower() not in PICTURES:
        raise OutputError(
            f"cannot write the picture {path}: {path.suffix or 'a name without suffix'} is none of "
            f"{', '.join(PICTURES)}"
        )


def draw_confusion(result: Evaluation, path: Path | str) -> None:
    """Draw a confusion matrix: fractions of the true class as shades, counts as numbers."""
    names = [c.name for c in result.classes]
    counts = np.array(result.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.55 * len(names)
    figure = new_figure(side, side)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, col in np.argwhere(counts > 0):
        shade = "white" if shares[row, col] > 0.5 else "black"
        axes.text(col, row, str(counts[row, col]), ha="center", va="center", color=shade, size=8)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"{result.tiles} tiles, accuracy {result.accuracy:.2%}")
    save_figure(figure, path)


def draw_learning_curve(log: Path | str, path: Path | str) -> None:
    """Draw loss and validation accuracy by epoch from the log of a training run."""
    try:
        with Path(log).open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
        epochs, accuracy = columns["epoch"], columns["validation_accuracy"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DatasetError(f"{log} is not a log of a training run: {error}") from error
    figure = new_figure(8, 3.5)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, columns["loss"], label="training, augmented tiles", color="#a1dab4")
    left.plot(epochs, columns["validation_loss"], label="validation", color=INK)
    left.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    left.legend(frameon=False)
    right.plot(epochs, [100 * value for value in accuracy], color=INK)
    right.set(xlabel="epoch", ylabel="validation accuracy (%)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    save_figure(figure, path)


def draw_samples(samples: Mapping[str, np.ndarray], path: Path | str) -> None:
    """Draw uint8 tiles (n, 3, s, s) by class, one row of ten each."""
    from geoclass.learn.figures import arrange_tiles

    figure = new_figure(5.6, 0.3 + 0.85 * len(samples))
    rows = figure.subplots(len(samples), squeeze=False).ravel()
    for row, (name, tiles) in zip(rows, samples.items(), strict=True):
        row.imshow(arrange_tiles(tiles[:TILES_A_ROW], TILES_A_ROW))
        row.set_title(_fit(name, SAMPLES_CLASS), loc="left", size=8)
        row.axis("off")
    save_figure(figure, path)


def draw_mistakes(mistakes: Sequence[Mistake], path: Path | str) -> None:
    """Draw misclassified tiles with true class, predicted class and confidence."""
    rows = -(-len(mistakes) // MISTAKES_A_ROW)
    figure = new_figure(1.75 * MISTAKES_A_ROW, 2.3 * rows)
    axes = figure.subplots(rows, MISTAKES_A_ROW, squeeze=False).ravel()
    for picture in axes:
        picture.axis("off")
    for picture, mistake in zip(axes, mistakes, strict=False):
        picture.imshow(mistake.pixels.transpose(1, 2, 0))
        name = _fit(Path(mistake.tile).name, MISTAKE_NAME)
        true, predicted = (_fit(c, MISTAKE_CLASS) for c in (mistake.true, mistake.predicted))
        called = f"{true}, called\n{predicted} {mistake.confidence:.0%}"
        picture.set_title(f"{name}\n{called}", size=7)
    save_figure(figure, path)


def draw_labels(labels: Sequence[ImageLabel], path: Path | str) -> None:
    """Draw tiles with their highest class probabilities, one in each row."""
    figure = new_figure(7, 0.4 + 1.6 * len(labels))
    axes = figure.subplots(len(labels), 2, squeeze=False, width_ratios=(1, 2.4))
    for (picture, bars), label in zip(axes, labels, strict=True):
        picture.imshow(label.tile.transpose(1, 2, 0))
        picture.set(xticks=[], yticks=[])
        name = _fit(Path(label.image).name, LABEL_NAME)
        picture.set_title(f"{name} {label.row},{label.col}", loc="left", size=8)
        best = sorted(label.probabilities.items(), key=lambda item: -item[1])[:SHOWN_CLASSES]
        bars.barh([_fit(name, LABEL_CLASS) for name, _ in best], [p for _, p in best], color=INK)
        bars.invert_yaxis()
        bars.set(xlim=(0, 1))
        bars.tick_params(labelsize=8)
        bars.set_title(f"{_fit(label.name, LABEL_CLASS)} {label.confidence:.1%}", size=9)
    save_figure(figure, path)


def _fit(text: str, most: int) -> str:
    """The text on one line of at most so many characters; the middle of long texts is cut."""
    line = " ".join(printable(text).split())
    if len(line) <= most:
        return line
    kept = most - 1
    return f"{line[: kept - kept // 2]}…{line[-(kept // 2) :]}"


def draw_timeline(result: Monitoring, path: Path | str) -> None:
    """Draw the hectares of each group over time as PNG, SVG or PDF; OutputError."""
    days = np.array(result.stack.dates, dtype="datetime64[D]")
    colors = {c.group: c.color for c in reversed(result.stack.contract.legend.classes)}
    table = sum_areas(result)
    areas = table["area_ha"].reshape(len(days), -1).T
    figure = new_figure(8, 4.2)
    axes = figure.subplots()
    for group, area_ha in zip(result.stack.contract.legend.groups, areas, strict=True):
        axes.plot(days, area_ha, color=colors[group], marker="o", ms=3, label=group)
    axes.set(ylabel="hectares", ylim=(0, None))
    axes.set_title("Mapped area by group", size=10)
    axes.grid(alpha=0.3)
    figure.autofmt_xdate()
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    save_figure(figure, path)
