"""Bounding boxes and vector files as the part to map."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geoclass.errors import SceneError, SettingsError
from geoclass.scene.georeference.region import find_region, parse_crs, read_region
from geoclass.scene.settings import FrameSettings
from tests.conftest import UTM


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".fgb"])
def test_vector_files_of_any_kind(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"aoi{suffix}"
    shapes = [shapely.box(12, 52, 12.1, 52.1), shapely.box(12.5, 52, 12.6, 52.1)]
    gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=shapes, crs=4326).to_file(path)
    region = read_region(path)
    lon, lat = np.array([12.05, 12.3, 12.55]), np.full(3, 52.05)
    assert region.contains(lon, lat, "EPSG:4326").tolist() == [True, False, True]
    assert region.find_bounds("EPSG:4326") == pytest.approx((12, 52, 12.6, 52.1))
    assert region.text == path.name


def test_the_only_layer_of_polygons_is_taken(tmp_path: Path) -> None:
    """Warnings, such as pyogrio's of several layers, are errors here."""
    path = tmp_path / "project.gpkg"
    for layer, shape in (
        ("trees", shapely.Point(1, 1)),
        ("area", shapely.box(0, 0, 2, 2)),
        ("lake", shapely.box(5, 5, 6, 6)),
    ):
        if layer == "lake":
            assert read_region(path).find_bounds(UTM) == pytest.approx((0, 0, 2, 2))
        gpd.GeoDataFrame(geometry=[shape], crs=UTM).to_file(path, layer=layer)
    with pytest.raises(SettingsError, match=r"has 2 layers of polygons \(area, lake\), expected o"):
        read_region(path)


def test_region_is_known_by_its_polygons(tmp_path: Path) -> None:
    hashes = []
    for number, east in enumerate((1, 1, 2)):
        path = tmp_path / f"{number}.gpkg"
        gpd.GeoDataFrame(geometry=[shapely.box(0, 0, east, 1)], crs=UTM).to_file(path)
        hashes.append(read_region(path).sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_points_are_no_area(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    gpd.GeoDataFrame(geometry=[shapely.Point(1, 1)], crs=UTM).to_file(path)
    with pytest.raises(SceneError, match="has no polygons"):
        read_region(path)


def test_polygons_without_a_crs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.fgb"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)]).to_file(path)
    with pytest.raises(SceneError, match="no coordinate reference system"):
        read_region(path)


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.gpkg").write_text("hello")
    for name in ("none.gpkg", "text.gpkg"):
        with pytest.raises(SceneError, match="cannot read .* as a vector file"):
            read_region(tmp_path / name)


def test_senseless_crs_is_refused() -> None:
    with pytest.raises(SettingsError, match="'EPSG:1' is not a coordinate reference system"):
        parse_crs("EPSG:1")


def test_metric_box_cannot_cross_the_antimeridian() -> None:
    with pytest.raises(SettingsError, match="west < east"):
        find_region(FrameSettings(bbox=(5, 1, 2, 3), bbox_crs=UTM))


def test_everything_is_the_default() -> None:
    assert find_region(FrameSettings()) is None
