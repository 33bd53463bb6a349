"""Pages from records."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from example_page import FOLDER, SCORES, record, records, rows, suite
from matplotlib import rc_context

from bench.leaderboard.markdown import escape, rounded
from bench.leaderboard.page import make_page
from bench.leaderboard.ranking import standings
from bench.protocol import Protocol
from bench.results.predictions import Predictions
from bench.training import scoring

if TYPE_CHECKING:
    from bench.results.record import Record


def test_the_table_says_mean_average_and_share() -> None:
    page = make_page(suite(records()), records(), FOLDER)
    table = rows(page.tables["20× fewer prunable weights"])
    magnitude = table["magnitude"]
    assert magnitude["cola (matthews)"] == "42.0"  # there are no predictions, and so no interval
    assert magnitude["average"] == "42.0"  # WNLI stands outside
    assert magnitude["above chance, % of dense"] == f"{100 * 42 / 51:.1f}"
    assert magnitude["win rate, %"] == "100"
    assert table["movement"]["win rate, %"] == "0"
    assert table["dense (control)"]["above chance, % of dense"] == "100.0"
    assert "No part of an average, because its dev set says nothing: wnli." in page.markdown


def test_a_page_says_which_tasks_have_no_room_above_chance() -> None:
    near = [
        record(method, task, 1.0, seed, score + seed)
        for task, score in (("cola", 3.0), ("rte", 30.0))
        for method, score in (("dense", score), ("majority", 0.0))
        for seed in range(2)
    ]
    tiny = [record("tiny", task, 4.0, seed, 15.0) for task in ("cola", "rte") for seed in range(2)]
    page = make_page(suite([*near, *tiny]), [*near, *tiny], FOLDER)
    said = "cola: dense is less than 5 points above the majority class. So what is above chance"
    assert said in page.markdown
    shown = rows(page.tables["4× fewer prunable weights"])["tiny"]
    assert shown["above chance, % of dense"] == f"{100 * 14.5 / 30:.1f}"
    assert said not in make_page(suite(records()), records(), FOLDER).markdown


def test_a_row_that_lacks_a_task_has_no_average() -> None:
    found = [r for r in records() if (r.cell["method"], r.cell["task"]) != ("magnitude", "cola")]
    table = rows(make_page(suite(records()), found, FOLDER).tables["20× fewer prunable weights"])
    assert table["magnitude"]["cola (matthews)"] == "–"
    assert table["magnitude"]["average"] == "–"
    assert "2 of 14 cells are not done yet" in make_page(suite(records()), found, FOLDER).markdown


def test_what_a_row_cost_is_told_only_where_all_of_it_is_known() -> None:
    """Not where a task is missing, nor what another suite's tuning took."""
    found = [
        replace(r, tuning={"parameters": "carried", "from": "other, cola, 4×", "trials": 4})
        if r.cell["method"] == "magnitude"
        else r
        for r in records()
    ]
    page = make_page(suite(found), found, FOLDER)
    table = rows(page.tables["20× fewer prunable weights: what it costs"])
    assert table["magnitude"]["TFLOP per seed, final run"] == "4"
    assert table["magnitude"]["TFLOP per seed, with tuning"] == "–"
    assert table["random-mask (control)"]["TFLOP per seed, with tuning"] == "4"
    assert table["movement"]["TFLOP per seed, final run"] == "–"  # it has no record of WNLI


def test_rows_of_different_hardware_are_told_apart() -> None:
    def on(processor: str) -> dict[str, Any]:
        return {"processor": processor, "vector_extensions": ["avx2"], "device": "cpu",
                "precision": "fp32", "threads": 1, "python": "3.11", "packages": {}}  # fmt: skip

    one = [replace(r, environment=on("one")) for r in records()]
    said = "**Trained on different hardware.**"
    assert said not in make_page(suite(one), one, FOLDER).markdown
    two = [
        replace(r, environment=on("an|other"))
        if (r.cell["method"], r.cell["task"]) == ("magnitude", "cola")
        else r
        for r in one
    ]
    markdown = make_page(suite(two), two, FOLDER).markdown
    assert said in markdown
    others = "one (avx2), cpu: dense, movement, random-mask"
    assert rf"- cola: {others}; an\|other (avx2), cpu: magnitude" in markdown
    assert "- wnli: " not in markdown
    assert "Of 4 blocks of a task and a seed, 2 are mixed:" in markdown  # those of cola


def test_a_page_says_what_was_held_equal_one_thought_a_bullet() -> None:
    settings = suite(records())["settings"] | {"max_train_samples": 8000, "trials": 4}
    tuned = [replace(r, tuning={"sampler": "TPE"}) for r in records()]
    page = make_page(suite(tuned, settings=settings), tuned, FOLDER).markdown
    (lines,) = re.findall(r"## What is equal for every method\n\n(.*?)\n\n", page, re.S)
    assert lines.splitlines()[:5] == [
        "- 3 epochs, batch 32, dropout 0.1, fp32. The last step counts.",
        "- Scores are those on the report split. Nothing was chosen on it.",
        "- At most 8,000 training rows per task, chosen by a hash of the text.",
        "- Each method was tuned in 4 trials per task and ratio (TPE), scored on the tune split.",
        "- 2 seeds. A score is the mean over seeds ± half of its 95 % interval.",
    ]


@pytest.mark.parametrize(
    ("axis", "matched", "other"),
    [("weights", "Matched on weights", "FLOPs"), ("flops", "Matched on FLOPs", "weights")],
)
def test_a_page_explains_its_words_before_it_uses_them(axis: str, matched: str, other: str) -> None:
    page = make_page(suite(records(), axis=axis), records(), FOLDER).markdown
    title, glossary = page.split("\n\n<details><summary>Words used here</summary>\n\n")
    lines = glossary.split("\n\n</details>")[0].splitlines()
    assert title == f"# example: m, m{matched[1:]}, protocol p"
    explained = [line.split("**")[1] for line in lines]
    words = {"Suite", "Ratio", matched, "Cell", "Report split", "Tune split", "Told apart", "†"}
    assert words <= set(explained)
    assert f"Matched on {other}" not in explained
    assert all(len(sentence.split()) <= 25 for x in lines for sentence in re.split(r"\. ", x))


def test_start_and_teacher_are_written_with_a_hyphen_and_no_teacher_as_none() -> None:
    taught = {"kind": "unstructured", "control": False, "starts_from": "finetuned",
              "teacher": "pretrained"}  # fmt: skip
    found = [replace(r, method=taught) if r.cell["method"] == "movement" else r for r in records()]
    table = rows(make_page(suite(found), found, FOLDER).tables["20× fewer prunable weights"])
    names = ("starts from", "teacher")
    assert [table["movement"][name] for name in names] == ["fine-tuned", "pre-trained"]
    assert [table["magnitude"][name] for name in names] == ["pre-trained", "none"]


def test_a_run_that_is_far_shorter_than_in_the_paper_is_told() -> None:
    def with_steps(record: Record, steps: int) -> Record:
        method = record.method | {"paper_steps": 84_612}
        return replace(record, method=method, cost=record.cost | {"steps": steps})

    said = "magnitude: {} optimizer steps here, about 84,612 in a main GLUE run of its paper"
    for least, shown in ((345, True), (84_612, False)):
        found = [
            with_steps(r, least + 405 * r.cell["seed"]) if r.cell["method"] == "magnitude" else r
            for r in records()
        ]
        page = make_page(suite(found), found, FOLDER).markdown
        assert (said.format("345 to 750") in page) is shown
        assert ("a main GLUE run" in page) is shown


def test_a_run_with_fewer_steps_than_its_method_is_known_to_need_is_told() -> None:
    """By the tasks where it had fewer; records from before that was known say nothing."""
    steps = {"cola": 750, "wnli": 60}

    def page(**known: int) -> str:
        found = [
            replace(r, method=r.method | known, cost=r.cost | {"steps": steps[r.cell["task"]]})
            if r.cell["method"] == "magnitude" else r for r in records()
        ]  # fmt: skip
        return make_page(suite(found), found, FOLDER).markdown

    said = "{} optimizer steps on {}. Below {} steps this method has not been seen to work"
    both, one = ("60 to 750", "cola, wnli"), ("60", "wnli")
    for least, who in ((1_000, both), (751, both), (750, one), (61, one)):
        assert f"magnitude: {said.format(*who, f'{least:,}')}" in page(works_from=least)
    for unsaid in (page(works_from=60), page(works_from=0), page()):
        assert "not been seen to work" not in unsaid


def test_competitors_come_by_their_average_and_controls_apart() -> None:
    page = make_page(suite(records()), records(), FOLDER)
    order = list(rows(page.tables["20× fewer prunable weights"]))
    assert order == ["magnitude", "movement", "dense (control)", "random-mask (control)"]


def test_what_missed_failed_or_cannot_be_reached_stands_under_the_table() -> None:
    axes = {"weights": {"dense": 100, "actual": 10, "ratio": 10.0}}
    error = {"type": "X", "message": "it | broke", "log": "l"}
    found = [
        *records(),
        record("a", "cola", 20.0, 0, 99.0, status="missed", footprint=axes),
        record("b", "cola", 20.0, 0, None, status="failed", error=error, footprint={}),
        record("c", "cola", 20.0, 0, None, status="unreachable",
               footprint={"weights": {"ratio": 12.5}}),
    ]  # fmt: skip
    page = make_page(suite(found), found, FOLDER)
    assert set(rows(page.tables["20× fewer prunable weights"])) == {
        "magnitude", "movement", "dense (control)", "random-mask (control)",
    }  # fmt: skip
    assert "missed: a on cola, seed 0: 10.00× instead of 20×, score 99.0" in page.markdown
    assert r"failed: b on cola, seed 0: it \| broke" in page.markdown
    assert "unreachable: c on cola, seed 0: 12.50× at most" in page.markdown


def test_a_row_that_lacks_a_seed_says_so() -> None:
    found = records()
    failed = record("movement", "cola", 20.0, 1, None, status="failed", scores={})
    page = make_page(suite(found), [*found[:-1], failed], FOLDER)
    table = rows(page.tables["20× fewer prunable weights"])
    assert table["movement"]["cola (matthews)"].startswith("41.0 (1 of 2 seeds)")
    assert "seeds)" not in table["magnitude"]["cola (matthews)"]


def test_which_tasks_say_nothing_does_not_depend_on_what_stands_beside_dense() -> None:
    """A weak dense model, beside methods that vary and beside methods that collapsed."""
    verdicts = set()
    for draw in range(12):
        rng = np.random.default_rng(draw)
        labels = rng.integers(0, 2, 200)
        answers, tables = {}, {4.0: [], 20.0: []}
        for method, ratio, right in (
            ("dense", 1.0, 0.55), ("majority", 1.0, None),
            *((f"m{n}", 4.0, 0.6) for n in range(5)), *((f"m{n}", 20.0, None) for n in range(5)),
        ):  # fmt: skip
            for seed in range(3):
                guess = np.where(rng.random(200) < (right or 0), labels, 1 - labels)
                guess = np.zeros(200, int) if right is None else guess
                score = scoring.score("matthews", guess, labels).main
                cell = record(method, "cola", ratio, seed, score)
                answers[cell.id] = Predictions(labels, guess)
                tables.setdefault(ratio, []).append(cell)
        found = [
            standings(tables[ratio], tables[1.0], ["cola"], answers.get).uninformative
            for ratio in (4.0, 20.0)
        ]
        assert found[0] == found[1]
        verdicts.add(bool(found[0]))
    assert verdicts == {True, False}


def test_a_readers_own_matplotlib_style_changes_no_byte() -> None:
    usual = make_page(suite(records()), records(), FOLDER).files
    with rc_context({"axes.facecolor": "red", "font.family": "serif"}):
        assert make_page(suite(records()), records(), FOLDER).files == usual


def test_one_seed_has_no_deviation_and_says_so() -> None:
    found = [r for r in records() if r.cell["seed"] == 0]
    page = make_page(suite(found), found, FOLDER)
    assert "One seed: no interval, no test and no rank." in page.markdown
    _, shown = page.markdown.split("</details>", 1)  # but for the words that are explained
    assert "±" not in shown


def test_a_missing_control_is_named() -> None:
    found = [r for r in records() if r.cell["method"] != "random-mask"]
    lacking = "random-mask, small-dense, majority, text-floor, encoder-floor"
    page = make_page(suite(found), found, FOLDER).markdown
    assert f"- Controls that are missing: {lacking}.\n" in page


def test_a_study_without_a_usable_trial_is_not_shown_as_tuned() -> None:
    tuning = {"trials": 4, "sampler": "random", "parameters": "tuned"}
    found = [replace(one, tuning=tuning) for one in records()]
    asked = suite(found)
    asked["settings"] = asked["settings"] | {"trials": 4}
    assert "defaults there" not in make_page(asked, found, FOLDER).markdown
    found[-1] = replace(found[-1], tuning=tuning | {"parameters": "default"})
    cell = found[-1].cell
    said = f"No trial met the ratio of {cell['method']} on {cell['task']} at {cell['ratio']:g}×"
    assert said in make_page(asked, found, FOLDER).markdown


def test_what_a_page_shows_is_computed_and_what_was_written_comes_after() -> None:
    page = make_page(suite(records()), records(), FOLDER).markdown
    heading = "## What this shows, and what it cannot"
    highest = "- At 20×, magnitude has the highest average (42.0)."
    (shown,) = re.findall(rf"{heading}\n\n(.*?)\n\n", page, re.S)
    assert shown.startswith(highest)
    with_more = make_page(suite(records()), records(), FOLDER, written=["By hand."]).markdown
    assert f"{heading}\n\n{shown}\n- By hand.\n\n" in with_more
    references = [r for r in records() if r.cell["ratio"] == 1]
    assert heading not in make_page(suite(references), references, FOLDER).markdown


def test_the_same_records_give_the_same_bytes_in_any_order() -> None:
    first = make_page(suite(records()), records(), FOLDER)
    again = make_page(suite(records()), records()[::-1], FOLDER)
    assert first.files == again.files
    assert {path.suffix for path in first.files} == {".md", ".csv", ".json", ".svg"}


def test_figures_above_chance_are_in_csv_json_and_the_heat_map() -> None:
    """Matthews' correlation is 0 at every constant: the majority class need not have been run."""
    files = make_page(suite(records()), records(), FOLDER).files
    rows_of_json = {
        row["method"]: row for row in json.loads(files[FOLDER / "example.json"])["rows"]
    }
    share = 100 * 42 / 51
    assert rows_of_json["magnitude"]["above_chance"] == pytest.approx(share)
    assert rows_of_json["magnitude"]["win_rate"] == 100.0
    assert rows_of_json["random-mask"]["win_rate"] == 0.0
    assert rows_of_json["magnitude"]["loyalty"] == {}
    lines = list(csv.DictReader(io.StringIO(files[FOLDER / "example.csv"])))
    (line,) = (x for x in lines if (x["method"], x["task"]) == ("magnitude", "cola"))
    assert line["above_chance"] == f"{share:.6g}"
    assert (line["label_loyalty"], line["probability_loyalty"]) == ("", "")
    assert f">{share:.0f}<" in files[FOLDER / "example-kept.svg"]


def test_a_digit_that_no_page_shows_changes_its_json() -> None:
    found = records()
    changed = [*found[:-1], record("movement", "cola", 20.0, 1, 41.0 + 1e-9)]
    assert [r.id for r in found] == [r.id for r in changed]
    first, other = (make_page(suite(found), rs, FOLDER) for rs in (found, changed))
    assert first.markdown == other.markdown
    assert first.files[FOLDER / "example.json"] != other.files[FOLDER / "example.json"]


def test_a_figure_that_rounds_to_nothing_has_no_sign() -> None:
    assert [rounded(value, 1) for value in (-0.04, -0.06, 0.04, None)] == [
        "0.0",
        "-0.1",
        "0.0",
        "–",
    ]


def test_csv_and_json_hold_the_figures_in_full() -> None:
    files = make_page(suite(records()), records(), FOLDER).files
    lines = list(csv.DictReader(io.StringIO(files[FOLDER / "example.csv"])))
    (line,) = (x for x in lines if (x["method"], x["task"]) == ("magnitude", "cola"))
    # √8, in as many digits as the stdev of every Python has in common.
    assert (line["mean"], line["sd"]) == ("42.0", "2.82842712475")
    data = json.loads(files[FOLDER / "example.json"])
    assert set(data["records"]) == {r.id for r in records()}


@pytest.mark.parametrize("text", ["a|b", "a_b_c", "<script>", "[x](y)", "*bold*", "a\nb", "`x`"])
def test_names_cannot_break_a_page(text: str) -> None:
    escaped = escape(text)
    assert "\n" not in escaped
    for mark in "|_<>[]*`":
        assert escaped.count(mark) == escaped.count("\\" + mark)


def test_a_page_says_that_its_protocol_is_no_longer_todays() -> None:
    said = f"Made under version 1 of the protocol. Today's is {Protocol.version}: the same command"
    for version, old in ((1, True), (Protocol.version, False)):
        settings = suite(records())["settings"] | {"version": version}
        page = make_page(suite(records(), settings=settings), records(), FOLDER)
        assert (said in page.markdown) is old


def test_names_are_escaped_wherever_a_page_has_them() -> None:
    odd = "a|b_<i>"
    found = [
        record(odd if method == "magnitude" else method, "t|<b>", ratio, seed, 40.0 + seed)
        for method, ratio in SCORES
        for seed in range(2)
    ]
    page = make_page(suite(found), found, FOLDER)
    assert escape(odd) in page.markdown
    for raw in (odd, "t|<b>"):
        assert raw not in page.markdown
    for table in page.tables.values():  # as they are, on a terminal
        assert odd in rows(table)


def test_figures_have_room_for_long_names() -> None:
    found = [
        record(method + "long" * 12 * (method != "dense"), "cola", ratio, seed, 40.0)
        for method, ratio in SCORES
        for seed in range(2)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(make_page(suite(found), found, FOLDER).files) == 5


def test_the_figure_names_every_method_and_has_no_date() -> None:
    svg = make_page(suite(records()), records(), FOLDER).files[FOLDER / "example.svg"]
    for name in ("magnitude", "random-mask", "dense"):
        assert f">{name}<" in svg
    assert "<dc:date>" not in svg
