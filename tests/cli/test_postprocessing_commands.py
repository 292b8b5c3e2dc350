"""Finer and calmer maps, as a person asks for them."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
from click.testing import CliRunner

from geoclass.cli.main import main
from geoclass.products.files import read_map
from tests.conftest import SAMPLE_SCENE


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_options_against_speckle_reach_map_and_layer(tmp_path: Path, dense_model: Path) -> None:
    path = tmp_path / "map.gpkg"
    box = ("--bbox", "332000,5818000,334000,5820000", "--bbox-crs", "EPSG:32633")
    run(
        "map", SAMPLE_SCENE, "-o", path, *box, "-m", dense_model, "--stride", 32,
        "--detail", "none", "--min-area", 25, "--smooth", 3, "--smooth-window", 5, "--dissolve",
        "-q",
    )  # fmt: skip
    calm = read_map(path).provenance.options["calm"]
    assert calm == {"min_area_ha": 25.0, "smooth": 3.0, "smooth_window": 5}
    assert gpd.read_file(path, layer="landcover")["cells"].sum() == read_map(path).class_id.size


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (("--stride", 24), "the stride must be one of 64, 32, 16, 8 or 4, got 24"),
        (("--detail", 64), "detail of cells of 64 pixels must be 32, 16, 8, 4 or none, got 64"),
        (("--min-area", -1), "the least area must be above 0, got -1"),
        (("--smooth", 5, "--smooth-window", 6), "odd number of cells from 3, got 6"),
    ],
)
def test_impossible_wishes_are_one_line(
    tmp_path: Path, wish: tuple[object, ...], message: str
) -> None:
    arguments = ["map", SAMPLE_SCENE, "-o", tmp_path / "map.tif", *wish]
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 1
    assert message in result.output
    assert list(tmp_path.iterdir()) == []
