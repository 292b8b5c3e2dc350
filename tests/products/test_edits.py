"""Classes corrected by hand in the layers of a GeoPackage count."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from geoclass.errors import OutputError
from geoclass.landcover import FULL_SCALE
from geoclass.legend import EUROSAT, UNKNOWN
from geoclass.products.files import read_map, write_map
from geoclass.products.formats import FileSettings
from tests.conftest import assert_equal_maps, make_detailed, make_landcover

FOREST = next(c for c in EUROSAT.classes if c.name == "Forest")


def edit(path: Path, text: str) -> int:
    """Change rows as QGIS does, which has the functions of the triggers; how many."""
    with closing(sqlite3.connect(path)) as database, database:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'rtree%'"
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f"DROP TRIGGER {name}")
        return database.execute(text).rowcount


@pytest.mark.parametrize(
    "change",
    [
        "class_name = 'Forest'",
        f"class_id = {FOREST.class_id}",
        f"class_title = '{FOREST.title}'",
        f"class_name = 'Forest', class_id = {FOREST.class_id}, class_title = '{FOREST.title}'",
    ],
)
def test_a_corrected_cell_is_certain(tmp_path: Path, change: str) -> None:
    landcover = make_landcover(7, 5)
    path = tmp_path / "m.gpkg"
    write_map(landcover, path)
    there = (landcover.class_id != FOREST.class_id) & (landcover.class_id < 255)
    row, col = np.argwhere(there)[3]
    assert edit(path, f"UPDATE landcover SET {change} WHERE row = {row} AND col = {col}") == 1
    found = read_map(path)
    assert found.class_id[row, col] == found.best_class[row, col] == FOREST.class_id
    assert found.probabilities[row, col, FOREST.class_id] == FULL_SCALE
    assert found.probabilities[row, col].sum() == FULL_SCALE
    others = np.ones_like(there)
    others[row, col] = False
    np.testing.assert_array_equal(found.class_id[others], landcover.class_id[others])
    assert found.provenance.warnings[-1] == "1 cells were corrected by hand in the layers of m.gpkg"
    write_map(found, tmp_path / "again.gpkg")
    np.testing.assert_array_equal(read_map(tmp_path / "again.gpkg").class_id, found.class_id)


def test_masked_cells_may_be_corrected_and_classes_doubted(tmp_path: Path) -> None:
    path = tmp_path / "m.gpkg"
    write_map(make_landcover(7, 5), path)
    edit(path, "UPDATE landcover SET class_name = 'Forest' WHERE status = 'masked'")
    edit(path, "UPDATE landcover SET class_name = 'unknown' WHERE row = 3 AND col = 3")
    found = read_map(path)
    assert found.class_id[0, 1] == FOREST.class_id
    assert found.mask_reason[0, 1] == 0
    assert found.class_id[3, 3] == UNKNOWN


def test_a_corrected_tile_is_so_in_all_of_its_detail(tmp_path: Path) -> None:
    landcover = make_detailed(3, 4, stride=16)
    path = tmp_path / "m.gpkg"
    write_map(landcover, path)
    edit(path, "UPDATE landcover SET class_name = 'Forest' WHERE row = 1 AND col = 2")
    found = read_map(path).finest
    inside = np.zeros_like(found.class_id, dtype=bool)
    inside[4:8, 8:12] = True
    assert (found.class_id[inside] == FOREST.class_id).all()
    np.testing.assert_array_equal(found.class_id[~inside], landcover.finest.class_id[~inside])


@pytest.mark.parametrize("dissolve", [None, False])
def test_a_corrected_patch_of_the_detail_counts(tmp_path: Path, dissolve: bool | None) -> None:
    landcover = make_detailed(4, 5, stride=16)
    path = tmp_path / "m.gpkg"
    write_map(landcover, path, settings=FileSettings(dissolve=dissolve))
    assert_equal_maps(read_map(path), landcover)
    edit(path, "UPDATE detail SET class_name = 'Forest' WHERE class_name = 'SeaLake'")
    water = EUROSAT.names.index("SeaLake")
    lakes = landcover.finest.class_id == water
    assert lakes.any()
    found = read_map(path)
    assert (found.finest.class_id[lakes] == FOREST.class_id).all()
    np.testing.assert_array_equal(found.finest.class_id[~lakes], landcover.finest.class_id[~lakes])
    np.testing.assert_array_equal(found.class_id, landcover.class_id)


def test_a_class_of_no_legend_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gpkg"
    write_map(make_landcover(), path)
    edit(path, "UPDATE landcover SET class_name = 'Wald' WHERE row = 2 AND col = 2")
    with pytest.raises(
        OutputError, match="class_name Wald, which is not in the legend: give one of AnnualCrop"
    ):
        read_map(path)
