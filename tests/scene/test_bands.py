"""Red, green and blue: by number, name, wavelength, colour, or not at all."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from geoclass.errors import SceneError
from geoclass.scene.source import open_scene

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
