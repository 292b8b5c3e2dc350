"""The public names: what is there, how it is called, and that it is quick to import."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import geoclass
from geoclass.cli.main import COMMANDS
from geoclass.mapping.job import map_scene
from tests.conftest import paint
from tests.monitor.scenes import CROP, FOREST, make_map, yearly

Make = Callable[..., Path]

CALLS = {
    "map": ("map_scene", "plan_scene", "estimate_work", "write_map", "run_campaign"),
    "preview": ("draw_preview",),
    "report": ("write_report",),
    "style": ("write_styles",),
    "change": ("change_maps", "write_change"),
    "monitor": ("monitor_maps", "update_monitor", "write_monitor", "read_zones", "write_tables",
                "write_alerts", "draw_timeline"),
    "plots": ("assess_plots", "write_verdicts"),
    "sample": ("sample_map", "write_sample"),
    "assess": ("assess_sample",),
    "areas": ("measure_zones", "write_zone_areas"),
    "info": ("describe_model", "read_map", "plan_scene"),
    "predict": ("label_images", "draw_labels"),
    "download": ("fetch_dataset",),
    "tiles": ("cut_scene",),
    "dataset": ("inspect_tiles", "draw_samples"),
    "train": ("train_on_tiles", "draw_learning_curve"),
    "evaluate": ("score_on_tiles", "draw_confusion", "draw_mistakes"),
    "export": ("export_onnx",),
    "demo": ("map_scene", "write_map", "write_report"),
}  # fmt: skip
"""What does in Python what a command does."""

FUNCTIONS = [name for name in geoclass.__all__ if inspect.isfunction(getattr(geoclass, name, None))]


def test_import_loads_no_heavy_library() -> None:
    code = "import sys, geoclass; print({'torch', 'rasterio', 'numpy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"


def test_import_takes_less_than_a_tenth_of_a_second() -> None:
    code = "import time; t = time.process_time(); import geoclass; print(time.process_time() - t)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(out.stdout) < 0.1


def test_all_names_are_there() -> None:
    for name in geoclass.__all__:
        assert getattr(geoclass, name).__doc__
    assert geoclass.map_scene is map_scene
    assert set(geoclass.__all__) <= set(dir(geoclass))


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="No geoclass attribute nothing"):
        _ = geoclass.nothing


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"completion", "qgis", "schema"}))
def test_each_command_has_its_calls(command: str) -> None:
    assert CALLS[command]
    assert set(CALLS[command]) <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_typed_and_take_paths_as_text(name: str) -> None:
    for parameter in inspect.signature(getattr(geoclass, name)).parameters.values():
        said = str(parameter.annotation)
        assert parameter.annotation is not inspect.Parameter.empty, parameter
        assert "str" in said or "Path" not in said, f"{name}({parameter}) should take str, too"
        callback = parameter.name.startswith("on_")
        assert not callback or parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter


def test_a_scene_goes_to_a_file_and_back_without_a_word(
    make_scene: Make, random_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = geoclass.load_model(str(random_model))
    scene = make_scene(paint([[1, 1, 9], [0, 9, 9]]))
    told: list[int] = []
    landcover = geoclass.map_scene(str(scene), model, batch_size=2, on_cells=told.append)
    assert sum(told) == landcover.class_id.size == 6
    assert sum(row.cells for row in landcover.areas()) == 6
    geoclass.write_map(landcover, str(tmp_path / "map.gpkg"))
    again = geoclass.read_map(str(tmp_path / "map.gpkg"))
    np.testing.assert_array_equal(again.probabilities, landcover.probabilities)
    plan = geoclass.plan_scene(str(scene), model)
    assert plan.provenance.fingerprint == landcover.provenance.fingerprint
    assert "".join(capfd.readouterr()) == ""


def test_maps_are_monitored_as_they_are(tmp_path: Path) -> None:
    """Without date_map: their scenes tell the day."""
    wood, field = [[FOREST] * 3] * 3, [[FOREST, FOREST, CROP]] * 3
    maps = [dated.landcover for dated in yearly(wood, wood, field, field)]
    told: list[object] = []
    result = geoclass.monitor_maps(maps, on_date=told.append)
    assert [alert.first_gone.year for alert in result.alerts] == [2017]
    assert told == list(result.stack.dates[1:])
    geoclass.write_monitor(geoclass.monitor_maps(maps[:3]), tmp_path / "monitor.gpkg")
    later = geoclass.update_monitor(tmp_path / "monitor.gpkg", maps[3:])
    assert [a.area_ha for a in later.alerts] == [a.area_ha for a in result.alerts]


def test_two_maps_are_compared_and_sampled_as_they_are() -> None:
    wood, field = [[FOREST] * 3] * 3, [[FOREST, FOREST, CROP]] * 3
    old, new = (
        make_map(codes, f"{year}-06-01", sure=0.99).landcover
        for codes, year in ((wood, 2015), (field, 2018))
    )
    assert (geoclass.change_maps(old, new).probability > 0.5).sum() == 3
    names = geoclass.sample_map(new, since=old).strata.names
    assert names == ("forest loss", "stable forest")
    assert geoclass.sample_map(new).strata.names == ("AnnualCrop", "Forest")


def test_tables_alerts_and_zones_are_written(tmp_path: Path) -> None:
    maps = yearly([[FOREST] * 3] * 3, [[FOREST, FOREST, CROP]] * 3, [[FOREST, FOREST, CROP]] * 3)
    result = geoclass.monitor_maps(maps)
    frame = geoclass.to_geodataframe(maps[0].landcover)
    frame.iloc[:1].assign(name="west")[["name", "geometry"]].to_file(tmp_path / "zones.gpkg")
    zones = geoclass.read_zones(tmp_path / "zones.gpkg", result.stack.grid)
    np.testing.assert_allclose(zones["west"].sum(), 1)
    geoclass.write_tables(result, tmp_path / "tables", zones=zones)
    assert "west" in (tmp_path / "tables" / "areas.csv").read_text()
    geoclass.write_alerts(result, tmp_path / "alerts.tif")
    geoclass.draw_timeline(result, tmp_path / "areas.png")
    assert (tmp_path / "alerts.tif").stat().st_size > 0
    assert (tmp_path / "areas.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_is_trained_and_scored(make_tiles: Make, tmp_path: Path) -> None:
    data = make_tiles(classes=3, each=15)
    recipe = geoclass.choose_recipe(epochs=1, batch_size=8, device="cpu")
    epochs: list[geoclass.EpochReport] = []
    model = geoclass.train_on_tiles(
        str(data), tmp_path / "m.safetensors", settings=recipe, on_epoch=epochs.append
    )
    assert [report.epoch for report in epochs] == [1]
    kept = model.contract.scores
    assert kept is not None
    assert geoclass.score_on_tiles(model, data).evaluation.accuracy == kept.accuracy
    assert geoclass.load_model(tmp_path / "m.safetensors").sha256 == model.sha256
    told: list[int] = []
    score = geoclass.score_on_tiles(model, str(data), part="all", on_tiles=told.append)
    assert sum(told) == score.evaluation.tiles == 45
    assert len(score.mistakes) == 45 - round(45 * score.evaluation.accuracy)
    assert model.sha256[:12] in geoclass.describe_model(model)
    images = sorted(data.rglob("*.png"))[:2]
    labels = geoclass.label_images([str(path) for path in images], model)
    assert [label.image for label in labels] == [str(path) for path in images]
