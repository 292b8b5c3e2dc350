"""Items of maps and models, held against the official schemas."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner
from jsonschema import Draft7Validator, FormatChecker
from rasterio import warp
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from geoclass.cli.main import main
from geoclass.contract import SHIPPED_ARCH
from geoclass.errors import OutputError
from geoclass.legend import EUROSAT, LandClass, Legend
from geoclass.products.files import check_target, write_map
from geoclass.products.formats import MAP_FORMATS, FileSettings
from geoclass.products.stac import build_classes
from tests.conftest import make_landcover, paint

DATA = os.environ.get("GEOCLASS_DATA")
SCHEMAS = Path(DATA or "") / "stac_schemas"
needs_schemas = pytest.mark.skipif(
    not (DATA and SCHEMAS.is_dir()), reason="GEOCLASS_DATA names no folder with stac_schemas"
)
CORE = "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"
STAC = FileSettings(stac=True)


def read_schema(uri: str) -> Resource[Any]:
    """A schema from the folder that mirrors the addresses."""
    path = SCHEMAS / uri.partition("://")[2].partition("#")[0]
    return Resource.from_contents(json.loads(path.read_text()), default_specification=DRAFT7)


def validate(item: dict[str, Any]) -> None:
    registry: Registry[Any] = Registry(retrieve=read_schema)
    for uri in (CORE, *item["stac_extensions"]):
        schema = read_schema(uri).contents
        checker = Draft7Validator(schema, registry=registry, format_checker=FormatChecker())
        errors = [f"{error.json_path}: {error.message}" for error in checker.iter_errors(item)]
        assert errors == [], uri


def read_item(path: Path) -> dict[str, Any]:
    item: dict[str, Any] = json.loads(path.read_text())
    return item


@pytest.fixture
def model(random_model: Path) -> FileSettings:
    return FileSettings(stac=True, model_file=random_model)


@needs_schemas
@pytest.mark.parametrize("suffix", MAP_FORMATS)
def test_items_are_valid(tmp_path: Path, suffix: str, model: FileSettings) -> None:
    landcover = make_landcover()
    write_map(landcover, tmp_path / f"map.{suffix}", settings=model)
    validate(read_item(tmp_path / f"map.{suffix}.stac.json"))
    validate(read_item(tmp_path / f"model-{'ab' * 6}.stac.json"))


@needs_schemas
def test_schemas_refuse_what_is_wrong(tmp_path: Path) -> None:
    """The check itself: each of the extensions has a say."""
    write_map(make_landcover(), tmp_path / "map.tif", settings=STAC)
    item = read_item(tmp_path / "map.tif.stac.json")
    for changes in (
        {"id": 5},
        {"properties": {**item["properties"], "proj:code": 32633}},
        {"properties": {**item["properties"], "processing:software": "geoclass"}},
        {"assets": {"map": {**item["assets"]["map"], "file:size": "big"}}},
        {"assets": {"map": {**item["assets"]["map"], "raster:sampling": "whole"}}},
        {"assets": {"map": {**item["assets"]["map"], "classification:classes": [{"value": 1}]}}},
    ):
        with pytest.raises(AssertionError):
            validate(item | changes)


@pytest.mark.parametrize("suffix", MAP_FORMATS)
def test_checksums_are_those_of_the_files(tmp_path: Path, suffix: str) -> None:
    write_map(make_landcover(), tmp_path / f"map.{suffix}", settings=STAC)
    item = read_item(tmp_path / f"map.{suffix}.stac.json")
    listed = {asset["href"].removeprefix("./"): asset for asset in item["assets"].values()}
    written = {file.name for file in tmp_path.iterdir() if not file.name.endswith("stac.json")}
    assert set(listed) == written
    for name, asset in listed.items():
        content = (tmp_path / name).read_bytes()
        assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
        assert asset["file:size"] == len(content)


class TestItem:
    """What a catalogue learns of a map."""

    @pytest.fixture
    def item(self, tmp_path: Path) -> pystac.Item:
        write_map(make_landcover(4, 5), tmp_path / "map.tif", settings=STAC)
        return pystac.Item.from_file(str(tmp_path / "map.tif.stac.json"))

    def test_classes_have_names_colours_and_shares(self, item: pystac.Item) -> None:
        landcover = make_landcover(4, 5)
        classes = item.assets["map"].to_dict()["bands"][0]["classification:classes"]
        for known, found in zip(EUROSAT.classes, classes, strict=False):
            assert found["color_hint"] == known.color[1:].upper()
            assert (found["value"], found["name"]) == (known.class_id, known.name)
            assert found["title"] == known.title
            assert found["count"] == (landcover.class_id == known.class_id).sum()
        assert [c["value"] for c in classes[-3:]] == [253, 254, 255]
        assert sum(c.get("percentage", 0) for c in classes) == pytest.approx(100, abs=0.01)

    def test_place_and_day_are_the_maps(self, item: pystac.Item, tmp_path: Path) -> None:
        with rasterio.open(tmp_path / "map.tif") as file:
            assert item.properties["proj:code"] == f"EPSG:{file.crs.to_epsg()}"
            asset = item.assets["map"].to_dict()
            assert asset["proj:shape"] == list(file.shape)
            assert asset["proj:transform"] == list(file.transform)[:6]
            assert [band["name"] for band in asset["bands"]] == list(file.descriptions)
            inside = warp.transform_bounds(file.crs, 4326, *file.bounds)
        west, south, east, north = item.bbox or []
        assert (west, north) == pytest.approx((inside[0], inside[3]), abs=1e-3)
        assert east < inside[2]  # the scene ends inside the last cell
        assert south > inside[1]
        assert shapely.geometry.shape(item.geometry).exterior.is_ccw
        assert str(item.datetime)[:10] == "2020-06-01"

    def test_origin_is_told(self, item: pystac.Item) -> None:
        (scene,) = item.get_links("derived_from")
        assert str(scene.target).endswith("scene.tif")
        assert item.properties["processing:software"] == {"geoclass": "0.1.0"}
        assert "contains modified Copernicus Sentinel data 2020" in item.properties["description"]
        assert item.properties["constellation"] == "sentinel-2"
        assert len(item.get_links("license")) == 1


def test_model_item_is_the_models_card(tmp_path: Path, model: FileSettings) -> None:
    write_map(make_landcover(), tmp_path / "map.tif", settings=model)
    name = f"model-{'ab' * 6}.stac.json"
    item = read_item(tmp_path / name)
    told = item["properties"]
    assert told["mlm:input"][0]["bands"] == ["B04", "B03", "B02"]
    assert told["mlm:input"][0]["input"]["shape"] == [-1, 3, 64, 64]
    classes = told["mlm:output"][0]["classification:classes"]
    assert [c["name"] for c in classes] == EUROSAT.names
    asset = item["assets"]["model"]
    assert (tmp_path / asset["href"]).resolve() == model.model_file
    links = read_item(tmp_path / "map.tif.stac.json")["links"]
    assert {"rel": "derived_from", "href": f"./{name}", "title": "Model"} in links


def test_map_across_the_antimeridian_is_cut(tmp_path: Path) -> None:
    zone = rasterio.CRS.from_epsg(32601).to_wkt()
    ((east,), _) = warp.transform(4326, 32601, [180.0], [52.5])
    place = {"crs": zone, "transform": Affine(10, 0, east - 900, 0, -10, 5822040)}
    landcover = make_landcover(grid=replace(make_landcover().grid, **place))
    write_map(landcover, tmp_path / "map.tif", settings=STAC)
    item = read_item(tmp_path / "map.tif.stac.json")
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"][0] > 179
    assert item["bbox"][2] < -179


def test_map_without_a_day_is_of_any_time(tmp_path: Path) -> None:
    landcover = make_landcover()
    undated = replace(landcover, provenance=replace(landcover.provenance, date=None))
    write_map(undated, tmp_path / "map.tif", settings=STAC)
    item = pystac.Item.from_file(str(tmp_path / "map.tif.stac.json"))
    assert item.datetime is None
    assert item.common_metadata.start_datetime is not None


def test_map_without_a_place_has_no_item(tmp_path: Path) -> None:
    nowhere = replace(make_landcover().grid, crs=None, transform=Affine.identity())
    with pytest.raises(OutputError, match="STAC items need: give --crs and --bounds"):
        write_map(make_landcover(grid=nowhere), tmp_path / "map.tif", settings=STAC)
    assert list(tmp_path.iterdir()) == []


def test_map_without_its_item_is_not_up_to_date(tmp_path: Path) -> None:
    write_map(make_landcover(), tmp_path / "map.gpkg")
    assert check_target(tmp_path / "map.gpkg", "gpkg", "cd" * 32)
    assert not check_target(tmp_path / "map.gpkg", "gpkg", "cd" * 32, settings=STAC)
    write_map(make_landcover(), tmp_path / "map.gpkg", settings=STAC)
    assert check_target(tmp_path / "map.gpkg", "gpkg", "cd" * 32, settings=STAC)


def test_names_of_classes_become_letters() -> None:
    wood = LandClass(class_id=0, name="Wald & Wiese", title="Wälder", color="#00ff00", group="g")
    (item,) = build_classes(Legend(classes=(wood,)), statuses=False)
    assert (item["name"], item["title"]) == ("Wald_Wiese", "Wälder")


@pytest.mark.parametrize("output", ["map.gpkg", "maps/"])
def test_command_writes_both_items(
    make_scene: Callable[..., Path], random_model: Path, tmp_path: Path, output: str
) -> None:
    scene = make_scene(paint([[0, 1], [2, 3]]))
    arguments = ["map", scene, "-o", f"{tmp_path}/{output}", "-m", random_model, "--stac", "-q"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    items = sorted(tmp_path.rglob("*.stac.json"))
    assert len(items) == 2
    links = read_item(next(path for path in items if "model-" not in path.name))["links"]
    folder = items[0].parent
    assert [(folder / link["href"]).exists() for link in links] == [True, True]


@needs_schemas
def test_info_prints_a_models_item() -> None:
    result = CliRunner().invoke(main, ["info", "shipped", "--stac"])
    assert result.exit_code == 0, result.output
    item = json.loads(result.output)
    validate(item)
    assert item["assets"]["model"]["href"].startswith("file:///")
    assert item["properties"]["mlm:architecture"] == SHIPPED_ARCH


def test_maps_get_their_items_otherwise(tmp_path: Path) -> None:
    write_map(make_landcover(), tmp_path / "map.tif")
    result = CliRunner().invoke(main, ["info", str(tmp_path / "map.tif"), "--stac"])
    assert result.exit_code == 1
    assert "geoclass map --stac" in result.stderr
