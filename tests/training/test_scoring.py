"""Figures against values worked out by hand and against what is published."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import answers
from scipy import stats

from bench.answers import text_column
from bench.errors import BenchError, DivergedError
from bench.metrics import FIGURES, METRICS
from bench.training.scoring import Difference, constant_answers, difference, score

# Two true positives, one false positive, one true negative.
GIVEN, WANTED = [1, 0, 1, 1], [1, 0, 0, 1]


def test_accuracy() -> None:
    assert score("accuracy", GIVEN, WANTED).figures == {"accuracy": 75.0}


def test_a_score_needs_no_folder(monkeypatch) -> None:
    """A trained model is not lost because a temporary folder is full."""
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", "/proc/nowhere")
    assert score("accuracy", GIVEN, WANTED).main == 75.0


def test_main_figure_of_mrpc_is_the_mean_of_accuracy_and_f1() -> None:
    result = score("accuracy_f1", GIVEN, WANTED)
    assert result.figures == pytest.approx({"accuracy": 75.0, "f1": 80.0})  # 2·2 / (2·2 + 1)
    assert result.main == pytest.approx(77.5)


def test_majority_class_of_mrpc_dev_scores_as_published() -> None:
    result = score("accuracy_f1", [1] * 408, [1] * 279 + [0] * 129)
    assert {name: round(value, 1) for name, value in result.figures.items()} == {
        "accuracy": 68.4,
        "f1": 81.2,
    }


def test_macro_f1_is_the_mean_over_classes() -> None:
    result = score("macro_f1", [0, 1, 1, 1, 2, 0], [0, 0, 1, 1, 2, 2])
    assert result.main == pytest.approx(100 * (1 / 2 + 4 / 5 + 2 / 3) / 3)
    assert score("f1", GIVEN, WANTED).main == pytest.approx(80.0)
    assert score("macro_f1", GIVEN, WANTED).main == pytest.approx((80 + 200 / 3) / 2)


def test_macro_f1_is_no_other_figure_where_rows_of_a_class_are_missing() -> None:
    given, wanted = [2, 0, 1, 2, 0, 1], [0, 0, 1, 0, 0, 1]
    assert score("macro_f1", given, wanted).main == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_a_correlation_of_large_numbers_is_not_rounded_to_32_bits() -> None:
    numbers = 2e9 + np.arange(50.0)
    assert score("pearson_spearman", numbers, numbers).main == pytest.approx(100.0)


def test_labels_alone_decide_what_f1_is() -> None:
    """One answer of a third class is an error more, and changes nothing else."""
    labels = [0] * 90 + [1] * 10
    assert score("f1", [0] * 100, labels).main == 0
    assert score("f1", [2] + [0] * 99, labels).main == 0
    # Nothing is labelled 3: a mean over three.
    several = score("macro_f1", [0, 3, 1, 2], [0, 0, 1, 2])
    assert several.main == pytest.approx(100 * (2 / 3 + 1 + 1) / 3)


def test_matthews() -> None:
    assert score("matthews", GIVEN, WANTED).main == pytest.approx(100 * 2 / math.sqrt(12))
    assert score("matthews", [0, 1], [1, 0]).main == pytest.approx(-100.0)


def test_correlations_and_their_mean() -> None:
    result = score("pearson_spearman", [1.0, 2.0, 3.0, 10.0], [1.0, 2.0, 3.0, 4.0])
    pearson = 100 * 14 / math.sqrt(5 * 50)
    assert result.figures == pytest.approx({"pearson": pearson, "spearman": 100.0})
    assert result.main == pytest.approx((pearson + 100) / 2)
    assert result.notes == ()


@pytest.mark.parametrize(
    ("metric", "given", "wanted", "what"),
    [
        ("matthews", [1, 1, 1], [0, 1, 1], "predictions"),
        ("matthews", [0, 1, 1], [1, 1, 1], "labels"),
        ("pearson_spearman", [2.5, 2.5, 2.5], [0.0, 1.0, 5.0], "predictions"),
        ("pearson_spearman", [0.0, 1.0, 5.0], [2.5, 2.5, 2.5], "labels"),
    ],
)
def test_correlation_with_a_constant_is_zero_and_says_so(
    metric: str, given: list[float], wanted: list[float], what: str
) -> None:
    result = score(metric, given, wanted)
    assert set(result.figures.values()) == {0.0}
    assert result.main == 0.0
    assert result.notes == (
        f"{' and '.join(METRICS[metric].figures)} set to 0: all {what} are equal",
    )


def test_a_regression_that_gives_every_row_one_answer_has_collapsed_and_says_so() -> None:
    wanted = np.array([0.0, 1.0, 2.0, 5.0])
    live, dead = score("pearson_spearman", 2 + wanted / 50, wanted), score(
        "pearson_spearman", 2 - wanted / 200, wanted
    )  # fmt: skip
    assert (live.main, live.notes) == (pytest.approx(100.0), ())
    assert dead.main == pytest.approx(-100.0)
    assert dead.notes == (
        "pearson and spearman of a collapsed model, whose predictions spread less than 1 % as far "
        "as the labels",
    )
    equal = np.full(1500, 2.9078853, dtype=np.float32)  # whose computed deviation is not zero
    assert len(score("pearson_spearman", equal, np.arange(1500.0)).notes) == 1


def test_parts_are_scored_one_by_one_and_weigh_the_same() -> None:
    parts = ["matched"] * 3 + ["mismatched"]
    result = score("accuracy", [0, 1, 2, 0], [0, 1, 2, 1], parts)
    assert result.figures == {"accuracy_matched": 100.0, "accuracy_mismatched": 0.0}
    assert result.main == 50.0


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_divergence_not_a_score(broken: float) -> None:
    with pytest.raises(DivergedError, match="1 of 2 predictions"):
        score("pearson_spearman", np.array([1.0, broken], dtype=np.float32), [1.0, 2.0])


def test_rows_must_match() -> None:
    with pytest.raises(ValueError, match="1 predictions, 2 labels"):
        score("accuracy", [1], [1, 0])
    with pytest.raises(ValueError, match="0 predictions"):
        score("accuracy", [], [])
    with pytest.raises(ValueError, match="1 parts"):
        score("accuracy", [1, 0], [1, 0], ["matched"])


def test_unknown_metric_gets_the_nearest_name() -> None:
    with pytest.raises(BenchError, match="Did you mean 'accuracy'"):
        score("acuracy", GIVEN, WANTED)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_gives_the_figures_that_it_declares(metric: str) -> None:
    given, right = [0, 1, 0, 1], [0, 1, 0, 1]
    if METRICS[metric].spans:
        given, right = text_column(["one", ""]), text_column([("two", "One"), ()])
    result = score(metric, given, right)
    assert result.figures == pytest.approx(dict.fromkeys(METRICS[metric].figures, 100.0))


def test_nothing_is_left_in_the_cache(tmp_path, monkeypatch) -> None:
    import evaluate

    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    score("accuracy_f1", GIVEN, WANTED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metric", ["f1", "accuracy_f1"])
def test_f1_without_any_row_of_its_class_is_said(metric: str) -> None:
    """All answers are right, and the figure is 0 all the same."""
    found = score(metric, [0, 0, 0], [0, 0, 0])
    assert found.figures["f1"] == 0
    assert found.notes == ("f1 set to 0: no row is of class 1",)
    assert score(metric, [0, 0, 0], [0, 0, 1]).notes == ()
    parts = score(metric, [0, 1], [0, 1], ["a", "b"])
    assert parts.notes == ("f1_a set to 0: no row is of class 1",)


@pytest.mark.parametrize("metric", METRICS)
def test_a_differences_interval_is_the_bootstraps(metric: str) -> None:
    """Rows drawn again and again, both models' answers with them."""
    one, labels = answers(metric)
    rng = np.random.default_rng(1)
    other = np.where(rng.random(len(one)) < 0.15, rng.permutation(one), one)
    figures = [FIGURES[name].score for name in METRICS[metric].figures]

    def lead(rows) -> float:
        pairs = [
            figure(one[rows], labels[rows]) - figure(other[rows], labels[rows])
            for figure in figures
        ]
        return 100 * float(np.mean(pairs))

    found = difference(metric, one, other, labels)
    assert found.value == pytest.approx(lead(slice(None)))
    spread = np.std([lead(rng.integers(0, len(labels), len(labels))) for _ in range(200)])
    assert found.half_width == pytest.approx(1.96 * spread, rel=0.15)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.value) / spread), abs=0.05)


def test_equal_answers_do_not_differ() -> None:
    assert difference("accuracy", GIVEN, GIVEN, WANTED) == Difference(0.0, 0.0, 1.0)


def test_the_constant_answer_is_the_most_frequent_class_or_the_mean() -> None:
    labels = np.array([2, 0, 2, 1, 2])
    assert constant_answers("accuracy", labels, 3).tolist() == [2, 2, 2]
    assert constant_answers("pearson_spearman", labels, 2).tolist() == [1.4, 1.4]
