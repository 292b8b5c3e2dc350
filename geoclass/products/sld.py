"""Styles as SLD 1.0.0, which GeoServer, MapServer and QGIS read.

Source: OGC 02-070, Styled Layer Descriptor Implementation Specification. `type` of a colour map
is an addition of GeoServer's that QGIS knows, too.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from geoclass.products.styles import Category, RasterStyle, Shade, Style, VectorStyle

_NAMESPACES = {
    "xmlns": "http://www.opengis.net/sld",
    "xmlns:ogc": "http://www.opengis.net/ogc",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:schemaLocation": (
        "http://www.opengis.net/sld http://schemas.opengis.net/sld/1.0.0/StyledLayerDescriptor.xsd"
    ),
}

OUTLINE = {"stroke": "#232323", "stroke-opacity": "0.24", "stroke-width": "0.3"}


def format_sld(style: Style, layer: str, name: str) -> str:
    """The style called `name` of a layer, or of a raster that is served by that name."""
    root = ET.Element("StyledLayerDescriptor", {"version": "1.0.0", **_NAMESPACES})
    named = ET.SubElement(root, "NamedLayer")
    ET.SubElement(named, "Name").text = layer
    user = ET.SubElement(named, "UserStyle")
    ET.SubElement(user, "Name").text = name
    ET.SubElement(user, "Title").text = style.title
    rules = ET.SubElement(user, "FeatureTypeStyle")
    if isinstance(style, VectorStyle):
        for entry in style.entries:
            _add_rule(rules, style.column, entry, is_last=entry is style.entries[-1])
    else:
        _add_raster(ET.SubElement(rules, "Rule"), style)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _add_rule(rules: ET.Element, column: str, entry: Category | Shade, *, is_last: bool) -> None:
    rule = ET.SubElement(rules, "Rule")
    ET.SubElement(rule, "Name").text = entry.label
    ET.SubElement(rule, "Title").text = entry.label
    condition = ET.SubElement(rule, "ogc:Filter")
    if isinstance(entry, Category):
        _compare(condition, "PropertyIsEqualTo", column, entry.value)
    else:
        both = ET.SubElement(condition, "ogc:And")
        below = "PropertyIsLessThanOrEqualTo" if is_last else "PropertyIsLessThan"
        _compare(both, "PropertyIsGreaterThanOrEqualTo", column, entry.lower)
        _compare(both, below, column, entry.upper)
    symbol = ET.SubElement(rule, "PolygonSymbolizer")
    _add_parameters(ET.SubElement(symbol, "Fill"), {"fill": entry.color})
    _add_parameters(ET.SubElement(symbol, "Stroke"), OUTLINE)


def _compare(parent: ET.Element, operator: str, column: str, value: str | float) -> None:
    comparison = ET.SubElement(parent, f"ogc:{operator}")
    ET.SubElement(comparison, "ogc:PropertyName").text = column
    ET.SubElement(comparison, "ogc:Literal").text = str(value)


def _add_parameters(parent: ET.Element, parameters: dict[str, str]) -> None:
    for name, value in parameters.items():
        ET.SubElement(parent, "CssParameter", name=name).text = value


def _add_raster(rule: ET.Element, style: RasterStyle) -> None:
    symbol = ET.SubElement(rule, "RasterSymbolizer")
    channel = ET.SubElement(ET.SubElement(symbol, "ChannelSelection"), "GrayChannel")
    ET.SubElement(channel, "SourceChannelName").text = str(style.band)
    kind = "intervals" if isinstance(style.entries[0], Shade) else "values"
    colors = ET.SubElement(symbol, "ColorMap", type=kind)
    for entry in style.entries:
        quantity = entry.upper if isinstance(entry, Shade) else entry.value
        ET.SubElement(
            colors, "ColorMapEntry", color=entry.color, quantity=str(quantity), label=entry.label
        )
