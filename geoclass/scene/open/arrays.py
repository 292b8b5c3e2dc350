"""Scenes in memory: xarray arrays and open rasterio data sets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import rasterio
import rasterio.io
import rasterio.shutil
import rasterio.vrt
from rasterio.errors import RasterioError

from geoclass.errors import SceneError
from geoclass.scene.open.gdal import open_dataset, read_within_time

if TYPE_CHECKING:
    import xarray

Scene: TypeAlias = "Path | str | rasterio.DatasetReader | xarray.DataArray"
"""What can be mapped: all inputs of `geoclass map`, and open scenes."""


@contextmanager
def give_path(scene: Scene) -> Iterator[Path | str]:
    """The path of a scene; for a scene in memory, of a temporary GeoTIFF.

    An array needs the dimensions band, y, x, and CRS, transform and nodata as in rioxarray; its
    bands are named by the attribute `long_name` or the coordinates of `band`. Raises SceneError for
    other arrays, or if rioxarray is not installed.
    """
    if isinstance(scene, Path | str):
        yield scene
        return
    with tempfile.TemporaryDirectory(prefix="geoclass-") as folder:
        if not isinstance(scene, rasterio.io.DatasetReaderBase):
            name = str(getattr(scene, "name", None) or "array")
            name = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
            path = Path(folder) / f"{name}.tif"
            _write_array(scene, path)
            yield path
        elif scene.name.startswith("/vsimem/") or isinstance(scene, rasterio.vrt.WarpedVRT):
            path = Path(folder) / "dataset.tif"  # its name does not open the same pixels
            rasterio.shutil.copy(scene, path, driver="GTiff")
            yield path
        else:
            yield scene.name


def read_bands(data: bytes, bands: Sequence[int], most_pixels: int) -> np.ndarray:
    """Bands of a GeoTIFF in memory, (bands, rows, columns) as they are stored.

    SceneError if it is damaged, or has more than `most_pixels` pixels.
    """
    with rasterio.MemoryFile(data, ext=".tif") as memory, open_dataset(memory.name) as dataset:
        if dataset.width * dataset.height > most_pixels:
            raise SceneError(f"it has {dataset.width}×{dataset.height} pixels")
        stored: np.ndarray = read_within_time(memory.name, lambda: dataset.read(list(bands)))
    return stored


def _write_array(array: xarray.DataArray, path: Path) -> None:
    try:
        from rioxarray.exceptions import RioXarrayError  # adds `rio` to arrays
    except ImportError as error:
        raise SceneError(
            "mapping an array needs rioxarray, which is not installed: "
            "pip install 'geoclass[xarray]'"
        ) from error
    if not hasattr(array, "rio") or array.ndim != 3:
        shape = getattr(array, "dims", type(array).__name__)
        raise SceneError(
            f"got {shape}, expected a path, an open rasterio data set, or an xarray.DataArray "
            "of the dimensions band, y, x"
        )
    first = array.dims[0]
    if "long_name" not in array.attrs and first in array.coords:
        names = array.coords[first].values
        if names.dtype.kind in "UO":
            array = array.assign_attrs(long_name=tuple(map(str, names)))
    try:
        array.rio.to_raster(path)
    except (RasterioError, RioXarrayError, ValueError, TypeError) as error:
        raise SceneError(f"cannot read the array {array.name} as a raster: {error}") from error
