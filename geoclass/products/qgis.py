"""Styles that QGIS loads by itself: for the GeoPackage's layers and the GeoTIFF's first band."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from geoclass.legend import STATUS_STYLES, Legend

QGIS_VERSION = "3.22"
"""The oldest QGIS whose style format this is; newer ones read it."""

OUTLINE = "35,35,35,60"

# ColorBrewer's YlGnBu, five classes: light is unsure, dark is sure, also in grey and for
# colour-blind readers.
CONFIDENCE_COLORS = ("#ffffcc", "#a1dab4", "#41b6c4", "#2c7fb8", "#253494")
CONFIDENCE_EDGES = (0.0, 0.5, 0.7, 0.85, 0.95, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """One line of a QGIS legend."""

    value: int
    label: str
    color: str
    """`#rrggbb`."""


def legend_entries(legend: Legend) -> list[LegendEntry]:
    """All classes, then the statuses that are drawn."""
    classes = [LegendEntry(value=c.class_id, label=c.title, color=c.color) for c in legend.classes]
    statuses = [LegendEntry(value=s.code, label=s.title, color=s.color) for s in STATUS_STYLES]
    return classes + statuses


def class_style(legend: Legend, aliases: Sequence[tuple[str, str]]) -> str:
    """QML for polygons, one category for each class and status by `class_id`."""
    root = vector_root(aliases)
    entries = legend_entries(legend)
    renderer = ET.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr="class_id", symbollevels="0"
    )
    categories = ET.SubElement(renderer, "categories")
    for i, entry in enumerate(entries):
        ET.SubElement(
            categories,
            "category",
            value=str(entry.value),
            label=entry.label,
            symbol=str(i),
            render="true",
            type="long",
        )
    add_symbols(renderer, [entry.color for entry in entries])
    return to_text(root)


def confidence_style(aliases: Sequence[tuple[str, str]]) -> str:
    """QML for polygons, five shades by `confidence`."""
    root = vector_root(aliases)
    renderer = ET.SubElement(
        root,
        "renderer-v2",
        type="graduatedSymbol",
        attr="confidence",
        graduatedMethod="GraduatedColor",
        symbollevels="0",
    )
    ranges = ET.SubElement(renderer, "ranges")
    for i, (lower, upper) in enumerate(pairwise(CONFIDENCE_EDGES)):
        label = f"{lower:.0%} – {upper:.0%}"
        ET.SubElement(
            ranges,
            "range",
            lower=f"{lower}",
            upper=f"{upper}",
            label=label,
            symbol=str(i),
            render="true",
        )
    add_symbols(renderer, CONFIDENCE_COLORS)
    return to_text(root)


def raster_style(legend: Legend) -> str:
    """QML for band 1 of a GeoTIFF: a colour and a name for each code."""
    root = ET.Element("qgis", version=QGIS_VERSION, styleCategories="AllStyleCategories")
    pipe = ET.SubElement(root, "pipe")
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        type="paletted",
        band="1",
        opacity="1",
        alphaBand="-1",
        nodataColor="",
    )
    palette = ET.SubElement(renderer, "colorPalette")
    for entry in legend_entries(legend):
        ET.SubElement(
            palette,
            "paletteEntry",
            value=str(entry.value),
            color=entry.color,
            label=entry.label,
            alpha="255",
        )
    return to_text(root)


def vector_root(aliases: Sequence[tuple[str, str]]) -> ET.Element:
    """The root of a vector layer's style, with (column, name for people)."""
    root = ET.Element("qgis", version=QGIS_VERSION, styleCategories="Symbology|Fields")
    parent = ET.SubElement(root, "aliases")
    for i, (field, name) in enumerate(aliases):
        ET.SubElement(parent, "alias", field=field, name=name, index=str(i))
    return root


def add_symbols(renderer: ET.Element, colors: Sequence[str]) -> None:
    """Filled polygons, one symbol a colour, numbered from 0."""
    symbols = ET.SubElement(renderer, "symbols")
    for i, color in enumerate(colors):
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=str(i), alpha="1")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill"}, enabled="1")
        options = ET.SubElement(layer, "Option", type="Map")
        red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
        for name, value in (
            ("color", f"{red},{green},{blue},255"),
            ("style", "solid"),
            ("outline_color", OUTLINE),
            ("outline_style", "solid"),
            ("outline_width", "0.1"),
            ("outline_width_unit", "MM"),
        ):
            ET.SubElement(options, "Option", type="QString", name=name, value=value)


def to_text(root: ET.Element) -> str:
    """The style as QGIS stores it."""
    ET.indent(root, " ")
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(
        root, encoding="unicode"
    )
