"""`bench validate`: what is wrong with records is found, and what is right is let be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from harness import PAGES, bench, quick, records
from pyarrow import parquet
from refusals import assert_refused

from bench.checksums import seal
from bench.files import read_json, write_json
from bench.results.store import Store


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with references, a competitor, a floor, and studies."""
    folder = tmp_path_factory.mktemp("validate") / "runs"
    made = quick(folder, "--trials", "2", "--seeds", "2", methods="magnitude,text-floor")
    assert made.status == 0, made.err
    return folder


@pytest.fixture(scope="module")
def pages(runs: Path) -> Path:
    out = runs.parent / "out"
    assert bench("leaderboard", "--runs", runs, "--out", out).status == 0
    return out


@pytest.fixture
def sent(pages: Path, tmp_path: Path) -> Path:
    """A copy of the pages."""
    return Path(shutil.copytree(pages, tmp_path / "sent"))


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_what_a_run_and_a_publication_wrote_is_right_and_stays_as_it_is(
    runs: Path, pages: Path
) -> None:
    for path in runs.rglob("SHA256SUMS"):  # as in folders of before there were any
        path.unlink()
    before = {**times(runs), **times(pages)}
    result = bench("validate", runs, pages, pages / "records" / "demo.jsonl")
    assert (result.status, result.err) == (0, "")
    count = len(records(runs))
    assert result.out == (
        f"3 suites, {3 * count} records, {3 * count} predictions, 0 errors, 0 notes\n"
    )
    assert {**times(runs), **times(pages)} == before


def test_what_was_published_is_right() -> None:
    result = bench("validate", PAGES)
    assert result.status == 0
    *notes, summary = result.out.splitlines()
    assert " 0 errors, " in summary
    assert all("made under version 2 of the protocol" in note for note in notes)


def lines(out: Path, change: Callable[[dict[str, Any]], object], place: int = 0) -> None:
    """Changes a line of the records."""
    path = out / "records" / "demo.jsonl"
    each = path.read_text(encoding="utf-8").splitlines()
    plain = json.loads(each[place])
    change(plain)
    each[place] = json.dumps(plain)
    path.write_text("\n".join(each) + "\n", encoding="utf-8")


def compressed(out: Path) -> int:
    """The line of a cell of the competitor."""
    text = (out / "records" / "demo.jsonl").read_text(encoding="utf-8")
    methods = [json.loads(line)["cell"]["method"] for line in text.splitlines()]
    return methods.index("magnitude")


def test_each_wrong_thing_of_a_record_is_a_line(sent: Path) -> None:
    place = compressed(sent)
    original = (sent / "records" / "demo.jsonl").read_text(encoding="utf-8")
    cases: list[tuple[Callable[[dict[str, Any]], object], str]] = [
        (lambda r: r.update(score=r["score"] + 0.5), "score is "),
        (lambda r: r["scores"].update(accuracy=50.0), "its predictions give"),
        (lambda r: r["footprint"]["weights"].update(ratio=5.0), "footprint.weights.ratio is 5,"),
        (lambda r: r["footprint"]["flops"].update(dense=1), "footprint.flops.ratio is"),
        (lambda r: r["footprint"]["bytes"].pop("dense"), "footprint.bytes: a ratio of no counts"),
        (lambda r: r.update(status="missed"), "status is 'missed', the ratio is 4×"),
        (lambda r: r["cell"].update(seed=1 - r["cell"]["seed"]), "the suite says"),
        (lambda r: r["cell"].update(ratio=2.0), "the suite says"),
        (lambda r: r["cell"].update(protocol="x"), "cell.protocol is x, the suite's is "),
        (lambda r: r["cell"].update(model="x"), "cell.model is x, the suite's is "),
        (lambda r: r["cell"].update(axis="flops"), "cell.axis is flops"),
        (lambda r: r["method"].update(version=9), "method.version is 9, the suite's is "),
        (lambda r: r["data"].update(fingerprint="x"), "data.fingerprint is x"),
        (lambda r: r["data"].update(report=7), "data.report is 7, there are predictions of"),
        (lambda r: r["cost"].update(train_flops=1.0), "cost.train_flops is 1, not the sum"),
        (lambda r: r["tuning"].update(best=1 - r["tuning"]["best"]), "tuning.best is "),
        (lambda r: r["tuning"].update(tune_score=99.0), "tuning.tune_score is not that of"),
        (lambda r: r["params"].update(warmup=0.123), "params.warmup is not what the study found"),
        (lambda r: r.update(id="0" * 16), "the suite has no such cell"),
        (lambda r: r.update(score="high"), "no record: score: expected `float | null`"),
        (lambda r: r["environment"].update(packages={}), "the page was made of another record"),
    ]
    for change, said in cases:
        (sent / "records" / "demo.jsonl").write_text(original, encoding="utf-8")
        lines(sent, change, place)
        result = bench("validate", sent)
        assert result.status == 1, said
        errors = [line for line in result.out.splitlines() if line.startswith("error: ")]
        at = f"error: {sent / 'records' / 'demo.jsonl'}:{place + 1}: "
        assert any(line.startswith(at) and said in line for line in errors), (said, errors)
        assert len(errors) <= 4, errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON: "), ("[]", "no record: "), ("[" * 10**5, "no JSON: "),
        ('{"schema": 2, "score": 1e999}', "no JSON: "), ('{"schema": 3}', "no record: not a"),
        ('{"schema": ' + "9" * 5000 + "}", "no "),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_hides_no_other(sent: Path, text: str, said: str) -> None:
    path = sent / "records" / "demo.jsonl"
    count = len(path.read_text().splitlines())
    path.write_text(text + "\n" + path.read_text())
    result = bench("validate", path)
    assert result.status == 1
    first, *others = result.out.splitlines()
    assert first.startswith(f"error: {path}:1: {said}")
    assert others == [f"1 suite, {count} records, {count} predictions, 1 error, 0 notes"]


def test_a_record_that_comes_twice_is_found(sent: Path) -> None:
    path = sent / "records" / "demo.jsonl"
    text = path.read_text()
    path.write_text(text + text.splitlines()[0] + "\n")
    result = bench("validate", path)
    count = len(text.splitlines())
    assert result.status == 1
    assert f"{path}:{count + 1}: " in result.out
    assert f"comes twice: it is in {path}:1, too" in result.out


def test_predictions_that_are_others_or_no_longer_there_are_found(sent: Path) -> None:
    path = sent / "records" / "demo.parquet"
    table = parquet.read_table(path)

    def with_column(name: str, values: Any) -> None:
        place = table.column_names.index(name)
        parquet.write_table(table.set_column(place, name, pa.array(values)), path)

    def said() -> str:
        result = bench("validate", sent)
        assert result.status == 1
        return result.out

    labels, answers = (table[name].to_numpy() for name in ("label", "prediction"))
    cells = np.array(table["cell"].to_pylist())
    first = cells == cells[0]
    with_column("label", np.where(first, 1 - labels, labels).astype(np.float32))
    assert "its labels are not those of cell" in said()
    with_column("prediction", np.where(first, 1 - answers, answers).astype(np.float32))
    out = said()
    assert "of its answers are not what their logits give" in out
    assert "its predictions give" in out
    assert "the page was made of other predictions" in out
    with_column("row", table["row"].to_numpy()[::-1])
    assert "these are no predictions: their rows are not in order" in said()
    with_column("label", [str(label) for label in labels])
    assert "'label' is no column of numbers" in said()
    with_column("logits", [[0.0]] + [[0.0, 1.0]] * (len(table) - 1))
    assert "'logits' are of different lengths" in said()
    with_column("logits", pa.array([[]] * len(table), pa.list_(pa.float32())))
    assert "'logits' are empty" in said()
    with_column("cell", [cells[-1], *cells[1:]])
    assert f"has the rows of cell {cells[-1]} in two places" in said()
    parquet.write_table(table.drop_columns(["cell"]), path)
    assert "does not say of which cells its rows are" in said()
    path.write_bytes(b"PAR1")
    assert f"error: {path}: " in said()
    path.unlink()
    result = bench("validate", path.with_suffix(".jsonl"))  # as where a licence forbids them
    assert result.status == 0
    assert "scored cells: their scores are not checked" in result.out


def test_a_suite_and_a_study_that_are_not_what_they_were_are_found(sent: Path) -> None:
    described = sent / "records" / "demo.json"
    known = read_json(described)

    def said(**changes: Any) -> str:
        write_json(described, {**known, **changes})
        result = bench("validate", described.with_suffix(".jsonl"))
        write_json(described, known)
        return result.out

    trials = {**known["settings"], "epochs": 9}
    assert "protocol is " in said(settings=trials)
    assert "its settings give" in said(settings=trials)
    later = said(settings={**known["settings"], "moon": 1})
    assert "note: " in later
    assert "settings of a later version: moon" in later
    cells = dict(known["cells"])
    gone = next(iter(cells))
    assert f"1 of {len(cells) + 1} cells have no record" in said(
        cells={**cells, "f" * 16: ["magnitude", "demo-sentiment", 8.0, 0]}
    )
    assert "2 cells are " in said(cells={**cells, "f" * 16: cells[gone]})
    assert "the suite has no such cell" in said(
        cells={key: label for key, label in cells.items() if key != gone}
    )
    assert "its id is that of another cell" in said(weights="0" * 16)
    assert "data: no fingerprint of the rows of demo-sentiment" in said(data={})
    assert "it does not describe a suite: cells" in said(cells=[])
    described.write_text(described.read_text().replace("fp32", "fp33"))
    result = bench("validate", described.with_suffix(".jsonl"))
    assert (result.status, "does not match its checksum" in result.out) == (1, True)
    write_json(described, known)

    path = sent / "records" / "demo.studies.jsonl"
    each = [json.loads(line) for line in path.read_text().splitlines()]
    study = next(s for s in each if s["cell"]["method"] == "magnitude")
    for change, what in (
        ({"best": 1 - study["best"]}, f"best is {1 - study['best']}, its trials give"),
        ({"trials": study["trials"][:1], "best": 0}, "it is complete with 1 of 2 trials"),
        ({"cell": {**study["cell"], "method": "movement"}}, "the suite has no such study"),
        ({"cell": {**study["cell"], "ratio": 8.0}}, "its id is that of another study"),
        ({"best": 7}, "no study: best is no trial that has a score"),
    ):
        path.write_text("".join(json.dumps(s | change if s is study else s) + "\n" for s in each))
        result = bench("validate", sent)
        assert result.status == 1
        assert any(what in line and f"{path}:" in line for line in result.out.splitlines())


def test_what_is_not_known_here_is_a_note(sent: Path) -> None:
    described = sent / "records" / "demo.json"
    known = read_json(described)
    cells = {
        key: ["brand-new:x=1" if label[0] == "magnitude" else label[0], "my-table", *label[2:]]
        for key, label in known["cells"].items()
    }
    write_json(described, {**known, "cells": cells})
    out = bench("validate", sent).out
    assert "note: " in out
    assert "no method of this installation: brand-new\n" in out
    assert "no task of this installation: my-table\n" in out


def test_a_run_folder_is_checked_file_by_file(runs: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs, tmp_path / "copy"))
    store = Store(copy)
    (record, other, third, *_) = records(copy).values()
    path = store.folder(record.id) / "record.json"
    path.write_text(path.read_text().replace('"status": "ok"', '"status": "missed"'))
    seal(store.folder(other.id))
    predictions = store.folder(other.id) / "predictions.parquet"
    table = parquet.read_table(predictions)
    parquet.write_table(table, predictions, compression="none")
    shutil.copy(store.folder(other.id) / "record.json", store.folder(third.id))
    (copy / "settings.json").write_text("{}")
    result = bench("validate", copy)
    assert result.status == 1
    for said in (
        f"error: {path}: no record: it does not match its checksum\n",
        f"error: {predictions}: it does not match its checksum\n",
        f"error: {store.folder(third.id) / 'record.json'}: it is the record of cell {other.id}\n",
        f"error: {copy / 'settings.json'}: ",
    ):
        assert said in result.out, said


def test_what_is_nothing_of_ours_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.jsonl.gz").touch()
    (tmp_path / "suites").mkdir()
    for path in ("nowhere", ".", "x.jsonl.gz"):
        assert_refused(bench("validate", path), "is neither a run folder, nor")


def test_a_program_reads_the_findings(sent: Path) -> None:
    lines(sent, lambda r: r.update(score=1.0))
    result = bench("validate", sent, "--json")
    found = json.loads(result.out)
    assert result.status == 1
    assert found["errors"] == len([one for one in found["findings"] if one["is_error"]]) > 0
    assert found["suites"] == 1
    assert {"where", "what", "is_error"} == found["findings"][0].keys()


def test_it_needs_no_torch_and_runs_no_plugin(pages: Path) -> None:
    code = (
        "import sys; from bench.cli.main import main\n"
        f"assert main(['validate', {str(pages)!r}]) == 0\n"
        "known = {'torch', 'transformers', 'datasets', 'sklearn', 'bench_methods', 'bench_example'}"
        "\nassert not known & {name.partition('.')[0] for name in sys.modules}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
