"""Parameters that are taken over from another suite."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import bench, quick, records
from refusals import assert_refused

from bench.results.store import Store
from bench.runs import launch
from bench.runs.cells import carried as carrying
from bench.runs.request import Request, resolve


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


def test_a_value_that_the_method_no_longer_takes_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned_cells = [
        SimpleNamespace(
            cell={"method": method, "task": "demo-sentiment", "ratio": ratio},
            tuning={"found": found, "trials": 3},
        )
        for method, ratio, found in (
            ("dense", 1.0, {"learning_rate": 1e-3}),
            ("movement", 10.0, {"learning_rate": 1e-3, "final_phase": 0.52}),
        )
    ]
    monkeypatch.setattr(carrying, "check_source", lambda *_: None)
    monkeypatch.setattr(carrying, "_find", lambda *_: ({"weights": "other"}, tuned_cells))
    words = ("--carry-from", "source", "--ratios", "10", "--dry-run")
    said = "--carry-from source, demo-sentiment, 10×: movement's final_phase=0.52 lies outside"
    assert_refused(quick(tmp_path / "runs", *words, methods="movement"), said)


def test_each_row_takes_the_first_of_several_that_has_tuned_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(method: str, task: str, rate: float) -> SimpleNamespace:
        cell = {"method": method, "task": task, "ratio": 1.0 if method == "dense" else 4.0}
        return SimpleNamespace(cell=cell, tuning={"found": {"learning_rate": rate}, "trials": 3})

    suites = {
        "one": [tuned(m, "demo-sentiment", 1e-3) for m in ("dense", "magnitude")],
        "two": [tuned(m, "demo-sentiment", 2e-3) for m in ("dense", "magnitude", "movement")],
    }
    monkeypatch.setattr(carrying, "_folders_of", lambda *_: [tmp_path])
    monkeypatch.setattr(carrying, "_find", lambda name, *_: ({"weights": "o"}, suites[name]))
    request = Request(
        methods=("magnitude", "movement"), tasks=("demo-sentiment", "demo-paraphrase"),
        ratios=(4.0,), carry_from="one,two,two:demo-sentiment", runs=tmp_path,
    )  # fmt: skip
    context = launch.prepare(resolve(request)).context
    assert {
        (method, task): (found.params["learning_rate"], found.source)
        for (method, task, _), found in context.carried.items()
    } == {
        ("dense", "demo-sentiment"): (1e-3, "one, demo-sentiment, 1×"),
        ("magnitude", "demo-sentiment"): (1e-3, "one, demo-sentiment, 4×"),
        ("movement", "demo-sentiment"): (2e-3, "two, demo-sentiment, 4×"),
        ("dense", "demo-paraphrase"): (2e-3, "two, demo-sentiment, 1×"),
        ("magnitude", "demo-paraphrase"): (2e-3, "two, demo-sentiment, 4×"),
        ("movement", "demo-paraphrase"): (2e-3, "two, demo-sentiment, 4×"),
    }


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
