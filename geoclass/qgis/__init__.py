"""The QGIS plugin: geoclass's commands as Processing algorithms.

QGIS's own Python runs this folder, copied into a profile by `geoclass qgis install`. So it imports
QGIS, the standard library and itself, and nothing else of geoclass: that runs as a program of its
own. Python 3.9 will do, as QGIS 3.22 has it on some systems.
"""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:  # QGIS calls it so
    """The plugin; `iface` is QGIS's window, None in `qgis_process`."""
    from .plugin import GeoclassPlugin

    return GeoclassPlugin(iface)
