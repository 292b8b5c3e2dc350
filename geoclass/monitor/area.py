"""Accuracy and areas from a stratified random sample, with standard errors.

Where the strata are the map's classes, these are eqs 1 to 11 of Olofsson et al. 2014 (Remote
Sensing of Environment 148, 42-57); for any other strata, the estimators of Stehman 2014
(International Journal of Remote Sensing 35, 4923-4939), of which they are a special case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from geoclass.errors import OutputError, SettingsError
from geoclass.monitor.counts import SampleCounts, read_table
from geoclass.products.layers import has_layer, read_columns

SD_95 = 1.96
"""Standard errors on both sides of an estimate that make a 95 % interval."""

LEAST_SAMPLES = 2
"""A stratum of one sample has no variance that could be estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and how unsure it is."""

    value: float
    """NaN where nothing was found that it could be estimated from."""
    error: float
    """Standard error."""

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval."""
        return SD_95 * self.error

    def times(self, factor: float) -> Estimate:
        """The same in another unit."""
        return Estimate(value=self.value * factor, error=self.error * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAssessment:
    """What the sample says of one class."""

    name: str
    users: Estimate
    """Of the area mapped so, the share that is so."""
    producers: Estimate
    """Of the area that is so, the share mapped so."""
    area_ha: Estimate
    """Area that is so, whatever the map says."""
    mapped_ha: float
    """Area that the map calls so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What a sample says of a map."""

    samples: int
    overall: Estimate
    """Share of the area that is mapped right."""
    classes: tuple[ClassAssessment, ...]
    matrix: tuple[tuple[float, ...], ...]
    """Shares of the total area: row = map, column = reference."""
    area_ha: float
    """Of the strata, for which all this holds."""
    unlabelled: int = 0
    """Samples that were left out because nobody has labelled them."""
    left_out_ha: Mapping[str, float] = field(default_factory=dict)
    """Area of the map for which it does not hold, by what the map says of it."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def assess_counts(sample: SampleCounts) -> Assessment:
    """Error matrix in area shares, accuracies and areas, with standard errors.

    Raises SettingsError where a stratum that has an area has fewer than two samples.
    """
    _check(sample)
    n = len(sample.names)
    estimator = _Estimator(sample)
    agreed = np.eye(n)
    classes = []
    for k, name in enumerate(sample.names):
        mapped, real = np.zeros((n, n)), np.zeros((n, n))
        mapped[k], real[:, k] = 1, 1
        hit = mapped * real
        classes.append(
            ClassAssessment(
                name=name,
                users=estimator.ratio(hit, mapped),
                producers=estimator.ratio(hit, real),
                area_ha=estimator.mean(real).times(estimator.total),
                mapped_ha=estimator.mean(mapped).value * estimator.total,
            )
        )
    return Assessment(
        samples=int(sample.counts.sum()),
        overall=estimator.mean(agreed),
        classes=tuple(classes),
        matrix=tuple(map(tuple, estimator.matrix().tolist())),
        area_ha=estimator.total,
    )


def estimate_shares(
    sample: SampleCounts, area_ha: Mapping[str, float], groups: Mapping[str, str]
) -> dict[str, Estimate]:
    """Share of each group in a part of the map, by the error matrix of the whole.

    `area_ha` are hectares of the part by class, `groups` the group of each class. The sample's
    strata are reweighted by these areas (a synthetic estimate: errors are taken to be as frequent
    in the part as in the whole). Raises SettingsError where a class of the part has no stratum.
    """
    lacking = sorted(
        name for name, area in area_ha.items() if area > 0 and name not in sample.strata
    )
    if lacking:
        raise SettingsError(
            f"the sample has no stratum {', '.join(lacking)}, which the map has: give the sample "
            "of this map"
        )
    part = replace(
        sample, area_ha=np.array([area_ha.get(name, 0.0) for name in sample.strata]), cells=None
    )
    _check(part)
    estimator = _Estimator(part)
    found = {}
    for group in dict.fromkeys(groups.values()):
        real = np.zeros((len(sample.names),) * 2)
        real[:, [groups.get(name) == group for name in sample.names]] = 1
        found[group] = estimator.mean(real)
    return found


class _Estimator:
    """Means and ratios of what is 0 or 1 for each pair of map and reference class."""

    def __init__(self, sample: SampleCounts) -> None:
        kept = sample.area_ha > 0
        counts = sample.counts[kept].astype(float)
        area = sample.area_ha[kept]
        self.total = float(area.sum())
        self._weight = area / self.total
        self._n = counts.sum(axis=(1, 2))
        self._share = counts / self._n[:, None, None]
        self._rest = np.ones(len(area))
        if sample.cells is not None:
            # What is left unseen of a finite stratum (Stehman 2014, eq. 25).
            self._rest = np.clip(1 - self._n / sample.cells[kept], 0, 1)

    def matrix(self) -> np.ndarray:
        """float64 (map, reference): shares of the total area."""
        shares: np.ndarray = np.einsum("h,hij->ij", self._weight, self._share)
        return shares

    def mean(self, y: np.ndarray) -> Estimate:
        """The share of the area for which y is 1 (Stehman 2014, eqs 3 and 25)."""
        value = float((self.matrix() * y).sum())
        return Estimate(value=value, error=self._error(y, np.zeros_like(y), 0.0, 1.0))

    def ratio(self, y: np.ndarray, x: np.ndarray) -> Estimate:
        """The share of x for which y is 1 (Stehman 2014, eqs 27 and 28)."""
        below = self.mean(x).value
        if below == 0:
            return Estimate(value=float("nan"), error=float("nan"))
        value = self.mean(y).value / below
        return Estimate(value=value, error=self._error(y, x, value, below))

    def _error(self, y: np.ndarray, x: np.ndarray, ratio: float, below: float) -> float:
        residual = y - ratio * x
        mean = (self._share * residual).sum(axis=(1, 2))
        square = (self._share * residual**2).sum(axis=(1, 2))
        # s²/n of the residuals; the sample variance has n - 1 below the line.
        # A stratum of one cell, which is sampled whole, has none.
        variance = np.maximum(square - mean**2, 0) / np.maximum(self._n - 1, 1)
        return float(np.sqrt((self._weight**2 * self._rest * variance).sum()) / below)


def _check(sample: SampleCounts) -> None:
    if not (sample.area_ha > 0).any():
        raise SettingsError("no stratum has an area: give hectares above 0")
    if not (np.isfinite(sample.area_ha).all() and (sample.area_ha >= 0).all()):
        raise SettingsError("the strata's areas must be hectares of at least 0")
    counts = sample.counts.sum(axis=(1, 2))
    least = np.full(len(counts), LEAST_SAMPLES)
    if sample.cells is not None:  # what is sampled whole has no error of sampling
        least = np.minimum(least, np.maximum(sample.cells, 1))
    few = [
        f"{name} has {n}"
        for name, n, wanted, area in zip(sample.strata, counts, least, sample.area_ha, strict=True)
        if area > 0 and n < wanted
    ]
    if few:
        raise SettingsError(
            f"each stratum needs two labelled samples at least, for its variance: "
            f"{', '.join(few)}: label more, or join strata"
        )


def assess_sample(path: Path | str, *, partial: bool = False) -> Assessment:
    """Accuracies and areas, with 95 % intervals, from a sample that has been labelled.

    The file is what `write_sample` wrote, labelled in QGIS, or a CSV table of counts: one row a
    class of the map, with the columns stratum, area_ha, and one for each class on the ground.
    With `partial` samples without a label are left out. Raises OutputError for another file,
    SettingsError where labels are missing, foreign or too few.
    """
    path = Path(path)
    counts, empty = read_counts(path, partial=partial)
    left_out = {}
    if path.suffix.lower() not in TABLES and has_layer(path, LEFT_OUT):
        columns = read_columns(path, LEFT_OUT)
        left_out = dict(zip(columns["status"].tolist(), columns["area_ha"].tolist(), strict=True))
    return replace(assess_counts(counts), unlabelled=empty, left_out_ha=left_out)


TABLES = (".csv", ".tsv", ".txt")
"""Suffixes of tables of counts."""


def read_counts(path: Path, *, partial: bool = False) -> tuple[SampleCounts, int]:
    """Counts of a labelled sample or of a table, and how many samples are not labelled."""
    if path.suffix.lower() in TABLES:
        return read_table(path), 0
    return read_sample(path, partial=partial)


LEFT_OUT = "left_out"
"""The table of a sample's file that says which area was not sampled."""


def read_sample(path: Path | str, *, partial: bool = False) -> tuple[SampleCounts, int]:
    """The counts of a labelled sample, and how many samples are not labelled.

    Raises OutputError where the file is no sample, SettingsError where it has labels that none
    of its classes bears, or, unless `partial`, rows without a label.
    """
    path = Path(path)
    if not path.is_file():
        raise OutputError(f"no sample at {path}: check the path")
    sample, design, strata = (read_columns(path, name) for name in ("sample", "design", "strata"))
    try:
        names = [str(name) for name in strata["stratum"]]
        labels = dict(zip(sample["sample_id"].tolist(), sample["reference"], strict=True))
        drawn = list(zip(design["sample_id"], design["stratum"], design["map_class"], strict=True))
        cells = strata["cells"].astype(float)
        area = strata["area_ha"].astype(float)
    except KeyError as error:
        raise OutputError(
            f"{path} is no sample of geoclass: it lacks the column {error}"
        ) from error
    except (ValueError, TypeError) as error:
        raise OutputError(f"{path} is damaged ({error}): draw the sample anew") from error
    for column, values in (("cells", cells), ("area_ha", area)):
        if not ((values >= 0) & (values < 1e15)).all():
            raise OutputError(
                f"{path} has strata whose {column} are no numbers from 0: draw it anew"
            )
    given = {i: label for i, label in labels.items() if isinstance(label, str) and label.strip()}
    foreign = sorted({label for label in given.values() if label.strip() not in names})
    if foreign:
        raise SettingsError(
            f"{path} has labels that are no class of it: {', '.join(foreign)}; "
            f"known are {', '.join(names)}"
        )
    empty = sum(i not in given for i, _, _ in drawn)
    if empty and not partial:
        raise SettingsError(
            f"{empty} of {len(drawn)} samples in {path} are not labelled: label them, or give "
            "--partial to go on without them"
        )
    counts = np.zeros((len(names),) * 3, dtype=np.int64)
    try:
        for number, stratum, mapped in drawn:
            if number in given:
                place = names.index(given[number].strip())
                counts[names.index(stratum), names.index(mapped), place] += 1
    except ValueError as error:  # of a design that is not that of these strata
        raise OutputError(f"{path} is damaged ({error}): draw the sample anew") from error
    return (
        SampleCounts(
            names=tuple(names),
            strata=tuple(names),
            area_ha=area,
            counts=counts,
            cells=cells.astype(np.int64),
        ),
        empty,
    )
