"""What each example contributes, against leaving it out."""

from __future__ import annotations

import numpy as np
import pytest
from planted import answers

from bench.metrics import METRICS, influence
from bench.training import scoring


@pytest.mark.parametrize("metric", METRICS)
def test_influence_agrees_with_leaving_out_each_example(metric: str) -> None:
    given, labels = answers(metric)
    n = len(labels)
    pairs = list(zip(given.tolist(), labels.tolist(), strict=True))
    scores = {}
    for i, pair in enumerate(pairs):  # examples that are equal leave the same score behind
        if pair not in scores:
            left = np.delete(given, i), np.delete(labels, i)
            scores[pair] = scoring.score(metric, *left).main
    without = np.array([scores[pair] for pair in pairs])
    jackknife = (n - 1) * (without.mean() - without)
    found = influence(METRICS[metric].figures, given, labels)
    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert found == pytest.approx(jackknife, abs=0.06 * jackknife.std())
    assert np.sum(found**2) == pytest.approx(np.sum(jackknife**2), rel=0.03)


def test_parts_are_weighed_as_the_score_weighs_them() -> None:
    given, labels = answers("accuracy")
    parts = ["matched"] * 30 + ["mismatched"] * 90
    found = influence(("accuracy",), given, labels, parts)
    right = 100.0 * (given == labels)
    variance = (right[:30].var() / 30 + right[30:].var() / 90) / 4  # of the mean of two means
    assert np.sum(found**2) / len(found) ** 2 == pytest.approx(variance)


def test_constant_predictions_have_no_influence_on_a_correlation() -> None:
    labels = np.arange(1500) % 6
    for figure in ("matthews", "pearson", "spearman"):
        for constant in (np.ones(1500), np.full(1500, 2.7, np.float32)):
            assert not influence((figure,), constant, labels).any()
