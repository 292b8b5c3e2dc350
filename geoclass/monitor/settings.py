"""Settings of change and monitoring; imports little, because the command line reads them."""

import math
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from geoclass.errors import SettingsError

States = Literal["classes", "groups"]
Allocation = Literal["equal", "proportional", "neyman"]

MIN_PER_STRATUM = 2
"""Needed to estimate a variance."""


def _check(is_valid: bool, problem: str) -> None:
    if not is_valid:
        raise SettingsError(problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRate:
    """Rate of change from one class or group to another, instead of the general rate."""

    old: str
    """Name of a class, or of a group: then for each of its classes."""
    new: str
    """Name of a class or group."""
    rate: float
    """Changes per year and cell of the old class."""

    def __post_init__(self) -> None:
        rate = f"the rate of {self.old} to {self.new}"
        _check(0 <= self.rate < 1, f"{rate} must be at least 0 and below 1 a year, got {self.rate}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignSettings:
    """Maps that differ: which differences between maps are allowed."""

    allow_mismatch: bool = False
    """Compare maps of different models or radiometries, with a warning."""
    resample: bool = False
    """Resample maps of other grids to the first map's grid, by the nearest cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSettings:
    """Change model: priors for the land and for the errors of the classifier."""

    rate: float = 0.0125
    """Prior rate of class changes per cell and year."""
    pairs: tuple[PairRate, ...] = ()
    """Another rate for a pair of classes or groups; can be repeated."""
    doubt: float = 0.005
    """Fraction of the class probabilities that is spread by the validation confusion matrix."""
    error_days: float = 120.0
    """How many days classification errors last; closer dates count less; 0: errors are independent.

    An observation Δ days after the one before counts 1 − exp(−Δ / error_days).
    """
    states: States = "classes"
    """Follow classes or groups over time; within a group, classes may change freely."""

    def __post_init__(self) -> None:
        rate, doubt, days, states = self.rate, self.doubt, self.error_days, get_args(States)
        _check(0 < rate < 1, f"the rate must be above 0 and below 1 change a year, got {rate}")
        _check(0 < doubt < 1, f"the doubt must be above 0 and below 1, got {doubt}")
        _check(0 <= days < math.inf, f"errors must last 0 days or more, got {days}")
        told = f"states must be {' or '.join(states)}, got {self.states!r}"
        _check(self.states in states, told)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """Alerts: settings that can change an alert."""

    watch: tuple[str, ...] = ("forest",)
    """Groups whose losses are reported, separated by commas."""
    min_area_ha: float = 0.5
    """Minimum area of an alert, in hectares; half a cell is tolerated."""
    min_probability: float = 0.3
    """Minimum probability of an alert."""
    series: SeriesSettings = SeriesSettings()
    align: AlignSettings = AlignSettings()

    def __post_init__(self) -> None:
        area_ha, probability = self.min_area_ha, self.min_probability
        _check(bool(self.watch), "name at least one group to watch, for example forest")
        _check(area_ha >= 0, f"the minimum area must not be negative, got {area_ha}")
        _check(0 <= probability < 1, f"the minimum probability must be 0 … 1, got {probability}")

    @property
    def min_odds(self) -> float:
        """Log odds of the minimum probability."""
        p = self.min_probability
        return math.log(p / (1 - p)) if p else -math.inf


CUT_OFF = date(2020, 12, 31)
"""Land whose forest was cut after this date counts as deforested: (EU) 2023/1115, article 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotSettings:
    """Plots: settings of the assessment of plots."""

    forest_on: date = CUT_OFF
    """Reference day: forest on this day that is lost later counts as deforestation."""
    radius_m: float | None = None
    """Radius of the circle around a plot given as a point."""
    id_column: str | None = None
    """Column with the name of a plot. None: the first of external_id, id, plot_id,
    ProductionPlace and name."""

    def __post_init__(self) -> None:
        radius = 1.0 if self.radius_m is None else self.radius_m
        _check(0 < radius < math.inf, f"the radius must be above 0 metres, got {radius:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings:
    """Sample: selection of the cells."""

    per_class: int = 50
    """Cells per stratum; other allocations have the same total."""
    allocation: Allocation = "equal"
    """Allocation of cells to strata."""
    seed: int = 0
    """Seed of the random sample."""

    def __post_init__(self) -> None:
        number, known = self.per_class, get_args(Allocation)
        least = f"a stratum needs at least {MIN_PER_STRATUM} samples, for its variance"
        _check(number >= MIN_PER_STRATUM, f"{least}; got {number}")
        told = f"the allocation must be {', '.join(known)}, got {self.allocation!r}"
        _check(self.allocation in known, told)
