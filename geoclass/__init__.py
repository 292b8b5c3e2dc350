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
    from geoclass.products.files import read_map, write_map

_HOMES = {
    "GeoclassError": "geoclass.errors",
    "LandCoverMap": "geoclass.landcover",
    "MapSettings": "geoclass.mapping.settings",
    "Model": "geoclass.model.checkpoint",
    "load_model": "geoclass.model.checkpoint",
    "map_scene": "geoclass.mapping.pipeline",
    "read_map": "geoclass.products.files",
    "write_map": "geoclass.products.files",
}

__all__ = [
    "GeoclassError",
    "LandCoverMap",
    "MapSettings",
    "Model",
    "load_model",
    "map_scene",
    "read_map",
    "write_map",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'geoclass' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
