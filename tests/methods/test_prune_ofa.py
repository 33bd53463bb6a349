"""Prune Once for All: its loss, cuts and rates, the locked mask, and what cells share."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from probes import save_encoder
from safetensors.torch import load_file
from tiny_models import CONFIGS
from transformers import AutoModel, AutoModelForMaskedLM

import bench
from bench import registry
from bench.data.corpus import Corpus
from bench.data.encoded import Encoded
from bench.models.footprint import TRAINED_PASS, count_dense
from bench.models.masked_lm import head_flops
from bench.testing import Toy, toy_config, toy_rows
from bench.training.batches import collate
from bench.training.word_head import load_language_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.compression.callbacks import Training
    from bench.runs.cells.cell_run import CellRun

METHOD = registry.methods.get("prune-ofa")
RATIO = 10.0


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """How well a missing head is fitted does not matter here."""
    monkeypatch.setattr("bench.training.word_head.FRESH_STEPS", 3)


def lent(folder: Path, *, head: bool = True) -> CellRun:
    """A run of a toy whose checkpoint has a head, or none of any kind."""
    run = Toy(folder, METHOD, RATIO, {}).run()
    torch.manual_seed(0)
    build = AutoModelForMaskedLM if head else AutoModel
    build.from_config(toy_config()).save_pretrained(run.context.encoder)
    return run


def with_text(run: CellRun, folder: Path) -> CellRun:
    """The same run with a text of 30 rows."""
    toy_rows(2).select(list(range(30))).save(folder / "rows.parquet")
    corpus = Corpus(name="some.txt", hash="some", path=folder / "rows.parquet", rows=30)
    return dataclasses.replace(run, context=dataclasses.replace(run.context, corpus=corpus))


def zeros(state: dict[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """Where the six matrices of each layer are zero, by their name within the encoder."""
    prefix = f"{model.base_model_prefix}."
    names = [f"{name.removeprefix(prefix)}.weight" for name in bench.prunable(model)]
    return {name: state[name] == 0 for name in names}


# Pre-training.


@pytest.mark.parametrize("name", CONFIGS)
def test_the_loss_is_what_plain_loops_over_whole_models_give(name: str, tmp_path: Path) -> None:
    """½ cross-entropy + ½ · 2² · KL(teacher ‖ student) at temperature 2, a hidden piece each."""
    from bench_methods.prune_ofa import pretraining_loss

    folder = save_encoder(tmp_path, name)

    def load() -> bench.LanguageModel:
        return load_language_model(folder, lambda: Encoded.unlabelled(*[np.zeros(0)] * 2),
                                   dropout=0.0, device="cpu")[0]  # fmt: skip

    student, wholes = load(), [AutoModelForMaskedLM.from_pretrained(folder).eval() for _ in "st"]
    torch.manual_seed(5)
    with torch.no_grad():  # a student that is no longer its teacher
        for parameter in wholes[0].parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    student.encoder.load_state_dict(wholes[0].base_model.state_dict())
    prefix = f"{wholes[0].base_model_prefix}."
    head = {k: v for k, v in wholes[0].state_dict().items() if not k.startswith(prefix)}
    student.head.load_state_dict(head)

    rows = toy_rows(3)
    text = Encoded.unlabelled(rows.pieces % 45 + 5, rows.offsets)
    batch = collate(text, np.arange(20), student.encoder, torch.device("cpu"))
    run: Any = SimpleNamespace(language_teacher=load, seed=7)
    found = pretraining_loss(run, student)(student.encoder, batch).item()

    question = load().ask(batch, torch.Generator().manual_seed(7))
    total, places = 0.0, 0
    for row in range(20):
        one = {name: values[row : row + 1] for name, values in question.inputs.items()}
        with torch.no_grad():
            own, wanted = (whole(**one).logits[0].double().numpy() for whole in wholes)
        for place in np.flatnonzero(question.asked[row].numpy()):
            right = int(batch.inputs["input_ids"][row, place])
            cross = math.log(np.exp(own[place]).sum()) - own[place][right]
            q, p = (np.exp(logits[place] / 2) / np.exp(logits[place] / 2).sum()
                    for logits in (own, wanted))  # fmt: skip
            total += 0.5 * cross + 0.5 * 4 * float((p * np.log(p / q)).sum())
            places += 1
    assert places == len(question.pieces) > 5
    assert found == pytest.approx(total / places, rel=1e-4)


class Watch(bench.Callback):
    """Notes the rate of each step, and what is left of the weights after it."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.left: list[int] = []

    def before_step(self, training: Training) -> None:
        self.rates.append(training.optimizer.param_groups[0]["lr"])

    def after_step(self, training: Training) -> None:
        linears = bench.prunable(training.model).values()
        self.left.append(sum(int(linear.weight.count_nonzero()) for linear in linears))


def test_half_of_the_steps_cut_along_the_cubic_and_the_rate_is_rewound(tmp_path: Path) -> None:
    from bench_methods.prune_ofa import sparse_pretraining

    run, watch, density = with_text(lent(tmp_path), tmp_path), Watch(), 0.1
    general = run.train_general

    def watching(model: Any, *, callbacks: Any, **options: Any) -> None:
        general(model, callbacks=[*callbacks, watch], **options)

    run.train_general = watching  # type: ignore[method-assign]
    state = sparse_pretraining(run, density, 30)
    total = count_dense(run.pretrained()).weights
    assert len(watch.rates) == 120  # 30 passes over 30 rows in batches of 8
    cuts = [math.ceil(1.2 * cut) for cut in range(51)]  # 50 of them in 60 steps
    for step, left in enumerate(watch.left, 1):
        made = sum(cut <= step for cut in cuts[1:]) / 50
        assert left == round((density + (1 - density) * (1 - made) ** 3) * total), step
    peak = run.context.protocol.learning_rate
    for step, rate in enumerate(watch.rates):
        share = 1 - (step - max(cut for cut in cuts if cut <= step)) / 60
        assert rate == pytest.approx(peak * min(share, (step + 1) / 13)), step
    assert not any(name.startswith("cls") for name in state)  # no head is handed on


# The task.


def test_the_mask_that_is_delivered_is_the_one_of_pretraining(tmp_path: Path) -> None:
    run, model = Toy(tmp_path, METHOD, RATIO, {"general_epochs": 5}).compress()
    (folder,) = (run.context.runs / "shared").iterdir()
    sparse = load_file(folder / "tensors.safetensors")
    before, after = zeros(sparse, model), zeros(model.base_model.state_dict(), model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    left = sum(int((~mask).sum()) for mask in after.values())
    assert left == count_dense(model).weights // RATIO
    moved = model.base_model.state_dict()
    assert all(not torch.equal(moved[name], sparse[name]) for name in before)
    for mask in after.values():  # each matrix keeps the same share
        assert (~mask).double().mean().item() == pytest.approx(1 / RATIO, abs=1e-3)


@pytest.mark.parametrize(("share", "teacher"), [(1.0, "finetuned"), (0.25, "finetuned"),
                                                (1.0, "none")])  # fmt: skip
def test_the_tasks_loss_is_the_teachers_as_far_as_it_is_asked(
    share: float, teacher: str, tmp_path: Path
) -> None:
    run, losses = Toy(tmp_path, METHOD, RATIO, {}).run(), []
    run.train = lambda model, *, loss, **_: losses.append(loss)  # type: ignore[method-assign]
    params = METHOD.Params(learning_rate=1e-3, teacher_share=share, teacher=teacher)
    METHOD().compress(run, params)
    model = run.pretrained().eval()
    with torch.no_grad():  # a student that is far from its teacher
        model.classifier.weight.normal_(generator=torch.Generator().manual_seed(1))
    batch = run.sample(model, 8, passes=0)[0]
    found, reference = losses[0](model, batch).item(), run.finetuned()
    with torch.no_grad():
        own = model(**batch.inputs).logits.double().numpy()
        wanted = reference(**batch.inputs).logits.double().numpy()
    expected = 0.0
    for student, dense, label in zip(own, wanted, batch.labels.tolist(), strict=True):
        cross = math.log(np.exp(student).sum()) - student[label]
        q, p = (np.exp(x / 2) / np.exp(x / 2).sum() for x in (student, dense))
        weight = share if teacher == "finetuned" else 0.0
        expected += (1 - weight) * cross + weight * 4 * float((p * np.log(p / q)).sum())
    assert found == pytest.approx(expected / len(own), rel=1e-4)


# What cells share.


def count_asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Counts the pieces that are asked for from now on."""
    ask, places = bench.LanguageModel.ask, []

    def counting(self: Any, batch: Any, draw: Any) -> bench.Question:
        question = ask(self, batch, draw)
        places.append(len(question.pieces))
        return question

    monkeypatch.setattr(bench.LanguageModel, "ask", counting)
    return lambda: sum(places)


def test_two_tasks_make_one_pretraining_and_are_both_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, asked = with_text(lent(tmp_path), tmp_path), count_asked(monkeypatch)
    other = Toy(tmp_path / "other", METHOD, RATIO, {}).run(seed=3, kind="regression")
    tasks = first.context.tasks | other.context.tasks
    context = dataclasses.replace(first.context, tasks=tasks)
    costs, masks = [], []
    for run in (first, other):
        run.context = context
        model = METHOD().compress(run, METHOD.Params(learning_rate=1e-3, general_epochs=2))
        costs.append(dict(run.made_once.values())["general distillation"])
        masks.append(zeros(model.base_model.state_dict(), model))
        assert run.text == "some.txt"
    assert len(list((context.runs / "shared").iterdir())) == 1
    assert all(torch.equal(masks[1][name], mask) for name, mask in masks[0].items())

    # Three passes of the student and one of its teacher over the text, twice; the heads beside it.
    language = first.language_model()
    lengths = np.tile(first.corpus().lengths, 2)
    head = head_flops(language.head, round(0.15 * lengths.sum()))
    forward = count_dense(language.encoder).forward_flops(lengths)
    expected = TRAINED_PASS * (forward + head) + forward + head_flops(language.head, asked())
    assert costs == [expected, expected]


def test_another_target_or_more_passes_are_another_pretraining(tmp_path: Path) -> None:
    toy = Toy(tmp_path, METHOD, RATIO, {})
    context = toy.run().context
    for ratio, epochs in ((4.0, 1), (10.0, 1), (10.0, 2), (10.0, 2)):
        run = toy.run(ratio=ratio)
        run.context = context
        METHOD().compress(run, METHOD.Params(learning_rate=1e-3, general_epochs=epochs))
    assert len(list((context.runs / "shared").iterdir())) == 3


def test_pretraining_does_not_depend_on_who_asks_first(tmp_path: Path) -> None:
    made = []
    for number, (seed, rate) in enumerate(((1, 1e-3), (2, 1e-2))):
        toy = Toy(tmp_path / str(number), METHOD, RATIO, {"learning_rate": rate})
        run, _ = toy.compress(seed=seed)
        (folder,) = (run.context.runs / "shared").iterdir()
        made.append((folder / "tensors.safetensors").read_bytes())
    assert made[0] == made[1]


def test_an_encoder_without_a_head_gets_one_that_is_charged_and_said(tmp_path: Path) -> None:
    costs, lines = [], []
    for head in (True, False):
        folder = tmp_path / str(head)
        run = with_text(lent(folder, head=head), folder)
        said: list[str] = []
        run.log = said.append
        METHOD().compress(run, METHOD.Params(learning_rate=1e-3))
        costs.append(dict(run.made_once.values())["general distillation"])
        lines.append(said)
    assert costs[1] > costs[0]
    assert not lines[0]
    assert lines[1] == ["the encoder has no masked-language-model head: one is fitted on the text"]
