"""Several scenes of one place and day are told, and are one observation where maps meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from geoclass.campaign.run import run_campaign
from geoclass.cli.main import main
from geoclass.mapping.settings import MapRequest
from geoclass.scene.georeference.place import find_repeated
from geoclass.scene.open.source import open_scene
from geoclass.scene.settings import FrameSettings
from tests.conftest import SAMPLE_SCENE, TRANSFORM

Make = Callable[..., Path]
SIDE = 4 * 64


@pytest.fixture
def make_part(make_scene: Make) -> Callable[..., Path]:
    """A scene of 4 × 4 tiles of which only `rows` have data."""

    def make(name: str, rows: slice = slice(None), *, east_px: int = 0, north_up: bool = True):
        with rasterio.open(SAMPLE_SCENE) as file:
            whole, tags = file.read(window=((0, SIDE), (0, SIDE))), file.tags()
        pixels = np.zeros_like(whole)
        pixels[:, rows] = whole[:, rows]
        tags = {key: value for key, value in tags.items() if key.startswith("PROCESSING_")}
        transform = TRANSFORM @ Affine.translation(east_px, 0)
        if not north_up:
            pixels, transform = pixels[:, ::-1].copy(), transform @ Affine(1, 0, 0, 0, -1, SIDE)
        return make_scene(pixels, name, nodata=0, transform=transform, tags=tags)

    return make


UPPER, LOWER = slice(0, 150), slice(100, SIDE)


def test_scenes_of_one_place_and_day_are_found(make_part: Callable[..., Path]) -> None:
    paths = [
        make_part("S2A_33UUU_20190208_1_L1C.tif", LOWER),
        make_part("S2A_33UUV_20190208_0_L1C.tif", east_px=SIDE - 25),  # the next tile
        make_part("S2A_33UUU_20200213_0_L1C.tif"),  # another day
        make_part("S2A_33UUU_20190208_0_L1C.tif", UPPER, north_up=False),
        make_part("no_day.tif"),
        make_part("S2B_33UUU_20190208_2_L1C.tif", east_px=10),
        make_part("S2A_33UUU_20200213_1_L1C.tif"),
    ]
    scenes = [open_scene(path) for path in paths]
    assert find_repeated(scenes, FrameSettings()) == {3: 0, 5: 0, 6: 2}
    assert find_repeated(scenes[:3], FrameSettings()) == {}
    assert find_repeated([], FrameSettings()) == {}


def test_both_parts_are_mapped_and_the_second_one_says_so(
    make_part: Callable[..., Path], tmp_path: Path
) -> None:
    paths = [
        make_part(f"S2A_33UUU_20190208_{i}.tif", rows) for i, rows in enumerate((UPPER, LOWER))
    ]
    summary = run_campaign(
        [str(path) for path in paths], tmp_path / "maps", MapRequest(map_format="tif")
    )
    assert summary.counts["mapped"] == 2
    first, second = (outcome.warnings for outcome in summary.outcomes)
    told = "it shows the ground of S2A_33UUU_20190208_0.tif on the same day, 2019-02-08; "
    assert not any("same day" in warning for warning in first)
    assert any(warning.startswith(told) for warning in second)


def test_a_merged_map_and_the_monitor_take_both_parts_as_one(
    make_part: Callable[..., Path], tmp_path: Path
) -> None:
    for i, rows in enumerate((UPPER, LOWER)):
        make_part(f"S2A_33UUU_20190208_{i}.tif", rows)
    make_part("S2A_33UUU_20200213_0.tif")
    merged, monitor = tmp_path / "one.gpkg", tmp_path / "monitor.gpkg"
    scenes = sorted(map(str, tmp_path.glob("S2A_*.tif")))
    for arguments in (
        ["map", *scenes[:2], "-o", str(merged)],
        ["map", *scenes, "-o", f"{tmp_path}/maps/"],
        ["monitor", f"{tmp_path}/maps", "-o", str(monitor)],
    ):
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    cells = gpd.read_file(merged, layer="landcover")
    assert cells.geometry.union_all().area == cells.area.sum() == (10 * SIDE) ** 2
    assert set(cells["status"]) <= {"classified", "unknown"}
    dates = gpd.read_file(monitor, layer="dates")
    assert [str(day)[:10] for day in dates["date"]] == ["2019-02-08", "2020-02-13"]
    assert dates["scene"][0] == "S2A_33UUU_20190208_0.tif, S2A_33UUU_20190208_1.tif"
