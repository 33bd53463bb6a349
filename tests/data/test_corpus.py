"""Unlabelled text: what is read, how it is cut into rows, and what is wrong with a file."""

from __future__ import annotations

import json

import numpy as np
import pyarrow
import pytest
from harness import quick, records
from pyarrow import parquet
from transformers import AutoTokenizer

from bench.data.corpus import find_text, load_corpus, prepare_corpus, read_passages
from bench.data.tasks.demo import corpus, demo_encoder_path
from bench.errors import BenchError
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
    assert read_passages(path) == PASSAGES
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
        ("bad.jsonl", b'{"text": "a"}\n{"t": "b"}\n', "bad.jsonl:2: no JSON object with a text"),
        ("half.jsonl", rb'{"text": "\ud800"}', "half.jsonl:1: no JSON object with a text"),
        pytest.param("deep.jsonl", b"[" * 200_000, "deep.jsonl:1: no JSON object", id="deep"),
        ("text.bin", b"text\n", "text.bin is none of .txt, .jsonl, .parquet"),
        ("bad.parquet", b"nothing of the kind", "is no Parquet file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, name, content, complaint: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BenchError, match=complaint) as caught:
        prepare_corpus(find_text(str(path), offline=True), ENCODER, tmp_path / "cache", 128)
    assert "\n" not in str(caught.value)


def test_a_table_without_texts_is_refused(tmp_path) -> None:
    path = tmp_path / "numbers.parquet"
    parquet.write_table(pyarrow.table({"text": np.arange(3)}), path)
    with pytest.raises(BenchError, match="has no column 'text' of texts"):
        read_passages(path)


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
