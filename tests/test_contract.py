"""Contracts."""

import json
from functools import reduce

import pytest

from geoclass.contract import Contract, TestScores
from geoclass.legend import Legend
from tests.conftest import make_contract

SCORES = TestScores(
    tiles=20,
    accuracy=0.9,
    macro_f1=0.9,
    calibration_error=0.1,
    unknown_share=0,
    corrupted={"blur": 0.8},
)


def test_json_round_trip() -> None:
    contract = make_contract(temperature=1.25, scores=SCORES)
    assert Contract.from_json(json.loads(json.dumps(contract.to_json()))) == contract


def test_newer_schema_is_refused_by_number() -> None:
    data = {**make_contract().to_json(), "schema_version": 99}
    with pytest.raises(ValueError, match="schema version 99"):
        Contract.from_json(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_shares": (1.0,)}, "must fit 10 classes"),
        ({"confusion": ((1,),)}, "must fit 10 classes"),
        ({"mean": (0.5,)}, "one value for each"),
        ({"legend": Legend.for_names(["a"])}, "two classes or more, got 1"),
    ],
)
def test_contradictions_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_contract(**change)


NAN, INFINITE = float("nan"), float("inf")
DEEP = json.loads("[" * 50 + "]" * 50)


@pytest.mark.parametrize(
    ("place", "values", "message"),
    [
        ("", ([], "x", None), "contract must be an object"),
        ("legend", (None, {}, 3), "legend must be a list"),
        ("legend", ([],), "two classes or more, got 0"),
        ("bands", (None, "B04", ["B04", "B03", "B08"], ["B02", "B03", "B04"]), "bands must be B04"),
        ("gsd_m", (0, -10, "10", None, NAN, INFINITE), "gsd_m must be a number from 0.1"),
        ("tile_size", (0, 63, -64, 64.0, "64", None, True), "tile_size must be 64"),
        ("radiometry", ("l2a", None, 8), "radiometry must be eurosat-l1c-8bit"),
        ("mean", (None, 0.5, ["0.5"] * 3, [NAN] * 3, [True] * 3), "mean must be numbers from"),
        ("std", ([0, 0.1, 0.1], [-0.1] * 3, [NAN] * 3, [INFINITE] * 3), "std must be numbers from"),
        ("temperature", (0, -1, "1", None, NAN, INFINITE), "temperature must be a number from"),
        ("cell_temperature", (0, -1, "1", NAN, True), "cell_temperature must be a number from"),
        (
            "confusion",
            ([[-1] * 10] * 10, [[0.5] * 10] * 10, [["1"]], "ab"),
            "must be rows of whole",
        ),
        (
            "class_shares",
            (["0.1"] * 10, [NAN] * 10, [-0.1] * 10, None),
            "must be numbers from 0 to",
        ),
        ("training", (None, [], "x"), "training must be an object"),
        ("training.data_set", (None, 3, ["a"]), "data_set must be a text"),
        ("training.recipe", (None, [], DEEP, {"a": DEEP}, {"augment": "all"}), "recipe must be an"),
        ("training.epoch", (0, -1, 1.5, "1", None, True), "epoch must be a whole number from 1"),
        (
            "training.validation_accuracy",
            (NAN, 1.5, -1, "0.9", None),
            "validation_accuracy must be",
        ),
        ("training.split", (None, [], "lists"), "split must be an object"),
        ("training.split.kind", ("half", None, []), "kind must be one of random, ground, lists"),
        (
            "training.split.seed",
            (-1, 0.5, "0", True),
            "seed must be a whole number from 0, or null",
        ),
        ("training.split.test_sha256", (None, 0), "test_sha256 must be a text"),
        ("training.split.train", (-1, 0.5, "72", None), "train must be a whole number from 0"),
        ("scores", ([], "x", 1), "scores must be an object"),
        ("scores.tiles", (-1, "20", None), "tiles must be a whole number"),
        ("scores.accuracy", (NAN, 90, "0.9", None), "accuracy must be a number from 0 to 1"),
        (
            "scores.corrupted",
            (None, [], {"blur": "0.8"}, {"blur": NAN}),
            "corrupted must be an obj",
        ),
    ],
)
def test_impossible_values_are_refused(
    place: str, values: tuple[object, ...], message: str
) -> None:
    *parents, key = f"whole.{place}".removesuffix(".").split(".")
    for value in values:
        data = {"whole": json.loads(json.dumps(make_contract(scores=SCORES).to_json()))}
        reduce(dict.__getitem__, parents, data)[key] = value
        with pytest.raises(ValueError, match=message) as caught:
            Contract.from_json(data["whole"])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key"),
    [("contract", "mean"), ("training", "epoch"), ("split", "seed"), ("scores", "tiles")],
)
def test_keys_that_lack_or_are_unknown_are_named(name: str, key: str) -> None:
    def find(data: dict) -> dict:
        return {"contract": data, "split": data["training"]["split"], **data}[name]

    lacking, more = (make_contract(scores=SCORES).to_json() for _ in range(2))
    del find(lacking)[key]
    find(more)["new"] = 1
    with pytest.raises(ValueError, match=f"{name} lacks {key}"):
        Contract.from_json(lacking)
    with pytest.raises(ValueError, match=rf"{name} has unknown fields: \['new'\]"):
        Contract.from_json(more)


def test_a_recipe_may_say_what_this_version_does_not_know() -> None:
    data = make_contract().to_json()
    data["training"]["recipe"] = {"augment": None, "patience": None, "new": {"a": [1, {"b": "c"}]}}
    assert Contract.from_json(data).training.recipe["new"] == {"a": [1, {"b": "c"}]}


def test_contracts_from_before_there_were_cells_have_none() -> None:
    data = make_contract(cell_temperature=1.5).to_json()
    assert Contract.from_json(data).cell_temperature == 1.5
    del data["cell_temperature"]
    assert Contract.from_json(data).cell_temperature is None
