"""Styles as QGIS and other programs read them: QML and SLD, and the table of a GeoPackage."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import OutputError
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
from geoclass.vectors import vector_name

_NAMESPACES = {
    "xmlns": "http://www.opengis.net/sld",
    "xmlns:ogc": "http://www.opengis.net/ogc",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:schemaLocation": (
        "http://www.opengis.net/sld http://schemas.opengis.net/sld/1.0.0/StyledLayerDescriptor.xsd"
    ),
}

SLD_OUTLINE = {"stroke": "#232323", "stroke-opacity": "0.24", "stroke-width": "0.3"}


def format_sld(style: Style, layer: str, name: str) -> str:
    """The style called `name` of a layer, or of a raster that is served by that name.

    SLD 1.0.0 (OGC 02-070), which GeoServer, MapServer and QGIS read; `type` of a colour map is an
    addition of GeoServer's that QGIS knows, too.
    """
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
    _add_parameters(ET.SubElement(symbol, "Stroke"), SLD_OUTLINE)


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
    parts += ["Forms"] if style.choices or style.picture else []
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
    fields = ET.SubElement(root, "fieldConfiguration")
    if style.choices is not None:
        _add_choices(fields, style.choices)
    if style.picture is not None:
        _add_picture(fields, style.picture)
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


def _add_choices(fields: ET.Element, choices: Choices) -> None:
    """A drop-down list in the layer's form."""
    item = ET.SubElement(fields, "field", name=choices.column)
    widget = ET.SubElement(item, "editWidget", type="ValueMap")
    config = ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map")
    listed = ET.SubElement(config, "Option", type="List", name="map")
    for label, value in choices.options:
        entry = ET.SubElement(listed, "Option", type="Map")
        ET.SubElement(entry, "Option", type="QString", name=label, value=value)


_FROM_GIVEN_FOLDER, _AS_IMAGE, _BY_EXPRESSION = "2", "1", "3"


def _add_picture(fields: ET.Element, column: str) -> None:
    """An image in the layer's form; its path counts from the folder of the layer's file."""
    item = ET.SubElement(fields, "field", name=column)
    widget = ET.SubElement(item, "editWidget", type="ExternalResource")
    config = ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map")
    ET.SubElement(config, "Option", type="int", name="DocumentViewer", value=_AS_IMAGE)
    ET.SubElement(config, "Option", type="int", name="RelativeStorage", value=_FROM_GIVEN_FOLDER)
    depends = ET.SubElement(config, "Option", type="Map", name="PropertyCollection")
    ET.SubElement(depends, "Option", type="QString", name="name", value="")
    ET.SubElement(depends, "Option", type="QString", name="type", value="collection")
    properties = ET.SubElement(depends, "Option", type="Map", name="properties")
    folder = ET.SubElement(properties, "Option", type="Map", name="propertyRootPath")
    ET.SubElement(folder, "Option", type="bool", name="active", value="true")
    ET.SubElement(folder, "Option", type="int", name="type", value=_BY_EXPRESSION)
    expression = "file_path(layer_property(@layer, 'path'))"
    ET.SubElement(folder, "Option", type="QString", name="expression", value=expression)


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


TABLE = "layer_styles"


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleText:
    """One style in both languages."""

    layer: str
    name: str
    qml: str
    sld: str


def write_style_table(path: Path, styles: Mapping[str, Mapping[str, VectorStyle]]) -> None:
    """Add the table to a GeoPackage: styles by layer and name, the default of a layer first."""
    rows = [
        (layer, name, style, i == 0)
        for layer, named in styles.items()
        for i, (name, style) in enumerate(named.items())
    ]
    n = len(rows)
    table = pd.DataFrame(
        {
            "f_table_catalog": [""] * n,
            "f_table_schema": [""] * n,
            "f_table_name": [layer for layer, *_ in rows],
            "f_geometry_column": ["geom"] * n,
            "styleName": [name for _, name, *_ in rows],
            "styleQML": [format_qml(style) for _, _, style, _ in rows],
            "styleSLD": [format_sld(style, layer, name) for layer, name, style, _ in rows],
            "useAsDefault": [is_default for *_, is_default in rows],
            "description": [style.title for _, _, style, _ in rows],
            "owner": [""] * n,
            "ui": [""] * n,
            "update_time": pd.Series([pd.Timestamp.now()] * n, dtype="datetime64[ms]"),
        }
    )
    pyogrio.write_dataframe(table, path, layer=TABLE, driver="GPKG", append=False)


def read_style_table(path: Path) -> list[StyleText]:
    """The styles that a GeoPackage holds; OutputError where there are none."""
    try:
        table = pyogrio.read_dataframe(vector_name(path), layer=TABLE, read_geometry=False)
    except (DataLayerError, DataSourceError) as error:
        raise OutputError(
            f"{path} holds no styles ({error}): give a map, change, monitor or sample file "
            "that geoclass wrote"
        ) from error
    columns = ("f_table_name", "styleName", "styleQML", "styleSLD")
    return [
        StyleText(layer=layer, name=name, qml=qml, sld=sld)
        for layer, name, qml, sld in table[list(columns)].itertuples(index=False)
    ]
