"""Scenes that are open already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from geoclass.errors import SceneError
from geoclass.mapping.job import map_scene
from geoclass.mapping.settings import MapSettings
from geoclass.scene.open.arrays import give_path
from geoclass.scene.settings import RadiometrySettings
from tests.conftest import SAMPLE_SCENE, paint

Make = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Use `@` matmul:PendingDeprecationWarning"
)  # rioxarray


def open_array(path: Path) -> xarray.DataArray:
    array = rioxarray.open_rasterio(path)
    assert isinstance(array, xarray.DataArray)
    return array


def read(path: Path | str) -> tuple[np.ndarray, dict[str, object]]:
    with rasterio.open(path) as file:
        return file.read(), {
            "crs": file.crs,
            "transform": file.transform,
            "nodata": file.nodata,
            "names": file.descriptions,
        }


def test_array_has_pixels_place_and_names(make_scene: Make) -> None:
    path = make_scene(paint([[0, 1], [2, 3]]).astype(np.uint16) * 10)
    pixels, facts = read(path)
    array = open_array(path).rename("summer/2020")
    array = array.assign_coords(band=["B04", "B03", "B02"])
    array.attrs.pop("long_name", None)
    with give_path(array) as found:
        assert Path(found).name == "summer_2020.tif"
        copied, kept = read(found)
    assert not Path(found).exists()
    np.testing.assert_array_equal(copied, pixels)
    assert kept == {**facts, "names": ("B04", "B03", "B02")}


def test_data_set_is_read_by_its_name_or_from_memory(make_scene: Make) -> None:
    path = make_scene(paint([[0, 1]]))
    pixels, facts = read(path)
    with rasterio.open(path) as opened, give_path(opened) as found:
        assert Path(found) == path
    with (
        MemoryFile(path.read_bytes()) as memory,
        memory.open() as opened,
        give_path(opened) as found,
    ):
        copied, kept = read(found)
        np.testing.assert_array_equal(copied, pixels)
        assert kept == facts
    with (
        rasterio.open(path) as opened,
        WarpedVRT(opened, crs="EPSG:32632") as warped,
        give_path(warped) as found,
    ):
        assert read(found)[1]["crs"] == rasterio.CRS.from_epsg(32632)


def test_what_is_no_scene_is_refused() -> None:
    with pytest.raises(SceneError, match="got ndarray, expected a path"), give_path(np.ones(3)):
        pass
    flat = xarray.DataArray(np.ones((4, 4)), dims=("y", "x"))
    with pytest.raises(SceneError, match=r"got \('y', 'x'\), expected"), give_path(flat):
        pass
    placed = xarray.DataArray(
        np.ones((3, 64, 64)), dims=("band", "lat", "up"), name="odd"
    )  # no dimensions that rioxarray knows
    with pytest.raises(SceneError, match="cannot read the array odd"), give_path(placed):
        pass


def test_map_of_an_array_is_the_map_of_its_file() -> None:
    """The sample scene, opened by xarray: the same classes, and its place."""
    part = open_array(SAMPLE_SCENE)[:, :256, :256]
    array = part.assign_attrs(long_name=("B04", "B03", "B02")).rename("part")
    settings = MapSettings(radiometry=RadiometrySettings(profile="l1c"))
    landcover = map_scene(array, settings=settings)
    with give_path(array) as path:
        expected = map_scene(path, settings=settings)
    assert landcover.provenance.scene == "part.tif"
    np.testing.assert_array_equal(landcover.finest.class_id, expected.finest.class_id)
    assert landcover.grid.transform == part.rio.transform()
