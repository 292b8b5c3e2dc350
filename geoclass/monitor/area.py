"""Accuracy and areas from a stratified random sample, with standard errors.

The strata are the map's classes, or those of a change. The estimators are eqs 1 to 11 of Olofsson
et al. 2014 (Remote Sensing of Environment 148, 42-57), written as the ratio estimators of Stehman
2014 (International Journal of Remote Sensing 35, 4923-4939), which contain them as a special case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from geoclass.errors import OutputError, SettingsError
from geoclass.monitor.counts import SampleCounts, read_table
from geoclass.monitor.settings import MIN_PER_STRATUM
from geoclass.products.layers import has_layer, read_columns

SD_95 = 1.96
"""Half the width of a 95 % interval, in standard errors."""

TABLES = (".csv", ".tsv", ".txt")
"""Suffixes of tables of counts."""

LEFT_OUT = "left_out"
"""Table in the file of a sample: areas that were not sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate and its uncertainty."""

    value: float
    """NaN if it cannot be estimated."""
    error: float
    """Standard error."""

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval."""
        return SD_95 * self.error

    def times(self, factor: float) -> Estimate:
        """The estimate in another unit."""
        return Estimate(value=self.value * factor, error=self.error * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAssessment:
    """Accuracy and area of one class."""

    name: str
    users: Estimate
    """User's accuracy, 0–1."""
    producers: Estimate
    """Producer's accuracy, 0–1."""
    area_ha: Estimate
    """Area by the reference."""
    mapped_ha: float
    """Area by the map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Accuracy of a map and areas of its classes."""

    samples: int
    overall: Estimate
    """Overall accuracy, 0–1."""
    classes: tuple[ClassAssessment, ...]
    matrix: tuple[tuple[float, ...], ...]
    """Fractions of the total area: row = map, column = reference."""
    area_ha: float
    """Total area of the strata, for which the estimates are valid."""
    unlabelled: int = 0
    """Samples without a label, which are ignored."""
    left_out_ha: Mapping[str, float] = field(default_factory=dict)
    """Area of the map that was not sampled, by status."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def assess_counts(sample: SampleCounts) -> Assessment:
    """Error matrix in fractions of the area, accuracies and areas, with standard errors.

    Raises SettingsError if a stratum with an area has fewer than two samples.
    """
    _check(sample)
    total = float(sample.area_ha.sum())
    classes = []
    for number, name in enumerate(sample.names):
        reference = np.eye(len(sample.names))[number]
        mapped = reference[:, None]
        classes.append(
            ClassAssessment(
                name=name,
                users=_estimate(sample, mapped * reference, mapped),
                producers=_estimate(sample, mapped * reference, reference),
                area_ha=_estimate(sample, reference).times(total),
                mapped_ha=float(sample.area_ha[number]),
            )
        )
    return Assessment(
        samples=int(sample.counts.sum()),
        overall=_estimate(sample, np.eye(len(sample.names))),
        classes=tuple(classes),
        matrix=tuple(map(tuple, sample.matrix.tolist())),
        area_ha=total,
    )


def estimate_shares(
    sample: SampleCounts, area_ha: Mapping[str, float], groups: Mapping[str, str]
) -> dict[str, Estimate]:
    """Fraction of each group in a part of the map, from the error matrix of the whole.

    `area_ha` is the area of the part by class, `groups` the group of each class. The strata are
    reweighted by these areas (a synthetic estimate: error rates in the part are assumed to be those
    of the whole). Raises SettingsError if a class of the part has no stratum.
    """
    lacking = sorted(
        name for name, area in area_ha.items() if area > 0 and name not in sample.names
    )
    if lacking:
        raise SettingsError(
            f"the sample has no stratum {', '.join(lacking)}, which the map has: give a sample of "
            "this map"
        )
    areas = np.array([area_ha.get(name, 0.0) for name in sample.names])
    part = replace(sample, area_ha=areas, cells=None)
    _check(part)
    group_of = np.array([groups.get(name) for name in sample.names], dtype=object)
    return {group: _estimate(part, group_of == group) for group in dict.fromkeys(groups.values())}


def _estimate(sample: SampleCounts, y: np.ndarray, x: np.ndarray | float = 1.0) -> Estimate:
    """Fraction of the area with x = 1 that has y = 1; NaN if no area has x = 1.

    `y` and `x` are 0 or 1 and broadcast to (map class, reference class) (Stehman 2014, eqs 3, 25,
    27 and 28).
    """
    below = float((sample.matrix * x).sum())
    if below == 0:
        return Estimate(value=float("nan"), error=float("nan"))
    ratio = float((sample.matrix * y).sum()) / below
    residual = y - ratio * x
    mean = (sample.shares * residual).sum(axis=1)
    square = (sample.shares * residual**2).sum(axis=1)
    number = sample.counts.sum(axis=1)
    # s²/n of the residuals. A stratum of one cell, which is sampled completely, has none.
    variance = np.maximum(square - mean**2, 0) / np.maximum(number - 1, 1)
    if sample.cells is not None:  # finite population correction
        variance *= np.clip(1 - number / np.maximum(sample.cells, 1), 0, 1)
    return Estimate(value=ratio, error=float(np.sqrt((sample.weights**2 * variance).sum()) / below))


def _check(sample: SampleCounts) -> None:
    if not (sample.area_ha > 0).any():
        raise SettingsError("no stratum has an area: give hectares above 0")
    if not (np.isfinite(sample.area_ha).all() and (sample.area_ha >= 0).all()):
        raise SettingsError("the strata's areas must be hectares of at least 0")
    counts = sample.counts.sum(axis=1)
    least = np.full(len(counts), MIN_PER_STRATUM)
    if sample.cells is not None:  # a stratum that is sampled completely has no sampling error
        least = np.minimum(least, np.maximum(sample.cells, 1))
    few = [
        f"{name} has {n}"
        for name, n, wanted, area in zip(sample.names, counts, least, sample.area_ha, strict=True)
        if area > 0 and n < wanted
    ]
    if few:
        raise SettingsError(
            f"each stratum needs at least two labelled samples, for its variance: "
            f"{', '.join(few)}: label more, or merge strata"
        )


def assess_sample(path: Path | str, *, partial: bool = False) -> Assessment:
    """Accuracies and areas, with 95 % intervals, from a labelled sample.

    The file is an output of `write_sample`, labelled in QGIS, or a CSV table of counts: one row for
    each class of the map, with the columns stratum, area_ha, and one for each reference class.
    With `partial` samples without a label are ignored. Raises OutputError for other files,
    SettingsError if labels are missing, unknown or too few.
    """
    path = Path(path)
    counts, empty = read_counts(path, partial=partial)
    left_out = {}
    if path.suffix.lower() not in TABLES and has_layer(path, LEFT_OUT):
        columns = read_columns(path, LEFT_OUT)
        left_out = dict(zip(columns["status"].tolist(), columns["area_ha"].tolist(), strict=True))
    return replace(assess_counts(counts), unlabelled=empty, left_out_ha=left_out)


def read_counts(path: Path, *, partial: bool = False) -> tuple[SampleCounts, int]:
    """Counts of a labelled sample or of a table, and the number of samples without a label."""
    if path.suffix.lower() in TABLES:
        return read_table(path), 0
    return read_sample(path, partial=partial)


def read_sample(path: Path, *, partial: bool = False) -> tuple[SampleCounts, int]:
    """Counts of a labelled sample, and the number of samples without a label.

    Raises OutputError for other files, SettingsError for labels that are not a class of the
    sample and, unless `partial`, for samples without a label.
    """
    sample, design, strata = (read_columns(path, name) for name in ("sample", "design", "strata"))
    try:
        names = [str(name) for name in strata["stratum"]]
        labels = dict(zip(sample["sample_id"].tolist(), sample["reference"], strict=True))
        strata_drawn = [names.index(stratum) for stratum in design["stratum"]]
        drawn = list(zip(design["sample_id"], strata_drawn, strict=True))
        cells = strata["cells"].astype(float)
        area = strata["area_ha"].astype(float)
    except KeyError as error:
        raise OutputError(
            f"{path} is not a sample of geoclass: the column {error} is missing"
        ) from error
    except (ValueError, TypeError) as error:
        raise OutputError(f"{path} is damaged ({error}): draw the sample anew") from error
    if not all(((values >= 0) & (values < 1e15)).all() for values in (cells, area)):
        raise OutputError(f"{path} has strata without numbers of cells and hectares: draw it anew")
    texts = {i: label.strip() for i, label in labels.items() if isinstance(label, str)}
    given = {i: label for i, label in texts.items() if label}
    unknown = sorted(set(given.values()) - set(names))
    if unknown:
        raise SettingsError(
            f"{path} has unknown labels: {', '.join(unknown)}; classes are {', '.join(names)}"
        )
    empty = sum(i not in given for i, _ in drawn)
    if empty and not partial:
        raise SettingsError(
            f"{empty} of {len(drawn)} samples in {path} are not labelled: label them, or give "
            "--partial to ignore them"
        )
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for number, stratum in drawn:
        if number in given:
            counts[stratum, names.index(given[number])] += 1
    cells = cells.astype(np.int64)
    return SampleCounts(names=tuple(names), area_ha=area, counts=counts, cells=cells), empty
