"""How a finished model fares on labelled tiles, each one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from geoclass.contract import TestScores
from geoclass.learn.corruptions import CorruptionScore, score_corruptions
from geoclass.learn.dataset import TileSet, read_tiles
from geoclass.learn.splits import Lists, Part, choose_part, count_seen
from geoclass.learn.training import ignore
from geoclass.model.checkpoint import Model, save_model
from geoclass.model.classifier import Classifier, Prediction

CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How one class fared."""

    name: str
    precision: float | None
    """Of the tiles called so, the share that are so: user's accuracy; None where none is."""
    recall: float | None
    """Of the tiles that are so, the share called so: producer's accuracy; None where none is."""
    f1: float | None
    """Harmonic mean of the two, 0 where none was called so; None where no tile is so."""
    tiles: int
    """Tiles that are of this class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of a model on labelled tiles."""

    tiles: int
    accuracy: float
    """0–1."""
    macro_f1: float
    """Mean of the F1 of all classes that any tile is of, each counting the same; 0–1."""
    calibration_error: float
    """Expected calibration error, 0–1, over 15 bins of equal width (Guo et al. 2017, eq. 3)."""
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Row = true class, column = predicted class."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def evaluate(probabilities: np.ndarray, labels: np.ndarray, names: list[str]) -> Evaluation:
    """Score probabilities, float (n, classes), against labels, int (n,)."""
    n = len(names)
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * n + predicted, minlength=n * n).reshape(n, n)
    hits = confusion.diagonal()
    called, true = confusion.sum(axis=0), confusion.sum(axis=1)
    precision, recall = _ratio(hits, called), _ratio(hits, true)
    f1 = _ratio(2 * precision * recall, precision + recall)
    return Evaluation(
        tiles=len(labels),
        accuracy=float(hits.sum() / len(labels)),
        macro_f1=float(f1[true > 0].mean()),
        calibration_error=_calibration_error(probabilities.max(axis=1), predicted == labels),
        classes=tuple(
            ClassScore(
                name=name,
                precision=float(precision[i]) if called[i] else None,
                recall=float(recall[i]) if true[i] else None,
                f1=float(f1[i]) if true[i] else None,
                tiles=int(true[i]),
            )
            for i, name in enumerate(names)
        ),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
    return ratio


def _calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over bins, weighted by the tiles in them."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    # Bins are open below and closed above, as in the paper; nothing is below 0.
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, None)
    gap = np.bincount(bins, weights=right - confidence.astype(float), minlength=CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(confidence))


SCORED_TOGETHER = 1024
"""Tiles between two calls back."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mistake:
    """A tile that is of one class and was called another."""

    tile: str
    """`<class>/<file>`."""
    true: str
    """The class it is of."""
    predicted: str
    """The class it was called."""
    confidence: float
    """Probability of the latter, 0–1."""
    pixels: np.ndarray
    """uint8 (3, tile, tile)."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the pixels."""
        return {name: getattr(self, name) for name in ("tile", "true", "predicted", "confidence")}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelScore:
    """How a model fares on labelled tiles."""

    evaluation: Evaluation
    """Accuracy, F1, calibration, by class, and the confusion matrix."""
    unknown_share: float
    """Of the tiles, those called unlike the training data; they are scored all the same. 0–1."""
    seen: int | None
    """Of the tiles, those that the model was trained on or chosen with; None: it cannot say."""
    robustness: tuple[CorruptionScore, ...]
    """Accuracy under each corruption, where that was asked for."""
    mistakes: tuple[Mistake, ...]
    """The tiles that were called wrongly, the surest first."""
    skipped: tuple[str, ...]
    """What was wrong with each image that was left out."""


def score_held_out(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray, *, corrupt: bool = False
) -> TestScores:
    """Score a finished model on uint8 tiles (n, 3, s, s) with labels (n,) that it has never seen.

    With `corrupt` under each corruption, too.
    """
    prediction = _predict(classifier, images, ignore)
    result = evaluate(prediction.probabilities, labels, classifier.contract.legend.names)
    corrupted = score_corruptions(classifier, images, labels) if corrupt else []
    return TestScores(
        tiles=result.tiles,
        accuracy=result.accuracy,
        macro_f1=result.macro_f1,
        calibration_error=result.calibration_error,
        unknown_share=float(prediction.unknown.mean()),
        corrupted={score.name: score.accuracy for score in corrupted},
    )


def keep_scores(path: Path, model: Model, scores: TestScores) -> None:
    """Write the model to `path`, so that its card has these scores; OutputError if that fails."""
    contract = replace(model.contract, scores=scores)
    save_model(path, model.arch, model.network, contract, model.ood_detector, model.seen)


def score_on_tiles(
    model: Model,
    data: Path | str,
    *,
    part: Part = "test",
    lists: Lists | None = None,
    corrupt: bool = False,
    symmetries: bool = False,
    device: str | None = None,
    batch_size: int | None = None,
    skip_bad: bool = False,
    on_tiles: Callable[[int], object] = ignore,
) -> ModelScore:
    """Score a model on tiles of a zip or folder of class folders.

    `part` is that of the model's own split, which is made again and checked, so that `test` are
    tiles which it has never seen; `lists` name the parts where the model's were listed. With
    `corrupt` they are scored under a fixed list of corruptions, too. `skip_bad` leaves out images
    that cannot be used, as in training. `on_tiles` is told how many more have been scored;
    corrupted tiles count again.
    Raises DatasetError where the tiles are not those of the model's split, SettingsError for a
    device that is not there.
    """
    classifier = Classifier(model, device=device, batch_size=batch_size, symmetries=symmetries)
    tiles = read_tiles(Path(data), skip_bad=skip_bad)
    listed = None if lists is None else (Path(lists[0]), Path(lists[1]), Path(lists[2]))
    chosen = choose_part(tiles, model.contract, part, listed)
    names = model.contract.legend.names
    places = np.array([names.index(name) for name in tiles.classes])
    images, labels = tiles.images[chosen], places[tiles.labels[chosen]]
    prediction = _predict(classifier, images, on_tiles)
    robustness: Sequence[CorruptionScore] = ()
    if corrupt:
        robustness = score_corruptions(classifier, images, labels, on_tiles=on_tiles)
    return ModelScore(
        evaluation=evaluate(prediction.probabilities, labels, names),
        unknown_share=float(prediction.unknown.mean()),
        seen=count_seen(model, images),
        robustness=tuple(robustness),
        mistakes=_list_mistakes(tiles, chosen, labels, prediction.probabilities, names),
        skipped=tiles.skipped,
    )


def _list_mistakes(
    tiles: TileSet,
    chosen: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
) -> tuple[Mistake, ...]:
    called, surest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(called != labels)
    return tuple(
        Mistake(
            tile=tiles.names[chosen[i]],
            true=names[labels[i]],
            predicted=names[called[i]],
            confidence=float(surest[i]),
            pixels=tiles.images[chosen[i]],
        )
        for i in wrong[np.argsort(-surest[wrong], kind="stable")]
    )


def _predict(
    classifier: Classifier, images: np.ndarray, on_tiles: Callable[[int], object]
) -> Prediction:
    parts = []
    for first in range(0, len(images), SCORED_TOGETHER):
        parts.append(classifier.predict(images[first : first + SCORED_TOGETHER]))
        on_tiles(len(parts[-1].unknown))
    return Prediction(
        probabilities=np.concatenate([part.probabilities for part in parts]),
        unknown=np.concatenate([part.unknown for part in parts]),
    )
