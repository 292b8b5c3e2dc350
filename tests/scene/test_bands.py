"""Red, green and blue: by number, name, wavelength, colour, or not at all."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.enums import ColorInterp

from geoclass.errors import SceneError
from geoclass.scene.open.source import open_scene

Make = Callable[..., Path]


def pixels(bands: int, dtype: str = "uint16", size: int = 70) -> np.ndarray:
    return np.ones((bands, size, size), dtype=dtype)


def tag_bands(path: Path, key: str, values: Sequence[object], **more: str) -> Path:
    with rasterio.open(path, "r+") as file:
        for i, value in enumerate(values, start=1):
            file.update_tags(i, **{key: str(value)}, **more)
    return path


def test_bands_may_be_given_by_name(make_scene: Make) -> None:
    path = make_scene(pixels(4), descriptions=("B02", "B03", "B04", "B08"))
    assert open_scene(path, ["B08", "b04", "B03"]).bands == (4, 3, 2)


def test_unknown_name_is_refused_with_the_known_ones(make_scene: Make) -> None:
    path = make_scene(pixels(4), descriptions=("B02", "B03", "B04", None))
    with pytest.raises(SceneError, match="no band named 'B12', it has 1: B02, .* 4: unnamed"):
        open_scene(path, ["B04", "B03", "B12"])


@pytest.mark.parametrize(
    "names",
    [
        ("B02_10m", "B03_10m", "B04_10m", "B08_10m"),
        ("B2, central wavelength 490 nm", "B3, …", "B4, …", "B8, …"),
    ],
)
def test_names_may_carry_more(make_scene: Make, names: tuple[str, ...]) -> None:
    assert open_scene(make_scene(pixels(4), descriptions=names)).bands == (3, 2, 1)


@pytest.mark.parametrize(
    ("unit", "factor"), [("nm", 1), ("Nanometers", 1), ("micrometers", 1e-3), ("um", 1e-3)]
)
def test_wavelengths_decide(make_scene: Make, unit: str, factor: float) -> None:
    waves = [factor * nm for nm in (443, 490, 560, 665, 704, 842)]
    path = make_scene(pixels(6), photometric="minisblack")
    source = open_scene(tag_bands(path, "wavelength", waves, wavelength_units=unit))
    assert source.bands == (4, 3, 2)
    assert source.warnings == ()


def test_wavelengths_without_blue_decide_nothing(make_scene: Make) -> None:
    path = make_scene(pixels(4), photometric="minisblack")
    with pytest.raises(SceneError, match="say so with -b"):
        open_scene(tag_bands(path, "wavelength", (443, 560, 665, 842)))


def test_three_nameless_bands_with_alpha(make_scene: Make) -> None:
    path = make_scene(pixels(4), photometric="minisblack")
    gray, alpha = ColorInterp.gray, ColorInterp.alpha
    with rasterio.open(path, "r+") as file:
        file.colorinterp = (gray, gray, gray, alpha)
    source = open_scene(path)
    assert source.bands == (1, 2, 3)
    assert "taken as red, green, blue" in source.warnings[0]


def test_other_colours_than_red_green_and_blue(make_scene: Make) -> None:
    path = make_scene(pixels(3, "uint8"), photometric="minisblack")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = (ColorInterp.hue, ColorInterp.saturation, ColorInterp.lightness)
    with pytest.raises(SceneError, match="1: hue, 2: saturation, 3: lightness"):
        open_scene(path)


def test_bands_of_different_types_are_refused(tmp_path: Path, make_scene: Make) -> None:
    eight, sixteen = make_scene(pixels(1, "uint8"), "8.tif"), make_scene(pixels(2), "16.tif")
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{i}"><SimpleSource>'
        f"<SourceFilename>{path}</SourceFilename><SourceBand>{band}</SourceBand>"
        "</SimpleSource></VRTRasterBand>"
        for i, (kind, path, band) in enumerate(
            [("Byte", eight, 1), ("UInt16", sixteen, 1), ("UInt16", sixteen, 2)], start=1
        )
    )
    path = tmp_path / "mixed.vrt"
    path.write_text(f'<VRTDataset rasterXSize="70" rasterYSize="70">{bands}</VRTDataset>')
    with pytest.raises(SceneError, match=r"different types \(uint16, uint8\)"):
        open_scene(path, [1, 2, 3])


def test_palette_is_named(make_scene: Make) -> None:
    path = make_scene(pixels(1, "uint8"), photometric="palette")
    with pytest.raises(SceneError, match="one band of palette colours"):
        open_scene(path)


COLORS = {
    "reducers": ("B2_median", "B3_median", "B4_median"),
    "prefixes": ("S2_B02", "S2_B03", "S2_B04"),
    "surface reflectance": ("SR_B2", "SR_B3", "SR_B4"),
    "words and numbers": ("Blue (B2)", "Green (B3)", "Red (B4)"),
    "words": ("blue_mean", "green-mean", "RED mean"),
    "numbered words": ("Band 2 (490 nm)", "Band 3 (560 nm)", "Band 4 (665 nm)"),
    "another sensor's numbers": ("Band 1 485 nm", "Band 2 560 nm", "Band 3 660 nm"),
    "words beat numbers": ("B1 blue", "B2 green", "B3 red"),
    "product files": ("T33UUU_20250302_B02_10m", "T33UUU_20250302_B03_10m", "T33UUU_B04_10m"),
    "letters": ("b", "g", "r"),
}


@pytest.mark.parametrize("dtype", ["uint16", "uint8"])
@pytest.mark.parametrize("names", COLORS.values(), ids=COLORS)
def test_names_with_colours_in_them_decide(
    make_scene: Make, names: tuple[str, ...], dtype: str
) -> None:
    path = make_scene(pixels(3, dtype), descriptions=names, photometric="rgb")
    source = open_scene(path)
    assert source.bands == (3, 2, 1)
    assert source.warnings == ()


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge"), (6, 4, 2)),
        (("Ultra Blue", "Blue", "Green", "Red", "Near Infra-Red"), (4, 3, 2)),
        (("blue", "green", "red", "red edge", "nir"), (3, 2, 1)),
        (("Coastal aerosol", "Deep blue", "Blue (B2)", "Green (B3)", "Red (B4)"), (5, 4, 3)),
    ],
)
def test_colours_that_are_nearly_those_are_passed_over(
    make_scene: Make, names: tuple[str, ...], bands: tuple[int, int, int]
) -> None:
    assert open_scene(make_scene(pixels(len(names)), descriptions=names)).bands == bands


STRANGE = {
    "radar and an index": ("VV", "VH", "NDVI"),
    "dates of one band": ("2020-01-01", "2021-01-01", "2022-01-01"),
    "near infrared first": ("NIR1", "RED_mean", "GREEN_mean"),
    "red edge": ("red edge", "green", "blue"),
    "numbered red edge": ("Red edge 1 (B05)", "green", "blue"),
    "infrared": ("Near infra-red", "Green", "Blue"),
    "infrared in one word": ("near_infrared (B4)", "green", "blue"),
    "violet": ("red", "green", "coastal blue"),
    "a ratio": ("B4_B8", "B3", "B2"),
    "how many there were": ("B4_count", "B3", "B2"),
}


@pytest.mark.parametrize("names", STRANGE.values(), ids=STRANGE)
def test_names_of_something_else_are_quoted(make_scene: Make, names: tuple[str, ...]) -> None:
    path = make_scene(pixels(3), descriptions=names, photometric="rgb")
    with pytest.raises(SceneError, match="say so with -b, -b 1,2,3 if they are red") as caught:
        open_scene(path)
    assert all(name in str(caught.value) for name in names)
    assert open_scene(path, [3, 2, 1]).bands == (3, 2, 1)


@pytest.mark.parametrize(
    "names",
    [
        ("B04", "B03", "B02", "B04", "B03", "B02"),
        ("B4_mean", "B4_median", "B3_mean", "B2_mean"),
        ("2020_B04", "2021_B04", "2022_B04"),
    ],
)
def test_several_bands_of_one_colour_are_not_chosen_among(
    make_scene: Make, names: tuple[str, ...]
) -> None:
    path = make_scene(pixels(len(names)), descriptions=names, photometric="minisblack")
    with pytest.raises(SceneError, match=f"several bands of one colour .*1 to {len(names)}"):
        open_scene(path)
    if len(set(names)) < len(names):
        with pytest.raises(SceneError, match="2 bands named 'B04'"):
            open_scene(path, ["B04", "B03", "B02"])


@pytest.mark.parametrize(
    "last", [("B4",), ("B4", "B5"), ("B4", "B5", "B7"), ("B4", "B5 red edge", "near infra-red")]
)
def test_numbers_that_may_be_another_sensors_are_not_guessed(
    make_scene: Make, last: tuple[str, ...]
) -> None:
    names = ("B1", "B2", "B3", *last)
    path = make_scene(pixels(len(names)), descriptions=names, photometric="minisblack")
    with pytest.raises(SceneError, match="near infrared: say -b 4,3,2 or -b 3,2,1"):
        open_scene(path)


@pytest.mark.parametrize("more", [("B8",), ("B8A",), ("B11", "B12")])
def test_numbers_that_only_sentinel_2_has_settle_it(
    make_scene: Make, more: tuple[str, ...]
) -> None:
    names = ("B1", "B2", "B3", "B4", *more)
    path = make_scene(pixels(len(names)), descriptions=names, photometric="minisblack")
    assert open_scene(path).bands == (4, 3, 2)


@pytest.mark.parametrize("waves", [(0.49, 0.56, 0.665, 0.84), (490, 560, 665, 842)])
def test_wavelengths_without_a_unit_tell_it_by_their_size(
    make_scene: Make, waves: tuple[float, ...]
) -> None:
    path = make_scene(pixels(4), photometric="minisblack")
    assert open_scene(tag_bands(path, "wavelength", waves)).bands == (3, 2, 1)


@pytest.mark.parametrize(
    ("bands", "hint"), [(4, "-b 3,2,1 if"), (13, "-b 4,3,2 if"), (7, "three numbers from 1 to 7")]
)
def test_the_hint_fits_the_file(make_scene: Make, bands: int, hint: str) -> None:
    with pytest.raises(SceneError, match=hint):
        open_scene(make_scene(pixels(bands), photometric="minisblack"))


def test_numbered_bands_have_no_names(make_scene: Make) -> None:
    names = ("Band 1", "Band 2", "Band 3")
    source = open_scene(make_scene(pixels(3), descriptions=names, photometric="minisblack"))
    assert "have no names" in source.warnings[0]


@pytest.mark.parametrize("dimension", ["band", "time"])
def test_layers_of_netcdf_are_not_taken_for_colours(tmp_path: Path, dimension: str) -> None:
    path = tmp_path / "layers.nc"
    place = {"y": np.arange(70)[::-1] * 10.0 + 5, "x": np.arange(70) * 10.0 + 5}
    values = ["blue", "green", "red"] if dimension == "band" else [1, 2, 3]
    cube = xr.DataArray(
        np.ones((3, 70, 70), "f4"),
        dims=(dimension, "y", "x"),
        coords={dimension: values, **place},
        name="reflectance",
    )
    cube.to_dataset().to_netcdf(path, engine="scipy")
    with pytest.raises(SceneError, match=f"layers of the dimension {dimension}"):
        open_scene(f"netcdf:{path}:reflectance")
