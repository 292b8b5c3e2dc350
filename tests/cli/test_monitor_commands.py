"""geoclass change, monitor, sample and assess, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image

from geoclass.monitor.files import write_monitor
from geoclass.monitor.history import monitor_maps
from geoclass.products.files import read_map, write_map
from geoclass.products.mosaic import merge_maps, write_mosaic
from geoclass.report.page.render import read_sheets, render_page
from tests.cli.test_commands import error, run
from tests.conftest import TRANSFORM, UTM, paint
from tests.monitor.scenes import CLOUD, CROP, FOREST, WATER, make_map

Make = Callable[..., Path]
F, C, W, X = FOREST, CROP, WATER, CLOUD


@pytest.fixture
def maps(tmp_path: Path) -> list[Path]:
    """Four yearly maps; one cell of three loses its forest in the third."""
    paths = []
    for year, codes in zip(
        range(2015, 2019), ([F, F, W], [F, F, W], [C, F, X], [C, F, W]), strict=True
    ):
        path = tmp_path / f"map_{year}.tif"
        write_map(make_map([codes], f"{year}-06-01").landcover, path)
        paths.append(path)
    return paths


def merge(maps: list[Path], output: Path) -> None:
    """As `geoclass map SCENES… -o FILE.gpkg` leaves them."""
    folder = output.with_name(f"{output.stem}.scenes")
    folder.mkdir()
    for path in maps:
        write_map(read_map(path), folder / f"{path.stem}.gpkg")
    found = [read_map(path) for path in maps]
    write_mosaic(merge_maps(found), found, output)


class TestChange:
    """geoclass change"""

    def test_first_line_says_what_error_alone_would_do(
        self, maps: list[Path], tmp_path: Path
    ) -> None:
        out = run("change", maps[0], maps[3], "-o", tmp_path / "c.gpkg").output.splitlines()
        assert "misclassification alone would make" in out[0]
        assert "labels differ in 33.3% of 3 cells" in out[0]
        assert out[-1] == f"wrote {tmp_path / 'c.gpkg'}"
        layers = {name for name, _ in pyogrio.list_layers(tmp_path / "c.gpkg")}
        assert {"change", "transitions", "areas", "layer_styles"} <= layers

    def test_bad_input_is_one_line_and_leaves_nothing(
        self, maps: list[Path], tmp_path: Path
    ) -> None:
        target = tmp_path / "c.gpkg"
        assert "give the older one first" in error("change", maps[1], maps[0], "-o", target)
        assert "must end in .gpkg" in error("change", *maps[:2], "-o", tmp_path / "c.tif")
        assert "hold maps of 4 dates: comp" in error("change", maps[0], tmp_path, "-o", target)
        dates = ("--date", "2020-01-01")
        assert "1 dates were given for 2 inputs" in error("change", *maps[:2], *dates, "-o", target)
        assert "no scene at" in error("change", maps[0], tmp_path / "none.tif", "-o", target)
        target.write_text("mine")
        assert "give --overwrite" in error("change", *maps[:2], "-o", target)
        assert target.read_text() == "mine"

    def test_scenes_are_mapped_first_on_one_grid(
        self, make_scene: Make, dense_model: Path, tmp_path: Path
    ) -> None:
        # Neither begins at whole multiples of a cell, nor where the other does.
        shifted = TRANSFORM @ rasterio.Affine.translation(13, 0)
        one = make_scene(paint([[0, 1, 2]] * 3), "a_20200101.tif")
        two = make_scene(paint([[0, 1, 2]] * 3), "b_20210101.tif", transform=shifted)
        out = run(
            "change", one, two, "-o", tmp_path / "c.gpkg", "-m", dense_model, "--stride", "32",
            "--detail", "none",
        ).output  # fmt: skip
        assert "2020-01-01 to 2021-01-01" in out
        cells = pyogrio.read_dataframe(tmp_path / "c.gpkg", layer="change")
        assert cells["area_ha"].max() == pytest.approx(10.24, rel=1e-3)
        assert {"changed", "no change", "no claim"} >= set(cells["status"])


class TestMonitor:
    """geoclass monitor"""

    def test_all_outputs_are_written(self, maps: list[Path], tmp_path: Path) -> None:
        west = shapely.box(TRANSFORM.c, TRANSFORM.f - 640, TRANSFORM.c + 700, TRANSFORM.f)
        zones = tmp_path / "zones.geojson"
        gpd.GeoDataFrame({"name": ["west"]}, geometry=[west], crs=UTM).to_file(zones)
        out = run(
            "monitor", *maps, "-o", tmp_path / "m.gpkg", "--tables", tmp_path / "t",
            "--chart", tmp_path / "areas.png", "--alerts", tmp_path / "alerts.tif",
            "--zones", zones,
        ).output  # fmt: skip
        assert "forest    high     2016-06-01  2017-06-01" in out
        with rasterio.open(tmp_path / "alerts.tif") as file:
            assert file.read(1).tolist() == [[30883, 0, 0]]
        with Image.open(tmp_path / "areas.png") as chart:
            assert chart.width > chart.height
        areas = (tmp_path / "t" / "areas.csv").read_text()
        assert areas.startswith("zone,date,group,area_ha,share\n")
        assert "west,2018-06-01,forest" in areas
        assert (tmp_path / "t" / "transitions.csv").exists()
        alerts = pyogrio.read_dataframe(tmp_path / "m.gpkg", layer="alerts")
        assert alerts["zone"].tolist() == ["west"]

    def test_folder_and_merged_file_stand_for_their_maps(
        self, maps: list[Path], tmp_path: Path
    ) -> None:
        """Two places: one with all dates, one with two of them."""
        east = TRANSFORM @ Affine.translation(3 * 64, 0)
        for year in (2015, 2018):
            dated = make_map([[F, C]], f"{year}-06-01", transform=east, scene=f"east_{year}.tif")
            maps.append(tmp_path / f"map_east_{year}.tif")
            write_map(dated.landcover, maps[-1])
        merge(maps, tmp_path / "all.gpkg")
        (tmp_path / "all.scenes" / "summary.json").write_text("{}")
        written = []
        for name, inputs in (
            ("maps", maps),
            ("folder", [tmp_path / "all.scenes"]),
            ("merged", [tmp_path / "all.gpkg"]),
        ):
            written.append(tmp_path / f"{name}_monitor.gpkg")
            run("monitor", *inputs, "-o", written[-1])
        for layer in ("series", "alerts", "areas", "transitions", "history"):
            first, *others = (pyogrio.read_dataframe(path, layer=layer) for path in written)
            assert len(first)
            assert all(first.equals(other) for other in others), layer
        (tmp_path / "all.scenes" / "map_2016.gpkg").unlink()
        found = error("monitor", tmp_path / "all.gpkg", "-o", tmp_path / "m.gpkg")
        assert "1 of the maps that" in found
        assert "(scene_20160601.tif) are not in" in found

    def test_update_equals_all_at_once(self, maps: list[Path], tmp_path: Path) -> None:
        one, other = tmp_path / "one.gpkg", tmp_path / "other.gpkg"
        run("monitor", *maps, "-o", one)
        run("monitor", *maps[:2], "-o", other)
        for path in maps[2:]:
            run("monitor", "--update", other, path)
        for layer in ("series", "alerts", "areas", "transitions", "history"):
            a, b = (pyogrio.read_dataframe(path, layer=layer) for path in (one, other))
            assert a.equals(b), layer
        before = other.read_bytes()
        assert "already reaches 2018-06-01" in error("monitor", "--update", other, maps[3])
        assert "no new scenes" in error("monitor", "--update", other)
        assert other.read_bytes() == before

    def test_bad_input_is_one_line_and_leaves_nothing(
        self, maps: list[Path], tmp_path: Path
    ) -> None:
        folder = tmp_path / "out"
        folder.mkdir()
        target = folder / "m.gpkg"
        assert "all maps are of one date" in error("monitor", maps[0], "-o", target)
        assert "no maps were given" in error("monitor", "-o", target)
        assert "either -o" in error("monitor", *maps)
        twice = ("--date", "2020-01-01", "--date", "2020-01-01")
        assert "all maps are of one date" in error("monitor", *maps[:2], *twice, "-o", target)
        assert "no scene at" in error("monitor", *maps, tmp_path / "none.tif", "-o", target)
        assert "wood is not a group" in error("monitor", *maps, "-o", target, "--watch", "wood")
        assert "below 1 change a year" in error("monitor", *maps, "-o", target, "--rate", "2")
        other = make_map([[F, F, F]], "2019-01-01", provenance={"model": "ef" * 32}).landcover
        write_map(other, tmp_path / "other.tif")
        two = (maps[0], tmp_path / "other.tif")
        assert "--allow-mismatch" in error("monitor", *two, "-o", target)
        assert list(folder.iterdir()) == []
        out = run("monitor", *maps, tmp_path / "other.tif", "-o", target, "--allow-mismatch")
        assert "Warning: compared although" in out.stderr
        assert "OLD:NEW=RATE" in run("monitor", "--rate-of", "x", code=2).stderr

    def test_a_refused_scene_does_not_stop_the_run(
        self, make_scene: Make, dense_model: Path, tmp_path: Path
    ) -> None:
        ground = paint([[0, 1, 2]] * 3)
        scenes = [
            make_scene(ground, "a_20200101.tif"),
            make_scene(np.full_like(ground, 245), "b_20200601.tif"),
            make_scene(ground, "c_20210101.tif"),
            tmp_path / "d_20210601.tif",
        ]
        scenes[3].write_bytes(scenes[0].read_bytes()[:5000])
        options = ("-m", dense_model, "--detail", "none")
        target = tmp_path / "m.gpkg"
        out = run("monitor", *scenes, "-o", target, *options)
        assert "skipped     2 scenes or maps" in out.output
        overcast, broken = out.stderr.splitlines()
        assert overcast.startswith("Warning: skipped b_20200601.tif of 2020-06-01 (")
        assert "overcast" in overcast
        assert broken.startswith("Warning: skipped d_20210601.tif of 2021-06-01 (")
        # The file remembers them, and an update tells of its own alone.
        later = make_scene(np.full_like(ground, 245), "e_20220101.tif")
        out = run("monitor", "--update", target, later, *options)
        assert out.stderr.startswith("Warning: skipped e_20220101.tif of 2022-01-01 (")
        table = pyogrio.read_dataframe(target, layer="dates")
        assert table["status"].tolist() == ["used"] * 2 + ["left out"] * 3
        assert "overcast" in error("change", scenes[0], scenes[1], "-o", tmp_path / "c.gpkg",
                                   *options)  # fmt: skip

    def test_map_and_monitor_read_the_same_day(
        self, make_scene: Make, dense_model: Path, tmp_path: Path
    ) -> None:
        ground = paint([[0, 1, 2]] * 3)
        options = ("-m", dense_model, "--detail", "none")
        scenes = [make_scene(ground, name) for name in ("pisa_20180211.tif", "pisa_15062019.tif")]
        for scene in scenes:
            out = run(
                "map", scene, "-o", tmp_path / f"{scene.stem}.gpkg", "--snap", *options
            ).output
            assert ("2018-02-11" in out) == (scene == scenes[0])
            assert ("2019-06-15" in out) == (scene == scenes[1])
        out = run("monitor", *scenes, "-o", tmp_path / "m.gpkg", *options).output
        assert "dates       2018-02-11, 2019-06-15" in out


class TestPlots:
    """geoclass plots"""

    def test_verdicts_are_counted_and_written(self, maps: list[Path], tmp_path: Path) -> None:
        monitor, target = tmp_path / "m.gpkg", tmp_path / "v.geojson"
        run("monitor", *maps, "-o", monitor)
        left, top = TRANSFORM.c, TRANSFORM.f
        boxes = [shapely.box(left + 640 * i, top - 640, left + 640 * (i + 1), top) for i in (0, 1)]
        plots = tmp_path / "plots.gpkg"
        frame = gpd.GeoDataFrame({"farm": ["a", "b", "c"]}, geometry=[*boxes, None], crs=UTM)
        frame.to_file(plots)
        asked = ("--forest-on", "2016-06-01", "--id", "farm")
        out = run("plots", plots, monitor, "-o", target, *asked)
        lines = out.stdout.splitlines()
        assert [line.split()[-1] for line in lines[:3]] == ["1", "1", "1"]
        assert "not a legal determination" in lines[3]
        assert lines[4] == f"wrote {target}"
        assert out.stderr == "Warning: 1 plot (plotId 3): was rejected: it has no geometry\n"
        found = gpd.read_file(target).set_index("external_id")
        assert found["verdict"].to_dict() == {
            "a": "loss detected", "b": "no loss detected", "c": "cannot tell",
        }  # fmt: skip
        assert "give --overwrite" in error("plots", plots, monitor, "-o", target, *asked)
        assert "--forest-on" in error("plots", plots, monitor, "-o", tmp_path / "w.csv")
        assert "must end in" in error("plots", plots, monitor, "-o", tmp_path / "w.shp")
        assert "no monitor file" in error("plots", plots, plots, "-o", tmp_path / "w.csv")
        assert not (tmp_path / "w.csv").exists()

    def test_alerts_have_pictures_before_and_after(self, make_scene: Make, tmp_path: Path) -> None:
        paths = []
        for year, codes in zip(range(2015, 2019), ([F, F], [F, F], [C, F], [C, F]), strict=True):
            scene = make_scene(paint([codes]), f"scene_{year}.tif")
            told = {"source": {"path": str(scene)}}
            paths.append(tmp_path / f"map_{year}.tif")
            write_map(make_map([codes], f"{year}-06-01", provenance=told).landcover, paths[-1])
        target = tmp_path / "m.gpkg"
        out = run("monitor", *paths, "-o", target, "--chips", tmp_path / "chips").output
        assert "drew 1 of 1 alerts" in out
        (name,) = pyogrio.read_dataframe(target, layer="alerts")["chip"]
        assert name == "chips/0001.png"
        with Image.open(tmp_path / name) as chip:
            pixels = np.asarray(chip.convert("RGB")).astype(int)
        half = pixels.shape[1] // 2
        before, after = pixels[60, half // 3], pixels[60, half + half // 3]
        assert before.tolist() != after.tolist()
        np.testing.assert_array_equal(pixels[60, half - 10], pixels[60, -5])  # it stands there
        (sheet,) = read_sheets([target])
        assert sheet.outlines[0].chip is not None
        assert "data:image/webp" in render_page([sheet])
        # A scene that is gone is no picture, and a name that leads elsewhere is not followed.
        (tmp_path / "scene_2017.tif").unlink()
        (tmp_path / "scene_2018.tif").unlink()
        out = run("monitor", *paths, "-o", target, "--chips", tmp_path / "c", "--overwrite").output
        assert "drew 0 of 1 alerts" in out
        Image.new("RGB", (9, 9)).save(tmp_path / "private.png")
        folder = tmp_path / "sent"
        folder.mkdir()
        chips = {1: "../private.png"}
        write_monitor(
            monitor_maps([read_map(path) for path in paths]), folder / "m.gpkg", chips=chips
        )
        assert read_sheets([folder / "m.gpkg"])[0].outlines[0].chip is None


class TestSampleAndAssess:
    """geoclass sample, geoclass assess"""

    def test_a_sample_with_pictures_is_drawn_labelled_and_assessed(
        self, make_scene: Make, random_model: Path, tmp_path: Path
    ) -> None:
        scene = make_scene(paint([[0, 1, 2, 3]] * 4))
        path = tmp_path / "map.gpkg"
        write_map(make_map([[F, F, C, C]] * 4).landcover, path)
        sample = tmp_path / "s.gpkg"
        out = run("sample", path, "-o", sample, "--per-class", "4", "--scene", scene).output
        assert "Annual crop" in out
        chips = sorted((tmp_path / "s_chips").iterdir())
        assert len(chips) == 8
        with Image.open(chips[0]) as chip:
            assert len(set(np.asarray(chip.convert("L")).ravel().tolist())) > 3
        assert "8 of 8 samples" in error("assess", sample)
        assert "give --overwrite" in error("sample", path, "-o", sample)

    def test_a_table_of_counts_is_assessed(self, tmp_path: Path) -> None:
        table = tmp_path / "olofsson.csv"
        table.write_text(
            "stratum,area_ha,deforestation,gain,forest,other\n"
            "deforestation,18000,66,0,5,4\ngain,13500,0,55,8,12\n"
            "forest,288000,1,0,153,11\nother,580500,2,1,9,313\n"
        )
        out = run("assess", table).output
        assert "21,158 ± 6,158" in out
        assert "overall accuracy 0.947 ± 0.018" in out
        data = json.loads(run("assess", table, "--json").output)
        assert data["samples"] == 640
