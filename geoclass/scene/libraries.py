"""The libraries that read scenes and maps."""

from __future__ import annotations

import pyogrio
import pyproj
import rasterio


def describe_gdal() -> str:
    """GDAL's versions, for rasters and for polygons (each library brings its own), and PROJ's."""
    return (
        f"{rasterio.__gdal_version__} (rasterio {rasterio.__version__}), "
        f"{pyogrio.__gdal_version_string__} (pyogrio {pyogrio.__version__}), "
        f"PROJ {pyproj.proj_version_str} (pyproj {pyproj.__version__})"
    )
