"""SQuAD's files in the official layout, and the hub's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from squad_files import write_squad

from bench import hub
from bench.data.task import Source, checked_rows
from bench.data.tasks.squad import Squad, Squad2
from bench.errors import BenchError

HAND = {
    "version": "v2.0",
    "data": [
        {
            "title": "Rivers",
            "paragraphs": [
                {
                    "context": "The Rhine is long. A rhyme is not.",
                    "qas": [
                        {"id": "a", "question": "What is long?", "is_impossible": False,
                         "answers": [{"text": "The Rhine", "answer_start": 0},
                                     {"text": "Rhine", "answer_start": 4},
                                     {"text": "A", "answer_start": 19}]},
                        {"id": "b", "question": "Who is short?", "is_impossible": True,
                         "answers": [],
                         "plausible_answers": [{"text": "A rhyme", "answer_start": 19}]},
                    ],
                }
            ],
        }
    ],
}  # fmt: skip


def folder_of(path: Path, task: Squad, content: Any = HAND) -> Source:
    for name in task.files:
        (path / name).write_text(json.dumps(content))
    return Source(data_dir=path)


def test_rows_are_those_of_the_file(tmp_path: Path) -> None:
    splits = checked_rows(Squad2(), folder_of(tmp_path, Squad2()))
    assert splits.train[0] == {
        "id": "a",
        "text": "What is long?",
        "text_pair": "The Rhine is long. A rhyme is not.",
        "answers": ["The Rhine", "Rhine"],  # "A" is no answer to the script of 2.0
        "begins": [0, 4],
    }
    assert splits.train[1]["answers"] == []
    assert splits.provenance["source"] == "folder"
    assert not splits.skipped


def test_1_1_has_an_answer_to_every_question_and_names_what_has_none(tmp_path: Path) -> None:
    splits = checked_rows(Squad(), folder_of(tmp_path, Squad()))
    assert splits.train["id"][:] == ["a"]
    assert splits.train["answers"][0] == ["The Rhine", "Rhine", "A"]
    assert splits.skipped[0] == "train-v1.1.json: question b: no answer"


def test_the_files_may_lie_beside_glues(tmp_path: Path) -> None:
    write_squad(tmp_path / "SQuAD", 2, 1)
    assert len(Squad().load(Source(data_dir=tmp_path)).train) == 6


def test_the_hubs_copy_has_the_same_rows(tmp_path: Path, monkeypatch) -> None:
    write_squad(tmp_path / "own", 3, 2)
    wanted = Squad2().load(Source(data_dir=tmp_path / "own"))
    answers = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
    snapshot = tmp_path / "commit"
    for split, rows in (("train", wanted.train), ("validation", wanted.dev)):
        path = snapshot / f"squad_v2/{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [{"text": row["answers"], "answer_start": row["begins"]} for row in rows]
        table = {"id": rows["id"][:], "title": ["x"] * len(rows), "context": rows["text_pair"][:],
                 "question": rows["text"][:], "answers": pa.array(cells, answers)}  # fmt: skip
        pq.write_table(pa.table(table), path, row_group_size=4)  # as the hub's has several
    asked: list[Any] = []

    def fetched(name: str, kind: str, *, files: Any, **_: Any) -> Path:
        asked.append((name, kind, tuple(files)))
        return snapshot

    monkeypatch.setattr(hub, "snapshot", fetched)
    found = checked_rows(Squad2(), Source())
    assert found.train.to_list() == wanted.train.to_list()
    assert found.dev.to_list() == wanted.dev.to_list()
    assert found.provenance["revision"] == "commit"
    (name, kind, files), *_ = asked
    assert (name, kind) == ("rajpurkar/squad_v2", "dataset")
    assert files[1] == "squad_v2/validation-00000-of-00001.parquet"


def broken(change: str) -> Any:
    content = json.loads(json.dumps(HAND))
    (asked, *_) = content["data"][0]["paragraphs"][0]["qas"]
    if change == "moved":
        asked["answers"][0]["answer_start"] = 3
    elif change == "no start":
        del asked["answers"][0]["answer_start"]
    elif change == "no data":
        return {"version": "v2.0"}
    return content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no start", "train-v2.0.json is not in SQuAD's layout: .*answer_start"),
        ("no data", "train-v2.0.json is not in SQuAD's layout: .*data"),
    ],
)
def test_a_file_of_another_layout_is_one_clear_line(tmp_path: Path, change: str, said: str) -> None:
    with pytest.raises(BenchError, match=said) as caught:
        Squad2().load(folder_of(tmp_path, Squad2(), broken(change)))
    assert "\n" not in str(caught.value)


def test_an_answer_that_is_elsewhere_leaves_its_question_out(tmp_path: Path) -> None:
    found = Squad2().load(folder_of(tmp_path, Squad2(), broken("moved")))
    assert found.train["id"][:] == ["b"]
    assert "question a: its answer is not where it should be" in found.skipped[0]


def test_a_missing_file_says_what_helps(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no file .*train-v1.1.json. Either name a folder"):
        Squad().load(Source(data_dir=tmp_path))
