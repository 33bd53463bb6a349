"""`bench evaluate` and `bench predict` on rows that are no file, never end, or are far too many."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_record import CELL, RECORD
from harness import Result, bench

from bench.data.tasks.demo import demo_encoder_path
from bench.results.store import Store

pytestmark = pytest.mark.usefixtures("empty_place")

HEADLESS = "tensors are missing"
"""What is said of the model, once rows were read: it is an encoder that only says it has a head."""


def model(folder: Path) -> None:
    shutil.copytree(demo_encoder_path(), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "negative", "1": "positive"},
        "label2id": {"negative": 0, "positive": 1},
    }
    (folder / "config.json").write_text(json.dumps(config))


def asked(command: str, *words: str) -> Result:
    """The command on SST-2 in the folder `data`."""
    if command == "evaluate":
        model(Path("model"))
        given: tuple[str, ...] = ("./model", "--task", "sst2")
    else:
        store = Store(Path("runs"))
        store.put(dataclasses.replace(
            RECORD, id="ab12", cell={**CELL, "task": "sst2", "model": "m", "protocol": "p"},
            scores={"accuracy": 71.25},
            data={"train": 30, "train_available": 30, "report": 30, "skipped_rows": 0,
                  "cut_to_fit": {"pieces": 16, "train": 0, "report": 0}},
        ))  # fmt: skip
        model(store.folder("ab12") / "model")
        given = ("ab12",)
    result = bench(command, *given, "--data-dir", "data", "--runs", "runs", *words)
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert not Path("submission").exists()
    return result


def table(words: int = 1, rows: int = 30) -> str:
    lines = [f"{row}\t{'word ' * words}it is\t{row % 2}\n" for row in range(rows)]
    return "".join(["index\tsentence\tlabel\n", *lines])


@pytest.fixture
def odd() -> Path:
    """Where the file is to lie that is read first, with whole ones beside it."""
    folder = Path("data/SST-2")
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_text(table())
    return folder


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(("command", "file"), [("evaluate", "train"), ("predict", "test")])
@pytest.mark.parametrize("spoil", [fifo, endless])
def test_what_is_no_file_is_not_waited_for(
    odd: Path, command: str, file: str, spoil: Callable[[Path], None]
) -> None:
    spoil(odd / f"{file}.tsv")
    assert f"{file}.tsv: it is no regular file" in asked(command).err


@pytest.mark.parametrize(("command", "file"), [("evaluate", "dev"), ("predict", "test")])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (table(words=30), "more than 100 characters in a line or cell"),
        (table(rows=101), "more than 100 rows"),
        (table(words=90, rows=25), "more than 10,000 bytes of data"),
    ],
)
def test_how_much_is_read_is_bounded_and_an_option_raises_it(
    odd: Path, command: str, file: str, content: str, said: str
) -> None:
    (odd / f"{file}.tsv").write_text(content)
    result = asked(command, "--max-data-gb", "1e-5")
    assert f"{said}: --max-data-gb raises that" in result.err
    shutil.rmtree("model" if command == "evaluate" else "runs")
    assert HEADLESS in asked(command, "--max-data-gb", "1e-4").err


def test_a_bomb_in_a_table_of_ones_own_is_not_unpacked() -> None:
    """Two gigabytes of text in less than a thousand bytes."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), ["a" * 1_000_000])
    rows = pa.table({"text": text, "label": pa.array([0, 1] * 1_000, pa.int8())})
    pq.write_table(rows, "dev.parquet", compression="zstd")
    assert Path("dev.parquet").stat().st_size < 2_000
    Path("train.csv").write_text("text,label\n" + "it is,0\nit is not,1\n" * 20)
    Path("own.toml").write_text(
        'name = "own"\ntrain = "train.csv"\ndev = "dev.parquet"\ntext = "text"\n'
        'label = "label"\nlabels = ["negative", "positive"]\n'
    )
    model(Path("model"))
    result = bench("evaluate", "./model", "--task", "own.toml", "--runs", "runs")
    assert result.status == 2
    assert "dev.parquet" in result.err
    assert "more than 1,000,000,000 bytes of data: --max-data-gb raises that" in result.err
