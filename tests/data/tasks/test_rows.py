"""Labelled rows out of files."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bench.data.tasks import glue, rows
from bench.data.tasks.rows import Layout, read_rows
from bench.errors import BenchError


def test_the_first_of_many_objects_may_lack_a_column(tmp_path) -> None:
    rows = [{"subject": f"text {n}", "y": "a"} for n in range(30)]
    lines = [json.dumps({"subject": "no label"}), *map(json.dumps, rows)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    layout = Layout(text=("subject",), label="y", named=True)
    found = read_rows(tmp_path, "rows.jsonl", layout, ("a", "b"))
    assert len(found.columns["text"]) == 30
    assert found.skipped == ["rows.jsonl:1: label 'None' cannot be read"]


def test_two_columns_of_a_name_are_refused(tmp_path) -> None:
    (tmp_path / "rows.csv").write_text("subject,y,subject\nx,a,z\n")
    layout = Layout(text=("subject",), label="y", named=True)
    with pytest.raises(BenchError, match="has 2 columns called 'subject'"):
        read_rows(tmp_path, "rows.csv", layout, ("a", "b"))


def write(path: Path, *lines: str, end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(lines).encode() + end.encode())


def test_reading_is_fast(tmp_path) -> None:
    write(tmp_path / "big.tsv", "sentence\tlabel", *["some words of a usual length\t1"] * 100_000)
    start = time.perf_counter()
    read = rows.read_rows(tmp_path, "big.tsv", glue.SST2.layout, glue.SST2.info.labels)
    assert len(read.columns["id"]) == 100_000
    assert time.perf_counter() - start < 5  # a fifth of a second on an idle core
