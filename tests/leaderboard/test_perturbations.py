"""What a page says of rows that differ in their perturbation, by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from example_page import FOLDER, record, suite
from standing_rows import standings_of

from bench.leaderboard import statistics
from bench.leaderboard.averages import above_chance
from bench.leaderboard.page import Page, make_page
from bench.leaderboard.perturbations import perturbation_section

if TYPE_CHECKING:
    from bench.results.record import Record

DROP = "perturb=word-dropout=0.1"
SCORES = {
    ("dense", 1.0): (80.0, 2e12, 10.0),
    (f"dense:{DROP}", 1.0): (82.0, 2e12, 10.4),
    ("dense:perturb=adversarial=1", 1.0): (82.5, 4e12, 20.0),
    ("magnitude:scope=global", 20.0): (70.0, 3e12, 30.0),
    (f"magnitude:{DROP}:scope=global", 20.0): (73.0, 3e12, 33.0),
    ("movement", 20.0): (71.0, 3e12, 31.0),
}


def found() -> list[Record]:
    records = []
    for (method, ratio), (score, flops, seconds) in SCORES.items():
        parts = {"training": flops, "tuning": 7e12}
        cost = {"train_flops": flops + 7e12, "parts": parts, "train_s": seconds, "wall_s": 99.0}
        facts = {"kind": "reference" if ratio == 1 else "unstructured", "control": ratio == 1,
                 "starts_from": "pretrained", "teacher": "none"}  # fmt: skip
        records += [
            replace(record(method, task, ratio, seed, score + seed, cost=dict(cost)), method=facts)
            for task in ("one", "two")
            for seed in (0, 1)
        ]
    return records


def page(records: list[Record], perturb: str = "") -> Page:
    plain = suite(records)
    return make_page(
        {**plain, "settings": {**plain["settings"], "perturb": perturb}}, records, FOLDER
    )


def table(markdown: str) -> dict[tuple[str, str], list[str]]:
    text = markdown.partition("### Score against training, by perturbation\n\n")[2]
    rows = [
        [cell.strip().replace("\\", "") for cell in line.strip("|").split("|")]
        for line in text.partition("\n\n")[0].splitlines()[2:]
    ]
    return {(row[0], row[1]): row[2:] for row in rows}


def test_each_is_set_against_the_same_method_without_any() -> None:
    """Seconds and FLOPs of the final run, summed over two tasks; tuning is no part of them."""
    made = page(found())
    assert table(made.markdown) == {
        ("dense", "none"): ["80.5", "–", "20", "–", "4", "–"],
        ("dense", "adversarial=1"): ["83.0", "+2.5", "40", "2.00", "8", "2.00"],
        ("dense", "word-dropout=0.1"): ["82.5", "+2.0", "20.8", "1.04", "4", "1.00"],
        ("magnitude:scope=global", "none"): ["70.5", "–", "60", "–", "6", "–"],
        ("magnitude:scope=global", "word-dropout=0.1"): ["73.5", "+3.0", "66", "1.10", "6", "1.00"],
    }  # fmt: skip
    (svg,) = [text for path, text in made.files.items() if path.name == "example-perturbations.svg"]
    assert "![" in made.markdown and "(example-perturbations.svg)" in made.markdown
    for said in ("training, s", "training, TFLOP", "none", "adversarial=1", "word-dropout=0.1"):
        assert f">{said}<" in svg
    # 5 rows of 2 seeds, a panel each for seconds and FLOPs
    dots = re.findall(r'<g id="seeds-\d-\d">(.*?)</g>\n  ', svg, re.DOTALL)
    assert sum(part.count("<use ") for part in dots) == 20
    assert made.files == make_page(made.suite, found()[::-1], FOLDER).files


def test_old_records_know_no_seconds() -> None:
    records = found()
    for one in records:
        del one.cost["train_s"]
    assert table(page(records).markdown)["dense", "adversarial=1"][2:4] == ["–", "–"]


def test_the_suites_own_is_said_and_stands_in_the_table() -> None:
    records = [one for one in found() if one.cell["method"] != f"dense:{DROP}"]
    made = page(records, "replace-uniform=0.1")
    assert "the input is perturbed: replace-uniform=0.1. A row that" in made.markdown
    assert {key for key in table(made.markdown) if key[0] == "dense"} == {
        ("dense", "adversarial=1"), ("dense", "replace-uniform=0.1"),
    }  # fmt: skip
    assert table(made.markdown)["dense", "adversarial=1"][1] == "–"


def test_without_two_alike_there_is_neither_table_nor_figure() -> None:
    records = [one for one in found() if ":" not in one.cell["method"]]
    made = page(records)
    assert "perturb" not in made.markdown
    assert not [path for path in made.files if "perturbations" in path.name]


def test_a_row_is_read_against_its_own_dense_model() -> None:
    result = standings_of(
        {"dense": {"t": [80.0]}, f"dense:{DROP}": {"t": [90.0]}, "majority": {"t": [50.0]},
         "magnitude": {"t": [70.0]}, f"magnitude:{DROP}": {"t": [70.0]}}
    )  # fmt: skip
    shares = {row.method: above_chance(result, row, "t") for row in result.rows}
    assert shares["magnitude"] == pytest.approx(100 * 20 / 30)
    assert shares[f"magnitude:{DROP}"] == pytest.approx(100 * 20 / 40)


def test_above_dense_asks_for_a_rows_own_dense_model(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["dense", f"dense:{DROP}", "magnitude", f"magnitude:{DROP}", "movement:scope=global"]
    result = standings_of({name: {"t": [80.0]} for name in names})
    for row in result.rows:
        row.facts["control"] = row.method.startswith("dense")
    asked = []
    monkeypatch.setattr(statistics, "difference", lambda _, *pair: asked.append(pair))
    assert result.above_dense() == []
    assert asked == [
        ("magnitude", "dense"), (f"magnitude:{DROP}", f"dense:{DROP}"),
        ("movement:scope=global", "dense"),
    ]  # fmt: skip


def test_where_no_task_tells_anything_the_average_is_over_all() -> None:
    scores = {"dense": {"t": [80.0]}, f"dense:{DROP}": {"t": [90.0]}}
    result = standings_of(scores, averaged=[], uninformative=["t"])
    found = table(perturbation_section(result, "none"))
    assert found["dense", "word-dropout=0.1"][:2] == ["90.0", "+10.0"]
