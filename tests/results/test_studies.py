"""Studies: whole or one clear line, and published, replaced and removed as records are."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from example_page import record

from bench.errors import BenchError
from bench.files import write_json
from bench.leaderboard.publish import add_suites, check, write
from bench.results.store import Store
from bench.results.studies import is_study, published_path, read_studies
from bench.results.suites import open_suite

SETTINGS = {"trials": 2, "epochs": 1, "batch_size": 16, "dropout": 0.1, "precision": "fp32",
            "max_train_samples": None}  # fmt: skip

STUDY: dict[str, Any] = {
    "cell": {"method": "dense", "task": "cola", "axis": "weights", "ratio": 1.0, "seed": 1000},
    "complete": True,
    "sampler": "Sobol design",
    "best": 0,
    "trials": [
        {"params": {"learning_rate": 1e-4}, "score": 50.0, "ratio": 1.0, "steps": 5, "wall_s": 2.5,
         "flops": {"training": 9}, "kept": {}, "reference": None,
         "curve": {"steps": [4, 5], "loss": [0.7, 0.6], "score": [40.0, 50.0], "gain": None}},
        {"params": {"learning_rate": 2e-4}, "error": "the loss is nan\u2028at step 1"},
    ],
    "train_flops": 9,
}  # fmt: skip


def run_folder(runs: Path, study: Any = STUDY, *, key: str = "s1", version: int = 1) -> Path:
    """A run folder with a record and a study, made without any run."""
    record_id = f"{version}abc"
    suite = {
        "name": "s", "model": "m", "weights": "w", "axis": "weights", "protocol": "p",
        "settings": SETTINGS, "data": {"cola": "rows"}, "commands": ["bench run"], "workers": 1,
        "versions": {"dense": version}, "studies": {key: "dense"},
        "cells": {record_id: ["dense", "cola", 1.0, 0]},
    }  # fmt: skip
    write_json(runs / "suites" / "s.json", suite)
    store = Store(runs)
    store.put(record("dense", "cola", 1.0, 0, 50.0, id=record_id))
    if study is not None:
        write_json(runs / "tuning" / key / "study.json", study)
    return runs


def test_published_studies_say_what_a_page_needs_and_no_seconds(tmp_path: Path) -> None:
    runs, out = run_folder(tmp_path / "runs"), tmp_path / "out"
    add_suites([runs], out)
    write(out)
    assert check(out) == []
    (there,) = open_suite(runs, "s").studies
    (study,) = open_suite(out, "s").studies
    assert there == {"id": "s1", **STUDY}
    assert study["id"] == "s1"
    first, second = study["trials"]
    assert first == {"params": {"learning_rate": 1e-4}, "score": 50.0, "ratio": 1.0, "steps": 5,
                     "curve": STUDY["trials"][0]["curve"]}  # fmt: skip
    assert second == STUDY["trials"][1]  # a message may hold what Python takes for a line's end
    path = published_path(out, "s")
    path.write_text(path.read_text().replace('"steps": 5', '"steps": 6'))
    assert check(out) == [out / "s.json"]  # whose hashes cover what no page shows, too


def test_a_study_takes_the_place_of_an_older_one_unless_it_is_not_complete(tmp_path: Path) -> None:
    out = tmp_path / "out"
    add_suites([run_folder(tmp_path / "a")], out)
    begun = {**STUDY, "complete": False, "trials": STUDY["trials"][:1]}
    add_suites([run_folder(tmp_path / "b", begun)], out)
    assert [study["complete"] for study in read_studies(out, "s")] == [True]
    better = copy.deepcopy(STUDY)
    better["trials"][0]["score"] = 60.0
    add_suites([run_folder(tmp_path / "c", better)], out)
    assert [study["trials"][0]["score"] for study in read_studies(out, "s")] == [60.0]
    add_suites([run_folder(tmp_path / "d", None)], out)  # one that was run without its studies
    assert len(read_studies(out, "s")) == 1
    # What another version of the method was tuned by goes with its records.
    add_suites([run_folder(tmp_path / "e", key="s2", version=2)], out)
    assert [study["id"] for study in read_studies(out, "s")] == ["s2"]
    add_suites([run_folder(tmp_path / "f", None, key="s3", version=3)], out)
    assert not published_path(out, "s").exists()
    write(out)
    assert check(out) == []


@pytest.mark.parametrize(
    "change",
    [
        {"cell": {"method": "dense"}}, {"complete": 1}, {"sampler": None}, {"best": 1},
        {"best": 2}, {"best": True}, {"trials": {}}, {"trials": [{"score": 1.0, "ratio": 1.0}]},
        {"trials": [{"params": {}, "score": "high", "ratio": 1.0}]}, {"trials": [7]},
        {"rates": [[1e-4]]}, {"rates": [[0, 1]]}, {"rates": {}}, {"edge": 1}, {"floor": "x"},
        {"not_tuned": 1},
    ],
)  # fmt: skip
def test_what_is_no_study_is_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    assert is_study(STUDY)  # of before there were edges and floors
    assert is_study({**STUDY, "rates": [[1e-5, 1], [1e-4, 2]], "edge": None, "floor": 7.0})
    assert not is_study({**STUDY, **change})
    runs = run_folder(tmp_path / "runs", {**STUDY, **change})
    with pytest.raises(BenchError, match=r"study\.json sums up no study"):
        open_suite(runs)
    path = published_path(tmp_path, "s")
    path.parent.mkdir()
    path.write_text(json.dumps({"id": "x", **STUDY, **change}) + "\n")
    with pytest.raises(BenchError, match=r"s\.studies\.jsonl:1: no study"):
        read_studies(tmp_path, "s")
    path.write_text('{"id": "x", NaN')
    with pytest.raises(BenchError, match=r"s\.studies\.jsonl:1: no study"):
        read_studies(tmp_path, "s")


def test_a_study_none_of_whose_trials_has_ended_is_not_there_yet(tmp_path: Path) -> None:
    assert open_suite(run_folder(tmp_path / "runs", None)).studies == []
