"""A command of geoclass as an algorithm of Processing."""

from __future__ import annotations

import html
import inspect
import json
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
)
from qgis.PyQt.QtGui import QIcon

from .layers import load_styled
from .parameters import (
    build_parameter,
    describe_option,
    is_offered,
    name_parameter,
    write_arguments,
)
from .program import HERE, ProgramError, Stopped, find_program, run_program

SAID = "MESSAGES"
"""Name of the output that holds what the program printed."""


class CommandAlgorithm(QgsProcessingAlgorithm):
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
        for option, parameter in zip(self._options, self._parameters()):
            if text := describe_option(option):
                said.append(f"<b>{html.escape(parameter.description())}</b>: {html.escape(text)}")
        return "".join(f"<p>{paragraph}</p>" for paragraph in said)

    def _parameters(self) -> list[Any]:
        return [self.parameterDefinition(name_parameter(option)) for option in self._options]

    def initAlgorithm(self, _configuration: Any = None) -> None:
        """Parameters from the schema; what the program prints is an output, too."""
        for option in self._options:
            self.addParameter(build_parameter(option))
        self.addOutput(QgsProcessingOutputString(SAID, "Messages"))

    def checkParameterValues(
        self,
        parameters: dict[str, Any],
        _context: QgsProcessingContext,
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
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Run the command to its end; QgsProcessingException with its error's line."""
        program = find_program()
        if program is None:
            raise QgsProcessingException(
                "the program geoclass is not found: choose or install it in Settings > Options > "
                "geoclass"
            )
        positional: list[str] = []
        options: list[str] = []
        results: dict[str, Any] = {}
        for option in self._options:
            written = write_arguments(option, self, parameters, context, feedback)
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
    def _follow(command: list[str], feedback: QgsProcessingFeedback) -> list[str]:
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
            raise QgsProcessingException("stopped; nothing was written") from None
        except ProgramError as error:
            raise QgsProcessingException(str(error)) from error
        return said
