"""Legends."""

import pytest

from geoclass.legend import EUROSAT, MASKED, MAX_CLASSES, NODATA, UNKNOWN, LandClass, Legend


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


def test_classes_may_be_described() -> None:
    described = {"b": {"color": "#ff0000", "group": "warm"}, "a": {"title": "An a"}}
    one, other = Legend.for_names(["a", "b"], described).classes
    assert (one.title, other.color, other.group, other.title) == ("An a", "#ff0000", "warm", "b")


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"c": {}}, "c: no such class"),
        ({"a": {"colour": "red"}}, "colour of a: only color, group, title can be given"),
        ({"a": {"color": "red"}}, "color must look like"),
    ],
)
def test_senseless_descriptions_are_refused(
    described: dict[str, dict[str, str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Legend.for_names(["a", "b"], described)


def test_other_names_get_different_colours() -> None:
    legend = Legend.for_names([f"class {i}" for i in range(40)])
    assert len({c.color for c in legend.classes}) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_id": 250}, "class_id must be 0 … 249, got 250"),
        ({"name": ""}, "a class needs a name"),
        ({"color": "green"}, "color must look like"),
    ],
)
def test_impossible_class_is_refused(change: dict[str, object], message: str) -> None:
    fields = {"class_id": 0, "name": "a", "title": "A", "color": "#00ff00", "group": "g"}
    with pytest.raises(ValueError, match=message):
        LandClass(**{**fields, **change})


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="must differ"):
        Legend.for_names(["a", "a"])


def test_rgb_reads_the_colour() -> None:
    item = LandClass(class_id=0, name="a", title="A", color="#01ff10", group="g")
    assert item.rgb == (1, 255, 16)
