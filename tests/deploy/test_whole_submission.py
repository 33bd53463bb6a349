"""The whole zip of the GLUE server, from small files of all nine tasks and untrained models."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import pytest
from challenge_files import tsv
from example_record import RECORD

from bench import registry
from bench.data.task import Source
from bench.data.tasks.demo import demo_encoder_path
from bench.data.tasks.glue import GlueTask
from bench.deploy.submission import EVERY_FILE, write_submission
from bench.models.checkpoint import load_model, save_model
from bench.results.store import Store

TASKS = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")
HEADS = {
    "cola": "index\tsentence", "sst2": "index\tsentence",
    "mrpc": "index\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "stsb": "index\tgenre\tsentence1\tsentence2", "qqp": "id\tquestion1\tquestion2",
    "mnli": "index\tpromptID\tsentence1\tsentence2", "qnli": "index\tquestion\tsentence",
    "rte": "index\tsentence1\tsentence2", "wnli": "index\tsentence1\tsentence2",
}  # fmt: skip
"""Heads of the test files, as the original layout has them."""


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    """Test files alone, and the diagnostic set without its labels."""
    for name in TASKS:
        task = registry.task(name)
        assert isinstance(task, GlueTask)
        head = HEADS[name].split("\t")
        rows = [
            [str(n) if place == 0 else f"{column} of row {n}" for place, column in enumerate(head)]
            for n in range(3)
        ]
        for part in task.parts:
            tsv(tmp_path / f"{task.folder}/test{f'_{part}' if part else ''}.tsv", head, rows)
    head, rows = ["index", "sentence1", "sentence2"], [["4", "a cat", "an animal"], ["2", "", "x"]]
    tsv(tmp_path / "diagnostic/diagnostic.tsv", head, rows)
    return tmp_path


def test_every_file_that_the_server_takes_is_in_the_zip(glue: Path, tmp_path: Path) -> None:
    store, records = Store(tmp_path / "runs"), []
    for name in TASKS:
        task = registry.task(name)
        model = load_model(demo_encoder_path(), task.info.labels, dropout=0.0, fresh_head=True)
        data = {"cut_to_fit": {"pieces": 32, "train": 0, "report": 0}}
        cell = {**RECORD.cell, "task": name}
        record = dataclasses.replace(RECORD, id=f"cell-{name}", cell=cell, data=data)
        save_model(model, store.folder(record.id) / "model", demo_encoder_path())
        store.put(record)
        records.append(record)
    out = tmp_path / "out"
    *files, archive = write_submission(store, records, Source(data_dir=glue), out, "cpu")
    assert sorted(path.stem for path in files) == sorted(EVERY_FILE)
    with zipfile.ZipFile(archive) as held:
        assert sorted(held.namelist()) == sorted(f"{name}.tsv" for name in EVERY_FILE)
        lines = {name: held.read(f"{name}.tsv").decode().splitlines() for name in EVERY_FILE}
    for name, (head, *answers) in lines.items():
        assert head == "index\tprediction"
        indices, given = zip(*(line.split("\t") for line in answers), strict=True)
        assert indices == (("4", "2") if name == "AX" else ("0", "1", "2"))
        if name in ("AX", "MNLI-m", "MNLI-mm"):
            assert set(given) <= {"entailment", "neutral", "contradiction"}
        elif name in ("QNLI", "RTE"):
            assert set(given) <= {"entailment", "not_entailment"}
        elif name == "STS-B":
            assert all(0 <= float(score) <= 5 for score in given)
        else:
            assert set(given) <= {"0", "1"}
    # What lies there is all that it takes.
    *files, _ = write_submission(store, records[5:6], Source(data_dir=glue), tmp_path / "o", "cpu")
    assert [path.name for path in files] == ["MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"]
