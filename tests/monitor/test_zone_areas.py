"""Areas by zone: of the map, and as a labelled sample corrects them."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from click.testing import CliRunner

from geoclass.cli.main import main
from geoclass.errors import SettingsError
from geoclass.monitor.zone_areas import ZoneAreas, measure_zones, write_zone_areas
from geoclass.products.files import write_map
from tests.conftest import TRANSFORM, UTM, make_detailed, make_landcover
from tests.monitor.scenes import CROP, FOREST, WATER, make_map

X0, Y0 = TRANSFORM.c, TRANSFORM.f
TILE_HA = 40.96


def find(areas: ZoneAreas, zone: str) -> dict[str, float]:
    return {row.group: row.area_ha for row in areas.rows if row.zone == zone and row.area_ha}


def write_zones(path: Path, **zones: shapely.Geometry) -> Path:
    frame = gpd.GeoDataFrame({"name": list(zones)}, geometry=list(zones.values()), crs=UTM)
    frame.to_crs(4326).to_file(path)
    return path


def test_cells_count_by_the_part_within_a_zone(tmp_path: Path) -> None:
    landcover = make_map([[FOREST, CROP], [WATER, FOREST]], "2020-06-01").landcover
    zones = write_zones(
        tmp_path / "z.geojson",
        north=shapely.box(X0, Y0 - 640, X0 + 1280, Y0),
        corner=shapely.box(X0, Y0 - 960, X0 + 320, Y0),
        abroad=shapely.box(X0 - 900, Y0, X0, Y0 + 900),
    )
    areas = measure_zones(landcover, zones)
    assert find(areas, "north") == pytest.approx({"forest": TILE_HA, "crops": TILE_HA}, rel=1e-3)
    assert find(areas, "corner") == pytest.approx({"forest": 20.48, "water": 10.24}, rel=1e-3)
    assert find(areas, "abroad") == {}
    shares = {r.group: r.share for r in areas.rows if r.zone == "corner"}
    assert shares["forest"] == pytest.approx(2 / 3, rel=1e-3)
    assert all(row.estimate_ha is None for row in areas.rows)
    far = write_zones(tmp_path / "far.geojson", far=shapely.box(X0 - 9000, Y0, X0 - 1000, Y0 + 1))
    with pytest.raises(
        SettingsError, match=r"none of the zones of .*far.geojson intersects the map"
    ):
        measure_zones(landcover, far)


def test_the_whole_map_is_what_its_own_areas_say() -> None:
    """Of the finest cells, with those that have no class."""
    landcover = make_detailed(3, 4)
    wanted: dict[str, float] = {}
    for row in landcover.areas():
        name = row.group or row.name
        wanted[name] = wanted.get(name, 0) + row.area_ha
    found = find(measure_zones(landcover), "map")
    assert found == pytest.approx({name: ha for name, ha in wanted.items() if ha}, rel=1e-6)


def write_counts(path: Path, forest_as_crops: int) -> Path:
    """A table of counts: of 40 cells mapped as crops so many are forest; all else is right."""
    names = ["Forest", "AnnualCrop", "SeaLake"]
    table = pd.DataFrame(40 * np.eye(3, dtype=int), columns=names)
    table.loc[1, ["Forest", "AnnualCrop"]] = forest_as_crops, 40 - forest_as_crops
    table.insert(0, "area_ha", 100.0)
    table.insert(0, "stratum", names)
    table.to_csv(path, index=False)
    return path


def test_a_sample_corrects_each_zone_by_its_error_matrix(tmp_path: Path) -> None:
    """A quarter of crops are forest, so a zone of crops alone is a quarter of forest."""
    landcover = make_map([[FOREST, CROP]], "2020-06-01").landcover
    zones = write_zones(
        tmp_path / "z.geojson",
        both=shapely.box(X0, Y0 - 640, X0 + 1280, Y0),
        crops=shapely.box(X0 + 640, Y0 - 640, X0 + 1280, Y0),
    )
    sample = write_counts(tmp_path / "counts.csv", forest_as_crops=10)
    areas = measure_zones(landcover, zones, sample)
    found = {(row.zone, row.group): row.estimate_ha for row in areas.rows}
    crops, both = found["crops", "forest"], found["both", "forest"]
    assert crops is not None
    assert both is not None
    assert crops.value == pytest.approx(TILE_HA / 4, rel=1e-3)
    assert both.value == pytest.approx(TILE_HA * 5 / 4, rel=1e-3)
    # A proportion of one stratum: the binomial error, n - 1 below the line.
    assert crops.error == pytest.approx(TILE_HA * np.sqrt(0.25 * 0.75 / 39), rel=1e-3)
    assert both.error == pytest.approx(crops.error, rel=1e-3)
    assert found["both", "unknown"] is None


def test_a_sample_of_another_map_is_refused(tmp_path: Path) -> None:
    landcover = make_landcover(4, 4)
    sample = write_counts(tmp_path / "counts.csv", forest_as_crops=0)
    with pytest.raises(SettingsError, match="has no stratum .*, which the map has"):
        measure_zones(landcover, None, sample)


def test_command_prints_and_writes_table_and_zones(tmp_path: Path) -> None:
    landcover = make_map([[FOREST, CROP]], "2020-06-01").landcover
    path = tmp_path / "map.gpkg"
    write_map(landcover, path)
    zones = write_zones(
        tmp_path / "z.geojson",
        west=shapely.box(X0, Y0 - 640, X0 + 960, Y0),
        east=shapely.box(X0 + 960, Y0 - 640, X0 + 1280, Y0),
    )
    sample = write_counts(tmp_path / "counts.csv", forest_as_crops=10)
    base = ["areas", str(path), "--zones", str(zones), "--sample", str(sample)]
    printed = CliRunner().invoke(main, [*base, "-o", str(tmp_path / "a.csv")])
    assert printed.exit_code == 0, printed.output
    line = next(ln for ln in printed.output.splitlines() if ln.startswith("west        forest"))
    assert line.split()[2:5] == ["41.0", "66.7%", "46.1"]
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["zone", "group", "area_ha", "share", "estimate_ha", "margin_ha"]
    assert table.groupby("zone")["area_ha"].sum().to_dict() == pytest.approx(
        {"west": 61.44, "east": 20.48}, rel=1e-3
    )
    asked = CliRunner().invoke(main, [*base, "-o", str(tmp_path / "a.gpkg"), "--json"])
    assert {row["zone"] for row in json.loads(asked.output)} == {"west", "east"}
    layer = pyogrio.read_dataframe(tmp_path / "a.gpkg", layer="zones").set_index("zone")
    assert layer.loc["west", "forest_ha"] == pytest.approx(TILE_HA, rel=1e-3)
    assert layer.loc["east", "crops_estimate_ha"] == pytest.approx(20.48 * 0.75, rel=1e-3)
    assert layer.loc["east", "crops_share"] == pytest.approx(1)
    assert layer.geometry.area.sum() == pytest.approx(1280 * 640, rel=1e-3)


def test_tables_have_another_suffix_than_a_picture(tmp_path: Path) -> None:
    areas = measure_zones(make_map([[FOREST]], "2020-06-01").landcover)
    with pytest.raises(SettingsError, match=r"as \.csv or \.gpkg, got a\.png"):
        write_zone_areas(areas, tmp_path / "a.png")
