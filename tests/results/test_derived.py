"""A record that disagrees with its own predictions, figures or counts is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace
from shutil import copytree, move
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from example_page import record
from harness import PAGES, bench, records
from planted import answers

from bench.checksums import seal
from bench.errors import BenchError
from bench.metrics import METRICS
from bench.results.derived import checked, disagreements_with, own_disagreements
from bench.results.predictions import Predictions, predictions_hash
from bench.results.suites import open_suite, suites_of
from bench.training.scoring import score

if TYPE_CHECKING:
    from pathlib import Path

    from bench.results.record import Record

PARTS = ["matched", "mismatched"] * 60


def scored(metric: str, parts: list[str] | None = None) -> tuple[Record, Predictions]:
    """A record with the score that the harness gives, and its predictions."""
    given, wanted = answers(metric)
    found = score(metric, given, wanted, parts)
    data = {"report": len(wanted), "fingerprint": "f"}
    known = {"scores": found.figures, "data": data}
    one = METRICS[metric]
    logits = None if one.regression or one.spans else np.eye(3, dtype=np.float32)[given]
    return (
        record("magnitude", "cola", 4.0, 0, found.main, **known),
        Predictions(wanted, given, parts, logits),
    )


def wrong(record: Record, found: Predictions) -> list[str]:
    return [*own_disagreements(record), *disagreements_with(record, found)]


@pytest.mark.parametrize("parts", [None, PARTS])
@pytest.mark.parametrize("metric", METRICS)
def test_a_score_of_the_harness_follows_from_its_predictions(
    metric: str, parts: list[str] | None
) -> None:
    record, found = scored(metric, parts)
    assert wrong(record, found) == []
    if METRICS[metric].spans:
        return
    rounded = [column.astype(np.float32) for column in (found.labels, found.answers)]
    assert wrong(record, Predictions(*rounded, parts)) == []  # as they are published


@pytest.mark.parametrize("metric", METRICS)
def test_a_score_that_does_not_is_named(metric: str) -> None:
    record, found = scored(metric)
    name, figure = next(iter(record.scores.items()))
    (said,) = wrong(replace(record, score=record.score + 0.001), found)
    assert said.startswith("score is ")
    other = {**record.scores, name: figure + 0.01}
    moved = replace(record, scores=other, score=sum(other.values()) / len(other))
    (said,) = wrong(moved, found)
    assert said == f"scores.{name} is {figure + 0.01:.6f}, its predictions give {figure:.6f}"


def test_whatever_else_disagrees_is_named() -> None:
    record, found = scored("accuracy")
    assert found.logits is not None

    def said(**changes: Any) -> str:
        return " ".join(wrong(record, replace(found, **changes)))

    flipped = (found.answers + 1) % 3
    assert "120 of its answers are not what their logits give" in said(answers=flipped)
    assert "NaN or infinite" in said(logits=np.full_like(found.logits, np.inf))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no sum of them is tried
        assert "too large" in said(answers=np.full(len(found.labels), 1e308))
    assert "data.report is 120, there are predictions of 60 rows" in said(
        labels=found.labels[:60], answers=found.answers[:60], logits=None
    )
    parts = said(parts=PARTS)
    assert "scores has accuracy, its predictions give accuracy_matched, accuracy_mis" in parts
    (unknown,) = own_disagreements(replace(record, scores={"<b>": record.score}))
    assert unknown == "scores: <b> are not the figures of a metric"
    assert "no figures" in " ".join(wrong(replace(record, scores={}), found))


def test_a_ratio_is_dense_by_actual() -> None:
    size = {"dense": 300, "actual": 70, "ratio": 300 / 70}
    record, _ = scored("accuracy")
    assert not [*own_disagreements(replace(record, footprint={"bytes": size}))]
    for changed in ({"ratio": 4.3}, {"dense": 301}, {"actual": 71}):
        (said,) = own_disagreements(replace(record, footprint={"bytes": {**size, **changed}}))
        assert said.startswith("footprint.bytes.ratio is 4.")
    assert not [*own_disagreements(replace(record, footprint={"bytes": {"ratio": 4.3}}))]


def test_a_collapsed_regression_of_old_records_is_let_be_and_a_made_up_one_is_not() -> None:
    """In 32 bits a correlation of answers that hardly differ is one of their last bits."""
    rng = np.random.default_rng(0)
    labels = (rng.integers(0, 26, 300) / 5).astype(np.float32)
    given = (2.5 + 1e-4 * rng.normal(size=300)).astype(np.float32)
    x, y = (column - column.mean() for column in (given, labels))
    ranks = score("pearson_spearman", given, labels).figures["spearman"]
    old = float(100 * (x @ y) / np.sqrt((x @ x) * (y @ y)))  # of 32 bits
    found = Predictions(labels, given)
    for pearson, expected in ((old, 0), (old + 2, 1), (old + 90, 1)):
        figures = {"pearson": pearson, "spearman": ranks}
        made = record("m", "stsb", 4.0, 0, sum(figures.values()) / 2, scores=figures)
        assert len(wrong(made, found)) == expected
    constant = Predictions(labels, np.full(300, 2.5, np.float32))
    made = record("m", "stsb", 4.0, 0, 90.0, scores={"pearson": 90.0, "spearman": 90.0})
    assert len(wrong(made, constant)) == 2


def test_cells_of_the_same_rows_have_the_same_labels() -> None:
    one, found = scored("accuracy")
    other = replace(one, id="other")
    flipped = replace(found, labels=(found.labels + 1) % 3, answers=(found.answers + 1) % 3,
                      logits=None)  # fmt: skip
    known = {one.id: found, other.id: flipped}
    look = checked([one, other], known.get, "x.jsonl", lambda record: f"mend {record.id}")
    assert look(one.id) is found
    with pytest.raises(BenchError) as caught:
        look(other.id)
    assert str(caught.value) == (
        "x.jsonl: cell other (magnitude on cola, seed 0): its labels are not those of cell "
        f"{one.id}, which has the same rows: mend other."
    )


@pytest.mark.parametrize("suite", suites_of(PAGES))
def test_every_published_record_agrees_with_itself(suite: str) -> None:
    opened = open_suite(PAGES, suite)
    assert all(opened.answers(record.id) is not None for record in opened.records)


def test_a_hash_of_predictions_is_of_what_they_say() -> None:
    _, found = scored("accuracy", PARTS)
    known = predictions_hash(found)
    rounded = replace(found, labels=found.labels.astype(np.float32))
    assert predictions_hash(rounded) == known
    assert found.logits is not None
    changes: dict[str, Any] = {
        "labels": found.labels[::-1], "answers": found.answers[::-1], "parts": PARTS[::-1],
        "logits": np.nextafter(found.logits, np.float32(9)),
    }  # fmt: skip
    others = [replace(found, **{name: value}) for name, value in changes.items()]
    others += [replace(found, parts=None), replace(found, logits=None)]
    assert len({known, *map(predictions_hash, others)}) == 7


def test_a_page_of_a_run_is_refused_where_predictions_are_of_another_cell(
    finished: Path, tmp_path: Path
) -> None:
    runs = copytree(finished, tmp_path / "runs")
    cell, other, *_ = {r.score: r for r in records(runs).values() if r.score is not None}.values()
    move(runs / other.id / "predictions.parquet", runs / cell.id / "predictions.parquet")
    seal(runs / cell.id)
    result = bench("leaderboard", "--runs", runs, "--out", tmp_path / "out")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert f"cell {cell.id} " in result.err
    assert f"remove {runs / cell.id} and run the same command again" in result.err
    assert not (tmp_path / "out").exists()
