"""GLUE as published, and every way in which its files can be wrong."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import hub
from bench.data.task import Source, Splits
from bench.data.tasks import glue
from bench.errors import BenchError
from bench.metrics import METRICS

TASKS = [
    glue.CoLA, glue.SST2, glue.MRPC, glue.STSB, glue.QQP, glue.MNLI, glue.QNLI, glue.RTE, glue.WNLI
]  # fmt: skip
GLUE = os.environ.get("BENCH_GLUE_DIR")
needs_glue = pytest.mark.skipif(GLUE is None, reason="BENCH_GLUE_DIR names no GLUE folder")


def write(path: Path, *lines: str, end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(lines).encode() + end.encode())


def sst2(folder: Path, *train: str, end: str = "\n") -> Splits:
    """SST-2 with these training rows."""
    write(folder / "SST-2/train.tsv", "sentence\tlabel", *train, end=end)
    write(folder / "SST-2/dev.tsv", "sentence\tlabel", "fine\t1")
    return glue.SST2().load(Source(data_dir=folder))


# The six real tasks.


@needs_glue
@pytest.mark.parametrize(
    ("task", "train", "dev", "positives"),
    [
        (glue.CoLA, 8551, 1043, 721),
        (glue.SST2, 67349, 872, 444),
        (glue.MRPC, 3668, 408, 279),
        (glue.STSB, 5749, 1500, None),
        (glue.RTE, 2490, 277, 131),
        (glue.WNLI, 635, 71, 31),
    ],
)
def test_real_files_have_the_published_rows(task, train, dev, positives) -> None:
    splits = task().load(Source(data_dir=Path(GLUE or "")))
    assert (splits.train.num_rows, splits.dev.num_rows, splits.skipped) == (train, dev, ())
    assert len(set(splits.train["id"])) == train
    assert str(GLUE) not in str(splits.provenance)
    if positives is not None:
        assert Counter(splits.dev["label"])[1] == positives


@needs_glue
def test_real_stsb_scores_and_lone_quotes_of_mrpc() -> None:
    source = Source(data_dir=Path(GLUE or ""))
    stsb, mrpc = glue.STSB().load(source), glue.MRPC().load(source)
    assert (min(stsb.train["label"]), max(stsb.train["label"])) == (0.0, 5.0)
    assert stsb.train.features["label"].dtype == "float64"
    assert mrpc.dev[0]["text_pair"].startswith('" The foodservice pie business')
    assert mrpc.dev[0]["label"] == 1


# Every layout, in a few lines.


def test_declarations_agree_with_each_other() -> None:
    assert [task.info.name for task in TASKS] == (
        ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]
    )
    for task in TASKS:
        assert task.info.group == "glue"
        assert "1804.07461" in task.info.reference
        assert METRICS[task.info.metric].regression == task().is_regression


def test_cola_has_no_header(tmp_path) -> None:
    for name in ("train", "dev"):
        write(tmp_path / f"CoLA/{name}.tsv", "gj04\t1\t\tOne.", "gj04\t0\t*\tTwo \u2028 2.", end="")
    splits = glue.CoLA().load(Source(data_dir=tmp_path))
    assert splits.train[:] == {"id": ["0", "1"], "text": ["One.", "Two \u2028 2."], "label": [1, 0]}
    assert splits.provenance["source"] == "folder"
    assert splits.provenance["files"].startswith("CoLA/train.tsv ")


def test_byte_order_mark_and_line_ends_of_windows(tmp_path) -> None:
    header = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r"
    for name in ("train", "dev"):
        write(tmp_path / f"MRPC/{name}.tsv", header, '1\t7\t8\t" One\tUno\r')
    splits = glue.MRPC().load(Source(data_dir=tmp_path))
    assert splits.dev[0] == {"id": "0", "text": '" One', "text_pair": "Uno", "label": 1}


def test_mnli_has_12_columns_in_train_and_16_in_dev(tmp_path) -> None:
    first = [f"c{n}" for n in range(8)] + ["sentence1", "sentence2"]
    train = [*first, "label1", "gold_label"]
    dev = [*first, "label1", "label2", "label3", "label4", "label5", "gold_label"]

    def row(columns: list[str], premise: str, label: str) -> str:
        own = {"sentence1": premise, "sentence2": "h", "gold_label": label, "label1": "neutral"}
        return "\t".join(own.get(column, "x") for column in columns)

    folder = tmp_path / "MNLI"
    labels = ("entailment", "neutral", "contradiction")
    write(folder / "train.tsv", "\t".join(train), *(row(train, "p", name) for name in labels))
    matched = [row(dev, "a", "entailment"), row(dev, "b", "-"), row(dev, "c", "contradiction")]
    write(folder / "dev_matched.tsv", "\t".join(dev), *matched)
    write(folder / "dev_mismatched.tsv", "\t".join(dev), row(dev, "d", "neutral"))

    splits = glue.MNLI().load(Source(data_dir=tmp_path))
    assert splits.train["label"] == [0, 1, 2]
    assert splits.train.column_names == ["id", "text", "text_pair", "label"]
    assert splits.dev[:] == {
        "id": ["matched:0", "matched:2", "mismatched:0"],
        "text": ["a", "c", "d"],
        "text_pair": ["h", "h", "h"],
        "label": [0, 2, 1],
        "part": ["matched", "matched", "mismatched"],
    }
    assert splits.skipped == ("MNLI/dev_matched.tsv:3: no label",)


def test_qnli_names_and_qqp_numbers(tmp_path) -> None:
    header = "index\tquestion\tsentence\tlabel"
    for name in ("train", "dev"):
        lines = ("0\tWho?\tShe.\tentailment", "1\tWhy?\tHe.\tnot_entailment")
        write(tmp_path / f"QNLI/{name}.tsv", header, *lines)
    assert glue.QNLI().load(Source(data_dir=tmp_path)).train[:] == {
        "id": ["0", "1"], "text": ["Who?", "Why?"], "text_pair": ["She.", "He."], "label": [0, 1]
    }  # fmt: skip

    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    for name in ("train", "dev"):
        lines = ("9\t1\t2\tHow?\tHow so?\t1", "10\t3\t4\tbroken", "11\t5\t6\tWhen?\t \t0")
        write(tmp_path / f"QQP/{name}.tsv", header, *lines, "12\t7\t8\tHow far?\tHow?\t0")
    splits = glue.QQP().load(Source(data_dir=tmp_path))
    assert (splits.train["id"], splits.train["label"]) == (["0", "3"], [1, 0])
    assert splits.skipped[:2] == (
        "QQP/train.tsv:3: 4 columns instead of 6",
        "QQP/train.tsv:4: no text in column 'question2'",
    )


# What is wrong with a file.


def test_word_where_numbers_stand_is_left_out(tmp_path) -> None:
    splits = sst2(tmp_path, "good\t1", "odd\tgreat", "bad\t0", "none\t")
    assert splits.train["text"] == ["good", "bad"]
    assert splits.skipped[0] == "SST-2/train.tsv:3: label 'great' cannot be read"


@pytest.mark.parametrize("label", ["7", "-1", "2"])
def test_class_out_of_range_stops(tmp_path, label) -> None:
    with pytest.raises(BenchError, match=rf"SST-2/train.tsv:3: label '{label}' is none of 0, 1\."):
        sst2(tmp_path, "good\t1", f"odd\t{label}")


def test_unknown_class_name_stops(tmp_path) -> None:
    write(tmp_path / "RTE/train.tsv", "index\tsentence1\tsentence2\tlabel", "0\ta\tb\tentails")
    with pytest.raises(BenchError, match=r"train.tsv:2: label 'entails' is none of .*entailment"):
        glue.RTE().load(Source(data_dir=tmp_path))


@pytest.mark.parametrize("score", ["9", "-0.5", "nan", "inf"])
def test_score_out_of_range_stops(tmp_path, score) -> None:
    header = "\t".join([*(f"c{n}" for n in range(7)), "sentence1", "sentence2", "score"])
    write(tmp_path / "STS-B/train.tsv", header, "\t".join([*"1234567", "a", "b", score]))
    with pytest.raises(BenchError, match=rf"train.tsv:2: label {score} is no number from 0 to 5"):
        glue.STSB().load(Source(data_dir=tmp_path))


def test_wrong_header_names_the_column_and_what_stands_there(tmp_path) -> None:
    write(tmp_path / "SST-2/train.tsv", "text\tlabel", "good\t1")
    with pytest.raises(
        BenchError, match=r"train.tsv has no column 'sentence'; it has: 'text', 'label'"
    ):
        glue.SST2().load(Source(data_dir=tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "train.tsv is empty"),
        (b" \n\n", "train.tsv is empty"),
        (b"\xef\xbb\xbf", "train.tsv is empty"),
        (b"sentence\tlabel\n", "train.tsv has a header and no rows"),
        (b"sentence\tlabel\ngood\t1\nb\xe4d\t0\n", r"train.tsv:3: byte 23 \(0xe4\) is not UTF-8"),
        (b"sentence\tlabel\ngood\t1\nbad", "train.tsv:3: the file is cut off in its last line"),
        (b"sentence\tlabel\ngood\t1\nbad\t", "train.tsv:3: the file is cut off in its last line"),
        (b"sentence\tlabel\ngood\t1\nx\ny\n", "train.tsv: 2 of 3 rows cannot be read"),
        (b"sentence\tlabel\n" + b"good\t1\n" * 380 + b"x\n" * 21, "21 of 401 rows cannot be read"),
    ],
)
def test_file_as_a_whole_is_unusable(tmp_path, content, message) -> None:
    (tmp_path / "SST-2").mkdir()
    (tmp_path / "SST-2/train.tsv").write_bytes(content)
    with pytest.raises(BenchError, match=message) as caught:
        glue.SST2().load(Source(data_dir=tmp_path))
    assert "\n" not in str(caught.value)


def test_few_bad_rows_of_many_are_left_out(tmp_path) -> None:
    splits = sst2(tmp_path, *["good\t1"] * 381, *["bad"] * 20)
    assert (splits.train.num_rows, len(splits.skipped)) == (381, 20)


def test_missing_file_names_it_and_both_remedies(tmp_path) -> None:
    with pytest.raises(BenchError) as caught:
        glue.QNLI().load(Source(data_dir=tmp_path))
    for part in (f"{tmp_path}/QNLI/train.tsv", "--data-dir DIR", "bench fetch --tasks qnli"):
        assert part in str(caught.value)


def test_folder_in_the_place_of_a_file(tmp_path) -> None:
    (tmp_path / "RTE/train.tsv").mkdir(parents=True)
    with pytest.raises(BenchError, match=r"cannot read .*RTE/train.tsv: Is a directory"):
        glue.RTE().load(Source(data_dir=tmp_path))


def test_permission_denied(tmp_path, monkeypatch) -> None:
    def deny(path: Path, limits: object) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("bench.data.tasks.rows.read_bytes", deny)
    with pytest.raises(BenchError, match=r"cannot read .*RTE/train.tsv: Permission denied"):
        glue.RTE().load(Source(data_dir=tmp_path))


# The hub.


@pytest.fixture
def repository(tmp_path, monkeypatch) -> dict[str, Any]:
    """A snapshot as the hub serves it, in place of the hub; collects what it is asked for."""
    folder, asked = tmp_path / "0123abc", {"folder": tmp_path / "0123abc"}

    def snapshot(name: str, kind: str, **options: Any) -> Path:
        asked.update(name=name, kind=kind, **options)
        return folder

    monkeypatch.setattr(hub, "snapshot", snapshot)
    return asked


def parquet(folder: Path, name: str, **columns: list[Any]) -> None:
    path = folder / f"{name}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_hub_rows_and_revision(repository) -> None:
    for split, label in (("train", 2), ("validation_matched", 0), ("validation_mismatched", 1)):
        parquet(
            repository["folder"], f"mnli/{split}",
            premise=["p"], hypothesis=["h"], label=[label], idx=[0],
        )  # fmt: skip
    splits = glue.MNLI().load(Source(revision="main", offline=True))
    assert splits.train[0] == {"id": "0", "text": "p", "text_pair": "h", "label": 2}
    assert splits.dev["id"] == ["matched:0", "mismatched:0"]
    assert splits.dev["label"] == [0, 1]
    assert splits.provenance["source"] == "nyu-mll/glue"
    assert splits.provenance["revision"] == "0123abc"
    assert (repository["name"], repository["kind"]) == ("nyu-mll/glue", "dataset")
    assert (repository["revision"], repository["offline"]) == ("main", True)
    assert repository["files"] == (
        "mnli/train-00000-of-00001.parquet",
        "mnli/validation_matched-00000-of-00001.parquet",
        "mnli/validation_mismatched-00000-of-00001.parquet",
    )


def test_pinned_revision_is_the_one_read_from_the_cache(tmp_path, monkeypatch) -> None:
    """With the real cache of huggingface_hub: the newest, an older one, one that is not there."""
    newest, older = "b" * 40, "a" * 40
    repository = tmp_path / "datasets--nyu-mll--glue"
    for commit, text in ((newest, "new"), (older, "old")):
        for split in ("train", "validation"):
            parquet(repository / "snapshots" / commit, f"sst2/{split}", sentence=[text], label=[1])
    write(repository / "refs/main", newest, end="")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for revision, commit, text in ((None, newest, "new"), (older, older, "old")):
        splits = glue.SST2().load(Source(revision=revision, offline=True))
        assert (splits.train["text"], splits.provenance["revision"]) == ([text], commit)
    with pytest.raises(BenchError, match=f"at revision {'c' * 40} is not in the cache"):
        glue.SST2().load(Source(revision="c" * 40, offline=True))
    with pytest.raises(BenchError, match=r"no file .*qnli/train.*bench fetch --tasks qnli"):
        glue.QNLI().load(Source(offline=True))


def test_hub_columns_of_cola(repository) -> None:
    for split in ("train", "validation"):
        parquet(repository["folder"], f"cola/{split}", sentence=["s"], label=[1], idx=[0])
    assert glue.CoLA().load(Source()).dev[0] == {"id": "0", "text": "s", "label": 1}


def test_hidden_label_of_the_hub_stops(repository) -> None:
    for split in ("train", "validation"):
        parquet(repository["folder"], f"sst2/{split}", sentence=["a", "b"], label=[1, -1])
    with pytest.raises(BenchError, match=r"parquet:2: label '-1' is none of 0, 1"):
        glue.SST2().load(Source())


def test_cut_off_parquet(repository) -> None:
    parquet(repository["folder"], "sst2/train", sentence=["a"], label=[1])
    path = repository["folder"] / "sst2/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BenchError, match=r"cannot be read as \.parquet: "):
        glue.SST2().load(Source())
