"""Every output says whose data it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import rasterio

from geoclass.landcover import LandCoverMap
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest
from geoclass.monitor.change import change_maps, write_change
from geoclass.monitor.files import read_monitor, write_monitor
from geoclass.monitor.history import monitor_maps
from geoclass.monitor.sampling import draw_sample, stratify_map, write_sample
from geoclass.products.files import write_map
from tests.conftest import make_contract, make_landcover, paint
from tests.monitor.scenes import make_map, yearly

LINE = "contains modified Copernicus Sentinel data 2020"


def read_texts(path: Path) -> str:
    """All that a file says of itself, as its readers hand it out."""
    if path.suffix == ".tif":
        with rasterio.open(path) as file:
            return str(file.tags())
    if path.suffix == ".parquet":
        return str(pq.read_schema(path).metadata)
    return str(pyogrio.read_info(path, layer=0)["layer_metadata"])


@pytest.mark.parametrize("suffix", ["gpkg", "tif", "parquet", "fgb", "geojson"])
def test_maps_of_sentinel_2_say_so(tmp_path: Path, suffix: str) -> None:
    landcover = make_landcover()
    path = tmp_path / f"map.{suffix}"
    write_map(landcover, path)
    assert LINE in read_texts(path)
    other = replace(landcover, provenance=replace(landcover.provenance, mission=None))
    write_map(other, path)
    assert "Copernicus" not in read_texts(path)


def test_tiff_readers_find_it_where_copyright_stands(tmp_path: Path) -> None:
    write_map(make_landcover(), tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags()["TIFFTAG_COPYRIGHT"] == LINE


def test_scene_tells_whose_data_it_is(make_scene: Callable[..., Path]) -> None:
    pixels = paint([[0]]).astype(np.uint16) * 10
    tags = {"PROCESSING_LEVEL": "Level-1C", "PROCESSING_BASELINE": "02.04"}
    tagged = make_scene(pixels, "a.tif", tags={**tags, "SENSING_TIME": "2017-02-16T10:21:01Z"})
    plan = plan_map(tagged, make_contract(), "ab" * 32, MapRequest())
    expected = "contains modified Copernicus Sentinel data 2017"
    assert plan.provenance.attribution == expected
    plain = plan_map(make_scene(paint([[0]]), "b.tif"), make_contract(), "ab" * 32, MapRequest())
    assert plain.provenance.attribution == ""


def test_results_over_time_name_all_years(tmp_path: Path) -> None:
    maps = yearly(*([[1, 1], [1, 9]],) * 3)
    result = monitor_maps(maps)
    years = ", ".join(str(m.day.year) for m in maps)
    write_monitor(result, tmp_path / "monitor.gpkg")
    assert f"Sentinel data {years}" in read_texts(tmp_path / "monitor.gpkg")
    assert read_monitor(tmp_path / "monitor.gpkg")[0].missions == ("Sentinel-2",) * 3
    write_change(change_maps(*maps[:2]), tmp_path / "change.gpkg")
    expected = ", ".join(str(m.day.year) for m in maps[:2])
    assert f"Sentinel data {expected}" in read_texts(tmp_path / "change.gpkg")


def test_samples_say_so(tmp_path: Path) -> None:
    landcover: LandCoverMap = make_map([[0, 1, 9]] * 3).landcover
    write_sample(draw_sample(stratify_map(landcover)), tmp_path / "sample.gpkg")
    assert LINE in read_texts(tmp_path / "sample.gpkg")
