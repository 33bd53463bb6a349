"""Files for the GLUE server."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from harness import bench, records
from pyarrow import parquet

from bench import registry
from bench.data.task import Source
from bench.data.tasks.glue import GlueTask
from bench.errors import BenchError
from bench.results.store import Store


def test_file_names_and_labels_are_those_of_the_server() -> None:
    files = {}
    for name in ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"):
        task = registry.task(name)
        assert isinstance(task, GlueTask)
        for part in task.parts:
            files[task.submission(part)] = task.layout.named
    named = {"MNLI-m", "MNLI-mm", "QNLI", "RTE"}
    numbered = {"CoLA", "SST-2", "MRPC", "STS-B", "QQP", "WNLI"}
    assert {name for name, is_named in files.items() if is_named} == named
    assert {name for name, is_named in files.items() if not is_named} == numbered


def test_predictions_for_the_server(tmp_path: Path) -> None:
    """Tiny files in GLUE's layout; the answers on rows copied from dev are those of the report."""
    rte, stsb = tmp_path / "glue" / "RTE", tmp_path / "glue" / "STS-B"
    for folder in (rte, stsb):
        folder.mkdir(parents=True)
    for split, rows in (("train", 64), ("dev", 12), ("test", 12)):
        label = "" if split == "test" else "\tlabel"
        names = [f"\t{n}" for n in ("entailment", "not_entailment")]
        lines = [f"{i}\tthe film {i} is good\ta film{'' if split == 'test' else names[i % 2]}"
                 for i in range(rows)]  # fmt: skip
        head = f"index\tsentence1\tsentence2{label}"
        (rte / f"{split}.tsv").write_text("\n".join([head, *lines]) + "\n")
        score = "" if split == "test" else "\tscore"
        lines = [f"{i}\tthe film {i} is good\ta film{'' if split == 'test' else f'{chr(9)}{i % 6}'}"
                 for i in range(rows)]  # fmt: skip
        head = f"index\tsentence1\tsentence2{score}"
        (stsb / f"{split}.tsv").write_text("\n".join([head, *lines]) + "\n")
    glue, runs, out = tmp_path / "glue", tmp_path / "runs", tmp_path / "out"
    assert bench("run", "--tasks", "rte,stsb", "--methods", "dense", "--model", "demo", "--trials",
                 "0", "--seeds", "1", "--epochs", "1", "--data-dir", glue, "--workers", "1",
                 "--runs", runs).status == 0  # fmt: skip
    cells = {r.cell["task"]: r.id for r in Store(runs).records()}
    # The file's own index counts, not the place in it, and an empty text is answered, too.
    head, *lines = (rte / "test.tsv").read_text().splitlines()
    lines = [line.replace(line.split("\t")[0], f"{900 - n}", 1) for n, line in enumerate(lines)]
    (rte / "test.tsv").write_text("\n".join([head, *lines, "7\t\ta film"]) + "\n")
    result = bench("predict", cells["rte"], cells["stsb"][:8], "--runs", runs, "--data-dir", glue,
                   "--out", out)  # fmt: skip
    assert result.status == 0, result.err
    assert "missing: AX, CoLA, MNLI-m, MNLI-mm, MRPC, QNLI, QQP, SST-2, WNLI" in result.out
    with zipfile.ZipFile(out / "submission.zip") as archive:
        assert archive.namelist() == ["RTE.tsv", "STS-B.tsv"]
    head, *lines = (out / "RTE.tsv").read_text().splitlines()
    assert head == "index\tprediction"
    answers = parquet.read_table(runs / cells["rte"] / "predictions.parquet")["prediction"]
    labels = ("entailment", "not_entailment")
    *lines, empty = lines
    assert lines == [f"{900 - n}\t{labels[a]}" for n, a in enumerate(answers.to_pylist())]
    assert empty in [f"7\t{label}" for label in labels]
    _, *lines = (out / "STS-B.tsv").read_text().splitlines()
    scores = np.array([float(line.split("\t")[1]) for line in lines])
    answers = parquet.read_table(runs / cells["stsb"] / "predictions.parquet")["prediction"]
    assert scores == pytest.approx(np.clip(answers.to_numpy(), 0, 5), abs=6e-4)
    (rte / "test.tsv").unlink()
    refused = bench("predict", cells["rte"], "--runs", runs, "--data-dir", glue, "--out", out)
    assert refused.status == 2
    assert "RTE/test.tsv" in refused.err
    kept = runs / cells["rte"] / "model"
    for file in [*kept.glob("tokenizer*"), *kept.glob("vocab*")]:
        file.unlink()
    refused = bench("predict", cells["stsb"], cells["rte"], "--runs", runs, "--data-dir", glue,
                    "--out", tmp_path / "other")  # fmt: skip
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "model/tokenizer.json is not what was written" in refused.err
    assert not (tmp_path / "other").exists()
    assert bench("export", cells["rte"], "--runs", runs, "--out", tmp_path / "other").status == 2
    twice = bench("predict", cells["stsb"], cells["stsb"], "--runs", runs, "--data-dir", glue,
                  "--out", tmp_path / "other")  # fmt: skip
    assert (twice.status, "two of the cells are of stsb" in twice.err) == (2, True)
    assert not (tmp_path / "other").exists()
    weights = runs / cells["stsb"] / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused = bench("predict", cells["stsb"], "--runs", runs, "--data-dir", glue, "--out", out)
    assert refused.status == 2
    assert "model/model.safetensors is not what was written" in refused.err


def test_the_diagnostic_set_is_answered_by_mnli(tmp_path: Path) -> None:
    mnli, task = tmp_path / "MNLI", registry.task("mnli")
    for folder in (mnli, tmp_path / "diagnostic"):
        folder.mkdir()
    head = "index\tsentence1\tsentence2\n"
    for part in ("matched", "mismatched"):
        (mnli / f"test_{part}.tsv").write_text(f"{head}3\tone\ttwo\n0\tthree\tfour\n")
    source = Source(data_dir=tmp_path)
    assert isinstance(task, GlueTask)
    assert [task.submission(part) for part in task.load_test(source)] == ["MNLI-m", "MNLI-mm"]
    (tmp_path / "diagnostic" / "diagnostic.tsv").write_text(f"{head}1\tcat\tdog\n0\t\tbird\n")
    found = task.load_test(source)
    assert [task.submission(part) for part in found] == ["MNLI-m", "MNLI-mm", "AX"]
    assert found["matched"]["id"][:] == ["3", "0"]
    assert (found["diagnostic"]["id"][:], found["diagnostic"]["text"][:]) == (
        ["1", "0"],
        ["cat", ""],
    )
    (tmp_path / "diagnostic" / "diagnostic.tsv").write_text(f"{head}1\tcat\tdog\n1\tx\tbird\n")
    with pytest.raises(BenchError, match="has an index twice"):
        task.load_test(source)


def test_only_what_the_server_knows_and_was_kept(finished: Path, tmp_path: Path) -> None:
    cell = records(finished)["magnitude", 4.0, 0].id
    refused = bench("predict", cell, "--runs", finished, "--out", tmp_path)
    assert refused.status == 2
    assert "none of GLUE's tasks" in refused.err
