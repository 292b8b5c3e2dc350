"""Contents of a report page: a sheet for each place, with its dates, rasters and numbers."""

import base64
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from geoclass.grid import Grid
from geoclass.landcover import MASK_REASONS
from geoclass.legend import MASKED, NODATA, UNKNOWN, LegendEntry
from geoclass.monitor.change import PROBABILITY_COLORS, PROBABILITY_EDGES
from geoclass.monitor.history import Alert
from geoclass.products.styles import CONFIDENCE_COLORS, CONFIDENCE_EDGES
from geoclass.report.quicklook import measure_ground

Fact = tuple[str, str]

BINS = 10  # of the histogram of confidence

NO_PERCENT = 255
"""Value of a raster of percentages where there is none."""

PICTURE_QUALITY = 70
"""WebP: higher values double the size of the page without a visible difference below a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaLine:
    """Area of one class, group or status."""

    title: str
    color: str | None
    """None for a group."""
    cells: int
    area_ha: float
    """NaN if the map has no coordinate reference system."""
    share: float
    """Fraction of the cells with data, 0–1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaBlock:
    """The classes of one group, or the statuses."""

    group: str | None
    """None for the statuses."""
    head: AreaLine | None
    """The sum; None for a single class and for statuses."""
    lines: tuple[AreaLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A scene below a map."""

    pixels: np.ndarray
    """uint8 (h, w, 4), on the extent of the map's grid; transparent where the scene has no data."""
    label: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One date, or one map without a date."""

    label: str
    day: date | None
    grid: Grid
    entries: Sequence[LegendEntry]
    codes: np.ndarray
    """uint8 (rows, cols): class ids of `entries`, or 255."""
    confidence: np.ndarray
    """float (rows, cols), 0–1 or NaN."""
    more: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Other rasters, uint8 (rows, cols): `best`, the most probable class, `reason` of a mask, and
    `seen`, the class in the map of this date."""
    facts: tuple[Fact, ...] = ()
    caveats: tuple[str, ...] = ()
    picture: Picture | None = None

    @property
    def planes(self) -> dict[str, np.ndarray]:
        """All rasters, uint8 (rows, cols); `confidence` in percent."""
        return {"class": self.codes, "confidence": as_percent(self.confidence), **self.more}

    @cached_property
    def areas(self) -> tuple[AreaBlock, ...]:
        """Areas by group and class, and of the statuses that occur."""
        area_ha = self.grid.areas_ha()
        weights = area_ha if self.grid.crs is not None else self.grid.pixel_counts()
        cells, hectares, weight = (
            np.bincount(self.codes.ravel(), part.ravel(), minlength=256)
            for part in (np.ones_like(area_ha), area_ha, weights)
        )
        total = float(weight[:NODATA].sum())

        def add_up(title: str, color: str | None, codes: list[int]) -> AreaLine:
            share = float(weight[codes].sum()) / total if total else 0.0
            area = float(hectares[codes].sum()) if self.grid.crs is not None else np.nan
            count = int(cells[codes].sum())
            return AreaLine(title=title, color=color, cells=count, area_ha=area, share=share)

        blocks = []
        for group in dict.fromkeys(entry.group for entry in self.entries):
            members = [e for e in self.entries if e.group == group and (group or cells[e.class_id])]
            lines = tuple(add_up(e.title, e.color, [e.class_id]) for e in members)
            head = None
            if group and len(lines) > 1:
                head = add_up(name_group(group), None, [e.class_id for e in members])
            if lines:
                blocks.append(AreaBlock(group=group, head=head, lines=lines))
        return tuple(blocks)

    @cached_property
    def histogram(self) -> tuple[float, ...]:
        """Fraction of the classified cells in each bin of confidence, 0–1."""
        counts, _ = np.histogram(self._known, bins=BINS, range=(0, 1))
        return tuple((counts / max(1, len(self._known))).tolist())

    @property
    def mean_confidence(self) -> float:
        """0–1; NaN without classified cells."""
        return float(self._known.mean()) if len(self._known) else float("nan")

    @property
    def _known(self) -> np.ndarray:
        return self.confidence[~np.isnan(self.confidence)]

    @property
    def cells(self) -> int:
        """Number of cells with data."""
        return int((self.codes != NODATA).sum())

    @property
    def unknown_share(self) -> float:
        """Fraction of the cells with data, 0–1."""
        return float((self.codes == UNKNOWN).sum()) / max(1, self.cells)

    @property
    def masked_share(self) -> float:
        """Fraction of the cells with data, 0–1."""
        return float((self.codes == MASKED).sum()) / max(1, self.cells)

    @property
    def area_ha(self) -> float:
        """Of the cells with data; NaN if the map has no coordinate reference system."""
        return sum(line.area_ha for block in self.areas for line in block.lines)

    @property
    def most(self) -> AreaLine:
        """The group, single class or status with the largest area."""
        lines = [line for b in self.areas for line in ([b.head] if b.head else b.lines)]
        return max(lines, key=lambda line: line.share)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """An alert on the map."""

    alert: Alert
    became: str
    color: str
    rings: tuple[tuple[tuple[float, float], ...], ...]
    """Closed, as (column, row) of the grid's pixels."""
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
    legend: tuple[LegendEntry, ...]
    steps: tuple[Step, ...]
    """In order of time."""
    observed: tuple[LegendEntry, ...] = ()
    """Legend of the raster `seen`."""
    change: np.ndarray | None = None
    """uint8 (rows, cols): probability of change in percent, 255 if there is none."""
    outlines: tuple[Outline, ...] = ()
    matrix: Matrix | None = None
    curves: tuple[Curve, ...] = ()
    curves_note: str = ""
    facts: tuple[Fact, ...] = ()
    caveats: tuple[str, ...] = ()
    attribution: str = ""
    """Credit that the licence of the images requires."""
    findings: tuple[str, ...] = ()
    """Main results, in sentences."""


def name_group(group: str) -> str:
    """`built_up` → Built up."""
    return group.replace("_", " ").capitalize() if group.islower() else group


def as_percent(values: np.ndarray) -> np.ndarray:
    """Float of any shape, 0–1 or NaN, to uint8 percents, 255 for NaN."""
    percents = np.rint(100 * np.nan_to_num(values))
    return np.where(np.isnan(values), NO_PERCENT, percents).astype(np.uint8)


def describe_sheets(sheets: Sequence[Sheet]) -> dict[str, Any]:
    """Input of the page's JavaScript; each text and raster is stored once, in `texts`."""
    places: dict[str, int] = {}

    def add(text: str) -> int:
        return places.setdefault(text, len(places))

    return {
        "sheets": [_describe_sheet(sheet, add) for sheet in sheets],
        "texts": list(places),
        "reasons": MASK_REASONS,
        "ramps": {
            "confidence": _describe_ramp(CONFIDENCE_EDGES, CONFIDENCE_COLORS),
            "change": _describe_ramp(PROBABILITY_EDGES, PROBABILITY_COLORS),
        },
    }


def _describe_ramp(edges: Sequence[float], colors: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"from": round(100 * low), "to": round(100 * high), "color": color}
        for low, high, color in zip(edges[:-1], edges[1:], colors, strict=True)
    ]


def _describe_sheet(sheet: Sheet, add: Callable[[str], int]) -> dict[str, Any]:
    base = sheet.steps[0].grid
    ground = measure_ground(base)
    # The page's coordinates are metres right and down, or pixels without a CRS.
    width, height = (ground.pixel_width_m, ground.pixel_height_m) if ground else (1.0, 1.0)

    def locate(col: float, row: float) -> list[float]:
        return [round(col * width, 2), round(row * height, 2)]

    def describe_step(step: Step) -> dict[str, Any]:
        grid, picture = step.grid, step.picture
        between = ~base.transform @ grid.transform
        corner = locate(between.c, between.f)
        weights = grid.pixel_counts() if grid.crs is None else grid.areas_ha()
        full = between @ (grid.cols * grid.stride, grid.rows * grid.stride)
        return {
            "label": step.label,
            "day": step.day and step.day.isoformat(),
            "rows": grid.rows,
            "cols": grid.cols,
            "extent": [*corner, *locate(*(between @ (grid.width, grid.height)))],
            "full": [*corner, *locate(*full)],
            "planes": {name: add(encode_plane(plane)) for name, plane in step.planes.items()},
            "weights": add(encode_plane(weights.astype("<f4"))),
            "picture": None if picture is None else add(encode_picture(picture.pixels)),
            "pictureLabel": "" if picture is None else picture.label,
        }

    return {
        "legend": _describe_entries(sheet.legend),
        "observed": _describe_entries(sheet.observed),
        "metric": ground is not None,
        "north": ground.north_deg if ground else None,
        "steps": list(map(describe_step, sheet.steps)),
        "change": None if sheet.change is None else add(encode_plane(sheet.change)),
        "outlines": [
            {
                "number": item.alert.alert_id,
                "color": item.color,
                "day": item.alert.first_gone.isoformat(),
                "rings": [[locate(col, row) for col, row in ring] for ring in item.rings],
                "chip": None if item.chip is None else add(encode_picture(item.chip)),
            }
            for item in sheet.outlines
        ],
    }


def _describe_entries(entries: Sequence[LegendEntry]) -> list[dict[str, Any]]:
    return [{"code": e.class_id, "title": e.title, "color": e.color} for e in entries]


def encode_plane(plane: np.ndarray) -> str:
    """The bytes of an array, deflated, as base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(plane).tobytes(), 6)).decode()


def encode_picture(pixels: np.ndarray) -> str:
    """Uint8 (h, w, 4) as the data URL of a WebP image."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", quality=PICTURE_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
