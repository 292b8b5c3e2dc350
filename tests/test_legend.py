"""Legends."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from colorspacious import cspace_convert
from skimage.color import deltaE_ciede2000, rgb2lab

from geoclass.errors import SettingsError
from geoclass.legend import (
    EUROSAT,
    MASKED,
    MAX_CLASSES,
    NODATA,
    STATUS_STYLES,
    UNKNOWN,
    LandClass,
    Legend,
    read_legend,
)


def test_eurosat_is_alphabetical_with_the_groups_of_the_field() -> None:
    assert EUROSAT.names == sorted(EUROSAT.names)
    assert len(EUROSAT) == 10
    groups = {c.name: c.group for c in EUROSAT.classes}
    assert groups["Forest"] == "forest"
    assert groups["SeaLake"] == groups["River"] == "water"
    assert set(groups.values()) == {"forest", "crops", "grassland", "built_up", "water"}


def test_codes_of_statuses_stay_clear_of_classes() -> None:
    assert min(UNKNOWN, MASKED, NODATA) >= MAX_CLASSES


def test_json_round_trip() -> None:
    assert Legend.from_json(EUROSAT.to_json()) == EUROSAT


def test_known_names_get_the_known_legend() -> None:
    assert Legend.for_names(EUROSAT.names) == EUROSAT


def test_known_classes_look_as_they_are_known() -> None:
    """Whatever stands beside them, and so that nothing else looks like them."""
    own = Legend.for_names(["Heath"]).described('{"Heath": {"color": "#123456", "group": "wild"}}')
    legend = Legend.for_names(["Forest", "Heath", "SeaLake", "Vineyard"], own)
    forest, heath, lake, vineyard = legend.classes
    assert (forest.color, forest.group) == (EUROSAT[1].color, "forest")
    assert (heath.class_id, heath.color, heath.group) == (1, "#123456", "wild")
    assert closest([forest.color, lake.color, heath.color, vineyard.color], "normal") >= 8
    assert (vineyard.title, vineyard.group) == ("Vineyard", "Vineyard")


def test_classes_may_be_described() -> None:
    text = '{"b": {"color": "#FF0000", "group": "warm"}, "a": {"title": "An a"}}'
    one, other = Legend.for_names(["a", "b"]).described(text).classes
    assert (one.title, other.color, other.group, other.title) == ("An a", "#ff0000", "warm", "b")
    assert one.color == Legend.for_names(["a", "b"])[0].color


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "Expecting value"),
        ('["a"]', "Expected `object`, got `array`"),
        ('{"a": "#ff0000"}', "Expected `object`, got `str`"),
        ('{"c": {}}', "c: no such class"),
        ('{"a": {"colour": "red"}}', "colour of a: only color, group, title can be given"),
        ('{"a": {"color": "red"}}', "color of .* must look like"),
        ('{"a": {"title": 3}}', "Expected `str`, got `int`"),
        ('{"a": {"group": " "}}', "group of a must be a text, got ' '"),
        ('{"a": {"title": "\\ud800"}}', "must not contain half a surrogate pair"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_senseless_descriptions_are_refused(text: str, message: str, tmp_path: Path) -> None:
    legend = Legend.for_names(["a", "b"])
    with pytest.raises(ValueError, match=message):
        legend.described(text)
    file = tmp_path / "legend.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=f"cannot be used .*{message}.*expected .*among a, b"):
        read_legend(file, legend)


def test_a_legend_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the legend .*No such file"):
        read_legend(tmp_path / "none.json", EUROSAT)


EYES = {
    "normal": None,
    "no green": {"name": "sRGB1+CVD", "cvd_type": "deuteranomaly", "severity": 100},
    "no red": {"name": "sRGB1+CVD", "cvd_type": "protanomaly", "severity": 100},
}
"""Machado, Oliveira and Fernandes 2009, at severity 1: deuteranopia and protanopia."""


def closest(colors: list[str], eyes: str) -> float:
    """The smallest ΔE2000 between any two colours, as those eyes see them."""
    seen = np.array([[int(color[k : k + 2], 16) for k in (1, 3, 5)] for color in colors]) / 255
    if EYES[eyes]:
        seen = np.clip(cspace_convert(seen, EYES[eyes], "sRGB1"), 0, 1)
    lab = rgb2lab(seen)
    return min(float(deltaE_ciede2000(one, other)) for one, other in combinations(lab, 2))


STATUS_COLORS = [status.color for status in STATUS_STYLES]


@pytest.mark.parametrize(("eyes", "least"), [("normal", 15), ("no green", 10), ("no red", 10)])
def test_colour_blind_people_can_tell_the_classes_apart(eyes: str, least: float) -> None:
    assert closest([c.color for c in EUROSAT.classes] + STATUS_COLORS, eyes) >= least


@pytest.mark.parametrize("eyes", EYES)
def test_twenty_classes_of_any_name_can_be_told_apart(eyes: str) -> None:
    legend = Legend.for_names([f"class {i}" for i in range(20)])
    assert closest([c.color for c in legend.classes] + STATUS_COLORS, eyes) >= 8


def test_other_names_get_different_colours() -> None:
    legend = Legend.for_names([f"class {i}" for i in range(40)])
    assert len({c.color for c in legend.classes}) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_id": 250}, "class_id must be 0 … 249, got 250"),
        ({"name": ""}, "a class needs a name"),
        ({"color": "green"}, "color of .* must look like"),
        ({"color": None}, "color of a class must be a text, got None"),
        ({"name": 3}, "name of a class must be a text, got 3"),
        ({"title": ["A"]}, r"title of a class must be a text, got \['A'\]"),
        ({"group": True}, "group of a class must be a text, got True"),
    ],
)
def test_impossible_class_is_refused(change: dict[str, object], message: str) -> None:
    fields = {"class_id": 0, "name": "a", "title": "A", "color": "#00ff00", "group": "g"}
    with pytest.raises(ValueError, match=message):
        LandClass(**{**fields, **change})


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("AnnualCrop", "legend must be a list, got 'AnnualCrop'"),
        ({"AnnualCrop": {}}, "legend must be a list"),
        (["AnnualCrop"], "a class must have name, title, color, group, got 'AnnualCrop'"),
        ([{"name": "a"}], "a class must have name, title, color, group, got {'name': 'a'}"),
        ([{**EUROSAT.to_json()[0], "class_id": 0}], "a class must have name, title, color, group"),
    ],
)
def test_other_json_is_no_legend(items: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Legend.from_json(items)


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="must differ"):
        Legend.for_names(["a", "a"])


def test_rgb_reads_the_colour() -> None:
    item = LandClass(class_id=0, name="a", title="A", color="#01ff10", group="g")
    assert item.rgb == (1, 255, 16)
