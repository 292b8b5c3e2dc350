"""The page of QGIS's options: which program runs, and a button that installs it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qgis.core import QgsApplication
from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt import QtWidgets
from qgis.PyQt.QtCore import QProcess, QProcessEnvironment
from qgis.PyQt.QtGui import QIcon

from .program import HERE, OF_QGIS, ProgramError, find_program, use_program

INTRODUCTION = (
    "geoclass runs beside QGIS, in a Python environment of its own. Choose its program, or "
    "name what to install it from: a wheel (geoclass-….whl) or the address of a package index. "
    "Python 3.11 or newer and about 3 GB of disk are needed."
)


class GeoclassPageFactory(QgsOptionsWidgetFactory):
    """Makes the page each time that the options are opened."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        super().__init__()
        self._on_change = on_change

    def title(self) -> str:
        return "geoclass"

    def icon(self) -> QIcon:
        return QIcon(str(HERE / "icon.svg"))

    def createWidget(self, parent: QtWidgets.QWidget | None) -> GeoclassPage:
        return GeoclassPage(parent, self._on_change)


class GeoclassPage(QgsOptionsPageWidget):
    """A path, what is installed from where, and what happens."""

    def __init__(self, parent: QtWidgets.QWidget | None, on_change: Callable[[], object]) -> None:
        super().__init__(parent)
        self._on_change = on_change
        self._steps: list[list[str]] = []
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.setProcessEnvironment(_clean_environment())
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._finish)
        self._process.errorOccurred.connect(self._fail)

        self.program = QgsFileWidget()
        self.program.setFilePath(find_program() or "")
        find = QtWidgets.QPushButton("Find")
        self.install = QtWidgets.QPushButton("Make environment and install")
        find.clicked.connect(lambda: self.program.setFilePath(find_program() or ""))
        self.install.clicked.connect(self.start)
        self.source = QtWidgets.QLineEdit()
        self.source.setPlaceholderText("/path/to/geoclass-….whl or https://index/simple")
        self.python = QtWidgets.QLineEdit(find_python() or "")
        self.log = QtWidgets.QPlainTextEdit()
        self.log.setReadOnly(True)
        introduction = QtWidgets.QLabel(INTRODUCTION)
        introduction.setWordWrap(True)
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.program)
        row.addWidget(find)
        form = QtWidgets.QFormLayout(self)
        form.addRow(introduction)
        form.addRow("Program", row)
        form.addRow("Install from", self.source)
        form.addRow("Python", self.python)
        form.addRow("", self.install)
        form.addRow(self.log)

    def apply(self) -> None:
        """Use the chosen program, if it is another one and works."""
        path = self.program.filePath()
        if path and path != find_program():
            self._use(path)

    def start(self) -> None:
        """Make an environment and install into it; the window stays alive."""
        source = self.source.text().strip()
        folder = environment_folder()
        try:
            self._steps = plan_installation(self.python.text().strip(), source, folder)
        except ProgramError as error:
            self.log.appendPlainText(f"Error: {error}")
            return
        self.install.setEnabled(False)
        self._next()

    def _next(self) -> None:
        program, *arguments = self._steps.pop(0)
        self.log.appendPlainText(" ".join([program, *arguments]))
        self._process.start(program, arguments)

    def _read(self) -> None:
        text = bytes(self._process.readAllStandardOutput()).decode(errors="replace")
        self.log.appendPlainText(text.rstrip())

    def _fail(self, error: Any) -> None:
        if error == QProcess.ProcessError.FailedToStart:  # of others `finished` is told
            self.log.appendPlainText(f"Error: {self._process.errorString()}")
            self.install.setEnabled(True)

    def _finish(self, code: int, *_: object) -> None:
        if code == 0 and self._steps:
            self._next()
            return
        self.install.setEnabled(True)
        if code:
            self.log.appendPlainText("Error: the installation failed; the last lines say why")
            return
        self._use(str(_programs(environment_folder()) / _executable("geoclass")))

    def _use(self, path: str) -> None:
        try:
            use_program(path)
        except ProgramError as error:
            self.log.appendPlainText(f"Error: {error}")
            return
        self.program.setFilePath(path)
        self.log.appendPlainText(f"QGIS runs {path}")
        self._on_change()


def environment_folder() -> Path:
    """Where the button makes an environment: beside the profile's other data."""
    return Path(QgsApplication.qgisSettingsDirPath()) / "geoclass_environment"


def plan_installation(python: str, source: str, folder: Path) -> list[list[str]]:
    """The commands that install geoclass into a new environment; ProgramError if they could not."""
    if not python:
        raise ProgramError("name a Python of version 3.11 or newer")
    if source.endswith(".whl") and Path(source).exists():
        what = [source]
    elif source.startswith(("https://", "http://")):
        what = ["--index-url", source, "geoclass"]
    else:
        raise ProgramError(f"{source or 'nothing'} is neither a wheel nor an index's address")
    inside = str(_programs(folder) / _executable("python"))
    return [
        [python, "-m", "venv", "--clear", str(folder)],
        [inside, "-m", "pip", "install", "--disable-pip-version-check", *what],
    ]


def find_python() -> str | None:
    """A Python that makes environments: QGIS's own, or one on the PATH."""
    own = Path(sys.prefix) / _executable("python3")
    return str(own) if own.exists() else shutil.which("python3") or shutil.which("python")


def _programs(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin")


def _executable(name: str) -> str:
    return f"{name}.exe" if os.name == "nt" else name


def _clean_environment() -> QProcessEnvironment:
    variables = QProcessEnvironment.systemEnvironment()
    for name in OF_QGIS:
        variables.remove(name)
    return variables
