"""EasyAdapt: the head of two domains, what is folded, and whose rows are learnt."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import harness
import numpy as np
import pytest
import torch
from tiny_models import CONFIGS, logits, tiny_classifier
from torch import nn

from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.data.encoded import FOREIGN
from bench.data.prepare import load, prepare
from bench.data.task import Source
from bench.data.tasks.demo import Sentiment, demo_encoder_path
from bench.models.families import family_of
from bench.protocol import Protocol
from bench.registry import task as find_task
from bench.toys import toy_rows
from bench.training import loop
from bench.training.easy_adapt import EasyAdaptHead, adapted

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.encoded import Encoded


def two_domains(rows: Encoded) -> Encoded:
    """The same rows, of which the second half is of another domain."""
    sources = np.arange(len(rows))
    sources[len(rows) // 2 :] = FOREIGN
    return dataclasses.replace(rows, pieces=rows.pieces % 45 + 5, sources=sources)


def test_the_head_is_one_linear_layer_on_three_copies_of_the_state() -> None:
    torch.manual_seed(0)
    head = EasyAdaptHead(nn.Linear(6, 3))
    for part in (head.source, head.target):
        nn.init.normal_(part)
    states, foreign = torch.randn(8, 6), torch.arange(8) % 2
    whole = torch.cat([head.source, head.target, head.weight], dim=1)  # [3, 3 · 6]
    copies = [
        torch.cat([state, 0 * state, state] if other else [0 * state, state, state])
        for state, other in zip(states, foreign, strict=True)
    ]
    wanted = torch.stack(copies) @ whole.T + head.bias
    head.foreign = foreign.float()
    torch.testing.assert_close(head(states), wanted, atol=1e-6, rtol=0)
    head.foreign = None
    torch.testing.assert_close(head(states), head.folded()(states), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_head_folds_back_to_the_encoders_width(name: str) -> None:
    model = tiny_classifier(name)
    rows = two_domains(toy_rows(0))
    before = logits(model)
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    with adapted(model, rows):
        head = model.get_submodule(family_of(model).head[-1])
        assert isinstance(head, EasyAdaptHead)
        torch.testing.assert_close(logits(model), before, atol=1e-6, rtol=0)  # it begins there
        nn.init.normal_(head.target)
        nn.init.normal_(head.source)
        inside = logits(model)
    torch.testing.assert_close(logits(model), inside, atol=1e-6, rtol=0)
    assert not torch.allclose(inside, before)
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == shapes
    assert not model.get_submodule(family_of(model).head[-1]).training


def test_rows_of_each_domain_move_their_own_part_alone() -> None:
    """Where no row is of the other domain, nothing is replaced; gradients go where a says."""
    model, rows = tiny_classifier("bert"), two_domains(toy_rows(0))
    plain = dataclasses.replace(rows, sources=None)
    with adapted(model, plain):
        assert type(model.classifier) is nn.Linear
    with adapted(model, rows) as seen:
        head = model.classifier
        for number, (moved, still) in ((0, ("target", "source")), (-1, ("source", "target"))):
            head.zero_grad()
            with seen(np.array([number % len(rows)])):
                head(torch.ones(1, 24)).sum().backward()
            assert getattr(head, moved).grad.abs().sum() > 0
            assert getattr(head, still).grad.abs().sum() == 0
            assert head.weight.grad.abs().sum() > 0


def test_a_training_leaves_a_plain_model_also_where_it_fails() -> None:
    model, rows = tiny_classifier("bert"), two_domains(toy_rows(0))
    rows = dataclasses.replace(rows, labels=rows.labels % 2)
    protocol = Protocol(epochs=1, trials=0, precision="fp32", batch_size=8)
    how = {"params": TrainParams(), "protocol": protocol, "device": "cpu", "seed": (0,)}
    training = loop.train(model, rows, loss=task_loss, **how)
    assert (training.visits == 1).all()
    assert type(model.classifier) is nn.Linear
    with pytest.raises(ZeroDivisionError):
        loop.train(model, rows, loss=lambda model, batch: 1 / 0, **how)
    assert type(model.classifier) is nn.Linear


# From files to a page.


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty opinions of another domain: other words, the same labels."""
    folder = tmp_path_factory.mktemp("other")
    rows = [f"the weather is {word} {number},{label}" for number in range(20)
            for word, label in (("good", "positive"), ("bad", "negative"))]  # fmt: skip
    for split in ("train", "dev"):
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    labels = ", ".join(f'"{label}"' for label in Sentiment.info.labels or ())
    (folder / "weather.toml").write_text(
        'name = "weather"\ntrain = "train.csv"\ndev = "dev.csv"\ntext = "text"\nlabel = "label"\n'
        f"labels = [{labels}]\n"
    )
    return folder / "weather.toml"


def test_trials_learn_the_other_domain_and_are_scored_on_their_own(
    other: Path, tmp_path: Path
) -> None:
    prepared = prepare(
        Sentiment(), Source(), name="demo-sentiment", encoder=demo_encoder_path(), cap_at=160,
        cache=tmp_path, other=find_task(str(other)),
    )  # fmt: skip
    data = load(prepared)
    assert prepared.train_rows == len(data.train) == 200 and len(data.own) == 160
    assert data.facts["train"] == 160 and data.facts["other_domain"] == {"rows": 40}
    for rows, own in ((data.train, 160), (data.fit, data.facts["fit"])):
        assert rows.foreign is not None
        assert rows.foreign.tolist() == [False] * own + [True] * 40
    assert data.tune.foreign is None and data.report.foreign is None
    assert len(data.for_trials().own) == data.facts["fit"]


def test_every_method_learns_both_and_another_domain_makes_other_cells(
    other: Path, tmp_path: Path
) -> None:
    words = ("--max-train-samples", "160")
    for name, more in (("plain", ()), ("both", ("--adapt-from", other))):
        result = harness.quick(tmp_path / name, *words, *more, methods="magnitude")
        assert result.status == 0, result.err
    plain, both = (harness.outcomes(tmp_path / name) for name in ("plain", "both"))
    assert plain.keys() == both.keys()
    for key, record in both.items():
        assert record["data"]["other_domain"] == {"rows": 40}
        assert record["id"] != plain[key]["id"]
    assert harness.records(tmp_path / "both")["magnitude", 4.0, 0].cost["steps"] == 7  # of 32
    page = (tmp_path / "both" / "demo.md").read_text(encoding="utf-8")
    assert "all training rows of weather, too, by EasyAdapt" in page
    assert "$TASK_DIR/weather.toml" in page


@pytest.mark.parametrize(("wanted", "wrong"), [
    ("demo-sentiment", "it is the task itself"),
    ("demo-similarity", "has other labels"),
    ("demo", "one task"),
    ("wether", "unknown task"),
])  # fmt: skip
def test_what_is_not_possible_is_one_line(wanted: str, wrong: str, tmp_path: Path) -> None:
    result = harness.quick(tmp_path, "--adapt-from", wanted)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert wrong in result.err
