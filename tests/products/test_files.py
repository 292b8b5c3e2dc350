"""Maps written and read back, whole or not at all."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio

from geoclass.errors import OutputError
from geoclass.landcover import FULL_SCALE, LandCoverMap
from geoclass.legend import EUROSAT, MASKED, NODATA, UNKNOWN
from geoclass.products import files, geopackage, layers
from geoclass.products.files import check_target, read_map, write_map
from geoclass.products.formats import FileSettings, find_format
from geoclass.products.shapes import to_geodataframe
from tests.conftest import ROOT, assert_equal_maps, make_detailed, make_landcover

FORMATS = ["map.gpkg", "map.tif"]


@pytest.mark.parametrize("name", FORMATS)
def test_map_read_back_is_the_map_that_was_written(tmp_path: Path, name: str) -> None:
    landcover = make_landcover(7, 5)
    write_map(landcover, tmp_path / name)
    again = read_map(tmp_path / name)
    assert_equal_maps(again, landcover)
    write_map(again, tmp_path / f"again_{name}")
    assert_equal_maps(read_map(tmp_path / f"again_{name}"), landcover)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("stride", [4, 16, 32])
def test_map_with_a_detail_is_read_back_whole(tmp_path: Path, name: str, stride: int) -> None:
    landcover = make_detailed(3, 5, stride=stride)
    write_map(landcover, tmp_path / name)
    assert_equal_maps(read_map(tmp_path / name), landcover)


@pytest.mark.parametrize("name", FORMATS)
def test_colours_of_cells_are_read_back(tmp_path: Path, name: str) -> None:
    """All of them, light and dark, of a detail and of a map of fine cells alone."""
    detailed = make_detailed(3, 5)
    shape = (*detailed.finest.class_id.shape, 6)
    colors = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    fine = replace(detailed.finest, colors=colors)
    for landcover in (replace(detailed, detail=fine), fine):
        write_map(landcover, tmp_path / name)
        assert_equal_maps(read_map(tmp_path / name), landcover)


@pytest.mark.parametrize("name", FORMATS)
def test_map_of_one_cell_and_map_of_nodata(tmp_path: Path, name: str) -> None:
    one = make_landcover(1, 3)
    write_map(one, tmp_path / name)
    assert_equal_maps(read_map(tmp_path / name), one)
    empty = make_landcover(class_id=np.full((3, 4), NODATA, np.uint8))
    write_map(empty, tmp_path / name)
    assert_equal_maps(read_map(tmp_path / name), empty)


def test_formats_agree(tmp_path: Path) -> None:
    landcover = make_landcover(6, 6)
    write_map(landcover, tmp_path / "map.gpkg")
    write_map(landcover, tmp_path / "map.tif")
    polygons = gpd.read_file(tmp_path / "map.gpkg", layer="landcover")
    with rasterio.open(tmp_path / "map.tif") as file:
        points = polygons.representative_point()
        sampled = np.array(list(file.sample(zip(points.x, points.y, strict=True), indexes=[1, 2])))
    np.testing.assert_array_equal(sampled[:, 0], polygons["class_id"])
    confidence = polygons["confidence"].fillna(2.55) * 100
    np.testing.assert_array_equal(sampled[:, 1], np.rint(confidence))


class TestGeoPackage:
    """What other programs see in the GeoPackage."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        write_map(make_landcover(4, 5), tmp_path / "map.gpkg")
        return tmp_path / "map.gpkg"

    def test_one_polygon_a_cell_but_nodata(self, path: Path) -> None:
        landcover = make_landcover(4, 5)
        polygons = gpd.read_file(path, layer="landcover")
        assert list(polygons.columns) == [
            "class_id", "class_name", "class_title", "group", "best_class", "confidence",
            "status", "mask_reason", "valid_share", "area_ha", "row", "col", "scene", "date",
            "geometry",
        ]  # fmt: skip
        rows, cols = np.nonzero(landcover.class_id != NODATA)
        assert polygons["row"].tolist() == rows.tolist()
        assert polygons["col"].tolist() == cols.tolist()
        assert polygons.crs.to_epsg() == 32633
        np.testing.assert_allclose(polygons["area_ha"], polygons.area / 1e4, atol=1e-3)
        shares = landcover.valid_share[rows, cols] / FULL_SCALE
        np.testing.assert_allclose(polygons["valid_share"], shares)
        assert polygons["mask_reason"].dropna().tolist() == ["cloud"]
        assert set(polygons["scene"]) == {"scene.tif"}
        assert {str(day.date()) for day in polygons["date"]} == {"2020-06-01"}

    def test_cells_without_a_class_say_why(self, path: Path) -> None:
        polygons = gpd.read_file(path, layer="landcover")
        unknown = polygons[polygons["class_id"] == UNKNOWN].iloc[0]
        masked = polygons[polygons["class_id"] == MASKED].iloc[0]
        assert (unknown["status"], unknown["class_name"]) == ("unknown", "unknown")
        assert unknown["best_class"] in EUROSAT.names
        assert unknown["confidence"] > 0
        assert masked["status"] == "masked"
        assert pd.isna(masked["best_class"])
        assert np.isnan(masked["confidence"])
        classified = polygons[polygons["class_id"] < 250]
        assert set(classified["status"]) == {"classified"}
        assert (classified["class_name"] == classified["best_class"]).all()

    def test_areas_are_the_maps(self, path: Path) -> None:
        areas = pyogrio.read_dataframe(path, layer="areas")
        expected = make_landcover(4, 5).areas()
        assert areas["class_title"].tolist() == [row.title for row in expected]
        assert areas["class_name"].tolist() == [row.name for row in expected]
        assert areas["cells"].tolist() == [row.cells for row in expected]
        np.testing.assert_allclose(areas["area_ha"], [r.area_ha for r in expected], atol=1e-4)
        assert areas["share"].sum() == pytest.approx(1, abs=1e-5)

    def test_contents_are_registered_and_indexed(self, path: Path) -> None:
        with sqlite3.connect(path) as database:
            contents = dict(database.execute("SELECT table_name, data_type FROM gpkg_contents"))
            extensions = {row[0] for row in database.execute(
                "SELECT extension_name FROM gpkg_extensions"
            )}  # fmt: skip
            (user_version,) = database.execute("PRAGMA user_version").fetchone()
            (check,) = database.execute("PRAGMA integrity_check").fetchone()
        database.close()
        assert contents == {
            "landcover": "features", "areas": "attributes", "layer_styles": "attributes",
        }  # fmt: skip
        assert {"gpkg_rtree_index", "gpkg_metadata"} <= extensions
        assert user_version == 10200
        assert check == "ok"

    def test_styles_have_one_default(self, path: Path) -> None:
        styles = pyogrio.read_dataframe(path, layer="layer_styles")
        assert styles["styleName"].tolist() == ["Class", "Confidence", "Status"]
        assert styles["useAsDefault"].tolist() == [True, False, False]
        assert set(styles["f_table_name"]) == {"landcover"}
        assert set(styles["f_geometry_column"]) == {"geom"}

    def test_provenance_is_in_the_metadata_tables(self, path: Path) -> None:
        items = pyogrio.read_info(path, layer="landcover")["layer_metadata"]
        assert items["GEOCLASS_MODEL_SHA256"] == "ab" * 32
        assert items["GEOCLASS_RADIOMETRY"] == "uint16 & <tags>"
        assert json.loads(items["GEOCLASS"])["provenance"]["options"] == {"min_valid_share": 0.5}

    def test_nothing_else_is_left_in_the_folder(self, path: Path) -> None:
        read_map(path)
        assert [file.name for file in path.parent.iterdir()] == ["map.gpkg"]


class TestDetail:
    """What other programs see of a detail in the GeoPackage."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        write_map(make_detailed(4, 5), tmp_path / "map.gpkg")
        return tmp_path / "map.gpkg"

    def test_detail_comes_before_the_tiles(self, path: Path) -> None:
        assert pyogrio.list_layers(path)[:2, 0].tolist() == ["detail", "landcover"]

    def test_one_polygon_a_patch(self, path: Path) -> None:
        detail = make_detailed(4, 5).finest
        patches = gpd.read_file(path, layer="detail")
        assert list(patches.columns) == [
            "class_id", "class_name", "class_title", "group", "confidence", "mask_reason",
            "area_ha", "cells", "geometry",
        ]  # fmt: skip
        assert patches["cells"].sum() == (detail.class_id != NODATA).sum() > len(patches)
        np.testing.assert_allclose(patches["area_ha"], patches.area / 1e4, atol=1e-3)
        expected = to_geodataframe(detail, dissolve=True)
        assert patches["class_name"].tolist() == expected["class_name"].tolist()
        assert (patches.geometry.to_wkb() == expected.geometry.to_wkb()).all()

    def test_one_polygon_a_tile_with_shares_of_groups(self, path: Path) -> None:
        landcover = make_detailed(4, 5)
        tiles = gpd.read_file(path, layer="landcover")
        assert len(tiles) == (landcover.class_id != NODATA).sum()
        shares = tiles.filter(regex="^share_").sum(axis=1)
        np.testing.assert_allclose(shares, 1, atol=1e-3)

    def test_areas_are_those_of_the_detail(self, path: Path) -> None:
        areas = pyogrio.read_dataframe(path, layer="areas")
        expected = make_detailed(4, 5).finest.areas()
        assert areas["cells"].tolist() == [row.cells for row in expected]
        patches = gpd.read_file(path, layer="detail")
        assert areas["area_ha"].sum() == pytest.approx(patches["area_ha"].sum())

    def test_both_layers_have_styles(self, path: Path) -> None:
        styles = pyogrio.read_dataframe(path, layer="layer_styles")
        assert styles["f_table_name"].tolist() == ["detail"] * 2 + ["landcover"] * 3
        assert styles["styleName"].tolist() == [
            "Class", "Confidence", "Class", "Confidence", "Status"
        ]  # fmt: skip

    def test_cells_stay_cells_where_asked(self, tmp_path: Path) -> None:
        landcover, path = make_detailed(4, 5), tmp_path / "map.gpkg"
        write_map(landcover, path, settings=FileSettings(dissolve=False))
        cells = gpd.read_file(path, layer="detail")
        assert len(cells) == (landcover.finest.class_id != NODATA).sum()
        assert_equal_maps(read_map(path), landcover)


class TestGeoTiff:
    """What other programs see in the GeoTIFF."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        write_map(make_landcover(4, 5), tmp_path / "map.tif")
        return tmp_path / "map.tif"

    def test_one_pixel_a_cell(self, path: Path) -> None:
        landcover = make_landcover(4, 5)
        with rasterio.open(path) as file:
            assert file.shape == (4, 5)
            assert file.transform == landcover.grid.cell_transform
            assert file.transform.a == 640
            assert file.nodata == NODATA
            assert set(file.dtypes) == {"uint8"}
            assert file.compression.name == "deflate"
            assert file.descriptions[:2] == ("class", "confidence_percent")
            np.testing.assert_array_equal(file.read(1), landcover.class_id)
            tags = file.tags()
        assert tags["GEOCLASS_SCENE_SIZE"] == "280 x 232 pixels"
        assert tags["GEOCLASS_MODEL_SHA256"] == "ab" * 32

    def test_colours_are_the_legends(self, path: Path) -> None:
        with rasterio.open(path) as file:
            colors = file.colormap(1)
            assert file.colorinterp[0].name == "palette"
        for item in EUROSAT.classes:
            assert colors[item.class_id] == (*item.rgb, 255)

    def test_companions_name_the_classes(self, path: Path) -> None:
        auxiliary = path.with_name("map.tif.aux.xml").read_text()
        assert "<Category>Sea or lake</Category>" in auxiliary
        assert "<GDALRasterAttributeTable" in auxiliary
        assert 'label="Sea or lake"' in path.with_suffix(".qml").read_text()
        names = sorted(file.name for file in path.parent.iterdir())
        assert names == ["map.qml", "map.tif", "map.tif.aux.xml"]


@pytest.mark.parametrize("name", FORMATS)
def test_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A writer that dies half-way: the old file is whole, and nothing lies about."""
    write_map(make_landcover(), tmp_path / name)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(*_args: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(geopackage, "write_style_table", fail)
    monkeypatch.setattr(files.geotiff, "format_qml", fail)
    with pytest.raises(OutputError, match="cannot write .*No space left"):
        write_map(make_landcover(seed=1), tmp_path / name)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("limit", [5_000, 20_000, 100_000])
def test_full_disk_leaves_what_was_there(tmp_path: Path, name: str, limit: int) -> None:
    """A file may grow to so many bytes only, in a process of its own."""
    write_map(make_landcover(), tmp_path / name)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from geoclass.errors import OutputError
from geoclass.products.files import write_map
from tests.conftest import make_landcover
landcover = make_landcover(60, 60)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    write_map(landcover, {str(tmp_path / name)!r})
except OutputError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    if run.stdout:
        assert run.stdout.startswith(f"cannot write {tmp_path / name}"), run.stdout
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    else:  # it did fit
        assert_equal_maps(read_map(tmp_path / name), make_landcover(60, 60))
        assert limit == 100_000


def test_geopackage_open_elsewhere_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    write_map(make_landcover(), path)
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("UPDATE areas SET cells = 7")
    database.commit()
    with pytest.raises(OutputError, match="is open in another program, such as QGIS"):
        write_map(make_landcover(seed=1), path)
    with pytest.raises(OutputError, match="is open in another program"):
        check_target(path, "gpkg", "", overwrite=True)
    database.close()
    write_map(make_landcover(seed=1), path)
    assert_equal_maps(read_map(path), make_landcover(seed=1))


HELD = {
    "edited, nothing saved yet": "PRAGMA journal_mode=WAL; SELECT * FROM areas",
    "read at this moment": "BEGIN; SELECT * FROM areas",
    "written at this moment": "BEGIN IMMEDIATE; UPDATE areas SET cells = 1",
}


@pytest.mark.parametrize("commands", HELD.values(), ids=HELD)
def test_geopackage_held_by_another_process_is_one_clear_error(
    tmp_path: Path, commands: str
) -> None:
    path = tmp_path / "map.gpkg"
    write_map(make_landcover(), path)
    code = (
        "import sqlite3, sys; database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "cursors = [database.execute(text) for text in sys.argv[2].split('; ')]\n"
        "cursors[-1].fetchone(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path, commands], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        for again in range(2):
            with pytest.raises(OutputError, match="open in another program.* end editing there"):
                write_map(make_landcover(seed=again), path)
        process.communicate()
    write_map(make_landcover(seed=1), path)
    assert_equal_maps(read_map(path), make_landcover(seed=1))
    assert [file.name for file in tmp_path.iterdir()] == ["map.gpkg"]


def test_write_ahead_log_of_a_program_that_died_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    write_map(make_landcover(), path)
    code = (
        "import os, sqlite3, sys; database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA journal_mode=WAL'); database.execute('UPDATE areas SET cells=1')"
        "\nos._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=False)
    assert (tmp_path / "map.gpkg-wal").stat().st_size > 0
    write_map(make_landcover(seed=1), path)
    assert_equal_maps(read_map(path), make_landcover(seed=1))
    assert [file.name for file in tmp_path.iterdir()] == ["map.gpkg"]


def test_neighbours_of_a_geotiff_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "map.qml").write_text("a style of the user's")
    with pytest.raises(OutputError, match="map.qml exists.* give --overwrite"):
        check_target(tmp_path / "map.tif", "tif", "")


def test_geotiff_without_its_companions_is_not_up_to_date(tmp_path: Path) -> None:
    write_map(make_landcover(), tmp_path / "map.tif")
    assert check_target(tmp_path / "map.tif", "tif", "cd" * 32)
    (tmp_path / "map.qml").write_text("a style of the user's")
    assert check_target(tmp_path / "map.tif", "tif", "cd" * 32)
    with pytest.raises(OutputError, match="map.qml exists.* give --overwrite"):
        check_target(tmp_path / "map.tif", "tif", "cd" * 32, redo=True)
    (tmp_path / "map.qml").unlink()
    assert not check_target(tmp_path / "map.tif", "tif", "cd" * 32)


def test_altered_maps_are_refused(tmp_path: Path) -> None:
    write_map(make_landcover(), tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as whole:
        tags, bands = whole.tags(), whole.read(window=((0, 2), (0, 2)))
        profile = {**whole.profile, "height": 2, "width": 2}
    with rasterio.open(tmp_path / "cut.tif", "w", **profile) as cut:
        cut.write(bands)
        cut.update_tags(**tags)
    with pytest.raises(OutputError, match="has been changed or damaged"):
        read_map(tmp_path / "cut.tif")


@pytest.mark.parametrize("name", FORMATS)
def test_target_is_recognised_or_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    map_format = find_format(path)
    assert not check_target(path, map_format, "cd" * 32)
    write_map(make_landcover(), path)
    assert check_target(path, map_format, "cd" * 32)
    assert check_target(path, map_format, "cd" * 32, overwrite=True)
    assert not check_target(path, map_format, "cd" * 32, redo=True)
    with pytest.raises(OutputError, match="exists and is not this map: give --overwrite"):
        check_target(path, map_format, "ef" * 32)
    for wish in ({"overwrite": True}, {"redo": True}):
        assert not check_target(path, map_format, "ef" * 32, **wish)
    path.write_text("something of the user's")
    for wish in ({}, {"redo": True}):
        with pytest.raises(OutputError, match="exists and is no map of geoclass: give --overwrite"):
            check_target(path, map_format, "cd" * 32, **wish)
    assert not check_target(path, map_format, "cd" * 32, overwrite=True)


def test_missing_folder_and_folder_as_target(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder .*none does not exist"):
        check_target(tmp_path / "none" / "map.tif", "tif", "")
    (tmp_path / "map.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_target(tmp_path / "map.tif", "tif", "")


@pytest.mark.parametrize("name", ["map.shp", "map"])
def test_unknown_suffix(name: str) -> None:
    with pytest.raises(OutputError, match=r"end it in .gpkg, .tif, .tiff, .* or give -f gpkg"):
        find_format(Path(name))


def test_foreign_files_are_no_maps(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no map at"):
        read_map(tmp_path / "none.gpkg")
    (tmp_path / "text.gpkg").write_text("hello")
    with pytest.raises(OutputError, match="cannot open"):
        read_map(tmp_path / "text.gpkg")
    (tmp_path / "text.tif").write_text("hello")
    with pytest.raises(OutputError, match="cannot open"):
        read_map(tmp_path / "text.tif")
    frame = gpd.GeoDataFrame({"a": [1]}, geometry=gpd.points_from_xy([0], [0]), crs=4326)
    frame.to_file(tmp_path / "other.gpkg", layer="landcover")
    with pytest.raises(OutputError, match="is no land-cover map of geoclass"):
        read_map(tmp_path / "other.gpkg")


def test_newer_schema_is_refused_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoclass.products.document.SCHEMA_VERSION", 7)
    write_map(make_landcover(), tmp_path / "map.tif")
    monkeypatch.undo()
    with pytest.raises(OutputError, match="has schema version 7, this geoclass knows up to 3"):
        read_map(tmp_path / "map.tif")


def make_old() -> LandCoverMap:
    """Old maps did not know what was asked for."""
    landcover = make_landcover(4, 5)
    return replace(landcover, provenance=replace(landcover.provenance, request=""))


@pytest.fixture
def old(tmp_path: Path) -> list[Path]:
    """`make_old()` in files of schema version 2."""
    here = Path(__file__).with_name("old")
    paths = [tmp_path / "old.gpkg", tmp_path / "old.tif"]
    paths[0].write_bytes(gzip.decompress((here / "schema2.gpkg.gz").read_bytes()))
    shutil.copy(here / "schema2.tif", paths[1])
    return paths


def test_maps_of_the_second_schema_are_read(old: list[Path]) -> None:
    """They had a row a cell, and no detail."""
    for path in old:
        assert_equal_maps(read_map(path), make_old())


def test_maps_of_the_first_schema_are_read(old: list[Path], tmp_path: Path) -> None:
    """They knew no reasons of masks."""
    landcover = make_old()
    expected = replace(landcover, mask_reason=np.zeros_like(landcover.class_id))
    with sqlite3.connect(old[0]) as connection:
        connection.execute("ALTER TABLE cells DROP COLUMN mask_reason")
    connection.close()
    with rasterio.open(old[1]) as second:
        profile = {**second.profile, "count": second.count - 1}
        with rasterio.open(tmp_path / "first.tif", "w", **profile) as first:
            first.write(second.read(range(1, second.count)))
            first.update_tags(**second.tags())
    for path in (old[0], tmp_path / "first.tif"):
        assert_equal_maps(read_map(path), expected)


def test_altered_cells_of_old_are_refused(old: list[Path]) -> None:
    with sqlite3.connect(old[0]) as database:
        database.execute("ALTER TABLE cells DROP COLUMN p3")
    database.close()
    with pytest.raises(OutputError, match="has been changed or damaged"):
        read_map(old[0])


def test_maps_of_one_stem_stand_beside_each_other(tmp_path: Path) -> None:
    """QGIS looks for one style of both: it is the first's."""
    landcover = make_landcover()
    mark = landcover.provenance.request
    for name in ("m.tif", "m.fgb", "m.geojson"):
        assert not check_target(tmp_path / name, find_format(tmp_path / name), mark)
        write_map(landcover, tmp_path / name)
        style = (tmp_path / "m.qml").read_text()
        assert 'type="paletted"' in style
        assert all(
            check_target(path, find_format(path), mark)
            for path in tmp_path.iterdir()
            if path.suffix in (".tif", ".fgb", ".geojson")
        )
    for name in ("m.tif", "m.fgb", "m.geojson"):
        (tmp_path / name).unlink()
    # What is left is geoclass's own, as of a run that was stopped.
    assert not check_target(tmp_path / "m.fgb", "fgb", mark)


@pytest.mark.parametrize("folder", ["a#b", "a?b=c", "a%25b", "ü ü"])
@pytest.mark.parametrize("name", ["m#1", "m?x=1", "m%23"])
def test_names_with_characters_of_addresses(tmp_path: Path, folder: str, name: str) -> None:
    inside = tmp_path / folder
    inside.mkdir()
    landcover = make_landcover(2, 2)
    for suffix in (".gpkg", ".tif"):
        path = inside / f"{name}{suffix}"
        write_map(landcover, path)
        assert_equal_maps(read_map(path), landcover)
        assert check_target(path, find_format(path), landcover.provenance.request)
    layers.read_columns(inside / f"{name}.gpkg", "landcover")
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    assert {path.name.removeprefix(name) for path in inside.iterdir()} == {
        ".gpkg", ".tif", ".tif.aux.xml", ".qml",
    }  # fmt: skip
