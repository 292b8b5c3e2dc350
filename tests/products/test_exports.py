"""Maps for other programs: GeoParquet, FlatGeobuf, GeoJSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner
from rasterio import warp

from geoclass.cli.main import main
from geoclass.errors import OutputError
from geoclass.legend import EUROSAT, NODATA
from geoclass.products import exports
from geoclass.products.files import check_target, holds_map, read_map, write_map
from geoclass.products.formats import FileSettings, find_format
from tests.conftest import make_detailed, make_landcover

NAMES = ["map.parquet", "map.fgb", "map.geojson"]
PROBABILITIES = [f"p_{name}" for name in EUROSAT.names]


def read(path: Path) -> gpd.GeoDataFrame:
    if path.suffix == ".parquet":
        return gpd.read_parquet(path)
    return gpd.read_file(path, layer="landcover")


@pytest.mark.parametrize("name", NAMES)
def test_export_holds_what_the_geopackage_shows(tmp_path: Path, name: str) -> None:
    landcover = make_landcover(5, 6)
    write_map(landcover, tmp_path / "map.gpkg")
    write_map(landcover, tmp_path / name)
    expected = gpd.read_file(tmp_path / "map.gpkg", layer="landcover")
    # FlatGeobuf packs neighbours together, so rows come in another order.
    found = read(tmp_path / name).sort_values(["row", "col"], ignore_index=True)
    assert list(found.columns) == list(expected.columns)
    for column in ("class_id", "class_name", "status", "row", "col"):
        assert found[column].tolist() == expected[column].tolist()
    for column in ("confidence", "valid_share", "area_ha"):
        np.testing.assert_allclose(found[column], expected[column])
    assert {str(day)[:10] for day in found["date"]} == {"2020-06-01"}
    apart = found.to_crs(expected.crs).geometry.symmetric_difference(expected.geometry).area
    assert apart.max() < 10  # of 409,600 m²: GeoJSON counts in 1e-7 degrees


@pytest.mark.parametrize("name", NAMES)
def test_export_of_a_detail_holds_its_patches(tmp_path: Path, name: str) -> None:
    landcover = make_detailed(5, 6)
    write_map(landcover, tmp_path / "map.gpkg")
    write_map(landcover, tmp_path / name)
    expected = gpd.read_file(tmp_path / "map.gpkg", layer="detail")
    found = read(tmp_path / name)
    assert list(found.columns) == list(expected.columns)
    order = ["area_ha", "cells", "class_id", "confidence"]
    found, expected = (frame.sort_values(order, ignore_index=True) for frame in (found, expected))
    for column in ("class_id", "class_name", "cells"):
        assert found[column].tolist() == expected[column].tolist()
    assert 'attr="class_id"' in (tmp_path / "map.qml").read_text()
    write_map(landcover, tmp_path / name, settings=FileSettings(dissolve=False))
    assert len(read(tmp_path / name)) == (landcover.finest.class_id != NODATA).sum()


@pytest.mark.parametrize("name", [*NAMES, "map.gpkg"])
def test_probabilities_are_columns_when_asked_for(tmp_path: Path, name: str) -> None:
    landcover = make_landcover(5, 6)
    write_map(landcover, tmp_path / name, settings=FileSettings(probabilities=True))
    found = read(tmp_path / name).sort_values(["row", "col"])
    assert [column for column in found.columns if column.startswith("p_")] == PROBABILITIES
    rows, cols = np.nonzero(landcover.class_id != NODATA)
    expected = landcover.probabilities[rows, cols] / 250
    expected[landcover.best_class[rows, cols] == NODATA] = np.nan
    np.testing.assert_allclose(found[PROBABILITIES].to_numpy(float), expected)
    write_map(landcover, tmp_path / name)
    assert not [column for column in read(tmp_path / name).columns if column.startswith("p_")]


@pytest.mark.parametrize("name", NAMES)
def test_second_run_is_recognised(tmp_path: Path, name: str) -> None:
    path, map_format = tmp_path / name, find_format(tmp_path / name)
    wide = FileSettings(probabilities=True)
    write_map(make_landcover(), path)
    assert check_target(path, map_format, "cd" * 32)
    with pytest.raises(OutputError, match="is not this map: give --overwrite"):
        check_target(path, map_format, "cd" * 32, settings=wide)
    write_map(make_landcover(), path, settings=wide)
    assert check_target(path, map_format, "cd" * 32, settings=wide)
    path.with_suffix(".qml").unlink()
    assert not check_target(path, map_format, "cd" * 32, settings=wide)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_else_is_left_in_the_folder(tmp_path: Path, name: str) -> None:
    write_map(make_landcover(), tmp_path / name)
    assert {file.name for file in tmp_path.iterdir()} == {name, "map.qml"}


@pytest.mark.parametrize("name", NAMES)
def test_exports_are_not_read_back(tmp_path: Path, name: str) -> None:
    write_map(make_landcover(), tmp_path / name)
    assert holds_map(tmp_path / name)
    with pytest.raises(OutputError, match="copy for other programs.* give the map as GeoPackage"):
        read_map(tmp_path / name)
    said = CliRunner().invoke(main, ["info", str(tmp_path / name)])
    assert said.exit_code == 1
    assert "copy for other programs" in said.stderr


@pytest.mark.parametrize("name", NAMES)
def test_foreign_file_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("something of the user's")
    with pytest.raises(OutputError, match="give --overwrite"):
        check_target(tmp_path / name, find_format(tmp_path / name), "cd" * 32)


@pytest.mark.parametrize("name", NAMES)
def test_map_without_data_is_an_empty_layer(tmp_path: Path, name: str) -> None:
    write_map(make_landcover(class_id=np.full((3, 4), NODATA, np.uint8)), tmp_path / name)
    assert len(read(tmp_path / name)) == 0


def test_geoparquet_has_a_box_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_ROWS_PER_GROUP", 10)
    write_map(make_landcover(5, 6), tmp_path / "map.parquet")
    with pq.ParquetFile(tmp_path / "map.parquet") as file:
        assert file.num_row_groups == 3
        geo = json.loads(file.schema_arrow.metadata[b"geo"])
        assert b"GEOCLASS" in file.schema_arrow.metadata
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    whole = gpd.read_parquet(tmp_path / "map.parquet")
    west, south, *_ = whole.total_bounds
    corner = (west, south, west + 1, south + 1)
    part = gpd.read_parquet(tmp_path / "map.parquet", bbox=corner)
    assert part["col"].tolist() == [0]


def test_geojson_is_as_rfc_7946_wants_it(tmp_path: Path) -> None:
    landcover = make_landcover(5, 6)
    write_map(landcover, tmp_path / "map.geojson")
    text = (tmp_path / "map.geojson").read_text()
    document = json.loads(text)
    assert "crs" not in document
    assert len(document["bbox"]) == 4
    for feature in document["features"]:
        ring = shapely.geometry.shape(feature["geometry"]).exterior
        assert ring.is_ccw
        assert all(len(repr(x).partition(".")[2]) <= 7 for point in ring.coords for x in point)
        assert feature["properties"]["date"] == "2020-06-01"


def test_geojson_is_cut_at_the_antimeridian(tmp_path: Path) -> None:
    zone = rasterio.CRS.from_epsg(32601).to_wkt()
    ((east,), _) = warp.transform(4326, 32601, [180.0], [52.5])
    place = {"crs": zone, "transform": Affine(10, 0, east - 900, 0, -10, 5822040)}
    write_map(make_landcover(grid=replace(make_landcover().grid, **place)), tmp_path / "m.geojson")
    cells = gpd.read_file(tmp_path / "m.geojson").geometry
    assert set(cells.geom_type) == {"Polygon", "MultiPolygon"}
    parts = cells.explode().bounds
    assert (parts["maxx"] - parts["minx"]).max() < 0.1
    assert {round(x) for x in parts["minx"]} == {-180, 180}


def test_missing_pyarrow_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(OutputError, match=r"pip install 'geoclass\[parquet\]'"):
        check_target(tmp_path / "map.parquet", "parquet", "")
