"""`--train-with`: what people wrote in a closed round of an arena, as further training rows."""

from __future__ import annotations

import json
from pathlib import Path

import harness
import pytest
from challenge_files import parquet
from datasets import Dataset, concatenate_datasets

from bench.arena.rows import training_rows
from bench.data.prepare import Prepared, load, prepare
from bench.data.task import Challenge, Source, Splits, Task, checked_challenge
from bench.data.tasks.challenge_files import FolderSet
from bench.data.tasks.demo import Paraphrase, Sentiment, demo_encoder_path
from bench.data.texts import read_texts
from bench.errors import BenchError
from bench.protocol import Protocol


class Copied(Sentiment):
    """The demo's sentences; training rows 1200 and 1201 are its first two report rows."""

    def load(self, source: Source) -> Splits:
        splits = super().load(source)
        copies = splits.dev.select(range(2)).to_dict() | {"id": ["1200", "1201"]}
        more = Dataset.from_dict(copies, features=splits.train.features)
        return Splits(train=concatenate_datasets([splits.train, more]), dev=splits.dev)


def write_round(folder: Path, name: str, rows: list[tuple[str, int, str | None]]) -> Path:
    """A round of `demo-sentiment`, as an arena leaves it."""
    texts, labels, edited = zip(*rows, strict=True)
    parquet(folder / name / "set.parquet", id=[f"{name}-{n}" for n in range(len(rows))],
            text=texts, label=labels, author=["a"] * len(rows), edited_row=edited,
            fooled=[[]] * len(rows))  # fmt: skip
    facts = {"task": "demo-sentiment", "labels": ["negative", "positive"], "targets": []}
    (folder / name / "round.json").write_text(json.dumps(facts))
    return folder


def made(folder: Path, task: Task, cache: Path, *, cap_at: int | None = None) -> Prepared:
    rounds = {
        path.name: checked_challenge(FolderSet(path), Sentiment(), Source())
        for path in sorted(folder.iterdir())
    }
    return prepare(task, Source(), name=task.name, encoder=demo_encoder_path(), cap_at=cap_at,
                   cache=cache, rounds=rounds)  # fmt: skip


def test_examples_are_learnt_unless_they_are_or_come_from_a_report_row(tmp_path: Path) -> None:
    report = Sentiment().load(Source()).dev["text"]
    write_round(tmp_path / "rounds", "round-1", [
        ("nobody wrote this before", 1, None),
        (f"{report[7].upper()} !", 0, None),  # near a report row
        ("made from a training row", 0, "3"),
        ("made from a copy of a report row", 1, "1201"),
    ])  # fmt: skip
    write_round(tmp_path / "rounds", "round-2", [("a second round", 1, None)])
    prepared = made(tmp_path / "rounds", Copied(), tmp_path / "cache")
    rows = load(prepared).train
    assert rows.ids[1200:] == ["round-1-0", "round-1-2", "round-2-0"]
    assert rows.labels[1200:].tolist() == [1, 0, 1]
    assert read_texts(prepared.folder, "train", rows.ids[-1:]) == [("a second round",)]
    assert prepared.facts["train"] == len(rows) == 1203
    assert prepared.facts["train_with"] == {
        "round-1": {"rows": 2, "near": 1, "stem": 1},
        "round-2": {"rows": 1, "near": 0, "stem": 0},
    }
    plain = prepare(Copied(), Source(), name="c", encoder=demo_encoder_path(), cap_at=None,
                    cache=tmp_path / "cache")  # fmt: skip
    assert plain.fingerprint != prepared.fingerprint
    assert load(plain).report.ids == load(prepared).report.ids


def test_an_example_and_the_row_that_it_was_made_from_fall_on_one_side(tmp_path: Path) -> None:
    """Or trials would be scored on rows that they have nearly learnt."""
    rows = [(f"made from row {n}", n % 2, str(n)) for n in range(0, 1200, 3)]
    write_round(tmp_path / "rounds", "round-1", rows)
    data = load(made(tmp_path / "rounds", Sentiment(), tmp_path / "cache", cap_at=600))
    tune, fit = set(data.tune.ids), set(data.fit.ids)
    assert len(data.train) == 1000 and len(tune) == 200
    pairs = [(f"round-1-{n}", edited) for n, (_, _, edited) in enumerate(rows)]
    both = [(one, other) for one, other in pairs if other in tune | fit]
    assert 150 < len(both) < 400  # of those in 1200, as many as the cap has left
    assert all((one in tune) == (other in tune) for one, other in both)
    assert any(one in tune for one, _ in both)


def test_an_arena_lends_no_examples_of_others(tmp_path: Path) -> None:
    write_round(tmp_path / "rounds", "round-1", [("by people", 1, None)])
    prepared = made(tmp_path / "rounds", Sentiment(), tmp_path / "runs" / "data")
    lent = training_rows(tmp_path / "runs", "demo-sentiment", prepared.fingerprint)
    assert len(lent) == 1200
    assert "round-1-0" not in {row.id for row in lent}


@pytest.mark.parametrize(("edited", "given", "said"), [
    ("9999", "round-1-0", "an example was made from row 9999, which demo-sentiment does not have"),
    (None, "17", "id 17 is one of another row, too"),
])  # fmt: skip
def test_examples_of_other_data_are_one_line(
    edited: str | None, given: str, said: str, tmp_path: Path
) -> None:
    write_round(tmp_path / "rounds", "round-1", [("by people", 1, edited)])
    found = checked_challenge(FolderSet(tmp_path / "rounds/round-1"), Sentiment(), Source())
    renamed = found.rows.to_dict() | {"id": [given]}
    rows = Dataset.from_dict(renamed, features=found.rows.features)
    rounds = {"round-1": Challenge(rows=rows, metric=found.metric, stems=found.stems)}
    where = {"encoder": demo_encoder_path(), "cap_at": None, "cache": tmp_path / "cache"}
    with pytest.raises(BenchError, match=said):
        prepare(Sentiment(), Source(), name="s", rounds=rounds, **where)
    with pytest.raises(BenchError, match="but not both, has pairs of texts"):
        prepare(Paraphrase(), Source(), name="p", rounds=rounds, **where)


def test_the_protocol_knows_and_the_page_says(tmp_path: Path) -> None:
    rounds = write_round(tmp_path / "rounds", "round-1", [("by people", 1, None)] * 2 + [
        (text, 0, None) for text in Sentiment().load(Source()).dev["text"][:3]
    ])  # fmt: skip
    words = ("--train-with", "round-1", "--challenge-dir", rounds)
    for name, more in (("plain", ()), ("with", words)):
        few = ("--max-train-samples", "160", "--methods", "majority")
        result = harness.quick(tmp_path / name, *few, *more)
        assert result.status == 0, result.err
    plain, learnt = (harness.records(tmp_path / name) for name in ("plain", "with"))
    assert plain.keys() == learnt.keys()
    for key, record in learnt.items():
        assert record.id != plain[key].id
        assert record.data["train_with"] == {"round-1": {"rows": 2, "near": 3, "stem": 0}}
    page = (tmp_path / "with/demo.md").read_text(encoding="utf-8")
    assert "Trainings see what people wrote in round-1 of an arena, too." in page
    assert "160 of 1,200" in page
    assert "of round-1, 2 examples are learnt. Left out: 3 with a report row's text, 0 made" in page
    assert "--train-with round-1 --challenge-dir '$CHALLENGE_DIR'".replace("'", "") in page
    held = Protocol(epochs=3, trials=0, precision="fp32")
    assert held.hash == Protocol(epochs=3, trials=0, precision="fp32", train_with="").hash


@pytest.mark.parametrize(("words", "said"), [
    (["round-1"], "no closed round of an arena has this name. Say where rounds lie"),
    (["round-2", "--challenge-dir", "rounds"], "no closed round of an arena has this name"),
    (["../rounds", "--challenge-dir", "rounds"], "no closed round of an arena has this name"),
    (["hans", "--challenge-dir", "rounds"], "no closed round of an arena has this name"),
    (["round-1", "--challenge-dir", "rounds", "--challenge", "round-1"],
     "leave it out of --challenge"),
    (["round-1", "--challenge-dir", "rounds", "--tasks", "demo-paraphrase"],
     "it is of demo-sentiment, and the run is of demo-paraphrase"),
])  # fmt: skip
def test_what_is_no_round_of_the_run_is_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_round(tmp_path / "rounds", "round-1", [("by people", 1, None)])
    result = harness.quick(tmp_path / "runs", "--train-with", *words)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert said in result.err
