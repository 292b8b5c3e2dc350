"""From the options of a command to parameters of Processing, and from their values to arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from qgis import core

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


def name_parameter(option: Option) -> str:
    """As Processing spells names."""
    return str(option["name"]).upper()


def is_offered(option: Option) -> bool:
    """Whether there is a parameter for an option."""
    return not (option["name"] in HIDDEN or option["nargs"] > 1 or option.get("hidden"))


def build_parameter(option: Option) -> core.QgsProcessingParameterDefinition:
    """The parameter for an option: its widget, default and help."""
    flag = option["opts"][-1]
    key = option["metavar"] if option["param_type_name"] == "argument" else flag
    label = LABELS.get(key) or flag.lstrip("-").replace("-", " ").capitalize()
    if option["metavar"] in ("HA", "PIXELS", "CELLS", "METRES"):
        label += f" [{option['metavar'].lower()}]"
    parameter = _build(option, name_parameter(option), label)
    Flag = core.QgsProcessingParameterDefinition.Flag  # noqa: N806
    flags = parameter.flags()
    if not option["required"]:
        flags |= Flag.FlagOptional
    is_data = _role(option) in ("layer", "polygons", "output", "folder")
    if not (option["required"] or is_data or option["name"] in PLAIN):
        flags |= Flag.FlagAdvanced
    parameter.setFlags(flags)
    parameter.setHelp(describe_option(option))
    return parameter


def describe_option(option: Option) -> str:
    """Its help, without the default, which the widget shows."""
    return re.sub(r"\s*\[default: .*\]", "", option.get("help") or "").strip()


def _role(option: Option) -> str | None:
    return option["type"].get("role")


def _build(option: Option, name: str, label: str) -> core.QgsProcessingParameterDefinition:
    role, kind, default = _role(option), option["type"]["param_type"], option["default"]
    Source = core.QgsProcessing.SourceType  # noqa: N806
    choices = option["type"].get("choices")
    if option.get("is_flag"):
        if not option["secondary_opts"]:
            return core.QgsProcessingParameterBoolean(name, label, bool(default))
        choices, default = ["automatic", "yes", "no"], "automatic"
    if choices:
        return core.QgsProcessingParameterEnum(
            name, label, choices, defaultValue=default, usesStaticStrings=True
        )
    if role == "layer":
        if is_list(option):
            return core.QgsProcessingParameterMultipleLayers(name, label, Source.TypeMapLayer)
        return core.QgsProcessingParameterMapLayer(name, label)
    if role == "polygons":
        return core.QgsProcessingParameterVectorLayer(name, label, [Source.TypeVectorPolygon])
    if role in ("output", "folder"):
        return _build_output(option, name, label)
    if role == "extent":
        return core.QgsProcessingParameterExtent(name, label)
    if role == "crs":
        return core.QgsProcessingParameterCrs(name, label)
    if role == "file":
        return core.QgsProcessingParameterFile(name, label)
    if kind in ("Int", "Float"):
        number = core.QgsProcessingParameterNumber.Type
        return core.QgsProcessingParameterNumber(
            name, label, number.Integer if kind == "Int" else number.Double, default, True
        )
    return core.QgsProcessingParameterString(name, label, default)


def is_list(option: Option) -> bool:
    """Whether an option takes several values."""
    return bool(option["multiple"]) or option["nargs"] == -1


def _build_output(option: Option, name: str, label: str) -> core.QgsProcessingParameterDefinition:
    wanted, suffixes = option["name"] == "output", option["type"].get("suffixes", ())
    if _role(option) == "folder":
        made = core.QgsProcessingParameterFolderDestination(name, label)
    elif suffixes[0] == ".gpkg":
        made = core.QgsProcessingParameterVectorDestination(name, label)
    elif suffixes[0] == ".tif":
        made = core.QgsProcessingParameterRasterDestination(name, label)
    else:
        kinds = ";;".join(f"{s[1:].upper()} (*{s})" for s in suffixes)
        made = core.QgsProcessingParameterFileDestination(name, label, kinds)
    made.setCreateByDefault(wanted)
    return made


@dataclass(frozen=True)
class Arguments:
    """The values of an algorithm's parameters on the command line."""

    algorithm: core.QgsProcessingAlgorithm
    parameters: dict[str, Any]
    context: core.QgsProcessingContext
    feedback: core.QgsProcessingFeedback

    def write(self, option: Option) -> list[str]:
        """What the value of an option is; nothing where it is the default."""
        flag = option["opts"][-1]
        if option.get("is_flag"):
            given = (self.parameters, name_parameter(option), self.context)
            if option["secondary_opts"]:
                answer = self.algorithm.parameterAsEnumString(*given)
                return {"yes": [flag], "no": [option["secondary_opts"][-1]]}.get(answer, [])
            return [flag] if self.algorithm.parameterAsBool(*given) else []
        usual = ("", str(option["default"]))
        values = [value for value in self._find(option) if value not in usual]
        if option["param_type_name"] == "argument":
            return values
        return [part for value in values for part in (flag, value)]

    def _find(self, option: Option) -> Iterator[str]:
        role, kind, name = _role(option), option["type"]["param_type"], name_parameter(option)
        algorithm, value = self.algorithm, self.parameters.get(name)
        given = (self.parameters, name, self.context)
        if role == "layer":
            for each in value if isinstance(value, (list, tuple)) else [value]:
                yield find_source(each, self.context)
        elif role == "output" and option["type"]["suffixes"][0] in (".gpkg", ".tif"):
            yield algorithm.parameterAsOutputLayer(*given)
        elif role in ("output", "folder"):
            yield algorithm.parameterAsFileOutput(*given)
        elif value is None or value == "":
            number = kind in ("Int", "Float")
            yield "" if number or role else algorithm.parameterAsString(*given)
        elif role == "polygons":
            formats = ["gpkg", "geojson", "shp", "fgb"]
            yield algorithm.parameterAsCompatibleSourceLayerPath(
                *given, formats, "gpkg", self.feedback
            )
        elif role == "extent":
            box = algorithm.parameterAsExtent(*given, core.QgsCoordinateReferenceSystem(WORLD))
            edges = (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum())
            yield ",".join(f"{edge:.9f}" for edge in edges)
        elif role == "crs":
            crs = algorithm.parameterAsCrs(*given)
            yield crs.authid() or crs.toWkt()
        elif kind == "Choice":
            yield algorithm.parameterAsEnumString(*given)
        elif kind == "Int":
            yield str(algorithm.parameterAsInt(*given))
        elif kind == "Float":
            yield str(algorithm.parameterAsDouble(*given))
        elif is_list(option):
            yield from re.split(r"[,;\s]+", algorithm.parameterAsString(*given))
        else:
            yield algorithm.parameterAsString(*given)


def find_source(value: Any, context: core.QgsProcessingContext) -> str:
    """The file behind a layer, its name or id; any other text as it is, for geoclass to open."""
    if isinstance(value, core.QgsProperty):
        value = value.valueAsString(context.expressionContext())[0]
    if not value:
        return ""
    layer = value if isinstance(value, core.QgsMapLayer) else context.getMapLayer(str(value))
    source = str(value) if layer is None else str(layer.source())
    return source.partition("|")[0]  # one layer of a GeoPackage stands for the file
