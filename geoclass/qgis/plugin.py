"""What QGIS loads: the provider of algorithms, and a page of settings where there is a window."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsApplication, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithm import CommandAlgorithm
from .program import HERE, read_schema

TITLES = {
    "map": "Map land cover",
    "change": "Compare two dates",
    "monitor": "Monitor",
    "sample": "Draw a sample",
    "assess": "Assess a sample",
    "report": "Report",
}
"""Commands that are algorithms, and what they are called."""


class GeoclassProvider(QgsProcessingProvider):
    """The algorithms, which are commands of the program."""

    def loadAlgorithms(self) -> None:
        """One for each title, by the schema."""
        commands = read_schema()
        for name, title in TITLES.items():
            if name in commands:
                self.addAlgorithm(CommandAlgorithm(commands[name], title))

    def id(self) -> str:
        return "geoclass"

    def name(self) -> str:
        return "geoclass"

    def icon(self) -> QIcon:
        return QIcon(str(HERE / "icon.svg"))

    def supportedOutputVectorLayerExtensions(self) -> list[str]:
        """What `geoclass map` writes; other commands say that they write GeoPackages."""
        return ["gpkg", "tif", "fgb", "geojson", "parquet"]

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        return ["tif"]


class GeoclassPlugin:
    """Adds the provider and the page, and takes them away."""

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self._provider = GeoclassProvider()
        self._page: Any = None

    def initProcessing(self) -> None:
        """All that `qgis_process` needs."""
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self) -> None:
        """Provider and page."""
        from .settings_page import GeoclassPageFactory

        self.initProcessing()
        # Another program may have other commands.
        self._page = GeoclassPageFactory(self._provider.refreshAlgorithms)
        self._iface.registerOptionsWidgetFactory(self._page)

    def unload(self) -> None:
        """Leave QGIS as it was."""
        QgsApplication.processingRegistry().removeProvider(self._provider)
        if self._page is not None:
            self._iface.unregisterOptionsWidgetFactory(self._page)
