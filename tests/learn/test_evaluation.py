"""Scores, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from geoclass.learn.finishing import fit_temperature
from geoclass.learn.scoring import evaluate


def test_scores_are_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, 400)
    probabilities = generator.dirichlet(np.ones(5), 400)
    probabilities[np.arange(400), labels] += 0.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    result = evaluate(probabilities, labels, list("abcde"))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(labels, predicted)
    assert result.tiles == 400
    assert result.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert result.macro_f1 == pytest.approx(f1.mean())
    assert [c.precision for c in result.classes] == pytest.approx(list(precision))
    assert [c.recall for c in result.classes] == pytest.approx(list(recall))
    assert [c.tiles for c in result.classes] == support.tolist()
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(labels, predicted))


def test_class_that_never_occurs_has_no_score() -> None:
    result = evaluate(np.array([[0.9, 0.1, 0.0]]), np.array([0]), ["a", "b", "c"])
    never = result.classes[2]
    assert (never.precision, never.recall, never.f1, never.tiles) == (None, None, None, 0)
    assert (result.accuracy, result.macro_f1) == (1, 1)


def test_class_that_is_never_called_scores_0() -> None:
    result = evaluate(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]), ["a", "b"])
    missed = result.classes[1]
    assert (missed.precision, missed.recall, missed.f1) == (None, 0, 0)
    assert result.macro_f1 == pytest.approx(1 / 3)


def test_calibration_error_by_hand() -> None:
    """Ten tiles at 0.8 of which half are right, ten at 0.6 of which all are."""
    probabilities = np.array([[0.8, 0.2]] * 10 + [[0.6, 0.4]] * 10)
    labels = np.array([0] * 5 + [1] * 5 + [0] * 10)
    expected = 0.5 * abs(0.5 - 0.8) + 0.5 * abs(1.0 - 0.6)
    assert evaluate(probabilities, labels, ["a", "b"]).calibration_error == pytest.approx(expected)


def test_temperature_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4000, 5, generator=generator)
    labels = torch.multinomial(torch.softmax(logits, dim=1), 1, generator=generator)[:, 0]
    assert fit_temperature(2.5 * logits, labels) == pytest.approx(2.5, rel=0.05)


def test_temperature_stays_finite_without_mistakes() -> None:
    labels = torch.arange(5).repeat(10)
    logits = 4 * torch.nn.functional.one_hot(labels).float()
    assert 0.04 < fit_temperature(logits, labels) < 1
