"""`bench export`: a cell in the forms in which it can be handed on."""

from __future__ import annotations

from pathlib import Path

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
