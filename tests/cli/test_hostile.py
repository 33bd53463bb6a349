"""What a command prints of records, plugins, paths and its own words is shown, never sent."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_record import RECORD
from harness import ROOT, Result, bench
from hostile import with_text
from rich.console import Console

from bench.cli.output import console, say, table
from bench.files import write_json
from bench.progress import RunDisplay
from bench.results.predictions import as_table
from bench.results.store import Store
from bench.runs.cells.cell import Cell

RED = "\x1b[31m \x9b2J \u202e \x07 \ud800 \u2028 \r\n bench: all is well [bold]x[/bold] $x$"
"""Colours, clears, turns, rings, is half a character, and speaks in our name."""


def assert_shown(result: Result) -> None:
    for text in (result.out, result.err):
        assert all(one.isprintable() or one == "\n" for one in text)
        assert not any(line.startswith("bench: all") for line in text.split("\n"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose every text is `RED`, but for what no JSON holds."""
    folder = tmp_path_factory.mktemp("hostile") / "runs"
    suite, found, studies = with_text(RED.replace("\ud800", ""))
    store = Store(folder)
    labels = np.arange(40) % 2
    answers = np.where(np.arange(40) < 28, labels, 1 - labels)
    for record in found:
        if record.score is None:
            store.put(record)
        else:
            same = replace(record, score=40.0, scores={"matthews": 40.0})
            store.put(same, as_table(["x"] * 40, labels, answers))
    for study in studies:
        write_json(folder / "tuning" / study["id"] / "study.json", study)
    write_json(folder / "suites" / "example.json", suite)
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("status",), ("tuning",), ("knowledge",),
        ("compare", "magnitude", "random-mask", "--ratio", "20"),
        ("compare", "magnitude", "nobody", "--ratio", "20"),
        ("export", "nobody", "--format", "hf"), ("export", "x", "--format", "hf"),
        ("latency", "nobody"), ("predict", "nobody"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_records_say_is_shown(runs: Path, words: tuple[str, ...]) -> None:
    result = bench(*words, "--runs", runs)
    assert len(result.out + result.err) > 20
    assert_shown(result)


def test_pages_are_made_of_them(runs: Path, tmp_path: Path) -> None:
    for words in (("--runs", runs), (), ("--check",)):
        result = bench("leaderboard", *words, "--out", tmp_path / "out")
        assert_shown(result)
        assert result.status == 0, result.err
    page = (tmp_path / "out" / "example.md").read_text()
    assert all(one.isprintable() or one == "\n" for one in page)


@pytest.mark.parametrize(
    "words",
    [
        (RED,), ("status", RED), ("status", "--runs", RED), ("status", f"--{RED}"),
        ("describe", RED), ("compare", RED, RED), ("compare", "a", "b", "--runs", RED),
        ("leaderboard", "--out", RED), ("leaderboard", "--runs", RED, "--out", "x"),
        ("footprint", RED), ("export", RED, "--format", "hf"), ("export", "x", "--format", RED),
        ("run", "--dry-run", "--methods", RED), ("run", "--dry-run", "--tasks", RED),
        ("run", "--dry-run", "--name", RED), ("run", "--dry-run", "--model", RED),
        ("run", "--dry-run", "--corpus", RED), ("run", "--dry-run", "--ratios", RED),
        ("run", "--dry-run", "--seeds", RED), ("run", "--config", RED),
        ("run", "--dry-run", "--carry-from", RED), ("evaluate", RED, "--task", RED),
        ("tuning", "--runs", RED), ("knowledge", "--name", RED), ("predict", RED),
    ],
    ids=lambda words: " ".join(words).replace(RED, "RED"),
)  # fmt: skip
def test_a_mistake_quotes_no_word_raw(
    words: tuple[str, ...], empty_place: Path, no_network: None
) -> None:
    result = bench(*words)
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert_shown(result)


def test_a_run_shows_how_a_cell_ended() -> None:
    out = io.StringIO()
    display = RunDisplay(Console(file=out, highlight=False))
    cell = Cell(RED, RED, "weights", 4.0, 0, "m", "p")
    error = {"type": "X", "message": RED, "log": RED}
    with display:
        display.started(cell)
        display.ended(cell, replace(RECORD, status="failed", error=error))
        display.note(RED)
    assert out.getvalue().count("\n") == 2
    assert_shown(Result(0, out.getvalue(), ""))


def test_nothing_is_taken_for_markup_or_an_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    name = "[red]a:smile::x:b=:cat:[/red]"
    say(console(), name)
    console().print(table([name], [[name]]))
    assert capsys.readouterr().out.count(name) == 3


def test_a_plugin_that_fails_is_quoted_without_what_a_terminal_obeys(plugin) -> None:
    plugin("odd", **{"odd": f"no_such_module_{'x'}:{RED.split()[0]}"})
    for words in (("methods",), ("doctor",), ("describe", "odd")):
        assert_shown(bench(*words))


def test_commands_print_by_what_shows_and_no_other_way() -> None:
    """`say`, `complain` and `table` do; `emit_json` writes plain ASCII."""
    for path in (ROOT / "bench" / "cli").glob("*.py"):
        if path.name != "output.py":
            text = path.read_text(encoding="utf-8")
            assert "sys.std" not in text.replace("sys.stdout.reconfigure", "").replace(
                "isinstance(sys.stdout, ", ""
            ).replace("sys.stdout.fileno", ""), path
            assert not re.search(r"\.print\((?!_?table\()", text), path
