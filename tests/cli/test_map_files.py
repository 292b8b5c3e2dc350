"""geoclass map: what kinds of files it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
from click.testing import CliRunner, Result
from rio_cogeo.cogeo import cog_validate

from geoclass.cli.main import main
from geoclass.products.files import read_map
from tests.conftest import paint


@pytest.fixture
def map_it(
    make_scene: Callable[..., Path], random_model: Path, tmp_path: Path
) -> Callable[..., Result]:
    scene = make_scene(paint([[0, 1], [2, 3]]))

    def run(name: str, *more: str, code: int = 0) -> Result:
        arguments = ["map", scene, "-o", f"{tmp_path}/{name}", "-m", random_model, *more]
        result = CliRunner().invoke(main, list(map(str, arguments)))
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.mark.parametrize("name", ["map.parquet", "map.fgb", "map.geojson"])
def test_format_goes_by_suffix(map_it: Callable[..., Result], tmp_path: Path, name: str) -> None:
    out = map_it(name, "--probabilities").output
    assert f"wrote {tmp_path / name}" in out
    read = gpd.read_parquet if name.endswith("parquet") else gpd.read_file
    assert "p_Forest" in read(tmp_path / name).columns
    assert map_it(name, "--probabilities").output == f"{tmp_path / name} is up to date\n"
    assert "give --overwrite" in map_it(name, code=1).stderr
    assert "wrote" in map_it(name, "--redo").output
    assert "is up to date" in map_it(name, "--overwrite").output
    assert "about" in map_it("other_" + name, "--dry-run").output


def test_geotiff_is_cloud_optimised(map_it: Callable[..., Result], tmp_path: Path) -> None:
    map_it("map.dat", "-f", "COG", "--co", "compress=zstd", "--co", "LEVEL=9")
    (tmp_path / "map.dat").rename(tmp_path / "map.tif")
    assert cog_validate(tmp_path / "map.tif", strict=True, quiet=True)[0]
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.compression.name == "zstd"
    assert read_map(tmp_path / "map.tif").class_id.shape == (2, 2)


@pytest.mark.parametrize("map_format", ["geojson", "parquet"])
def test_folder_of_exports_is_recognised(map_it: Callable[..., Result], map_format: str) -> None:
    wishes = ("maps/", "-f", map_format, "--probabilities", "--workers", "1")
    assert "1 mapped" in map_it(*wishes).output
    assert "1 up to date" in map_it(*wishes).output
    assert "exists and is not this map" in map_it(*wishes[:3], code=1).output
    assert "1 mapped" in map_it(*wishes[:3], "--redo").output


def test_geotiff_has_probabilities_anyway(map_it: Callable[..., Result], tmp_path: Path) -> None:
    map_it("map.tif")
    again = map_it("map.tif", "--probabilities").output
    assert again == f"{tmp_path / 'map.tif'} is up to date\n"


def test_bad_creation_options_are_refused(map_it: Callable[..., Result], tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    assert (
        "'level' is not of the form NAME=VALUE" in map_it("m.tif", "--co", "level", code=2).stderr
    )
    lossy = map_it("m.tif", "--co", "COMPRESS=JPEG", code=1).stderr
    assert lossy.startswith("Error: COMPRESS=JPEG would change a map's numbers")
    assert "for GeoTIFF" in map_it("m.gpkg", "--co", "LEVEL=9", code=1).stderr
    assert set(tmp_path.iterdir()) == before
