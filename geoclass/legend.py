"""Land-cover classes: their numbers, names, colours and groups.

A legend travels with the model into every map, so that all writers agree.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

UNKNOWN, MASKED, NODATA = 253, 254, 255
"""Codes of cells without a class, the same in every format."""

MAX_CLASSES = 250

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
        if not self.name:
            raise ValueError("a class needs a name")
        if not _HEX_COLOR.fullmatch(self.color):
            raise ValueError(f"color must look like #1b6e2e, got {self.color!r}")

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
    StatusStyle(code=UNKNOWN, name="unknown", title="Unknown", color="#bdbdbd"),
    StatusStyle(code=MASKED, name="masked", title="Masked", color="#f0f0f0"),
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
            raise ValueError(f"class names must differ, got {', '.join(self.names)}")

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
        return [
            {"name": c.name, "title": c.title, "color": c.color, "group": c.group}
            for c in self.classes
        ]

    @classmethod
    def from_json(cls, items: Sequence[Mapping[str, Any]]) -> Legend:
        """The legend that `to_json` described."""
        return cls(classes=tuple(LandClass(class_id=i, **item) for i, item in enumerate(items)))

    @classmethod
    def for_names(
        cls, names: Sequence[str], described: Mapping[str, Mapping[str, str]] | None = None
    ) -> Legend:
        """A legend for a data set's classes: EuroSAT's own where the names are EuroSAT's.

        `described` may give title, color and group of some classes by name. Raises ValueError
        for a name that is none of the classes and for anything else that is said.
        """
        described = described or {}
        foreign = sorted(set(described) - set(names))
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: no such class")
        known = EUROSAT if list(names) == EUROSAT.names else None
        classes = []
        for i, name in enumerate(names):
            plain = known[i] if known else _plain_class(i, name)
            changes = described.get(name, {})
            other = sorted(set(changes) - _DESCRIBABLE)
            if other:
                raise ValueError(f"{', '.join(other)} of {name}: only {_SAID} can be given")
            classes.append(
                replace(
                    plain,
                    title=changes.get("title", plain.title),
                    color=changes.get("color", plain.color),
                    group=changes.get("group", plain.group),
                )
            )
        return cls(classes=tuple(classes))


_DESCRIBABLE = {"title", "color", "group"}
_SAID = ", ".join(sorted(_DESCRIBABLE))


def _plain_class(class_id: int, name: str) -> LandClass:
    # The golden angle keeps neighbouring hues far apart for any number of classes;
    # alternating lightness separates the hues that come close after a full turn.
    hue = (class_id * 0.618034) % 1.0
    lightness = (0.45, 0.6, 0.35)[class_id % 3]
    red, green, blue = (round(255 * v) for v in colorsys.hls_to_rgb(hue, lightness, 0.65))
    color = f"#{red:02x}{green:02x}{blue:02x}"
    return LandClass(class_id=class_id, name=name, title=name, color=color, group=name)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _eurosat() -> Legend:
    rows = (
        ("AnnualCrop", "Annual crop", "#f4d58d", "crops"),
        ("Forest", "Forest", "#1b5e20", "forest"),
        ("HerbaceousVegetation", "Herbaceous vegetation", "#b9c46a", "grassland"),
        ("Highway", "Highway", "#4a4a4a", "built_up"),
        ("Industrial", "Industrial", "#8e44ad", "built_up"),
        ("Pasture", "Pasture", "#7cc36e", "grassland"),
        ("PermanentCrop", "Permanent crop", "#e08e2b", "crops"),
        ("Residential", "Residential", "#d7302a", "built_up"),
        ("River", "River", "#6ec6f0", "water"),
        ("SeaLake", "Sea or lake", "#1f4e9e", "water"),
    )
    return Legend.from_json(
        [{"name": n, "title": t, "color": c, "group": g} for n, t, c, g in rows]
    )


EUROSAT = _eurosat()
"""The ten classes of EuroSAT in alphabetical order (Helber et al. 2019)."""
