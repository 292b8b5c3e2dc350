"""What a page shows of one place: plain numbers, texts and rasters, whatever file they are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from geoclass.grid import Grid
from geoclass.legend import MASKED, NODATA, UNKNOWN

Fact = tuple[str, str]
"""What is told, and what of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the legend."""

    code: int
    title: str
    color: str
    group: str
    """Empty for a status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaLine:
    """How much of a map one class, group or status covers."""

    title: str
    color: str | None
    """None for a group."""
    cells: int
    area_ha: float
    """NaN where the map has no place on Earth."""
    share: float
    """0–1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaBlock:
    """The classes of one group, or the statuses; without a head where there is nothing to sum."""

    group: str
    """Empty for the statuses."""
    head: AreaLine | None
    """Their sum."""
    lines: tuple[AreaLine, ...]

    @property
    def largest(self) -> float:
        """Share of the largest line, 0–1."""
        return max(line.share for line in (*self.lines, *filter(None, [self.head])))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A scene behind a map."""

    pixels: np.ndarray
    """uint8 (h, w, 4), on the ground of the map's grid; clear where the scene has no data."""
    label: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """What is shown of one day, or of one map where days are unknown."""

    label: str
    day: date | None
    grid: Grid
    planes: Mapping[str, np.ndarray]
    """uint8 (rows, cols) by name: `class`, `confidence` in percent; perhaps `best`, the likeliest
    class, `reason` of a mask, and `seen`, what the map of that day said."""
    areas: tuple[AreaBlock, ...]
    histogram: tuple[float, ...]
    """Share of the classified cells in each tenth of confidence, 0–1."""
    mean_confidence: float
    """0–1; NaN where nothing is classified."""
    facts: tuple[Fact, ...] = ()
    """Where it comes from."""
    caveats: tuple[str, ...] = ()
    picture: Picture | None = None

    @property
    def unknown_share(self) -> float:
        """Of the cells with data, 0–1."""
        return self._share_of(UNKNOWN)

    @property
    def masked_share(self) -> float:
        """Of the cells with data, 0–1."""
        return self._share_of(MASKED)

    @property
    def cells(self) -> int:
        """Cells with data."""
        return int((self.planes["class"] != NODATA).sum())

    @property
    def area_ha(self) -> float:
        """Of the cells with data; NaN where the map has no place on Earth."""
        return sum(line.area_ha for block in self.areas for line in block.lines)

    @property
    def most(self) -> AreaLine:
        """The group, or the class that is one, or the status, that covers most."""
        lines = [line for b in self.areas for line in ([b.head] if b.head else b.lines)]
        return max(lines, key=lambda line: line.share)

    def _share_of(self, code: int) -> float:
        return float((self.planes["class"] == code).sum()) / max(1, self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A loss, drawn on the map."""

    number: int
    rings: tuple[tuple[tuple[float, float], ...], ...]
    """Closed, as (column, row) of the grid's pixels."""
    color: str
    level: str
    group: str
    became: str
    last_seen: date
    first_gone: date
    probability: float
    confirmations: int
    area_ha: float
    zones: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Hectares from class (row) to class (column)."""

    caption: str
    titles: tuple[str, ...]
    hectares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The area of one group over time."""

    title: str
    color: str
    days: tuple[date, ...]
    area_ha: tuple[float, ...]
    low_ha: tuple[float, ...] = ()
    """Empty where there is no interval."""
    high_ha: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """One place."""

    title: str
    kind: str
    """What it is, for people."""
    legend: tuple[Entry, ...]
    steps: tuple[Step, ...]
    """In order of time."""
    observed: tuple[Entry, ...] = ()
    """What the codes of the plane `seen` mean."""
    change: np.ndarray | None = None
    """uint8 (rows, cols): probability of change in percent, 255 where there is none."""
    outlines: tuple[Outline, ...] = ()
    matrix: Matrix | None = None
    curves: tuple[Curve, ...] = ()
    curves_note: str = ""
    facts: tuple[Fact, ...] = ()
    caveats: tuple[str, ...] = ()
    attribution: str = ""
    """What the licence of the scenes' data wants to be said."""
    findings: tuple[str, ...] = ()
    """What was found, in sentences."""
