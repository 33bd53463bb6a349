"""Checkpoints from elsewhere, files for the GLUE server, and two methods side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from harness import Result, bench, quick, records

from bench import registry
from bench.errors import BenchError
from bench.results.predictions import in_store
from bench.results.store import Store
from bench.runs.external import match_labels


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
    answers = in_store(Store(copied))
    logits = [answers(x.id).logits for x in (records(copied)["magnitude", 4.0, 0], theirs)]
    assert np.array_equal(logits[0], logits[1][:, ::-1])


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
        ({0: "equivalent", 2: "not_equivalent"}, {}, "numbers its labels 0, 2, not 0 to 1"),
        ({0: "1", 1: "0"}, {"1": "equivalent"}, "output of the number 1 and another one"),
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
    task = SimpleNamespace(name="t", num_labels=3, info=SimpleNamespace(labels=("a", "b", "c")))
    order = match_labels({0: "b", 1: "c", 2: "a"}, task, {}, "m")
    assert order is not None
    assert order.tolist() == [2, 0, 1]  # the output of a, that of b, that of c
    # A position in the file is no number: keys of JSON may stand in any order.
    words = "river oven violin cloud train garden chess bread ship snow clock paper"
    labels = tuple(words.split())
    task = SimpleNamespace(name="t", num_labels=12, info=SimpleNamespace(labels=labels))
    for order in (range(12), sorted(range(12), key=str), range(11, -1, -1)):
        for texts, label_map in (
            (labels, {}),
            ([f"LABEL_{n}" for n in range(12)], {str(n): labels[n] for n in range(12)}),
        ):
            found = match_labels({n: texts[n] for n in order}, task, label_map, "m")
            assert found is not None
            assert found.tolist() == list(range(12))
    with pytest.raises(BenchError, match="a regression has 1"):
        match_labels({0: "a", 1: "b"}, stsb, {}, "m")


def test_an_encoder_without_a_head_is_no_checkpoint(tmp_path: Path) -> None:
    from bench.data.tasks.demo import demo_encoder_path

    refused = evaluate(demo_encoder_path(), tmp_path)
    assert refused.status == 2
    assert "no classification head" in refused.err
