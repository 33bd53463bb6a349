"""Models that mark spans: loaded, counted, cut, exported, and their losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS, HEADS, NEURONS, WIDTH, masked, pieces, tiny_config
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification

import bench
from bench.compression.callbacks import Batch
from bench.compression.losses import NEVER, distilled_loss, label_loss, soft_cross_entropy
from bench.compression.units import unit_costs
from bench.deploy.engines import ENGINES, Load
from bench.deploy.export import as_stock, inputs_of
from bench.deploy.latency import measure
from bench.errors import BenchError
from bench.models.checkpoint import load_classifier, objection_to_saving
from bench.models.footprint import count, count_dense
from bench.models.heads import describe_head, logits_of, marks_spans

every_family = pytest.mark.parametrize("family", CONFIGS)


def marker(family: str):
    """A model that marks spans, in eval mode, no weight of which is zero."""
    config = tiny_config(family)
    describe_head(config, ("begin", "end"), spans=True)
    torch.manual_seed(0)
    model = AutoModelForQuestionAnswering.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2 + 0.01)
    return model


def flops_of(model) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(pieces()[:1])
    return counter.get_total_flops()


@every_family
def test_it_is_counted_as_torch_counts_it(family: str) -> None:
    model = marker(family)
    assert count(model).flops(9) == flops_of(model)
    assert count(model) == count_dense(model) == count_dense(model.config)
    assert count(model).head_parameters == 2 * 24 + 2
    lengths = np.array([4, 9, 9])
    each = [count(model).flops(int(length)) for length in lengths]
    assert count(model).forward_flops(lengths) == sum(each)


@every_family
def test_a_cut_one_says_what_zeros_say_and_survives_saving(family: str, tmp_path: Path) -> None:
    model = marker(family)
    cut = bench.cut(model, HEADS, NEURONS)
    cut.config._attn_implementation = "eager"
    with torch.no_grad():
        found = logits_of(cut(pieces()))
        torch.testing.assert_close(found, logits_of(masked(model)(pieces())))
        torch.testing.assert_close(found, logits_of(as_stock(cut)(pieces())))
    assert count(cut).flops(9) == flops_of(cut)
    assert not objection_to_saving(cut, 2, spans=True)
    cut.save_pretrained(tmp_path)
    loaded = AutoModelForQuestionAnswering.from_pretrained(tmp_path).eval()
    assert type(loaded) is type(cut)
    with torch.no_grad():
        torch.testing.assert_close(logits_of(loaded(pieces())), found)


@every_family
@pytest.mark.parametrize("axis", ["flops", "weights", "bytes"])
def test_what_units_cost_adds_up(family: str, axis: str) -> None:
    model = marker(family)
    dense = count_dense(model)
    costs = unit_costs(model.config, dense, axis, 16)  # type: ignore[arg-type]
    cut = bench.cut(model, HEADS, NEURONS, dimensions=WIDTH)
    found = costs.total(width=len(WIDTH), layers=2, heads=2, neurons=len(NEURONS[0]) + 1)
    left = count_dense(cut)
    if axis == "bytes":
        assert left.bytes <= found <= left.bytes + 512  # of a header that is never longer
    else:
        assert found == (left.weights if axis == "weights" else left.flops(16))


def test_another_head_is_no_way_to_answer() -> None:
    config = tiny_config("bert")
    config.num_labels = 2
    classifier = AutoModelForSequenceClassification.from_config(config)
    assert "marks no spans" in objection_to_saving(classifier, 2, spans=True)
    assert "marks spans" in objection_to_saving(marker("bert"), 2)
    describe_head(config, ("begin", "end"), spans=True)
    assert marks_spans(config)
    describe_head(config, ("a", "b"), spans=False)
    assert not marks_spans(config)


def test_a_saved_one_is_read_and_counted_with_its_own_head(tmp_path: Path) -> None:
    model = marker("bert")
    model.save_pretrained(tmp_path / "spans")
    found, notes = load_classifier(str(tmp_path / "spans"))
    assert not notes
    assert count(found) == count(model)
    model.base_model.save_pretrained(tmp_path / "bare")
    fresh, notes = load_classifier(str(tmp_path / "bare"), like=model)
    assert count(fresh).span_weights == 2 * 24
    assert "no head for spans" in notes[0]


@pytest.mark.parametrize("name", [name for name in ENGINES if "openvino" not in name])
def test_every_engine_answers_as_torch_does(name: str) -> None:
    engine = ENGINES[name]
    if objection := engine.objection():
        pytest.skip(objection)
    timings = measure(marker("bert"), None, [engine], [Load(2, 8, 1)])
    assert all(timing.agrees for timing in timings)


def batch_of(model, rows: int = 3) -> Batch:
    """Rows of which the last is half padding."""
    inputs = inputs_of(model, rows, 10)
    inputs["attention_mask"][-1, 5:] = 0
    labels = torch.tensor([[1, 2], [3, 3], [4, 4]])
    return Batch(inputs=inputs, labels=labels, rows=np.arange(rows))


def test_the_loss_is_the_librarys_own_without_padding() -> None:
    model = marker("bert")
    batch = batch_of(model)
    each = []
    for row, length in enumerate((10, 10, 5)):
        inputs = {name: value[row : row + 1, :length] for name, value in batch.inputs.items()}
        begin, end = batch.labels[row : row + 1].unbind(1)
        each.append(model(**inputs, start_positions=begin, end_positions=end).loss)
    found = bench.task_loss(model, batch)
    torch.testing.assert_close(found, torch.stack(each).mean())


def test_soft_labels_are_the_same_whatever_the_padding() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 2, 6, generator=generator)
    labels = torch.tensor([[1, 2], [0, 0], [3, 5]])
    wider = [torch.nn.functional.pad(one, (0, 4), value=NEVER) for one in (student, teacher)]
    for loss in (
        soft_cross_entropy,
        lambda s, t: distilled_loss(s, t, labels, share=0.7, temperature=3.0),
        lambda s, t: label_loss(s, labels),
    ):
        torch.testing.assert_close(loss(*wider), loss(student, teacher))
    ends = [  # each end of each row by itself
        -(teacher[row, end].softmax(0) * student[row, end].log_softmax(0)).sum()
        for row in range(3)
        for end in range(2)
    ]
    torch.testing.assert_close(soft_cross_entropy(student, teacher), torch.stack(ends).mean())
    whole = distilled_loss(student, teacher, labels, share=1.0, temperature=2.0)
    p, q = ((one / 2).softmax(-1) for one in (teacher, student))
    torch.testing.assert_close(whole, 4 * (p * (p / q).log()).sum(-1).mean())


def test_no_span_is_in_padding() -> None:
    model = marker("bert")
    found = bench.logits(model, batch_of(model))
    assert (found[-1, :, 5:] == NEVER).all()
    assert (found[-1, :, :5] > NEVER).all()


def test_a_width_that_no_stock_model_has_is_refused() -> None:
    with pytest.raises(BenchError, match="no stock configuration"):
        as_stock(bench.cut(marker("bert"), HEADS, NEURONS, dimensions=WIDTH))
