"""Folders in which each band is a file are scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geoclass.campaign.scenes import find_scenes
from geoclass.errors import SceneError
from geoclass.scene.open.gdal import open_dataset
from geoclass.scene.open.source import open_scene
from geoclass.scene.open.stack import find_band_files
from geoclass.scene.read.masks import find_masks
from geoclass.scene.settings import MaskSettings

Make = Callable[..., Path]
PIXELS = np.random.default_rng(0).integers(1, 3000, (3, 70, 90)).astype(np.uint16)

NAMES = {
    "Earth Search": ("red", "green", "blue", "scl", "nir", "visual"),
    "ESA": tuple(f"T33UUU_20250302T095029_{b}_10m" for b in ("B04", "B03", "B02"))
    + tuple(f"T33UUU_20250302T095029_{b}" for b in ("SCL_20m", "B08_10m", "TCI_10m")),
    "numbers": ("B4", "B3", "B2", "SCL", "B8", "B1", "QA60"),
    "prefixes": tuple(f"S2A_20250302_0_L2A-{b}" for b in ("B04", "B03", "B02", "scl", "B05", "x")),
    "Copernicus Browser": tuple(
        f"2025-03-02-00_00_2025-03-02-23_59_Sentinel-2_L2A_{b}_(Raw)"
        for b in ("B04", "B03", "B02", "SCL", "B08", "True_color")
    ),
    "HLS": tuple(
        f"HLS.S30.T33UUU.2025061T095029.v2.0.{b}"
        for b in ("B04", "B03", "B02", "SCL", "B8A", "B11")
    ),
    "both": ("Red (B04)", "Green (B03)", "Blue (B02)", "SCL", "Red edge (B05)", "NIR (B08)"),
    "words": ("20250302_Red", "20250302_green", "20250302_BLUE", "20250302_SCL", "x_red_edge", "y"),
}


def fill(make_scene: Make, folder: Path, names: tuple[str, ...]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        band = PIXELS[number : number + 1] if number < 3 else np.full((1, 70, 90), 9, np.uint8)
        make_scene(band, f"{folder.name}/{name}.tif")
    return folder


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_folder_of_bands_is_one_scene(
    tmp_path: Path, make_scene: Make, names: tuple[str, ...]
) -> None:
    folder = fill(make_scene, tmp_path / "S2B_33UUU_20250302_0_L2A", names)
    source = open_scene(folder)
    assert source.name == "S2B_33UUU_20250302_0_L2A"
    assert (source.date, source.warnings) == ("2025-03-02", ())
    with open_dataset(source.dataset) as dataset:
        np.testing.assert_array_equal(dataset.read(source.bands), PIXELS)
    scl = find_masks(source, MaskSettings()).scl
    assert scl is not None
    assert Path(scl.dataset).stem == names[3]
    assert {path.stem for path in source.files} == set(names[:4])
    assert find_scenes([str(folder)]) == (str(folder),)
    assert find_scenes([str(tmp_path)]) == (str(folder),)


def test_facts_of_esas_names_are_known(tmp_path: Path, make_scene: Make) -> None:
    source = open_scene(fill(make_scene, tmp_path / "bands", NAMES["ESA"]))
    assert source.date == "2025-03-02"


def test_a_folder_of_bands_of_two_dates_is_two_scenes(tmp_path: Path, make_scene: Make) -> None:
    names = [
        f"T33UUU_{day}_{band}_10m" for day in ("20250302T095029", "20250601T095029")
        for band in ("B04", "B03", "B02")
    ]  # fmt: skip
    folder = tmp_path / "bands"
    for first in (0, 3):
        fill(make_scene, folder, tuple(names[first : first + 3]))
    with pytest.raises(SceneError, match="bands of 2 scenes .T33UUU_20250302T095029, .*-o FOLDER/"):
        open_scene(folder)
    scenes = find_scenes([str(folder)])
    assert [open_scene(scene).date for scene in scenes] == ["2025-03-02", "2025-06-01"]


def test_what_is_told_of_bands_is_no_scene(tmp_path: Path, make_scene: Make) -> None:
    names = [f"{kind}{band}" for kind in ("MSK_QUALIT_", "") for band in ("B04", "B03", "B02")]
    names += [f"{band}_unc" for band in ("B04", "B03", "B02")]
    (scene,) = find_band_files(fill(make_scene, tmp_path / "bands", tuple(names)))
    assert {path.stem for path in scene.files.values()} == {"B04", "B03", "B02"}


def test_the_finest_pixels_of_a_band_are_taken(tmp_path: Path, make_scene: Make) -> None:
    names = ("a_B04_10m", "a_B03_10m", "a_B02_10m", "a_B04_20m", "a_B03_20m", "a_B02_60m")
    (scene,) = find_band_files(fill(make_scene, tmp_path / "bands", names))
    assert {path.stem for path in scene.files.values()} == set(names[:3])


@pytest.mark.parametrize("more", ["B5", "x"])
def test_bands_that_may_be_another_sensors_are_none(
    tmp_path: Path, make_scene: Make, more: str
) -> None:
    folder = fill(make_scene, tmp_path / "x", ("B4", "B3", "B2", "B1", more))
    assert find_band_files(folder) == []
    with pytest.raises(SceneError, match=r"red.tif …, or B04.tif …"):
        open_scene(folder)
    fill(make_scene, folder, ("B4", "B3", "B2", "B8A"))
    assert len(find_band_files(folder)) == 1


def test_files_that_are_no_bands_are_none(tmp_path: Path, make_scene: Make) -> None:
    names = ("redwood", "greenland", "blueprint", "infrared", "red-edge", "B04_and_B03")
    folder = fill(make_scene, tmp_path / "x", names)
    assert find_band_files(folder) == []
    with pytest.raises(SceneError, match="a file for each of red, green and blue"):
        open_scene(folder)
