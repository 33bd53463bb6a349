"""How much of a file of data is read: what it would become is known before it becomes so."""

from __future__ import annotations

import io
import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.tasks.rows import Layout, read_rows
from bench.errors import BenchError
from bench.inputs import USUAL, Limits

LAYOUT = Layout(text=("text",), label="label", named=True)
TINY = Limits(1e-6)  # 1,000 bytes, ten rows, ten characters


def read(path: Path, limits: Limits = TINY, **layout: Any) -> int:
    found = read_rows(path.parent, path.name, LAYOUT, ("no", "yes"), limits)
    return len(found.columns["text"])


def rows(end: str, number: int, text: str = "t") -> str:
    sign = {"tsv": "\t", "csv": ","}.get(end)
    if sign is None:
        return "".join(f'{{"text": "{text}", "label": 1}}\n' for _ in range(number))
    return f"text{sign}label\n" + "".join(f"{text}{sign}1\n" for _ in range(number))


@pytest.mark.parametrize("end", ["tsv", "csv", "jsonl"])
def test_rows_and_lines_are_counted_before_the_file_is_taken_apart(tmp_path, end: str) -> None:
    path, limits = tmp_path / f"a.{end}", Limits(1e-5)
    path.write_text(rows(end, 100))
    assert read(path, limits) == 100
    path.write_text(rows(end, 102))
    with pytest.raises(BenchError, match=rf"a.{end} .*more than 100 rows: --max-data-gb raises"):
        read(path, limits)
    assert read(path, Limits(2e-5)) == 102
    path.write_text(rows(end, 1, "word " * 30))
    with pytest.raises(BenchError, match="more than 100 characters in a line or cell"):
        read(path, limits)
    path.write_text(rows(end, 40, "word " * 50))
    with pytest.raises(BenchError, match=r"cannot read .*: it has more than 10,000 bytes of data"):
        read(path, limits)


def test_a_quoted_cell_has_an_end_too(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"' + "a\n" * 60 + '",1\n')
    with pytest.raises(BenchError, match="more than 100 characters in a line or cell"):
        read(path, Limits(1e-5))
    assert read(path, Limits(2e-5)) == 1


def bomb(times: int, length: int) -> pa.Table:
    """One text that comes again and again; its file holds it once."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), ["a" * length])
    return pa.table({"text": text, "label": pa.array([1] * times, pa.int8())})


def test_a_parquet_file_is_bounded_by_what_it_becomes(tmp_path) -> None:
    """Two gigabytes of text in less than a thousand bytes."""
    path = tmp_path / "a.parquet"
    pq.write_table(bomb(2_000, 1_000_000), path, compression="zstd")
    assert path.stat().st_size < 1_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        BenchError, match=r"a.parquet, after row 0: it has more than 1,000,000,000 by"
    ):
        read(path, USUAL)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # in KiB


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (bomb(11, 1), "more than 10 rows"),
        (bomb(2, 11), "more than 10 characters in a line or cell"),
        (pa.table({"text": ["a" * 9] * 8, "label": [1] * 8, "more": ["b" * 2_000] * 8}), ""),
        (pa.table({"text": [f"{n}" * 9 for n in range(9)], "label": ["yes" * 99] * 9}), "bytes"),
    ],
)
def test_what_a_footer_says_is_looked_at_first(tmp_path, table: pa.Table, said: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, use_dictionary=["text", "more"])
    if not said:  # columns that are not wanted do not count
        assert path.stat().st_size < 10_000
        assert read(path, Limits(1e-5)) == len(table)
        return
    with pytest.raises(BenchError, match=said):
        read(path, Limits(1e-6) if path.stat().st_size < 1_000 else TINY)


def test_a_footer_that_says_too_little_is_found_out(tmp_path, monkeypatch) -> None:
    whole = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"] * 30, "label": [1] * 30}), whole)
    path = tmp_path / "a.parquet"
    path.write_bytes(whole.getvalue())
    calls = []

    def fooled(self: Limits, *, size: int = 0, rows: int = 0, characters: int = 0) -> str:
        calls.append(rows)
        return real(self, rows=rows) if len(calls) > 1 else ""

    real = Limits.objection
    monkeypatch.setattr(Limits, "objection", fooled)
    with pytest.raises(BenchError, match="more than 20 rows"):
        read(path, Limits(2e-6))


def test_an_object_of_a_thousand_keys_a_row_is_no_table(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(
        '{"text": "a", "label": 1, ' + ", ".join(f'"{n}-{m}": 0' for m in range(999)) + "}\n"
        for n in range(11)
    ))  # fmt: skip
    with pytest.raises(BenchError, match="line 11: more than 10,000 columns"):
        read(path, USUAL)
