"""The cell of a floor: answers and no model, made once a run folder."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from cells import execute
from transformers import AutoModel, AutoTokenizer

from bench import registry
from bench.compression.floor import Answers
from bench.data.prepare import load, prepare
from bench.data.splits import cap, cut_tune
from bench.data.task import Source
from bench.data.tasks.demo import Similarity, demo_encoder_path
from bench.data.texts import texts_of_rows
from bench.errors import BenchError
from bench.metrics import FIGURES
from bench.models.checkpoint import load_model
from bench.models.footprint import count_dense
from bench.results.record import Record
from bench.results.store import Store
from bench.runs.cells.cell import Cell
from bench.runs.cells.floor import tune_floor
from bench.testing import ToyFloorRun
from bench_baselines.floors import TextFloor

if TYPE_CHECKING:
    from pathlib import Path

    from bench.runs.cells.context import Context

ENCODER = demo_encoder_path()


@pytest.fixture
def pairs(context: Context, tmp_path: Path) -> Context:
    """The context, with a task of pairs and figures."""
    prepared = prepare(
        Similarity(), Source(), name="demo-similarity", encoder=ENCODER, cap_at=160,
        cache=tmp_path / "data",
    )  # fmt: skip
    return dataclasses.replace(context, tasks={**context.tasks, "demo-similarity": prepared})


def run(method: str, context: Context, task: str, seed: int = 0) -> Record:
    cell = Cell(method, task, "weights", 1.0, seed, "demo-encoder", context.protocol.hash)
    record = execute(cell, dataclasses.replace(
        context, protocol=dataclasses.replace(context.protocol, trials=0)
    ))  # fmt: skip
    assert record.status == "ok", record.error
    return record


def test_a_record_has_scores_and_answers_and_no_size(context: Context) -> None:
    record = run("text-floor", context, "demo-sentiment")
    assert record.footprint == {}
    assert not record.has_model
    assert record.params["predictor"] in ("constant", "bag of words")
    assert record.cost["train_flops"] == record.cost["steps"] == 0
    assert Store(context.runs).get(record.id) == record
    assert (context.runs / record.id / "predictions.parquet").is_file()
    assert not (context.runs / record.id / "model").exists()
    damaged = record.to_json() | {"method": {**record.method, "delivers": "a model"}}
    with pytest.raises(BenchError, match="without a footprint"):
        Record.from_json(damaged)


def test_a_cosine_is_that_of_mean_states_by_transformers_alone(pairs: Context) -> None:
    record = run("encoder-floor", pairs, "demo-similarity")
    tokenizer, model = AutoTokenizer.from_pretrained(ENCODER), AutoModel.from_pretrained(ENCODER)
    rows = Similarity().load(Source()).dev

    @torch.inference_mode()
    def mean_state(text: str) -> Any:
        return model.eval()(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)

    given = np.array(
        [
            torch.cosine_similarity(mean_state(one), mean_state(other), dim=0).item()
            for one, other in zip(rows["text"], rows["text_pair"], strict=True)
        ]
    )
    wanted = np.array(rows["label"])
    for figure in ("pearson", "spearman"):
        own = 100 * FIGURES[figure].score(given, wanted)
        assert record.scores[figure] == pytest.approx(own, abs=0.01)
    assert record.cost["parts"] == {}


def test_a_probe_is_charged_one_pass_over_training_rows(context: Context) -> None:
    record = run("encoder-floor", context, "demo-sentiment")
    counts = count_dense(load_model(ENCODER, ("a", "b"), 0.0, fresh_head=True))
    passes = counts.forward_flops(load(context.tasks["demo-sentiment"]).train.lengths)
    assert record.cost["parts"] == {"pooled states": passes}
    assert record.cost["train_flops"] == passes


def test_every_seed_has_the_same_answers_which_are_made_once(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("text-floor", context, "demo-sentiment")
    monkeypatch.setattr(TextFloor, "answer", lambda *_: pytest.fail("asked twice"))
    other = run("text-floor", context, "demo-sentiment", seed=1)
    assert other.id != first.id
    assert other.scores == first.scores
    assert other.cost["train_flops"] == first.cost["train_flops"]


def test_a_floor_of_the_tune_rows_learns_from_fit_rows_alone(context: Context) -> None:
    task = registry.task("demo-sentiment")
    whole = task.load(Source()).train
    kept = whole.select(cap(texts_of_rows(whole), 160))
    fit, tune = (kept.select(rows) for rows in cut_tune(texts_of_rows(kept))[:2])
    lent = ToyFloorRun("classes", sides=1)
    lent.train, lent.asked = texts_of_rows(fit), texts_of_rows(tune)
    lent.labels = np.array(fit["label"])
    given = TextFloor().answer(lent).logits.argmax(axis=1)
    score = tune_floor("demo-sentiment", context)
    assert score == pytest.approx(100 * float((given == np.array(tune["label"])).mean()))
    assert tune_floor("demo-sentiment", context) == score


def test_a_floor_that_answers_other_rows_is_a_failure_in_a_line(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextFloor, "answer", lambda *_: Answers(np.zeros((3, 2))))
    with pytest.raises(BenchError, match=r"text-floor answered \(3, 2\), not \(32, 2\)"):
        tune_floor("demo-sentiment", dataclasses.replace(context, weights="another"))


def test_folders_prepared_before_texts_were_kept_get_them(tmp_path: Path) -> None:
    def again() -> Path:
        return prepare(
            Similarity(), Source(), name="demo-similarity", encoder=ENCODER, cap_at=160,
            cache=tmp_path,
        ).folder  # fmt: skip

    for path in again().glob("*-texts.parquet"):
        path.unlink()
    assert len(list(again().glob("*-texts.parquet"))) == 2
