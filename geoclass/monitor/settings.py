"""What a person may choose about change and monitoring; light enough for the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from geoclass.errors import SettingsError

States = Literal["classes", "groups"]
STATES: tuple[States, ...] = get_args(States)

Allocation = Literal["equal", "proportional", "neyman"]
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)

LEAST_A_STRATUM = 2
"""A variance needs two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRate:
    """How often one class or group turns into another, in place of the general rate."""

    old: str
    """Name of a class, or of a group: then of each of its classes."""
    new: str
    """Likewise."""
    rate: float
    """Changes a year and cell of the old class."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise SettingsError(
                f"the rate of {self.old} to {self.new} must be at least 0 and below 1 a year, "
                f"got {self.rate}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignSettings:
    """Which differences between maps are borne."""

    allow_mismatch: bool = False
    """Compare maps of other models or radiometries all the same, and say so."""
    resample: bool = False
    """Bring maps of other grids to the first one's, by the nearest cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSettings:
    """What is believed of the land and of the classifier before a map is seen."""

    rate: float = 0.0125
    """Changes of class a year and cell."""
    pairs: tuple[PairRate, ...] = ()
    """Exceptions from `rate`."""
    doubt: float = 0.005
    """Share of what the network says that is spread as validation confuses classes."""
    error_days: float = 120.0
    """How long errors of the classifier last: an observation Δ days after the one before counts
    1 − exp(−Δ / error_days); 0 where each date errs for itself."""
    states: States = "classes"
    """What is followed over time; classes within a group may change freely among groups."""

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise SettingsError(
                f"the rate must be above 0 and below 1 change a year, got {self.rate}"
            )
        if not 0 < self.doubt < 1:
            raise SettingsError(f"the doubt must be above 0 and below 1, got {self.doubt}")
        if not 0 <= self.error_days < math.inf:
            raise SettingsError(f"errors must last 0 days or more, got {self.error_days}")
        if self.states not in STATES:
            raise SettingsError(f"states must be {' or '.join(STATES)}, got {self.states!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """Choices that can change an alert."""

    watch: tuple[str, ...] = ("forest",)
    """Groups whose losses are reported."""
    min_area_ha: float = 0.5
    """Events whose cells cover less are left out."""
    min_probability: float = 0.4
    """An alert below it is left out."""
    series: SeriesSettings = SeriesSettings()
    align: AlignSettings = AlignSettings()

    def __post_init__(self) -> None:
        if not self.watch:
            raise SettingsError("name at least one group to watch, for example forest")
        if self.min_area_ha < 0:
            raise SettingsError(f"the least area must not be negative, got {self.min_area_ha}")
        if not 0 <= self.min_probability < 1:
            raise SettingsError(f"the least probability must be 0 … 1, got {self.min_probability}")


CUT_OFF = date(2020, 12, 31)
"""Land counts as deforested where its forest was cut after this day (EU) 2023/1115, article 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotSettings:
    """What is asked about plots of land."""

    forest_on: date = CUT_OFF
    """The day whose forest counts, and after which its loss does."""
    radius_m: float | None = None
    """A plot that is a point is the circle around it."""
    id_column: str | None = None
    """The column that names a plot; None takes external_id, id, plot_id, ProductionPlace or name,
    the first that there is."""

    def __post_init__(self) -> None:
        if self.radius_m is not None and not 0 < self.radius_m < math.inf:
            raise SettingsError(f"the radius must be above 0 metres, got {self.radius_m:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings:
    """How cells are drawn."""

    per_class: int = 50
    """Cells a stratum; other allocations share as many cells in all."""
    allocation: Allocation = "equal"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.per_class < LEAST_A_STRATUM:
            raise SettingsError(
                f"a stratum needs {LEAST_A_STRATUM} samples at least, for its variance; "
                f"got {self.per_class}"
            )
        if self.allocation not in ALLOCATIONS:
            raise SettingsError(
                f"the allocation must be {', '.join(ALLOCATIONS)}, got {self.allocation!r}"
            )
