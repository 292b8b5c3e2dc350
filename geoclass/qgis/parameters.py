"""From the options of a command to parameters of Processing, and from their values to arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterCrs,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsProcessingParameterVectorLayer,
    QgsProperty,
)

Option = dict[str, Any]
"""One of the `params` of a command in the schema."""

HIDDEN = frozenset(
    {"help", "quiet", "overwrite", "as_json", "dry_run", "bbox_crs"}
    | {"ray", "shard", "workers", "memory", "redo", "fail_fast"}  # for maps in a folder
)
"""Options that QGIS answers itself."""

PLAIN = frozenset({"bbox", "stride", "min_area_ha", "watch", "days", "since", "title", "per_class"})
"""Options that are shown at once, as what a command reads and writes is; others are advanced."""

LABELS = {
    "SCENE...": "Scenes",
    "OLD": "Earlier map or scene",
    "NEW": "Later map or scene",
    "DATED…": "Maps or scenes, one for each date",
    "MAP": "Land-cover map",
    "MAP…": "Maps, change and monitor files",
    "SAMPLE": "Labelled sample",
    "--aoi": "Polygons to map",
    "--bbox": "Extent to map",
    "--crs": "CRS of the scene",
    "--map-crs": "CRS of one map of many scenes",
    "--scl": "Scene classification (SCL)",
    "--bands": "Numbers or names of the red, green and blue bands",
    "--co": "Creation options of GeoTIFF",
    "--dn-offset": "Offset of the numbers",
    "--zones": "Zones to sum areas by",
    "--tables": "Folder for tables (CSV)",
    "--alerts": "Alerts as GeoTIFF",
    "--update": "Monitor file to add the dates to, instead of an output",
    "--watch": "Groups to watch",
    "--title": "Title of the page",
    "--date": "Dates, YYYY-MM-DD, in the order of the inputs",
    "--since": "Older map",
}
"""What is said of an option, where its own name says too little."""

WORLD = "EPSG:4326"
"""CRS in which commands take extents."""

AUTOMATIC = "automatic"


def name_parameter(option: Option) -> str:
    """As Processing spells names."""
    return str(option["name"]).upper()


def is_offered(option: Option) -> bool:
    """Whether there is a parameter for an option."""
    return not (option["name"] in HIDDEN or option["nargs"] > 1 or option.get("hidden"))


def build_parameter(option: Option) -> QgsProcessingParameterDefinition:
    """The parameter for an option: its widget, default and help."""
    flag = option["opts"][-1]
    key = option["metavar"] if option["param_type_name"] == "argument" else flag
    label = LABELS.get(key) or flag.lstrip("-").replace("-", " ").capitalize()
    if option["metavar"] in ("HA", "PIXELS", "CELLS", "METRES"):
        label += f" [{option['metavar'].lower()}]"
    parameter = _build(option, name_parameter(option), label)
    Flag = QgsProcessingParameterDefinition.Flag  # noqa: N806
    flags = parameter.flags()
    if not option["required"]:
        flags |= Flag.FlagOptional
    shown = _is_data(option) or option["name"] in PLAIN
    if not option["required"] and not shown:
        flags |= Flag.FlagAdvanced
    parameter.setFlags(flags)
    parameter.setHelp(describe_option(option))
    return parameter


def describe_option(option: Option) -> str:
    """Its help, without the default, which the widget shows."""
    return re.sub(r"\s*\[default: .*\]", "", option.get("help") or "").strip()


def _role(option: Option) -> str | None:
    role: str | None = option["type"].get("role")
    return role


def _is_data(option: Option) -> bool:
    return _role(option) in ("layer", "polygons", "output", "folder")


def _build(option: Option, name: str, label: str) -> QgsProcessingParameterDefinition:
    role, kind, default = _role(option), option["type"]["param_type"], option["default"]
    Source = QgsProcessing.SourceType  # noqa: N806
    if option.get("is_flag"):
        if option["secondary_opts"]:
            choices = [AUTOMATIC, "yes", "no"]
            return _build_choice(name, label, choices, AUTOMATIC)
        return QgsProcessingParameterBoolean(name, label, bool(default))
    if role == "layer":
        if is_list(option):
            return QgsProcessingParameterMultipleLayers(name, label, Source.TypeMapLayer)
        return QgsProcessingParameterMapLayer(name, label)
    if role == "polygons":
        return QgsProcessingParameterVectorLayer(name, label, [Source.TypeVectorPolygon])
    if role in ("output", "folder"):
        return _build_output(option, name, label)
    if role == "extent":
        return QgsProcessingParameterExtent(name, label)
    if role == "crs":
        return QgsProcessingParameterCrs(name, label)
    if role == "file":
        return QgsProcessingParameterFile(name, label)
    if kind == "Choice":
        return _build_choice(name, label, option["type"]["choices"], default)
    if kind in ("Int", "Float"):
        number = QgsProcessingParameterNumber.Type
        return QgsProcessingParameterNumber(
            name, label, number.Integer if kind == "Int" else number.Double, default, True
        )
    return QgsProcessingParameterString(name, label, default)


def is_list(option: Option) -> bool:
    """Whether an option takes several values."""
    return bool(option["multiple"]) or option["nargs"] == -1


def _build_choice(
    name: str, label: str, choices: list[str], default: str | None
) -> QgsProcessingParameterEnum:
    return QgsProcessingParameterEnum(
        name, label, choices, defaultValue=default, usesStaticStrings=True
    )


def _build_output(option: Option, name: str, label: str) -> QgsProcessingParameterDefinition:
    wanted, suffixes = option["name"] == "output", option["type"].get("suffixes", ())
    if _role(option) == "folder":
        made = QgsProcessingParameterFolderDestination(name, label)
    elif suffixes[0] == ".gpkg":
        made = QgsProcessingParameterVectorDestination(name, label)
    elif suffixes[0] == ".tif":
        made = QgsProcessingParameterRasterDestination(name, label)
    else:
        kinds = ";;".join(f"{s[1:].upper()} (*{s})" for s in suffixes)
        made = QgsProcessingParameterFileDestination(name, label, kinds)
    made.setCreateByDefault(wanted)
    return made


def write_arguments(
    option: Option,
    algorithm: QgsProcessingAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> list[str]:
    """What a parameter's value is on the command line; nothing where it is the default."""
    name, flag = name_parameter(option), option["opts"][-1]
    if option.get("is_flag"):
        return _write_flag(option, algorithm, parameters, context)
    values = [
        value
        for value in _find_values(option, algorithm, name, parameters, context, feedback)
        if value != "" and value != str(option["default"])
    ]
    if option["param_type_name"] == "argument":
        return values
    return [part for value in values for part in (flag, value)]


def _write_flag(
    option: Option,
    algorithm: QgsProcessingAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
) -> list[str]:
    name, flag = name_parameter(option), option["opts"][-1]
    if option["secondary_opts"]:
        answer = algorithm.parameterAsEnumString(parameters, name, context)
        return {"yes": [flag], "no": [option["secondary_opts"][-1]]}.get(answer, [])
    return [flag] if algorithm.parameterAsBool(parameters, name, context) else []


def _find_values(
    option: Option,
    algorithm: QgsProcessingAlgorithm,
    name: str,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> Iterator[str]:
    role, kind = _role(option), option["type"]["param_type"]
    given = parameters.get(name)
    if role == "layer":
        for value in given if isinstance(given, (list, tuple)) else [given]:
            yield find_source(value, context)
    elif role == "output" and option["type"]["suffixes"][0] in (".gpkg", ".tif"):
        yield algorithm.parameterAsOutputLayer(parameters, name, context)
    elif role in ("output", "folder"):
        yield algorithm.parameterAsFileOutput(parameters, name, context)
    elif given is None or given == "":
        number = kind in ("Int", "Float")
        yield "" if number or role else algorithm.parameterAsString(parameters, name, context)
    elif role == "polygons":
        formats = ["gpkg", "geojson", "shp", "fgb"]
        yield algorithm.parameterAsCompatibleSourceLayerPath(
            parameters, name, context, formats, "gpkg", feedback
        )
    elif role == "extent":
        world = QgsCoordinateReferenceSystem(WORLD)
        box = algorithm.parameterAsExtent(parameters, name, context, world)
        edges = (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum())
        yield ",".join(f"{edge:.9f}" for edge in edges)
    elif role == "crs":
        crs = algorithm.parameterAsCrs(parameters, name, context)
        yield crs.authid() or crs.toWkt()
    elif kind == "Choice":
        yield algorithm.parameterAsEnumString(parameters, name, context)
    elif kind == "Int":
        yield str(algorithm.parameterAsInt(parameters, name, context))
    elif kind == "Float":
        yield str(algorithm.parameterAsDouble(parameters, name, context))
    elif is_list(option):
        yield from re.split(r"[,;\s]+", algorithm.parameterAsString(parameters, name, context))
    else:
        yield algorithm.parameterAsString(parameters, name, context)


def find_source(value: Any, context: QgsProcessingContext) -> str:
    """The file behind a layer, its name or id; any other text as it is, for geoclass to open."""
    if isinstance(value, QgsProperty):
        value = value.valueAsString(context.expressionContext())[0]
    if not value:
        return ""
    layer = value if isinstance(value, QgsMapLayer) else context.getMapLayer(str(value))
    source = str(value) if layer is None else str(layer.source())
    return source.partition("|")[0]  # one layer of a GeoPackage stands for the file
