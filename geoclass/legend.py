"""Land-cover classes: numbers, names, colours and groups, stored in each model and map."""

from __future__ import annotations

import colorsys
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

from geoclass.errors import SettingsError
from geoclass.outside import has_controls, parse_json, read_file

UNKNOWN, MASKED, NODATA = 253, 254, 255
"""Codes of cells without a class, the same in every format."""

STATUSES = ("unknown", "masked", "nodata")
"""Names of these codes, reserved: no class may have them."""

MAX_CLASSES = 250

MOST_LETTERS = 200
"""Maximum length of a name, title or group."""

_TEXTS = ("name", "title", "color", "group")
"""Fields of a class in JSON; its position is its number."""

_HEX_COLOR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """A class or a status: its code, names and colour."""

    class_id: int
    """0 … 249 for classes: the index of the network's output."""
    name: str
    """Name in the data set, for example `AnnualCrop`."""
    title: str
    """Name in maps, for example `Annual crop`."""
    color: str
    """`#rrggbb`, lower case."""
    group: str | None = None
    """Coarser class that areas are reported for, for example `crops`; None for a status."""

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green, blue, 0 … 255 each."""
        return parse_color(self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class LandClass(LegendEntry):
    """One land-cover class; ValueError for invalid values."""

    group: str

    def __post_init__(self) -> None:
        if not 0 <= self.class_id < MAX_CLASSES:
            raise ValueError(f"class_id must be 0 … {MAX_CLASSES - 1}, got {self.class_id}")
        for key in _TEXTS:
            if not isinstance(value := getattr(self, key), str):
                raise ValueError(f"{key} of a class must be a text, got {shorten(value)}")  # noqa: TRY004
            if len(value) > MOST_LETTERS or has_controls(value):
                raise ValueError(
                    f"{key} of a class must be at most {MOST_LETTERS} letters, without controls "
                    f"and line breaks, got {shorten(value)}"
                )
        if not self.name or self.name.casefold() in STATUSES:
            raise ValueError(
                f"a class needs a name, other than {', '.join(STATUSES)}, got {self.name!r}"
            )
        if not _HEX_COLOR.fullmatch(self.color):
            raise ValueError(
                f"color of {self.name} must look like #1b6e2e, got {shorten(self.color)}"
            )


STATUS_STYLES = (
    LegendEntry(class_id=UNKNOWN, name="unknown", title="Unknown", color="#b4b4b4"),
    LegendEntry(class_id=MASKED, name="masked", title="Masked", color="#f5f5f5"),
)
"""Statuses that are drawn; nodata cells are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """The ordered classes of a model; class i is at index i."""

    classes: tuple[LandClass, ...]

    def __post_init__(self) -> None:
        if [c.class_id for c in self.classes] != list(range(len(self.classes))):
            raise ValueError(f"class ids must be 0, 1, 2, …, got {self.ids}")
        if len(set(self.names)) != len(self.classes):
            raise ValueError(f"class names must differ, got {shorten(self.names)}")

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, class_id: int) -> LandClass:
        return self.classes[class_id]

    @property
    def ids(self) -> list[int]:
        """The class ids in order."""
        return [c.class_id for c in self.classes]

    @property
    def names(self) -> list[str]:
        """The class names in order."""
        return [c.name for c in self.classes]

    @property
    def entries(self) -> tuple[LegendEntry, ...]:
        """The classes in order, then the statuses that are drawn."""
        return (*self.classes, *STATUS_STYLES)

    @property
    def groups(self) -> list[str]:
        """The groups, in the order of their first classes."""
        return list(dict.fromkeys(c.group for c in self.classes))

    def to_json(self) -> list[dict[str, Any]]:
        """JSON data, one dictionary per class."""
        return [{key: getattr(c, key) for key in _TEXTS} for c in self.classes]

    @classmethod
    def from_json(cls, items: Sequence[Mapping[str, Any]]) -> Legend:
        """Inverse of `to_json`; ValueError for other data."""
        if not isinstance(items, list | tuple):
            raise ValueError(f"legend must be a list, got {shorten(items)}")  # noqa: TRY004
        for item in items:
            if not isinstance(item, Mapping) or item.keys() != set(_TEXTS):
                raise ValueError(f"a class must have {', '.join(_TEXTS)}, got {shorten(item)}")
        return cls(classes=tuple(LandClass(class_id=i, **item) for i, item in enumerate(items)))

    @classmethod
    def for_names(cls, names: Sequence[str], known: Legend | None = None) -> Legend:
        """A legend for a data set's classes.

        Classes with a name in `known`, or in EuroSAT, keep its title, colour and group. Other
        classes get a distinct colour, and each is its own group.
        """
        known_classes = {
            c.name: c for legend in (EUROSAT, known or EUROSAT) for c in legend.classes
        }
        colors = _find_colors([known_classes[name].rgb for name in names if name in known_classes])
        return cls(
            classes=tuple(
                replace(known_classes[name], class_id=i)
                if name in known_classes
                else LandClass(class_id=i, name=name, title=name, color=next(colors), group=name)
                for i, name in enumerate(names)
            )
        )

    def described(self, text: str | bytes) -> Legend:
        """This legend with the titles, colours and groups of a `legend.json`.

        Raises ValueError for text of another form and for unknown class names.
        """
        changes = parse_json(text, dict[str, dict[str, str]], what="the legend")
        foreign = sorted(set(changes) - set(self.names))
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: no such class")
        return Legend(classes=tuple(_describe(c, changes.get(c.name, {})) for c in self.classes))


LEGEND_FORM = '{"<class>": {"title": …, "color": "#rrggbb", "group": …}}'
"""Form of a `legend.json`; all fields are optional."""

_DESCRIBABLE = ("color", "group", "title")


def _describe(item: LandClass, changes: Mapping[str, Any]) -> LandClass:
    other = sorted(set(changes) - set(_DESCRIBABLE))
    if other:
        said = ", ".join(_DESCRIBABLE)
        raise ValueError(f"{', '.join(other)} of {item.name}: only {said} can be given")
    for key, value in changes.items():
        if not value.strip():
            raise ValueError(f"{key} of {item.name} must be a text, got {value!r}")
    changes = {key: value.lower() if key == "color" else value for key, value in changes.items()}
    return replace(item, **changes)


def read_legend(path: Path | str, legend: Legend) -> Legend:
    """The legend with the changes of a `legend.json` file; SettingsError if it is invalid."""
    try:
        return legend.described(read_file(Path(path)))
    except OSError as error:
        raise SettingsError(f"cannot read the legend {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(
            f"the legend {path} cannot be used ({error}): expected {LEGEND_FORM} with classes "
            f"among {', '.join(legend.names)}"
        ) from error


# Greedy search: each colour has the largest distance to those before it and to the statuses, for
# normal and colour-blind vision.
_DISTINCT = (
    "#1f4e9e", "#52410d", "#dc2f63", "#75ee63", "#cb75ff", "#0d8697", "#a8970d",
    "#750d52", "#52750d", "#ffcbff", "#ff8686", "#7563dc", "#52bacb", "#865241",
    "#755275", "#2f1e97", "#97cba8", "#8686ba", "#ee41a8", "#2f7563",
)  # fmt: skip

_NEAR = 60
"""Minimum RGB distance of colours that are easy to distinguish."""


def _find_colors(taken: Sequence[tuple[int, int, int]]) -> Iterator[str]:
    """Colours for classes that have none, distinct from those in use."""
    others = map(_spin_color, itertools.count(len(_DISTINCT)))
    for color in itertools.chain(_DISTINCT, others):
        if all(math.dist(parse_color(color), other) >= _NEAR for other in taken):
            yield color


def _spin_color(number: int) -> str:
    # The golden angle separates consecutive hues; alternating lightness separates hues that are
    # close after a full turn.
    hue = (number * 0.618034) % 1.0
    lightness = (0.45, 0.6, 0.35)[number % 3]
    red, green, blue = (round(255 * v) for v in colorsys.hls_to_rgb(hue, lightness, 0.65))
    return f"#{red:02x}{green:02x}{blue:02x}"


def parse_color(color: str) -> tuple[int, int, int]:
    """`#rrggbb` to red, green and blue, 0 … 255 each."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


_EUROSAT = (
    ("AnnualCrop", "Annual crop", "#f7d787", "crops"),
    ("Forest", "Forest", "#124a26", "forest"),
    ("HerbaceousVegetation", "Herbaceous vegetation", "#adac68", "grassland"),
    ("Highway", "Highway", "#4a4a4a", "built_up"),
    ("Industrial", "Industrial", "#9a59b6", "built_up"),
    ("Pasture", "Pasture", "#a1d2a6", "grassland"),
    ("PermanentCrop", "Permanent crop", "#e78d1c", "crops"),
    ("Residential", "Residential", "#d23c31", "built_up"),
    ("River", "River", "#68c7f4", "water"),
    ("SeaLake", "Sea or lake", "#114ba0", "water"),
)

EUROSAT = Legend.from_json([dict(zip(_TEXTS, row, strict=True)) for row in _EUROSAT])
"""The ten classes of EuroSAT in alphabetical order (Helber et al. 2019).

All colours, statuses included, differ by ΔE2000 ≥ 10 for colour-blind and ≥ 15 for normal vision.
"""
