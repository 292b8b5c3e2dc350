"""What geoclass makes of a raster before reading it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geoclass.errors import SceneError
from geoclass.scene.open.source import open_scene

Make = Callable[..., Path]


def pixels(bands: int, dtype: str = "uint16", size: int = 70) -> np.ndarray:
    return np.ones((bands, size, size), dtype=dtype)


def test_band_names_decide(make_scene: Make) -> None:
    path = make_scene(pixels(4), descriptions=("B02", "B03", "B04", "B08"))
    assert open_scene(path).bands == (3, 2, 1)


@pytest.mark.parametrize("names", [("red", "green", "blue"), ("B4", "B3", "B2")])
def test_other_names_of_bands_are_understood(make_scene: Make, names: tuple[str, ...]) -> None:
    path = make_scene(pixels(4), descriptions=(*names, None))
    assert open_scene(path).bands == (1, 2, 3)


def test_colour_interpretation_decides_where_names_are_missing(make_scene: Make) -> None:
    path = make_scene(pixels(4, "uint8"), photometric="rgb")
    source = open_scene(path)
    assert source.bands == (1, 2, 3)
    assert source.warnings == ()


def test_three_nameless_bands_are_taken_with_a_warning(make_scene: Make) -> None:
    source = open_scene(make_scene(pixels(3), photometric="minisblack"))
    assert source.bands == (1, 2, 3)
    assert "taken as red, green, blue" in source.warnings[0]


def test_four_nameless_bands_are_refused_naming_the_option(make_scene: Make) -> None:
    path = make_scene(pixels(4), photometric="minisblack")
    with pytest.raises(SceneError, match=r"which of its 4 bands .* say so with -b"):
        open_scene(path)


def test_given_bands_win(make_scene: Make) -> None:
    path = make_scene(pixels(4), descriptions=("B02", "B03", "B04", "B08"))
    assert open_scene(path, [4, 3, 2]).bands == (4, 3, 2)


@pytest.mark.parametrize("bands", [[1, 2], [0, 1, 2], [1, 2, 9]])
def test_impossible_bands_are_refused(make_scene: Make, bands: list[int]) -> None:
    with pytest.raises(SceneError, match="three numbers from 1 to 4"):
        open_scene(make_scene(pixels(4)), bands)


def test_tags_are_obeyed(make_scene: Make) -> None:
    tags = {
        "PROCESSING_LEVEL": "Level-1C",
        "PROCESSING_BASELINE": "02.04",
        "DATATAKE_1_DATATAKE_SENSING_START": "2017-02-16T10:21:01Z",
    }
    source = open_scene(make_scene(pixels(3), tags=tags))
    assert (source.facts.level, source.facts.baseline, source.date) == (
        "Level-1C",
        "02.04",
        "2017-02-16",
    )


def test_senseless_date_is_no_date(make_scene: Make) -> None:
    assert open_scene(make_scene(pixels(3), tags={"PRODUCT_START_TIME": "yesterday"})).date is None


def test_date_of_the_file_is_not_the_date_of_sensing(make_scene: Make) -> None:
    source = open_scene(make_scene(pixels(3), tags={"TIFFTAG_DATETIME": "2018:03:04 10:00:00"}))
    assert source.date is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_names_that_are_not_rgb_beat_colour_interpretation(make_scene: Make, dtype: str) -> None:
    """GDAL takes any three 8-bit bands for red, green, blue."""
    path = make_scene(pixels(3, dtype), descriptions=("B08", "B04", "B03"))
    with pytest.raises(SceneError, match=r"1: B08, 2: B04, 3: B03.* say so with -b"):
        open_scene(path)


def test_names_that_say_nothing_are_no_names(make_scene: Make) -> None:
    path = make_scene(pixels(3, "uint8"), descriptions=("Band 1", "Band 2", "Band 3"))
    assert open_scene(path).bands == (1, 2, 3)


def test_senseless_offset_is_refused(make_scene: Make) -> None:
    path = make_scene(pixels(3), tags={"RADIO_ADD_OFFSET": "minus"})
    with pytest.raises(SceneError, match="RADIO_ADD_OFFSET .* whole number"):
        open_scene(path)


def test_container_without_bands_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    for table, more in (("a", {}), ("b", {"APPEND_SUBDATASET": "YES"})):
        with rasterio.open(
            path, "w", driver="GPKG", count=3, height=70, width=70, dtype="uint8",
            crs="EPSG:32633", transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
            RASTER_TABLE=table, **more,
        ) as file:  # fmt: skip
            file.write(pixels(3, "uint8"))
    with pytest.raises(SceneError, match="no bands of its own, but holds GPKG:"):
        open_scene(path)


def test_senseless_baseline_is_refused(make_scene: Make) -> None:
    path = make_scene(pixels(3), tags={"PROCESSING_BASELINE": "4"})
    with pytest.raises(SceneError, match="PROCESSING_BASELINE .* expected a form like 02.04"):
        open_scene(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no scene at"):
        open_scene(tmp_path / "none.tif")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="is a folder"):
        open_scene(tmp_path)


def test_text_named_tif(tmp_path: Path) -> None:
    path = tmp_path / "text.tif"
    path.write_text("hello")
    with pytest.raises(SceneError, match="cannot read .* as a raster"):
        open_scene(path)


def test_one_band(make_scene: Make) -> None:
    with pytest.raises(SceneError, match=r"has 1 band\(s\), but red, green and blue"):
        open_scene(make_scene(pixels(1)))


@pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
def test_complex_pixels(make_scene: Make, tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "complex.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=70, width=70, dtype=dtype, crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ):  # fmt: skip
        pass
    with pytest.raises(SceneError, match="complex"):
        open_scene(path)


def test_identity_changes_with_the_file(make_scene: Make) -> None:
    path = make_scene(pixels(3))
    before = open_scene(path).identity
    make_scene(pixels(3, size=90))
    assert open_scene(path).identity != before
