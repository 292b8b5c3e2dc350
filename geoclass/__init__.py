"""geoclass: land-cover maps from satellite scenes.

    import geoclass

    landcover = geoclass.map_scene("scene.tif")
    geoclass.write_map(landcover, "landcover.gpkg")

Whatever a command does is a function here. Files are named by `str` or `Path`, settings are
keyword-only dataclasses, and nothing is printed. Functions that take long report progress to a
callback, `on_…`; what it raises, `geoclass.Cancelled` for one, stops the work. Errors that a
person can put right are `geoclass.GeoclassError`.

Names are imported when they are first used, so that `import geoclass` is quick.
"""

import lazy_loader

from geoclass._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
