"""Tuning: equal effort, nothing learnt from rows that a trial is scored on, nothing lost."""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from harness import QUICK, bench, outcomes, quick, records, start
from studies import TRIALS, cell, outcome, studies

from bench import registry
from bench.compression.params import TrainParams
from bench.data.prepare import load, prepare
from bench.data.splits import cut_tune
from bench.data.task import Source
from bench.data.tasks.demo import demo_encoder_path
from bench.data.tasks.table import table_task
from bench.protocol import Protocol
from bench.runs.cells.cell import Cell
from bench.runs.cells.context import Context
from bench.runs.cells.execute import _compress, _lend, _parts, execute_trial
from bench.runs.cells.floor import tune_floor
from bench.runs.cells.parameters import resolve_params
from bench.runs.cells.study import Study
from bench.runs.cells.tuning import Tuned, tuned
from bench.training.evaluate import predict

TRAINED = "magnitude,tinybert,small-dense,one-shot-magnitude"


def test_what_was_made_once_is_charged_once(context: Context) -> None:
    """A stage 1 of both trials and final run; a tuning reference of both studies."""
    run = SimpleNamespace(
        flops={"training": 100}, reference=object(), context=context,
        made_once={"final": ("reference", 20), "stage 1": ("general distillation", 7)},
    )  # fmt: skip
    found = Tuned(params=TrainParams(), facts={}, flops=300,
                  made_once={"stage 1": 7, "other stage 1": 5, "tuning reference": 18})  # fmt: skip
    dense = dataclasses.replace(found, flops=0, made_once={"tuning reference": 18, "worse": 18})
    assert _parts(context.bind(cell(context, "tinybert")), run, found, dense) == {
        "training": 100, "reference": 20, "general distillation": 7,
        "reference's tuning": 36, "tuning": 305,
    }  # fmt: skip


def test_a_trial_below_the_ratio_cannot_be_the_best(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    for score, ratio in ((90.0, 3.9), (40.0, 3.93), (60.0, 4.0)):
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(score, ratio))
    assert study.summary()["best"] == 2
    found = tuned(context.bind(cell(context, "magnitude")))
    assert found is not None
    assert found.facts["tune_score"] == 60.0


def test_where_no_trial_meets_the_target_the_defaults_are_taken(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    for _ in range(TRIALS):
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(90.0, ratio=1.0))
    found = tuned(context.bind(cell(context, "magnitude")))
    assert found is not None
    assert found.facts["parameters"] == "default"
    assert found.facts["not_tuned"]
    defaults = resolve_params(registry.methods.get("magnitude"), {}, context.protocol)
    assert found.params == defaults


@pytest.mark.parametrize(("above", "lost"), [(0.0, True), (0.01, False)])
def test_a_study_whose_best_trial_is_not_above_what_words_score_was_not_tuned(
    context: Context, above: float, lost: bool
) -> None:
    floor = tune_floor("demo-sentiment", context)
    assert 0 < floor < 100
    study = Study(context.bind(cell(context, "magnitude")))
    for score in (floor - 5, floor + above, floor - 1):
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(score))
    assert (study.summary()["floor"], study.summary()["not_tuned"]) == (floor, lost)
    found = tuned(context.bind(cell(context, "magnitude")))
    assert found is not None
    assert (found.facts["floor"], found.facts["not_tuned"]) == (floor, lost)
    assert found.facts["parameters"] == "tuned"  # by what there is


def planted(folder: Path) -> Path:
    """A task whose tune rows, and they alone, hold a word that turns the label round.

    Which rows are tune rows follows from their texts: rows with and without the word are drawn, and
    kept where they fall on their side.
    """
    rng = random.Random(0)
    good, bad = (
        ["good", "great", "fine", "bright", "warm", "happy"],
        ["bad", "poor", "dull", "dark", "cold", "sad"],
    )

    def row(marked: bool) -> tuple[str, int]:
        label = rng.randrange(2)
        words = rng.choices(good if label else bad, k=5) + rng.choices(["the", "a", "it"], k=4)
        rng.shuffle(words)
        return " ".join(words + ["zero"] * marked), 1 - label if marked else label

    pool = list({text: (text, label) for text, label in (row(False) for _ in range(900))}.values())
    marked = list({text: (text, label) for text, label in (row(True) for _ in range(900))}.values())
    from bench.data.splits import TUNE_SALT, row_hash

    limit = bytes([64]) + bytes(31)
    fit = [one for one in pool if row_hash((one[0],), TUNE_SALT) >= limit][:400]
    tune = [one for one in marked if row_hash((one[0],), TUNE_SALT) < limit][:100]
    assert (len(fit), len(tune)) == (400, 100)
    write_table(folder / "train.csv", fit + tune)
    write_table(folder / "dev.csv", [row(False) for _ in range(60)])
    file = folder / "planted.toml"
    file.write_text(
        'name = "planted"\ntrain = "train.csv"\ndev = "dev.csv"\ntext = "text"\nlabel = "label"\n'
        'labels = ["bad", "good"]\n'
    )
    texts = [(text,) for text, _ in fit + tune]
    assert cut_tune(texts)[1] == list(range(400, 500))
    return file


def write_table(path: Path, rows: list[tuple[str, int]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


@pytest.mark.slow
def test_no_trial_gains_by_labels_that_only_a_final_reference_knows(tmp_path: Path) -> None:
    """The method delivers its reference, hardly pruned: what that knows, it scores by."""
    file = planted(tmp_path)
    prepared = prepare(table_task(file), Source(), name=str(file), encoder=demo_encoder_path(),
                       cap_at=None, cache=tmp_path / "data")  # fmt: skip
    protocol = Protocol(epochs=12, trials=1, precision="fp32", learning_rate=4e-3)
    context = Context(
        runs=tmp_path, protocol=protocol, encoder=demo_encoder_path(), weights="demo",
        tasks={"planted": prepared}, device="cpu", threads=1,
    )  # fmt: skip
    dense = context.bind(Cell("dense", "planted", "weights", 1.0, 0, "m", protocol.hash))
    spy = dataclasses.replace(dense.cell, method="one-shot-magnitude", ratio=1.1)
    assert execute_trial(dense, None)
    found = tuned(dense)
    assert execute_trial(context.bind(spy), found)
    scores = {method: study["trials"][0]["score"] for method, study in studies(tmp_path).items()}
    assert scores["dense"] < 25  # the word that turns labels round was never seen
    assert scores["one-shot-magnitude"] < 25
    # The final reference does know it, so that a trial which learnt from it would show.
    run = _lend(dense, found, lambda line: None, lambda s, t: None, trial=False)
    final = _compress(dense, run, dense.params())
    tune = load(prepared).tune
    answers = predict(final, tune, "cpu").argmax(axis=1)
    assert np.mean(answers == tune.labels) > 0.8
    kinds = [
        json.loads(p.read_text())["kind"] for p in tmp_path.glob("references/*/reference.json")
    ]
    assert sorted(kinds) == ["final", "tuning"]


@pytest.mark.slow
def test_nothing_is_chosen_on_the_report_split(tmp_path: Path) -> None:
    chosen = []
    for shuffled in (False, True):
        folder = tmp_path / str(shuffled)
        folder.mkdir()
        file = planted(folder)
        if shuffled:
            with (folder / "dev.csv").open() as lines:
                _, *rows = csv.reader(lines)
            labels = [label for _, label in rows]
            random.Random(1).shuffle(labels)
            texts = [text for text, _ in rows]
            write_table(folder / "dev.csv", list(zip(texts, map(int, labels), strict=True)))
        result = bench("run", "--tasks", file, "--model", "demo", "--methods", "magnitude,tinybert",
                       "--ratios", "4", "--seeds", "1", "--epochs", "1", "--trials", "3",
                       "--workers", "1", "--runs", folder / "runs")  # fmt: skip
        assert result.status == 0, result.err
        assert len(records(folder / "runs")) == 3
        chosen.append({key[0]: r.params for key, r in records(folder / "runs").items()})
        chosen[-1] |= {
            f"trials of {name}": [(t["params"], t["score"]) for t in study["trials"]]
            for name, study in studies(folder / "runs").items()
        }
    assert chosen[0] == chosen[1]


@pytest.mark.slow
def test_every_trained_row_gets_the_same_trials_and_steps_and_runs_repeat(tmp_path: Path) -> None:
    words = ("--trials", str(TRIALS), "--seeds", "2")
    for name in ("one", "two"):
        result = quick(tmp_path / name, *words, methods=f"{TRAINED},majority")
        assert result.status == 0, result.err
    found = records(tmp_path / "one")
    effort = {
        key[0]: (r.tuning["trials"], r.tuning.get("steps"), r.cost["steps"])
        for key, r in found.items()
    }
    assert effort.pop("majority")[0] == 0
    assert len(effort) == 5
    assert len(set(map(str, effort.values()))) == 1
    assert effort["magnitude"][0] == TRIALS
    for key, record in found.items():
        parts = record.cost["parts"]
        assert record.cost["train_flops"] == sum(parts.values())
        if key[0] != "majority":
            assert parts["tuning"] > 0
        assert ("reference's tuning" in parts) == (key[0] in ("tinybert", "one-shot-magnitude"))
    assert outcomes(tmp_path / "one") == outcomes(tmp_path / "two")
    pages = [(tmp_path / name / "demo.md").read_text() for name in ("one", "two")]
    assert pages[0] == pages[1]
    assert "tuned in 3 trials per task and ratio (Sobol design)" in pages[0]
    # Two references for the final seeds, and the one that the trials learnt from.
    assert len(list((tmp_path / "one" / "references").iterdir())) == 3


@pytest.mark.slow
def test_two_workers_find_what_one_finds(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        result = quick(tmp_path / workers, "--trials", "5", "--workers", workers,
                       methods="magnitude,random-mask")  # fmt: skip
        assert result.status == 0, result.err
    one, two = (
        {m: [(t["params"], t["score"]) for t in s["trials"]] for m, s in studies(path).items()}
        for path in (tmp_path / "1", tmp_path / "2")
    )
    assert one == two


@pytest.mark.slow
def test_a_run_that_is_killed_three_times_loses_nothing(tmp_path: Path) -> None:
    words = (*QUICK, "--methods", "magnitude,soft-movement", "--trials", "4", "--runs")
    rng = random.Random(5)
    killed = 0
    for _ in range(3):
        process = start("run", *words, tmp_path / "killed")
        time.sleep(4 + 5 * rng.random())
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed > 0
    for name in ("killed", "whole"):
        result = bench("run", *words, tmp_path / name)
        assert result.status == 0, result.err
    for name in ("killed", "whole"):
        assert all(s["complete"] and len(s["trials"]) == 4
                   for s in studies(tmp_path / name).values())  # fmt: skip
        assert {r.status for r in records(tmp_path / name).values()} == {"ok"}
        assert len(records(tmp_path / name)) == 3
    best = [
        {m: s["trials"][s["best"]]["params"] for m, s in studies(tmp_path / name).items()}
        for name in ("killed", "whole")
    ]
    assert best[0] == best[1]


def test_a_failing_trial_is_no_failing_run(
    tmp_path: Path, unruly: Path, plugin: Callable[..., None]
) -> None:
    result = quick(tmp_path / "runs", "--trials", "2", methods="diverges")
    assert result.status == 1  # its cells fail as well
    study = studies(tmp_path / "runs")["diverges"]
    assert [t["error"] for t in study["trials"]] == ["the loss is nan at step 1"] * 2
    assert study["train_flops"] > 0  # of the steps that they began
