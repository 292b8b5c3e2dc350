"""Styles of layers and rasters: QML, SLD, and the style table of a GeoPackage."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import OutputError
from geoclass.legend import STATUS_STYLES, Legend, parse_color
from geoclass.vectors import unwarned, vector_name

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
class VectorStyle:
    """Style of polygons by one column."""

    title: str
    """Short description."""
    column: str
    entries: Entries
    aliases: Aliases = ()
    span: tuple[str, str] | None = None
    """Columns with the first and last date of a feature."""
    choices: Sequence[tuple[str, str]] = ()
    """(label, value) of a drop-down list for the column in the layer's form."""
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
    shares = list_shares(CONFIDENCE_EDGES, CONFIDENCE_COLORS)
    styles: Sequence[tuple[str, str, str, Entries]] = (
        ("Class", "Land-cover classes", "class_id", list_codes(legend)),
        ("Confidence", "Confidence of the classifier", "confidence", shares),
        ("Status", "Which cells have a class", "status", [classified, *statuses]),
    )
    columns = dict(aliases)
    return {
        name: VectorStyle(title=title, column=column, entries=entries, aliases=aliases)
        for name, title, column, entries in styles
        if column in columns
    }


def raster_styles(legend: Legend) -> Mapping[str, RasterStyle]:
    """The styles of a land-cover map's bands by name, the default first."""
    # Edges between whole percents: programs differ in whether a range includes its upper end.
    shades = [
        replace(
            shade,
            lower=100 * shade.lower - 0.5,
            upper=100 * shade.upper - (0.5 if shade.upper < 1 else -0.5),
        )
        for shade in list_shares(CONFIDENCE_EDGES, CONFIDENCE_COLORS)
    ]
    return {
        "Class": RasterStyle(title="Land-cover classes", band=1, entries=list_codes(legend)),
        "Confidence": RasterStyle(title="Confidence of the classifier", band=2, entries=shades),
    }


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
    """The style `name` of a layer or served raster as SLD 1.0.0 (OGC 02-070).

    GeoServer, MapServer and QGIS read it. The attribute `type` of a colour map is an extension of
    GeoServer that QGIS supports.
    """
    root = ET.Element("StyledLayerDescriptor", {"version": "1.0.0", **_NAMESPACES})
    named = _add(root, "NamedLayer")
    _add(named, "Name", layer)
    user = _add(named, "UserStyle")
    _add(user, "Name", name)
    _add(user, "Title", style.title)
    rules = _add(user, "FeatureTypeStyle")
    if isinstance(style, VectorStyle):
        for entry in style.entries:
            _add_rule(rules, style.column, entry, is_last=entry is style.entries[-1])
    else:
        _add_raster(_add(rules, "Rule"), style)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _add_rule(rules: ET.Element, column: str, entry: Category | Shade, *, is_last: bool) -> None:
    rule = _add(rules, "Rule")
    _add(rule, "Name", entry.label)
    _add(rule, "Title", entry.label)
    condition = _add(rule, "ogc:Filter")
    if isinstance(entry, Category):
        comparisons: dict[str, str | float] = {"PropertyIsEqualTo": entry.value}
    else:
        condition = _add(condition, "ogc:And")
        below = "PropertyIsLessThanOrEqualTo" if is_last else "PropertyIsLessThan"
        comparisons = {"PropertyIsGreaterThanOrEqualTo": entry.lower, below: entry.upper}
    for operator, value in comparisons.items():
        comparison = _add(condition, f"ogc:{operator}")
        _add(comparison, "ogc:PropertyName", column)
        _add(comparison, "ogc:Literal", str(value))
    symbol = _add(rule, "PolygonSymbolizer")
    for part, parameters in (("Fill", {"fill": entry.color}), ("Stroke", SLD_OUTLINE)):
        parent = _add(symbol, part)
        for name, text in parameters.items():
            _add(parent, "CssParameter", text, name=name)


def _add_raster(rule: ET.Element, style: RasterStyle) -> None:
    symbol = _add(rule, "RasterSymbolizer")
    channel = _add(_add(symbol, "ChannelSelection"), "GrayChannel")
    _add(channel, "SourceChannelName", str(style.band))
    kind = "intervals" if isinstance(style.entries[0], Shade) else "values"
    colors = _add(symbol, "ColorMap", type=kind)
    for entry in style.entries:
        quantity = entry.upper if isinstance(entry, Shade) else entry.value
        _add(colors, "ColorMapEntry", color=entry.color, quantity=str(quantity), label=entry.label)


QGIS_VERSION = "3.22"
"""Oldest QGIS with this style format; newer versions read it."""

_SYMBOL = (
    ("style", "solid"),
    ("outline_color", "35,35,35,60"),
    ("outline_style", "solid"),
    ("outline_width", "0.1"),
    ("outline_width_unit", "MM"),
)

# Mode 2: start and end fields. Limit mode 1: both ends are included.
_TEMPORAL = """
<temporal enabled="1" mode="2" startField="" endField="" startExpression="" endExpression=""
    durationField="" durationUnit="min" fixedDuration="0" accumulate="0" limitMode="1">
  <fixedRange><start/><end/></fixedRange>
</temporal>"""

# Viewer 1: image. Storage 2: relative to a folder. Property type 3: expression.
_PICTURE = """
<editWidget type="ExternalResource">
  <config>
    <Option type="Map">
      <Option type="int" name="DocumentViewer" value="1"/>
      <Option type="int" name="RelativeStorage" value="2"/>
      <Option type="Map" name="PropertyCollection">
        <Option type="QString" name="name" value=""/>
        <Option type="QString" name="type" value="collection"/>
        <Option type="Map" name="properties">
          <Option type="Map" name="propertyRootPath">
            <Option type="bool" name="active" value="true"/>
            <Option type="int" name="type" value="3"/>
            <Option type="QString" name="expression"
                value="file_path(layer_property(@layer, 'path'))"/>
          </Option>
        </Option>
      </Option>
    </Option>
  </config>
</editWidget>"""


def format_qml(style: Style) -> str:
    """The style in QGIS's format."""
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
    aliases = _add(root, "aliases")
    for i, (field, name) in enumerate(style.aliases):
        _add(aliases, "alias", field=field, name=name, index=str(i))
    graduated = isinstance(style.entries[0], Shade)
    kind = "graduatedSymbol" if graduated else "categorizedSymbol"
    renderer = _add(root, "renderer-v2", type=kind, attr=style.column, symbollevels="0")
    if graduated:
        renderer.set("graduatedMethod", "GraduatedColor")
    listed = _add(renderer, "ranges" if graduated else "categories")
    symbols = _add(renderer, "symbols")
    for i, entry in enumerate(style.entries):
        shown = {"label": entry.label, "symbol": str(i), "render": "true"}
        if isinstance(entry, Shade):
            _add(listed, "range", lower=str(entry.lower), upper=str(entry.upper), **shown)
        else:
            value_type = "long" if isinstance(entry.value, int) else "string"
            _add(listed, "category", value=str(entry.value), type=value_type, **shown)
        symbol = _add(symbols, "symbol", type="fill", name=str(i), alpha="1")
        layer = _add(symbol, "layer", enabled="1", **{"class": "SimpleFill"})
        options = _add(layer, "Option", type="Map")
        color = ",".join(map(str, (*parse_color(entry.color), 255)))
        for key, value in (("color", color), *_SYMBOL):
            _add(options, "Option", type="QString", name=key, value=value)
    if style.span is not None:  # for QGIS's temporal controller
        temporal = ET.fromstring(_TEMPORAL)  # noqa: S314 a constant
        temporal.set("startField", style.span[0])
        temporal.set("endField", style.span[1])
        root.append(temporal)
    fields = _add(root, "fieldConfiguration")
    if style.choices:
        widget = _add(_add(fields, "field", name=style.column), "editWidget", type="ValueMap")
        config = _add(widget, "config")
        choices = _add(_add(config, "Option", type="Map"), "Option", type="List", name="map")
        for label, value in style.choices:
            choice = _add(choices, "Option", type="Map")
            _add(choice, "Option", type="QString", name=label, value=value)
    if style.picture is not None:
        picture = _add(fields, "field", name=style.picture)
        picture.append(ET.fromstring(_PICTURE))  # noqa: S314 a constant
    return root


def _draw_raster(style: RasterStyle) -> ET.Element:
    root = ET.Element("qgis", version=QGIS_VERSION, styleCategories="AllStyleCategories")
    shaded = isinstance(style.entries[0], Shade)
    renderer = _add(
        _add(root, "pipe"),
        "rasterrenderer",
        type="singlebandpseudocolor" if shaded else "paletted",
        band=str(style.band),
        opacity="1",
        alphaBand="-1",
        nodataColor="",
    )
    if shaded:  # classification mode 2: discrete
        ramp = {"colorRampType": "DISCRETE", "classificationMode": "2"}
        listed, tag = _add(_add(renderer, "rastershader"), "colorrampshader", **ramp), "item"
    else:
        listed, tag = _add(renderer, "colorPalette"), "paletteEntry"
    for entry in style.entries:
        value = str(entry.upper if isinstance(entry, Shade) else entry.value)
        _add(listed, tag, value=value, color=entry.color, label=entry.label, alpha="255")
    return root


TABLE = "layer_styles"


_TEXT_COLUMNS = ["f_table_name", "styleName", "description", "styleQML", "styleSLD"]


class StyleText(NamedTuple):
    """One style in both formats; the fields are _TEXT_COLUMNS."""

    layer: str
    name: str
    title: str
    qml: str
    sld: str


def format_styles(layer: str, styles: Mapping[str, Style]) -> list[StyleText]:
    """The styles of a layer, by name."""
    return [
        StyleText(layer, name, style.title, format_qml(style), format_sld(style, layer, name))
        for name, style in styles.items()
    ]


def write_style_table(path: Path, styles: Mapping[str, Mapping[str, VectorStyle]]) -> None:
    """Add styles by layer and name to a GeoPackage; the first of a layer is its default."""
    texts = [text for layer, named in styles.items() for text in format_styles(layer, named)]
    table = pd.DataFrame(texts, columns=_TEXT_COLUMNS)
    now = pd.Timestamp.now().as_unit("ms")
    empty = dict.fromkeys(("f_table_catalog", "f_table_schema", "owner", "ui"), "")
    is_first = ~table["f_table_name"].duplicated()
    table = table.assign(**empty, f_geometry_column="geom", useAsDefault=is_first, update_time=now)
    pyogrio.write_dataframe(table, path, layer=TABLE, driver="GPKG", append=False)


@unwarned()
def read_style_table(path: Path) -> list[StyleText]:
    """The styles in a GeoPackage; OutputError if there are none."""
    try:
        table = pyogrio.read_dataframe(vector_name(path), layer=TABLE, read_geometry=False)
    except (DataLayerError, DataSourceError) as error:
        raise OutputError(
            f"{path} holds no styles ({error}): give a map, change, monitor or sample file "
            "that geoclass wrote"
        ) from error
    return [StyleText(*row) for row in table[_TEXT_COLUMNS].itertuples(index=False)]
