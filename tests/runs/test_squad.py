"""SQuAD 2.0 from files to a page, against the official rules on the files themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import bench
from squad_files import write_squad
from squad_rules import official

from bench.results.predictions import in_store, predictions_hash, published
from bench.results.record import THRESHOLD
from bench.results.store import Store

METHODS = "magnitude,int8,majority,text-floor,encoder-floor"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose windows are shorter than its contexts."""
    folder = tmp_path_factory.mktemp("squad")
    write_squad(folder / "data", 12, 4, length=5)
    result = bench(
        "run", "--tasks", "squad2,squad", "--data-dir", folder / "data", "--model", "demo",
        "--methods", METHODS, "--epochs", "1", "--seeds", "1", "--trials", "0", "--ratios", "4",
        "--sequence-length", "20", "--workers", "1", "--no-latency", "--runs", folder / "runs",
        "--keep-models", "all", "--name", "x",
    )  # fmt: skip
    assert result.status == 0, result.err
    return folder


def test_every_cell_ends_well_with_a_score_that_validates(folder: Path) -> None:
    records = list(Store(folder / "runs").records())
    assert {record.status for record in records} == {"ok"}
    assert len(records) == 12
    assert all(set(record.scores) == {"exact_match", "token_f1"} for record in records)
    assert bench("validate", folder / "runs").status == 0


def test_scores_are_those_of_the_official_rules_on_the_predictions_file(folder: Path) -> None:
    for record in Store(folder / "runs").records():
        task = record.cell["task"]
        version = {"squad": "1.1", "squad2": "2.0"}[task]
        out = folder / f"out-{record.id}"
        assert bench("predict", record.id, "--out", out, "--runs", folder / "runs").status == 0
        answers = json.loads((out / f"{task}.json").read_text())
        dev = json.loads((folder / f"data/dev-v{version}.json").read_text())
        asked = [q for a in dev["data"] for p in a["paragraphs"] for q in p["qas"]]
        assert list(answers) == [question["id"] for question in asked]
        worth = [
            official(answers[q["id"]], [one["text"] for one in q["answers"]], version)
            for q in asked
        ]
        exact, f1 = (100 * sum(column) / len(worth) for column in zip(*worth, strict=True))
        assert record.scores == pytest.approx({"exact_match": exact, "token_f1": f1})
        assert record.score == pytest.approx((exact + f1) / 2)


def test_the_threshold_is_that_of_the_trial_on_tune_rows(folder: Path) -> None:
    studies = [json.loads(path.read_text()) for path in folder.glob("runs/tuning/*/study.json")]
    found = {
        study["cell"]["method"]: study["trials"][0]["threshold"]
        for study in studies
        if study["cell"]["task"] == "squad2"
    }
    assert {"dense", "magnitude", "int8", "majority"} <= found.keys()
    for record in Store(folder / "runs").records():
        said = record.data.get(THRESHOLD)
        if record.cell["task"] == "squad" or not record.has_model:
            assert said is None
        else:
            assert said == found[record.cell["method"]]


def test_1_1_answers_every_question(folder: Path) -> None:
    answers = in_store(Store(folder / "runs"))
    for record in Store(folder / "runs").records():
        if record.cell["task"] == "squad" and record.has_model:
            found = answers(record.id)
            assert found is not None
            assert all(found.answers)
            assert all(found.labels)


def test_a_page_knows_spans(folder: Path) -> None:
    page = (folder / "runs/x.md").read_text()
    assert "windows of 20 tokens that share 6" in page
    assert "12 training questions have no answer" in page
    assert "Loyalty" in page
    assert "text floor (" in page
    out = folder / "pages"
    assert bench("leaderboard", "--runs", folder / "runs", "--out", out).status == 0
    held = published(out / "records/x.parquet")
    own = in_store(Store(folder / "runs"))
    for record in Store(folder / "runs").records():
        one, other = held(record.id), own(record.id)
        assert one is not None
        assert other is not None
        assert predictions_hash(one) == predictions_hash(other)
    assert bench("validate", out).status == 0


def test_two_methods_are_compared_question_by_question(folder: Path) -> None:
    result = bench("compare", "dense", "majority", "--task", "squad2", "--ratio", "4",
                   "--runs", folder / "runs")  # fmt: skip
    assert result.status == 0, result.err


def test_models_are_handed_on_and_scored_by_others(folder: Path) -> None:
    record = next(
        r for r in Store(folder / "runs").records()
        if (r.cell["method"], r.cell["task"]) == ("magnitude", "squad2")
    )  # fmt: skip
    for form in ("hf", "sparse"):
        result = bench("export", record.id, "--format", form, "--out", folder / form,
                       "--runs", folder / "runs")  # fmt: skip
        assert result.status == 0, result.err
    counted = bench("footprint", folder / "sparse", "--sequence-length", "20")
    assert counted.status == 0, counted.err
    result = bench("evaluate", folder / "hf", "--task", "squad2", "--data-dir", folder / "data",
                   "--runs", folder / "others")  # fmt: skip
    assert result.status == 0, result.err
    (entered,) = Store(folder / "others").records()
    assert entered.data[THRESHOLD] == 0.0
    assert entered.footprint["weights"]["actual"] == record.footprint["weights"]["actual"]
    wrong = bench("evaluate", folder / "hf", "--task", "demo-sentiment", "--runs", folder / "o2")
    assert "asks for classes" in wrong.err


@pytest.mark.slow
def test_an_int8_graph_is_compared_with_its_model(folder: Path) -> None:
    pytest.importorskip("onnxscript", reason="prunebench[engines] is not installed")
    record = next(r for r in Store(folder / "runs").records()
                  if (r.cell["method"], r.cell["task"]) == ("dense", "squad2"))  # fmt: skip
    result = bench("export", record.id, "--format", "onnx-int8", "--out", folder / "graph",
                   "--runs", folder / "runs")  # fmt: skip
    assert result.status == 0, result.err
    assert "on 24 report rows it answers" in result.out


@pytest.mark.slow
def test_every_method_serves_spans(tmp_path: Path) -> None:
    write_squad(tmp_path / "data", 20, 4)
    result = bench(
        "run", "--methods", "all", "--tasks", "squad2", "--data-dir", tmp_path / "data", "--model",
        "demo", "--epochs", "1", "--seeds", "1", "--trials", "0", "--ratios", "4", "--workers",
        "1", "--no-latency", "--runs", tmp_path / "runs", in_workers=True,
    )  # fmt: skip
    assert result.status == 0, result.err
    assert {record.status for record in Store(tmp_path / "runs").records()} == {"ok"}
