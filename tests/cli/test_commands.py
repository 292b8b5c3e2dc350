"""The commands, as a person types them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from click.testing import CliRunner, Result
from PIL import Image

import geoclass
from geoclass.cli.main import COMMANDS, main
from geoclass.cli.train import train_command
from geoclass.contract import SHIPPED_ARCH
from geoclass.learn.dataset import read_tiles
from geoclass.learn.places import PLACES_FILE, Place, add_places
from geoclass.learn.recipes import (
    AUGMENTATIONS,
    MIN_BATCH_SIZE,
    RECIPES,
    Optimizer,
    Schedule,
    limit_batch_size,
)
from geoclass.learn.splits import split_randomly
from geoclass.learn.training import choose_recipe
from geoclass.legend import EUROSAT
from geoclass.model.checkpoint import load_model
from geoclass.model.networks import ARCHS
from geoclass.products.files import read_map, write_map
from tests.conftest import make_landcover, paint, write_tiles

Make = Callable[..., Path]


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def error(*args: object) -> str:
    """The one line that a failing command prints."""
    result = run(*args, code=1)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


def test_help_is_quick_and_loads_no_torch() -> None:
    code = (
        "import sys; from geoclass.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'rasterio', 'geopandas', 'numpy'} & set(sys.modules))"
    )
    started = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - started < 10  # a hang, not a benchmark
    assert out.stdout.endswith("set()\n")
    assert all(name in out.stdout for name in COMMANDS)


def test_describing_all_commands_loads_no_torch() -> None:
    code = (
        "import sys; from geoclass.cli.qgis import write_schema\n"
        "print(len(write_schema()) > 1000, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "True False\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str) -> None:
    help_text = run(name, "--help").output
    assert "Usage: " in help_text
    assert COMMANDS[name][1].endswith(".")


def test_version_says_what_a_report_of_a_bug_needs() -> None:
    lines = run("--version").output.splitlines()
    assert lines[0] == f"geoclass {geoclass.__version__}"
    assert f"{rasterio.__gdal_version__} (rasterio {rasterio.__version__})" in lines[2]
    assert re.fullmatch(r"torch    \S+, built for .+; device (cpu|cuda)\S* \(.+\)", lines[3])


def test_version_of_a_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geoclass.scene.open.gdal", None)
    lines = run("--version").output.splitlines()
    assert lines[2].startswith("GDAL     cannot be loaded: ")
    assert "device" in lines[3]


def test_messages_that_cannot_be_decoded_are_not_printed() -> None:
    code = """
import sys
from geoclass.cli.main import print_unraisable
sys.unraisablehook = print_unraisable
class Raises:
    def __init__(self, error):
        self.error = error
    def __del__(self):
        raise self.error
Raises(ValueError("another"))
Raises(UnicodeDecodeError("utf-8", b"x", 0, 1, "invalid start byte"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ValueError: another" in done.stderr
    assert "UnicodeDecodeError" not in done.stderr


REFUSED = """
import json, sys
from geoclass.cli.main import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as done:
        assert done.code == 1, arguments
    else:
        raise AssertionError(arguments)
"""
"""Runs commands in one process, because each start takes seconds; each must fail with 1."""


class TestMap:
    """geoclass map"""

    @pytest.fixture
    def scene(self, make_scene: Make) -> Path:
        return make_scene(paint([[0, 1], [2, 3]]))

    def test_map_says_what_it_decided_and_found(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        out = run("map", scene, "-o", tmp_path / "map.gpkg", "-m", random_model).output
        assert "128×128 pixels of 10.0 m" in out
        assert "rgb8: 8-bit values" in out
        assert "4 (2 columns × 2 rows)" in out
        assert f"wrote {tmp_path / 'map.gpkg'}" in out
        assert out.count("cell/s") == 0  # no bar where there is no terminal

    def test_preview_is_drawn_at_once_and_again(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        picture = tmp_path / "map.png"
        command = ("map", scene, "-o", tmp_path / "map.gpkg", "-m", random_model)
        assert f"wrote {picture}" in run(*command, "--preview", picture).output
        with Image.open(picture) as drawn:
            assert drawn.height > 300
        picture.unlink()
        assert "is up to date" in run(*command, "--preview", picture).output
        assert picture.exists()
        assert "is none of .png" in error(*command, "--preview", tmp_path / "map.bmp")
        other = ("map", scene, "-o", tmp_path / "map.fgb", "-m", random_model)
        run(*other)
        said = error(*other, "--preview", picture)
        assert "a preview cannot be drawn from a fgb file: give --redo" in said

    def test_both_formats_hold_the_same_cells(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        for name in ("map.gpkg", "map.tif"):
            run("map", scene, "-o", tmp_path / name, "-m", random_model)
        one, other = read_map(tmp_path / "map.gpkg"), read_map(tmp_path / "map.tif")
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert one.provenance.fingerprint == other.provenance.fingerprint

    def test_format_option_beats_the_suffix(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        run("map", scene, "-o", tmp_path / "map.dat", "-f", "tif", "-m", random_model)
        (tmp_path / "map.dat").rename(tmp_path / "map.tif")
        assert read_map(tmp_path / "map.tif").class_id.shape == (2, 2)

    def test_second_run_is_up_to_date(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "map.gpkg"
        run("map", scene, "-o", target, "-m", random_model)
        before = target.stat().st_mtime_ns
        assert run("map", scene, "-o", target, "-m", random_model).output == (
            f"{target} is up to date\n"
        )
        assert target.stat().st_mtime_ns == before

    def test_other_map_is_refused_or_overwritten(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "map.gpkg"
        run("map", scene, "-o", target, "-m", random_model)
        other = ("map", scene, "-o", target, "-m", random_model, "--min-valid", "0.9")
        assert "give --overwrite" in error(*other)
        run(*other, "--overwrite")
        assert read_map(target).provenance.options["min_valid_share"] == 0.9

    def test_a_legend_reaches_every_output(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        plain = ("map", scene, "-m", random_model, "--keep-unknown", "-o")
        run(*plain, tmp_path / "map.gpkg")
        legend = tmp_path / "own.json"
        own = {"title": "Eigen", "color": "#abcdef", "group": "mine"}
        legend.write_text(json.dumps(dict.fromkeys(EUROSAT.names, own)))
        assert "exists and is not this map" in error(
            *plain, tmp_path / "map.gpkg", "--legend", legend
        )
        for name in ("map.gpkg", "map.tif"):
            out = run(*plain, tmp_path / name, "--legend", legend, "--overwrite").output
            named = re.findall(r"^(\S.+\S) +[0-9]+ +[0-9.]+ +[0-9.]+%$", out, re.MULTILINE)
            assert set(named) == {"Eigen", "Unknown", "Masked"}
        assert {c.color for c in read_map(tmp_path / "map.gpkg").legend.classes} == {"#abcdef"}
        cells = gpd.read_file(tmp_path / "map.gpkg", layer="landcover")
        assert set(cells["class_title"]) == {"Eigen"}
        assert set(cells["group"]) == {"mine"}
        areas = gpd.read_file(tmp_path / "map.gpkg", layer="areas")
        assert list(areas["class_title"][:10]) == ["Eigen"] * 10
        styles = gpd.read_file(tmp_path / "map.gpkg", layer="layer_styles")
        assert styles["styleQML"][0].count('label="Eigen"') == 10
        assert "171,205,239" in styles["styleQML"][0]
        assert (tmp_path / "map.qml").read_text().count('label="Eigen"') == 10
        with rasterio.open(tmp_path / "map.tif") as raster:
            assert raster.colormap(1)[3] == (0xAB, 0xCD, 0xEF, 255)
        run("preview", tmp_path / "map.gpkg", "-o", tmp_path / "map.svg")
        assert "#abcdef" in (tmp_path / "map.svg").read_text()

    def test_a_legend_must_fit_the_model(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        legend = tmp_path / "own.json"
        legend.write_text('{"Desert": {"title": "Sand"}}')
        line = error("map", scene, "-o", tmp_path / "m.tif", "-m", random_model, "--legend", legend)
        assert "Desert: no such class" in line
        assert "among AnnualCrop, Forest" in line

    def test_dry_run_writes_nothing(self, scene: Path, random_model: Path, tmp_path: Path) -> None:
        target = tmp_path / "map.gpkg"
        out = run("map", scene, "-o", target, "-m", random_model, "--dry-run").output
        assert "time        about" in out
        assert "MB" in out
        assert not target.exists()

    def test_quiet_says_nothing(self, scene: Path, random_model: Path, tmp_path: Path) -> None:
        assert run("map", scene, "-o", tmp_path / "m.tif", "-m", random_model, "-q").output == ""

    def test_command_is_remembered(self, scene: Path, random_model: Path, tmp_path: Path) -> None:
        run("map", scene, "-o", tmp_path / "m.tif", "-m", random_model, "-b", "3,2,1")
        assert read_map(tmp_path / "m.tif").provenance.bands == (3, 2, 1)

    def test_bad_input_is_one_line_and_leaves_nothing(
        self, scene: Path, make_scene: Make, random_model: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "out"
        folder.mkdir()
        target = folder / "map.gpkg"
        text = tmp_path / "text.tif"
        text.write_text("hello")
        blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64}
        truncated = make_scene(paint([[0] * 9] * 9), "cut.tif", **blocks)
        truncated.write_bytes(truncated.read_bytes()[:9000])
        cases = {
            tmp_path / "none.tif": "no scene at",
            text: "as a raster",
            make_scene(np.ones((1, 70, 70), np.uint8), "one.tif"): "has 1 band",
            make_scene(np.ones((3, 70, 63), np.uint8), "small.tif"): "smaller than one tile",
            make_scene(np.ones((3, 70, 70), np.complex64), "complex.tif"): "complex",
            truncated: "cannot read",
        }
        for path, message in cases.items():
            assert message in error("map", path, "-o", target, "-m", random_model)
        none = folder / "none" / "map.gpkg"
        assert "does not exist" in error("map", scene, "-o", none, "-m", random_model)
        assert "end it in" in error("map", scene, "-o", folder / "m.shp", "-m", random_model)
        assert "safetensors" in error("map", scene, "-o", target, "-m", text)
        bad_size = ("map", scene, "-o", target, "-m", random_model, "--batch-size", "0")
        assert "at least 1" in error(*bad_size)
        bad_device = ("map", scene, "-o", target, "-m", random_model, "--device", "abacus")
        assert "try --device cpu" in error(*bad_device)
        assert list(folder.iterdir()) == []

    def test_inputs_are_not_overwritten(
        self, scene: Path, random_model: Path, tmp_path: Path
    ) -> None:
        before = scene.read_bytes()
        same = ("map", scene, "-o", scene, "-m", random_model, "--overwrite")
        assert "is the input" in error(*same)
        assert scene.read_bytes() == before
        run("map", scene, "-o", tmp_path / "map.tif", "-m", random_model)
        assert "is the input" in error("preview", tmp_path / "map.tif", "-o", tmp_path / "map.tif")

    def test_process_prints_one_line_and_no_chatter(self, make_scene: Make, tmp_path: Path) -> None:
        """What GDAL and Python's warnings print is seen in a process of its own only."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loose = make_scene(paint([[0]]), "loose.tif", transform=None)
        blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64}
        cut = make_scene(paint([[0] * 9] * 9), "cut.tif", **blocks)
        cut.write_bytes(cut.read_bytes()[:9000])
        nowhere = rasterio.Affine(1e6, 0, 1e9, 0, -1e6, 1e9)
        far = make_scene(paint([[0]]), "far.tif", transform=nowhere)
        small = make_scene(np.ones((3, 50, 50), np.uint8), "small.tif")
        target = tmp_path / "map.gpkg"
        refused = [["map", str(path), "-o", str(target), "-q"] for path in (loose, cut, far)]
        refused += [["info", str(path)] for path in (small, far)]
        done = subprocess.run(
            [sys.executable, "-c", REFUSED, json.dumps(refused)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == len(refused), done.stderr
        assert all(line.startswith("Error: ") for line in lines)
        assert "smaller than one tile" in lines[3]
        assert "coordinates that do not exist" in lines[4]

    def test_unparsable_values_are_usage_errors(self, scene: Path) -> None:
        assert (
            "native|METRES" in run("map", scene, "-o", "m.tif", "--resolution", "x", code=2).stderr
        )
        assert "No such option" in run("map", scene, "-o", "m.tif", "--no-such", code=2).stderr

    def test_debug_shows_the_traceback(self) -> None:
        result = CliRunner().invoke(main, ["--debug", "preview", "none.tif", "-o", "m.png"])
        assert result.exit_code == 1
        assert "no map at" in str(result.exception)


def test_tiles_are_cut_from_a_scene(make_scene: Make, tmp_path: Path) -> None:
    """Geoclass tiles"""
    scene = make_scene(paint([[1, 1, 9], [1, 9, 9]]))
    labels = tmp_path / "labels.geojson"
    with rasterio.open(scene) as dataset:
        west, south, east, north = dataset.bounds
    wood, lake = (
        shapely.box(west, south, west + 640, north),
        shapely.box(east - 640, south, east, north),
    )
    frame = gpd.GeoDataFrame({"cover": ["wood", "lake"]}, geometry=[wood, lake], crs=32633)
    frame.to_file(labels)
    output = tmp_path / "tiles"
    out = run("tiles", scene, "--labels", labels, "--column", "cover", "-o", output).output
    assert re.search(r"^lake +2$", out, re.MULTILINE)
    assert re.search(r"^wood +2$", out, re.MULTILINE)
    assert out.endswith(f"wrote {output}\n")
    assert "2 classes" in run("dataset", output).output
    assert "no column 'class'" in error("tiles", scene, "--labels", labels, "-o", tmp_path / "x")


def train(tiles: Path, model: Path, *more: object) -> Result:
    return run("train", tiles, "-o", model, "--epochs", 1, "--batch-size", 8, *more)


@dataclass(frozen=True)
class Trained:
    """A model of one epoch, its tiles, and what the training printed."""

    tiles: Path
    model: Path
    said: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """For tests that only read it."""
    folder = tmp_path_factory.mktemp("trained")
    tiles = write_tiles(folder / "tiles", classes=3, each=15)
    said = train(tiles, folder / "m.safetensors", "--device", "cpu").output
    return Trained(tiles, folder / "m.safetensors", said)


class TestTrainAndEvaluate:
    """geoclass train, geoclass evaluate"""

    @pytest.fixture
    def tiles(self, make_tiles: Make) -> Path:
        return make_tiles(classes=3, each=15)

    def test_train_then_evaluate_on_held_out_tiles(self, trained: Trained, tmp_path: Path) -> None:
        tiles, model, out = trained.tiles, trained.model, trained.said
        assert load_model(model).arch == SHIPPED_ARCH
        assert "33 for training, 3 for validation, 9 held out, 3 classes" in out
        with Image.open(model.with_suffix(".png")) as curve:
            assert curve.width > curve.height
        assert re.search(r"epoch   1/1  loss .*waiting for data \d+\.\d%", out)
        result = json.loads(run("evaluate", model, tiles, "--json").output)
        assert result["tiles"] == 9
        assert f"test    accuracy {result['accuracy']:.2%} on the 9 held-out tiles" in out
        card = run("info", model).stdout
        assert f"On the 9 tiles held out: accuracy {result['accuracy']:.2%}" in card
        text = run("evaluate", model, tiles, "--confusion", tmp_path / "matrix.png").output
        with Image.open(tmp_path / "matrix.png") as matrix:
            assert matrix.width == matrix.height
        assert f"accuracy             {result['accuracy']:.2%}" in text
        assert [len(row) for row in result["confusion"]] == [3, 3, 3]

    def test_tiles_of_one_ground_stay_together(self, make_tiles: Make, tmp_path: Path) -> None:
        """Three dates of each place, 2 km apart; the third date's scenes lie half a tile off."""
        tiles, model = make_tiles(classes=2, each=30), tmp_path / "m.safetensors"
        files = sorted(tiles.rglob("*.png"))
        names = [f"{file.parent.name}/{file.name}" for file in files]
        places = {
            name: Place((i // 3 + 0.16 * (i % 3 == 2)) * 2 / 111.2, 0.0, 640)
            for i, name in enumerate(names)
        }
        (tiles / PLACES_FILE).write_text(add_places("", places))
        assert "placed      60" in run("dataset", tiles).output
        out = train(tiles, model)
        assert "2 classes; spatial block split" in out.stdout
        assert re.search(
            r"Warning: \d of the 60 tiles are not used, because they would sh", out.stderr
        )
        assert "split by spatial blocks, seed 0" in run("info", model).output
        assert "Test tiles do not overlap training tiles" in run("info", model).output
        kept = load_model(model).contract.training.split.test
        assert f"tiles                {kept}" in run("evaluate", model, tiles).output
        (tiles / PLACES_FILE).write_text(add_places("", dict.fromkeys(names, Place(0, 0, 640))))
        said = train(tiles, model, "--overwrite").stderr
        assert "Warning: the tiles of class Forest are too close together for three parts" in said
        (tiles / PLACES_FILE).write_text("x,y\n")
        assert "no column tile" in error("train", tiles, "-o", model, "--overwrite")
        assert "placed      none" in run("dataset", tiles).output
        assert "no column tile" in run("dataset", tiles).output

    def test_run_of_too_few_hours_says_how_to_go_on(self, tiles: Path, tmp_path: Path) -> None:
        model = tmp_path / "m.safetensors"
        given = ("train", tiles, "-o", model, "--epochs", 2, "--batch-size", 8, "--device", "cpu")
        begun = run(*given, "--max-hours", "1e-9").output
        assert "--resume continues" in begun
        assert "held-out tiles, macro-F1" not in begun  # scored once, when it is done
        assert "exists: give --resume to continue, or --overwrite to start again" in error(*given)
        assert "must be positive, got 0.0 hours" in error(
            "train", "x", "-o", tmp_path / "other.safetensors", "--max-hours", 0
        )
        out = run(*given, "--resume").output
        assert "held-out tiles, macro-F1" in out
        assert "epoch   2/2" in out
        assert "--resume" not in out

    def test_bad_images_are_listed_when_left_out(self, tiles: Path, tmp_path: Path) -> None:
        (tiles / "Forest" / "Forest_3.png").write_bytes(b"no image")
        model = tmp_path / "m.safetensors"
        assert "Forest_3.png cannot be decoded" in error("train", tiles, "-o", model)
        result = train(tiles, model, "--skip-bad")
        assert "skipped: image Forest/Forest_3.png cannot be decoded" in result.stderr
        assert "Warning: 1 skipped" in result.stderr
        training = load_model(model).contract.training
        assert (training.split.train, training.skipped) == (32, 1)
        assert "Images and folders left out: 1." in run("info", model).output
        said = re.search(r"details: geoclass (evaluate .*)", result.stdout)
        assert said is not None
        scored = run(*shlex.split(said[1]))
        assert "skipped: image Forest/Forest_3.png cannot be decoded" in scored.stderr
        assert "tiles                9" in scored.stdout

    def test_batch_size_auto_suits_few_tiles(self, tiles: Path, tmp_path: Path) -> None:
        model = tmp_path / "m.safetensors"
        more = ("--batch-size", "auto", "--device", "cpu", "--epochs", 1, "--patience", 3)
        run("train", tiles, "-o", model, *more)
        recipe = load_model(model).contract.training.recipe
        assert (recipe["batch_size"], recipe["patience"]) == (MIN_BATCH_SIZE, 3)
        refused = CliRunner().invoke(main, ["train", str(tiles), "-o", "m", "--batch-size", "big"])
        assert refused.exit_code == 2
        assert "'big' is not of the form N|auto" in refused.output
        assert "batch size must be at least 1" in error(
            "train", tiles, "-o", model, "--overwrite", "--batch-size", -1
        )

    def test_held_out_tiles_that_are_trained_on_are_warned_of(
        self, tiles: Path, tmp_path: Path
    ) -> None:
        for image in sorted((tiles / "Forest").iterdir()):
            shutil.copy(image, image.with_name(f"copy_{image.name}"))
        said = train(tiles, tmp_path / "m.safetensors").stderr
        found = re.search(r"Warning: (\d+) of the 12 held-out tiles are equal", said)
        assert found is not None
        assert 1 <= int(found[1]) <= 6

    def test_batches_of_few_tiles_are_smaller(self, tiles: Path, tmp_path: Path) -> None:
        model = tmp_path / "m.safetensors"
        run("train", tiles, "-o", model, "--epochs", 1, "-q")
        assert load_model(model).contract.training.recipe["batch_size"] == 16
        recipe = RECIPES["tilenet"]
        suited = [limit_batch_size(recipe, count).batch_size for count in (2, 100, 400, 17_280)]
        assert suited == [16, 25, 100, 128]

    @pytest.mark.parametrize(
        ("vary", "expected", "optimizer"),
        [
            ("none", None, "adam"),
            ("turns", (True, 1, 0), "adamw"),
            ("all", (True, 0.4, 0.5), "adamw"),
        ],
    )
    def test_recipe_may_be_changed(
        self,
        tiles: Path,
        tmp_path: Path,
        vary: str,
        expected: tuple[bool, float, float] | None,
        optimizer: str,
    ) -> None:
        model = tmp_path / "m.safetensors"
        train(tiles, model, "--vary", vary, "--optimizer", optimizer)
        recipe = load_model(model).contract.training.recipe
        assert recipe["optimizer"] == optimizer
        assert (recipe["weight_decay"] == 0) == (optimizer == "adam")
        names = ("symmetries", "plain_share", "mix_share")
        found = recipe["augment"] and tuple(recipe["augment"][name] for name in names)
        assert found == expected

    def test_fine_tuning_begins_with_a_model(self, trained: Trained, tmp_path: Path) -> None:
        begun, model = load_model(trained.model), tmp_path / "b.safetensors"
        train(trained.tiles, model, "--from", trained.model)
        recipe = load_model(model).contract.training.recipe
        assert recipe["start"] == begun.sha256
        assert recipe["learning_rate"] == pytest.approx(0.01 / 3)
        assert geoclass.choose_recipe(start=begun).epochs == 20
        more = ("--from", trained.model, "--batch-size", 128, "--overwrite")
        few = train(trained.tiles, model, *more)
        assert "Warning: training has only 1 step(s)" in few.stderr

    def test_network_is_that_of_the_model_to_begin_with(self, tiles: Path, tmp_path: Path) -> None:
        one, two = (tmp_path / f"{i}.safetensors" for i in range(2))
        train(tiles, one, "--arch", "tilenet-fine")
        train(tiles, two, "--from", one)
        assert load_model(two).arch == "tilenet-fine"
        assert choose_recipe(start=load_model(one)).arch == "tilenet-fine"

    @pytest.mark.parametrize(("fast", "warned"), [("fp32", True), ("bf16", False)])
    def test_bf16_is_warned_of_where_it_is_slow(
        self,
        tiles: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        fast: str,
        *,
        warned: bool,
    ) -> None:
        monkeypatch.setattr("geoclass.model.device.choose_precision", lambda _: fast)
        half = ("--precision", "bf16", "--device", "cpu")
        said = train(tiles, tmp_path / "m.safetensors", *half).stderr
        assert ("no instructions for bfloat16" in said) == warned

    def test_killed_run_goes_on_to_the_same_weights(self, tiles: Path, tmp_path: Path) -> None:
        """Kill -9 in the middle of an epoch, then --resume."""
        whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
        given = ["train", tiles, "--epochs", "4", "--batch-size", "4", "--device", "cpu"]
        run(*given, "-o", whole)
        log = broken.with_suffix(".csv")
        with subprocess.Popen(
            [sys.executable, "-m", "geoclass", *given, "-o", broken],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # as many as here
        ) as process:
            while not log.exists() or len(log.read_text().splitlines()) < 3:
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(0.05)
            process.kill()
        assert not broken.exists()
        done = run(*given, "-o", broken, "--resume")
        assert "epoch   1/4" not in done.stdout
        assert "epoch   4/4" in done.stdout
        assert broken.read_bytes() == whole.read_bytes()

    def test_parts_of_the_split_can_be_scored(self, trained: Trained) -> None:
        tiles, model = trained.tiles, trained.model
        for part, count in (("train", 33), ("validation", 3), ("all", 45)):
            out = run("evaluate", model, tiles, "--part", part, "--json").output
            result = json.loads(out)
            assert result["tiles"] == count
            assert result["seen"] == (36 if part == "all" else count)
        assert "seen in training     0\n" in run("evaluate", model, tiles).output

    def test_mistakes_become_a_picture(
        self, make_tiles: Make, random_model: Path, tmp_path: Path
    ) -> None:
        tiles = make_tiles(classes=10, each=3, name="ten")
        given = ("evaluate", random_model, tiles, "--part", "all")
        wrong = tmp_path / "wrong.svg"
        result = json.loads(run(*given, "--mistakes", wrong, "--json").stdout)
        first = result["mistakes"][0]
        assert len(result["mistakes"]) == 30 - round(30 * result["accuracy"])
        assert first["tile"].startswith(f"{first['true']}/")
        assert f"{first['true']}, called" in wrong.read_text()

    def test_pictures_that_cannot_be_written_are_told_first(
        self, tiles: Path, random_model: Path, tmp_path: Path
    ) -> None:
        given = ("evaluate", random_model, tiles)
        one = tmp_path / "one.png"
        assert "two pictures" in error(*given, "--mistakes", one, "--confusion", one)
        assert ".xyz is none of .png" in error(*given, "--confusion", tmp_path / "a.xyz")
        assert "create it first" in error(*given, "--mistakes", tmp_path / "none" / "a.png")
        among = tiles / "Forest" / "Forest_0.png"
        before = among.read_bytes()
        assert "would be among the tiles" in error(*given, "--mistakes", among)
        assert among.read_bytes() == before

    def test_corruptions_are_scored_too(self, trained: Trained) -> None:
        tiles, model = trained.tiles, trained.model
        scores = json.loads(run("evaluate", model, tiles, "--corrupt", "--json").output)
        robustness = {score["name"]: score for score in scores["robustness"]}
        text = run("evaluate", model, tiles, "--corrupt").output
        assert f"haze 0.6x + 80      {robustness['haze 0.6x + 80']['accuracy']:>8.2%}  yes" in text
        assert re.search(r"blue, green, red +[\d.]+%  no, not in the mean", text)
        mean = np.mean([score["accuracy"] for score in robustness.values() if score["counted"]])
        assert text.endswith(f"mean                {mean:>8.2%}\n")

    def test_export_and_what_stands_in_its_way(self, random_model: Path, tmp_path: Path) -> None:
        output = tmp_path / "m.onnx"
        assert "probabilities differ by" in run("export", random_model, "-o", output).output
        assert "exists: give --overwrite" in error("export", random_model, "-o", output)
        assert "must end in .onnx" in error("export", random_model, "-o", tmp_path / "m.pt")
        missing = tmp_path / "none" / "m.onnx"
        assert "does not exist: create it first" in error("export", random_model, "-o", missing)

    def test_no_mistakes_no_picture(self, trained: Trained, tmp_path: Path) -> None:
        tiles, wrong = tmp_path / "right", tmp_path / "wrong.png"
        shutil.copytree(trained.tiles, tiles)
        given = ("evaluate", trained.model, tiles, "--part", "all")
        for mistake in json.loads(run(*given, "--json").stdout)["mistakes"]:
            (tiles / mistake["tile"]).unlink()
        for folder in tiles.iterdir():
            if not any(folder.iterdir()):
                folder.rmdir()
        result = run(*given, "--mistakes", wrong)
        assert "accuracy             100.00%" in result.stdout
        assert not wrong.exists()

    def test_other_tiles_are_not_scored_as_if_unseen(
        self, trained: Trained, make_tiles: Make
    ) -> None:
        other = make_tiles(classes=3, each=12, name="other")
        assert "may be training tiles" in error("evaluate", trained.model, other)
        two = make_tiles(classes=2, name="two")
        assert "the model has" in error("evaluate", trained.model, two)

    def test_a_check_set_may_lack_classes(self, make_tiles: Make, trained: Trained) -> None:
        model, some = trained.model, make_tiles(classes=3, each=4, name="some")
        shutil.rmtree(some / "AnnualCrop")
        result = json.loads(run("evaluate", model, some, "--part", "all", "--json").output)
        rows = dict(zip(EUROSAT.names, result["confusion"], strict=False))
        assert [sum(row) for row in rows.values()] == [0, 4, 4]
        wrong = [m for m in result["mistakes"] if m["true"] == "Forest"]
        assert len(wrong) == 4 - rows["Forest"][1]
        assert "the model has" in error("evaluate", model, some)

    def test_split_by_lists(self, tiles: Path, tmp_path: Path) -> None:
        names = [name.partition("/")[2] for name in read_tiles(tiles).names]
        lists = [tmp_path / f"{part}.txt" for part in ("train", "validation", "test")]
        for i, path in enumerate(lists):
            path.write_text("\n".join(names[i::3]))
        model = tmp_path / "m.safetensors"
        said = train(tiles, model, "--lists", *lists).stdout
        assert f"geoclass evaluate {model} {tiles} --lists {' '.join(map(str, lists))}" in said
        assert "give them with --lists" in error("evaluate", model, tiles)
        out = run("evaluate", model, tiles, "--lists", *lists, "--json").output
        assert json.loads(out)["tiles"] == 15

    def test_tiles_in_no_list_are_told(self, tiles: Path, tmp_path: Path) -> None:
        names = read_tiles(tiles).names
        lists = [tmp_path / f"{part}.txt" for part in ("train", "validation", "test")]
        for i, path in enumerate(lists):
            path.write_text("\n".join(names[i:-4:3]))
        said = train(tiles, tmp_path / "m.safetensors", "--lists", *lists).stderr
        assert f"4 of the {len(names)} tiles are in no list and are not used" in said

    def test_seed_of_the_split_travels_in_the_model(self, tiles: Path, tmp_path: Path) -> None:
        model = tmp_path / "m.safetensors"
        train(tiles, model, "--split-seed", 5)
        record = load_model(model).contract.training.split
        labels = read_tiles(tiles).labels
        assert record == split_randomly(labels, 5).record(read_tiles(tiles).names)

    def test_bad_input_is_one_line(self, tiles: Path, tmp_path: Path) -> None:
        model = tmp_path / "m.safetensors"
        assert "no data set at" in error("train", tmp_path / "none", "-o", model)
        assert "must end in .safetensors" in error("train", tiles, "-o", tmp_path / "m.pt")
        none = tmp_path / "none" / "m.safetensors"
        assert "does not exist" in error("train", tiles, "-o", none)
        (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 broken")
        assert "is not a zip file" in error("train", tmp_path / "broken.zip", "-o", model)
        (tiles / "Empty").mkdir()
        assert "Empty" in error("train", tiles, "-o", model)
        model.write_text("precious")
        other = tmp_path / "other.best.safetensors"
        other.write_bytes(b"a model")
        command = ["train", tiles, "-o", tmp_path / "other.safetensors"]
        assert "other.best.safetensors exists: give --overwrite" in error(*command)
        assert other.read_bytes() == b"a model"
        for more in ([], ["--resume"]):  # there is no checkpoint to go on from
            assert "give --overwrite" in error("train", tiles, "-o", model, *more)
            assert model.read_text() == "precious"


class TestPreview:
    """geoclass preview"""

    def test_picture_of_map_and_scene(self, make_scene: Make, tmp_path: Path) -> None:
        landcover = make_landcover(2, 3)
        write_map(landcover, tmp_path / "map.gpkg")
        size = (landcover.grid.height, landcover.grid.width)
        scene = make_scene(paint([[0, 1, 2], [3, 4, 5]])[:, : size[0], : size[1]])
        run("preview", tmp_path / "map.gpkg", "--scene", scene, "-o", tmp_path / "both.png")
        run("preview", tmp_path / "map.gpkg", "-o", tmp_path / "map.png")
        with Image.open(tmp_path / "both.png") as both, Image.open(tmp_path / "map.png") as alone:
            assert both.height > alone.height

    def test_picture_says_what_it_shows(self, tmp_path: Path) -> None:
        write_map(make_landcover(4, 4), tmp_path / "map.gpkg")
        for suffix, magic in ((".pdf", b"%PDF"), (".svg", b"<?xml")):
            picture = tmp_path / f"map{suffix}"
            run("preview", tmp_path / "map.gpkg", "-o", picture, "--title", "Cost: $5 & <more>")
            assert picture.read_bytes().startswith(magic)
        # Texts are drawn as outlines, and stand beside them as comments.
        svg = (tmp_path / "map.svg").read_text()
        for text in ("Cost: $5 &amp; &lt;more&gt;", "2020-06-01", "500 m", "N", "Masked"):
            assert f"<!-- {text}" in svg

    def test_bad_input_is_one_line(self, make_scene: Make, tmp_path: Path) -> None:
        assert "no map at" in error("preview", tmp_path / "none.gpkg", "-o", tmp_path / "m.png")
        write_map(make_landcover(2, 3), tmp_path / "map.gpkg")
        picture = tmp_path / "none" / "m.png"
        other = make_scene(paint([[0]]))
        wrong = ("preview", tmp_path / "map.gpkg", "--scene", other, "-o", tmp_path / "m.png")
        assert "does not cover the map" in error(*wrong)
        assert "cannot write" in error("preview", tmp_path / "map.gpkg", "-o", picture)
        picture = tmp_path / "m.bmp"
        assert "is none of .png" in error("preview", tmp_path / "map.gpkg", "-o", picture)


class TestPredict:
    """geoclass predict"""

    @pytest.fixture
    def image(self, tmp_path: Path) -> Path:
        Image.fromarray(paint([[0, 1], [2, 3]]).transpose(1, 2, 0)).save(tmp_path / "image.png")
        return tmp_path / "image.png"

    def test_one_line_an_image(self, image: Path, random_model: Path) -> None:
        lines = run("predict", image, image, "-m", random_model).output.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith(f"{image}: ")
        assert lines[0].endswith("%")

    def test_tiles_json_and_picture(self, image: Path, random_model: Path, tmp_path: Path) -> None:
        picture = tmp_path / "labels.png"
        out = run("predict", image, "-m", random_model, "--tiles", "--json", "--show", picture)
        labels = json.loads(out.stdout)
        assert [(label["row"], label["col"]) for label in labels] == [
            (0, 0), (0, 64), (64, 0), (64, 64),
        ]  # fmt: skip
        assert len(labels[0]["probabilities"]) == 10
        with Image.open(picture) as drawn:
            assert drawn.height > 4 * 100

    def test_names_are_no_formulas(self, image: Path, random_model: Path) -> None:
        odd, picture = image.with_name("a$_$.png"), image.with_name("drawn.png")
        odd.write_bytes(image.read_bytes())
        run("predict", odd, "-m", random_model, "--show", picture)
        assert picture.stat().st_size > 0

    def test_bad_input_is_one_line(self, image: Path, random_model: Path) -> None:
        assert "cannot read the image" in error("predict", "none.png", "-m", random_model)
        done = run("predict", "none.png", image, "-m", random_model, "--skip-bad")
        assert done.stdout.startswith(f"{image}: ")
        assert "skipped: cannot read the image none.png" in done.stderr
        done = run("predict", "none.png", "-m", random_model, "--skip-bad", code=1)
        assert "Error: none of the images can be used" in done.stderr
        assert "is the input" in error("predict", image, "-m", random_model, "--show", image)


class TestDataset:
    """geoclass dataset"""

    def test_description_and_contact_sheet(self, make_tiles: Make, tmp_path: Path) -> None:
        tiles = make_tiles(classes=2, each=12)
        (tiles / "Forest" / "Forest_0.png").write_text("no image")
        out = run("dataset", tiles, "--sheet", tmp_path / "sheet.png").output
        assert "24 in 2 classes" in out
        assert "unusable    1" in out
        assert "duplicates  none" in out
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.width > sheet.height
        assert json.loads(run("dataset", tiles, "--json").output)["images"] == 24

    def test_bad_input_is_one_line(self, tmp_path: Path) -> None:
        assert "no data set at" in error("dataset", tmp_path / "none")


class TestInfo:
    """geoclass info"""

    def test_models_card(self, random_model: Path) -> None:
        card = run("info", random_model).output
        assert card.startswith("# Model tilenet ")
        assert "1,238,826 parameters" in card
        assert "| 1 | Forest | forest | #124a26 | 10.0% | 100.0% |" in card
        assert "split at random, seed 0, into" in card
        data = json.loads(run("info", random_model, "--json").output)
        assert data["contract"]["gsd_m"] == 10

    def test_how_a_map_was_made(self, tmp_path: Path) -> None:
        for name in ("map.gpkg", "map.tif"):
            write_map(make_landcover(), tmp_path / name)
            assert "fingerprint" in run("info", tmp_path / name).output
            data = json.loads(run("info", tmp_path / name, "--json").output)
            assert data["model"] == "ab" * 32

    def test_how_a_scene_would_be_read(self, make_scene: Make) -> None:
        scene = make_scene(paint([[0]]))
        assert "rgb8: 8-bit values" in run("info", scene).output
        assert json.loads(run("info", scene, "--json").output)["bands"] == [1, 2, 3]

    def test_bad_input_is_one_line(self, tmp_path: Path) -> None:
        assert "no scene at" in error("info", tmp_path / "none.tif")
        assert "no model file at" in error("info", tmp_path / "none.safetensors")

    def test_what_map_would_warn_of_is_said(self, make_scene: Make) -> None:
        coarse = rasterio.Affine(20, 0, 500000, 0, -20, 5800000)
        out = run("info", make_scene(paint([[0]]), transform=coarse), "--json").output
        assert "pixels of 20.0 m" in json.loads(out)["warnings"][0]


def test_options_of_training_say_what_the_recipes_are() -> None:
    options = {option.name: option for option in train_command.params}
    for name in ("epochs", "learning_rate", "schedule", "optimizer"):
        option = options[name]
        assert isinstance(option, click.Option)
        assert option.default is None  # so that the recipe of the network decides
        shown = (option.help or "").partition("[default: ")[2]
        assert shown.startswith(str(getattr(RECIPES[SHIPPED_ARCH], name))), name
        assert f"customnet {getattr(RECIPES['customnet'], name)}" in shown, name
    for name, choices in (
        ("arch", ARCHS),
        ("schedule", get_args(Schedule)),
        ("optimizer", get_args(Optimizer)),
        ("augment", tuple(AUGMENTATIONS)),
    ):
        kind = options[name].type
        assert isinstance(kind, click.Choice)
        assert tuple(kind.choices) == choices
