"""What names and tags tell of a scene."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geoclass.scene.open.facts import SceneFacts, read_name
from geoclass.scene.open.source import open_scene

Make = Callable[..., Path]

PRODUCT = "S2B_MSIL1C_20230823T095559_N0509_R122_T34UCF_20230823T120234.SAFE"


def test_names_of_products_are_read() -> None:
    assert read_name(f"/data/{PRODUCT}/GRANULE/x.jp2") == SceneFacts(
        level="Level-1C",
        baseline="05.09",
        date="2023-08-23",
        platform="Sentinel-2B",
    )


def test_names_of_band_files_are_read() -> None:
    facts = read_name("T34UCF_20230823T095559_B04.jp2")
    expected = SceneFacts(date="2023-08-23", platform="Sentinel-2")
    assert facts == expected


@pytest.mark.parametrize("name", ["scene.tif", "S2B_MSIL1C.tif", "tile_1024_1024.tif"])
def test_other_names_say_nothing(name: str) -> None:
    assert read_name(name) == SceneFacts()


@pytest.mark.parametrize("name", ["FAST_20230823T095559_B04.jp2", "pisa_20230823.tif"])
def test_other_names_say_the_day_alone(name: str) -> None:
    assert read_name(f"/20190101/{name}") == SceneFacts(date="2023-08-23")
    assert read_name("/data/scenes.zip", f"inside/{name}") == SceneFacts(date="2023-08-23")
    assert read_name(f"/data/{name}.zip", "rgb.tif") == SceneFacts(date="2023-08-23")


def test_a_day_that_cannot_be_told_is_asked_for(make_scene: Make) -> None:
    source = open_scene(make_scene(np.ones((3, 70, 70), np.uint16), "05062023_a.tif"))
    assert source.date is None
    assert "may mean 2023-05-06 or 2023-06-05" in source.warnings[-1]


def test_tags_beat_the_name(make_scene: Make) -> None:
    pixels = np.ones((3, 70, 70), np.uint16)
    path = make_scene(pixels, PRODUCT.replace("SAFE", "tif"), tags={"PROCESSING_BASELINE": "02.09"})
    source = open_scene(path)
    assert (source.facts.baseline, source.facts.level, source.date) == (
        "02.09",
        "Level-1C",
        "2023-08-23",
    )


@pytest.mark.parametrize(("tag", "baseline"), [("2.04", "02.04"), ("5.1", "05.10")])
def test_baselines_that_were_read_as_numbers_are_known(
    make_scene: Make, tag: str, baseline: str
) -> None:
    path = make_scene(np.ones((3, 70, 70), np.uint16), tags={"PROCESSING_BASELINE": tag})
    assert open_scene(path).facts.baseline == baseline


def test_scales_and_offsets_of_bands_are_kept(make_scene: Make) -> None:
    path = make_scene(np.ones((3, 70, 70), np.uint16))
    assert open_scene(path).facts.scales is None
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1e-4, 1e-4, 2e-4), (-0.1, -0.1, 0)
    facts = open_scene(path).facts
    assert facts.scales == (1e-4, 1e-4, 2e-4)
    assert facts.offsets == (-0.1, -0.1, 0)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (SceneFacts(platform="Sentinel-2A"), True),
        (SceneFacts(platform="SENTINEL-2B"), True),
        (SceneFacts(platform="Landsat-8", level="Level-2A"), False),
        (SceneFacts(level="Level-1C"), True),
        (SceneFacts(baseline="02.04"), True),
        (read_name("T33UUU_20170216T102101_B04.jp2"), True),
        (SceneFacts(), False),
    ],
)
def test_sentinel_2_is_told_by_what_its_products_tell(facts: SceneFacts, expected: bool) -> None:
    assert facts.is_sentinel_2 is expected
