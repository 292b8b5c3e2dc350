"""How often a model is right, and whether it knows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

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
