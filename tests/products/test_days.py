"""Days in GeoPackages: columns of type DATE, which a plain comparison finds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import pytest

from geoclass.products.files import write_map
from geoclass.products.layers import Layer, write_layers
from geoclass.products.mosaic import merge_maps, write_mosaic
from tests.conftest import make_detailed, make_landcover


def list_types(path: Path) -> dict[str, str]:
    """`layer.column` → its type, of all days and times."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT table_name FROM gpkg_contents")]
        columns = {
            f"{table}.{column}": kind
            for table in tables
            for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")')
        }
    kinds = {name: kind for name, kind in columns.items() if kind.startswith("DATE")}
    kinds.pop("layer_styles.update_time", None)  # of QGIS
    return kinds


def count(path: Path, layer: str, where: str) -> int:
    return len(pyogrio.read_dataframe(path, layer=layer, where=where, read_geometry=False))


@pytest.mark.parametrize("make", [make_landcover, make_detailed])
def test_a_map_is_found_by_its_day(make: object, tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    write_map(make(), path)
    assert list_types(path) == {"landcover.date": "DATE"}
    cells = count(path, "landcover", "1 = 1")
    assert cells == 11
    assert count(path, "landcover", "date = '2020-06-01'") == cells
    assert count(path, "landcover", "date <= '2020-06-01'") == cells
    assert count(path, "landcover", "date < '2020-06-01'") == 0


@pytest.mark.parametrize("make", [make_landcover, make_detailed])
def test_a_merged_map_is_found_by_its_day(make: object, tmp_path: Path) -> None:
    path = tmp_path / "maps.gpkg"
    write_mosaic(merge_maps([make()]), [make()], path)
    assert list_types(path) == {"landcover.date": "DATE"}
    assert count(path, "landcover", "date = '2020-06-01'") == 11


def test_layers_and_tables_have_days(tmp_path: Path) -> None:
    path = tmp_path / "layers.gpkg"
    days = np.array(["2017-02-16", "NaT"], dtype="datetime64[D]")
    frame = make_landcover().grid.polygons(np.array([0, 1]), np.array([0, 1]))
    crs = str(make_landcover().grid.crs)
    placed = Layer(name="placed", columns={"day": days}, polygons=frame, crs=crs)
    table = Layer(name="table", columns={"day": days, "text": np.array(["a", None], object)})
    write_layers(path, [placed, table], {})
    assert list_types(path) == {"placed.day": "DATE", "table.day": "DATE"}
    for layer in ("placed", "table"):
        assert count(path, layer, "day = '2017-02-16'") == 1
        assert count(path, layer, "day IS NULL") == 1
