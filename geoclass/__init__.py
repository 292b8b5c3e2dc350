"""geoclass: land-cover maps from satellite scenes.

    import geoclass

    landcover = geoclass.map_scene("scene.tif")
    geoclass.write_map(landcover, "landcover.gpkg")

Names are imported when they are first used, so that `import geoclass` is quick.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from geoclass.errors import GeoclassError
    from geoclass.landcover import LandCoverMap
    from geoclass.mapping.pipeline import map_scene
    from geoclass.mapping.settings import MapSettings
    from geoclass.model.checkpoint import Model, load_model
    from geoclass.monitor.change import change_maps, write_change
    from geoclass.monitor.dates import date_map
    from geoclass.monitor.files import read_monitor, write_monitor
    from geoclass.monitor.settings import MonitorSettings
    from geoclass.monitor.watch import monitor_maps
    from geoclass.products.files import read_map, write_map
    from geoclass.products.style_files import write_styles

_HOMES = {
    "GeoclassError": "geoclass.errors",
    "LandCoverMap": "geoclass.landcover",
    "MapSettings": "geoclass.mapping.settings",
    "Model": "geoclass.model.checkpoint",
    "MonitorSettings": "geoclass.monitor.settings",
    "change_maps": "geoclass.monitor.change",
    "date_map": "geoclass.monitor.dates",
    "load_model": "geoclass.model.checkpoint",
    "map_scene": "geoclass.mapping.pipeline",
    "monitor_maps": "geoclass.monitor.watch",
    "read_map": "geoclass.products.files",
    "read_monitor": "geoclass.monitor.files",
    "write_change": "geoclass.monitor.change",
    "write_map": "geoclass.products.files",
    "write_monitor": "geoclass.monitor.files",
    "write_styles": "geoclass.products.style_files",
}

__all__ = [
    "GeoclassError",
    "LandCoverMap",
    "MapSettings",
    "Model",
    "MonitorSettings",
    "change_maps",
    "date_map",
    "load_model",
    "map_scene",
    "monitor_maps",
    "read_map",
    "read_monitor",
    "write_change",
    "write_map",
    "write_monitor",
    "write_styles",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'geoclass' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
