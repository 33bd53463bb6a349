"""From a command to records, predictions, models and pages, and the same again."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from harness import bench, outcomes, quick, records

from bench.data.tasks.demo import demo_encoder_path
from bench.results.store import Store

METHODS = "magnitude,magnitude:scope=global,majority,random-mask"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with two seeds of a small suite; tests only read it."""
    runs = tmp_path_factory.mktemp("done") / "runs"
    result = quick(runs, "--seeds", "2", methods=METHODS)
    assert result.status == 0, result.err
    return runs


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be changed."""
    return Path(shutil.copytree(done, tmp_path / "runs"))


def page_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_same_command_runs_nothing_and_gives_the_same_page(copy: Path) -> None:
    before = page_files(copy)
    created = {key: record.created for key, record in records(copy).items()}
    result = quick(copy, "--seeds", "2", methods=METHODS)
    assert result.status == 0
    assert "10 cells, 10 done, 0 to run" in result.out
    assert page_files(copy) == before
    assert {key: record.created for key, record in records(copy).items()} == created


def test_a_moved_folder_and_one_more_seed_rerun_nothing(copy: Path, tmp_path: Path) -> None:
    moved = copy.rename(tmp_path / "elsewhere")
    model = Path(shutil.copytree(demo_encoder_path(), tmp_path / "my-encoder"))
    result = quick(moved, "--seeds", "3", "--model", model, "--name", "demo", methods=METHODS)
    assert "15 cells, 10 done, 5 to run" in result.out


def test_every_record_is_whole(done: Path) -> None:
    found = records(done)
    assert len(found) == 10
    for (method, _, _), record in found.items():
        assert record.status == "ok"
        assert record.score is not None
        assert 0 <= record.score <= 100
        assert record.footprint["weights"]["ratio"] == pytest.approx(record.cell["ratio"], rel=0.02)
        assert set(record.footprint) == {"weights", "params", "flops", "flops_task", "bytes"}
        assert (record.cost["train_flops"] > 0) == (method != "majority")
        assert record.environment["threads"] == 1
        assert str(done.parent) not in (done / record.id / "record.json").read_text()


def test_a_kept_model_gives_the_recorded_predictions(done: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from bench.data.task import Source
    from bench.registry import task

    record = records(done)["magnitude:scope=global", 4, 0]
    folder = done / record.id / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = task("demo-sentiment").load(Source()).dev
    with torch.no_grad():
        inputs = tokenizer(rows["text"][:], padding=True, return_tensors="pt")
        answers = model(**inputs).logits.argmax(dim=1)
    table = parquet.read_table(done / record.id / "predictions.parquet")
    assert table["id"].to_pylist() == [str(i) for i in rows["id"]]
    assert table["label"].to_pylist() == rows["label"][:]
    assert table["prediction"].to_pylist() == answers.tolist()
    right = (answers == torch.tensor(rows["label"][:])).double().mean().item()
    assert 100 * right == pytest.approx(record.score)
    assert len(set(answers.tolist())) == 2  # a constant answer would show nothing


@pytest.mark.parametrize(("policy", "kept"), [("none", set()), ("first", {0}), ("all", {0, 1})])
def test_models_stay_on_disk_as_asked(tmp_path: Path, done: Path, policy, kept) -> None:
    runs = done if policy == "first" else tmp_path / "runs"
    if policy != "first":
        quick(runs, "--seeds", "2", "--keep-models", policy, methods="majority")
    seeds = {
        record.cell["seed"]
        for record in Store(runs).records()
        if (runs / record.id / "model/model.safetensors").exists()
    }
    assert seeds == kept
    if policy == "all":  # a model of an earlier record is none of a later one's
        quick(runs, "--seeds", "2", "--keep-models", "none", "--rerun", "all", methods="majority")
        assert not list(runs.glob("*/model"))


def test_the_first_models_are_those_of_the_first_seed_that_was_asked_for(tmp_path: Path) -> None:
    quick(tmp_path, "--seeds", "11,10-10", methods="majority")
    kept = {r.cell["seed"]: (tmp_path / r.id / "model").exists() for r in Store(tmp_path).records()}
    assert kept == {10: True, 11: False}


@pytest.mark.slow
def test_a_task_of_ones_own_runs_to_a_leaderboard(tmp_path: Path) -> None:
    for split, count in (("train", 60), ("dev", 20)):
        words = [(word, i) for i in range(count) for word in ("bad", "good")]
        lines = [f'"{word}, is it {split} number {i}?",{word}' for word, i in words]
        (tmp_path / f"{split}.csv").write_text("\n".join(["text,kind", *lines]))
    (tmp_path / "kinds.toml").write_text(
        'name = "my_kinds"\ntrain = "train.csv"\ndev = "dev.csv"\ntext = "text"\nlabel = "kind"\n'
        'labels = ["bad", "good"]\n'
    )
    model = Path(shutil.copytree(demo_encoder_path(), tmp_path / "my|odd*model_"))
    runs = tmp_path / "runs"
    result = quick(runs, "--tasks", tmp_path / "kinds.toml", "--model", model, "--workers", "2",
                   "--precision", "fp32", "--trials", "0")  # fmt: skip
    assert result.status == 0, result.err
    (path,) = runs.glob("*.md")
    page = path.read_text()
    assert page.startswith(f"# {path.stem}: my\\|odd\\*model\\_, matched on weights")
    assert "| magnitude" in page
    assert re.search(r"\| my\\_kinds( †)? \(accuracy\)", page)  # so few rows may tell nothing
    assert "--tasks $TASK_DIR/kinds.toml " in page
    assert "--model $MODEL_DIR/'my|odd*model_'" in page
    assert str(tmp_path) not in "".join(map(str, page_files(runs).values()))
    assert {record.data["train"] for record in records(runs).values()} == {120}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("bench_example") is None, reason="tests/plugin is not installed")
def test_the_example_plugin_runs_to_a_leaderboard(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    result = bench("run", "--methods", "first-heads", "--tasks", "parity", "--model", "demo",
                   "--ratios", "4", "--seeds", "1", "--epochs", "1", "--precision", "fp32",
                   "--workers", "1", "--runs", runs)  # fmt: skip
    assert result.status == 0, result.err
    assert set(records(runs)) == {("dense", 1, 0), ("first-heads", 4, 0)}
    (page,) = runs.glob("*.md")
    assert "| first-heads" in page.read_text()
    assert "parity (accuracy)" in page.read_text()


def test_an_unreachable_target_is_said_and_is_no_failure(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    result = quick(runs, "--match", "flops", "--ratios", "2,1000")
    assert (result.status, result.err) == (0, "")
    assert records(runs)["magnitude", 1000, 0].status == "unreachable"
    assert records(runs)["magnitude", 2, 0].status == "ok"
    assert "unreachable: magnitude on demo-sentiment" in (runs / "demo-flops.md").read_text()


# Published pages.


@pytest.fixture
def published(done: Path, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    assert bench("leaderboard", "--runs", done, "--out", out).status == 0
    return out


def test_published_pages_pass_their_check(published: Path) -> None:
    result = bench("leaderboard", "--check", "--out", published)
    assert (result.status, result.err) == (0, "")
    everything = "".join(str(path.read_bytes()) for path in published.rglob("*") if path.is_file())
    assert str(published.parent) not in everything
    assert "[demo](demo.md)" in (published / "README.md").read_text()


def test_one_changed_digit_of_a_record_fails_the_check(published: Path) -> None:
    path = published / "records/demo.jsonl"
    lines = path.read_text().splitlines()
    record = json.loads(lines[0])
    record["cost"]["steps"] += 1  # a figure that no table shows
    path.write_text("\n".join([json.dumps(record, ensure_ascii=False), *lines[1:]]) + "\n")
    result = bench("leaderboard", "--check", "--out", published)
    assert result.status == 1
    assert str(published / "demo.json") in result.err
    assert bench("leaderboard", "--out", published).status == 0
    assert bench("leaderboard", "--check", "--out", published).status == 0


def test_a_score_that_is_not_that_of_its_figures_makes_no_page(published: Path) -> None:
    path = published / "records/demo.jsonl"
    lines = path.read_text().splitlines()
    record = json.loads(lines[0])
    record["score"] += 1
    path.write_text("\n".join([json.dumps(record, ensure_ascii=False), *lines[1:]]) + "\n")
    before = (published / "demo.md").read_bytes()
    for words in ((), ("--check",)):
        result = bench("leaderboard", *words, "--out", published)
        assert (result.status, result.err.count("\n")) == (2, 1)
        assert f"{path}: cell {record['id']} " in result.err
        assert "the mean of its figures is" in result.err
    assert (published / "demo.md").read_bytes() == before


def test_a_page_that_was_edited_or_lost_fails_the_check(published: Path) -> None:
    (published / "demo.md").write_text((published / "demo.md").read_text().replace("4.0", "5.0"))
    (published / "demo.csv").unlink()
    result = bench("leaderboard", "--check", "--out", published)
    assert result.status == 1
    assert f"{published / 'demo.md'} is not" in result.err
    assert f"{published / 'demo.csv'} is not" in result.err


@pytest.mark.slow
def test_folders_of_one_suite_are_merged(tmp_path: Path, done: Path) -> None:
    parts = []
    for part in ("1/2", "2/2"):
        parts.append(tmp_path / part.replace("/", "-"))
        quick(parts[-1], "--seeds", "2", "--shard", part, methods=METHODS)
    merged, whole = tmp_path / "merged", tmp_path / "whole"
    assert bench("leaderboard", "--runs", *parts, "--out", merged).status == 0
    assert bench("leaderboard", "--runs", done, "--out", whole).status == 0
    assert (merged / "demo.csv").read_bytes() == (whole / "demo.csv").read_bytes()
    assert (merged / "demo.md").read_text() == (whole / "demo.md").read_text()
    assert parquet.read_table(merged / "records/demo.parquet").equals(
        parquet.read_table(whole / "records/demo.parquet")
    )
    assert outcomes(parts[0]).items() <= outcomes(done).items()
    assert bench("leaderboard", "--check", "--out", merged).status == 0


# What may stand in one table.


def test_another_encoder_of_the_same_name_replaces_the_page_and_says_so(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForMaskedLM

    other = tmp_path / "b/enc"
    shutil.copytree(demo_encoder_path(), tmp_path / "a/enc")
    shutil.copytree(demo_encoder_path(), other)
    model = AutoModelForMaskedLM.from_pretrained(other)
    with torch.no_grad():
        model.bert.encoder.layer[0].intermediate.dense.weight.add_(0.01)
    model.save_pretrained(other)
    runs = tmp_path / "runs"
    quick(runs, "--model", tmp_path / "a/enc", methods="random-mask")
    result = quick(runs, "--model", other, methods="majority")
    assert "showed another model" in result.out
    page = (runs / "enc.md").read_text(encoding="utf-8")
    assert "random-mask" not in page.split("missing")[0]
    assert "majority" in page


def test_a_run_that_finds_other_settings_in_its_folder_stops(tmp_path: Path) -> None:
    """As when two first runs on a folder are started at once with unlike settings."""
    from bench.errors import BenchError
    from bench.runs.request import Request, resolve

    request = Request(runs=tmp_path, tasks=("demo-sentiment",), workers=1)
    suite = resolve(request)
    context = suite.prepare(tmp_path / "data")
    (tmp_path / "settings.json").write_text('{"precision": "bf16", "threads": 7}')
    with pytest.raises(BenchError, match=r"bf16, 7 threads a cell, no teacher cache .*again"):
        suite.write("bench run", context)
    assert "all cells of" in resolve(request).notices[0]


def test_a_value_written_in_two_ways_is_one_variant(tmp_path: Path) -> None:
    from bench.runs.names import select_methods

    variants, _ = select_methods(["magnitude:warmup=0.10", "magnitude:warmup=1e-1"])
    assert [str(v) for v in variants] == ["dense", "magnitude:warmup=0.1"]
    variants, _ = select_methods(["magnitude:contrastive=True", "magnitude:contrastive=true"])
    assert [str(v) for v in variants] == ["dense", "magnitude:contrastive=true"]


def test_an_orphaned_page_does_not_pass_the_check(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "pages"
    assert bench("leaderboard", "--runs", copy, "--out", out).status == 0
    assert bench("leaderboard", "--out", out, "--check").status == 0
    (out / "old.md").write_text("# old")
    result = bench("leaderboard", "--out", out, "--check")
    assert result.status == 1
    assert "old.md" in result.err


def test_predictions_are_part_of_what_is_checked(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "pages"
    bench("leaderboard", "--runs", copy, "--out", out)
    (out / "records/demo.parquet").unlink()
    result = bench("leaderboard", "--out", out, "--check")
    assert result.status == 1
    assert "demo.json" in result.err


def test_a_plan_says_what_cannot_be_reached(tmp_path: Path) -> None:
    result = quick(tmp_path / "r", "--dry-run", "--ratios", "4,1e6", methods="magnitude")
    assert "3 to run after 1 trial in" in result.out  # of dense: the hardest is out of reach
    assert "3 trainings" in result.out
    assert "1 cells cannot be reached" in result.out


def test_the_counter_takes_a_model_of_few_positions() -> None:
    result = bench("footprint", demo_encoder_path(), "--json")
    assert result.status == 0
    assert json.loads(result.out)["sequence_length"] == 64
