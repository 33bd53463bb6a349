"""A suite's sequence length: rows are cut at it, and FLOPs are counted on it, wherever they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import quick, records
from refusals import assert_refused

from bench.data.encoded import Encoded
from bench.data.tasks.demo import demo_encoder_path
from bench.models.checkpoint import read_config
from bench.runs.request import Request, resolve

LENGTH = 8


def flops_by_hand(length: int) -> int:
    """2 × MACs of the demo's encoder with two labels: Devlin et al.'s layers, written out."""
    config = read_config(demo_encoder_path())
    width, neurons = config.hidden_size, config.intermediate_size
    macs = 0
    for _ in range(config.num_hidden_layers):
        macs += 4 * length * width * width  # queries, keys, values and the output
        macs += 2 * length * length * width  # scores, and their weighted sums
        macs += 2 * length * width * neurons
    macs += width * width + width * 2  # pooler and classifier, on one token
    return 2 * macs


def test_rows_targets_and_pages_follow_the_suites_length(runs: Path) -> None:
    result = quick(runs, "--sequence-length", LENGTH, "--match", "flops", "--ratios", "2")
    assert result.status == 0, result.err
    found = records(runs)
    dense, pruned = found["dense", 1, 0], found["magnitude", 2, 0]
    assert dense.footprint["flops"]["dense"] == flops_by_hand(LENGTH) != flops_by_hand(64)
    assert pruned.footprint["flops"]["ratio"] == pytest.approx(2, rel=0.01)
    assert pruned.data["cut_to_fit"]["pieces"] == LENGTH
    assert pruned.data["cut_to_fit"]["report"] > 0
    for rows in [*runs.glob("data/*/train.parquet"), *runs.glob("data/*/report.parquet")]:
        assert Encoded.load(rows).lengths.max() == LENGTH
    page = next(runs.glob("*.md")).read_text(encoding="utf-8")
    assert "## 2× fewer FLOPs (S = 8)" in page
    assert "FLOPs ×, S = 8" in page
    assert "FLOPs of one example of 8 tokens" in page
    assert "S = 64" not in page
    assert "S = 128" not in page


def test_an_encoder_is_not_asked_for_more_than_it_takes(runs: Path) -> None:
    assert resolve(Request(runs=runs)).protocol.sequence_length == 64
    said = ("--sequence-length 65", "demo-encoder", "64 tokens at most")
    assert_refused(quick(runs, "--sequence-length", "65"), *said)
    assert_refused(quick(runs, "--sequence-length", "7"), "sequence-length", "at least 8")
