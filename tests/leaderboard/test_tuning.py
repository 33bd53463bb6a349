"""What a page and `bench tuning` show of studies: every trial, and what is to be known of each."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from example_page import FOLDER, records, suite
from harness import PAGES, bench

from bench.errors import BenchError
from bench.files import write_json
from bench.leaderboard.page import make_page
from bench.leaderboard.ranking import standings
from bench.leaderboard.tuning import (
    chosen_studies,
    study_row,
    trial_rows,
    tuning_section,
    tuning_svg,
)
from bench.results.suites import open_suite

if TYPE_CHECKING:
    from bench.results.record import Record

SETTINGS = {"trials": 4, "epochs": 1, "batch_size": 16, "dropout": 0.1, "precision": "fp32",
            "max_train_samples": None}  # fmt: skip


def trial(index: int, rate: float, score: float | None, **more: Any) -> dict[str, Any]:
    came_to = {"error": "the loss is nan"} if score is None else {"score": score, "ratio": 4.0}
    return {"index": index, "params": {"learning_rate": rate, "decay": "linear"}, **came_to, **more}


def study(method: str, task: str = "cola", ratio: float = 4.0, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{method}-{task}-{ratio}",
        "cell": {"method": method, "task": task, "axis": "weights", "ratio": ratio, "seed": 1000},
        "complete": True, "sampler": "Sobol design", "rates": [[2.5e-5, 4e-4], [1e-4, 1.6e-3]],
        "edge": None, "floor": 12.5, "not_tuned": False, "best": 2,
        "trials": [trial(0, 1e-4, 40.0), trial(1, 3.5e-4, None), trial(2, 2e-4, 61.25),
                   trial(3, 9e-4, 70.0, missed=True, ratio=3.125)],
        **more,
    }  # fmt: skip


STUDIES = [
    study("dense", ratio=1.0),
    study("magnitude", edge="high"),
    study("a|b", best=None, not_tuned=True, trials=[trial(0, 1e-4, None)]),
]


def test_a_study_is_a_row_with_its_best_its_rates_and_its_marks() -> None:
    assert study_row(STUDIES[1]) == [
        "magnitude", "cola", "4×", "3 of 4", "61.2", "12.5", "1", "2.5e-05 … 0.0004, then 0.0001 … "
        "0.0016", "learning_rate 0.0002, decay linear", "best rate at the edge of the range",
    ]  # fmt: skip
    assert study_row(STUDIES[2])[3:5] == ["– of 1", "–"]
    assert study_row(STUDIES[2])[-1] == "not tuned: no trial worked"
    early = {**study("movement"), "complete": False, "best": 0, "trials": [trial(2, 1e-4, 5.0)]}
    assert study_row(early)[3] == "3 of 1 so far"


def test_a_trial_is_a_row_with_what_it_took_and_came_to() -> None:
    rows = trial_rows(STUDIES[1])
    assert [row[3:5] + row[6:] for row in rows] == [
        ["1", "40.0", ""],
        ["2", "–", "failed: the loss is nan"],
        ["3", "61.2", "best"],
        ["4", "70.0", "missed the ratio: 3.12×"],
    ]
    assert rows[0][5] == "learning_rate 0.0001, decay linear"


def test_a_study_from_before_there_were_floors_and_ranges_is_shown() -> None:
    old = {key: study("movement")[key] for key in ("id", "cell", "complete", "sampler", "best")}
    old["trials"] = [{k: v for k, v in t.items() if k != "index"} for t in STUDIES[0]["trials"]]
    assert study_row(old)[5:8] == ["–", "1", "–"]
    assert [row[3] for row in trial_rows(old)] == ["1", "2", "3", "4"]


def test_the_pages_section_escapes_names_and_folds_the_trials() -> None:
    section = tuning_section(STUDIES)
    assert r"a\|b" in section
    assert section.index("All 9 trials") > section.index("best rate at the edge")
    assert section.count("\n| dense") == 1 + 4
    assert tuning_section([]) == ""


def test_the_figure_has_a_point_a_trial_and_a_cross_where_one_failed() -> None:
    """Dense is drawn in the panel of its task; a ring is drawn around what was chosen."""
    svg = tuning_svg(STUDIES)
    assert svg == tuning_svg(STUDIES)
    axes = svg.split('id="legend_1"')[0]
    marks = re.findall(r'<use xlink:href="#m\w+" x="([\d.]+)" y="([\d.]+)" style="([^"]*)"', axes)
    drawn = [m for m in marks if "fill" in m[2] and "stroke: #000000" not in m[2]]
    # Two studies of three scores each and a ring each; three trials have failed.
    assert len(drawn) == 2 * (3 + 1) + 3
    assert ">cola 4×<" in svg
    assert ">cola<" not in svg
    assert "text floor" in svg
    alone = tuning_svg(STUDIES[:1])
    assert ">cola<" in alone
    assert tuning_svg([]) == ""


def test_many_panels_stand_in_rows() -> None:
    svg = tuning_svg([study("magnitude", task) for task in ("a", "b", "c", "d", "e")])
    assert all(f">{task} 4×<" in svg for task in "abcde")


def folder(runs: Path, studies: list[dict[str, Any]]) -> Path:
    asked = {
        "name": "s", "model": "m", "weights": "w", "axis": "weights", "protocol": "p",
        "settings": SETTINGS, "data": {"cola": "rows"}, "commands": ["bench run"], "workers": 1,
        "studies": {one["id"]: one["cell"]["method"] for one in studies}, "cells": {},
    }  # fmt: skip
    write_json(runs / "suites" / "s.json", asked)
    for one in studies:
        write_json(runs / "tuning" / one["id"] / "study.json", one)
    return runs


def test_the_command_shows_run_folders_and_pages(tmp_path: Path) -> None:
    runs, out = folder(tmp_path / "runs", [STUDIES[0], STUDIES[1]]), tmp_path / "out"
    assert bench("leaderboard", "--runs", runs, "--out", out).status == 0
    for where in (runs, out):
        shown = bench("tuning", "--runs", where)
        assert shown.status == 0, shown.err
        assert "missed the ratio: 3.12×" in shown.out
        assert "dense" in shown.out
        found = json.loads(bench("tuning", "--runs", where, "--method", "magnitude", "--json").out)
        assert [one["id"] for one in found["studies"]] == [STUDIES[1]["id"]]
        assert found["studies"][0]["trials"] == STUDIES[1]["trials"]
    wrong = bench("tuning", "--runs", runs, "--method", "magnitud")
    assert (wrong.status, wrong.err.count("\n")) == (2, 1)
    assert "magnitude" in wrong.err
    page = (out / "s.md").read_text()
    assert "![Score on the tune split against rate, a point a trial](s-tuning.svg)" in page
    assert "<summary>Tuning</summary>" in page
    assert (out / "s-tuning.svg").exists()


def test_a_suite_without_studies_says_so(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nothing was tuned in it"):
        chosen_studies([], None, None)
    shown = bench("tuning", "--runs", folder(tmp_path / "runs", []))
    assert (shown.status, shown.err.count("\n")) == (2, 1)


def test_a_page_without_studies_has_no_such_section() -> None:
    page = make_page(suite(records()), records(), FOLDER)
    assert "Tuning</summary>" not in page.markdown
    assert FOLDER / "example-tuning.svg" not in page.files


def lost(found: list[Record], method: str, tasks: tuple[str, ...], **facts: Any) -> list[Record]:
    return [
        replace(r, tuning={**r.tuning, **facts})
        if r.cell["method"] == method and r.cell["task"] in tasks
        else r
        for r in found
    ]


def test_a_row_that_was_not_tuned_stands_last_without_a_rank_and_moves_no_other() -> None:
    found = records()
    usual = make_page(suite(found), found, FOLDER)
    first, second = (row.split("|")[2].strip() for row in table_lines(usual.markdown)[:2])
    marked = lost(found, first, ("cola",), not_tuned=True)
    page = make_page(suite(marked), marked, FOLDER)
    lines = [line.split("|") for line in table_lines(page.markdown)]
    assert [line[2].strip() for line in lines][:2] == [second, first]
    assert lines[1][1].strip() == "–"
    assert lines[1][5].strip().endswith("‡")  # its score on CoLA
    assert "‡" not in lines[0][5]
    assert f"‡ Not tuned: no trial worked: {first} on cola." in page.markdown
    assert "has no rank" in page.markdown
    assert "‡" not in usual.markdown
    # Ranks are those of a page that never had the row.
    without = [r for r in found if r.cell["method"] != first]
    alone = table_lines(make_page(suite(without), without, FOLDER).markdown)
    assert [line[1].strip() for line in lines[:1]] == [alone[0].split("|")[1].strip()]


def test_a_task_outside_the_average_costs_no_rank() -> None:
    found = records()
    (first, *_) = (row.split("|")[2].strip() for row in table_lines(make_page(
        suite(found), found, FOLDER).markdown))  # fmt: skip
    marked = lost(found, first, ("wnli",), not_tuned=True)
    line = table_lines(make_page(suite(marked), marked, FOLDER).markdown)[0].split("|")
    assert line[2].strip() == first
    assert "‡" in line[6]


def test_a_best_rate_at_the_edge_is_said_under_the_table() -> None:
    found = lost(records(), "magnitude", ("cola",), edge="high")
    page = make_page(suite(found), found, FOLDER).markdown
    assert (
        "Best rate at the edge of the range, so that a better one may lie beyond: magnitude on "
        "cola." in page
    )


def table_lines(markdown: str) -> list[str]:
    """The competitors' rows of the page's table at 20×."""
    part = markdown.split("## 20× fewer")[1]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [line for line in lines if "control" not in line]


def test_ranks_are_those_of_a_table_that_never_had_what_was_not_tuned() -> None:
    opened = open_suite(PAGES, "demo")
    tasks = list(dict.fromkeys(label[1] for label in opened.suite["cells"].values()))
    references = [r for r in opened.records if r.cell["ratio"] == 1]
    compressed = [r for r in opened.records if r.cell["ratio"] == 4]
    assert compressed
    usual = standings(compressed, references, tasks, opened.answers)
    first = usual.rows[0].method
    assert usual.overall[first] == 1
    marked = lost(compressed, first, tuple(usual.averaged[:1]), not_tuned=True)
    found = standings(marked, references, tasks, opened.answers)
    rest = [r for r in compressed if r.cell["method"] != first]
    without = standings(rest, references, tasks, opened.answers)
    assert found.overall == without.overall
    assert found.competitors() == without.competitors()
    ranked = [row.method for row in found.rows if not row.facts["control"]]
    assert ranked == [*without.competitors(), first]
    row = found.row(first)
    assert row is not None
    assert row.average(found.averaged) == usual.rows[0].average(usual.averaged)
