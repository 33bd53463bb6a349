"""What a readable row is: no half of a text is trained on, and no label that nobody gave scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from bench.data.tasks.rows import Layout, Rows, read_rows
from bench.errors import BenchError

LAYOUT = Layout(text=("text",), label="label", named=True)


def read(folder: Path, name: str, content: str | list[Any], *labels: str, **layout: Any) -> Rows:
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    (folder / name).write_bytes(content.encode())
    return read_rows(folder, name, Layout(text=("text",), label="label", named=True, **layout),
                     labels or None)  # fmt: skip


def objects(*labels: Any) -> list[dict[str, Any]]:
    return [{"text": f"row {number}", "label": label} for number, label in enumerate(labels)]


def test_a_row_without_a_label_is_of_no_class_called_none(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.jsonl", objects("None", None, "Angry", float("nan"), "None", "Angry"),
                "None", "Angry")  # fmt: skip
    assert rows.columns["label"] == [0, 1, 0, 1]
    assert rows.skipped == ["a.jsonl:2: no label", "a.jsonl:4: no label"]


def test_most_rows_have_a_label_or_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="3 of 5 rows have no label or cannot be read"):
        read(tmp_path, "a.jsonl", objects("no", None, None, None, "yes"), "no", "yes")


def test_true_is_no_number_and_is_called_what_the_file_calls_it(tmp_path: Path) -> None:
    rows = read(tmp_path, "b.jsonl", objects(True, False, True), "false", "true")
    assert rows.columns["label"] == [1, 0, 1]
    with pytest.raises(BenchError, match="label 'true' is none of 0, 1, no, yes"):
        read(tmp_path, "b.jsonl", objects(True, "no"), "no", "yes")
    with pytest.raises(BenchError, match=r"4 of 8 rows cannot be read, the first: .*label 'true'"):
        read(tmp_path, "b.jsonl", objects(1.5, True, 2.0, False, True, 3, False, 1))


def test_class_numbers_in_a_column_with_gaps_are_numbers_still(tmp_path: Path) -> None:
    rows = read(tmp_path, "c.jsonl", objects(1.0, 0.0, None, 1.0), "no", "yes")
    assert rows.columns["label"] == [1, 0, 1]
    with pytest.raises(BenchError, match=r"label '0\.5' is none of"):
        read(tmp_path, "c.jsonl", objects(1.0, 0.5), "no", "yes")


def test_halves_of_a_row_are_no_rows(tmp_path: Path) -> None:
    """The second half has as many columns as a row."""
    content = "text\tlabel\nfirst\tno\nIt broke\nand went out.\tyes\nlast\tyes\n"
    rows = read(tmp_path, "d.tsv", content, "no", "yes")
    assert rows.columns["text"] == ["first", "last"]
    assert len(rows.skipped) == 1
    assert "lines 3 to 4 are one row" in rows.skipped[0]


def test_a_quoted_line_end_of_a_tsv_and_a_lone_carriage_return_of_a_csv_are_read(
    tmp_path: Path,
) -> None:
    tsv = 'text\tlabel\n"It ""broke""\nand\nwent out."\tyes\na "b" c\tno\n'
    rows = read(tmp_path, "d.tsv", tsv, "no", "yes")
    assert rows.columns["text"] == ['It "broke"\nand\nwent out.', 'a "b" c']
    assert (rows.columns["label"], rows.skipped) == ([1, 0], [])
    rows = read(
        tmp_path, "d.csv", "text,label\nIt broke\rand went out.,yes\r\nlast,no\n", "no", "yes"
    )
    assert rows.columns["text"] == ["It broke and went out.", "last"]
    rows = read(tmp_path, "d.csv", "text,label\rfirst,yes\rlast,no\r", "no", "yes")
    assert rows.columns["text"] == ["first", "last"]


def test_a_row_in_many_pieces_is_one_and_a_short_one_before_a_whole_one_is_alone(
    tmp_path: Path,
) -> None:
    layout = Layout(text=("text",), label="label")
    head, good = "text\tmore\tlabel\n", "a\tb\t1\n" * 40
    (tmp_path / "e.tsv").write_text(f"{head}{good}one\ntwo\nthree\tmore\t0\nlast\tx\t1\n")
    rows = read_rows(tmp_path, "e.tsv", layout, ("no", "yes"))
    assert rows.columns["text"][-2:] == ["a", "last"]
    assert len(rows.skipped) == 1
    (tmp_path / "e.tsv").write_text(f"{head}{good}short\t0\nlast\tx\t1\n")
    rows = read_rows(tmp_path, "e.tsv", layout, ("no", "yes"))
    assert rows.columns["text"][-1] == "last"
    assert rows.skipped == ["e.tsv:42: 2 columns instead of 3"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.tsv", "text\tlabel\n\na\tno\n\n \nb\tyes\n\n"),
        ("f.csv", "text,label\n\na,no\n\nb,yes\n\n"),
        ("f.jsonl", '\n{"text": "a", "label": "no"}\n\n{"text": "b", "label": "yes"}\n\n'),
    ],
)
def test_blank_lines_are_no_rows(name: str, content: str, tmp_path: Path) -> None:
    rows = read(tmp_path, name, content, "no", "yes")
    assert (rows.columns["text"], rows.skipped) == (["a", "b"], [])


def test_a_share_of_bad_rows_stops_with_the_first_named(tmp_path: Path) -> None:
    scores = ["1,5" if number % 3 == 0 else str(number) for number in range(60)]
    content = "text\tlabel\n" + "".join(f"t\t{score}\n" for score in scores)
    with pytest.raises(BenchError, match=r"20 of 60 rows cannot be read, the first: g.tsv:2: label "
                       r"'1,5' cannot be read; g.tsv:5"):  # fmt: skip
        read(tmp_path, "g.tsv", content)


def test_classes_that_the_file_numbers_otherwise_are_refused(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=features)
    rows.to_parquet(tmp_path / "h.parquet")
    assert read_rows(tmp_path, "h.parquet", LAYOUT, ("neg", "pos")).columns["label"] == [0, 1]
    assert read_rows(tmp_path, "h.parquet", LAYOUT, ("bad", "good")).columns["label"] == [0, 1]
    with pytest.raises(BenchError, match="numbers its classes neg, pos, and the task pos, neg"):
        read_rows(tmp_path, "h.parquet", LAYOUT, ("pos", "neg"))
    for labels in (("Pos", "neg "), ("pos", "other"), ("other", "neutral", "pos")):
        with pytest.raises(BenchError, match="name the labels in the file's order"):
            read_rows(tmp_path, "h.parquet", LAYOUT, labels)
