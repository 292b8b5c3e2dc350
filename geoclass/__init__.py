"""geoclass: land-cover maps from satellite scenes.

    import geoclass

    landcover = geoclass.map_scene("scene.tif")
    geoclass.write_map(landcover, "landcover.gpkg")

Each command has a function here. Files are `str` or `Path`, settings are keyword-only dataclasses,
and nothing is printed. Long functions report progress to callbacks, `on_…`; an exception raised in
a callback, such as `geoclass.Cancelled`, stops the work. Errors that the user can fix are
`geoclass.GeoclassError`.

Names are imported when they are first used, which keeps `import geoclass` fast.
"""

import lazy_loader

from geoclass._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
