"""Studies: equal effort, nothing learnt from rows that a trial is scored on, nothing lost."""

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
from typing import Any

import numpy as np
import optuna
import pytest
from harness import QUICK, bench, outcomes, quick, records, start

from bench import registry
from bench.compression.params import Knob, TrainParams
from bench.data.prepare import Prepared, load, prepare
from bench.data.splits import cut_tune
from bench.data.task import Source
from bench.data.tasks.demo import demo_encoder_path
from bench.data.tasks.table import table_task
from bench.protocol import Protocol
from bench.results.store import Store
from bench.runs import launch
from bench.runs.cells import carried as carrying
from bench.runs.cells.cell import TRIAL_SEED, Cell
from bench.runs.cells.claim import Job, attempt
from bench.runs.cells.context import Context
from bench.runs.cells.execute import _compress, _lend, _parts, execute_trial
from bench.runs.cells.parameters import resolve_params
from bench.runs.cells.sampler import LEAST_FOR_TPE, first_trials, sampler_of
from bench.runs.cells.study import Outcome, Study
from bench.runs.cells.tuning import Tuned, tuned
from bench.runs.request import Request, resolve
from bench.training.evaluate import predict

TRAINED = "magnitude,tinybert,small-dense,one-shot-magnitude"
TRIALS = 3


def studies(runs: Path) -> dict[str, dict[str, Any]]:
    """The summaries of a run folder's studies, by method."""
    found = [json.loads(path.read_text()) for path in runs.glob("tuning/*/study.json")]
    return {study["cell"]["method"]: study for study in found}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(
        registry.task("demo-sentiment"), Source(), name="demo-sentiment",
        encoder=demo_encoder_path(), cap_at=160, cache=tmp_path_factory.mktemp("data"),
    )  # fmt: skip


@pytest.fixture
def context(tmp_path: Path, prepared: Prepared) -> Context:
    protocol = Protocol(epochs=1, trials=TRIALS, precision="fp32", max_train_samples=160)
    return Context(
        runs=tmp_path, protocol=protocol, encoder=demo_encoder_path(), weights="demo",
        tasks={"demo-sentiment": prepared}, device="cpu", threads=1,
    )  # fmt: skip


def cell(context: Context, method: str, ratio: float = 4.0) -> Cell:
    wanted = 1.0 if method in ("dense", "majority") else ratio
    return Cell(method, "demo-sentiment", "weights", wanted, 0, "m", context.protocol.hash)


def outcome(score: float, ratio: float = 4.0) -> Outcome:
    return Outcome(score=score, ratio=ratio, steps=5, flops={"training": 10})


# What is searched, and from where.


def test_the_first_trial_takes_the_defaults_and_the_next_every_depth(context: Context) -> None:
    study = Study(context.bind(cell(context, "tinybert")))
    tinybert = registry.methods.get("tinybert")
    assert study.space["depth"].choices == (2, 1)  # the demo's encoder has two layers
    first, second = first_trials(tinybert, study.space, 4e-3, TRIALS)
    assert first == {"learning_rate": 4e-3, "warmup": 0.1, "intermediate_share": 0.5, "depth": 2}
    assert second == {"depth": 1}  # and what every other method's second trial draws


def test_at_most_half_of_the_trials_are_given(context: Context) -> None:
    space = {"depth": Knob(choices=tuple(range(8)), first=True)}
    given = first_trials(registry.methods.get("tinybert"), space, 1e-4, 6)
    assert [trial["depth"] for trial in given] == [0, 1, 2, 3]


def test_what_is_pinned_or_cannot_be_reached_is_not_searched(context: Context) -> None:
    pinned = Study(context.bind(cell(context, "magnitude:scope=global"))).space
    assert set(pinned) == {"learning_rate", "warmup", "final_phase"}
    assert Study(context.bind(cell(context, "magnitude", ratio=1e6))).space == {}
    assert Study(context.bind(cell(context, "majority"))).space == {}


def test_every_method_draws_the_same_rates_around_the_default(context: Context) -> None:
    rates = []
    for method in ("magnitude", "dense", "tinybert"):
        study = Study(context.bind(cell(context, method)))
        for number in range(TRIALS):
            with study.claim() as claim:
                assert claim is not None
                claim.ended(outcome(number, 1.0 if method == "dense" else 4.0))
        trials = study.summary()["trials"]
        rates.append([trial["params"]["learning_rate"] for trial in trials])
    assert rates[0] == rates[1] == rates[2]
    assert [trial["params"]["depth"] for trial in trials][:2] == [2, 1]
    default = context.protocol.learning_rate
    assert rates[0][0] == default
    assert all(default / 4 <= rate <= default * 4 for rate in rates[0])
    assert len(set(rates[0])) == TRIALS


def test_the_parzen_estimator_begins_at_ten_trials(context: Context) -> None:
    many = dataclasses.replace(context.protocol, trials=LEAST_FOR_TPE)
    for protocol, sampler in ((context.protocol, "random search"), (many, "TPE")):
        there = dataclasses.replace(context, protocol=protocol)
        study = Study(there.bind(cell(there, "dense")))
        for number in range(protocol.trials):
            with study.claim() as claim:
                assert claim is not None
                claim.ended(outcome(number, ratio=1.0))
        assert study.summary()["sampler"] == sampler
        made = sampler_of(protocol.trials, protocol.trials - 1)
        assert isinstance(made, optuna.samplers.TPESampler) == (sampler == "TPE")
        assert study.summary()["best"] == protocol.trials - 1


# Claims.


def test_a_trial_is_made_once_and_no_more_than_there_are(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    with study.claim() as one, study.claim() as two, study.claim() as three, study.claim() as four:
        assert four is None
        claims = [claim for claim in (one, two, three) if claim is not None]
        assert [claim.index for claim in claims] == [0, 1, 2]
        assert not study.summary()["complete"]
        for claim in claims:
            claim.ended(outcome(50.0 + claim.index))
    assert study.summary()["complete"]
    assert study.summary()["best"] == 2


@pytest.mark.parametrize("method", ["magnitude", "tinybert"])
def test_a_killed_trial_is_made_again_with_its_parameters(context: Context, method: str) -> None:
    """Also where some of the parameters of the trials after it are given."""
    study = Study(context.bind(cell(context, method)))
    with study.claim() as first:
        assert first is not None
    drawn = []
    for number in range(TRIALS):
        with study.claim() as claim:
            assert claim is not None
            drawn.append(claim.params)
            claim.ended(outcome(number))
    assert first.params == drawn[0]
    elsewhere = dataclasses.replace(context, runs=context.runs / "unharmed")
    unharmed = Study(elsewhere.bind(cell(context, method)))
    for number in range(TRIALS):
        with unharmed.claim() as claim:
            assert claim is not None
            claim.ended(outcome(number))
    assert [t["params"] for t in unharmed.summary()["trials"]] == drawn


def test_a_trial_that_was_killed_before_the_folder_was_moved_is_made_again(
    context: Context, tmp_path: Path
) -> None:
    before = dataclasses.replace(context, runs=tmp_path / "before")
    with Study(before.bind(cell(context, "magnitude"))).claim() as claim:
        assert claim is not None
    before.runs.rename(tmp_path / "after")
    moved = dataclasses.replace(context, runs=tmp_path / "after")
    study = Study(moved.bind(cell(context, "magnitude")))
    for index in range(TRIALS):
        with study.claim() as claim:
            assert claim is not None
            assert claim.index == index
            claim.ended(outcome(50.0))
    assert study.summary()["complete"]


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


def test_a_trial_that_fails_or_kills_its_worker_counts(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    with study.claim() as claim:
        assert claim is not None
        claim.failed("no luck", {"flops": {"training": 4}})
    with study.claim() as claim:
        assert claim is not None
    study.give_up_killed("the worker process was killed")
    with study.claim() as claim:
        assert claim is not None
        claim.ended(outcome(60.0))
    summary = study.summary()
    assert summary["complete"]
    assert [t.get("error") for t in summary["trials"]] == [
        "no luck", "the worker process was killed", None,
    ]  # fmt: skip
    assert summary["best"] == 2
    assert summary["train_flops"] == 4 + 10


def test_a_trial_below_the_ratio_cannot_be_the_best(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    for score, ratio in ((90.0, 3.9), (40.0, 3.93), (60.0, 4.0)):
        with study.claim() as claim:
            assert claim is not None
            claim.ended(outcome(score, ratio))
    assert study.summary()["best"] == 2
    found = tuned(context.bind(cell(context, "magnitude")))
    assert found is not None
    assert found.facts["tune_score"] == 60.0


def test_where_no_trial_meets_the_target_the_defaults_are_taken(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    for _ in range(TRIALS):
        with study.claim() as claim:
            assert claim is not None
            claim.ended(outcome(90.0, ratio=1.0))
    found = tuned(context.bind(cell(context, "magnitude")))
    assert found is not None
    assert found.facts["parameters"] == "default"
    defaults = resolve_params(registry.methods.get("magnitude"), {}, context.protocol)
    assert found.params == defaults


def test_a_line_that_a_killed_process_left_unfinished_harms_nothing(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    with study.claim() as claim:
        assert claim is not None
        claim.ended(outcome(50.0))
    journal = study.folder / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "worker')
    with study.claim() as claim:
        assert claim is not None
        assert claim.index == 1
        claim.ended(outcome(51.0))
    assert len(study.summary()["trials"]) == 2


def test_cost_counts_what_was_kept_once(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    for key in ("a", "a", "b"):
        with study.claim() as claim:
            assert claim is not None
            claim.ended(dataclasses.replace(outcome(50.0), kept={key: ("reference", 7)}))
    assert study.summary()["train_flops"] == 3 * 10 + 2 * 7


def test_any_storage_of_optunas_will_do(context: Context, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    study = Study(dataclasses.replace(context, storage=url).bind(cell(context, "magnitude")))
    for number in range(TRIALS):
        with study.claim() as claim:
            assert claim is not None
            claim.ended(outcome(number))
    stored = optuna.load_study(study_name=study.id, storage=url)
    assert [trial.value for trial in stored.trials] == [0.0, 1.0, 2.0]
    assert stored.best_trial.number == 2
    assert not (study.folder / "journal.log").exists()


# What a trial sees.


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


# Whole runs.


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
    assert "tuned in 3 trials a task and ratio (random search)" in pages[0]
    # Two references for the final seeds, and the one that the trials learnt from.
    assert len(list((tmp_path / "one" / "references").iterdir())) == 3


@pytest.mark.slow
def test_two_workers_find_what_one_finds(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        result = quick(tmp_path / workers, "--trials", "3", "--workers", workers,
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


def test_cells_with_carried_parameters_are_others_where_these_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suite that carries can be extended by a task; parameters that changed are a new cell."""

    def cells(rate: float, *tasks: str) -> tuple[str, dict[tuple[str, str], str]]:
        tuned_cells = [
            SimpleNamespace(
                cell={"method": method, "task": task, "ratio": ratio},
                tuning={"found": {"learning_rate": rate}, "trials": 3},
            )
            for task in tasks
            for method, ratio in (("dense", 1.0), ("magnitude", 4.0))
        ]
        monkeypatch.setattr(carrying, "_folders_of", lambda *_: [tmp_path])
        monkeypatch.setattr(carrying, "_find", lambda *_: ({"weights": "other"}, tuned_cells))
        request = Request(
            methods=("magnitude", "majority"), tasks=tasks, ratios=(4.0,), carry_from="source",
            runs=tmp_path,
        )  # fmt: skip
        suite = resolve(request)
        context = launch.prepare(suite).context
        found = {(cell.method, cell.task): context.bind(cell).id for cell in suite.cells()}
        return suite.protocol.hash, found

    one = cells(1e-3, "demo-sentiment")
    two = cells(1e-3, "demo-sentiment", "demo-paraphrase")
    other = cells(2e-3, "demo-sentiment")
    assert one[0] == two[0]
    assert one[1].items() <= two[1].items()
    assert not set(one[1].values()) & set(other[1].values())


@pytest.mark.slow
def test_parameters_are_carried_only_on_request_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    assert quick(runs, "--trials", "3", "--name", "source").status == 0
    wanted = records(runs)["magnitude", 4.0, 0]
    result = quick(runs, "--carry-from", "source", "--ratios", "10", "--name", "target")
    assert result.status == 0, result.err
    carried = records(runs)["magnitude", 10.0, 0]
    assert carried.params == wanted.params
    assert carried.tuning["from"] == "source, demo-sentiment, 4×"
    page = (runs / "target.md").read_text()
    assert "carried over from the tuning of source" in page
    assert "source, demo-sentiment, 4×" in page
    again = quick(runs, "--carry-from", "source", "--ratios", "10", "--name", "target")
    assert "2 done, 0 to run" in again.out
    for words, said in (
        (("--carry-from", "sourc"), "Did you mean 'source'?"),
        (("--carry-from", "source", "--name", "source"), "is called 'source' as well"),
        (("--carry-from", "source", "--trials", "2"), "--carry-from"),
        (("--carry-from", "source:cola"), "dense is not tuned there on cola"),
        (("--carry-from", "source:demo-sentiment:7"), "at 7×; it is on demo-sentiment at 4×"),
    ):
        refused = quick(runs, *words)
        assert refused.status == 2
        assert said in refused.err
    other = quick(runs, "--carry-from", "source", methods="random-mask")
    assert other.status == 2
    assert "random-mask is not tuned there" in other.err

    monkeypatch.chdir(tmp_path)  # a published suite that is tuned, and one of its name that is not
    assert bench("leaderboard", "--runs", runs, "--out", "leaderboards").status == 0
    untuned = tmp_path / "untuned"
    assert quick(untuned, "--name", "source").status == 0
    assert quick(untuned, "--carry-from", "source", "--name", "target").status == 0
    assert wanted.params in [record.params for record in Store(untuned).records()]


def test_a_cell_waits_for_its_study_and_that_of_the_dense_model(context: Context) -> None:
    for method in ("dense", "magnitude", "majority"):
        assert attempt(Job(cell(context, method)), context, pytest.fail, pytest.fail) is None
    assert not list(Store(context.runs).records())


def test_trials_have_a_seed_that_no_report_has(context: Context) -> None:
    assert Study(context.bind(cell(context, "magnitude"))).bound.cell.seed == TRIAL_SEED
    assert execute_trial(context.bind(cell(context, "dense")), None)
    (log,) = Store(context.runs).root.glob("tuning/*/0.log")
    assert "learning_rate" in log.read_text()
    reference = next(Store(context.runs).root.glob("references/*/reference.json"))
    assert json.loads(reference.read_text())["seed"] == TRIAL_SEED


def test_a_failing_trial_is_no_failing_run(
    tmp_path: Path, unruly: Path, plugin: Callable[..., None]
) -> None:
    result = quick(tmp_path / "runs", "--trials", "2", methods="diverges")
    assert result.status == 1  # its cells fail as well
    study = studies(tmp_path / "runs")["diverges"]
    assert [t["error"] for t in study["trials"]] == ["the loss is nan at step 1"] * 2
    assert study["train_flops"] > 0  # of the steps that they began
