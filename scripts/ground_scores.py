"""How a map's pixels compare with reference labels: confusion matrix, IoU, calibration error.

Truth is coded by the place of its name in a tuple of names, IGNORED where no label is scored.
What a map found has the same codes, and three more after them: of another group, unknown, masked.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE, LandCoverMap
from geoclass.legend import UNKNOWN, Legend

GROUPS = ("built_up", "crops", "forest", "grassland", "water")
IGNORED = 255
BINS = 15
NEIGHBOURHOOD = 5
STATUSES = ("another group", "unknown", "masked")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """Counts of scored pixels; scores of the same names can be added."""

    names: tuple[str, ...]
    confusion: np.ndarray
    """int64 (names, names + 3): pixels by truth and by what was found."""
    bins: np.ndarray
    """float64 (15, 3): by confidence, of classified pixels: pixels, sum of confidence, right."""

    def __add__(self, other: Score) -> Score:
        return Score(
            names=self.names,
            confusion=self.confusion + other.confusion,
            bins=self.bins + other.bins,
        )

    @property
    def accuracy(self) -> float:
        """Share of pixels that are right, 0–1; unknown and masked ones are wrong."""
        return share(np.trace(self.confusion), self.confusion.sum())

    @property
    def classified_accuracy(self) -> float:
        """Share of classified pixels that are right, 0–1."""
        return share(np.trace(self.confusion), self.confusion[:, :-2].sum())

    @property
    def calibration_error(self) -> float:
        """Expected calibration error of classified pixels, 0–1."""
        pixels, confidence, right = self.bins.T
        return share(np.abs(confidence - right).sum(), pixels.sum())

    def status(self, name: str) -> float:
        """Share of pixels, 0–1, that are `unknown` or `masked`."""
        column = len(self.names) + STATUSES.index(name)
        return share(self.confusion[:, column].sum(), self.confusion.sum())

    def iou(self, name: str) -> float:
        """Intersection over union of a class, 0–1."""
        i = self.names.index(name)
        both = self.confusion[i, i]
        return share(both, self.confusion[i].sum() + self.confusion[:, i].sum() - both)

    def describe(self, iou_of: Sequence[str]) -> dict[str, Any]:
        """All measures by name, and the confusion matrix as rows by truth."""
        found = [*self.names, *STATUSES]
        return {
            "accuracy": self.accuracy,
            "accuracy where classified": self.classified_accuracy,
            "unknown": self.status("unknown"),
            "masked": self.status("masked"),
            **{f"{name} IoU": self.iou(name) for name in iou_of},
            "calibration error": self.calibration_error,
            "pixels": int(self.confusion.sum()),
            "confusion": {
                name: dict(zip(found, row.tolist(), strict=True))
                for name, row in zip(self.names, self.confusion, strict=True)
            },
        }

    def describe_likeliest(self, iou_of: Sequence[str]) -> dict[str, float]:
        """Measures of a map whose unknown cells have their likeliest class."""
        return {
            "likeliest class: accuracy": self.accuracy,
            **{f"likeliest class: {name} IoU": self.iou(name) for name in iou_of},
        }


def share(part: float, whole: float) -> float:
    """`part` / `whole`, NaN of nothing."""
    return float(part) / float(whole) if whole else float("nan")


def add_up(scores: Iterable[Score]) -> Score:
    """All scores together; there must be one."""
    return functools.reduce(operator.add, scores)


def keep_unknown(landcover: LandCoverMap) -> LandCoverMap:
    """The same map whose unknown cells have their likeliest class."""
    unknown = landcover.class_id == UNKNOWN
    return replace(landcover, class_id=np.where(unknown, landcover.best_class, landcover.class_id))


def find_codes(legend: Legend, names: Sequence[str]) -> np.ndarray:
    """Uint8 (256,): code of each number that `LandCoverMap.class_id` may hold.

    Groups that have no name there are `other` where that is a name.
    """
    codes = np.full(256, len(names) + STATUSES.index("masked"), dtype=np.uint8)
    codes[UNKNOWN] = len(names) + STATUSES.index("unknown")
    rest = names.index("other") if "other" in names else len(names)
    for item in legend.classes:
        codes[item.class_id] = names.index(item.group) if item.group in names else rest
    return codes


def find_confidence(landcover: LandCoverMap, codes: np.ndarray) -> np.ndarray:
    """Float32 (rows, cols): probability of each cell's group, 0–1; 0 where it has no class."""
    of_class = codes[: len(landcover.legend)]
    members = (of_class[:, None] == np.arange(of_class.max() + 1)).astype(np.float32)
    by_group = landcover.probabilities.astype(np.float32) @ members / FULL_SCALE
    found = codes[landcover.class_id].astype(np.int64)
    classified = landcover.class_id < len(landcover.legend)
    place = np.where(classified, found, 0)[:, :, None]
    return np.where(classified, np.take_along_axis(by_group, place, axis=2)[:, :, 0], 0)


def spread(cells: np.ndarray, grid: Grid) -> np.ndarray:
    """Values of cells, (rows, cols), to the pixels of their scene, (height, width)."""
    return cells.repeat(np.diff(grid.row_edges), axis=0).repeat(np.diff(grid.col_edges), axis=1)


def compare(
    landcover: LandCoverMap,
    truth: np.ndarray,
    names: tuple[str, ...],
    where: np.ndarray | None = None,
) -> Score:
    """Score a map by truth, uint8 (height, width), on its pixels, or those of `where`, bool."""
    codes = find_codes(landcover.legend, names)
    found = spread(codes[landcover.class_id], landcover.grid)
    confidence = spread(find_confidence(landcover, codes), landcover.grid)
    return score_pixels(found, confidence, truth, names, where)


def score_pixels(
    found: np.ndarray,
    confidence: np.ndarray,
    truth: np.ndarray,
    names: tuple[str, ...],
    where: np.ndarray | None = None,
) -> Score:
    """Score codes, uint8 (height, width), and their confidence, float, by truth, uint8."""
    scored = truth != IGNORED if where is None else where & (truth != IGNORED)
    truth, found, confidence = truth[scored].astype(np.int64), found[scored], confidence[scored]
    columns = len(names) + len(STATUSES)
    pairs = np.bincount(truth * columns + found, minlength=len(names) * columns)
    classified = found <= len(names)
    right, sure = (found == truth)[classified], confidence[classified]
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    sums = [np.bincount(place, weights=w, minlength=BINS) for w in (None, sure, right)]
    return Score(
        names=names,
        confusion=pairs.reshape(len(names), columns),
        bins=np.stack(sums, axis=1).astype(np.float64),
    )


def find_best_map(truth: np.ndarray, grid: Grid, names: Sequence[str]) -> np.ndarray:
    """Uint8 (height, width): the commonest truth of each cell, on its pixels.

    No map of such cells agrees with more of the truth; cells without a label get the first name.
    """
    starts = grid.row_edges[:-1], grid.col_edges[:-1]
    counts = []
    for code in range(len(names)):
        by_row = np.add.reduceat((truth == code).astype(np.int64), starts[0], axis=0)
        counts.append(np.add.reduceat(by_row, starts[1], axis=1))
    return spread(np.argmax(counts, axis=0).astype(np.uint8), grid)


def find_uniform(labels: np.ndarray) -> np.ndarray:
    """Bool (height, width): where the 5×5 pixels around have one label, as far as they exist."""
    # `nearest` repeats labels of the border, which lie in its pixels' neighbourhood already.
    low, high = (
        look(labels, size=NEIGHBOURHOOD, mode="nearest")
        for look in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    return low == high
