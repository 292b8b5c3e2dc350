"""Names from outside: nothing but the file that is meant is ever written or read."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geoclass.campaign.run import run_campaign
from geoclass.campaign.scenes import name_maps
from geoclass.errors import OutputError, SceneError
from geoclass.files.writing import check_folder, draft_folder, sweep_drafts
from geoclass.mapping.settings import MapRequest
from geoclass.outside import encode_name
from geoclass.products.files import read_map, write_map, write_styles
from geoclass.products.layers import read_features
from geoclass.report.chips import _save
from geoclass.scene.georeference.region import read_region
from geoclass.scene.open.source import open_scene
from tests.conftest import assert_equal_maps, make_landcover, paint

ODD = ["notes;1", "a?b", "n!x", "%25#", "a=b&c", "zip:x", "{x", "\x1b[2J", "ü \u202e"]


@pytest.mark.parametrize("stem", ODD)
@pytest.mark.parametrize("suffix", [".gpkg", ".tif", ".fgb", ".geojson"])
def test_a_map_of_any_name_replaces_nothing_else(tmp_path: Path, stem: str, suffix: str) -> None:
    baits = {tmp_path / name for name in ("notes", "a", "n", "x.gpkg", "x.tif", "x.fgb", "x")}
    for bait in baits:
        bait.write_text("mine")
    target, landcover = tmp_path / f"{stem}{suffix}", make_landcover(2, 2)
    write_map(landcover, target)
    assert {bait.read_text() for bait in baits} == {"mine"}
    beside = {".gpkg": set(), ".tif": {".tif.aux.xml", ".qml"}}.get(suffix, {".qml"})
    assert set(tmp_path.iterdir()) - baits == {target, *(tmp_path / f"{stem}{s}" for s in beside)}
    if suffix in (".gpkg", ".tif"):
        assert_equal_maps(read_map(target), landcover)


def test_a_folder_that_libraries_would_misread_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a!b"
    folder.mkdir()
    with pytest.raises(OutputError, match="read as part of an address: choose a folder without"):
        write_map(make_landcover(2, 2), folder / "map.gpkg")
    assert not list(folder.iterdir())


names = st.text(min_size=1, max_size=80)


@given(names)
def test_an_encoded_name_is_plain(text: str) -> None:
    name = encode_name(text)
    assert name == encode_name(name) or "%" in name
    assert not set(name) & set('/\\:;?!#*"<>|\0\n\r\t\x1b')
    assert not name.startswith((".", "-", "~", " "))
    assert name
    assert len(os.fsencode(name)) <= 200


@given(names, names)
def test_two_names_are_never_one(one: str, other: str) -> None:
    assert (encode_name(one) == encode_name(other)) == (one == other)
    assert encode_name(one * 200) != encode_name(one * 200 + other)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("notes;1", "notes%3B1.gpkg"),
        ("../../x", "%2E._.._x.gpkg"),
        (".bashrc", "%2Ebashrc.gpkg"),
        ("a\nb", "a%0Ab.gpkg"),
        ("S2A_T32TPS", "S2A_T32TPS.gpkg"),
    ],
)
def test_ids_from_servers_become_plain_names(tmp_path: Path, item: str, name: str) -> None:
    scene = f"https://example.org/items.json#{item}"
    assert name_maps([scene], tmp_path, "gpkg") == (tmp_path / name,)


def test_the_very_file_is_the_area_of_interest(tmp_path: Path) -> None:
    for name, side in (("zone", 9), ("zone;small.geojson", 1)):
        frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, side, side)], crs=4326)
        frame.to_file(tmp_path / "made.geojson")
        (tmp_path / "made.geojson").rename(tmp_path / name)
    region = read_region(tmp_path / "zone;small.geojson")
    assert region.find_bounds("EPSG:4326") == pytest.approx((0, 0, 1, 1))


def test_a_style_of_someone_else_stays(tmp_path: Path, make_scene, random_model: Path) -> None:
    make_scene(paint([[1, 2]]))
    out = tmp_path / "maps"
    out.mkdir()
    (out / "scene.qml").write_text("<qgis>mine</qgis>")
    campaign = MapRequest(model=random_model, map_format="fgb")
    summary = run_campaign([str(tmp_path / "scene.tif")], out, campaign)
    assert "scene.qml exists, and geoclass did not write it" in summary.failures[0].reason
    assert (out / "scene.qml").read_text() == "<qgis>mine</qgis>"
    (out / "scene.qml").unlink()
    assert not run_campaign([str(tmp_path / "scene.tif")], out, campaign).failures
    (out / "scene.fgb").unlink()  # as a stopped run leaves it
    assert not run_campaign([str(tmp_path / "scene.tif")], out, campaign).failures


def test_styles_are_written_beside_their_file_only(tmp_path: Path) -> None:
    folder = tmp_path / "maps" / "deep"
    folder.mkdir(parents=True)
    write_map(make_landcover(2, 2), folder / "map.gpkg")
    with sqlite3.connect(folder / "map.gpkg") as database:
        database.execute("UPDATE layer_styles SET styleName = '../../../up' || rowid")
        database.execute("UPDATE layer_styles SET f_table_name = '/tmp/x' || rowid")
        database.execute("DELETE FROM gpkg_metadata")
    database.close()
    written = write_styles(folder / "map.gpkg")
    assert written
    assert {path.parent for path in written} == {folder}
    assert {p.name for p in tmp_path.iterdir()} == {"maps"}


def test_links_and_devices_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.gpkg").write_text("mine")
    link = tmp_path / "link.gpkg"
    link.symlink_to(tmp_path / "mine.gpkg")
    pipe = tmp_path / "pipe.gpkg"
    os.mkfifo(pipe)
    for path, kind in ((link, "a link"), (pipe, "no regular file"), (Path("/dev/null"), "no reg")):
        with pytest.raises(OutputError, match=f"is {kind}"):
            check_folder(path)
    with pytest.raises(OutputError, match="is a link"):
        write_map(make_landcover(2, 2), link)
    assert (tmp_path / "mine.gpkg").read_text() == "mine"
    assert link.is_symlink()


def test_the_very_file_is_read_again(tmp_path: Path) -> None:
    """Corrections by hand, and plots: a name with `;` is never that of another file."""
    path = tmp_path / "map;1.gpkg"
    write_map(make_landcover(2, 3), path)
    correct_cell(path)
    assert read_map(path).class_id[1, 1] == 1
    for name, count in (("plots", 1), ("plots;2.geojson", 2)):
        frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)] * count, crs=4326)
        frame.to_file(tmp_path / "made.geojson")
        (tmp_path / "made.geojson").rename(tmp_path / name)
    assert len(read_features(tmp_path / "plots;2.geojson").shapes) == 2


def correct_cell(path: Path) -> None:
    with sqlite3.connect(path) as database:
        drop_triggers(database)
        database.execute("UPDATE landcover SET class_name = 'Forest' WHERE row = 1 AND col = 1")
    database.close()


def drop_triggers(database: sqlite3.Connection) -> None:
    """Those of the spatial index call functions that only GDAL has."""
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in rows:
        database.execute(f'DROP TRIGGER "{name}"')


def test_a_journal_beside_a_database_removes_and_changes_nothing(tmp_path: Path) -> None:
    """SQLite would undo what it tells, and remove the file that it names at its end."""
    path, journal, notes = (tmp_path / n for n in ("map.gpkg", "map.gpkg-journal", "notes"))
    notes.write_text("mine")
    write_map(make_landcover(2, 3), path)
    before = path.read_bytes()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA cache_size = 1")
    database.execute("BEGIN")
    database.execute("CREATE TABLE big AS SELECT hex(zeroblob(9000000)) AS text")
    told = journal.read_bytes()
    database.execute("ROLLBACK")
    database.close()
    name = str(notes).encode()
    path.write_bytes(before)
    journal.write_bytes(
        told.ljust(-(-len(told) // 512) * 512, b"\0")
        + (0x40000000 // 4096 + 1).to_bytes(4) + name
        + len(name).to_bytes(4) + sum(name).to_bytes(4) + bytes.fromhex("d9d505f920a163d7")
    )  # fmt: skip
    with pytest.raises(OutputError, match="stopped at it.*map.gpkg-journal"):
        write_map(make_landcover(4, 4), path)
    assert (path.read_bytes(), notes.read_text()) == (before, "mine")
    path.unlink()
    write_map(make_landcover(4, 4), path)
    assert not journal.exists()
    assert_equal_maps(read_map(path), make_landcover(4, 4))


def test_pictures_beside_a_sample_follow_no_links(tmp_path: Path) -> None:
    mine, folder = tmp_path / "mine", tmp_path / "chips"
    mine.write_text("mine")
    folder.mkdir()
    (folder / "0001.png").symlink_to(mine)
    with pytest.raises(OutputError, match="is a link"):
        _save(Image.new("RGB", (8, 8)), folder, 1)
    assert mine.read_text() == "mine"
    assert _save(Image.new("RGB", (8, 8)), folder, 2) == "chips/0002.png"


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "\udcff.gpkg"
    with pytest.raises(OutputError, match=r"\\udcff.gpkg is not UTF-8: give another name"):
        write_map(make_landcover(2, 2), target)
    target.write_bytes(b"II*\0 ")
    with pytest.raises(SceneError, match=r"\\udcff.gpkg is not UTF-8: rename the file"):
        open_scene(target)
    with pytest.raises(SceneError, match="not UTF-8"):
        read_region(target)
    with pytest.raises(OutputError, match="UTF-8"):
        read_map(target)


def test_drafts_of_another_container_of_this_name_are_left(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    with draft_folder(path) as folder:
        name, host, _, rest = Path(folder).name[1:].rsplit(".", 3)
        theirs = tmp_path / f".{name}.{host[::-1]}.99999999.{rest}"
        theirs.mkdir()
        ours = tmp_path / f".{name}.{host}.99999999.{rest}"
        ours.mkdir()
        sweep_drafts([path])
        assert theirs.exists()
        assert not ours.exists()
        assert Path(folder).exists()
    assert name != "map.gpkg"


@settings(max_examples=15, deadline=None)
@given(
    stem=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)
)
def test_maps_of_arbitrary_names(tmp_path_factory: pytest.TempPathFactory, stem: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    target = folder / f"{stem}.geojson"
    write_map(make_landcover(2, 2), target)
    assert set(folder.iterdir()) == {target, target.with_suffix(".qml")}
