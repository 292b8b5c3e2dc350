"""Model cards."""

from __future__ import annotations

from dataclasses import replace

from geoclass.contract import Contract, TestScores
from geoclass.legend import Legend
from geoclass.model.checkpoint import load_model
from geoclass.report.card import describe_model
from tests.conftest import make_contract

SCORES = TestScores(
    tiles=1234,
    accuracy=0.987,
    macro_f1=0.9812,
    calibration_error=0.0051,
    unknown_share=0.0102,
    corrupted={"blur σ 1": 0.95, "gain ×0.7": 0.97, "blue, green, red": 0.5},
)


def card(contract: Contract, *, knows_unknown: bool = True) -> str:
    detector = {} if knows_unknown else {"ood_detector": None}
    return describe_model(replace(load_model(), contract=contract, **detector))


def test_scores_stand_in_the_card() -> None:
    text = card(make_contract(scores=SCORES))
    assert "On the 1,234 tiles held out: accuracy 98.70%, macro-F1 0.9812" in text
    assert "calibration error 0.51%" in text
    assert "1.02% unknown" in text
    assert "| blur σ 1 | 95.00% | no |" in text
    assert "| **mean** of all but blue, green, red | 96.00% |" in text


def test_card_says_what_training_has_seen() -> None:
    contract = make_contract(scores=SCORES)
    recipe = {"augment": {"gain": 0.4, "plain_share": 0.5}, "epochs": 80}
    training = replace(contract.training, recipe=recipe, epoch=66)
    text = card(replace(contract, training=training))
    assert "| gain ×0.7 | 97.00% | yes |" in text
    assert "| blur σ 1 | 95.00% | no |" in text
    assert "Weights of epoch 66 of 80 planned, the best on validation" in text


def test_card_says_where_weights_and_tiles_came_from() -> None:
    contract = make_contract()
    assert "left out" not in card(contract)
    assert "began with" not in card(contract)
    training = replace(contract.training, recipe={"start": "12ab" * 16}, skipped=3)
    text = card(replace(contract, training=training))
    assert "Images and folders left out: 3." in text
    assert "Training began with the weights of model 12ab12ab12ab." in text


def test_limits_are_those_of_the_classes() -> None:
    assert "Highway or River" in card(make_contract())
    other = replace(make_contract(), legend=Legend.for_names([f"c{i}" for i in range(10)]))
    assert "Highway" not in card(other).partition("## Limits")[2]


def test_scores_travel_with_the_contract() -> None:
    contract = make_contract(scores=SCORES)
    assert Contract.from_json(contract.to_json()).scores == SCORES
    older = make_contract().to_json()
    del older["scores"]
    assert Contract.from_json(older).scores is None


def test_model_without_scores_says_how_to_get_them() -> None:
    assert "Test accuracy: run `geoclass evaluate`" in card(make_contract())


def test_model_that_knows_nothing_unknown_says_so() -> None:
    assert "has no unknown class" in card(make_contract(), knows_unknown=False)
    assert "has no unknown class" not in card(make_contract())
