"""Loyalty: the same answers and the same probabilities as the dense model of the seed."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from harness import PAGES, records
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import pearsonr
from standing_rows import standings_of

from bench.leaderboard.loyalty import (
    Loyalties,
    Loyalty,
    loyalty_section,
    loyalty_table,
    probability_loyalty,
)
from bench.leaderboard.ranking import standings
from bench.results.predictions import Predictions, in_store
from bench.results.store import Store
from bench.results.suites import open_suite

if TYPE_CHECKING:
    from pathlib import Path

    from bench.leaderboard.ranking import Standings
    from bench.results.predictions import PredictionsOf

RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 3, 50)


def answered(logits: np.ndarray, *, keep: bool = True) -> Predictions:
    return Predictions(LABELS, logits.argmax(axis=1), None, logits if keep else None)


def loyalties_of(result: Standings, answers: PredictionsOf) -> dict[tuple[str, str], Loyalty]:
    known = Loyalties([result], answers)
    found = {(row.method, t): known.of(row, t) for row in result.rows for t in result.tasks}
    return {key: loyalty for key, loyalty in found.items() if loyalty is not None}


def drawn(classes: int = 3) -> np.ndarray:
    return RNG.normal(0, 3, (50, classes)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_probability_loyalty_is_what_scipy_and_the_definition_give(classes: int) -> None:
    one, other = drawn(classes), drawn(classes)
    p, q = softmax(one.astype(float), axis=1), softmax(other.astype(float), axis=1)
    by_scipy = np.mean([1 - jensenshannon(a, b, base=2) for a, b in zip(p, q, strict=True)])
    by_hand = 0.0
    for a, b in zip(p, q, strict=True):
        middle = [(x + y) / 2 for x, y in zip(a, b, strict=True)]
        divergence = sum(
            (x * math.log2(x / m) + y * math.log2(y / m)) / 2
            for x, y, m in zip(a, b, middle, strict=True)
        )
        by_hand += (1 - math.sqrt(divergence)) / len(p)
    assert probability_loyalty(one, other) == pytest.approx(by_scipy, abs=1e-12)
    assert probability_loyalty(one, other) == pytest.approx(by_hand, abs=1e-12)
    assert probability_loyalty(other, one) == probability_loyalty(one, other)


def test_the_same_probabilities_are_wholly_loyal_and_exclusive_ones_not_at_all() -> None:
    one = drawn()
    assert probability_loyalty(one, one) == 1.0
    assert probability_loyalty(one, one + 5) == pytest.approx(1.0, abs=1e-3)  # fp32's rounding
    sure = np.array([[900.0, 0.0], [0.0, 900.0]])
    assert probability_loyalty(sure, sure[:, ::-1]) == 0.0
    # By hand: (½, ½) against (1, 0) is a JSD of ¾·log₂(4/3), as that of any such pair.
    even, divergence = np.zeros((2, 2)), 1.5 - 0.75 * math.log2(3)
    assert probability_loyalty(sure, even) == pytest.approx(1 - math.sqrt(divergence))


def test_each_seed_is_set_against_its_own_dense_model() -> None:
    dense = [drawn(), drawn()]
    mine = [dense[0], drawn()]
    answers = {f"dense t {seed}": answered(logits) for seed, logits in enumerate(dense)}
    answers |= {f"mine t {seed}": answered(logits) for seed, logits in enumerate(mine)}
    result = standings_of({"mine": {"t": [1.0, 2.0]}, "dense": {"t": [1.0, 2.0]}})
    found = loyalties_of(result, answers.get)
    alike = np.mean(dense[1].argmax(axis=1) == mine[1].argmax(axis=1))
    assert 0 < alike < 1
    # Dense is set against itself, of another seed.
    both = [logits.argmax(axis=1) for logits in dense]
    assert found["dense", "t"].label == pytest.approx(100 * np.mean(both[0] == both[1]))
    assert found["dense", "t"].probability == pytest.approx(100 * probability_loyalty(*dense))
    loyalty = found["mine", "t"]
    assert loyalty.label == pytest.approx(100 * (1 + alike) / 2)
    assert loyalty.probability == pytest.approx(
        100 * (1 + probability_loyalty(dense[1], mine[1])) / 2
    )
    # A seed without its dense model tells nothing; neither do answers to other rows.
    del answers["dense t 1"]
    assert loyalties_of(result, answers.get)["mine", "t"].label == 100.0
    answers["dense t 0"] = replace(answers["dense t 0"], labels=LABELS[::-1])
    assert loyalties_of(result, answers.get) == {}
    assert loyalties_of(standings_of({"mine": {"t": [1.0]}}), answers.get) == {}


def test_a_regression_has_the_correlation_with_dense() -> None:
    dense, mine = RNG.normal(size=50), RNG.normal(size=50)
    answers = {"dense t 0": Predictions(LABELS, dense), "mine t 0": Predictions(LABELS, mine)}
    scores = {"mine": {"t": [1.0]}, "dense": {"t": [1.0]}}
    result = standings_of(scores, {"t": "pearson_spearman"})
    loyalty = loyalties_of(result, answers.get)["mine", "t"]
    assert loyalty.label == pytest.approx(100 * pearsonr(mine, dense).statistic)
    assert not loyalty.classes
    assert loyalty.probability is None


def test_where_logits_were_not_kept_labels_alone_are_shown() -> None:
    logits = [drawn(), drawn()]
    answers = {
        f"{name} t {seed}": answered(each, keep=(name, seed) != ("old", 1))
        for name in ("dense", "new", "old")
        for seed, each in enumerate(logits)
    }
    same = np.mean(logits[0].argmax(axis=1) == logits[1].argmax(axis=1))
    between = f"{100 * same:.1f} / {100 * probability_loyalty(*logits):.1f}"
    scores = {name: {"t": [1.0, 2.0]} for name in ("new", "old", "dense")}
    result = standings_of(scores)
    found = loyalties_of(result, answers.get)
    assert (found["new", "t"].probability, found["old", "t"].probability) == (100.0, None)
    lines = [
        line.split("|")
        for line in loyalty_table(result, Loyalties([result], answers.get)).splitlines()[2:]
    ]
    assert [[cell.strip() for cell in line[1:-1]] for line in lines] == [
        ["new", "100.0 / 100.0", "100.0 / 100.0"],
        ["old", "100.0", "100.0"],
        ["dense, another seed", between, between],
    ]


def test_the_average_is_over_tasks_with_classes_that_the_scores_average_over() -> None:
    answers = {}
    for name, shift in (("dense", 0), ("mine", 1)):
        for task in ("a", "b", "out"):
            moved = np.roll(np.eye(3)[LABELS], shift if task != "a" else 0, axis=1)
            answers[f"{name} {task} 0"] = answered(moved)
        answers[f"{name} figures 0"] = Predictions(LABELS, np.arange(50.0))
    scores = {name: {t: [1.0] for t in ("a", "b", "out", "figures")} for name in ("mine", "dense")}
    result = standings_of(scores, {"figures": "pearson_spearman"}, averaged=["a", "b", "figures"])
    table = loyalty_table(result, Loyalties([result], answers.get))
    cells = [cell.strip() for cell in table.splitlines()[-1].split("|")[2:-1]]
    labels = [cell.split(" / ")[0] for cell in cells]
    assert labels == ["100.0", "0.0", "0.0", "100.0", "50.0"]
    section = loyalty_section({"4×": result}, Loyalties([result], answers.get))
    assert section.endswith(f"**4×**\n\n{table}")
    assert loyalty_section({"4×": result}, Loyalties([result], {}.get)) == ""


def test_published_predictions_without_logits_give_label_loyalty() -> None:
    """Counted anew from the stored answers, for one method on one task."""
    suite = open_suite(PAGES, "glue-mini-flops")
    old = [r for r in suite.records if r.cell["task"] == "sst2"]
    assert {r.schema for r in old} == {1}
    references = [r for r in old if r.cell["ratio"] == 1]
    compressed = [r for r in old if r.cell["ratio"] != 1]
    result = standings(compressed, references, ["sst2"], suite.answers)
    found = loyalties_of(result, suite.answers)
    dense = {r.cell["seed"]: r.id for r in references if r.cell["method"] == "dense"}
    shares = []
    for record in compressed:
        if record.cell["method"] == "magnitude":
            mine, theirs = suite.answers(record.id), suite.answers(dense[record.cell["seed"]])
            assert mine is not None
            assert theirs is not None
            alike = [a == b for a, b in zip(mine.answers, theirs.answers, strict=True)]
            shares.append(sum(alike) / len(alike))
    assert len(shares) > 1
    assert found["magnitude", "sst2"].label == pytest.approx(100 * np.mean(shares))
    assert found["magnitude", "sst2"].probability is None


def test_a_run_keeps_what_both_loyalties_need(finished: Path) -> None:
    page = (finished / "demo.md").read_text()
    section = page.split("<summary>Loyalty to dense</summary>")[1].split("</details>")[0]
    (line,) = (line for line in section.splitlines() if line.startswith("| magnitude"))
    label, probability = map(float, line.split("|")[2].split(" / "))
    (row,) = (
        row
        for row in json.loads((finished / "demo.json").read_text())["rows"]
        if row["method"] == "magnitude"
    )
    assert row["loyalty"]["demo-sentiment"] == pytest.approx([label, probability], abs=0.05)
    assert 0 < probability < 100
    # Counted anew from what lies beside the records.
    found, answers = records(finished), in_store(Store(finished))
    alike = []
    for seed in (0, 1):
        mine, theirs = (
            answers(found[key].id) for key in (("magnitude", 4.0, seed), ("dense", 1.0, seed))
        )
        assert mine is not None
        assert theirs is not None
        p, q = (softmax(one.logits.astype(float), axis=1) for one in (mine, theirs))
        alike.append(np.mean([1 - jensenshannon(a, b, base=2) for a, b in zip(p, q, strict=True)]))
    assert 100 * np.mean(alike) == pytest.approx(probability, abs=0.05)
