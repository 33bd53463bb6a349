"""The Dynascore against published figures, and against a plain implementation by hand."""

from __future__ import annotations

import pytest

from bench.leaderboard.dynascore import exchanged

NLI = {
    "DeBERTa": (69.54, 7.41, 5.71, 91.97, 75.70),
    "RoBERTa": (69.07, 9.23, 4.82, 90.94, 74.82),
    "ALBERT": (67.29, 9.60, 2.18, 89.94, 74.12),
    "T5": (67.16, 7.10, 10.62, 91.89, 73.47),
    "BERT": (64.82, 9.39, 4.13, 92.11, 66.38),
    "majority": (32.41, 77.33, 1.15, 100, 100),
    "FastText": (31.29, 73.94, 2.20, 83.23, 69.14),
}
"""Ma et al. 2021, table 1: performance, throughput, memory in GB, fairness, robustness."""


def test_it_gives_the_published_scores() -> None:
    """Those that the course CS224U computed from that table, with memory counted as 16 + GB."""
    names = ("performance", "throughput", "memory", "fairness", "robustness")
    metrics = dict(zip(names, map(list, zip(*NLI.values(), strict=True)), strict=True))
    metrics["memory"] = [16 + gigabytes for gigabytes in metrics["memory"]]
    found = exchanged(metrics["performance"], metrics)
    weights = {name: 0.5 if name == "performance" else 0.125 for name in metrics}
    scores = [
        sum(weight * (found[name][place] or 0.0) for name, weight in weights.items())
        for place in range(len(NLI))
    ]
    assert [round(score, 1) for score in scores] == [38.7, 38.5, 37.5, 37.5, 36.2, 22.6, 20.9]


def test_a_case_by_hand() -> None:
    """60, 70 and 75 points at −4, −2 and −5 MB: 2 MB in 10 points, then 3 in 5: 0.4 a point."""
    found = exchanged([70.0, 60.0, 75.0], {"score": [70.0, 60.0, 75.0], "MB": [-2.0, -4.0, -5.0]})
    assert found["score"] == [70.0, 60.0, 75.0]
    assert found["MB"] == pytest.approx([-5.0, -10.0, -12.5])


def test_a_model_whose_figure_is_not_known_has_no_part_in_its_rate() -> None:
    found = exchanged([60.0, 65.0, 70.0], {"ms": [-4.0, None, -2.0]})
    assert found["ms"] == [pytest.approx(-20.0), None, pytest.approx(-10.0)]


@pytest.mark.parametrize(
    ("performance", "metric"),
    [
        ([60.0], [1.0]),  # one model
        ([60.0, 60.003], [1.0, 2.0]),  # neighbours that do not differ
        ([60.0, 70.0], [3.0, 3.0]),  # a metric that nobody gives up
        ([], []),
    ],
)
def test_where_nothing_is_exchanged_there_is_no_score(
    performance: list[float], metric: list[float]
) -> None:
    assert exchanged(performance, {"metric": metric}) == {}
