"""Contracts."""

import json

import pytest

from geoclass.contract import Contract
from tests.conftest import make_contract


def test_json_round_trip() -> None:
    contract = make_contract(temperature=1.25)
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
        ({"temperature": 0.0}, "temperature must be positive"),
    ],
)
def test_contradictions_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_contract(**change)
