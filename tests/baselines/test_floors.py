"""What words alone and the untrained encoder are worth, against plain second implementations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bench.answers import text_column
from bench.metrics import FIGURES
from bench.testing import ToyFloorRun
from bench_baselines import floors
from bench_baselines.floors import EncoderFloor, TextFloor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def run_of(rows: list[tuple[str, ...]], labels: list[Any], asked: list[tuple[str, ...]]) -> Any:
    """A run of texts of one's own; figures are a regression."""
    is_regression = isinstance(labels[0], float)
    run = ToyFloorRun("regression" if is_regression else "classes", sides=len(rows[0]))
    run.train, run.asked = rows, asked
    run.labels = np.array(labels, np.float32 if is_regression else np.int64)
    return run


def test_where_words_say_nothing_the_majority_is_answered() -> None:
    run = run_of([(f"word{i}",) for i in range(30)], [0] * 18 + [1] * 12, [("x",), ("y",)])
    answers = TextFloor().answer(run)
    assert answers.chosen["predictor"] == "constant"
    assert answers.chosen["cross_validated"] == pytest.approx(60.0)
    assert np.exp(answers.logits[0]) == pytest.approx([0.6, 0.4], abs=1e-3)
    assert answers.logits.argmax(axis=1).tolist() == [0, 0]


def test_where_figures_do_not_depend_on_words_the_mean_is_answered() -> None:
    run = run_of([("same",)] * 5, [1.0, 2.0, 3.0, 4.0, 10.0], [("x",)])
    assert TextFloor().answer(run).logits == pytest.approx(np.array([[4.0]]))


def test_overlap_is_that_of_sets_of_words() -> None:
    """{a, b, c} and {b, c, d, e}: 2 in both, 5 in either."""
    (row,) = floors._overlaps([("a B c b", "b C d e")])
    assert row == pytest.approx([2 / 5, 2 / 3, 2 / 4, 3 / 4, np.log(4), np.log(5)])


def test_a_ridge_is_the_closed_form_of_each_fold() -> None:
    """β = (X'X + αI)⁻¹X'y of centred data, fold by fold, in plain linear algebra."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3))
    y = (x @ [1.0, -2.0, 0.5] + generator.normal(size=60)).astype(np.float32)
    folds = np.arange(60) % floors.FOLDS
    run = run_of([("a",)] * 60, y.tolist(), [("a",)])

    def plain(inside: NDArray[Any], labels: NDArray[Any], asked: NDArray[Any], alpha: float) -> Any:
        mean, sd = inside.mean(axis=0), inside.std(axis=0)
        x1, x2 = (inside - mean) / sd, (asked - mean) / sd
        beta = np.linalg.solve(x1.T @ x1 + alpha * np.eye(3), x1.T @ (labels - labels.mean()))
        return x2 @ beta + labels.mean()

    scores = {}
    asked = generator.normal(size=(4, 3))
    probe = floors.Predictor(x, asked, floors._scaled, (0.01, 0.1, 1.0))
    found = floors._cross_validated(run, probe, y, folds)
    for strength, logits in zip(probe.strengths, found, strict=True):
        own = np.empty(60)
        for fold in range(floors.FOLDS):
            out = folds == fold
            own[out] = plain(x[~out], y[~out], x[out], 1 / strength)
        assert logits[:, 0] == pytest.approx(own, abs=1e-4)
        correlations = [FIGURES[name].score(own, y) for name in ("pearson", "spearman")]
        scores[strength] = 100 * float(np.mean(correlations))
    answers = floors._best(run, y, folds, {"probe": probe})
    assert answers.chosen["strength"] == max(scores, key=lambda strength: scores[strength])
    assert answers.chosen["cross_validated"] == pytest.approx(max(scores.values()), abs=0.01)
    own = plain(x, y, asked, 1 / answers.chosen["strength"])
    assert answers.logits[:, 0] == pytest.approx(own, abs=1e-4)


def test_rare_classes_count_where_the_metric_says_so() -> None:
    """By Matthews' correlation a threshold that finds the rare class wins; by accuracy not."""
    generator = np.random.default_rng(0)
    labels = (generator.random(400) < 0.2).astype(int)
    words = [f"w{i} {'rare' if generator.random() < 0.25 + 0.4 * y else ''}"
             for i, y in enumerate(labels)]  # fmt: skip
    run = run_of([(text,) for text in words], labels.tolist(), [("rare",), ("w1",)])

    def matthews(logits: NDArray[Any], labels: NDArray[Any]) -> float:
        return 100 * FIGURES["matthews"].score(logits.argmax(axis=1), labels)

    assert TextFloor().answer(run).chosen["predictor"] == "constant"
    run.score = matthews
    answers = TextFloor().answer(run)
    assert answers.chosen["classes"] == "even"
    assert answers.logits.argmax(axis=1).tolist() == [1, 0]


def test_words_that_tell_the_class_are_found() -> None:
    """Unseen rows of two vocabularies, by the bag of words; a pair's sides are not mixed up."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(80):
        one, other = (f"{word} x{generator.integers(9)}" for word in ("good", "bad"))
        rows += [((one, other), 1), ((other, one), 0)]
    run = run_of([texts for texts, _ in rows], [label for _, label in rows],
                 [("good y", "bad z"), ("bad y", "good z")])  # fmt: skip
    answers = TextFloor().answer(run)
    assert answers.chosen["predictor"] == "bag of words"
    assert answers.logits.argmax(axis=1).tolist() == [1, 0]


def test_more_rows_than_the_cap_are_cut_by_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "MOST_ROWS", 10)
    rows = [(f"text {i}",) for i in range(30)]
    run = run_of(rows, list(map(float, range(30))), [("x",)])
    train, labels, folds = floors._learnt_from(run)
    assert [f"text {label:g}" for label in labels] == train[:, 0].tolist()
    back = run_of(rows[::-1], list(map(float, range(30)))[::-1], [("x",)])
    again, _, _ = floors._learnt_from(back)
    assert sorted(again[:, 0]) == sorted(train[:, 0])
    assert TextFloor().answer(run).chosen["rows"] == 10
    assert set(folds) <= set(range(floors.FOLDS))


def test_pairs_of_a_regression_are_answered_by_a_cosine_and_no_training() -> None:
    run = ToyFloorRun("regression", sides=2)
    answers = EncoderFloor().answer(run)
    for row, (one, other) in enumerate(run.asked):
        u, v = run.pooled([one, other], charged=False)
        assert answers.logits[row, 0] == pytest.approx(
            sum(u * v) / (sum(u * u) ** 0.5 * sum(v * v) ** 0.5)
        )
    assert answers.chosen == {"predictor": "cosine"}


def test_a_probe_of_pairs_sees_both_sides_and_how_they_go_together() -> None:
    """Against scikit-learn's logistic regression on the features that are written out here."""
    run = ToyFloorRun("classes", sides=2)
    answers = EncoderFloor().answer(run)

    def features(texts: list[tuple[str, ...]]) -> Any:
        u, v = (run.pooled([row[side] for row in texts], charged=False) for side in (0, 1))
        return np.concatenate([u, v, np.abs(u - v), u * v], axis=1)

    inside = features(run.train)
    mean, sd = inside.mean(axis=0), inside.std(axis=0)
    own = LogisticRegression(tol=1e-8, max_iter=5000, C=answers.chosen["strength"])
    own.fit((inside - mean) / sd, run.labels)
    logits = answers.logits
    if answers.chosen["classes"] == "even":
        logits = logits + np.log(np.bincount(run.labels) / len(run.labels))
    given = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    wanted = own.predict_proba((features(run.asked) - mean) / sd)[:, 1]
    assert given == pytest.approx(wanted, abs=5e-3)


def test_classes_that_no_training_row_has_are_never_answered() -> None:
    run = run_of([("a b",), ("c d",)] * 20, [0, 1] * 20, [("a b",)])
    run.task = type("Three", (), {"num_labels": 3, "is_regression": False, "finds_spans": False})()
    run.score = lambda logits, labels: 100 * float((logits.argmax(axis=1) == labels).mean())
    answers = TextFloor().answer(run)
    assert answers.logits.shape == (1, 3)
    assert answers.logits.argmax(axis=1).tolist() == [0]
    assert answers.logits[0, 2] < answers.logits[0, :2].min()


def spans(rows: list[tuple[str, str]], labels: list[tuple[str, ...]]) -> Any:
    run = ToyFloorRun("spans", sides=2)
    run.train = run.asked = rows
    run.labels = text_column(labels)
    return run


def test_where_spans_are_looked_for_a_floor_takes_the_sentence_with_most_words_in_common() -> None:
    rows = [
        ("Where does the Rhine begin?", "It is long. The Rhine does begin in the Alps! It ends."),
        ("What ends there?", "Nothing is new. All ends there."),
    ]
    found = TextFloor().answer(spans(rows, [("in the Alps",), ("All",)]))
    assert found.texts.tolist() == ["The Rhine does begin in the Alps!", "All ends there."]
    assert found.chosen["predictor"] == "most shared words"


def test_where_spans_are_looked_for_a_floor_says_nothing_if_that_does_better() -> None:
    rows = [("Who is there?", "One is here. Two are there."), ("Who else?", "None. No one else.")]
    found = TextFloor().answer(spans(rows, [(), ("Nobody",)]))
    assert found.texts.tolist() == ["", ""]
    assert found.chosen["predictor"] == "no answer"
