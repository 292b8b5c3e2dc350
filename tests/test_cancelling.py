"""What a callback raises stops the work: no thread goes on, no target is half-written."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
import shapely

import geoclass
from geoclass.mapping.pipeline import run_map
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest
from tests.conftest import FakeClassifier, paint
from tests.monitor.scenes import CROP, FOREST, yearly

Make = Callable[..., Path]


def cancel(*_args: object) -> None:
    raise geoclass.Cancelled


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_mapping(make_scene: Make, classifier: FakeClassifier) -> None:
    scene = make_scene(paint([[1, 2]] * 4), tiled=True, blockysize=64)
    plan = plan_map(scene, classifier.contract, "ab" * 32, MapRequest())
    told: list[int] = []

    def cancel_at_second(cells: int) -> None:
        told.append(cells)
        if len(told) == 2:
            raise geoclass.Cancelled

    with pytest.raises(geoclass.Cancelled):
        run_map(plan, classifier, strip_pixels=128 * 64, on_cells=cancel_at_second)
    assert told == [2, 2]


def test_cutting(make_scene: Make, tmp_path: Path) -> None:
    scene = make_scene(paint([[1, 1], [1, 1]]))
    with rasterio.open(scene) as dataset:
        wood = shapely.box(*dataset.bounds)
    labels = tmp_path / "labels.gpkg"
    gpd.GeoDataFrame({"class": ["wood"]}, geometry=[wood], crs=32633).to_file(labels)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(geoclass.Cancelled):
        geoclass.cut_scene(scene, labels, tmp_path / "tiles", on_cells=cancel)
    assert sorted(tmp_path.iterdir()) == before
    assert geoclass.cut_scene(scene, labels, tmp_path / "tiles").counts == {"wood": 4}


def test_training_leaves_what_it_goes_on_from(make_tiles: Make, tmp_path: Path) -> None:
    data, output = make_tiles(classes=3, each=15), tmp_path / "m.safetensors"
    recipe = geoclass.choose_recipe(epochs=2, batch_size=8, device="cpu")
    with pytest.raises(geoclass.Cancelled):
        geoclass.train_on_tiles(data, output, settings=recipe, on_epoch=cancel)
    assert not output.exists()
    epochs: list[geoclass.EpochReport] = []
    geoclass.train_on_tiles(data, output, settings=recipe, resume=True, on_epoch=epochs.append)
    assert [report.epoch for report in epochs] == [2]
    assert output.exists()


def test_following_dates() -> None:
    maps = yearly([[FOREST]], [[FOREST]], [[CROP]])
    with pytest.raises(geoclass.Cancelled):
        geoclass.monitor_maps(maps, on_date=cancel)


def test_what_is_raised_is_not_taken_for_a_damaged_zip(make_tiles: Make, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "tiles"), "zip", make_tiles(classes=2, each=1))

    def fail(*_args: object) -> None:
        raise RuntimeError("no longer wanted")

    with pytest.raises(RuntimeError, match="no longer wanted"):
        geoclass.inspect_tiles(archive, on_images=fail)
