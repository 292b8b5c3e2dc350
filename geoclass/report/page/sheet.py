"""What a page shows of one place: plain numbers, texts and rasters, whatever file they are from."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from PIL import Image

from geoclass.grid import Grid
from geoclass.landcover import MASK_REASONS
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.monitor.change import PROBABILITY_COLORS, PROBABILITY_EDGES
from geoclass.products.styles import CONFIDENCE_COLORS, CONFIDENCE_EDGES
from geoclass.report.quicklook import Ground, measure_ground

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
    chip: np.ndarray | None = None
    """uint8 (h, w, 4): before and after."""


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


PICTURE_QUALITY = 70
"""Of WebP: higher ones double the page and cannot be told apart under a map."""


class Pool:
    """Texts that stand in the page once, however often they are used."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def add(self, text: str) -> int:
        """The place of a text."""
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(text)
        return self._places[text]


def describe_sheets(sheets: Sequence[Sheet]) -> dict[str, Any]:
    """What the page's program reads."""
    pool = Pool()
    described = [_describe_sheet(sheet, pool) for sheet in sheets]
    return {
        "sheets": described,
        "texts": pool.texts,
        "reasons": MASK_REASONS,
        "ramps": {
            "confidence": describe_ramp(CONFIDENCE_EDGES, CONFIDENCE_COLORS),
            "change": describe_ramp(PROBABILITY_EDGES, PROBABILITY_COLORS),
        },
    }


def describe_ramp(edges: Sequence[float], colors: Sequence[str]) -> list[dict[str, Any]]:
    """Shades of percents: each from its edge to the next."""
    return [
        {"from": round(100 * low), "to": round(100 * high), "color": color}
        for low, high, color in zip(edges[:-1], edges[1:], colors, strict=True)
    ]


def _describe_sheet(sheet: Sheet, pool: Pool) -> dict[str, Any]:
    base = sheet.steps[0].grid
    ground = measure_ground(base)
    to_page = _Page(base, ground)
    return {
        "legend": _describe_entries(sheet.legend),
        "observed": _describe_entries(sheet.observed),
        "metric": ground is not None,
        "north": ground.north_deg if ground else None,
        "steps": [_describe_step(step, to_page, pool) for step in sheet.steps],
        "change": None if sheet.change is None else pool.add(encode_plane(sheet.change)),
        "outlines": [
            {
                "number": item.number,
                "color": item.color,
                "day": item.first_gone.isoformat(),
                "rings": [[to_page.locate(col, row) for col, row in ring] for ring in item.rings],
                "chip": None if item.chip is None else pool.add(encode_picture(item.chip)),
            }
            for item in sheet.outlines
        ],
    }


class _Page:
    """From pixels of a sheet's first grid to the page's coordinates: metres right and down.

    Pixels of a grid without a place stand for themselves.
    """

    def __init__(self, base: Grid, ground: Ground | None) -> None:
        self._base = base
        self._width = ground.pixel_width_m if ground else 1.0
        self._height = ground.pixel_height_m if ground else 1.0

    def locate(self, col: float, row: float) -> list[float]:
        return [round(col * self._width, 2), round(row * self._height, 2)]

    def place(self, grid: Grid) -> dict[str, Any]:
        """Where a grid of the same place lies."""
        between = ~self._base.transform @ grid.transform
        left, top = self.locate(between.c, between.f)
        right, bottom = self.locate(*(between @ (grid.width, grid.height)))
        full_right, full_bottom = self.locate(
            *(between @ (grid.cols * grid.stride, grid.rows * grid.stride))
        )
        return {
            "rows": grid.rows,
            "cols": grid.cols,
            "extent": [left, top, right, bottom],
            "full": [left, top, full_right, full_bottom],
        }


def _describe_step(step: Step, page: _Page, pool: Pool) -> dict[str, Any]:
    grid = step.grid
    weights = grid.pixel_counts() if grid.crs is None else grid.areas_ha()
    picture = step.picture
    return {
        "label": step.label,
        "day": step.day and step.day.isoformat(),
        **page.place(grid),
        "planes": {name: pool.add(encode_plane(plane)) for name, plane in step.planes.items()},
        "weights": pool.add(encode_plane(weights.astype("<f4"))),
        "picture": None if picture is None else pool.add(encode_picture(picture.pixels)),
        "pictureLabel": "" if picture is None else picture.label,
    }


def _describe_entries(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [{"code": e.code, "title": e.title, "color": e.color} for e in entries]


def encode_plane(plane: np.ndarray) -> str:
    """The bytes of an array, deflated, as base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(plane).tobytes(), 6)).decode()


def encode_picture(pixels: np.ndarray) -> str:
    """Uint8 (h, w, 4) as the address of a WebP picture that holds it."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", quality=PICTURE_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
