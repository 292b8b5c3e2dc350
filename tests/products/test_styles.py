"""Styles as files: QML and SLD of maps and of everything else that carries styles."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import geoclass
from geoclass.errors import OutputError, SettingsError
from geoclass.legend import EUROSAT, STATUS_STYLES
from geoclass.monitor.change import change_maps, write_change
from geoclass.products.files import write_map, write_styles
from tests.cli.test_commands import error, run
from tests.conftest import make_landcover
from tests.monitor.scenes import CROP, FOREST, make_map

SLD = "{http://www.opengis.net/sld}"
OGC = "{http://www.opengis.net/ogc}"
COLORS = {c.class_id: c.color for c in EUROSAT.classes} | {
    s.class_id: s.color for s in STATUS_STYLES
}


@pytest.fixture
def gpkg(tmp_path: Path) -> Path:
    path = tmp_path / "map.gpkg"
    write_map(make_landcover(), path)
    return path


def rules(path: Path) -> list[ET.Element]:
    return list(ET.parse(path).getroot().iter(f"{SLD}Rule"))


def test_a_map_has_each_style_in_both_languages(gpkg: Path) -> None:
    names = ["map_class", "map_confidence", "map_status"]
    paths = [gpkg.with_name(f"{name}{suffix}") for name in names for suffix in (".qml", ".sld")]
    assert geoclass.write_styles(gpkg) == paths
    found = {
        int(rule.findtext(f".//{OGC}Literal", "")): rule.findtext(f".//{SLD}CssParameter")
        for rule in rules(gpkg.with_name("map_class.sld"))
    }
    assert found == COLORS
    titles = [rule.findtext(f"{SLD}Title") for rule in rules(gpkg.with_name("map_status.sld"))]
    assert titles == ["Classified", "Unknown", "Masked"]


def test_every_confidence_falls_into_one_rule(gpkg: Path) -> None:
    write_styles(gpkg)
    compare = {
        f"{OGC}PropertyIsGreaterThanOrEqualTo": float.__ge__,
        f"{OGC}PropertyIsLessThan": float.__lt__,
        f"{OGC}PropertyIsLessThanOrEqualTo": float.__le__,
    }
    found = rules(gpkg.with_name("map_confidence.sld"))
    for value in (0.0, 0.3, 0.5, 0.849, 0.85, 0.99, 1.0):
        hits = [
            all(
                compare[test.tag](value, float(test.findtext(f"{OGC}Literal", "")))
                for test in rule.iter()
                if test.tag in compare
            )
            for rule in found
        ]
        assert sum(hits) == 1, value


def test_a_geotiff_has_color_maps_of_its_bands(tmp_path: Path) -> None:
    write_map(make_landcover(), tmp_path / "map.tif")
    write_styles(tmp_path / "map.tif")
    root = ET.parse(tmp_path / "map_class.sld").getroot()
    assert root.findtext(f".//{SLD}SourceChannelName") == "1"
    entries = {int(e.attrib["quantity"]): e.attrib for e in root.iter(f"{SLD}ColorMapEntry")}
    assert {code: entry["color"] for code, entry in entries.items()} == COLORS
    assert entries[9]["label"] == "Sea or lake"
    root = ET.parse(tmp_path / "map_confidence.sld").getroot()
    assert root.findtext(f".//{SLD}SourceChannelName") == "2"
    bounds = [float(e.attrib["quantity"]) for e in root.iter(f"{SLD}ColorMapEntry")]
    assert bounds == [49.5, 69.5, 84.5, 94.5, 100.5]


def test_another_legend_may_be_given(gpkg: Path, tmp_path: Path) -> None:
    legend = tmp_path / "own.json"
    legend.write_text('{"Forest": {"title": "Wald & Flur", "color": "#00ff00"}}')
    folder = tmp_path / "styles"
    folder.mkdir()
    out = run("style", gpkg, "-o", folder, "--legend", legend).output
    assert out.count("wrote") == 6
    forest = rules(folder / "map_class.sld")[1]
    assert forest.findtext(f"{SLD}Title") == "Wald & Flur"
    assert forest.findtext(f".//{SLD}CssParameter") == "#00ff00"
    assert 'label="Wald &amp; Flur"' in (folder / "map_class.qml").read_text()


def test_a_change_file_has_its_styles_too(tmp_path: Path) -> None:
    path = tmp_path / "change.gpkg"
    old, new = make_map([[FOREST, CROP]], "2020-01-01"), make_map([[CROP, CROP]], "2021-01-01")
    write_change(change_maps(old, new), path)
    names = {file.name for file in write_styles(path)}
    assert names == {
        f"change_{style}{suffix}"
        for style in ("probability_of_change", "status", "new_class")
        for suffix in (".qml", ".sld")
    }
    assert len(rules(tmp_path / "change_new_class.sld")) == len(COLORS)
    with pytest.raises(SettingsError, match="a legend applies only to maps"):
        write_styles(path, legend=tmp_path / "any.json")


def test_what_is_there_is_kept(gpkg: Path) -> None:
    kept = gpkg.with_name("map_status.sld")
    kept.write_text("mine")
    assert "map_status.sld exists: give --overwrite" in error("style", gpkg)
    assert not gpkg.with_name("map_class.qml").exists()
    run("style", gpkg, "--overwrite", "-q")
    assert "Classified" in kept.read_text()


def test_files_without_styles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no file at"):
        write_styles(tmp_path / "none.gpkg")
    (tmp_path / "text.gpkg").write_text("hello")
    with pytest.raises(OutputError, match=r"text.gpkg holds no styles .*give a map"):
        write_styles(tmp_path / "text.gpkg")


def test_alerts_show_their_pictures_from_beside_their_file(tmp_path: Path) -> None:
    maps = [make_map([[code]], f"{2015 + i}-06-01") for i, code in enumerate([1, 1, 0, 0])]
    geoclass.write_monitor(geoclass.monitor_maps(maps), tmp_path / "m.gpkg")
    paths = write_styles(tmp_path / "m.gpkg")
    (alerts,) = [path for path in paths if "alerts" in path.name and path.suffix == ".qml"]
    (field,) = ET.parse(alerts).getroot().iter("field")
    assert field.get("name") == "chip"
    told = {o.get("name"): o.get("value") for o in field.iter("Option")}
    assert told["DocumentViewer"] == "1"
    assert told["expression"] == "file_path(layer_property(@layer, 'path'))"
