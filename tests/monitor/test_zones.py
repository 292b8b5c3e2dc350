"""Zones, tables and layers."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geoclass.errors import OutputError, SettingsError
from geoclass.monitor.history import monitor_maps
from geoclass.monitor.layers import build_alerts
from geoclass.monitor.tables import (
    find_periods,
    list_transitions,
    sum_areas,
    weigh_zones,
)
from geoclass.products.layers import read_polygons
from tests.conftest import TRANSFORM, UTM
from tests.monitor.scenes import CROP, FOREST, WATER, yearly

F, C, W = FOREST, CROP, WATER
X0, Y0 = TRANSFORM.c, TRANSFORM.f


def test_zones_in_degrees_weigh_cells_by_the_part_inside(tmp_path: Path) -> None:
    result = monitor_maps(yearly([[F, F]], [[F, F]], [[C, F]], [[C, F]]))
    west = shapely.box(X0, Y0 - 640, X0 + 960, Y0)
    gpd.GeoDataFrame({"name": ["west"]}, geometry=[west], crs=UTM).to_crs(4326).to_file(
        tmp_path / "z.geojson"
    )
    zones = weigh_zones(result.stack.grid, read_polygons(tmp_path / "z.geojson", UTM))
    np.testing.assert_allclose(zones["west"], [1, 0.5], atol=1e-3)
    areas = sum_areas(result, zones)
    west_ha = areas["area_ha"][areas["zone"] == "west"]
    assert west_ha.reshape(4, -1).sum(axis=1) == pytest.approx([61.44] * 4, abs=0.1)
    assert build_alerts(result, zones, {}).columns["zone"].tolist() == ["west"]
    far = shapely.box(0, 0, 1, 1)
    with pytest.raises(SettingsError, match="none of the zones intersects"):
        weigh_zones(result.stack.grid, [("far", far)])
    line = shapely.Polygon([(X0, Y0), (X0 + 640, Y0), (X0, Y0)])
    both = weigh_zones(result.stack.grid, [("west", west), ("line", line)])
    assert both["line"].tolist() == [0, 0]


def test_files_that_hold_no_polygons_are_refused(tmp_path: Path) -> None:
    points = gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=4326)
    points.to_file(tmp_path / "p.geojson")
    with pytest.raises(OutputError, match="holds Point, expected polygons"):
        read_polygons(tmp_path / "p.geojson", UTM)
    (tmp_path / "t.txt").write_text("x")
    with pytest.raises(OutputError, match="as a vector file"):
        read_polygons(tmp_path / "t.txt", UTM)


def test_of_several_layers_the_one_of_polygons_is_read(tmp_path: Path) -> None:
    path = tmp_path / "z.gpkg"
    box, point = shapely.box(X0, Y0 - 640, X0 + 960, Y0), shapely.Point(X0, Y0)
    for layer, shape in (("posts", point), ("parks", box)):
        frame = gpd.GeoDataFrame({"name": [layer]}, geometry=[shape], crs=UTM)
        frame.to_file(path, layer=layer)
    assert [name for name, _ in read_polygons(path, UTM)] == ["parks"]
    frame.to_file(path, layer="districts")
    with pytest.raises(OutputError, match="2 layers of polygons, parks, districts: give a file"):
        read_polygons(path, UTM)


def test_periods_cover_each_cell_without_gaps() -> None:
    result = monitor_maps(yearly([[F, W]], [[F, W]], [[C, W]], [[C, W]], [[C, W]]))
    periods = find_periods(result)
    assert periods.cell.tolist() == [0, 0, 1]
    assert periods.first.tolist() == [0, 2, 0]
    assert periods.last.tolist() == [1, 4, 4]
    assert periods.state.tolist() == [F, C, W]
    assert (periods.probability > 0.9).all()


def test_areas_add_up_and_transitions_tell_the_loss() -> None:
    result = monitor_maps(yearly([[F, W]], [[F, W]], [[C, W]], [[C, W]], [[C, W]]))
    areas = sum_areas(result)
    totals = areas["area_ha"].reshape(5, -1).sum(axis=1)
    np.testing.assert_allclose(totals, 2 * 40.96, atol=0.1)
    table = list_transitions(result)
    lost = (table["from_class"] == "Forest") & (table["to_class"] == "AnnualCrop")
    assert table["area_ha"][lost].sum() == pytest.approx(40.96, rel=0.05)
