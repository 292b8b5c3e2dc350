"""Model cards."""

from __future__ import annotations

from geoclass.contract import Contract, TestScores
from geoclass.report.card import format_card
from tests.conftest import make_contract

SCORES = TestScores(
    tiles=1234,
    accuracy=0.987,
    macro_f1=0.9812,
    calibration_error=0.0051,
    unknown_share=0.0102,
    corrupted={"blur σ 1": 0.95},
)


def card(contract: Contract, *, knows_unknown: bool = True) -> str:
    return format_card(
        arch="tilenet",
        parameters=10,
        sha256="0" * 64,
        contract=contract,
        knows_unknown=knows_unknown,
    )


def test_scores_stand_in_the_card() -> None:
    text = card(make_contract(scores=SCORES))
    assert "On the 1,234 tiles kept apart: accuracy 98.70%, macro-F1 0.9812" in text
    assert "calibration error 0.51%" in text
    assert "1.02% of them called unknown" in text
    assert "| blur σ 1 | 95.00% |" in text


def test_scores_travel_with_the_contract() -> None:
    contract = make_contract(scores=SCORES)
    assert Contract.from_json(contract.to_json()).scores == SCORES
    older = make_contract().to_json()
    del older["scores"]
    assert Contract.from_json(older).scores is None


def test_model_without_scores_says_how_to_get_them() -> None:
    assert "For tiles that had no say: `geoclass evaluate`" in card(make_contract())


def test_model_that_knows_nothing_unknown_says_so() -> None:
    assert "calls no tile unknown" in card(make_contract(), knows_unknown=False)
    assert "calls no tile unknown" not in card(make_contract())
