"""Which scenes are meant, and what their maps are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geoclass.campaign.jobs import Job, Shard, choose_shard
from geoclass.campaign.scenes import find_scenes, name_maps
from geoclass.errors import SceneError, SettingsError
from geoclass.scene.open.source import open_scene
from tests.scene.server import serve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.TIF", "notes.txt", ".hidden.tif", "c.tif.aux.xml"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "S2A_X.SAFE").mkdir()
    (tmp_path / "S2A_X.SAFE" / "MTD_MSIL1C.xml").write_bytes(b"x")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.tif").write_bytes(b"x")
    return tmp_path


def test_folder_gives_its_scenes_and_no_others(folder: Path) -> None:
    names = ["S2A_X.SAFE", "a.TIF", "b.tif"]
    assert find_scenes([str(folder)]) == tuple(str(folder / name) for name in names)


def test_product_is_one_scene(folder: Path) -> None:
    product = str(folder / "S2A_X.SAFE")
    assert find_scenes([product]) == (product,)


def test_pattern_reaches_into_folders(folder: Path) -> None:
    found = find_scenes([f"{folder}/**/*.tif"])
    assert found == (str(folder / "b.tif"), str(folder / "deeper" / "d.tif"))


def test_list_holds_inputs_and_remarks(folder: Path) -> None:
    text = (
        f"# two ways to say it\n{folder}/b.tif\n\n{folder}/*.tif\nhttps://example.org/x.tif?a=1\n"
    )
    (folder / "list.txt").write_text(text)
    expected = (str(folder / "b.tif"), "https://example.org/x.tif?a=1")
    assert find_scenes([f"@{folder}/list.txt"]) == expected


def test_list_of_another_editor_keeps_its_first_line(folder: Path) -> None:
    """Some put a byte order mark before it."""
    (folder / "list.txt").write_text(f"{folder}/b.tif\n", encoding="utf-8-sig")
    assert find_scenes([f"@{folder}/list.txt"]) == (f"{folder}/b.tif",)


def test_lists_that_name_one_another_are_refused(folder: Path) -> None:
    (folder / "one.txt").write_text(f"@{folder}/two.txt\n")
    (folder / "two.txt").write_text(f"@{folder}/one.txt\n")
    with pytest.raises(SceneError, match="names itself"):
        find_scenes([f"@{folder}/one.txt"])


def test_scene_is_one_however_its_path_is_spelt(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "found.json").write_text(describe_page("x"))
    monkeypatch.chdir(folder)
    inputs = ["./b.tif", "b.tif", str(folder / "b.tif"), "found.json", f"{folder}/found.json#x"]
    assert find_scenes(inputs) == ("./b.tif", "found.json#x")


def test_pattern_gives_the_scenes_of_folders_and_collections(tmp_path: Path) -> None:
    for year in ("2019", "2020"):
        (tmp_path / year).mkdir()
        (tmp_path / year / "a.tif").write_bytes(b"x")
    (tmp_path / "20_empty").mkdir()
    (tmp_path / "20_found.json").write_text(describe_page("x", "y"))
    names = ("2019/a.tif", "2020/a.tif", "20_found.json#x", "20_found.json#y")
    assert find_scenes([f"{tmp_path}/20*"]) == tuple(f"{tmp_path}/{name}" for name in names)
    assert find_scenes([str(tmp_path)]) == tuple(f"{tmp_path}/{name}" for name in names[2:])


def test_folder_passes_over_what_a_campaign_wrote_there(tmp_path: Path) -> None:
    for name in ("a.tif", "a.json", "summary.json", "summary-1-of-2.json", "b.stac.json"):
        (tmp_path / name).write_text("{}")
    assert find_scenes([str(tmp_path)]) == (str(tmp_path / "a.tif"),)


def test_items_without_an_id_are_scenes_that_fail(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    features = [{"id": 7}, {"id": None}, {}]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = find_scenes([str(path)])
    assert found == tuple(f"{path}#{n}" for n in ("7", "item 2 without id", "item 3 without id"))
    with pytest.raises(SceneError, match="there are no items .*item 2 without id"):
        open_scene(found[1])


def test_marks_in_the_name_of_a_file_stay(tmp_path: Path) -> None:
    scene = tmp_path / "north #1 ?.tif"
    scene.write_bytes(b"x")
    assert name_maps([str(scene)], tmp_path, "gpkg") == (tmp_path / "north #1 ?.gpkg",)
    for address in ("https://example.org/x.tif?sig=a", "/vsicurl/https://example.org/x.tif?sig=a"):
        assert name_maps([address], tmp_path, "gpkg") == (tmp_path / "x.gpkg",)


def test_collection_gives_its_items(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    features = [{"id": "one", "stac_version": "1.0.0"}, {"id": "two"}]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert find_scenes([str(path)]) == (f"{path}#one", f"{path}#two")


def describe_page(*names: str, **link: str) -> str:
    """A page of a search, and where it goes on."""
    links = [{"rel": "self", "href": "elsewhere"}, *([{"rel": "next", **link}] if link else [])]
    features = [{"id": name, "stac_version": "1.0.0"} for name in names]
    return json.dumps({"type": "FeatureCollection", "features": features, "links": links})


def test_addresses_of_collections_give_the_items_of_all_pages(tmp_path: Path) -> None:
    (tmp_path / "search").write_text(describe_page("one", "two", href="./more.json?page=2"))
    (tmp_path / "more.json").write_text(describe_page("three"))
    (tmp_path / "item.json").write_text(json.dumps({"type": "Feature", "id": "four"}))
    (tmp_path / "scene.tif").write_bytes(b"x")
    with serve(tmp_path) as log:
        search, more = f"{log.address}/search?bbox=1,2,3,4", f"{log.address}/more.json?page=2"
        scenes = [f"{log.address}/item.json", f"{log.address}/scene.tif", f"{search}#two"]
        assert find_scenes([search]) == (f"{search}#one", f"{search}#two", f"{more}#three")
        assert find_scenes(scenes) == tuple(scenes)
    asked = [path for _, path, _ in log.requests]
    assert "/scene.tif" not in asked  # hundreds of scenes are not asked for to find out their kind


def test_pages_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(describe_page("one", href="b.json"))
    (tmp_path / "b.json").write_text(describe_page("two", href="a.json"))
    with serve(tmp_path) as log:
        base = log.address
        found = find_scenes([f"{base}/a.json"])
    assert found == (f"{base}/a.json#one", f"{base}/b.json#two")


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (describe_page(), "collection without items"),
        (describe_page("one", href="/search", method="POST"), "save all items of the search"),
        (describe_page("one", href="file:///etc/passwd"), "save all items of the search"),
        (describe_page("one", href="/gone.json"), r"cannot fetch .*gone.json.*404"),
        (describe_page("one", href="/item.json"), "not a page of items"),
    ],
)
def test_collections_that_cannot_be_listed(tmp_path: Path, page: str, message: str) -> None:
    (tmp_path / "search").write_text(page)
    (tmp_path / "item.json").write_text(json.dumps({"type": "Feature", "id": "four"}))
    with serve(tmp_path) as log, pytest.raises(SceneError, match=message) as error:
        find_scenes([f"{log.address}/search?key=secret"])
    assert "secret" not in str(error.value)


def test_item_stays_a_scene(tmp_path: Path) -> None:
    path = tmp_path / "item.json"
    path.write_text(json.dumps({"type": "Feature", "stac_version": "1.0.0"}))
    assert find_scenes([str(path)]) == (str(path),)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: [f"{d}/*.xyz"], "nothing matches"),
        (lambda d: [f"@{d}/none.txt"], "cannot read the list"),
        (lambda d: [f"{d}/empty"], "holds no scene"),
    ],
)
def test_nothing_meant_is_refused(tmp_path: Path, make, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SceneError, match=message):
        find_scenes(make(tmp_path))


def test_maps_bear_the_names_of_scenes(tmp_path: Path) -> None:
    scenes = ["x/a.tif", "x/S2A_1.SAFE.zip", "https://example.org/c.tif?sig=1", "items.json#i/1"]
    names = [path.name for path in name_maps(scenes, tmp_path, "gpkg")]
    assert names == ["a.gpkg", "S2A_1.gpkg", "c.gpkg", "i_1.gpkg"]


def test_equal_names_take_their_folders_along(tmp_path: Path) -> None:
    scenes = ["2019/06/a.tif", "2020/06/a.tif", "2020/07/A.tif", "b.tif"]
    names = [path.name for path in name_maps(scenes, tmp_path, "tif")]
    assert names == ["2019_06_a.tif", "2020_06_a.tif", "07_A.tif", "b.tif"]


def test_scenes_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="several scenes would make the map a"):
        name_maps(["a.tif", "a.jp2"], tmp_path, "gpkg")


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_are_disjoint_complete_and_balanced(count: int) -> None:
    sizes = [(n * 37 % 11 + 1) * 1_000_000 for n in range(40)]
    jobs = [(Job(scene=f"{n}", output=Path(f"{n}.tif")), size) for n, size in enumerate(sizes)]
    shards = [choose_shard(reversed(jobs), Shard(i + 1, count)) for i in range(count)]
    flat = [job.scene for shard in shards for job in shard]
    assert sorted(flat) == sorted(job.scene for job, _ in jobs)
    loads = [sum(dict(jobs)[job] for job in shard) for shard in shards]
    assert max(loads) - min(loads) <= max(sizes) + 2_000_000


@pytest.mark.parametrize(("index", "count"), [(0, 3), (4, 3), (1, 0)])
def test_shard_that_does_not_exist_is_refused(index: int, count: int) -> None:
    with pytest.raises(SettingsError, match="there is no shard"):
        Shard(index, count)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/scene.tif?sig=abc",
        "/vsicurl/https://example.org/scene.tif?sig=abc",
        "red=a[1].tif,green=b.tif,blue=c.tif",
        "NETCDF:[1].nc:red",
    ],
)
def test_names_with_odd_characters_are_no_patterns(text: str) -> None:
    assert find_scenes([text]) == (text,)


def test_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    path = tmp_path / "scene[1].tif"
    path.write_bytes(b"x")
    assert find_scenes([str(path)]) == (str(path),)


def test_folder_around_one_product_is_that_product(tmp_path: Path) -> None:
    (tmp_path / "S2A_X.SAFE").mkdir()
    assert find_scenes([str(tmp_path)]) == (str(tmp_path),)
