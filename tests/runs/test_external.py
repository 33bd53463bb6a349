"""Checkpoints from elsewhere, files for the GLUE server, and two methods side by side."""

from __future__ import annotations

import itertools
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from harness import PAGES, Result, bench, quick, records
from pyarrow import parquet
from scipy.stats import t as student

from bench import registry
from bench.data.tasks.glue import GlueTask
from bench.errors import BenchError
from bench.leaderboard.ranking import standings
from bench.leaderboard.statistics import difference
from bench.results.store import Store
from bench.results.suites import open_suite
from bench.runs.external import match_labels


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made") / "runs"
    assert quick(folder, "--seeds", "2", methods="magnitude,random-mask,majority").status == 0
    yield folder


@pytest.fixture
def copied(runs: Path, tmp_path: Path) -> Path:
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def checkpoint(runs: Path, folder: Path, **changes: object) -> Path:
    """The magnitude-pruned model of seed 0 under another name, with other labels."""
    shutil.copytree(runs / records(runs)["magnitude", 4.0, 0].id / "model", folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def evaluate(model: Path, runs: Path, *words: str) -> Result:
    return bench("evaluate", model, "--task", "demo-sentiment", "--runs", runs, *words)


@pytest.mark.slow
def test_a_checkpoint_scores_and_counts_as_its_own_cell_did(copied: Path, tmp_path: Path) -> None:
    result = evaluate(checkpoint(copied, tmp_path / "theirs"), copied)
    assert result.status == 0, result.err
    found = records(copied)
    own = found["magnitude", 4.0, 0]
    (theirs,) = (r for r in found.values() if r.status == "external")
    assert theirs.score == own.score
    assert theirs.footprint["weights"] == own.footprint["weights"]
    assert "theirs" in result.out
    assert theirs.cell["model"] == "its own shapes"
    dense = shutil.copytree(copied / found["dense", 1.0, 0].id / "model", tmp_path / "bare")
    for file in (*dense.glob("*token*"), dense / "vocab.txt"):  # a model is counted without
        file.unlink(missing_ok=True)
    assert evaluate(tmp_path / "theirs", copied, "--dense", dense).status == 0
    against = [r.cell["model"] for r in Store(copied).records() if r.status == "external"]
    assert sorted(against) == ["bare", "its own shapes"]
    page = (copied / "demo.md").read_text()
    assert "## Checkpoints from elsewhere" in page
    assert "| theirs" in page
    assert "not done yet" not in page
    # It stands in no table of ours, and everything else goes on as before.
    assert "theirs" not in page.partition("## Checkpoints")[0]
    assert quick(copied, "--seeds", "2", methods="magnitude,random-mask,majority").status == 0
    assert bench("status", "--runs", copied).status == 0
    assert bench("leaderboard", "--runs", copied, "--out", tmp_path / "out").status == 0
    assert bench("leaderboard", "--check", "--out", tmp_path / "out").status == 0
    assert "| theirs" in (tmp_path / "out" / "demo.md").read_text()


@pytest.mark.slow
def test_labels_in_another_order_are_matched_by_their_names(copied: Path, tmp_path: Path) -> None:
    names = registry.task("demo-sentiment").info.labels or ()
    turned = {"0": names[1].upper(), "1": f" {names[0]}"}
    assert evaluate(checkpoint(copied, tmp_path / "turned", id2label=turned), copied).status == 0
    own = records(copied)["magnitude", 4.0, 0].score
    (theirs,) = (r for r in records(copied).values() if r.status == "external")
    assert theirs.score is not None
    assert own is not None
    assert theirs.score == pytest.approx(100 - own)  # every answer is turned round


@pytest.mark.slow
def test_labels_without_names_need_a_word(copied: Path, tmp_path: Path) -> None:
    model = checkpoint(copied, tmp_path / "plain", id2label={"0": "LABEL_0", "1": "LABEL_1"})
    refused = evaluate(model, copied)
    assert refused.status == 2
    assert "--label-map 0=negative,1=positive" in refused.err
    assert evaluate(model, copied, "--label-map", "0=negative,1=positive").status == 0
    (theirs,) = (r for r in records(copied).values() if r.status == "external")
    assert theirs.score == records(copied)["magnitude", 4.0, 0].score


def test_doubtful_labels_are_refused() -> None:
    mrpc, stsb = registry.task("mrpc"), registry.task("stsb")
    found = match_labels({0: "Equivalent", 1: "not equivalent"}, mrpc, {}, "m")
    assert found is not None
    assert found.tolist() == [1, 0]
    assert match_labels({0: "LABEL_0"}, stsb, {}, "m") is None
    for names, label_map, said in (
        ({0: "a", 1: "b"}, {}, "a, b"),
        ({0: "a", 1: "b"}, {"a": "equivalent", "b": "equivalent"}, "which is which"),
        ({0: "a", 1: "b"}, {"c": "equivalent"}, "unknown label of m 'c'"),
        ({0: "a", 1: "b"}, {"a": "equal"}, "Did you mean 'equivalent'?"),
        ({0: "a", 1: "b", 2: "c"}, {}, "3 outputs, mrpc has 2"),
    ):
        with pytest.raises(BenchError, match=said.replace("?", r"\?")):
            match_labels(names, mrpc, label_map, "m")
    for labels in (("нет", "да"), ("C", "C++"), ("yes", "no")):
        task = SimpleNamespace(name="t", num_labels=2, info=SimpleNamespace(labels=labels))
        for names, label_map in (
            (dict(enumerate(labels[::-1])), {}),
            ({0: "LABEL_0", 1: "LABEL_1"}, {"0": labels[1], "1": labels[0]}),
        ):
            order = match_labels(names, task, label_map, "m")
            assert order is not None
            assert order.tolist() == [1, 0]
    with pytest.raises(BenchError, match="a regression has 1"):
        match_labels({0: "a", 1: "b"}, stsb, {}, "m")


def test_an_encoder_without_a_head_is_no_checkpoint(tmp_path: Path) -> None:
    from bench.data.tasks.demo import demo_encoder_path

    refused = evaluate(demo_encoder_path(), tmp_path)
    assert refused.status == 2
    assert "no classification head" in refused.err


# The GLUE server.


def test_file_names_and_labels_are_those_of_the_server() -> None:
    files = {}
    for name in ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"):
        task = registry.task(name)
        assert isinstance(task, GlueTask)
        for part in task.parts:
            files[task.submission(part)] = task.layout.named
    named = {"MNLI-m", "MNLI-mm", "QNLI", "RTE"}
    numbered = {"CoLA", "SST-2", "MRPC", "STS-B", "QQP", "WNLI"}
    assert {name for name, is_named in files.items() if is_named} == named
    assert {name for name, is_named in files.items() if not is_named} == numbered


@pytest.mark.slow
def test_predictions_for_the_server(tmp_path: Path) -> None:
    """Tiny files in GLUE's layout; the answers on rows copied from dev are those of the report."""
    rte, stsb = tmp_path / "glue" / "RTE", tmp_path / "glue" / "STS-B"
    for folder in (rte, stsb):
        folder.mkdir(parents=True)
    for split, rows in (("train", 64), ("dev", 12), ("test", 12)):
        label = "" if split == "test" else "\tlabel"
        names = [f"\t{n}" for n in ("entailment", "not_entailment")]
        lines = [f"{i}\tthe film {i} is good\ta film{'' if split == 'test' else names[i % 2]}"
                 for i in range(rows)]  # fmt: skip
        head = f"index\tsentence1\tsentence2{label}"
        (rte / f"{split}.tsv").write_text("\n".join([head, *lines]) + "\n")
        score = "" if split == "test" else "\tscore"
        lines = [f"{i}\tthe film {i} is good\ta film{'' if split == 'test' else f'{chr(9)}{i % 6}'}"
                 for i in range(rows)]  # fmt: skip
        head = f"index\tsentence1\tsentence2{score}"
        (stsb / f"{split}.tsv").write_text("\n".join([head, *lines]) + "\n")
    glue, runs, out = tmp_path / "glue", tmp_path / "runs", tmp_path / "out"
    assert bench("run", "--tasks", "rte,stsb", "--methods", "dense", "--model", "demo", "--trials",
                 "0", "--seeds", "1", "--epochs", "1", "--data-dir", glue, "--workers", "1",
                 "--runs", runs).status == 0  # fmt: skip
    cells = {r.cell["task"]: r.id for r in Store(runs).records()}
    result = bench("predict", cells["rte"], cells["stsb"][:8], "--runs", runs, "--data-dir", glue,
                   "--out", out)  # fmt: skip
    assert result.status == 0, result.err
    assert "missing: AX, CoLA, MNLI-m, MNLI-mm, MRPC, QNLI, QQP, SST-2, WNLI" in result.out
    with zipfile.ZipFile(out / "submission.zip") as archive:
        assert archive.namelist() == ["RTE.tsv", "STS-B.tsv"]
    head, *lines = (out / "RTE.tsv").read_text().splitlines()
    assert head == "index\tprediction"
    answers = parquet.read_table(runs / cells["rte"] / "predictions.parquet")["prediction"]
    labels = ("entailment", "not_entailment")
    assert lines == [f"{i}\t{labels[a]}" for i, a in enumerate(answers.to_pylist())]
    _, *lines = (out / "STS-B.tsv").read_text().splitlines()
    scores = np.array([float(line.split("\t")[1]) for line in lines])
    answers = parquet.read_table(runs / cells["stsb"] / "predictions.parquet")["prediction"]
    assert scores == pytest.approx(np.clip(answers.to_numpy(), 0, 5), abs=6e-4)
    (rte / "test.tsv").unlink()
    refused = bench("predict", cells["rte"], "--runs", runs, "--data-dir", glue, "--out", out)
    assert refused.status == 2
    assert "RTE/test.tsv" in refused.err
    kept = runs / cells["rte"] / "model"
    for file in [*kept.glob("tokenizer*"), *kept.glob("vocab*")]:
        file.unlink()
    refused = bench("predict", cells["stsb"], cells["rte"], "--runs", runs, "--data-dir", glue,
                    "--out", tmp_path / "other")  # fmt: skip
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "has no tokenizer" in refused.err
    assert not (tmp_path / "other").exists()
    assert bench("export", cells["rte"], "--runs", runs, "--out", tmp_path / "other").status == 2
    twice = bench("predict", cells["stsb"], cells["stsb"], "--runs", runs, "--data-dir", glue,
                  "--out", tmp_path / "other")  # fmt: skip
    assert (twice.status, "two of the cells are of stsb" in twice.err) == (2, True)
    assert not (tmp_path / "other").exists()
    weights = runs / cells["stsb"] / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused = bench("predict", cells["stsb"], "--runs", runs, "--data-dir", glue, "--out", out)
    assert (refused.status, "no whole safetensors file" in refused.err) == (2, True)


@pytest.mark.slow
def test_only_what_the_server_knows_and_was_kept(runs: Path, tmp_path: Path) -> None:
    cell = records(runs)["magnitude", 4.0, 0].id
    refused = bench("predict", cell, "--runs", runs, "--out", tmp_path)
    assert refused.status == 2
    assert "none of GLUE's tasks" in refused.err


# Side by side.


@pytest.mark.slow
def test_compare_prints_what_the_page_ranks_by(runs: Path) -> None:
    result = bench("compare", "magnitude", "random-mask", "--task", "demo-sentiment", "--runs",
                   runs, "--json")  # fmt: skip
    assert result.status == 0, result.err
    found = json.loads(result.out)
    scores = {
        method: [r.score for key, r in records(runs).items() if key[0] == method]
        for method in ("magnitude", "random-mask")
    }
    lead = np.mean(scores["magnitude"]) - np.mean(scores["random-mask"])
    assert found["difference"] == pytest.approx(lead)
    spread = found["half_width_95"] / student.ppf(0.975, found["freedom"])
    assert found["p"] == pytest.approx(2 * student.sf(lead / spread, found["freedom"]))
    # Two seeds of scores as far apart as these tell nothing apart by themselves.
    assert 1 <= found["freedom"] < 2
    assert found["p"] <= found["p_holm"] <= 1
    turned = json.loads(
        bench("compare", "random-mask", "magnitude", "--task", "demo-sentiment", "--runs", runs,
              "--json").out
    )  # fmt: skip
    assert turned["difference"] == -found["difference"]
    assert turned["p"] == found["p"]
    one = [
        parquet.read_table(runs / records(runs)[m, 4.0, s].id / "predictions.parquet")
        for m in ("magnitude", "random-mask")
        for s in (0, 1)
    ]
    given = np.array([table["prediction"].to_numpy() for table in one])
    differ = np.flatnonzero(given[:2].sum(axis=0) != given[2:].sum(axis=0))
    assert sorted(example["row"] for example in found["examples"]) == differ.tolist()
    leads = [abs(example["lead"]) for example in found["examples"]]
    assert leads == sorted(leads, reverse=True)
    text = bench("compare", "magnitude", "dense", "--task", "demo-sentiment", "--runs", runs)
    assert "after Holm over every competitor against dense; " in text.out
    assert "degrees of freedom" in text.out
    assert found["holm_over"] == "every competitor against random-mask"


def test_compare_on_the_average_is_what_the_page_ranks_by() -> None:
    """By hand: variances of independent tasks add, p from Student's t, then Holm."""
    suite = ("--name", "glue-mini", "--runs", PAGES, "--ratio", "20", "--json")
    tasks = ("stsb", "sst2", "cola")  # MRPC tells nothing there

    def of(*words: str) -> dict[str, Any]:
        result = bench("compare", *words, *suite)
        assert result.status == 0, result.err
        return dict(json.loads(result.out))

    opened = open_suite(PAGES, "glue-mini")
    at = {
        ratio: [r for r in opened.records if r.cell["ratio"] == ratio and r.cell["task"] in tasks]
        for ratio in (20.0, 1.0)
    }
    table = standings(at[20.0], at[1.0], tasks, opened.answers)
    rivals = ("knowledge-aware", "tinybert", "magnitude", "movement")
    ps, whole = {}, {}
    for pair in itertools.combinations(rivals, 2):
        each = [of(*pair, "--task", task) for task in tasks]
        half = [e["half_width_95"] / student.ppf(0.975, e["freedom"]) / 3 for e in each]
        variance = sum(h**2 for h in half)
        lead = np.mean([e["difference"] for e in each])
        whole[pair] = of(*pair)
        assert whole[pair]["tasks"] == list(tasks)
        assert whole[pair]["difference"] == pytest.approx(lead)
        weighed = [difference(table.pairs[task], *pair).weighed for task in tasks]
        freedom = sum(weighed) ** 2 / sum(
            w**2 / e["freedom"] for w, e in zip(weighed, each, strict=True)
        )
        assert whole[pair]["freedom"] == pytest.approx(freedom)
        ps[pair] = 2 * student.sf(abs(lead) / variance**0.5, freedom)
        assert whole[pair]["p"] == pytest.approx(ps[pair])
    smallest = min(ps, key=lambda pair: ps[pair])
    assert whole[smallest]["p_holm"] == pytest.approx(6 * ps[smallest])


def test_a_method_is_not_compared_with_itself() -> None:
    refused = bench("compare", "movement", "movement", "--name", "glue-mini", "--runs", PAGES,
                    "--ratio", "20")  # fmt: skip
    assert (refused.status, refused.out) == (2, "")
    assert "both are movement" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("magnitud dense --task demo-sentiment", "Did you mean 'magnitude'?"),
        ("magnitude dense --task demo-sentimen", "Did you mean 'demo-sentiment'?"),
        ("magnitude dense --task demo-sentiment --ratio 7", "no ratio 7; it has 4"),
        ("magnitude dense --task demo-sentiment --name sum", "unknown suite 'sum'"),
        ("magnitud dense", "with a score on demo-sentiment"),
    ],
)
def test_compare_names_what_there_is(words: str, said: str, runs: Path) -> None:
    refused = bench("compare", *words.split(), "--runs", runs)
    assert refused.status == 2
    assert said in refused.err
