"""The model and the scene that ship: what a person gets without any data of their own."""

from __future__ import annotations

import dataclasses
import json
import os
import runpy
import shutil
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from geoclass.cli.main import main
from geoclass.contract import SHIPPED_ARCH
from geoclass.learn.dataset import TileSet, read_tiles
from geoclass.learn.splits import hash_names, split_randomly
from geoclass.legend import EUROSAT, UNKNOWN
from geoclass.mapping.job import map_scene
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import SHIPPED_WEIGHTS, Model, load_model
from geoclass.model.classifier import Classifier, Prediction
from geoclass.products.files import read_map
from tests.conftest import ROOT, SAMPLE_SCENE, TRANSFORM, UTM

DATA = os.environ.get("GEOCLASS_DATA")
STRANGE = runpy.run_path(str(ROOT / "scripts" / "strange_tiles.py"))
"""The recipes of tiles that no class is made of."""

needs_eurosat = pytest.mark.skipif(
    not DATA, reason="GEOCLASS_DATA names no folder with EuroSAT_RGB.zip"
)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def test_model_is_small_and_says_where_it_comes_from(model: Model) -> None:
    weights = files("geoclass.model") / "weights" / SHIPPED_WEIGHTS
    assert len(weights.read_bytes()) <= 10e6
    assert model.arch == SHIPPED_ARCH
    assert model.contract.legend == EUROSAT
    split = model.contract.training.split
    assert (split.kind, split.seed, split.test) == ("random", 0, 5400)
    assert model.contract.training.recipe["seed"] == 0


def test_its_classes_look_as_this_version_has_them() -> None:
    """Whatever colours the file holds: they are those of the day on which it was trained."""
    with as_file(files("geoclass.model") / "weights" / SHIPPED_WEIGHTS) as path:
        trained = load_model(path).contract
    shipped = load_model().contract
    assert shipped.legend == EUROSAT
    assert dataclasses.replace(shipped, legend=trained.legend) == trained


def test_sample_scene_says_what_it_is() -> None:
    with rasterio.open(SAMPLE_SCENE) as scene:
        assert (scene.width, scene.height) == (1536, 768)
        assert scene.crs == rasterio.CRS.from_string(UTM)
        assert scene.descriptions == ("B04", "B03", "B02")
        assert set(scene.dtypes) == {"uint16"}
        assert scene.tags()["PROCESSING_BASELINE"] == "02.04"


def test_sample_scene_is_mapped(tmp_path: Path) -> None:
    target = tmp_path / "landcover.gpkg"
    result = CliRunner().invoke(main, ["map", str(SAMPLE_SCENE), "-o", str(target)])
    assert result.exit_code == 0, result.output
    assert "l1c: uint16 Level-1C (by its metadata), no offset (baseline 02.04)" in result.output
    assert "Forest" in result.output
    cells = gpd.read_file(target, layer="landcover")
    assert len(cells) == 288
    assert cells["area_ha"].sum() == pytest.approx(288 * 40.96)
    assert {str(day.date()) for day in cells["date"]} == {"2017-02-16"}
    assert cells["confidence"].dropna().between(0.1, 1).all()
    assert (cells["confidence"].isna() == (cells["status"] == "masked")).all()


def test_haze_is_taken_off_the_sample_scene(tmp_path: Path) -> None:
    """Without, its woods are lakes and more of it is unknown."""
    maps = []
    for haze in ("auto", "keep"):
        target = tmp_path / f"{haze}.tif"
        wishes = ["map", str(SAMPLE_SCENE), "-o", str(target), "--haze", haze]
        result = CliRunner().invoke(main, wishes)
        assert result.exit_code == 0, result.output
        assert ("haze of " in result.output) == (haze == "auto")
        maps.append(read_map(target).class_id)
    forest = EUROSAT.names.index("Forest")
    treated, kept = (
        (int((found == forest).sum()), int((found == UNKNOWN).sum())) for found in maps
    )
    assert treated[0] > kept[0]
    assert treated[1] < kept[1]


def test_half_the_bits_keep_the_sample_scenes_labels() -> None:
    full, half = (
        map_scene(SAMPLE_SCENE, settings=MapSettings(precision=precision), device="cpu")
        for precision in ("fp32", "bf16")
    )
    assert (full.provenance.precision, half.provenance.precision) == ("fp32", "bf16")
    assert (full.class_id == half.class_id).mean() >= 0.98
    assert (full.best_class == half.best_class).mean() >= 0.98  # 3 of 288 differ under haze


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """EuroSAT's zip in a folder where its decoded tiles can be kept meanwhile: 330 MB."""
    folder = tmp_path_factory.mktemp("eurosat")
    (folder / "EuroSAT_RGB.zip").symlink_to(Path(str(DATA)).absolute() / "EuroSAT_RGB.zip")
    yield folder / "EuroSAT_RGB.zip"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def unseen(archive: Path) -> TileSet:
    """Every fifth tile of the shipped model's own test part."""
    tiles = read_tiles(archive)
    record = load_model().contract.training.split
    split = split_randomly(tiles.labels, int(record.seed or 0))
    assert hash_names(tiles.names[i] for i in split.test) == record.test_sha256
    chosen = split.test[::5]
    return TileSet(
        name=tiles.name,
        classes=tiles.classes,
        names=tuple(tiles.names[i] for i in chosen),
        images=tiles.images[chosen],
        labels=tiles.labels[chosen],
        legend=tiles.legend,
    )


@pytest.fixture(scope="module")
def predicted(model: Model, unseen: TileSet) -> Prediction:
    return Classifier(model, device="cpu", precision="fp32").predict(unseen.images)


@needs_eurosat
def test_half_the_bits_keep_the_labels_of_unseen_tiles(
    model: Model, unseen: TileSet, predicted: Prediction
) -> None:
    full = predicted
    half = Classifier(model, device="cpu", precision="bf16").predict(unseen.images)
    labels, others = (p.probabilities.argmax(axis=1) for p in (full, half))
    assert (labels == others).mean() >= 0.998
    assert (full.unknown == half.unknown).all()
    right, right_too = (float((x == unseen.labels).mean()) for x in (labels, others))
    assert abs(right - right_too) <= 0.001


@needs_eurosat
def test_mosaic_of_unseen_tiles_maps_back_to_their_labels(
    unseen: TileSet, predicted: Prediction, tmp_path: Path
) -> None:
    """Nearly: in a scene a tile has neighbours, where the evaluation mirrors the tile itself."""
    rows, cols = 36, 30
    assert len(unseen) == rows * cols
    tiled = unseen.images.reshape(rows, cols, 3, 64, 64).transpose(2, 0, 3, 1, 4)
    scene = tmp_path / "mosaic.tif"
    with rasterio.open(
        scene,
        "w",
        driver="GTiff",
        count=3,
        height=rows * 64,
        width=cols * 64,
        dtype="uint8",
        crs=UTM,
        transform=TRANSFORM,
        photometric="rgb",
    ) as file:
        file.write(tiled.reshape(3, rows * 64, cols * 64))
    target = tmp_path / "map.tif"
    result = CliRunner().invoke(
        main, ["map", str(scene), "-o", str(target), "-q", "--radiometry", "rgb8"]
    )
    assert result.exit_code == 0, result.output
    mapped = read_map(target).class_id.ravel()
    labels = predicted.probabilities.argmax(axis=1)
    known = mapped != UNKNOWN
    assert known.mean() >= 0.95
    assert (mapped == labels)[known].mean() >= 0.95
    assert (mapped == unseen.labels)[known].mean() >= 0.95


@needs_eurosat
def test_evaluate_scores_the_test_part_it_never_saw(archive: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", "shipped", str(archive), "--json"])
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert scores["tiles"] == 5400
    # To a tenth of a percent: another processor may round a tile or two to the other side.
    assert round(scores["accuracy"], 3) >= 0.977
    assert scores["calibration_error"] <= 0.01


@needs_eurosat
def test_known_tiles_stay_known_and_spoilt_ones_do_not(
    model: Model, unseen: TileSet, predicted: Prediction
) -> None:
    assert predicted.unknown.mean() <= 0.015
    classifier = Classifier(model)
    for name, least in (("half nodata", 0.99), ("thin cloud", 0.8)):
        strange = STRANGE["make_strange_tiles"](name, unseen.images)
        assert classifier.predict(strange).unknown.mean() >= least, name


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("nodata", 0.99),
        ("white", 0.99),
        ("cloud", 0.99),
        ("desert", 0.99),
        ("snow", 0.99),
        ("noise", 0.99),
        ("photographs", 0.95),
    ],
)
def test_strange_tiles_are_unknown(model: Model, name: str, least: float) -> None:
    tiles = STRANGE["make_strange_tiles"](name, np.zeros((200, 3, 64, 64), np.uint8))
    assert Classifier(model).predict(tiles).unknown.mean() >= least


def test_card_in_the_documents_is_the_models() -> None:
    card = CliRunner().invoke(main, ["info", "shipped"])
    assert card.stdout == (ROOT / "docs" / "model-card.md").read_text()
