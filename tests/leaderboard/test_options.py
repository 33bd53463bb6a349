"""What a page says of rows that differ in one option alone, by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest
from example_page import FOLDER, record, suite
from standing_rows import standings_of

from bench.leaderboard import options, statistics
from bench.leaderboard.averages import above_chance
from bench.leaderboard.options import INTERMEDIATE, PERTURB, option_section
from bench.leaderboard.page import Page, make_page

if TYPE_CHECKING:
    from bench.results.record import Record


class Interval(NamedTuple):
    value: float
    half_width: float


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


def table(markdown: str, by: str = "perturbation") -> dict[tuple[str, str], list[str]]:
    text = markdown.partition(f"### Score against training, by {by}\n\n")[2]
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
    found = table(option_section(PERTURB, result, {"settings": {}}))
    assert found["dense", "word-dropout=0.1"][:2] == ["90.0", "+10.0"]


ROWS = {"train": 9, "train_available": 9, "report": 9, "skipped_rows": 0,
        "cut_to_fit": {"train": 0, "report": 0, "pieces": 128}}  # fmt: skip
LEARNT = {"intermediate": {"name": "mrpc", "rows": 2935, "held_out": 733, "metric": "accuracy/f1",
                           "score": 71.25}}  # fmt: skip


def test_an_intermediate_task_with_content_is_set_against_one_without() -> None:
    scores = {"dense": 80.0, "dense:intermediate=mrpc": 83.0, "dense:intermediate=synthetic": 82.5}
    methods = scores | {f"magnitude{name[5:]}": score - 10 for name, score in scores.items()}
    records = [
        replace(one, data=ROWS | LEARNT) if one.cell["method"].endswith("mrpc") else one
        for method, score in methods.items()
        for one in [
            replace(
                record(method, task, 1.0 if method.startswith("dense") else 20.0, seed,
                       score + seed, cost={"train_flops": 2e12, "train_s": 10.0}),
                method={"kind": "reference" if method.startswith("dense") else "unstructured",
                        "control": method.startswith("dense"), "starts_from": "pretrained",
                        "teacher": "none"},
            )
            for task in ("one", "two")
            for seed in (0, 1)
        ]
    ]  # fmt: skip
    made = page(records)
    found = table(made.markdown, "intermediate task")
    assert found["magnitude", "none"][:2] == ["70.5", "–"]
    assert found["magnitude", "mrpc"][:2] == ["73.5", "+3.0"]
    assert found["magnitude", "synthetic"][:2] == ["73.0", "+2.5"]
    assert "by perturbation" not in made.markdown
    assert "Intermediate task mrpc: 2,935 rows, trained on as dense is by default" in made.markdown
    assert "accuracy/f1 on 733 further rows: 71.2." in made.markdown.replace("\\", "")
    assert any(path.name == "example-intermediate.svg" for path in made.files)


def test_content_is_a_difference_with_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = ("mrpc", "none", "synthetic", "synthetic-binary")
    result = standings_of(
        {f"magnitude:intermediate={pin}": {"t": [70.0]} for pin in pins}, averaged=["t"]
    )
    found = {"synthetic": Interval(2.44, 1.06), "synthetic-binary": None}
    monkeypatch.setattr(
        options, "difference",
        lambda _, one, other: found.get(other.partition("=")[2]) if one.endswith("mrpc") else None,
    )  # fmt: skip
    lines = [line for line in option_section(INTERMEDIATE, result, {"settings": {}}).splitlines()
             if "Content" in line]  # fmt: skip
    assert lines == ["- Content: magnitude after mrpc − after synthetic: +2.4 ± 1.1."]
