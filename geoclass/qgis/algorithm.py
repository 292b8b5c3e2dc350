"""A command of geoclass as an algorithm of Processing, and the layers that it writes."""

from __future__ import annotations

import html
import inspect
import json
import sqlite3
from collections import deque
from contextlib import closing
from pathlib import Path
from typing import Any

from qgis import core
from qgis.PyQt.QtGui import QIcon

from .parameters import Arguments, build_parameter, describe_option, is_offered, name_parameter
from .program import HERE, ProgramError, Stopped, find_program, run_program

SAID = "MESSAGES"
"""Name of the output that holds what the program printed."""


class CommandAlgorithm(core.QgsProcessingAlgorithm):
    """Runs one command; parameters, help and defaults are those of the program's schema."""

    def __init__(self, command: dict[str, Any], title: str) -> None:
        super().__init__()
        self._command, self._title = command, title
        self._options = [option for option in command["params"] if is_offered(option)]

    def createInstance(self) -> CommandAlgorithm:
        return CommandAlgorithm(self._command, self._title)

    def name(self) -> str:
        return str(self._command["name"])

    def displayName(self) -> str:
        return self._title

    def icon(self) -> QIcon:
        return QIcon(str(HERE / "icon.svg"))

    def shortHelpString(self) -> str:
        """The command's help, and that of each option that has any."""
        paragraphs = inspect.cleandoc(self._command["help"] or "").split("\n\n")
        said = [html.escape(" ".join(text.split())) for text in paragraphs]  # QGIS keeps line ends
        for option in self._options:
            parameter = self.parameterDefinition(name_parameter(option))
            if text := describe_option(option):
                said.append(f"<b>{html.escape(parameter.description())}</b>: {html.escape(text)}")
        return "".join(f"<p>{paragraph}</p>" for paragraph in said)

    def initAlgorithm(self, _configuration: Any = None) -> None:
        """Parameters from the schema; what the program prints is an output, too."""
        for option in self._options:
            self.addParameter(build_parameter(option))
        self.addOutput(core.QgsProcessingOutputString(SAID, "Messages"))

    def checkParameterValues(
        self, parameters: dict[str, Any], _context: core.QgsProcessingContext
    ) -> tuple[bool, str]:
        """Whether values are of the right kind; geoclass itself says which files it cannot read.

        Without the context QGIS does not try to open layers: it does not know all kinds of scenes.
        """
        for definition in self.parameterDefinitions():
            value = parameters.get(definition.name(), definition.defaultValue())
            if not definition.checkValueIsAcceptable(value):
                return False, f"{definition.description()}: {value!r} will not do"
        return True, ""

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: core.QgsProcessingContext,
        feedback: core.QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Run the command to its end; QgsProcessingException with its error's line."""
        program = find_program()
        if program is None:
            raise core.QgsProcessingException(
                "the program geoclass is not found: choose or install it in Settings > Options > "
                "geoclass"
            )
        positional: list[str] = []
        options: list[str] = []
        results: dict[str, Any] = {}
        arguments = Arguments(self, parameters, context, feedback)
        for option in self._options:
            written = arguments.write(option)
            if option["param_type_name"] == "argument":
                positional += written
            else:
                options += written
            if option["type"].get("role") in ("output", "folder") and written:
                results[name_parameter(option)] = written[-1]
        if any(option["name"] == "overwrite" for option in self._command["params"]):
            options.append("--overwrite")  # QGIS has asked before
        command = [program, "--progress", "json", self.name(), *options, "--", *positional]
        results[SAID] = "\n".join(self._follow(command, feedback))
        for path in results.values():
            load_styled(path, context)
        return results

    @staticmethod
    def _follow(command: list[str], feedback: core.QgsProcessingFeedback) -> list[str]:
        """Run a command, pass on what it says, and return that."""
        feedback.pushCommandInfo(" ".join(command))
        said: list[str] = []
        name = ""
        try:
            for line in run_program(command, feedback.isCanceled):
                if line.startswith('{"progress"'):
                    told = json.loads(line)["progress"]
                    if told["total"]:
                        feedback.setProgress(100 * told["done"] / told["total"])
                    if told["name"] != name:
                        name = told["name"]
                        feedback.setProgressText(name)
                elif line.startswith("Warning: "):
                    feedback.pushWarning(line.partition(" ")[2])
                elif line and not line.startswith("Error: "):
                    feedback.pushInfo(line)
                    said.append(line)
        except Stopped:
            raise core.QgsProcessingException("stopped; nothing was written") from None
        except ProgramError as error:
            raise core.QgsProcessingException(str(error)) from error
        return said


class _Styler(core.QgsProcessingLayerPostProcessorInterface):
    """Gives a layer its file's style once more, and its place among the file's layers.

    QGIS 3.22 forgets the temporal settings of a style that is loaded while the layer is made, and
    sorts the layers of a file by their names.
    """

    def postProcessLayer(
        self,
        layer: core.QgsMapLayer,
        context: core.QgsProcessingContext,
        _feedback: core.QgsProcessingFeedback,
    ) -> None:
        layer.loadDefaultStyle()
        path, _, name = layer.source().partition("|layername=")
        root = context.project().layerTreeRoot()
        node = root.findLayer(layer.id())
        if not name or node is None:
            return
        order = [table for table, _ in list_styled(path)]
        above = [f"{path}|layername={other}" for other in order[: order.index(name)]]
        parent = node.parent()
        last = -1
        for i, child in enumerate(parent.children()):
            other = child.layer() if hasattr(child, "layer") else None
            if other is not None and other.source() in above:
                last = i
        if last > parent.children().index(node):
            parent.insertChildNode(last + 1, node.clone())
            parent.removeChildNode(node)


_KEPT: deque[_Styler] = deque(maxlen=100)
"""QGIS keeps only their C++ halves alive until they are called."""


def list_styled(path: str) -> list[tuple[str, str]]:
    """Table and title of each layer of a GeoPackage that has a style, in the file's order."""
    query = (
        "SELECT table_name, identifier FROM gpkg_contents JOIN layer_styles "
        "ON f_table_name = table_name WHERE useAsDefault ORDER BY gpkg_contents.rowid"
    )
    with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as file:
        return [(table, title) for table, title in file.execute(query)]


def load_styled(path: str, context: core.QgsProcessingContext) -> None:
    """Where QGIS was to load a GeoPackage, let it load all styled layers of it."""
    wanted: dict[str, Any] = context.layersToLoadOnCompletion()
    details = wanted.get(path)
    if details is None or not path.endswith(".gpkg"):
        return
    del wanted[path]
    for table, title in list_styled(path):
        named = core.QgsProcessingContext.LayerDetails(
            f"{Path(path).stem}: {title}", details.project, details.outputName
        )
        named.forceName = True
        _KEPT.append(_Styler())  # one each: the context deletes it
        named.setPostProcessor(_KEPT[-1])
        wanted[f"{path}|layername={table}"] = named
    context.setLayersToLoadOnCompletion(wanted)
