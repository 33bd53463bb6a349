"""`bench latency`: where measured speed ends up, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from harness import bench, records
from tiny_models import tiny_classifier

from bench.deploy.engines import ENGINES
from bench.results.store import Store

pytestmark = pytest.mark.usefixtures("short_measurements")


def test_a_cells_speed_is_kept_in_its_record_and_stands_on_the_page(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = copied
    cell = records(runs)["magnitude", 4.0, 0]
    length = str(cell.data["median_length"])
    plain = {name: ENGINES[name] for name in ("torch", "torch-csr")}
    monkeypatch.setattr("bench.deploy.engines.ENGINES", plain)
    done = bench("latency", cell.id[:10], "--runs", runs, "--engine", "torch-csr", "--batch", "1",
                 "--sequence-length", length, "--threads", "1", "--json")  # fmt: skip
    assert done.status == 0, done.err
    report = json.loads(done.out)
    rows = {(r["model"], r["engine"]): r for r in report["rows"]}
    assert list(rows) == [("given", "torch-csr"), ("dense", "torch"), ("dense", "torch-csr")]
    assert {(r["batch"], r["seq_len"]) for r in report["rows"]} == {(1, int(length))}
    best = min(r["median_ms"] for (model, _), r in rows.items() if model == "dense")
    gain = best / rows["given", "torch-csr"]["median_ms"]
    assert report["dense"] == "reference"
    kept = records(runs)["magnitude", 4.0, 0]
    assert kept.latency is not None
    assert (kept.score, len(kept.latency["rows"])) == (cell.score, 3)
    page = next(runs.glob("*.md")).read_text(encoding="utf-8")
    shown = f"{rows['given', 'torch-csr']['median_ms']:.3g} torch-csr | {gain:.2f} |"
    assert f"| {shown}" in re.sub(" +", " ", page)
    # A measurement against something else is printed, but is none of the record's.
    other = bench("latency", cell.id[:10], "--runs", runs, "--batch", "1", "--dense",
                  Store(runs).folder(cell.id) / "model", "--sequence-length", "64", "--threads",
                  "1", "--json")  # fmt: skip
    assert other.status == 0, other.err
    assert records(runs)["magnitude", 4.0, 0] == kept
    # The table for people names each engine's version once, though two of torch's ran.
    said = bench("latency", cell.id[:10], "--runs", runs, "--engine", "torch-csr", "--batch", "1",
                 "--sequence-length", "64", "--threads", "1")  # fmt: skip
    assert said.out.count(f"torch {torch.__version__}") == 1, said.out


def test_a_cells_folder_can_be_named_from_inside_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "record.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    done = bench("latency", "abc", "--runs", ".")
    assert (done.status, "as a cell: unknown cell" in done.err) == (2, True), done.err


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny_classifier("bert").save_pretrained(folder)
    for words, said in (
        ([folder, "--sequence-length", "500"], "the model takes"),
        ([folder, "--engine", "tensorrt"], "unknown engine"),
        ([folder, "--batch", "0"], "at least 1"),
        (["nothing-like-it", "--runs", tmp_path / "runs"], "is no folder"),
    ):
        done = bench("latency", *words)
        assert (done.status, said in done.err, done.err.count("\n")) == (2, True, 1), done.err
