"""`bench export`: a cell in the forms in which it can be handed on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import bench, records
from tiny_models import logits
from transformers import AutoModelForSequenceClassification

from bench.models.compact import load_compact


def test_a_cell_is_exported_by_the_beginning_of_its_id(finished: Path, tmp_path: Path) -> None:
    runs = finished
    cell = records(runs)["magnitude", 4.0, 0]
    for form in ("hf", "sparse"):
        done = bench("export", cell.id[:9], "--format", form, "--runs", runs,
                     "--out", tmp_path / form)  # fmt: skip
        assert done.status == 0, done.err
        assert (tmp_path / form / "tokenizer.json").is_file()
        assert "magnitude on demo-sentiment" in done.out
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "hf").eval()
    back = load_compact(tmp_path / "sparse")
    torch.testing.assert_close(logits(back).float(), logits(stock), rtol=0.02, atol=0.02)
    again = bench("export", cell.id, "--runs", runs, "--out", tmp_path / "hf")
    assert (again.status, "exists already" in again.err) == (2, True)
    unknown = bench("export", "zzz", "--runs", runs)
    assert (unknown.status, "unknown cell" in unknown.err) == (2, True)


@pytest.mark.slow
def test_an_int8_graph_comes_with_its_score(copied: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="prunebench[engines] is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="prunebench[engines] is not installed")
    from pyarrow import parquet

    cell = records(copied)["magnitude", 4.0, 0]
    words = ["export", cell.id, "--format", "onnx-int8", "--runs", copied, "--out"]
    done = bench(*words, tmp_path / "graph")
    assert done.status == 0, done.err
    # The same by hand: a row at a time, without padding.
    session = runtime.InferenceSession(tmp_path / "graph" / "model.onnx")
    rows = parquet.read_table(next(copied.glob("data/demo-sentiment-*/report.parquet"))).to_pylist()
    answers = []
    for row in rows:
        pieces, segments = (np.array([row[key]], dtype=np.int64) for key in ("pieces", "segments"))
        mask = np.ones_like(pieces)
        inputs = {"input_ids": pieces, "attention_mask": mask, "token_type_ids": segments}
        answers.append(session.run(None, inputs)[0].argmax())
    kept = parquet.read_table(copied / cell.id / "predictions.parquet").to_pydict()
    said = re.search(r"on (\S+) report rows it answers (\S+) % as fp32 does: (\S+), not (\S+)",
                     done.out)  # fmt: skip
    assert said is not None, done.out
    count, alike, score, before = (float(figure.replace(",", "")) for figure in said.groups())
    assert (count, before) == (len(rows), round(cell.score, 1))
    # Rows that are padded to a batch are rounded with it: a few may tip over.
    few = 100 * 3 / len(rows)
    assert alike == pytest.approx(100 * np.mean(np.equal(answers, kept["prediction"])), abs=few)
    assert score == pytest.approx(100 * np.mean(np.equal(answers, kept["label"])), abs=few)
    assert alike > 90
    shutil.rmtree(copied / "data")
    done = bench(*words, tmp_path / "again")
    assert (done.status, "its answers were not compared" in done.out) == (0, True), done.err
