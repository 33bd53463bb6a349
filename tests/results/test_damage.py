"""Files that were damaged, lost or left by a killed process: one line that mends it, or mended."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import optuna
import pytest
from harness import bench, quick, records, start

from bench.errors import BenchError
from bench.results.store import Store
from bench.runs.cells import storage


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("damage") / "runs"
    assert quick(runs, methods="magnitude,movement").status == 0
    return runs


@pytest.fixture
def runs(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "runs"))


def cut_short(path: Path, size: int = 300) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


@pytest.mark.slow
def test_a_study_whose_summary_a_kill_has_lost_is_summed_up_again(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert quick(runs, "--trials", "2").status == 0
    before = {path: path.read_text() for path in runs.glob("tuning/*/study.json")}
    assert before
    for path in before:
        path.unlink()
    for record in records(runs).values():
        shutil.rmtree(Store(runs).folder(record.id))
    process = start("run", "--tasks", "demo-sentiment", "--epochs", "1", "--max-train-samples",
                    "600", "--ratios", "4", "--workers", "1", "--methods", "magnitude",
                    "--trials", "2", "--runs", runs)  # fmt: skip
    try:
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert {path: path.read_text() for path in before} == before


def test_damaged_predictions_are_named_with_what_mends_them(runs: Path, tmp_path: Path) -> None:
    record = records(runs)["magnitude", 4.0, 0]
    path = cut_short(Store(runs).folder(record.id) / "predictions.parquet")
    for words in (
        ("leaderboard", "--runs", runs, "--out", tmp_path / "out"),
        ("compare", "magnitude", "movement", "--task", "demo-sentiment", "--runs", runs),
    ):
        result = bench(*words)
        assert (result.status, result.err.count("\n")) == (2, 1), result.err
        assert f"{path} does not match its checksum" in result.err
        assert f"remove {path.parent}" in result.err
    shutil.rmtree(path.parent)
    assert quick(runs, methods="magnitude,movement").status == 0


def test_damaged_published_predictions_are_named(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert bench("leaderboard", "--runs", runs, "--out", out).status == 0
    path = cut_short(out / "records" / "demo.parquet")
    result = bench("leaderboard", "--check", "--out", out)
    assert (result.status, result.err.count("\n")) == (2, 1), result.err
    assert f"{path} cannot be read" in result.err
    assert "remove it and take the suite's run folder in again" in result.err
    path.unlink()
    assert bench("leaderboard", "--runs", runs, "--out", out).status == 0
    assert bench("leaderboard", "--check", "--out", out).status == 0


def test_a_suite_without_any_record_yet_is_published_and_filled_later(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    assert quick(runs, "--shard", "3/3", methods="majority").status == 0
    for _ in range(2):
        result = bench("leaderboard", "--runs", runs, "--out", out)
        assert (result.status, result.err) == (0, "")
    assert "2 of 2 cells are not done yet" in (out / "demo.md").read_text()
    assert quick(runs, methods="majority").status == 0
    assert bench("leaderboard", "--runs", runs, "--out", out).status == 0
    assert "not done yet" not in (out / "demo.md").read_text()


def test_pages_are_not_published_into_a_run_folder(runs: Path) -> None:
    before = sorted(runs.rglob("*"))
    result = bench("leaderboard", "--runs", runs, "--out", runs)
    assert (result.status, result.err.count("\n")) == (2, 1), result.err
    assert "is a run folder" in result.err
    assert sorted(runs.rglob("*")) == before


def test_damaged_rows_are_made_again_and_that_is_said(
    runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = next(runs.glob("data/*/train.parquet"))
    before = path.read_bytes()
    cut_short(path)
    assert quick(runs, "--seeds", "2").status == 0
    assert f"{path} is damaged: it does not match its checksum" in caplog.text
    assert path.read_bytes() == before


def test_a_damaged_reference_is_trained_again(runs: Path) -> None:
    wanted = records(runs)["movement", 4.0, 0]
    for path in runs.glob("references/*/model.safetensors"):
        cut_short(path)
    shutil.rmtree(Store(runs).folder(wanted.id))
    result = quick(runs, methods="magnitude,movement")
    assert result.status == 0, result.err
    assert records(runs)["movement", 4.0, 0].score == wanted.score


def test_missing_predictions_are_said(runs: Path) -> None:
    record = records(runs)["magnitude", 4.0, 0]
    (Store(runs).folder(record.id) / "predictions.parquet").unlink()
    words = ("compare", "magnitude", "movement", "--task", "demo-sentiment", "--runs", runs)
    assert "predictions are missing" in bench(*words).out
    assert '"examples": null' in bench(*words, "--json").out
    assert quick(runs, methods="magnitude,movement").status == 0
    page = (runs / "demo.md").read_text(encoding="utf-8")
    assert "predictions of 1 scored cells are missing" in page


def test_a_changed_digit_in_what_a_suite_was_asked_for_fails_the_check(
    runs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert bench("leaderboard", "--runs", runs, "--out", out).status == 0
    path = out / "records" / "demo.json"
    cell = records(runs)["magnitude", 4.0, 0].id
    changed = cell[:-1] + ("0" if cell[-1] != "0" else "1")
    path.write_text(path.read_text().replace(cell, changed))
    result = bench("leaderboard", "--check", "--out", out)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert f"{path} does not describe a suite (it does not match its checksum)" in result.err


@pytest.mark.parametrize("said", ["{}", "[]", '{"name": "../../x"}', '{"name": "bad"}'])
def test_what_is_no_suite_stops_a_publication_before_it_begins(
    runs: Path, tmp_path: Path, said: str
) -> None:
    bad = tmp_path / "other" / "suites" / "bad.json"
    bad.parent.mkdir(parents=True)
    bad.write_text(said)
    out = tmp_path / "out"
    result = bench("leaderboard", "--runs", runs, tmp_path / "other", "--out", out)
    assert (result.status, result.err.count("\n")) == (2, 1), result.err
    assert str(bad) in result.err
    assert not out.exists()


@pytest.mark.parametrize("said", ["", "[]", "{}"])
def test_a_damaged_suite_is_written_again_by_its_command(runs: Path, said: str) -> None:
    path = runs / "suites" / "demo.json"
    wanted = path.read_text()
    path.write_text(said)
    result = quick(runs, methods="magnitude,movement")
    assert result.status == 0, result.err
    assert path.read_text() == wanted


def test_a_failed_record_takes_nobodys_place(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert bench("leaderboard", "--runs", runs, "--out", out).status == 0
    store, record = Store(runs), records(runs)["magnitude", 4.0, 0]
    page = (out / "demo.md").read_text()
    store.put(dataclasses.replace(record, status="failed", score=None, error={"message": "no"}))
    try:
        assert bench("leaderboard", "--runs", runs, "--out", out).status == 0
    finally:
        store.put(record)
    assert (out / "demo.md").read_text() == page


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_storage_that_cannot_be_used_stops_before_anything_runs(tmp_path, workers) -> None:
    result = quick(tmp_path / "runs", "--trials", "1", "--workers", workers, "--storage",
                   f"sqlite:///{tmp_path}/nowhere/x.db")  # fmt: skip
    assert (result.status, result.err.count("\n")) == (2, 1), result.err
    assert "--storage" in result.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "pattern",
    ["*/record.json", "*/predictions.parquet", "settings.json", "suites/*.json", "**/SHA256SUMS",
     "data/*/train.parquet"],
)  # fmt: skip
def test_a_fifo_in_a_run_folder_is_not_waited_for(pattern: str, runs: Path, tmp_path) -> None:
    found = sorted(runs.glob(pattern))
    assert found, sorted(path.relative_to(runs) for path in runs.rglob("*"))
    for path in found:
        path.unlink()
        os.mkfifo(path)
    for words in (
        ("status", "--runs", runs),
        ("leaderboard", "--runs", runs, "--out", tmp_path / "out"),
        ("compare", "magnitude", "dense", "--runs", runs),
    ):
        result = bench(*words)
        assert result.err.count("\n") <= 1
        assert "Traceback" not in result.err
    assert quick(runs, methods="magnitude,movement").status in (0, 2)


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", '{"op_code": 9}', '{"op_code": 4, "trial_id": 7}', "[" * 100_000,
     '{"op_code": ' + "9" * 5_000 + "}", "\0"],
    ids=range(8),
)  # fmt: skip
def test_a_journal_that_nobody_wrote_is_one_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "tuning" / "journal.log"
    study = optuna.create_study(study_name="s", storage=storage.journal(path))
    study.tell(study.ask(), 1.0)
    whole = path.read_text()
    path.write_text(f"{line}\n{whole}")
    with pytest.raises(BenchError, match=rf"{path} is damaged .*: remove {path.parent}, "):
        storage.journal(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="no regular file"):
        storage.journal(path)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://me:s3cr@t@host:5432/db", ["s3cr@t"]),
        ("mysql+pymysql://me:p%40ss@host/db", ["p%40ss", "p@ss"]),
        ("redis://:s3cret@host:1/0", ["s3cret"]),
        ("postgresql//me:s3cret@host", ["s3cret"]),
        ("mysql://host/db?user=me&password=s3cret&x=y", ["s3cret"]),
        ("sqlite:////tmp/studies.db", []),
        ("postgresql://me@host:5432/db", []),
    ],
)
def test_no_message_shows_the_password_of_a_storage(url: str, secrets: list[str]) -> None:
    assert storage.secrets_of(url) == secrets
    with pytest.raises(BenchError) as caught, storage.storage_errors(url):
        raise ConnectionError(f"nobody answers at {url} with {' '.join(secrets)}")
    assert "--storage" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in secrets)
    with pytest.raises(BenchError, match="cannot be used") as caught:
        storage.check_storage(url.replace("sqlite", "nonsense"))
    assert not any(secret in str(caught.value) for secret in secrets)


def test_a_storage_that_is_lost_on_the_way_is_one_line(tmp_path: Path, monkeypatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise ConnectionError("the server has gone away\nand more")

    monkeypatch.setattr(storage, "check_storage", lambda url: None)
    url = f"sqlite:///{tmp_path}/studies.db"
    for where in ("optuna.create_study", "optuna.Study.ask", "optuna.Study.tell"):
        with monkeypatch.context() as patch:
            patch.setattr(where, lost)
            result = quick(tmp_path / "runs", "--trials", "1", "--storage", url)
        assert (result.status, result.err.count("\n")) == (2, 1), result.err
        assert "cannot be used: the server has gone away" in result.err
    # The trials that were at hand are made again.
    assert quick(tmp_path / "runs", "--trials", "1", "--storage", url).status == 0


def test_status_of_no_folder_is_a_mistake(tmp_path: Path) -> None:
    result = bench("status", "--runs", tmp_path / "nowhere")
    assert (result.status, "is no folder" in result.err) == (2, True)
    assert bench("status", "--runs", tmp_path).status == 0


def test_a_journal_names_no_folder_that_is_not_ours(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert quick(runs, "--trials", "3", methods="dense").status == 0
    foreign = tmp_path / "foreign"
    inside = runs / "references" / "of-somebody"
    for folder in (foreign, inside):
        folder.mkdir()
        (folder / "thesis.txt").touch()
    (summary,) = runs.glob("tuning/*/study.json")
    lost = [trial["reference"] for trial in json.loads(summary.read_text())["trials"]]
    del lost[json.loads(summary.read_text())["best"]]
    summary.unlink()
    journal = summary.with_name("journal.log")
    said = journal.read_text().replace(lost[0], str(foreign)).replace(lost[1], "of-somebody")
    journal.write_text(said)
    for record in records(runs).values():
        shutil.rmtree(Store(runs).folder(record.id))
    assert quick(runs, "--trials", "3", methods="dense").status == 0
    assert summary.is_file()
    assert (foreign / "thesis.txt").is_file()
    assert (inside / "thesis.txt").is_file()


def test_a_cell_removes_nothing_of_its_folder_but_what_is_its_own(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert quick(runs, methods="majority").status == 0
    folder = Store(runs).folder(records(runs)["majority", 1.0, 0].id)
    (folder / ".kept").touch()  # no name of ours
    (folder / ".record.json.xyz").touch()  # left by a kill
    (folder / "record.json").unlink()
    assert quick(runs, methods="majority").status == 0
    assert (folder / ".kept").is_file()
    assert not (folder / ".record.json.xyz").exists()


@pytest.mark.parametrize("name", ["{cell}", "{cell}/log.txt", "locks/identity.lock", "data"])
def test_nothing_is_written_where_a_folders_links_lead(runs: Path, name: str) -> None:
    cell = records(runs)["magnitude", 4.0, 0].id
    link = runs / name.format(cell=cell)
    elsewhere = runs.parent / "elsewhere"
    if link.is_file():
        link.replace(elsewhere)
    else:
        shutil.move(link, elsewhere)
    link.symlink_to(elsewhere)
    (runs / "inner").symlink_to(runs / "suites")  # leads nowhere else
    held = {
        path: path.read_bytes() for path in [elsewhere, *elsewhere.rglob("*")] if path.is_file()
    }
    checkpoint = runs.parent / "checkpoint"
    shutil.copytree(next(runs.glob("references/*")), checkpoint)
    out = runs.parent / "pages"
    for refused in (
        quick(runs, "--rerun", "all", methods="magnitude,movement"),
        bench("latency", cell, "--runs", runs),
        bench("evaluate", checkpoint, "--task", "demo-sentiment", "--runs", runs),
    ):
        assert (refused.status, refused.err.count("\n")) == (2, 1), refused.err
        assert f"{link} leads out of {runs}" in refused.err
    out.mkdir()
    (out / "records").symlink_to(elsewhere.parent)
    refused = bench("leaderboard", "--runs", runs, "--out", out)
    assert (refused.status, "records leads out of" in refused.err) == (2, True)
    assert held == {path: path.read_bytes() for path in held}


@pytest.mark.parametrize("said", ["-1", '["x"]', '{"trials": [1]}', '{"trials": 7}'])
def test_a_study_that_is_none_is_damage_to_status(
    said: str, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path, *_) = runs.glob("tuning/*/study.json")
    path.write_text(said)
    assert bench("status", "--runs", runs).status == 0
    assert f"{path} is damaged: " in caplog.text


def test_a_folder_in_the_place_of_a_record_hides_no_other(
    runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = Store(runs).folder(records(runs)["magnitude", 4.0, 0].id) / "record.json"
    record.unlink()
    record.mkdir()
    assert bench("status", "--runs", runs).status == 0
    assert f"{record} is damaged: Is a directory" in caplog.text
    assert bench("leaderboard", "--runs", runs, "--out", tmp_path / "out").status == 0
    result = quick(runs)
    assert result.status == 2
    assert f"{runs} cannot be written: " in result.err
    assert str(record) in result.err


def test_a_link_that_leads_to_itself_is_one_line(runs: Path) -> None:
    for name in ("log.txt", "predictions.parquet", "record.json"):
        cell = records(runs)["magnitude", 4.0, 0].id
        link = runs / cell / name
        held = link.read_bytes()
        link.unlink()
        link.symlink_to(link)
        result = quick(runs)
        assert (result.status, result.err.count("\n")) == (2, 1), result.err
        assert str(link) in result.err
        link.unlink()
        link.write_bytes(held)


def test_a_pipe_in_the_place_of_a_log_is_replaced(runs: Path) -> None:
    cell = records(runs)["magnitude", 4.0, 0].id
    (runs / cell / "record.json").unlink()
    (runs / cell / "log.txt").unlink()
    os.mkfifo(runs / cell / "log.txt")
    assert quick(runs, methods="magnitude,movement").status == 0
    assert (runs / cell / "log.txt").is_file()
