"""Maps opened by QGIS itself, headless, as a user's drag and drop would."""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geoclass.errors import OutputError
from geoclass.legend import EUROSAT, STATUS_STYLES
from geoclass.monitor.files import write_monitor
from geoclass.monitor.history import monitor_maps
from geoclass.monitor.sampling import draw_sample, stratify_map, write_sample
from geoclass.products.files import write_map, write_styles
from geoclass.products.formats import FileSettings
from geoclass.products.styles import CLASSIFIED_COLOR, CONFIDENCE_COLORS
from tests.conftest import make_detailed, make_landcover
from tests.monitor.scenes import make_map, yearly

DESCRIBE = Path(__file__).with_name("describe.py")
PLAY = DESCRIBE.with_name("play.py")
EXPECTED = {c.title: c.color for c in EUROSAT.classes} | {s.title: s.color for s in STATUS_STYLES}


def run_in_qgis(qgis: tuple[str, ...], *arguments: object) -> str:
    """What a program that is run by QGIS's Python prints."""
    run = subprocess.run(
        [*qgis, *map(str, arguments)],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Warning" not in run.stderr, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of maps with the styles beside them."""
    folder = tmp_path_factory.mktemp("maps")
    for name in ("map.gpkg", "map.tif"):
        write_map(make_landcover(8, 8), folder / name)
        (folder / "styles" / name).mkdir(parents=True)
        write_styles(folder / name)
        for style in folder.glob("map_*"):
            style.rename(folder / "styles" / name / style.name)
    write_map(make_detailed(8, 8), folder / "detail.gpkg")
    return folder


STYLES = ("class", "confidence", "status")

Seen = dict[tuple[str, ...], dict[str, Any]]


@pytest.fixture(scope="module")
def seen(qgis: tuple[str, ...], maps: Path) -> Seen:
    """File, layer and style as QGIS describes them; in one process, because each takes seconds."""
    asked = [("map.gpkg", "landcover"), ("map.tif", "-")]
    asked += [("detail.gpkg", "detail"), ("detail.gpkg", "landcover")]
    styles = [
        (path, layer, str(maps / "styles" / path / f"map_{style}{suffix}"))
        for path, layer, suffix in (
            ("map.gpkg", "landcover", ".qml"),
            ("map.gpkg", "landcover", ".sld"),
            ("map.tif", "-", ".qml"),
        )
        for style in STYLES[: 2 if layer == "-" else 3]
    ]
    inside = [("map.gpkg", "landcover", style.capitalize()) for style in STYLES]
    every = [*asked, *styles, *inside]
    requests = [
        (str(maps / path), layer, str(maps / f"{number}.png"), *style)
        for number, (path, layer, *style) in enumerate(every)
    ]
    told = json.loads(run_in_qgis(qgis, DESCRIBE, json.dumps(requests)))
    return {
        (path, layer, *(Path(name).name for name in style)): description
        for (path, layer, *style), description in zip(every, told, strict=True)
    }


def test_geopackage_opens_with_its_default_style(seen: Seen) -> None:
    found = seen["map.gpkg", "landcover"]
    assert found["valid"]
    assert found["crs"] == "EPSG:32633"
    assert found["renderer"] == "categorizedSymbol"
    assert found["classes"] == EXPECTED
    assert found["styles"] == ["Class", "Confidence", "Status"]
    assert found["features"] == 63
    assert "Confidence (0–1)" in found["aliases"]
    assert len(set(found["shown"]) & set(EXPECTED.values())) >= 6


def test_detail_is_drawn_on_top_in_the_colours_of_the_legend(
    qgis: tuple[str, ...], maps: Path, seen: Seen
) -> None:
    """QGIS lists the layers of a file in their order, the first on top of the others."""
    code = (
        "import sys, os; from qgis.core import QgsApplication, QgsProviderRegistry\n"
        "a = QgsApplication([], False); a.initQgis()\n"
        "found = QgsProviderRegistry.instance().querySublayers(sys.argv[1])\n"
        "print([item.name() for item in found][:2]); sys.stdout.flush(); os._exit(0)"
    )
    listed = run_in_qgis(qgis, "-c", code, maps / "detail.gpkg")
    assert listed.startswith("['detail', 'landcover']")
    detail = seen["detail.gpkg", "detail"]
    assert detail["valid"]
    assert detail["classes"] == EXPECTED
    assert set(detail["shown"]) >= set(EXPECTED.values())
    assert {"Confidence (0–1)", "Cells"} <= set(detail["aliases"])
    assert "Share of water (0–1)" in seen["detail.gpkg", "landcover"]["aliases"]


SHADES = dict(
    zip(
        ("0% – 50%", "50% – 70%", "70% – 85%", "85% – 95%", "95% – 100%"),
        CONFIDENCE_COLORS,
        strict=True,
    )
)
STATUSES = {"Classified": CLASSIFIED_COLOR} | {s.title: s.color for s in STATUS_STYLES}


@pytest.mark.parametrize(
    ("style", "expected"), [("class", EXPECTED), ("confidence", SHADES), ("status", STATUSES)]
)
def test_styles_are_the_same_inside_and_as_files(
    seen: Seen, style: str, expected: dict[str, str]
) -> None:
    chosen = (style.capitalize(), f"map_{style}.qml", f"map_{style}.sld")
    found = [seen["map.gpkg", "landcover", each] for each in chosen]
    assert [each["classes"] for each in found] == [expected] * 3
    inside, *files = (set(each["shown"]) & set(expected.values()) for each in found)
    assert len(inside) >= 2
    assert files == [inside, inside]


@pytest.mark.parametrize(("style", "expected"), [("class", EXPECTED), ("confidence", SHADES)])
def test_styles_of_rasters_are_what_qgis_would_write(
    maps: Path, seen: Seen, style: str, expected: dict[str, str]
) -> None:
    """QGIS 3.22 writes SLD of rasters, but does not read it."""
    found = seen["map.tif", "-", f"map_{style}.qml"]
    assert found["classes"] == expected
    assert len(set(found["shown"]) & set(expected.values())) >= 3
    ours, theirs = (
        [(e.tag.partition("}")[2], e.text, e.attrib) for e in ET.parse(file).iter() if is_drawn(e)]
        for file in (maps / "styles" / "map.tif" / f"map_{style}.sld", found["sld"])
    )
    assert ours == theirs


def is_drawn(element: ET.Element) -> bool:
    return element.tag.endswith(("}SourceChannelName", "}ColorMapEntry"))


def test_geotiff_opens_with_names_and_colours(seen: Seen) -> None:
    found = seen["map.tif", "-"]
    assert found["valid"]
    assert found["crs"] == "EPSG:32633"
    assert found["renderer"] == "paletted"
    assert found["classes"] == EXPECTED
    landcover = make_landcover(8, 8)
    present = {EUROSAT[int(code)].color for code in np.unique(landcover.class_id) if code < 10}
    assert present <= set(found["shown"])
    assert found["categories"][: len(EUROSAT)] == [c.title for c in EUROSAT.classes]
    assert found["attributes"] == list(EXPECTED)


@pytest.mark.parametrize("dissolve", [False, True])
def test_geopackage_keeps_the_standard(
    qgis: tuple[str, ...], tmp_path: Path, dissolve: bool
) -> None:
    """GDAL's own validator, which comes with QGIS, has nothing to say."""
    settings = FileSettings(probabilities=not dissolve, dissolve=dissolve)
    write_map(make_detailed(), tmp_path / "map.gpkg", settings=settings)
    validator = [*qgis, "-m", "osgeo_utils.samples.validate_gpkg", tmp_path / "map.gpkg"]
    run = subprocess.run(validator, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    (tmp_path / "map.gpkg").write_text("no GeoPackage")
    assert subprocess.run(validator, capture_output=True, check=False).returncode != 0


def test_geopackage_that_qgis_edits_is_not_replaced(qgis: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    write_map(make_landcover(), path)
    code = (
        "import sys, os; from qgis.core import QgsApplication, QgsVectorLayer\n"
        "a = QgsApplication([], False); a.initQgis()\n"
        "layer = QgsVectorLayer(sys.argv[1] + '|layername=landcover', 's', 'ogr')\n"
        "print(layer.featureCount(), flush=True); sys.stdin.readline()\n"
        "print(layer.startEditing(), flush=True); sys.stdin.readline(); os._exit(0)"
    )
    with subprocess.Popen(
        [*qgis, "-c", code, path],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "11\n"
        write_map(make_landcover(), path)  # shown only
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "True\n"
        with pytest.raises(OutputError, match="open in another program, such as QGIS"):
            write_map(make_landcover(seed=1), path)
        process.communicate("\n")
    write_map(make_landcover(seed=1), path)


def test_monitor_file_plays_over_time(qgis: tuple[str, ...], tmp_path: Path) -> None:
    years = yearly(*([[1, 1], [1, 9]],) * 2, *([[0, 1], [1, 9]],) * 2, *([[0, 0], [1, 9]],) * 3)
    path = tmp_path / "monitor.gpkg"
    write_monitor(monitor_maps(years), path)
    crop, forest = EUROSAT[0].color, EUROSAT[1].color
    days = ("2016-01-01", "2018-01-01", "2020-12-01")
    for layer, shows in (
        ("series", [{forest}, {forest, crop}, {forest, crop}]),
        ("alerts", [set(), {"#bd0026"}, {"#bd0026"}]),
    ):
        steps = [text for d in days for text in (d, str(tmp_path / f"{layer}_{d}.png"))]
        run = subprocess.run(
            [*qgis, PLAY, path, layer, *steps],
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
            capture_output=True,
            text=True,
            check=True,
        )
        seen = json.loads(run.stdout)
        assert seen["valid"]
        assert seen["active"]
        assert seen["fields"] == ["valid_from", "valid_to"]
        for day, expected in zip(days, shows, strict=True):
            assert expected <= set(seen["shown"][day]), (layer, day)
        assert len({json.dumps(seen["shown"][day]) for day in days}) == 3


def test_sample_offers_the_classes_in_a_form(qgis: tuple[str, ...], tmp_path: Path) -> None:
    landcover = make_map([[0, 1, 9]] * 3).landcover
    write_sample(draw_sample(stratify_map(landcover)), tmp_path / "s.gpkg")
    code = (
        "import sys, os; from qgis.core import QgsApplication, QgsVectorLayer\n"
        "a = QgsApplication([], False); a.initQgis()\n"
        "layer = QgsVectorLayer(sys.argv[1] + '|layername=sample', 's', 'ogr')\n"
        "setup = layer.editorWidgetSetup(layer.fields().indexOf('reference'))\n"
        "print(setup.type(), setup.config()['map']); sys.stdout.flush(); os._exit(0)"
    )
    run = subprocess.run(
        [*qgis, "-c", code, tmp_path / "s.gpkg"],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("ValueMap")
    assert "'Sea or lake': 'SeaLake'" in run.stdout
