"""What a cell is charged, and what a record says."""

from __future__ import annotations

import dataclasses
import errno
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from cells import execute
from pyarrow import parquet
from transformers import AutoModelForSequenceClassification

from bench import registry
from bench.compression.losses import task_loss
from bench.compression.method import Method, MethodInfo
from bench.compression.params import TrainParams
from bench.data.prepare import prepare
from bench.data.task import Source
from bench.data.tasks.demo import Sentiment, demo_encoder_path
from bench.errors import DivergedError
from bench.files import is_storage_error
from bench.models.footprint import count_dense
from bench.protocol import Protocol
from bench.results.store import Store
from bench.runs.cells.cell import Cell
from bench.runs.cells.context import Context
from bench.runs.cells.execute import Log, _lend
from bench.runs.cells.parameters import resolve_params
from bench.testing import Toy
from bench.training import scoring

if TYPE_CHECKING:
    from pathlib import Path

    from bench.compression.method import Run
    from bench.results.record import Record

PROTOCOL = Protocol(epochs=1, trials=0, precision="fp32", max_train_samples=160)


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
    )
    return Context(
        runs=root,
        protocol=PROTOCOL,
        encoder=demo_encoder_path(),
        weights="demo",
        tasks={"demo-sentiment": prepared},
        device="cpu",
        threads=1,
    )


def cell(method: str, ratio: float = 1.0, seed: int = 0, axis: str = "weights") -> Cell:
    return Cell(method, "demo-sentiment", axis, ratio, seed, "demo-encoder", PROTOCOL.hash)


def run(context: Context, wanted: Cell) -> Record:
    record = execute(wanted, context)
    assert Store(context.runs).get(record.id) == record
    return record


def test_a_training_is_charged_three_forward_passes_over_real_tokens(context: Context) -> None:
    """By hand: 2·(weights·n + 2·n²·width·layers + head) for a row of n tokens, three times."""
    from bench.data.prepare import load

    record = run(context, cell("dense"))
    lengths = load(context.tasks["demo-sentiment"]).train.lengths
    layers, width, feed_forward = 2, 64, 128
    weights = layers * (4 * width**2 + 2 * width * feed_forward)
    head = width * width + 2 * width
    macs = sum(int(n) * weights + 2 * int(n) ** 2 * width * layers + head for n in lengths)
    assert record.cost["parts"] == {"reference": 3 * 2 * macs}
    assert record.cost["train_flops"] == 3 * 2 * macs
    assert record.cost["steps"] == 5


def test_a_reference_that_diverges_is_charged_for_the_steps_it_made(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(model: Any, batch: Any) -> Any:
        losses.append(task_loss(model, batch) * (float("nan") if len(losses) == 2 else 1))
        return losses[-1]

    losses: list[Any] = []
    monkeypatch.setattr("bench.training.reference.task_loss", loss)
    lent = _lend(
        context.bind(cell("dense", seed=7)), None, Log(context.runs / "log"), print, trial=False
    )
    with pytest.raises(DivergedError, match="at step 3"):
        lent.finetuned(TrainParams(learning_rate=1e-4))
    assert lent.made_once == {}
    visited = lent.data.train.lengths.sum() * 3 / 5  # 3 of 5 batches, of about as many pieces
    assert lent.flops.keys() == {"reference"}
    linear = 3 * 2 * visited * 2 * (4 * 64**2 + 2 * 64 * 128)
    assert lent.flops["reference"] == pytest.approx(linear, rel=0.3)


def test_masks_save_no_training_and_the_reference_is_charged_to_who_needs_it(
    context: Context,
) -> None:
    dense = run(context, cell("dense")).cost["train_flops"]
    assert run(context, cell("magnitude", 20.0)).cost["parts"] == {"training": dense}
    both = run(context, cell("magnitude:init=finetuned", 20.0))
    assert both.cost["parts"] == {"reference": dense, "training": dense}
    assert both.reference is not None
    assert both.method["starts_from"] == "finetuned"


def test_a_cost_does_not_depend_on_what_lay_there_already(context: Context) -> None:
    first, second = (run(context, cell("dense", seed=5)) for _ in range(2))
    assert first.cost["parts"] == second.cost["parts"]
    assert first.score == second.score


def test_a_teacher_is_charged_one_forward_pass_over_real_tokens(tmp_path: Path) -> None:
    toy = Toy(tmp_path, registry.methods.get("dense"), 4.0, {})
    lent = toy.run()
    teacher = lent.teacher()
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    teacher(input_ids=torch.full((2, 4), 7), attention_mask=mask)
    assert lent.flops["teacher"] == count_dense(teacher).forward_flops([3, 4])
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.training


def test_every_method_of_a_seed_gets_the_same_new_head(tmp_path: Path) -> None:
    toy = Toy(tmp_path, registry.methods.get("dense"), 4.0, {})
    first = toy.run(seed=1).pretrained()
    torch.rand(5)
    again, other = toy.run(seed=1).pretrained(), toy.run(seed=2).pretrained()
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    encoder = AutoModelForSequenceClassification.from_pretrained(tmp_path / "encoder")
    assert not torch.equal(first.classifier.weight, encoder.classifier.weight)
    assert torch.equal(first.bert.pooler.dense.weight, encoder.bert.pooler.dense.weight)


def test_dropout_is_the_protocols_whatever_the_checkpoint_says(tmp_path: Path) -> None:
    toy = Toy(tmp_path, registry.methods.get("dense"), 4.0, {})
    path = tmp_path / "encoder/config.json"
    text = path.read_text(encoding="utf-8").replace('dropout_prob": 0.1', 'dropout_prob": 0.4')
    path.write_text(text, encoding="utf-8")
    model = toy.run().pretrained()
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.1}


def test_the_score_is_that_of_the_stored_predictions(context: Context) -> None:
    record = run(context, cell("dense"))
    table = parquet.read_table(context.runs / record.id / "predictions.parquet")
    labels, predictions = table["label"].to_numpy(), table["prediction"].to_numpy()
    assert record.score == pytest.approx(100 * np.mean(labels == predictions))
    assert record.score == scoring.score("accuracy", predictions, labels).main
    dev = Sentiment().load(Source()).dev
    assert table["id"].to_pylist() == dev["id"][:]
    assert labels.tolist() == dev["label"][:]


def test_the_kept_model_gives_the_recorded_predictions(context: Context) -> None:
    from bench.data.prepare import load
    from bench.training.evaluate import predict

    record = run(context, cell("magnitude", 20.0))
    model = AutoModelForSequenceClassification.from_pretrained(context.runs / record.id / "model")
    report = load(context.tasks["demo-sentiment"]).report
    table = parquet.read_table(context.runs / record.id / "predictions.parquet")
    again = predict(model, report, "cpu")
    assert again.tolist() == table["logits"].to_pylist()
    assert again.argmax(axis=1).tolist() == table["prediction"].to_pylist()
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert count_dense(model).weights / record.footprint["weights"]["actual"] >= 20


def test_majority_is_the_best_constant_answer(context: Context) -> None:
    from bench.data.prepare import load

    record = run(context, cell("majority"))
    assert record.score == 50.0
    assert record.cost["train_flops"] == 0
    table = parquet.read_table(context.runs / record.id / "predictions.parquet")
    logits = torch.tensor(table["logits"].to_pylist())
    positive = np.mean(load(context.tasks["demo-sentiment"]).train.labels)
    expected = torch.tensor([1 - positive, positive]).float().expand(len(logits), 2)
    torch.testing.assert_close(logits.softmax(dim=1), expected)


def test_flops_that_zeros_cannot_reach_are_unreachable_before_any_training(
    context: Context,
) -> None:
    record = run(context, cell("random-mask", 50.0, axis="flops"))
    assert record.status == "unreachable"
    assert record.cost.get("train_flops") is None
    dense = 2 * (128 * 65536 + 2 * 128**2 * 64 * 2 + 64 * 64 + 2 * 64)
    best = record.footprint["flops"]["ratio"]
    # all weights gone but one a matrix: attention products and head stay
    assert best == pytest.approx(dense / (dense - 2 * 128 * (65536 - 12)), rel=1e-12)


class Keeps(Method):
    """Delivers twice the weights that were asked for."""

    info = MethodInfo(name="keeps", summary="", kind="unstructured", removes="",
                      starts_from="pretrained")  # fmt: skip

    def compress(self, run: Run, params: Any) -> Any:
        import bench

        model = run.pretrained()
        masks = bench.Masks(model)
        masks.cut(bench.random_scores(model, run.seed), 2 * run.target.density(model))
        masks.apply()
        return model


class Raises(Keeps):
    """Fails in the middle of a training."""

    def compress(self, run: Run, params: Any) -> Any:
        def loss(model: Any, batch: Any) -> Any:
            return task_loss(model, batch) * float("nan")

        model = run.pretrained()
        run.train(model, loss=loss, params=params)
        return model


class ReturnsNothing(Keeps):
    """Forgets to return its model."""

    def compress(self, run: Run, params: Any) -> Any:
        run.pretrained()


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Any:
    known, is_own = registry.methods.get, registry.methods.is_own

    def put(method: type[Method]) -> None:
        monkeypatch.setattr(
            registry.methods, "is_own", lambda name: name == "keeps" or is_own(name)
        )
        monkeypatch.setattr(
            registry.methods, "get", lambda name: method if name == "keeps" else known(name)
        )

    return put


def test_a_ratio_below_the_target_is_kept_as_missed(context: Context, register: Any) -> None:
    register(Keeps)
    record = run(context, cell("keeps", 20.0))
    assert record.status == "missed"
    assert record.footprint["weights"]["ratio"] == pytest.approx(10, rel=1e-2)
    assert record.score is not None


def test_a_loss_that_is_nan_is_a_failed_record_with_a_log(context: Context, register: Any) -> None:
    register(Raises)
    record = run(context, cell("keeps", 4.0))
    assert record.status == "failed"
    assert record.error == {
        "type": "DivergedError",
        "message": "the loss is nan at step 1",
        "log": f"{record.id}/log.txt",
    }
    log = (context.runs / record.id / "log.txt").read_text(encoding="utf-8")
    assert "Traceback" in log
    assert record.environment["precision"] == "fp32"


def test_a_method_that_returns_no_model_is_told_so(context: Context, register: Any) -> None:
    register(ReturnsNothing)
    record = run(context, cell("keeps", 2.0))
    assert record.status == "failed"
    assert record.error is not None
    assert record.error["message"] == "keeps returned a NoneType, not a model"


def test_parameters_come_from_defaults_protocol_and_pins() -> None:
    method = registry.methods.get("magnitude")
    protocol = dataclasses.replace(PROTOCOL, learning_rate=3e-3)
    params = resolve_params(method, {"final_phase": "0.5"}, protocol)
    assert dataclasses.asdict(params)["learning_rate"] == 3e-3
    assert dataclasses.asdict(params)["final_phase"] == 0.5
    pinned = resolve_params(method, {"learning_rate": "0.001"}, protocol)
    assert dataclasses.asdict(pinned)["learning_rate"] == 0.001
    assert resolve_params(registry.methods.get("majority"), {}, protocol).knobs() == {}


def test_a_full_disk_is_told_from_other_errors() -> None:
    full = OSError(28, "No space left on device")
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = full
    assert is_storage_error(full)
    assert is_storage_error(wrapped)
    assert not is_storage_error(FileNotFoundError(2, "no such file"))
    assert not is_storage_error(ValueError("x"))


def test_a_method_whose_own_disk_is_full_does_not_end_the_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    ours = OSError(errno.EROFS, "read-only", str(runs / "x" / "log.txt"))
    elsewhere = OSError(errno.EROFS, "read-only", "/opt/cache")
    assert is_storage_error(ours, runs)
    assert not is_storage_error(elsewhere, runs)
    assert is_storage_error(OSError(errno.ENOSPC, "full"), runs)  # which may be any disk
