"""Styles that QGIS loads by itself for layers of any kind: categories, shades, time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from geoclass.products.qgis import add_symbols, to_text, vector_root

_START_AND_END_FIELDS = "2"
_INCLUDE_BOTH_ENDS = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One line of a QGIS legend."""

    value: str
    label: str
    color: str
    """`#rrggbb`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpan:
    """The columns that say from when to when a feature is shown."""

    start: str
    end: str


def category_style(
    column: str,
    categories: Sequence[Category],
    aliases: Sequence[tuple[str, str]],
    span: TimeSpan | None = None,
) -> str:
    """QML for polygons, one colour a value of a column of texts."""
    root = vector_root(aliases)
    renderer = ET.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr=column, symbollevels="0"
    )
    listed = ET.SubElement(renderer, "categories")
    for i, category in enumerate(categories):
        ET.SubElement(
            listed,
            "category",
            value=category.value,
            label=category.label,
            symbol=str(i),
            render="true",
            type="string",
        )
    add_symbols(renderer, [category.color for category in categories])
    if span is not None:
        _add_span(root, span)
    return to_text(root)


def shade_style(
    column: str,
    shades: Sequence[tuple[float, float, str]],
    aliases: Sequence[tuple[str, str]],
) -> str:
    """QML for polygons, (lower, upper, colour) by a column of shares."""
    root = vector_root(aliases)
    renderer = ET.SubElement(
        root,
        "renderer-v2",
        type="graduatedSymbol",
        attr=column,
        graduatedMethod="GraduatedColor",
        symbollevels="0",
    )
    ranges = ET.SubElement(renderer, "ranges")
    for i, (lower, upper, _) in enumerate(shades):
        label = f"{lower:.0%} – {upper:.0%}"
        ET.SubElement(
            ranges, "range", lower=f"{lower}", upper=f"{upper}", label=label, symbol=str(i),
            render="true",
        )  # fmt: skip
    add_symbols(renderer, [color for _, _, color in shades])
    return to_text(root)


def form_style(column: str, choices: Sequence[tuple[str, str]], qml: str) -> str:
    """QML with a drop-down list of (label, value) for a column, added to another style."""
    head, _, text = qml.partition("\n")
    root = ET.fromstring(text)  # noqa: S314 our own text
    root.set("styleCategories", "Symbology|Fields|Forms")
    fields = ET.SubElement(root, "fieldConfiguration")
    item = ET.SubElement(fields, "field", name=column)
    widget = ET.SubElement(item, "editWidget", type="ValueMap")
    config = ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map")
    listed = ET.SubElement(config, "Option", type="List", name="map")
    for label, value in choices:
        entry = ET.SubElement(listed, "Option", type="Map")
        ET.SubElement(entry, "Option", type="QString", name=label, value=value)
    return f"{head}\n{ET.tostring(root, encoding='unicode')}"


def _add_span(root: ET.Element, span: TimeSpan) -> None:
    """What QGIS's temporal controller needs to play the layer at once."""
    root.set("styleCategories", "Symbology|Fields|Temporal")
    temporal = ET.SubElement(
        root,
        "temporal",
        enabled="1",
        mode=_START_AND_END_FIELDS,
        startField=span.start,
        endField=span.end,
        startExpression="",
        endExpression="",
        durationField="",
        durationUnit="min",
        fixedDuration="0",
        accumulate="0",
        limitMode=_INCLUDE_BOTH_ENDS,
    )
    fixed = ET.SubElement(temporal, "fixedRange")
    ET.SubElement(fixed, "start")
    ET.SubElement(fixed, "end")
