"""What a page holds, whatever shows it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from click.testing import CliRunner

from geoclass.cli.main import main
from geoclass.errors import OutputError, SceneError
from geoclass.landcover import LandCoverMap
from geoclass.legend import EUROSAT, MASKED, UNKNOWN, Legend
from geoclass.monitor.files import write_monitor
from geoclass.monitor.history import monitor_maps
from geoclass.products.files import write_map
from geoclass.report.page.maps import build_map_sheets, drop_folders
from geoclass.report.page.pictures import ALL_PIXELS, Pictures
from geoclass.report.page.render import (
    ASSETS,
    LEAFLET_VERSION,
    read_sheets,
    render_page,
    write_report,
)
from geoclass.report.page.sheet import BINS, Picture, Sheet, Step
from geoclass.report.quicklook import read_picture
from geoclass.scene.radiometry.conversion import AIR_PATH_DN, AIR_TRANSMITTANCE
from tests.conftest import TRANSFORM, make_detailed, make_landcover, paint
from tests.monitor.scenes import make_map, yearly

Make = Callable[..., Path]

LEAFLET = {
    "leaflet.js": "db49d009c841f5ca34a888c96511ae936fd9f5533e90d8b2c4d57596f4e5641a",
    "leaflet.css": "a7837102824184820dfa198d1ebcd109ff6d0ff9a2672a074b9a1b4d147d04c6",
    "LICENSE": "53e8dc25862014e4324741ca18fbe3611e11d42ef69f59f86ea8c5389647d4cb",
}
"""SHA-256 of the files of leaflet-1.9.4.tgz, as the npm registry has it."""

TILE_CELLS = 172
"""Cells a side of a whole Sentinel-2 tile."""


def build(*maps: LandCoverMap) -> list[Sheet]:
    return build_map_sheets(maps, Pictures((), len(maps)))


def payload_of(page: str) -> dict[str, Any]:
    found = re.search(r'id="geoclass-data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_leaflet_is_the_released_one() -> None:
    for name, digest in LEAFLET.items():
        assert hashlib.sha256((ASSETS / "leaflet" / name).read_bytes()).hexdigest() == digest
    assert f"Leaflet {LEAFLET_VERSION}" in (ASSETS / "leaflet" / "leaflet.js").read_text()[:80]


def test_a_page_names_no_other_file_and_holds_the_licence() -> None:
    page = render_page(build(make_landcover()))
    marked_up = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', marked_up) == []
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "Redistributions of source code must retain the above copyright notice" in page
    assert "sourceMappingURL" not in page


def test_a_page_shows_the_finest_cells() -> None:
    landcover = make_detailed(4, 5)
    assert render_page(build(landcover)) == render_page(build(landcover.finest))


def test_a_page_holds_the_map_exactly() -> None:
    landcover = make_landcover(4, 5)
    data = payload_of(render_page(build(landcover)))
    step = data["sheets"][0]["steps"][0]

    def unpack(place: int, dtype: str = "u1") -> np.ndarray:
        return np.frombuffer(zlib.decompress(base64.b64decode(data["texts"][place])), dtype)

    np.testing.assert_array_equal(unpack(step["planes"]["class"]), landcover.class_id.ravel())
    np.testing.assert_array_equal(unpack(step["planes"]["best"]), landcover.best_class.ravel())
    np.testing.assert_allclose(
        unpack(step["weights"], "<f4"), landcover.grid.areas_ha().ravel(), rtol=1e-6
    )
    # 216 × 280 pixels of 10 m and a hair, in whole cells 256 × 320.
    assert step["extent"] == pytest.approx([0, 0, 2800, 2320], rel=1e-3)
    assert step["full"] == pytest.approx([0, 0, 3200, 2560], rel=1e-3)


def test_numbers_are_those_of_the_map() -> None:
    landcover = make_landcover(6, 7)
    (step,) = build(landcover)[0].steps
    lines = {line.title: line for block in step.areas for line in block.lines}
    for row in landcover.areas():
        if row.cells:
            assert lines[row.title].area_ha == pytest.approx(row.area_ha)
            assert lines[row.title].share == pytest.approx(row.share)
    heads = [block.head for block in step.areas if block.head]
    water = sum(r.area_ha for r in landcover.areas() if r.group == "water")
    assert [h.area_ha for h in heads if h.title == "Water"] == pytest.approx([water])
    assert step.unknown_share == pytest.approx((landcover.class_id == UNKNOWN).sum() / step.cells)
    assert step.masked_share == pytest.approx((landcover.class_id == MASKED).sum() / step.cells)
    assert sum(step.histogram) == pytest.approx(1)


def test_confidence_of_nothing_is_not_known() -> None:
    grid = make_map([[0, 1]]).landcover.grid

    def show(confidence: list[list[float]]) -> Step:
        codes = np.zeros((1, 2), np.uint8)
        return Step(
            label="", day=None, grid=grid, entries=(), codes=codes, confidence=np.array(confidence)
        )

    nothing = show([[np.nan, np.nan]])
    assert nothing.histogram == (0.0,) * BINS
    assert np.isnan(nothing.mean_confidence)
    step = show([[0.05, 1.0]])
    assert step.histogram[0] == step.histogram[-1] == 0.5
    assert step.mean_confidence == pytest.approx(0.525)


def test_places_are_told_apart() -> None:
    here = make_map([[0, 1], [2, 3]], "2020-06-01").landcover
    later = make_map([[0, 1], [2, 9]], "2022-06-01").landcover
    other_color = replace(EUROSAT[0], color="#123456")
    legend = Legend(classes=(other_color, *EUROSAT.classes[1:]))
    later = replace(later, contract=replace(later.contract, legend=legend))
    neighbour = make_map(
        [[0, 1], [2, 3]], transform=Affine.translation(1000, 0) @ TRANSFORM, scene="east.tif"
    ).landcover
    nowhere = replace(here, grid=replace(here.grid, crs=None))
    sheets = build(later, neighbour, here, nowhere)
    assert [len(sheet.steps) for sheet in sheets] == [2, 1, 1]
    assert [step.label for step in sheets[0].steps] == ["2020-06-01", "2022-06-01"]
    assert [curve.title for curve in sheets[0].curves][:2] == ["Crops", "Forest"]
    assert sheets[1].curves == ()
    page = render_page(sheets)
    assert "Land cover of 3 places" in page
    assert "areas are unknown" in page
    assert "nan" not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL).split()


def test_caveats_stand_in_the_page() -> None:
    base = make_map([[3, 8], [0, 1]]).landcover
    told = replace(base.provenance, masked_by=(), warnings=("the scene is dark",))
    (sheet,) = build(replace(base, provenance=told))
    assert sheet.steps[0].caveats[0] == "The scene is dark."
    assert "no scene classification" in sheet.steps[0].caveats[1]
    assert "A cell of class Highway or River is a square of 41 ha that" in sheet.caveats[0]
    assert "Validation accuracy of the model on" in sheet.caveats[1]
    (plain,) = build(make_map([[0, 1], [0, 1]]).landcover)
    assert not any("Highway" in text for text in plain.caveats)


def test_credit_is_given_where_it_is_due() -> None:
    base = make_map([[0, 1]], "2020-06-01").landcover
    later = make_map([[0, 1]], "2022-06-01").landcover
    maps = [
        replace(m, provenance=replace(m.provenance, mission="Sentinel-2")) for m in (base, later)
    ]
    (sheet,) = build(*maps)
    assert "Contains modified Copernicus Sentinel data 2020, 2022." in render_page([sheet])
    (unknown,) = build(replace(base, provenance=replace(base.provenance, mission=None)))
    assert "Copernicus" not in render_page([unknown])


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("geoclass map /home/u/a.tif -o /b.gpkg", "geoclass map a.tif -o b.gpkg"),
        ("map '/home/My Files/a b.tif' --aoi=/x/y.gpkg", "map 'a b.tif' --aoi=y.gpkg"),
        ("map 'C:\\Users\\u\\a.SAFE' -o D:/maps/", "map 'a.SAFE' -o maps/"),
        ("map scenes/a.tif https://x.org/a/b.tif -o ./b.tif", None),
        ('geoclass.map_scene("/home/u/a.tif")', 'geoclass.map_scene("a.tif")'),
    ],
)
def test_commands_are_shown_without_folders(command: str, shown: str | None) -> None:
    assert drop_folders(command) == (shown or command)


def test_scenes_that_nobody_named_are_not_opened(make_scene: Make, tmp_path: Path) -> None:
    scene = make_scene(paint([[0, 1], [2, 3]]))
    status = scene.stat()
    base = make_map([[0, 1], [2, 3]]).landcover
    source = {
        "path": str(scene), "bytes": status.st_size, "modified_ns": status.st_mtime_ns,
    }  # fmt: skip
    named = replace(base, provenance=replace(base.provenance, source=source))
    assert build(named)[0].steps[0].picture is None


def test_scenes_that_show_nothing_are_refused(make_scene: Make, tmp_path: Path) -> None:
    write_map(make_map([[0, 1], [2, 3]]).landcover, tmp_path / "map.tif")
    away = make_scene(
        paint([[0, 1], [2, 3]]), "away.tif", transform=Affine.translation(9e4, 0) @ TRANSFORM
    )
    with pytest.raises(SceneError, match="away.tif shows none of the maps"):
        read_sheets([tmp_path / "map.tif"], [str(away)])
    with pytest.raises(SceneError, match="no scene at"):
        read_sheets([tmp_path / "map.tif"], [str(tmp_path / "none.tif")])


def test_a_scene_of_the_day_lies_behind_a_series(make_scene: Make, tmp_path: Path) -> None:
    write_monitor(monitor_maps(yearly([[1, 1]], [[1, 0]])), tmp_path / "m.gpkg")
    own = make_scene(paint([[1, 0]]), "other_2016-06-01.tif")
    undated = make_scene(paint([[1, 0]]), "undated.tif")
    for scenes, first in (([own], None), ([own, undated], "undated.tif")):
        (sheet,) = read_sheets([tmp_path / "m.gpkg"], [str(scene) for scene in scenes])
        labels = [step.picture and step.picture.label for step in sheet.steps]
        assert labels == [first, "other_2016-06-01.tif"]


def test_scenes_of_other_days_are_refused(make_scene: Make, tmp_path: Path) -> None:
    write_monitor(monitor_maps(yearly([[1, 1]], [[1, 0]])), tmp_path / "m.gpkg")
    scene = make_scene(paint([[1, 0]]), "other_2019-06-01.tif")
    with pytest.raises(SceneError, match="other_2019-06-01.tif shows none of the maps"):
        read_sheets([tmp_path / "m.gpkg"], [str(scene)])


def test_a_series_has_alerts_zones_and_transitions(tmp_path: Path) -> None:
    years = yearly([[1, 1]], [[1, 1]], [[0, 1]], [[0, 1]])
    zones = {"west": np.array([1.0, 0.0])}
    write_monitor(monitor_maps(years), tmp_path / "m.gpkg", zones=zones)
    (sheet,) = read_sheets([tmp_path / "m.gpkg"])
    (alert,) = sheet.outlines
    assert (alert.alert.group, alert.became, alert.zones) == ("forest", "Annual crop", "west")
    assert set(alert.rings[0]) == {(0, 0), (64, 0), (64, 64), (0, 64)}
    assert sheet.matrix is not None
    assert sheet.matrix.titles == ("Annual crop", "Forest")
    np.testing.assert_allclose(sheet.matrix.hectares, [[0, 0], [40.96, 40.96]], rtol=1e-3)
    page = render_page([sheet])
    assert "1 alert of lost forest, 41 ha in total." in page
    assert "Show alert 1 on the map" in page


def test_a_whole_tile_takes_less_than_five_megabytes() -> None:
    landcover = make_landcover(TILE_CELLS, TILE_CELLS)  # at random: the worst to pack
    (sheet,) = build(landcover)
    generator = np.random.default_rng(0)
    fields = generator.integers(40, 200, (150, 150, 3)).repeat(20, axis=0).repeat(20, axis=1)
    assert fields.shape[0] * fields.shape[1] == ALL_PIXELS
    noisy = np.clip(fields + generator.normal(0, 12, fields.shape), 0, 255)
    pixels = np.dstack([noisy, np.full(noisy.shape[:2], 255)]).astype(np.uint8)
    pictured = replace(sheet.steps[0], picture=Picture(pixels=pixels, label="noise"))
    page = render_page([replace(sheet, steps=(pictured,))])
    assert len(page.encode()) < 5e6


def test_a_folder_stands_for_its_maps(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    with pytest.raises(OutputError, match="no map of geoclass in the folder"):
        read_sheets([folder])
    (folder / "summary.json").write_text("{}")
    (folder / "table.csv").write_text("")
    for shift, name in ((0, "west"), (5000, "east")):
        transform = Affine.translation(shift, 0) @ TRANSFORM
        landcover = make_map([[0, 1]], transform=transform, scene=f"{name}.tif").landcover
        write_map(landcover, folder / f"{name}.tif")
    sheets = read_sheets([folder])
    assert [sheet.title for sheet in sheets] == ["east.tif", "west.tif"]
    page = render_page(sheets)
    assert '<a href="#place-2">west.tif</a>' in page
    assert "81.9" in page.partition("</nav>")[0]


class TestCommand:
    """geoclass report"""

    def run(self, *args: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["report", *map(str, args)])
        return result.exit_code, result.output

    def test_it_writes_a_page_once(self, tmp_path: Path) -> None:
        write_map(make_landcover(), tmp_path / "map.gpkg")
        page = tmp_path / "page.html"
        code, out = self.run(tmp_path / "map.gpkg", "-o", page, "--title", "Our valley")
        assert (code, out) == (0, f"wrote {page}, 0.2 MB\n")
        assert "<title>Our valley</title>" in page.read_text()
        before = page.read_bytes()
        code, out = self.run(tmp_path / "map.gpkg", "-o", page)
        assert code == 1
        assert "give --overwrite" in out
        assert page.read_bytes() == before

    def test_other_files_are_refused_in_one_line(self, tmp_path: Path) -> None:
        other = tmp_path / "other.gpkg"
        other.write_text("no database")
        for path, words in (
            (other, "cannot open"),
            (tmp_path / "none.gpkg", "no file at"),
            (tmp_path / "page.html", "no file at"),
        ):
            code, out = self.run(path, "-o", tmp_path / "page.html")
            assert code == 1
            assert words in out
            assert out.startswith("Error: ")
            assert out.count("\n") == 1
        text = tmp_path / "text.txt"
        text.write_text("words")
        assert "is no map, change or monitor file" in self.run(text, "-o", tmp_path / "p.html")[1]
        assert "must end in .html" in self.run(text, "-o", tmp_path / "p.pdf")[1]
        assert not (tmp_path / "page.html").exists()


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    write_map(make_landcover(), tmp_path / "map.gpkg")
    with pytest.raises(OutputError, match="cannot write"):
        write_report([tmp_path / "map.gpkg"], tmp_path / "none" / "page.html")


def test_pictures_show_the_ground_without_the_air(make_scene: Make) -> None:
    """Grey ground under a typical atmosphere, which is bluish, is drawn grey."""
    rows = np.linspace(200, 2000, 128)
    grey = np.stack([rows] * 128, axis=1)
    for level in ("Level-1C", "Level-2A"):
        seen = [
            path + air * grey if level == "Level-1C" else grey
            for path, air in zip(AIR_PATH_DN, AIR_TRANSMITTANCE, strict=True)
        ]
        tags = {"PROCESSING_LEVEL": level, "PROCESSING_BASELINE": "02.04"}
        scene = make_scene(np.stack(seen).astype(np.uint16), f"{level}.tif", tags=tags)
        grid = replace(make_landcover().grid, height=128, width=128)
        picture = read_picture(scene, grid)[..., :3].astype(int)
        assert np.ptp(picture, axis=2).max() <= 6, level
        assert picture.max() - picture.min() > 200
