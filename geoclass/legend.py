"""Land-cover classes: their numbers, names, colours and groups.

A legend travels with the model into every map, so that all writers agree.
"""

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
"""What these codes are called, so that no class may be."""

MAX_CLASSES = 250

MOST_LETTERS = 200
"""Of a name, title or group."""

_TEXTS = ("name", "title", "color", "group")
"""All that JSON says of a class; its place says its number."""

_HEX_COLOR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LandClass:
    """One kind of land cover."""

    class_id: int
    """0 … 249; the index of the network's output."""
    name: str
    """As the data set names it, for example `AnnualCrop`."""
    title: str
    """As a map reader sees it, for example `Annual crop`."""
    color: str
    """`#rrggbb`, lower case."""
    group: str
    """The coarser class that areas are reported for, for example `crops`."""

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

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green, blue, 0 … 255 each."""
        return _rgb(self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusStyle:
    """How cells without a class are named and coloured."""

    code: int
    name: str
    title: str
    color: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green, blue, 0 … 255 each."""
        return _rgb(self.color)


STATUS_STYLES = (
    StatusStyle(code=UNKNOWN, name="unknown", title="Unknown", color="#b4b4b4"),
    StatusStyle(code=MASKED, name="masked", title="Masked", color="#f5f5f5"),
)
"""Cells that are drawn although they have no class; nodata cells are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """The ordered classes of a model; class i stands at place i."""

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

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data, one dictionary a class."""
        return [{key: getattr(c, key) for key in _TEXTS} for c in self.classes]

    @classmethod
    def from_json(cls, items: Sequence[Mapping[str, Any]]) -> Legend:
        """The legend that `to_json` described."""
        if not isinstance(items, list | tuple):
            raise ValueError(f"legend must be a list, got {shorten(items)}")  # noqa: TRY004
        for item in items:
            if not isinstance(item, Mapping) or item.keys() != set(_TEXTS):
                raise ValueError(f"a class must have {', '.join(_TEXTS)}, got {shorten(item)}")
        return cls(classes=tuple(LandClass(class_id=i, **item) for i, item in enumerate(items)))

    @classmethod
    def for_names(cls, names: Sequence[str], known: Legend | None = None) -> Legend:
        """A legend for a data set's classes.

        Those that `known`, or else EuroSAT, has by the same name look as there; the others get
        colours of their own, and are groups of their own.
        """
        looks = {c.name: c for legend in (EUROSAT, known or EUROSAT) for c in legend.classes}
        colors = _find_colors([looks[name].rgb for name in names if name in looks])
        return cls(
            classes=tuple(
                replace(looks[name], class_id=i)
                if name in looks
                else LandClass(class_id=i, name=name, title=name, color=next(colors), group=name)
                for i, name in enumerate(names)
            )
        )

    def described(self, text: str | bytes) -> Legend:
        """This legend with other titles, colours and groups, as a `legend.json` says.

        Raises ValueError for text of another form, and for a name that is none of the classes.
        """
        changes = parse_json(text, dict[str, dict[str, str]], what="the legend")
        foreign = sorted(set(changes) - set(self.names))
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: no such class")
        return Legend(classes=tuple(_describe(c, changes.get(c.name, {})) for c in self.classes))


LEGEND_FORM = '{"<class>": {"title": …, "color": "#rrggbb", "group": …}}'
"""What a `legend.json` looks like; whatever it leaves out stays as it is."""

_DESCRIBABLE = ("color", "group", "title")


def _describe(item: LandClass, changes: Mapping[str, Any]) -> LandClass:
    other = sorted(set(changes) - set(_DESCRIBABLE))
    if other:
        said = ", ".join(_DESCRIBABLE)
        raise ValueError(f"{', '.join(other)} of {item.name}: only {said} can be given")
    for key, value in changes.items():
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{key} of {item.name} must be a text, got {value!r}")
        value.encode()  # ValueError for half a surrogate pair, which no map can hold
    changes = {key: value.lower() if key == "color" else value for key, value in changes.items()}
    return replace(item, **changes)


def read_legend(path: Path | str, legend: Legend) -> Legend:
    """The legend with what a file like `legend.json` says; SettingsError where it is none."""
    try:
        return legend.described(read_file(Path(path)))
    except OSError as error:
        raise SettingsError(f"cannot read the legend {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(
            f"the legend {path} cannot be used ({error}): expected {LEGEND_FORM} with classes "
            f"among {', '.join(legend.names)}"
        ) from error


# Found one after the other, each as far as can be from those before and from the colours of
# statuses, for normal and for colour-blind eyes: the first have the most distance.
_DISTINCT = (
    "#1f4e9e", "#52410d", "#dc2f63", "#75ee63", "#cb75ff", "#0d8697", "#a8970d",
    "#750d52", "#52750d", "#ffcbff", "#ff8686", "#7563dc", "#52bacb", "#865241",
    "#755275", "#2f1e97", "#97cba8", "#8686ba", "#ee41a8", "#2f7563",
)  # fmt: skip


_NEAR = 60
"""Colours nearer than this in red, green and blue are hard to tell apart."""


def _find_colors(taken: Sequence[tuple[int, int, int]]) -> Iterator[str]:
    """Colours for classes that have none, away from those that are taken."""
    for number in itertools.count():
        color = _DISTINCT[number] if number < len(_DISTINCT) else _spin_color(number)
        if all(math.dist(_rgb(color), other) >= _NEAR for other in taken):
            yield color


def _spin_color(number: int) -> str:
    # The golden angle keeps neighbouring hues far apart for any number of classes;
    # alternating lightness separates the hues that come close after a full turn.
    hue = (number * 0.618034) % 1.0
    lightness = (0.45, 0.6, 0.35)[number % 3]
    red, green, blue = (round(255 * v) for v in colorsys.hls_to_rgb(hue, lightness, 0.65))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _eurosat() -> Legend:
    rows = (
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
    return Legend.from_json(
        [{"name": n, "title": t, "color": c, "group": g} for n, t, c, g in rows]
    )


EUROSAT = _eurosat()
"""The ten classes of EuroSAT in alphabetical order (Helber et al. 2019).

Any two of them, and any of them and a status, differ by 10 or more (ΔE2000) for people who see
no red or no green, and by 15 for all others.
"""
