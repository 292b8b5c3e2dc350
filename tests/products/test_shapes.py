"""Patches of a map, against sums over their cells."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pandas.testing import assert_frame_equal

from geoclass.landcover import MASK_REASONS, LandCoverMap
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.products import geopackage
from geoclass.products.files import read_map, write_map
from geoclass.products.formats import DISSOLVED_FROM, FileSettings
from geoclass.products.shapes import to_geodataframe
from tests.conftest import assert_equal_maps, make_detailed, make_landcover

DISSOLVED = FileSettings(dissolve=True)


def make_speckled(rows: int = 12, cols: int = 15) -> LandCoverMap:
    """Three classes in patches, unknown cells, cells masked for two reasons, cells without data."""
    plain = make_landcover(rows, cols)
    generator = np.random.default_rng(1)
    codes = np.array([0, 1, 2, UNKNOWN, MASKED, NODATA], np.uint8)
    class_id = generator.choice(codes, (rows, cols), p=[0.5, 0.2, 0.1, 0.05, 0.1, 0.05])
    known = class_id < 10
    best = np.where(known, class_id, np.where(class_id == UNKNOWN, 7, NODATA)).astype(np.uint8)
    probabilities = np.where((best != NODATA)[:, :, None], plain.probabilities, 0)
    reason = np.where(class_id == MASKED, generator.integers(1, 3, (rows, cols)), 0)
    return make_landcover(
        rows, cols, class_id=class_id, best_class=best,
        probabilities=probabilities.astype(np.uint8), mask_reason=reason.astype(np.uint8),
    )  # fmt: skip


def test_patches_cover_the_cells_of_one_kind() -> None:
    landcover = make_speckled()
    cells = to_geodataframe(landcover, probabilities=True)
    patches = to_geodataframe(landcover, probabilities=True, dissolve=True)
    assert patches["cells"].sum() == len(cells)
    assert patches["area_ha"].sum() == pytest.approx(cells["area_ha"].sum(), rel=1e-6)
    owner = patches.sindex.query(cells.centroid, predicate="within")[1]
    weight = landcover.grid.pixel_counts()[cells["row"], cells["col"]]
    measures = ["confidence", *(f"p_{name}" for name in landcover.legend.names)]
    for number, patch in patches.iterrows():
        inside = owner == number
        assert shapely.equals(patch.geometry, cells.geometry[inside].union_all())
        for name in ("class_id", "class_name", "class_title", "group", "mask_reason"):
            expected = {patch[name]} if pd.notna(patch[name]) else set()
            assert set(cells[name][inside].dropna()) == expected, name
        assert patch["cells"] == inside.sum()
        assert patch["area_ha"] == pytest.approx(cells["area_ha"][inside].sum(), rel=1e-3)
        means = np.average(cells[measures][inside], axis=0, weights=weight[inside])
        np.testing.assert_allclose(patch[measures].astype(float), means, atol=1e-4)


def test_tiles_say_what_shares_of_groups_lie_in_them() -> None:
    """Of cells that have a class; a tile at the edge has fewer of them."""
    landcover = make_detailed(4, 4)
    detail = landcover.detail
    assert detail is not None
    detail.class_id[:4, 4:8] = MASKED
    tiles = to_geodataframe(landcover)
    cells = to_geodataframe(detail)
    cells = cells[cells["status"] == "classified"]
    groups = list(dict.fromkeys(c.group for c in landcover.legend.classes))
    assert list(tiles.columns[-len(groups) - 1 : -1]) == [f"share_{group}" for group in groups]
    for _, tile in tiles.iterrows():
        inside = cells[cells.centroid.within(tile.geometry)]
        found = tile[[f"share_{group}" for group in groups]].astype(float)
        if inside.empty:
            assert found.isna().all()
        else:
            expected = [(inside["group"] == group).mean() for group in groups]
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_dissolved_map_is_read_back_whole(tmp_path: Path) -> None:
    landcover, path = make_speckled(), tmp_path / "map.gpkg"
    write_map(landcover, path, settings=DISSOLVED)
    assert_equal_maps(read_map(path), landcover)
    layer = gpd.read_file(path, layer="landcover")
    assert layer["cells"].sum() == (landcover.class_id != NODATA).sum() > len(layer)
    assert layer["area_ha"].sum() == pytest.approx(layer.area.sum() / 1e4, rel=1e-3)
    masked = layer[layer["class_name"] == "masked"]
    assert set(masked["mask_reason"]) == set(MASK_REASONS[1:3])
    assert masked["confidence"].isna().all()


def test_large_maps_are_dissolved_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of a table are written some at a time, too."""
    landcover, path = make_speckled(), tmp_path / "map.gpkg"
    monkeypatch.setattr(geopackage, "CELLS_AT_A_TIME", 50)
    rows = []
    for limit, settings in (
        (179, FileSettings()), (180, FileSettings()), (179, FileSettings(dissolve=False)),
    ):  # fmt: skip
        monkeypatch.setitem(DISSOLVED_FROM, "gpkg", limit)
        write_map(landcover, path, settings=settings)
        assert_equal_maps(read_map(path), landcover)
        rows.append(len(gpd.read_file(path, layer="landcover")))
    assert rows[0] < rows[1] == rows[2] == (landcover.class_id != NODATA).sum()


@pytest.mark.parametrize("probabilities", [False, True])
def test_cells_written_some_at_a_time_are_those_written_at_once(
    tmp_path: Path, probabilities: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first rows and some others have no data; found by the index, too."""
    landcover = make_speckled()
    landcover.class_id[:3] = landcover.class_id[7] = NODATA
    settings = FileSettings(dissolve=False, probabilities=probabilities)
    frames, found = [], []
    for name, at_a_time in (("whole", 1000), ("parts", 16)):
        monkeypatch.setattr(geopackage, "CELLS_AT_A_TIME", at_a_time)
        path = tmp_path / f"{name}.gpkg"
        write_map(landcover, path, settings=settings)
        assert_equal_maps(read_map(path), landcover)
        frames.append(gpd.read_file(path, layer="landcover"))
        part = tuple(frames[0].geometry[:40].total_bounds)
        found.append(len(gpd.read_file(path, layer="landcover", bbox=part)))
        with closing(sqlite3.connect(path)) as database:
            indexed = database.execute("SELECT count(*) FROM rtree_landcover_geom").fetchone()
        assert indexed == (len(frames[0]),)
    assert_frame_equal(*frames)
    assert (frames[0].geometry.to_wkb() == frames[1].geometry.to_wkb()).all()
    assert found[0] == found[1] > 0


@pytest.mark.parametrize("suffix", [".fgb", ".geojson"])
def test_other_files_are_dissolved_where_asked(tmp_path: Path, suffix: str) -> None:
    landcover, path = make_speckled(), tmp_path / f"map{suffix}"
    write_map(landcover, path, settings=DISSOLVED)
    dissolved = gpd.read_file(path)
    write_map(landcover, path)
    assert dissolved["cells"].sum() == len(gpd.read_file(path)) > len(dissolved)


def test_a_file_remembers_whether_it_is_dissolved() -> None:
    marks = {FileSettings(dissolve=wish).mark("ab") for wish in (None, True, False)}
    assert len(marks) == 3
    assert DISSOLVED.fit("tif").mark("ab") == "ab"
