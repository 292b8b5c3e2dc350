"""Styles of layers and rasters, as data; `qml` writes them as QML and SLD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from geoclass.legend import STATUS_STYLES, Legend

# ColorBrewer's YlGnBu, five classes; distinguishable in grey and for colour-blind readers.
CONFIDENCE_COLORS = ("#ffffcc", "#a1dab4", "#41b6c4", "#2c7fb8", "#253494")
CONFIDENCE_EDGES = (0.0, 0.5, 0.7, 0.85, 0.95, 1.0)

CLASSIFIED_COLOR = "#41b6c4"

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
    """A half-open range of numbers and its colour; the last range includes its upper end."""

    lower: float
    upper: float
    label: str
    color: str
    """`#rrggbb`."""


Entries = Sequence[Category | Shade]
"""The lines of a legend, all of one kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpan:
    """Columns with the first and last date of a feature."""

    start: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """A column with a drop-down list in the form."""

    column: str
    options: Sequence[tuple[str, str]]
    """(label, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStyle:
    """Style of polygons by one column."""

    title: str
    """Short description."""
    column: str
    entries: Entries
    aliases: Aliases = ()
    span: TimeSpan | None = None
    choices: Choices | None = None
    picture: str | None = None
    """Column with the path of a picture, relative to the file's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterStyle:
    """Style of one band."""

    title: str
    band: int
    """From 1."""
    entries: Entries


Style = VectorStyle | RasterStyle


def list_codes(legend: Legend) -> list[Category]:
    """All classes and drawn statuses by number."""
    return [Category(value=e.class_id, label=e.title, color=e.color) for e in legend.entries]


def list_classes(legend: Legend) -> list[Category]:
    """All classes and drawn statuses by name."""
    return [Category(value=e.name, label=e.title, color=e.color) for e in legend.entries]


def list_shares(edges: Sequence[float], colors: Sequence[str]) -> list[Shade]:
    """Ranges between consecutive edges, 0–1, labelled in percent."""
    return [
        Shade(lower=lower, upper=upper, label=f"{lower:.0%} – {upper:.0%}", color=color)
        for (lower, upper), color in zip(pairwise(edges), colors, strict=True)
    ]


def map_styles(legend: Legend, aliases: Aliases) -> dict[str, VectorStyle]:
    """The styles of polygons with these columns by name, the default first."""
    classified = Category(value="classified", label="Classified", color=CLASSIFIED_COLOR)
    statuses = [Category(value=s.name, label=s.title, color=s.color) for s in STATUS_STYLES]
    styles = {
        "Class": VectorStyle(
            title="Land-cover classes",
            column="class_id",
            entries=list_codes(legend),
            aliases=aliases,
        ),
        "Confidence": VectorStyle(
            title="Confidence of the classifier",
            column="confidence",
            entries=list_shares(CONFIDENCE_EDGES, CONFIDENCE_COLORS),
            aliases=aliases,
        ),
        "Status": VectorStyle(
            title="Which cells have a class",
            column="status",
            entries=[classified, *statuses],
            aliases=aliases,
        ),
    }
    columns = dict(aliases)
    return {name: style for name, style in styles.items() if style.column in columns}


def raster_styles(legend: Legend) -> Mapping[str, RasterStyle]:
    """The styles of a land-cover map's bands by name, the default first."""
    # Edges between whole percents: programs differ in whether a range includes its upper end.
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
        "Class": RasterStyle(title="Land-cover classes", band=1, entries=list_codes(legend)),
        "Confidence": RasterStyle(title="Confidence of the classifier", band=2, entries=shades),
    }
