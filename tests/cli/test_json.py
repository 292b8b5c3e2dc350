"""One JSON document on standard output, for scripts; and what `geoclass info` says of a map."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio

from geoclass.products.files import read_map, write_map
from tests.cli.test_commands import run
from tests.conftest import make_landcover, paint
from tests.monitor.scenes import CROP, FOREST, make_map

Make = Callable[..., Path]


def ask(*args: object, code: int = 0) -> dict[str, Any]:
    """The document that a command prints."""
    document: dict[str, Any] = json.loads(run(*args, "--json", code=code).stdout)
    return document


class TestMap:
    """geoclass map --json"""

    def test_one_scene(self, make_scene: Make, random_model: Path, tmp_path: Path) -> None:
        scene, target = make_scene(paint([[0, 1], [2, 3]])), tmp_path / "map.gpkg"
        given = ("map", scene, "-o", target, "-m", random_model)
        plan = ask(*given, "--dry-run")
        assert plan["status"] == "dry run"
        assert plan["bytes"] > 0
        assert not target.exists()
        mapped = ask(*given)
        assert (mapped["status"], mapped["output"]) == ("mapped", str(target))
        assert (mapped["scene"], mapped["cells"]) == (scene.name, 4)
        areas = {row["name"]: row["cells"] for row in mapped["areas"] if row["cells"]}
        assert areas == {row.name: row.cells for row in read_map(target).areas() if row.cells}
        assert mapped["warnings"] == []
        again = ask(*given)
        assert again["status"] == "up to date"
        assert again["areas"] == mapped["areas"]

    def test_warnings_and_unknown_areas(
        self, make_scene: Make, random_model: Path, tmp_path: Path
    ) -> None:
        scene = make_scene(paint([[0, 1]]), crs=None)
        done = run("map", scene, "-o", tmp_path / "m.tif", "-m", random_model, "--json")
        told = json.loads(done.stdout)
        assert all(f"Warning: {warning}" in done.stderr for warning in told["warnings"])
        assert "the map is in pixels" in told["warnings"][0]
        assert {row["area_ha"] for row in told["areas"] if row["cells"]} == {None}

    def test_many_scenes(self, make_scene: Make, random_model: Path, tmp_path: Path) -> None:
        scenes = tmp_path / "scenes"
        scenes.mkdir()
        make_scene(paint([[0, 1]]), "good.tif").rename(scenes / "good.tif")
        (scenes / "bad.tif").write_text("no scene")
        maps = tmp_path / "maps"
        told = ask("map", scenes, "-o", f"{maps}/", "-m", random_model, code=1)
        assert (told["scenes"], told["mapped"], told["failed"]) == (2, 1, 1)
        bad, good = told["outcomes"]
        assert "as a raster" in bad["reason"]
        assert good["map"] == str(maps / "good.gpkg")
        assert Path(good["map"]).exists()
        assert json.loads(Path(told["summary"]).read_text())["failed"] == 1
        (scenes / "bad.tif").unlink()
        merged = ask("map", scenes, "-o", tmp_path / "all.gpkg", "-m", random_model)
        assert merged["output"] == str(tmp_path / "all.gpkg")
        assert merged["merged_cells"] == 2

    def test_errors_print_no_document(self, tmp_path: Path) -> None:
        done = run("map", tmp_path / "none.tif", "-o", tmp_path / "m.tif", "--json", code=1)
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")


@pytest.fixture
def maps(tmp_path: Path) -> list[Path]:
    paths = []
    for year, codes in zip(
        range(2016, 2019), ([[FOREST] * 2], *[[[CROP, FOREST]]] * 2), strict=True
    ):
        paths.append(tmp_path / f"map_{year}.tif")
        write_map(make_map(codes, f"{year}-06-01").landcover, paths[-1])
    return paths


def test_change(maps: list[Path], tmp_path: Path) -> None:
    told = ask("change", *maps[::2], "-o", tmp_path / "c.gpkg")
    assert told["output"] == str(tmp_path / "c.gpkg")
    assert told["dates"] == ["2016-06-01", "2018-06-01"]
    assert (told["cells"], told["differing_share"]) == (2, 0.5)
    lost = [row for row in told["areas"] if row["from_class"] != row["to_class"]]
    assert [(row["from_class"], row["cells"]) for row in lost] == [("Forest", 1)]
    assert lost[0]["area_ha"] == pytest.approx(40.96, rel=1e-3)


def test_monitor(maps: list[Path], tmp_path: Path) -> None:
    told = ask("monitor", *maps, "-o", tmp_path / "m.gpkg")
    assert told["dates"] == ["2016-06-01", "2017-06-01", "2018-06-01"]
    assert (told["cells"], told["observations"], told["skipped"]) == (2, 6, [])
    (alert,) = told["alerts"]
    assert (alert["group"], alert["first_gone"]) == ("forest", "2017-06-01")
    forest = [row["area_ha"] for row in told["areas"] if row["group"] == "forest"]
    assert forest[0] > forest[-1] > 0
    assert told["warnings"] == []


def test_info_of_a_map_is_a_page(make_scene: Make, random_model: Path, tmp_path: Path) -> None:
    transform = rasterio.Affine(10, 0, 330000, 0, -10, 5822040)
    scene = make_scene(paint([[0, 1], [2, 3]]), "scene_20200601.tif", transform=transform)
    run("map", scene, "-o", tmp_path / "m.gpkg", "-m", random_model, "--min-valid", "0.9", "--snap")
    lines = run("info", tmp_path / "m.gpkg").output.splitlines()
    assert lines[0] == "scene       scene_20200601.tif"
    assert "date        2020-06-01" in lines
    assert any(line.startswith("radiometry  rgb8: ") for line in lines)
    assert {"options     min_valid_share=0.9", "options     snap=True"} <= set(lines)
    assert any(line.startswith("class ") for line in lines)
    assert not any("{" in line for line in lines)
    write_map(make_landcover(), tmp_path / "plain.tif")
    assert "date        2020-06-01" in run("info", tmp_path / "plain.tif").output
