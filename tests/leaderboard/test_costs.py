"""What a row's models cost, on a page and in its files."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from example_page import FOLDER, record, rows, suite

from bench.leaderboard.page import Page, make_page
from bench.leaderboard.text import tables_of

if TYPE_CHECKING:
    from bench.results.record import Record

COSTS = "20× fewer prunable weights: what it costs"


def counted(**actual: float) -> dict[str, dict[str, float]]:
    """A footprint of these counts, of a dense model that has 1,000,000 of everything."""
    known = dict.fromkeys(("weights", "params", "flops"), 5e4) | actual
    return {axis: {"dense": 1e6, "actual": n, "ratio": 1e6 / n} for axis, n in known.items()}


def timed(length: int, median_ms: float, engine: str = "torch", **changes: Any) -> dict[str, Any]:
    row = {"model": "given", "batch": 1, "seq_len": length, "agrees": True, "engine": engine,
           "median_ms": median_ms, "gain": 12 / median_ms}  # fmt: skip
    return row | changes


def measured(*timings: dict[str, Any], processor: str = "a_b") -> dict[str, Any]:
    return {"rows": list(timings), "processor": processor, "vector_extensions": ["avx2"],
            "threads": 2, "engines": {"torch": "torch 2"}}  # fmt: skip


def data(length: int) -> dict[str, Any]:
    return {"train": 1, "train_available": 1, "report": 1, "skipped_rows": 0,
            "cut_to_fit": {"train": 0, "report": 0, "pieces": 128},
            "median_length": length}  # fmt: skip


def found(*changed: Record) -> list[Record]:
    dense = [record("dense", task, 1.0, 0, 90.0) for task in ("one", "two")]
    return [*dense, *changed]


def page(records: list[Record], **changes: Any) -> Page:
    return make_page(suite(records, **changes), records, FOLDER)


def test_sizes_are_means_over_the_tasks_of_the_average() -> None:
    """By hand; WNLI is no part of the average, and so not of the sizes."""
    small = [
        record("small", task, 20.0, 0, 50.0, footprint=counted(params=n, bytes=2 * n, flops_task=n))
        for task, n in (("one", 2e5), ("two", 5e5), ("wnli", 1e6))
    ]
    shown = page(found(record("dense", "wnli", 1.0, 0, 50.0), *small))
    row = rows(shown.tables[COSTS])["small"]
    assert row["parameters, M"] == "0.35"
    assert row["parameters ×"] == "3.50"  # (5 + 2) / 2
    assert row["MB"] == "0.7"
    assert row["MB ×"] == "1.75"
    assert row["FLOPs ×, task's lengths"] == "3.50"
    assert row["weights ×"] == "20.00"
    assert "Sizes are means over the tasks of the average, without wnli." in shown.markdown
    said = "small: shapes differ from task to task: one 0.2 M parameters, two 0.5 M parameters."
    assert said in shown.markdown


def test_rounding_is_no_other_shape() -> None:
    near = [
        record("wanda", task, 20.0, 0, 50.0, footprint=counted(params=n))
        for task, n in (("one", 200_000), ("two", 200_500))
    ]
    assert "shapes differ" not in page(found(*near)).markdown


def test_what_an_old_record_does_not_know_is_a_dash() -> None:
    old = [record("m", task, 20.0, 0, 50.0) for task in ("one", "two")]
    shown = page(found(*old))
    row = rows(shown.tables[COSTS])["m"]
    dashes = ("MB", "MB ×", "FLOPs ×, task's lengths", "ms", "ms ×")
    assert [row[head] for head in dashes] == ["–"] * 5
    assert "ms: one example" not in shown.markdown
    one_knows = [replace(old[0], footprint=counted(bytes=5e5)), old[1]]
    assert rows(page(found(*one_knows)).tables[COSTS])["m"]["MB"] == "–"
    (line,) = csv_lines(shown, "m", "one")
    assert (line["weights_ratio"], line["bytes"], line["ms"]) == ("20.0", "", "")


def test_a_control_that_has_answers_and_no_model_has_no_size() -> None:
    facts = {"kind": "reference", "control": True, "starts_from": "none", "teacher": "none",
             "delivers": "answers"}  # fmt: skip
    floor = [
        replace(record("floor", task, 1.0, 0, 60.0, footprint={}), method=facts)
        for task in ("one", "two")
    ]
    shown = page(found(*floor, *(record("m", t, 20.0, 0, 50.0) for t in ("one", "two"))))
    row = rows(shown.tables[COSTS])["floor (control)"]
    assert row["TFLOP per seed, final run"] == "4"
    assert {row[head] for head in row if head not in ("method", "TFLOP per seed, final run",
            "TFLOP per seed, with tuning")} == {"–"}  # fmt: skip


def csv_lines(shown: Page, method: str, task: str) -> list[dict[str, str]]:
    lines = csv.DictReader(io.StringIO(shown.files[FOLDER / "example.csv"]))
    return [line for line in lines if (line["method"], line["task"]) == (method, task)]


def test_milliseconds_are_those_of_the_fastest_right_engine_at_the_tasks_median_length() -> None:
    one = [
        timed(23, 4.0),
        timed(23, 2.0, "sparse"),
        timed(23, 1.0, "wrong", agrees=False),
        timed(23, 0.5, batch=8),
        timed(23, 0.5, model="dense"),
        timed(128, 0.5),
    ]
    two = [timed(53, 6.0)]
    fast = [
        record("m", task, 20.0, 0, 50.0, latency=measured(*t), data=data(length))
        for task, length, t in (("one", 23, one), ("two", 53, two))
    ]  # fmt: skip
    slow = [record("slow", task, 20.0, 0, 40.0) for task in ("one", "two")]
    half = [replace(fast[0], cell=fast[0].cell | {"method": "half"}, id="half"),
            record("half", "two", 20.0, 0, 40.0)]  # fmt: skip
    shown = page(found(*fast, *slow, *half))
    table = rows(shown.tables[COSTS])
    assert table["m"]["ms"] == "4 sparse/torch"
    assert table["m"]["ms ×"] == "4.00"  # (12 / 2 + 12 / 6) / 2
    assert table["slow"]["ms"] == table["half"]["ms"] == "–"
    assert "median length (one 23, two 53 tokens)" in shown.markdown
    assert r"Timed on a\_b (avx2), 2 threads; engines: torch." in shown.markdown
    (line,) = csv_lines(shown, "m", "one")
    assert (line["ms"], line["ms_ratio"], line["engine"]) == ("2.0", "6.0", "sparse")
    (line,) = csv_lines(shown, "half", "one")
    assert line["ms"] == "2.0"
    lines = json.loads(shown.files[FOLDER / "example.json"])["rows"]
    by_method = {line["method"]: line for line in lines}
    assert (by_method["m"]["ms"], by_method["slow"]["ms"]) == (4.0, None)


def test_an_old_timing_is_that_of_128_tokens() -> None:
    old = [
        record("m", task, 20.0, 0, 50.0, latency=measured(timed(32, 1.0), timed(128, 3.0)))
        for task in ("one", "two")
    ]
    assert rows(page(found(*old)).tables[COSTS])["m"]["ms"] == "3 torch"


def test_timings_of_two_machines_are_told_apart() -> None:
    two = [
        record("m", task, 20.0, 0, 50.0, latency=measured(timed(128, 3.0), processor=processor))
        for task, processor in (("one", "a"), ("two", "b"))
    ]
    said = "**Timed on different machines or engines**: compare ms ×, not ms."
    assert said in page(found(*two)).markdown
    assert said not in page(found(*(replace(r, latency=two[0].latency) for r in two))).markdown


def test_a_terminal_shows_both_tables_by_name() -> None:
    shown = page(found(record("m", "one", 20.0, 0, 50.0), record("m", "two", 20.0, 0, 50.0)))
    scores, costs = (part.splitlines() for part in tables_of(shown).split("\n\n")[1::2])
    assert re.split(r"  +", scores[0].strip())[:3] == ["rank", "method", "one"]
    assert re.split(r"  +", costs[0].strip())[:4] == ["method", "weights ×", "MB", "MB ×"]
    assert "FLOPs ×, S = 128" in costs[0]
    assert "TFLOP" not in costs[0]


@pytest.mark.parametrize("length", [128, 256])
def test_the_length_that_flops_are_counted_for_is_the_suites(length: int) -> None:
    records = found(record("m", "one", 20.0, 0, 50.0))
    settings = suite(records)["settings"] | {"sequence_length": length}
    shown = page(records, settings=settings)
    assert f"FLOPs ×, S = {length}" in shown.markdown


def test_a_checkpoint_from_elsewhere_has_its_sizes() -> None:
    other = record("theirs", "one", 2.0, 0, 88.8, status="external", footprint=counted(bytes=25e4))
    shown = page(found(other))
    (line,) = (x for x in shown.markdown.splitlines() if x.startswith("| theirs"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "theirs",
        "one",
        "88.8",
        "20.00",
        "0.25",
        "4.00",
        "0.05",
        "20.00",
        "20.00",
        "–",
    ]


def test_a_record_that_names_ratios_alone_has_a_dash_for_its_size() -> None:
    """As records may that were shared before there were counts."""
    bare = {axis: {"ratio": 20.0} for axis in ("weights", "params", "flops")}
    made = [record("shared", task, 20.0, 0, 50.0, footprint=bare) for task in ("one", "two")]
    row = rows(page(found(*made)).tables[COSTS])["shared"]
    assert (row["weights ×"], row["parameters, M"], row["MB"]) == ("20.00", "–", "–")
