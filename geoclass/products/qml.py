"""Styles as QML, which QGIS loads by itself: from a GeoPackage, or from a file beside a raster."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from geoclass.products.styles import (
    Aliases,
    Category,
    Choices,
    RasterStyle,
    Shade,
    Style,
    TimeSpan,
    VectorStyle,
)

QGIS_VERSION = "3.22"
"""The oldest QGIS whose style format this is; newer ones read it."""

OUTLINE = "35,35,35,60"

_START_AND_END_FIELDS = "2"
_INCLUDE_BOTH_ENDS = "1"
_DISCRETE = "2"


def format_qml(style: Style) -> str:
    """The style as QGIS stores it."""
    root = _draw_vector(style) if isinstance(style, VectorStyle) else _draw_raster(style)
    ET.indent(root, " ")
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(
        root, encoding="unicode"
    )


def _draw_vector(style: VectorStyle) -> ET.Element:
    parts = ["Symbology", "Fields"]
    parts += ["Temporal"] if style.span else []
    parts += ["Forms"] if style.choices else []
    root = ET.Element("qgis", version=QGIS_VERSION, styleCategories="|".join(parts))
    _add_aliases(root, style.aliases)
    kind = "graduatedSymbol" if isinstance(style.entries[0], Shade) else "categorizedSymbol"
    renderer = ET.SubElement(root, "renderer-v2", type=kind, attr=style.column, symbollevels="0")
    if kind == "graduatedSymbol":
        renderer.set("graduatedMethod", "GraduatedColor")
    listed = ET.SubElement(renderer, "ranges" if kind == "graduatedSymbol" else "categories")
    for i, entry in enumerate(style.entries):
        _add_entry(listed, entry, symbol=str(i))
    _add_symbols(renderer, [entry.color for entry in style.entries])
    if style.span is not None:
        _add_span(root, style.span)
    if style.choices is not None:
        _add_choices(root, style.choices)
    return root


def _add_aliases(root: ET.Element, aliases: Aliases) -> None:
    parent = ET.SubElement(root, "aliases")
    for i, (field, name) in enumerate(aliases):
        ET.SubElement(parent, "alias", field=field, name=name, index=str(i))


def _add_entry(listed: ET.Element, entry: Category | Shade, symbol: str) -> None:
    shown = {"label": entry.label, "symbol": symbol, "render": "true"}
    if isinstance(entry, Shade):
        bounds = {"lower": str(entry.lower), "upper": str(entry.upper)}
        ET.SubElement(listed, "range", {**bounds, **shown})
    else:
        kind = "long" if isinstance(entry.value, int) else "string"
        ET.SubElement(listed, "category", {"value": str(entry.value), "type": kind, **shown})


def _add_symbols(renderer: ET.Element, colors: Sequence[str]) -> None:
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


def _add_span(root: ET.Element, span: TimeSpan) -> None:
    """What QGIS's temporal controller needs to play the layer at once."""
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


def _add_choices(root: ET.Element, choices: Choices) -> None:
    """A drop-down list in the layer's form."""
    fields = ET.SubElement(root, "fieldConfiguration")
    item = ET.SubElement(fields, "field", name=choices.column)
    widget = ET.SubElement(item, "editWidget", type="ValueMap")
    config = ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map")
    listed = ET.SubElement(config, "Option", type="List", name="map")
    for label, value in choices.options:
        entry = ET.SubElement(listed, "Option", type="Map")
        ET.SubElement(entry, "Option", type="QString", name=label, value=value)


def _draw_raster(style: RasterStyle) -> ET.Element:
    root = ET.Element("qgis", version=QGIS_VERSION, styleCategories="AllStyleCategories")
    shaded = isinstance(style.entries[0], Shade)
    renderer = ET.SubElement(
        ET.SubElement(root, "pipe"),
        "rasterrenderer",
        type="singlebandpseudocolor" if shaded else "paletted",
        band=str(style.band),
        opacity="1",
        alphaBand="-1",
        nodataColor="",
    )
    if shaded:
        shader = ET.SubElement(renderer, "rastershader")
        listed, tag = ET.SubElement(shader, "colorrampshader", colorRampType="DISCRETE"), "item"
        listed.set("classificationMode", _DISCRETE)
    else:
        listed, tag = ET.SubElement(renderer, "colorPalette"), "paletteEntry"
    for entry in style.entries:
        value = entry.upper if isinstance(entry, Shade) else entry.value
        ET.SubElement(
            listed, tag, value=str(value), color=entry.color, label=entry.label, alpha="255"
        )
    return root
