"""The Python door: the same runs, numbers and mistakes as on the command line."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import PAGES, QUICK, bench, cells_here, records

import bench as library
from bench import arguments
from bench.api import run as door
from bench.errors import BenchError
from bench.runs.command import words_of
from bench.runs.request import Request

SMALL = {
    "tasks": "demo-sentiment", "epochs": 1, "max_train_samples": 600, "ratios": [4], "workers": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> library.RunResult:
    with cells_here():
        return library.run(methods="magnitude", seeds=2, runs=tmp_path_factory.mktemp("api") / "x",
                           progress=False, **SMALL)  # fmt: skip


def test_a_run_prints_its_tables_and_shows_them_in_a_notebook(done: library.RunResult) -> None:
    assert "4× fewer prunable weights" in str(done)
    assert "magnitude" in str(done)
    html = done._repr_html_()
    assert html.count("<table>") == 2  # scores and costs
    assert "<td>magnitude" in html
    assert (done.left, done.failed) == (0, [])
    assert done.page.path.is_file()


def test_both_doors_make_the_same_records_and_page(done: library.RunResult, tmp_path: Path) -> None:
    assert bench("run", *QUICK, "--methods", "magnitude", "--seeds", "2", "--runs",
                 tmp_path / "x").status == 0  # fmt: skip
    there, here = records(tmp_path / "x"), records(done.runs)
    assert {key: (r.id, r.score) for key, r in there.items()} == {
        key: (r.id, r.score) for key, r in here.items()
    }
    command = "bench run --methods magnitude --tasks demo-sentiment --ratios 4 --seeds 2 --epochs 1"
    (suite,) = (done.runs / "suites").glob("*.json")
    (said,) = json.loads(suite.read_text())["commands"]
    assert said == f"{command} --max-train-samples 600 --workers 1"


def test_results_are_a_row_a_cell(done: library.RunResult) -> None:
    frame = done.records()
    assert list(frame["method"]).count("magnitude") == 2
    row = frame[(frame["method"] == "magnitude") & (frame["seed"] == 1)].iloc[0]
    record = records(done.runs)["magnitude", 4.0, 1]
    assert row["score"] == record.score == row["score_accuracy"]
    assert row["weights_ratio"] == record.footprint["weights"]["ratio"]
    assert row["flops_task_ratio"] == record.footprint["flops_task"]["ratio"]
    assert row["parameter_count"] == record.footprint["params"]["actual"]
    assert row["params"] == record.params
    assert set(frame["suite"]) == {done.page.suite["name"]}
    assert len(library.load_results(done.runs, done.runs)) == 2 * len(frame)
    assert library.load_results(done.runs, status="failed").empty


def test_published_pages_are_results_too() -> None:
    frame = library.load_results(PAGES, name="glue-mini")
    mean = frame[frame["method"] == "tinybert"].groupby("task")["score"].mean()
    figures = json.loads((PAGES / "glue-mini.json").read_text())
    (row,) = (row for row in figures["rows"] if row["method"] == "tinybert")
    for task, scores in row["scores"].items():
        assert mean[task] == pytest.approx(sum(scores) / len(scores))
    with pytest.raises(BenchError, match="no suite has been run here"):
        library.load_results("/nowhere")


def test_a_comparison_is_that_of_the_command() -> None:
    found = library.compare("knowledge-aware", "tinybert", runs=PAGES, name="glue-mini")
    said = bench("compare", "knowledge-aware", "tinybert", "--runs", PAGES, "--name", "glue-mini")
    assert str(found).splitlines() == said.out.splitlines()
    assert found.p_holm is not None


def test_a_footprint_is_that_of_the_command(done: library.RunResult) -> None:
    model = done.runs / records(done.runs)["magnitude", 4.0, 0].id / "model"
    said = json.loads(bench("footprint", model, "--json").out)
    assert library.footprint(model) == said["footprint"]
    assert library.footprint(model)["weights"]["ratio"] == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"methods": "magnitud"}, "Did you mean 'magnitude'"),
        ({"ratios": [4, 0.5]}, "'0.5' is no ratio"),
        ({"ratios": "four"}, "'four' is no ratio"),
        ({"seeds": 0}, "seeds '0': a whole number of at least 1"),
        ({"seeds": 2.5}, "seeds '2.5': say a number N"),
        ({"seeds": [0, 1000]}, "seed 1000: seeds lie below 1000"),
        ({"seeds": "5-2"}, "seeds '5-2': say a number N"),
        ({"trials": 10**9}, "1000000000 trials: 10000 at most"),
        ({"methods": []}, r"methods: \[\] names nothing"),
        ({"methods": 5}, "methods are names, not 5"),
        ({"tasks": [None]}, r"tasks: \[None\] names nothing"),
        ({"model": b"x"}, "model is a text, not b'x'"),
        ({"runs": object}, "runs is a text, not <class 'object'>"),
        ({"ratios": [[4]]}, r"'\[4\]' is no ratio"),
        ({"ratios": []}, "ratios: none is named"),
        ({"shard": 3}, "shard is"),
        ({"max_hours": "1"}, "max_hours is a number, not '1'"),
        ({"seeds": 1001}, "1000 at most"),
        ({"trials": -1}, "trials is a whole number of at least 0"),
        ({"max_train_samples": True}, "max_train_samples is a whole number, not True"),
        ({"device": "gpu"}, "unknown value of device 'gpu'"),
        ({"match": "layers"}, "unknown value of match 'layers'"),
        ({"keep_models": "some"}, "unknown value of keep-models 'some'"),
        ({"teacher_cache_gb": -1.0}, "teacher-cache-gb"),
        ({"max_hours": 0.0}, "max_hours"),
        ({"cell_hours": 0.0}, "cell-hours is a positive number, not 0"),
        ({"cell_memory_gb": float("nan")}, "cell-memory-gb is a positive number, not nan"),
        ({"shard": (3, 2)}, "shard"),
        ({"rerun": "some"}, "unknown value of rerun 'some'"),
        ({"rerun": []}, "unknown value of rerun"),
        ({"match": None}, "unknown value of match 'None'"),
        ({"name": "a\nb"}, "--name 'a b': lower case"),
    ],
)
def test_a_mistake_is_said_before_anything_runs(options, said, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=said), cells_here():
        library.run(**{**SMALL, "runs": tmp_path / "x", "progress": False, **options})
    assert not (tmp_path / "x").exists()


def test_one_thing_is_a_list_of_it_and_numbers_of_numpy_are_numbers() -> None:
    assert arguments.names("tasks", Path("a, b.toml")) == ("a, b.toml",)
    assert arguments.names("tasks", ["a,b", Path("c")]) == ("a", "b", "c")
    assert arguments.names("methods", iter(["a"])) == ("a",)
    assert arguments.ratios(np.array([4, 20])) == arguments.ratios("4,20") == (4.0, 20.0)
    assert arguments.ratios(np.int64(4)) == arguments.ratios(range(4, 5)) == (4.0,)
    assert arguments.whole("seeds", np.int32(2)) == 2
    assert arguments.number("max_hours", np.float32(0.5)) == 0.5
    assert arguments.part((np.int64(1), 2)) == (1, 2)


def test_every_option_of_the_command_is_one_of_the_door() -> None:
    from bench.cli.main import parser

    (commands,) = (a for a in parser()._actions if a.choices and "run" in a.choices)
    options = {
        name.removeprefix("--").replace("-", "_")
        for action in commands.choices["run"]._actions
        for name in action.option_strings
        if name.startswith("--")
    }
    own = {"help", "config", "dry_run", "no_latency"}  # of a command line alone
    of_python = {"progress", "claims"}  # the latter stand in a file of options
    assert set(inspect.signature(door).parameters) - of_python == options - own


def test_what_has_its_default_is_not_said() -> None:
    assert words_of(Request()) == []
    request = Request(tasks=("a", "b"), ratios=[4.0, 2.5], axis="flops", offline=True,
                      latency=False, published=Path("x"))  # fmt: skip
    assert words_of(request) == [
        "--tasks", "a,b", "--ratios", "4,2.5", "--match", "flops", "--no-latency", "--offline",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_script_without_a_guard_runs_once_with_several_workers(tmp_path: Path) -> None:
    """A new process would otherwise run the script that called, which would call again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import bench\n"
        "print('begun')\n"
        "print(bench.run(methods='majority', tasks='demo-sentiment', epochs=1, ratios=[4], "
        "workers=2, max_train_samples=600, runs='x'))\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("begun") == 1
    assert "majority" in done.stdout
    assert "demo-sentiment dense" in done.stderr  # the lines of progress
    assert "Traceback" not in done.stderr  # of workers, which leave by themselves
