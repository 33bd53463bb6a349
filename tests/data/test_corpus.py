"""Unlabelled text: what is read, how it is cut into rows, and what is wrong with a file."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pyarrow
import pytest
from harness import quick, records
from pyarrow import parquet
from transformers import AutoTokenizer

from bench.data.corpus import find_text, load_corpus, prepare_corpus, read_passages
from bench.data.tasks.demo import corpus, demo_encoder_path
from bench.errors import BenchError
from bench.inputs import USUAL, Limits
from bench.models.checkpoint import max_pieces

ENCODER = demo_encoder_path()
PASSAGES = [*corpus(30), " ".join(corpus(30, seed=1))]


def write(path, passages):
    if path.suffix == ".txt":
        path.write_text("\n\n".join(passages) + "\n", encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"n": 1, "text": p}) + "\n" for p in passages))
    else:
        parquet.write_table(pyarrow.table({"text": passages, "n": [1] * len(passages)}), path)
    return path


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".parquet"])
def test_every_piece_of_the_text_is_in_some_row(tmp_path, suffix: str) -> None:
    path = write(tmp_path / f"text{suffix}", PASSAGES)
    assert read_passages(path, USUAL) == (PASSAGES, [])
    text = prepare_corpus(find_text(str(path), offline=True), ENCODER, tmp_path / "cache", 128)
    rows = load_corpus(text.path)
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    wanted = [p for t in PASSAGES for p in tokenizer(t, add_special_tokens=False)["input_ids"]]
    special = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert [p for p in rows.pieces.tolist() if p not in special] == wanted
    assert rows.lengths.max() == max_pieces(ENCODER)
    assert text.rows == len(rows) > len(PASSAGES)  # the last one takes several rows
    assert not rows.labels.any()
    assert text.name == path.name


def test_the_same_text_is_tokenised_once(tmp_path) -> None:
    path = write(tmp_path / "text.txt", PASSAGES)
    first = prepare_corpus(find_text(str(path), True), ENCODER, tmp_path / "cache", 128)
    stamp = first.path.stat().st_mtime_ns
    moved = path.rename(tmp_path / "moved.txt")
    again = prepare_corpus(find_text(str(moved), True), ENCODER, tmp_path / "cache", 128)
    assert again.path == first.path
    assert again.path.stat().st_mtime_ns == stamp
    assert again.hash == first.hash


def test_the_same_bytes_are_another_text_under_another_suffix(tmp_path) -> None:
    """A line of JSON is a passage of a .txt file, and holds one in a .jsonl file."""
    for name in ("text.txt", "text.jsonl"):
        (tmp_path / name).write_text('{"text": "a man walks his dog"}\n')
    plain, lines = (find_text(str(tmp_path / f"text.{end}"), True) for end in ("txt", "jsonl"))
    assert plain.hash != lines.hash
    first, second = (
        prepare_corpus(text, ENCODER, tmp_path / "cache", 128) for text in (plain, lines)
    )
    assert first.path != second.path


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("none.txt", None, "is no file"),
        ("empty.txt", b"\n \n", "holds no text"),
        ("latin.txt", "café\n".encode("latin-1"), "is not UTF-8"),
        ("bad.jsonl", b'{"t": "a"}\n{"t": "b"}\n', "bad.jsonl has no column 'text'; it has: 't'"),
        ("half.jsonl", rb'{"text": "\ud800"}', "half.jsonl:1: half a surrogate pair"),
        pytest.param("deep.jsonl", b"[" * 200_000, "deep.jsonl .* line 1: no JSON", id="deep"),
        ("text.bin", b"text\n", "text.bin is none of .txt, .jsonl, .parquet"),
        (
            "bad.parquet",
            b"nothing of the kind",
            "cannot be read as .parquet: .* parquet file.$",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, name, content, complaint: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BenchError, match=complaint) as caught:
        prepare_corpus(find_text(str(path), offline=True), ENCODER, tmp_path / "cache", 128)
    assert "\n" not in str(caught.value)


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" if row else "\n" for row in rows))
    return path


def test_a_corpus_is_read_as_a_table_is(tmp_path) -> None:
    """Blank lines are no rows, empty texts no passages, and of bad rows a few are left out."""
    path = lines(tmp_path / "a.jsonl", {"text": "a"}, None, {"text": None}, {"text": " "}, {"n": 1},
                 {"text": 7}, [1], {"text": ["b"]}, {"text": "c"}, {"text": "d"})  # fmt: skip
    assert read_passages(path, USUAL) == (
        ["a", "7", "c", "d"],
        ["a.jsonl:7: no JSON object", "a.jsonl:8: column 'text' holds a list"],
    )
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert read_passages(path, USUAL)[0] == ["a", "7", "c", "d"]
    with pytest.raises(BenchError, match=r"5 of 6 rows cannot be read, the first: b.jsonl:2: no"):
        read_passages(lines(tmp_path / "b.jsonl", {"text": "a"}, *[[1]] * 5), USUAL)


TEXTS = pyarrow.array(["a", "b", None, "a"])


@pytest.mark.parametrize(
    "column",
    [TEXTS, TEXTS.dictionary_encode(), TEXTS.cast("large_string"), TEXTS.cast("string_view"),
     TEXTS.cast("binary")],
    ids=lambda column: str(column.type).partition("<")[0],
)  # fmt: skip
def test_a_column_of_texts_may_be_of_any_type_that_holds_them(tmp_path, column) -> None:
    parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    assert read_passages(tmp_path / "a.parquet", USUAL) == (["a", "b", "a"], [])


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pyarrow.array([["a"], ["b"]]), r"column 'text' holds list<element: string>"),
        (pyarrow.array([{"a": "b"}, {"a": "c"}]), r"column 'text' holds struct<a: string>"),
        (pyarrow.array([b"\xff", b"\xfe"]), "column 'text' holds bytes that are not UTF-8"),
        (pyarrow.array([b"abc", b"abd"], pyarrow.binary(3)), "holds fixed_size_binary"),
    ],
)
def test_what_a_column_holds_instead_of_texts_is_named(tmp_path, column, said: str) -> None:
    parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    with pytest.raises(BenchError, match=rf"2 of 2 rows cannot be read, .*a.parquet:1: .*{said}"):
        read_passages(tmp_path / "a.parquet", USUAL)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path) -> None:
    parquet.write_table(pyarrow.table({"sentence": ["a"], "n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(BenchError, match="no column 'text'; it has: 'sentence', 'n'"):
        read_passages(tmp_path / "a.parquet", USUAL)


def test_rows_of_a_corpus_that_are_left_out_are_said_each_time(tmp_path) -> None:
    path = lines(tmp_path / "a.jsonl", *[{"text": text} for text in PASSAGES], [1])
    for _ in range(2):
        text = find_text(str(path), offline=True)
        made = prepare_corpus(text, ENCODER, tmp_path / "cache", 128)
        assert made.skipped == (f"a.jsonl:{len(PASSAGES) + 1}: no JSON object",)


def test_files_of_a_corpus_share_one_limit(tmp_path, monkeypatch) -> None:
    files = [write(tmp_path / f"{name}.txt", ["word " * 100]) for name in "ab"]
    monkeypatch.setattr("bench.data.corpus._files", lambda source, offline: files)
    find_text("org/name", True, Limits(2e-6))
    with pytest.raises(BenchError, match="org/name: it has more than 700 bytes of data: --max-d"):
        find_text("org/name", True, Limits(7e-7))


def test_a_data_set_of_the_hub_needs_a_network_once(tmp_path) -> None:
    with pytest.raises(BenchError, match=r"wikimedia/wikipedia is not in the cache.*--corpus FILE"):
        find_text("wikimedia/wikipedia", offline=True)


def test_tinybert_reads_the_text_and_says_so(tmp_path) -> None:
    path, few = write(tmp_path / "passages.txt", corpus(100)), ("--max-train-samples", "100")
    done = quick(tmp_path / "runs", "--corpus", path, *few, methods="tinybert")
    assert done.status == 0, done.err
    own = quick(tmp_path / "runs", *few, methods="tinybert")
    assert own.status == 0, own.err
    found = [r for r in records(tmp_path / "runs").values() if r.cell["method"] == "tinybert"]
    texts = {r.data["general_text"] for r in found}
    assert texts <= {"passages.txt", "demo-sentiment's own"}
    # Another text, another stage 1; of the task's own, a trial must not read the tune rows.
    assert len(list((tmp_path / "runs" / "shared").iterdir())) == 3
    page = (tmp_path / "runs" / "demo.md").read_text()
    assert str(tmp_path) not in page
