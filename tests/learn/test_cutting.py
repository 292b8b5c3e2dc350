"""Labelled tiles out of scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely

from geoclass.errors import GeoclassError, OutputError, SceneError, SettingsError
from geoclass.learn.cutting import CutTiles, cut_scene
from geoclass.learn.dataset import read_tiles
from geoclass.learn.places import PLACES_FILE
from geoclass.scene.georeference.region import read_labels
from tests.conftest import paint

Make = Callable[..., Path]
ROWS, COLS = 3, 4


@pytest.fixture
def scene(make_scene: Make) -> Path:
    """Another plain colour in every tile, on a 10 m grid."""
    return make_scene(
        paint([[row * COLS + col for col in range(COLS)] for row in range(2)] + [[8, 9, 0, 1]])
    )


def draw(scene: Path, file: Path, boxes: dict[str, list[tuple[float, ...]]], **more: str) -> Path:
    """Polygons by class, given in columns and rows of tiles."""
    with rasterio.open(scene) as dataset:
        transform, crs = dataset.transform, dataset.crs
    shapes, names = [], []
    for name, several in boxes.items():
        for left, top, right, bottom in several:
            (west, north), (east, south) = (
                transform @ (64 * left, 64 * top),
                transform @ (64 * right, 64 * bottom),
            )
            shapes.append(shapely.box(west, south, east, north))
            names.append(name)
    frame = gpd.GeoDataFrame({"class": names}, geometry=shapes, crs=crs)
    frame = frame.to_crs(more["crs"]) if "crs" in more else frame
    frame.to_file(file)
    return file


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
def test_tiles_are_what_polygons_cover(scene: Path, tmp_path: Path, crs: str) -> None:
    boxes = {
        "wood": [(0, 0, 2, 1.02), (2, 0, 2.5, 1)],  # two tiles, and half of a third
        "lake": [(2.9, 1.9, 4, 3), (2.5, 0, 3, 1)],  # one tile, and the other half
    }
    labels = draw(scene, tmp_path / "labels.gpkg", boxes, crs=crs)
    found = cut_scene(scene, labels, tmp_path / "tiles")
    assert found == CutTiles(counts={"lake": 1, "wood": 2}, mixed=1, partly=5, hidden=0)
    tiles = read_tiles(tmp_path / "tiles")
    assert tiles.names == (
        "lake/lake_scene_2_3.png",
        "wood/wood_scene_0_0.png",
        "wood/wood_scene_0_1.png",
    )
    with rasterio.open(scene) as dataset:
        pixels = dataset.read()
    np.testing.assert_array_equal(tiles.images[0], pixels[:, 128:192, 192:256])
    np.testing.assert_array_equal(tiles.images[2], pixels[:, :64, 64:128])


def test_tiles_without_all_their_pixels_are_left_out(make_scene: Make, tmp_path: Path) -> None:
    mask = np.full((64, 128), 255, np.uint8)
    mask[5, 70] = 0
    scene = make_scene(paint([[1, 2]]), mask=mask)
    labels = draw(scene, tmp_path / "labels.gpkg", {"wood": [(0, 0, 2, 1)]})
    found = cut_scene(scene, labels, tmp_path / "tiles")
    assert found == CutTiles(counts={"wood": 1}, mixed=0, partly=0, hidden=1)


def test_tiles_that_two_classes_cover_are_left_out(scene: Path, tmp_path: Path) -> None:
    boxes = {
        "lake": [(0, 0, 1, 1), (1, 0, 1.3, 1), (3, 0, 3.5, 1)],
        "wood": [(0, 0, 2, 1), (2, 0, 2.5, 1)],
    }
    labels = draw(scene, tmp_path / "labels.gpkg", boxes)
    # Both cover the first tile; the second is of wood, with a lake in it.
    found = cut_scene(scene, labels, tmp_path / "tiles")
    assert found == CutTiles(counts={"lake": 0, "wood": 1}, mixed=1, partly=2, hidden=0)
    assert read_tiles(tmp_path / "tiles").names == ("wood/wood_scene_0_1.png",)


def test_layer_of_the_labels(scene: Path, tmp_path: Path) -> None:
    """Warnings, such as pyogrio's of several layers, are errors here."""
    labels = tmp_path / "labels.gpkg"
    for layer, column, class_ in (("roads", "kind", "road"), ("cover", "class", "wood")):
        frame = gpd.read_file(draw(scene, tmp_path / f"{layer}.gpkg", {class_: [(0, 0, 1, 1)]}))
        frame.rename(columns={"class": column}).to_file(labels, layer=layer)
    assert list(read_labels(labels, "class").shapes) == ["wood"]
    message = r"labels.gpkg has 2 layers \(roads, cover\), none with a column 'x': name the layer"
    with pytest.raises(SettingsError, match=message):
        read_labels(labels, "x")
    frame.to_file(labels, layer="older")
    with pytest.raises(SettingsError, match=r"3 layers \(.*\), 2 with a column 'class'"):
        read_labels(labels, "class")
    assert list(read_labels(labels, "kind", "roads").shapes) == ["road"]
    with pytest.raises(SettingsError, match=r"no layer 'none', but roads, cover, older: name one"):
        read_labels(labels, "class", "none")


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (np.array([1, 2]), ["1", "2"]),
        (np.array([1.0, 2.0]), ["1", "2"]),
        (np.array([1.5, 2.0]), ["1.5", "2"]),
        (np.array([1.5, 2.0], np.float32), ["1.5", "2"]),
    ],
)
def test_classes_that_are_numbers(
    scene: Path, tmp_path: Path, values: np.ndarray, classes: list[str]
) -> None:
    labels = draw(scene, tmp_path / "drawn.gpkg", {"a": [(0, 0, 1, 1)], "b": [(1, 0, 2, 1)]})
    gpd.read_file(labels).assign(**{"class": values}).to_file(tmp_path / "labels.gpkg")
    found = read_labels(tmp_path / "labels.gpkg", "class")
    assert list(found.shapes) == classes


def test_share_can_be_chosen(scene: Path, tmp_path: Path) -> None:
    labels = draw(scene, tmp_path / "labels.gpkg", {"wood": [(0, 0, 0.7, 1), (1, 0, 2, 1)]})
    assert cut_scene(scene, labels, tmp_path / "most").counts == {"wood": 1}
    assert cut_scene(scene, labels, tmp_path / "more", min_share=0.65).counts == {"wood": 2}
    with pytest.raises(SettingsError, match="above 0.5 and at most 1: 0.5"):
        cut_scene(scene, labels, tmp_path / "half", min_share=0.5)


def test_scenes_add_up_and_nothing_is_replaced(
    scene: Path, make_scene: Make, tmp_path: Path
) -> None:
    labels = draw(scene, tmp_path / "labels.gpkg", {"wood": [(0, 0, 1, 1)]})
    output = tmp_path / "tiles"
    cut_scene(scene, labels, output)
    with pytest.raises(OutputError, match="exists: give --add"):
        cut_scene(scene, labels, output)
    with pytest.raises(OutputError, match="was cut into this folder before"):
        cut_scene(scene, labels, output, add=True)
    cut_scene(make_scene(paint([[5, 6]]), name="other.tif"), labels, output, add=True)
    assert sorted(file.name for file in output.rglob("*.png")) == [
        "wood_other_0_0.png", "wood_scene_0_0.png",
    ]  # fmt: skip
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_dir()) == ["tiles"]


def test_tiles_tell_their_place(scene: Path, make_scene: Make, tmp_path: Path) -> None:
    labels = draw(scene, tmp_path / "labels.gpkg", {"wood": [(0, 0, 4, 3)]})
    output = tmp_path / "tiles"
    cut_scene(scene, labels, output)
    cut_scene(make_scene(paint([[5, 6]]), name="other.tif"), labels, output, add=True)
    told = pd.read_csv(output / PLACES_FILE)
    assert sorted(told.tile) == sorted(f"wood/{file.name}" for file in output.rglob("*.png"))
    assert (told.scene == "scene").sum() == 12
    with rasterio.open(scene) as dataset:
        to_degrees = pyproj.Transformer.from_crs(dataset.crs, 4326, always_xy=True)
        x, y = dataset.transform @ (64 * 3.5, 64 * 1.5)
    row = told[told.tile == "wood/wood_scene_1_3.png"].iloc[0]
    assert set(told.side_m) == {640}
    assert to_degrees.transform(x, y) == pytest.approx((row.longitude, row.latitude), abs=1e-6)
    # Of the other scene's two tiles each lies where one of the first's does.
    assert len(told.drop_duplicates(["longitude", "latitude"])) == 12
    assert np.isfinite(read_tiles(output).places).all()


def test_tile_moved_inward_tells_where_it_is(make_scene: Make, tmp_path: Path) -> None:
    scene = make_scene(np.repeat(paint([[1, 2]])[:, :, :96], 1, axis=0))
    labels = draw(scene, tmp_path / "labels.gpkg", {"wood": [(0, 0, 2, 1)]})
    cut_scene(scene, labels, tmp_path / "tiles")
    places = read_tiles(tmp_path / "tiles").places
    assert places is not None
    one, other = places[:, :2]
    assert pyproj.Geod(ellps="WGS84").inv(*one, *other)[2] == pytest.approx(320, rel=0.01)


def test_other_table_of_places_is_not_touched(
    scene: Path, make_scene: Make, tmp_path: Path
) -> None:
    labels = draw(scene, tmp_path / "labels.gpkg", {"wood": [(0, 0, 1, 1)]})
    output = tmp_path / "tiles"
    (output / "wood").mkdir(parents=True)
    for content in (b"where\n", b"tile,longitude,latitude\n\xff,1,2\n"):
        (output / PLACES_FILE).write_bytes(content)
        with pytest.raises(
            OutputError, match=r"places.csv is not a valid table of places \(.*\): fix it"
        ):
            cut_scene(scene, labels, output, add=True)
        assert (output / PLACES_FILE).read_bytes() == content
        assert list((output / "wood").iterdir()) == []


def test_tiles_are_added_to_a_table_of_any_form(scene: Path, tmp_path: Path) -> None:
    labels = draw(scene, tmp_path / "labels.gpkg", {"wood": [(0, 0, 1, 1)]})
    (tmp_path / "tiles").mkdir()
    table = tmp_path / "tiles" / PLACES_FILE
    table.write_text("note,tile,latitude,longitude\n,wood/mine.png,1,2", encoding="utf-8-sig")
    cut_scene(scene, labels, tmp_path / "tiles", add=True)
    told = pd.read_csv(table)
    assert told.columns.tolist() == ["note", "tile", "latitude", "longitude"]
    assert told.tile.tolist() == ["wood/mine.png", "wood/wood_scene_0_0.png"]


def test_file_in_the_place_of_a_class(scene: Path, tmp_path: Path) -> None:
    labels = draw(scene, tmp_path / "labels.gpkg", {"lake": [(0, 0, 1, 1)], "wood": [(1, 0, 2, 1)]})
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "wood").touch()
    with pytest.raises(OutputError, match="wood is a file, expected a class folder: remove it"):
        cut_scene(scene, labels, tmp_path / "tiles", add=True)
    assert [path.name for path in (tmp_path / "tiles").iterdir()] == ["wood"]


def test_other_scene_of_the_same_name(scene: Path, make_scene: Make, tmp_path: Path) -> None:
    labels = draw(scene, tmp_path / "labels.gpkg", {"wood": [(0, 0, 1, 1)]})
    cut_scene(scene, labels, tmp_path / "tiles")
    (tmp_path / "may").mkdir()
    other = make_scene(paint([[5, 6]]), name="may/scene.tif")
    message = "this scene, or another with its name, .* before; rename one, or give another f"
    with pytest.raises(OutputError, match=message):
        cut_scene(other, labels, tmp_path / "tiles", add=True)


def test_classes_that_differ_only_in_case(scene: Path, tmp_path: Path) -> None:
    boxes = {"Wood": [(0, 0, 1, 1)], "wood": [(1, 0, 2, 1)]}
    labels = draw(scene, tmp_path / "labels.gpkg", boxes)
    # No scene is looked for.
    with pytest.raises(SceneError, match=r"classes Wood and wood, which differ only in case: use"):
        cut_scene(tmp_path / "none.tif", labels, tmp_path / "tiles")
    small = draw(scene, tmp_path / "small.gpkg", {"wood": boxes["wood"]})
    large = draw(scene, tmp_path / "large.gpkg", {"Wood": boxes["Wood"]})
    cut_scene(scene, small, tmp_path / "tiles")
    with pytest.raises(OutputError, match=r"has a class wood, the polygons have Wood, which dif"):
        cut_scene(scene, large, tmp_path / "tiles", add=True)


def write_labels(path: Path, problem: str) -> None:
    frame = gpd.GeoDataFrame({"class": ["a/b"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    if problem == "points":
        frame = frame.assign(**{"class": "a"}).set_geometry([shapely.Point(0, 0)], crs=32633)
    if problem == "crs":
        frame = frame.assign(**{"class": "a"}).set_crs(None, allow_override=True)
    if problem == "column":
        frame = frame.rename(columns={"class": "kind"})
    if problem == "empty":
        frame = frame.assign(**{"class": [None]})
    if problem == "elsewhere":
        frame = frame.assign(**{"class": "a"})
    if problem == "rubbish":
        path.write_text("no vector file")
    else:
        frame.to_file(path)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("name", "has the class 'a/b', which cannot be a folder's name"),
        ("points", "has no polygons"),
        ("crs", "has no coordinate reference system"),
        ("column", "has no column 'class', but kind: name the column of classes with --column"),
        ("empty", "has the class '', which cannot be"),
        ("elsewhere", "no tile of the scene is in the polygons"),
        ("rubbish", "cannot read .* as a vector file"),
    ],
)
def test_labels_that_cannot_be_used(
    scene: Path, tmp_path: Path, problem: str, message: str
) -> None:
    labels = tmp_path / "labels.gpkg"
    write_labels(labels, problem)
    with pytest.raises(GeoclassError, match=message):
        cut_scene(scene, labels, tmp_path / "tiles")
    assert not (tmp_path / "tiles").exists()


def test_scene_without_a_place(make_scene: Make, tmp_path: Path) -> None:
    placed = make_scene(paint([[1]]))
    labels = draw(placed, tmp_path / "labels.gpkg", {"wood": [(0, 0, 1, 1)]})
    with pytest.raises(SceneError, match="has no georeference"):
        read_labels(labels, "class").find_shares(np.array([shapely.box(0, 0, 1, 1)]), None)
