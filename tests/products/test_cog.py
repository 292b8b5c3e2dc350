"""GeoTIFFs that can be read in parts over a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rio_cogeo.cogeo import cog_validate

from geoclass.errors import SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.legend import NODATA
from geoclass.products.files import check_target, read_map, write_map
from geoclass.products.formats import FileSettings
from tests.conftest import assert_equal_maps, make_landcover

SIZES = {"small": (3, 4), "one block": (64, 512), "two overviews": (1100, 40)}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_map_is_a_valid_cog(tmp_path: Path, size: tuple[int, int]) -> None:
    landcover = make_landcover(*size)
    write_map(landcover, tmp_path / "map.tif")
    valid, errors, warnings = cog_validate(tmp_path / "map.tif", strict=True)
    assert (valid, errors, warnings) == (True, [], [])
    assert_equal_maps(read_map(tmp_path / "map.tif"), landcover)


def test_map_without_a_place_is_a_valid_cog(tmp_path: Path) -> None:
    nowhere = replace(make_landcover().grid, crs=None, transform=Affine.identity())
    landcover = make_landcover(grid=nowhere)
    write_map(landcover, tmp_path / "map.tif")
    assert cog_validate(tmp_path / "map.tif", quiet=True)[0]
    assert_equal_maps(read_map(tmp_path / "map.tif"), landcover)


@pytest.fixture(scope="module")
def tall() -> LandCoverMap:
    return make_landcover(1100, 40)


@pytest.fixture(scope="module")
def half(tall: LandCoverMap, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """uint8 (bands, rows, cols): the first overview."""
    path = tmp_path_factory.mktemp("cog") / "map.tif"
    write_map(tall, path)
    with rasterio.open(path) as file:
        assert all(file.overviews(band) == [2, 4] for band in file.indexes)
    with rasterio.open(path, overview_level=0) as file:
        pixels: np.ndarray = file.read()
    return pixels


def test_class_in_an_overview_is_the_commonest_of_four(
    tall: LandCoverMap, half: np.ndarray
) -> None:
    four = tall.class_id.reshape(550, 2, 20, 2).swapaxes(1, 2).reshape(550, 20, 4)
    counts = (four[..., None] == np.arange(256)).sum(axis=2)
    counts[..., NODATA] = 0
    ordered = np.sort(counts, axis=2)
    clear = ordered[..., -1] > ordered[..., -2]
    assert clear.mean() > 0.3
    np.testing.assert_array_equal(half[0][clear], counts.argmax(axis=2)[clear])
    assert set(np.unique(half[0])) <= set(np.unique(tall.class_id))


def test_confidence_in_an_overview_is_one_of_four(tall: LandCoverMap, half: np.ndarray) -> None:
    percent = np.nan_to_num(np.rint(100 * tall.confidence), nan=NODATA)
    four = percent.reshape(550, 2, 20, 2).swapaxes(1, 2).reshape(550, 20, 4)
    assert (four == half[1][..., None]).any(axis=2).all()


def test_creation_options_reach_gdal(tmp_path: Path) -> None:
    settings = FileSettings(creation=(("COMPRESS", "zstd"), ("BLOCKSIZE", "256")))
    write_map(make_landcover(300, 4), tmp_path / "map.tif", settings=settings)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.compression.name == "zstd"
        assert file.block_shapes[0] == (256, 256)
    assert_equal_maps(read_map(tmp_path / "map.tif"), make_landcover(300, 4))
    request = "cd" * 32
    assert check_target(tmp_path / "map.tif", "tif", request, settings=settings)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("TILED", "YES"), "TILED is no creation option .* give one of BIGTIFF, BLOCKSIZE"),
        (("TILING_SCHEME", "GoogleMapsCompatible"), "is no creation option"),
        (("COMPRESS", "JPEG"), "COMPRESS=JPEG would change a map's numbers"),
    ],
)
def test_options_that_change_pixels_are_refused(pair: tuple[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FileSettings(creation=(pair,))


def test_options_are_for_geotiff(tmp_path: Path) -> None:
    settings = FileSettings(creation=(("LEVEL", "9"),))
    with pytest.raises(SettingsError, match=r"the output is gpkg: leave them out or write a \.tif"):
        write_map(make_landcover(), tmp_path / "map.gpkg", settings=settings)
    assert list(tmp_path.iterdir()) == []
