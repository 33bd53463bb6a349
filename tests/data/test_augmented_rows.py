"""Augmented rows: which are made of which, who trains on them, and who pays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cells import execute
from datasets import Dataset
from tiny_tasks import Few

from bench.data.augmentation import Augmenter
from bench.data.prepare import TaskData, load, prepare
from bench.data.splits import cut_tune
from bench.data.task import Source, Splits, Task, TaskInfo
from bench.data.tasks.demo import Sentiment, demo_encoder_path
from bench.protocol import Protocol
from bench.runs.cells.cell import Cell
from bench.runs.cells.context import Context

if TYPE_CHECKING:
    from bench.data.encoded import Encoded
    from bench.results.record import Record


def prepared_data(task: Task, augmenter: Augmenter, cache: Path) -> TaskData:
    return load(
        prepare(task, Source(), name="few", encoder=demo_encoder_path(), cap_at=None, cache=cache,
                augmenter=augmenter)
    )  # fmt: skip


def rows_of(data: Encoded) -> list[tuple[Any, ...]]:
    begins = data.offsets[:-1]
    pieces = [data.pieces[b : b + n].tolist() for b, n in zip(begins, data.lengths, strict=True)]
    return list(zip(data.ids, map(tuple, pieces), data.labels.tolist(), strict=True))


def test_trials_train_on_nothing_that_was_made_of_a_tune_row(
    demo: Augmenter, tmp_path: Path
) -> None:
    data = prepared_data(Few(), demo, tmp_path)
    fit, tune, _ = cut_tune([(text,) for text in Few().load(Source()).train["text"]])
    assert tune
    assert len(data.tune) == len(tune)
    assert not any("+" in row for row in [*data.tune.ids, *data.report.ids])
    assert {row.partition("+")[0] for row in data.fit.ids}.isdisjoint(data.tune.ids)
    assert len(data.own) == len(fit) + len(tune)
    assert len(data.train) > 3 * len(data.own)
    made_of_tune = [row for row in data.train.ids if row.partition("+")[0] in data.tune.ids]
    assert len(data.fit) == len(data.train) - len(made_of_tune)


def test_fit_is_the_same_without_the_other_rows(demo: Augmenter, tmp_path: Path) -> None:
    whole = prepared_data(Few(), demo, tmp_path)
    fit = cut_tune([(text,) for text in Few().load(Source()).train["text"]]).fit
    alone = prepared_data(Few([Few().rows[i] for i in fit]), demo, tmp_path)
    assert rows_of(alone.train) == rows_of(whole.fit)


def test_the_cache_is_of_the_number_and_of_the_weights(
    demo: Augmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(augmenter: Augmenter | None) -> Path:
        return prepare(Few(), Source(), name="few", encoder=demo_encoder_path(), cap_at=None,
                       cache=tmp_path, augmenter=augmenter).folder  # fmt: skip

    fewer = Augmenter(demo_encoder_path(), 2, weights="demo")
    other = Augmenter(demo_encoder_path(), 4, weights="other")
    folders = [folder(augmenter) for augmenter in (None, demo, fewer, other)]
    assert len(set(folders)) == 4
    monkeypatch.setattr(Augmenter, "augment", lambda *_: pytest.fail("made twice"))
    assert folder(demo) == folders[1]


def test_rows_that_nothing_can_be_made_of(tmp_path: Path, encoder: Path) -> None:
    class Stop(Task):
        info = TaskInfo(name="stop", summary="", labels=("a", "b"), metric="accuracy")

        def load(self, source: Source) -> Splits:
            rows = [{"id": str(i), "text": "the and", "label": i % 2} for i in range(5)]
            return Splits(train=Dataset.from_list(rows), dev=Dataset.from_list(rows))

    augmenter = Augmenter(encoder, 3, weights="")
    prepared = prepare(Stop(), Source(), name="stop", encoder=encoder, cap_at=None,
                       cache=tmp_path, overlap="kept", augmenter=augmenter)  # fmt: skip
    assert prepared.train_rows == len(load(prepared).train) == 5
    assert prepared.facts["augmentation"] == {"variants": 3, "rows": 0, "flops": 0}


PROTOCOL = Protocol(epochs=1, trials=0, precision="fp32", max_train_samples=80, augment=2)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    root = tmp_path_factory.mktemp("runs")
    prepared = prepare(
        Sentiment(),
        Source(),
        name="demo-sentiment",
        encoder=demo_encoder_path(),
        cap_at=PROTOCOL.max_train_samples,
        cache=root / "data",
        augmenter=Augmenter(demo_encoder_path(), PROTOCOL.augment, weights="demo"),
    )
    return Context(
        runs=root,
        protocol=PROTOCOL,
        encoder=demo_encoder_path(),
        weights="demo",
        tasks={"demo-sentiment": prepared},
        device="cpu",
        threads=1,
        keep_models="none",
    )


def run(context: Context, method: str, ratio: float = 1.0) -> Record:
    wanted = Cell(method, "demo-sentiment", "weights", ratio, 0, "demo", context.protocol.hash)
    return execute(wanted, context)


@pytest.mark.parametrize(
    ("method", "ratio"), [("dense", 1.0), ("magnitude", 4.0), ("magnitude:init=finetuned", 4.0)]
)
def test_whoever_trains_is_charged_once(context: Context, method: str, ratio: float) -> None:
    record = run(context, method, ratio)
    made = context.tasks["demo-sentiment"].facts["augmentation"]
    assert record.cost["parts"]["augmentation"] == made["flops"] > 0
    assert record.cost["train_flops"] == sum(record.cost["parts"].values())
    assert record.data["augmentation"] == made
    rows = 80 + made["rows"]
    assert rows == context.tasks["demo-sentiment"].train_rows
    assert record.cost["steps"] == -(-rows // 32)


def test_who_trains_nothing_pays_nothing_and_counts_the_tasks_own_labels(context: Context) -> None:
    record = run(context, "majority")
    assert record.cost["parts"] == {}
    data = load(context.tasks["demo-sentiment"])
    assert len(data.own.labels) == 80
    assert data.own.ids == data.train.ids[:80]
