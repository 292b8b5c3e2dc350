"""How layers and rasters are drawn: plain data, of which `qml` and `sld` make files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from geoclass.legend import STATUS_STYLES, Legend

# ColorBrewer's YlGnBu, five classes: light is unsure, dark is sure, also in grey and for
# colour-blind readers.
CONFIDENCE_COLORS = ("#ffffcc", "#a1dab4", "#41b6c4", "#2c7fb8", "#253494")
CONFIDENCE_EDGES = (0.0, 0.5, 0.7, 0.85, 0.95, 1.0)

CLASSIFIED_COLOR = "#41b6c4"

CLASS_BAND, CONFIDENCE_BAND = 1, 2
"""Of a land-cover map as GeoTIFF; confidence is in percent."""

Aliases = Sequence[tuple[str, str]]
"""(column, name for people)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One value and its colour."""

    value: str | int
    label: str
    color: str
    """`#rrggbb`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """A range of numbers and its colour; the upper end belongs to the range above, if any."""

    lower: float
    upper: float
    label: str
    color: str
    """`#rrggbb`."""


Entries = Sequence[Category | Shade]
"""The lines of a legend, all of one kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpan:
    """The columns that say from when to when a feature is shown."""

    start: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """A column that people fill in from a list."""

    column: str
    options: Sequence[tuple[str, str]]
    """(label, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStyle:
    """How polygons are drawn, by one of their columns."""

    title: str
    """What the style shows, in a few words."""
    column: str
    entries: Entries
    aliases: Aliases = ()
    span: TimeSpan | None = None
    choices: Choices | None = None
    picture: str | None = None
    """The column that names a picture, as seen from the file's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterStyle:
    """How one band is drawn."""

    title: str
    band: int
    """Counted from 1."""
    entries: Entries


Style = VectorStyle | RasterStyle


def list_codes(legend: Legend) -> list[Category]:
    """All classes by number, then the statuses that are drawn."""
    classes = [Category(value=c.class_id, label=c.title, color=c.color) for c in legend.classes]
    return classes + [Category(value=s.code, label=s.title, color=s.color) for s in STATUS_STYLES]


def list_classes(legend: Legend) -> list[Category]:
    """All classes by name, then the statuses that are drawn."""
    classes = [Category(value=c.name, label=c.title, color=c.color) for c in legend.classes]
    return classes + list_statuses()


def list_statuses() -> list[Category]:
    """The statuses of cells that are drawn without a class."""
    return [Category(value=s.name, label=s.title, color=s.color) for s in STATUS_STYLES]


def list_shares(edges: Sequence[float], colors: Sequence[str]) -> list[Shade]:
    """Shades of shares from edge to edge, 0–1, labelled in percent."""
    return [
        Shade(lower=lower, upper=upper, label=f"{lower:.0%} – {upper:.0%}", color=color)
        for (lower, upper), color in zip(pairwise(edges), colors, strict=True)
    ]


def map_styles(legend: Legend, aliases: Aliases) -> dict[str, VectorStyle]:
    """The styles of polygons with these columns by name, the default first."""
    classified = Category(value="classified", label="Classified", color=CLASSIFIED_COLOR)
    styles = {
        "Class": VectorStyle(
            title="Land-cover classes",
            column="class_id",
            entries=list_codes(legend),
            aliases=aliases,
        ),
        "Confidence": VectorStyle(
            title="How sure the classifier is",
            column="confidence",
            entries=list_shares(CONFIDENCE_EDGES, CONFIDENCE_COLORS),
            aliases=aliases,
        ),
        "Status": VectorStyle(
            title="Which cells have a class",
            column="status",
            entries=[classified, *list_statuses()],
            aliases=aliases,
        ),
    }
    columns = dict(aliases)
    return {name: style for name, style in styles.items() if style.column in columns}


def raster_styles(legend: Legend) -> Mapping[str, RasterStyle]:
    """The styles of a land-cover map's bands by name, the default first."""
    # Between whole percents, so that programs agree that include the upper end or do not.
    shades = [
        Shade(
            lower=100 * shade.lower - 0.5,
            upper=100 * shade.upper - (0.5 if shade.upper < 1 else -0.5),
            label=shade.label,
            color=shade.color,
        )
        for shade in list_shares(CONFIDENCE_EDGES, CONFIDENCE_COLORS)
    ]
    return {
        "Class": RasterStyle(
            title="Land-cover classes", band=CLASS_BAND, entries=list_codes(legend)
        ),
        "Confidence": RasterStyle(
            title="How sure the classifier is", band=CONFIDENCE_BAND, entries=shades
        ),
    }
