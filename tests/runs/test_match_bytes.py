"""Ratios that are counted on the bytes of the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import bench, quick, records
from safetensors.torch import load_file, save_file

from bench.models.compact import COMPACT


def test_a_file_is_as_much_smaller_as_was_asked(tmp_path: Path) -> None:
    """Measured on exported files; what cannot be reached is told before any training."""
    runs, sparse = tmp_path / "runs", tmp_path / "sparse"
    words = ("--match", "bytes", "--ratios", "2,20")
    done = quick(runs, *words, methods="magnitude,small-dense,textpruner")
    assert done.status == 0, done.err
    found = records(runs)
    ended = {(method, ratio): record.status for (method, ratio, _), record in found.items()}
    methods = ("magnitude", "small-dense", "textpruner")
    assert [ended[method, 2.0] for method in methods] == ["ok"] * 3
    assert [ended[method, 20.0] for method in methods] == ["unreachable", "ok", "unreachable"]
    for (_, ratio, _), record in found.items():
        if record.status == "ok" and ratio > 1:
            assert ratio <= record.footprint["bytes"]["ratio"] < 1.1 * ratio
    cell = found["magnitude", 2.0, 0]
    exported = bench("export", cell.id, "--format", "sparse", "--runs", runs, "--out", sparse)
    assert exported.status == 0, exported.err
    size = (sparse / COMPACT).stat().st_size
    assert size == cell.footprint["bytes"]["actual"]
    dense = load_file(runs / found["dense", 1.0, 0].id / "model" / "model.safetensors")
    save_file({name: tensor.half() for name, tensor in dense.items()}, tmp_path / "dense")
    assert (tmp_path / "dense").stat().st_size / size == pytest.approx(2, rel=5e-3)
    page = (runs / "demo-bytes.md").read_text(encoding="utf-8")
    assert page.startswith("# demo-bytes: demo-encoder, matched on bytes, protocol ")
    assert "**Matched on bytes**" in page
    assert "## 20× fewer bytes" in page
    best = found["magnitude", 20.0, 0].footprint["bytes"]["ratio"]
    # 95,873 values of two bytes, of which 65,536 become bits; names make up the rest
    assert 0.9 * 191_746 / (60_674 + 8_192) < best < 191_746 / (60_674 + 8_192)
    assert f"unreachable: magnitude on demo-sentiment, seed 0: {best:.2f}× at most" in page
