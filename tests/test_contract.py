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
        ("", ([], "x", None), "contract: Expected `object`"),
        ("legend", (None, {}, 3), "legend must be a list"),
        ("legend", ([],), "two classes or more, got 0"),
        (
            "bands",
            (None, "B04", ["B04", "B03", "B08"], ["B02", "B03", "B04"]),
            r"contract.bands(\[\d\])?: (Expected|Invalid)",
        ),
        ("gsd_m", (0, -10, "10", None, NAN, INFINITE), "contract.gsd_m: Expected `float`"),
        (
            "tile_size",
            (0, 63, -64, 64.0, "64", None, True),
            "contract.tile_size: (Expected|Invalid)",
        ),
        ("radiometry", ("l2a", None, 8), "contract.radiometry: (Expected|Invalid)"),
        (
            "mean",
            (None, 0.5, [0.5], ["0.5"] * 3, [NAN] * 3, [True] * 3),
            "contract.mean.*: Expected",
        ),
        ("std", ([0, 0.1, 0.1], [-0.1] * 3, [NAN] * 3, [INFINITE] * 3), "contract.std.*: Expected"),
        (
            "temperature",
            (0, -1, "1", None, NAN, INFINITE),
            "contract.temperature: Expected `float`",
        ),
        ("cell_temperature", (0, -1, "1", NAN, True), "contract.cell_temperature: Expected `float"),
        (
            "confusion",
            ([[-1] * 10] * 10, [[0.5] * 10] * 10, [[10**400] * 10] * 10, [["1"]], "ab"),
            "contract.confusion.*: Expected",
        ),
        (
            "class_shares",
            (["0.1"] * 10, [NAN] * 10, [-0.1] * 10, None),
            "contract.class_shares.*: Expected",
        ),
        ("training", (None, [], "x"), "contract.training: Expected `object`"),
        ("training.data_set", (None, 3, ["a"]), "contract.training.data_set: Expected `str`"),
        ("training.recipe", (None, []), "contract.training.recipe: Expected `object`"),
        ("training.recipe", (DEEP, {"a": DEEP}), "nested more than 40 levels"),
        (
            "training.epoch",
            (0, -1, 1.5, "1", None, True),
            "contract.training.epoch: Expected `int`",
        ),
        (
            "training.validation_accuracy",
            (NAN, 1.5, -1, "0.9", None),
            "contract.training.validation_accuracy: Expected `float`",
        ),
        ("training.split", (None, [], "lists"), "contract.training.split: Expected `object`"),
        (
            "training.split.kind",
            ("half", None, []),
            "contract.training.split.kind: (Expected|Invalid)",
        ),
        (
            "training.split.seed",
            (-1, 0.5, "0", True),
            "contract.training.split.seed: Expected `int",
        ),
        (
            "training.split.test_sha256",
            (None, 0),
            "contract.training.split.test_sha256: Expected `str`",
        ),
        (
            "training.split.train",
            (-1, 0.5, "72", None),
            "contract.training.split.train: Expected `int`",
        ),
        ("scores", ([], "x", 1), "contract.scores: Expected `object"),
        ("scores.tiles", (-1, "20", None), "contract.scores.tiles: Expected `int`"),
        ("scores.accuracy", (NAN, 90, "0.9", None), "contract.scores.accuracy: Expected `float`"),
        (
            "scores.corrupted",
            (None, [], {"blur": "0.8"}, {"blur": NAN}),
            "contract.scores.corrupted.*: Expected",
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
    with pytest.raises(
        ValueError, match=f"(^contract|{name}): Object missing required field `{key}`"
    ):
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
