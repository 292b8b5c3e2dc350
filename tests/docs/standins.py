"""Small files that stand for those which the pages speak of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from PIL import Image
from rasterio.windows import Window

from geoclass.legend import EUROSAT
from geoclass.products.files import write_map
from tests.conftest import COLORS, ROOT, SAMPLE_SCENE
from tests.monitor.scenes import CROP, FOREST, make_map
from tests.scene.products import make_safe, write_jp2, zip_safe

SIDE = 256
"""Pixels of a scene: sixteen tiles."""


def make_all(folder: Path) -> None:
    """Whatever a page's commands read, if no command before has made it."""
    for name in ("scripts", "sample_scenes"):
        (folder / name).symlink_to(ROOT / name)
    pixels = make_scene(folder / "scene.tif")
    make_bands(folder, pixels)
    make_eurosat(folder)
    make_fields(folder / "fields.gpkg", folder / "scene.tif")
    wood, field = [[FOREST] * 3] * 3, [[FOREST, FOREST, CROP]] * 3
    for year, drawing in ((2017, wood), (2018, field), (2019, field)):
        sure = make_map(drawing, f"{year}-06-01", sure=0.99)
        write_map(sure.landcover, folder / f"{year}.gpkg")
    grid = sure.landcover.grid
    farms = gpd.GeoDataFrame(
        {"name": ["Mill", "Hill"]},
        geometry=grid.polygons(np.array([0, 1]), np.array([0, 2])),
        crs=grid.crs,
    )
    farms.to_crs(4326).to_file(folder / "farms.geojson")


def make_scene(path: Path) -> np.ndarray:
    """A corner of the sample scene, with its tags; its pixels, uint16 (3, rows, cols)."""
    with rasterio.open(SAMPLE_SCENE) as whole:
        pixels: np.ndarray = whole.read(window=Window(0, 0, SIDE, SIDE))
        profile = {**whole.profile, "height": SIDE, "width": SIDE}
        with rasterio.open(path, "w", **profile) as scene:
            scene.write(pixels)
            scene.descriptions = whole.descriptions
            scene.update_tags(**whole.tags())
    return pixels


def make_bands(folder: Path, pixels: np.ndarray) -> None:
    """The same as a Sentinel-2 product, as a STAC item and as three files."""
    product = zip_safe(make_safe(folder, pixels, baseline="02.04", offsets=False))
    name = "S2B_MSIL1C_20230823T095559_N0509_R122_T34UCF_20230823T120234.SAFE.zip"
    product.rename(folder / name)
    assets = {}
    for band, color, plane in zip(
        ("B04", "B03", "B02"), ("red", "green", "blue"), pixels, strict=True
    ):
        write_jp2(folder / f"{band}.jp2", plane)
        assets[color] = {"href": f"./{band}.jp2", "eo:bands": [{"common_name": color}]}
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_T32TPS_20170216_L1C",
        "geometry": None,
        "properties": {"datetime": "2017-02-16T10:21:01Z", "s2:product_type": "S2MSI1C"},
        "links": [],
        "assets": assets,
        "stac_extensions": [],
    }
    (folder / "item.json").write_text(json.dumps(item))


def make_eurosat(folder: Path) -> None:
    """EuroSAT's zip and folder with seven tiles a class, each in its class's colour."""
    generator = np.random.default_rng(0)
    tiles = folder / "EuroSAT_RGB"
    for name, color in zip(EUROSAT.names, COLORS, strict=True):
        (tiles / name).mkdir(parents=True)
        for number in (1, 2, 3, 4, 5, 7, 12):  # pages name River_7 and Highway_12
            noise = generator.integers(-20, 21, (64, 64, 3))
            pixels = np.clip(color.astype(int) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tiles / name / f"{name}_{number}.jpg")
    shutil.make_archive(str(tiles), "zip", folder, tiles.name)


def make_fields(path: Path, scene: Path) -> None:
    """Two halves of a scene as polygons with a crop each."""
    with rasterio.open(scene) as dataset:
        west, south, east, north = dataset.bounds
        crs = dataset.crs.to_wkt()
    middle = (west + east) / 2
    halves = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    gpd.GeoDataFrame({"crop": ["maize", "wheat"]}, geometry=halves, crs=crs).to_file(path)


def make_later_scene(folder: Path) -> None:
    """NEW_SCENE.tif: the last of the simulated dates, a year later."""
    target = folder / "NEW_SCENE.tif"
    shutil.copy(folder / "demo_output" / "havelland_20200216_simulated.tif", target)
    with rasterio.open(target, "r+") as scene:
        tags = {
            key: value.replace("2020-02-16", "2021-02-16") for key, value in scene.tags().items()
        }
        scene.update_tags(**tags)


def map_sample(folder: Path) -> None:
    """The map that the demo makes."""
    wood = np.full((12, 12), FOREST)
    wood[:, 6:] = CROP
    write_map(make_map(wood).landcover, folder / "demo_output" / "landcover.gpkg")


def label_sample(folder: Path) -> None:
    """What a person does in QGIS: here, agrees with the map."""
    path = folder / "demo_output" / "sample.gpkg"
    sample = pyogrio.read_dataframe(path, layer="sample")
    design = pyogrio.read_dataframe(path, layer="design", read_geometry=False)
    said = dict(zip(design["sample_id"], design["map_class"], strict=True))
    sample["reference"] = sample["sample_id"].map(said)
    pyogrio.write_dataframe(sample, path, layer="sample", append=False)
