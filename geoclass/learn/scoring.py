"""Scores of a model on labelled tiles."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from geoclass.contract import TestScores
from geoclass.learn.corruptions import CorruptionScore, score_corruptions
from geoclass.learn.dataset import read_tiles
from geoclass.learn.splits import Lists, Part, choose_part, count_seen
from geoclass.model.checkpoint import Model, save_model
from geoclass.model.classifier import Classifier, Prediction

CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """Scores of one class."""

    name: str
    precision: float | None
    """User's accuracy: correct fraction of the tiles predicted as the class; None without any."""
    recall: float | None
    """Producer's accuracy: correct fraction of the tiles of the class; None without any."""
    f1: float | None
    """Harmonic mean of the two; 0 without a predicted tile, None without a tile of the class."""
    tiles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of a model on labelled tiles."""

    tiles: int
    accuracy: float
    """0–1."""
    macro_f1: float
    """Unweighted mean of the F1 of all classes with tiles, 0–1."""
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
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)


def _calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean difference of confidence and accuracy over bins, weighted by their tiles."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    # Bins are open below and closed above, as in the paper.
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, None)
    gap = np.bincount(bins, weights=right - confidence.astype(float), minlength=CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(confidence))


SCORED_TOGETHER = 1024
"""Tiles between two callbacks."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mistake:
    """A tile with a wrong prediction."""

    tile: str
    """`<class>/<file>`."""
    true: str
    predicted: str
    confidence: float
    """Probability of the predicted class, 0–1."""
    pixels: np.ndarray
    """uint8 (3, tile, tile)."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the pixels."""
        return {name: getattr(self, name) for name in ("tile", "true", "predicted", "confidence")}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelScore:
    """Scores of a model on labelled tiles."""

    evaluation: Evaluation
    unknown_share: float
    """Fraction of out-of-distribution tiles, 0–1; they are scored like others."""
    seen: int | None
    """Number of tiles used for training or validation; None if the model does not record them."""
    robustness: tuple[CorruptionScore, ...]
    """Accuracy under each corruption, if requested."""
    mistakes: tuple[Mistake, ...]
    """The wrong predictions, the most confident first."""
    skipped: tuple[str, ...]


def score_held_out(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray, *, corrupt: bool = False
) -> TestScores:
    """Score a finished model on held-out tiles, uint8 (n, 3, s, s), with labels (n,).

    With `corrupt` also under each corruption.
    """
    result, prediction, robustness = _score(
        classifier, images, labels, corrupt=corrupt, on_tiles=lambda _: None
    )
    return TestScores(
        tiles=result.tiles,
        accuracy=result.accuracy,
        macro_f1=result.macro_f1,
        calibration_error=result.calibration_error,
        unknown_share=float(prediction.unknown.mean()),
        corrupted={score.name: score.accuracy for score in robustness},
    )


def keep_scores(path: Path, model: Model, scores: TestScores) -> None:
    """Write the model with these scores to `path`; OutputError if that fails."""
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
    on_tiles: Callable[[int], object] = lambda _: None,
) -> ModelScore:
    """Score a model on tiles of a zip or folder of class folders.

    `part` is a part of the model's split, which is repeated and verified, so that `test` are
    held-out tiles; `lists` are needed if the model was trained with lists. With `corrupt` the
    tiles are also scored under a fixed list of corruptions. `symmetries` means test-time
    augmentation. `skip_bad` skips unusable images, as in training. `on_tiles` gets the number of
    tiles scored since its last call; corrupted tiles count again.

    Raises DatasetError if the tiles do not give the model's split, SettingsError for an
    unavailable device.
    """
    classifier = Classifier(model, device=device, batch_size=batch_size, symmetries=symmetries)
    tiles = read_tiles(Path(data), skip_bad=skip_bad)
    chosen = choose_part(tiles, model.contract, part, lists)
    names = model.contract.legend.names
    places = np.array([names.index(name) for name in tiles.classes])
    images, labels = tiles.images[chosen], places[tiles.labels[chosen]]
    result, prediction, robustness = _score(
        classifier, images, labels, corrupt=corrupt, on_tiles=on_tiles
    )
    likely = prediction.probabilities
    predicted, confidence = likely.argmax(axis=1), likely.max(axis=1)
    return ModelScore(
        evaluation=result,
        unknown_share=float(prediction.unknown.mean()),
        seen=count_seen(model, images),
        robustness=robustness,
        mistakes=tuple(
            Mistake(
                tile=tiles.names[chosen[i]],
                true=names[labels[i]],
                predicted=names[predicted[i]],
                confidence=float(confidence[i]),
                pixels=images[i],
            )
            for i in np.argsort(-confidence, kind="stable")
            if predicted[i] != labels[i]
        ),
        skipped=tiles.skipped,
    )


def _score(
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    corrupt: bool,
    on_tiles: Callable[[int], object],
) -> tuple[Evaluation, Prediction, tuple[CorruptionScore, ...]]:
    parts = []
    for first in range(0, len(images), SCORED_TOGETHER):
        parts.append(classifier.predict(images[first : first + SCORED_TOGETHER]))
        on_tiles(len(parts[-1].unknown))
    prediction = Prediction(
        probabilities=np.concatenate([part.probabilities for part in parts]),
        unknown=np.concatenate([part.unknown for part in parts]),
    )
    result = evaluate(prediction.probabilities, labels, classifier.contract.legend.names)
    robustness = score_corruptions(classifier, images, labels, on_tiles) if corrupt else ()
    return result, prediction, tuple(robustness)
