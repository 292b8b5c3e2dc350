"""The plugin in QGIS, headless: algorithms by `qgis_process`, and as the toolbox runs them."""

from __future__ import annotations

import html
import inspect
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pyogrio
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from rasterio.windows import Window

from geoclass.cli.main import main
from geoclass.monitor.sampling import draw_sample, stratify_map, write_sample
from geoclass.monitor.settings import SampleSettings
from tests.conftest import SAMPLE_SCENE, make_landcover
from tests.qgis.program import find_qgis_process
from tests.scene.products import make_safe

ALGORITHM = Path(__file__).with_name("algorithm.py")
QGIS = tuple[str, ...]


@pytest.fixture(scope="module")
def profile(qgis: QGIS, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a user whose QGIS has the plugin."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    env = {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_RUNTIME_DIR": str(home)}
    done = CliRunner().invoke(main, ["qgis", "install"], env=env, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return {**os.environ, **env, "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def plugins(profile: dict[str, str]) -> Path:
    return Path(profile["XDG_DATA_HOME"]) / "QGIS/QGIS3/profiles/default/python/plugins"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corner of the sample scene."""
    path = tmp_path_factory.mktemp("scene") / "corner_20170216.tif"
    with rasterio.open(SAMPLE_SCENE) as whole:
        corner = Window(512, 256, 256, 192)
        how = {**whole.profile, "width": 256, "height": 192}
        how["transform"] = whole.transform @ Affine.translation(512, 256)
        with rasterio.open(path, "w", **how) as part:
            part.write(whole.read(window=corner))
            part.update_tags(**whole.tags())
            part.descriptions = whole.descriptions
    return path


def process(profile: dict[str, str], algorithm: str, *values: str) -> tuple[int, str]:
    """Exit code and output of qgis_process; QGIS 3.22 may crash after all is done and said."""
    run = subprocess.run(
        [*find_qgis_process(), "run", f"geoclass:{algorithm}", "--", *values],
        env=profile,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout


def run_as_toolbox(
    qgis: QGIS, profile: dict[str, str], plugins: Path, name: str, *stop: str, **parameters: Any
) -> dict[str, Any]:
    file = Path(profile["HOME"]) / "parameters.json"
    file.write_text(json.dumps(parameters))
    run = subprocess.run(
        [*qgis, ALGORITHM, plugins, f"geoclass:{name}", file, *stop],
        env=profile,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def test_map_is_loaded_styled_and_in_order(
    qgis: QGIS, profile: dict[str, str], plugins: Path, scene: Path, tmp_path: Path
) -> None:
    out = tmp_path / "land.gpkg"
    found = run_as_toolbox(
        qgis, profile, plugins, "map", SCENES=[str(scene)], OUTPUT=str(out), STRIDE=32
    )
    assert found["error"] is None
    assert found["results"]["OUTPUT"] == str(out)
    assert f"wrote {out}" in found["said"]
    assert found["results"]["MESSAGES"].endswith(f"wrote {out}")
    assert found["steps"] == sorted(found["steps"])
    assert found["steps"][-1] == 100
    layers = found["layers"]
    assert set(layers) == {"land: Land cover in detail", "land: Land cover"}
    assert layers["land: Land cover in detail"]["position"] == 0
    assert all(layer["renderer"] == "categorizedSymbol" for layer in layers.values())
    assert all(layer["legend"] >= 10 for layer in layers.values())
    assert pyogrio.read_info(out, layer="landcover")["features"] == 8 * 6


def test_monitor_layers_play(
    qgis: QGIS, profile: dict[str, str], plugins: Path, scene: Path, tmp_path: Path
) -> None:
    dates = "2017-02-16, 2018-02-16"
    found = run_as_toolbox(
        qgis,
        profile,
        plugins,
        "monitor",
        INPUTS=[str(scene), str(scene)],
        DAYS=dates,
        OUTPUT=str(tmp_path / "m.gpkg"),
        TABLES=str(tmp_path / "tables"),
    )
    assert found["error"] is None
    series, alerts = found["layers"]["m: series"], found["layers"]["m: alerts"]
    assert series["temporal"]
    assert alerts["temporal"]
    assert series["renderer"] == "categorizedSymbol"
    assert "dates       2017-02-16, 2018-02-16" in found["said"]
    assert (tmp_path / "tables" / "areas.csv").exists()


def test_cancel_leaves_nothing(
    qgis: QGIS, profile: dict[str, str], plugins: Path, tmp_path: Path
) -> None:
    out = tmp_path / "land.gpkg"
    found = run_as_toolbox(
        qgis, profile, plugins, "map", "stop", SCENES=[str(SAMPLE_SCENE)], OUTPUT=str(out)
    )
    assert found["error"] == "stopped; nothing was written"
    assert found["layers"] == {}
    assert not any("wrote" in line for line in found["said"])
    assert list(tmp_path.iterdir()) == []


def test_changes_samples_and_reports(profile: dict[str, str], scene: Path, tmp_path: Path) -> None:
    """The other algorithms, one after the other, by qgis_process."""
    land = tmp_path / "land.gpkg"
    code, said = process(profile, "map", f"SCENES={scene}", f"OUTPUT={land}")
    assert code == 0, said
    change = tmp_path / "change.gpkg"
    later = "DAYS=2017-02-16;2018-02-16"
    code, said = process(profile, "change", f"OLD={land}", f"NEW={land}", later, f"OUTPUT={change}")
    assert "labels differ in 0.0%" in said, said
    assert pyogrio.read_info(change, layer="change")["features"] > 0
    sample = tmp_path / "sample.gpkg"
    code, said = process(profile, "sample", f"LANDCOVER={land}", "PER_CLASS=3", f"OUTPUT={sample}")
    assert "drawn" in said, said
    assert pyogrio.read_info(sample, layer="sample")["features"] > 3
    code, said = process(profile, "assess", f"SAMPLE={sample}")
    assert code != 0
    assert "label" in said, said
    page = tmp_path / "page.html"
    code, said = process(profile, "report", f"INPUTS={land}", f"INPUTS={change}", f"OUTPUT={page}")
    assert "Leaflet" in page.read_text()


def test_labelled_sample_is_assessed(profile: dict[str, str], tmp_path: Path) -> None:
    sample = tmp_path / "labelled.gpkg"
    strata = stratify_map(make_landcover(20, 20))
    write_sample(draw_sample(strata, settings=SampleSettings(per_class=3)), sample)
    with closing(sqlite3.connect(sample)) as file:
        for name in ("IsEmpty", "MinX", "MaxX", "MinY", "MaxY"):  # the triggers name them
            file.create_function(f"ST_{name}", 1, lambda _: 0)
        file.execute("UPDATE sample SET reference = 'Forest'")
        file.commit()
    _, said = process(profile, "assess", f"SAMPLE={sample}")
    assert "overall accuracy 0." in said, said


def test_broken_scene_says_what_geoclass_says(profile: dict[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(SAMPLE_SCENE.read_bytes()[:300_000])
    out = tmp_path / "land.gpkg"
    code, said = process(profile, "map", f"SCENES={broken}", f"OUTPUT={out}")
    direct = CliRunner().invoke(main, ["map", str(broken), "-o", str(out)])
    assert direct.exit_code == 1
    assert direct.stderr.removeprefix("Error: ").strip() in said
    assert code != 0
    assert list(tmp_path.iterdir()) == [broken]


def test_product_is_named_by_its_metadata_file(
    profile: dict[str, str], scene: Path, tmp_path: Path
) -> None:
    """QGIS's dialogues choose files, and a .SAFE is a folder."""
    with rasterio.open(scene) as file:
        safe = make_safe(tmp_path, file.read(), baseline="02.04")
    out = tmp_path / "land.gpkg"
    _, said = process(profile, "map", f"SCENES={safe / 'MTD_MSIL1C.xml'}", f"OUTPUT={out}")
    assert f"wrote {out}" in said
    assert pyogrio.read_info(out, layer="landcover")["features"] == 4 * 3


def test_every_option_of_the_commands_is_a_parameter(profile: dict[str, str]) -> None:
    """Parameters come from the schema: what a command learns, its algorithm offers."""
    from geoclass.cli.monitor import monitor_command

    run = subprocess.run(
        [*find_qgis_process(), "help", "geoclass:monitor"],
        env=profile, capture_output=True, text=True, check=False,
    )  # fmt: skip
    offered = {line.partition(":")[0] for line in run.stdout.splitlines() if ":" in line}
    hidden = {"QUIET", "OVERWRITE", "AS_JSON"}
    asked = {
        param.name.upper()
        for param in monitor_command.params
        if not getattr(param, "hidden", False)
    }
    assert asked - hidden <= offered
    assert not hidden & offered
    paragraphs = inspect.cleandoc(monitor_command.help or "").split("\n\n")
    assert html.escape(" ".join(max(paragraphs, key=len).split())) in run.stdout


def test_plugin_does_not_import_the_package(qgis: QGIS, plugins: Path) -> None:
    """It is whole by itself: QGIS's Python has neither torch nor geoclass."""
    code = (
        f"import sys; sys.path.insert(0, {str(plugins)!r})\n"
        "import geoclass_qgis.plugin, geoclass_qgis.settings_page\n"
        "print(sorted({'geoclass', 'torch', 'click'} & set(sys.modules)), flush=True)\n"
        "import os; os._exit(0)"
    )
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    env.pop("PYTHONPATH", None)
    run = subprocess.run([*qgis, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
