"""What a training's input is perturbed by, against plain loops and closed forms."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch
from tiny_models import CONFIGS, tiny_classifier

from bench.compression.callbacks import Callback, Training
from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.errors import BenchError
from bench.models.families import has_segments
from bench.protocol import Protocol
from bench.toys import SPECIAL, VOCABULARY, toy_rows
from bench.training import loop
from bench.training.perturbation import Perturbation
from bench.training.perturber import Perturber

PROTOCOL = Protocol(epochs=1, trials=0, precision="fp32", batch_size=8)
ORDINARY = torch.arange(5, 50)
"""Of the tiny models: the first five pieces are special."""


def asked(text: str) -> Perturbation:
    found = Perturbation.parse(text)
    assert found is not None
    return found


@pytest.mark.parametrize(("rate", "step", "kept"), [
    (0.1, 0, 1000 / 1001),
    (0.1, 1000, 1000 / (1000 + math.e)),
    (0.1, 5000, 0.9),
    (0.2, 5000, 1000 / (1000 + math.e**5)),
    (0.2, 10**9, 0.8),
])  # fmt: skip
def test_the_schedule_keeps_as_many_as_the_paper_says(rate: float, step: int, kept: float) -> None:
    perturbation = asked(f"replace-uniform={rate}+inverse-sigmoid=1000")
    assert 1 - perturbation.replaced(rate, step) == pytest.approx(kept, rel=1e-12)
    assert asked(f"replace-uniform={rate}").replaced(rate, step) == rate


def test_what_is_asked_for_has_one_spelling() -> None:
    said = " replace-uniform=1e-1, word-dropout=.1+adversarial=1.0"
    assert str(asked(said)) == "word-dropout=0.1+replace-uniform=0.1+adversarial=1"
    assert asked(str(asked(said))) == asked(said)
    assert Perturbation.parse("none") is Perturbation.parse("") is None


@pytest.mark.parametrize(("said", "wrong"), [
    ("dropout=0.1", "unknown perturbation 'dropout'"),
    ("word-dropout", "it takes a positive number"),
    ("word-dropout=nan", "it takes a positive number"),
    ("word-dropout=0", "it takes a positive number"),
    ("word-dropout=1", "below 1"),
    ("adversarial=-1", "it takes a positive number"),
    ("word-dropout=0.1+word-dropout=0.2", "twice"),
    ("replace-uniform=0.6+replace-similar=0.5", "replaced with probability 1.1"),
    ("word-dropout=0.1+inverse-sigmoid=1000", "name replace-uniform"),
    ("word-dropout=0.1+none", "unknown perturbation 'none'"),
])  # fmt: skip
def test_what_is_not_possible_is_refused(said: str, wrong: str) -> None:
    with pytest.raises(BenchError, match=wrong) as caught:
        Perturbation.parse(said)
    assert "\n" not in str(caught.value)


def classifier(family: str = "bert"):
    """A tiny model in training mode, without dropout; rows with special pieces, and padding."""
    model = tiny_classifier(family).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(model.config, name):
            setattr(model.config, name, 0.0)
    for module in model.modules():
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    pieces = torch.randint(5, 50, (3, 9))
    pieces[:, 0], pieces[:, -1], pieces[1, 5:] = 2, 3, 0
    mask = (pieces != 0).long()
    inputs = {"input_ids": pieces, "attention_mask": mask}
    if has_segments(model.config):
        inputs["token_type_ids"] = torch.zeros_like(pieces)
    return model, inputs, torch.tensor([0, 2, 1])


def given_by(model, perturbation: Perturbation, inputs, *, step: int = 0):
    """What the word embeddings give in a step, and the pieces that they were asked for."""
    found = []
    perturber = Perturber(perturbation, ORDINARY)
    training = Training(model, None, 9, step=step)

    def run_pass():
        def keep(_, args, output):
            found.append((args[0].clone(), output.detach().clone()))

        with model.get_input_embeddings().register_forward_hook(keep):
            value = model(**inputs).logits.sum()
        value.backward()
        return value

    perturber.step(training, run_pass)
    return found[0], training


@pytest.mark.parametrize("family", CONFIGS)
def test_dropping_and_replacing_are_what_a_plain_loop_does(family: str) -> None:
    model, inputs, _ = classifier(family)
    pieces, table = inputs["input_ids"], model.get_input_embeddings().weight
    torch.manual_seed(5)
    (replaced, given), _ = given_by(model, asked("word-dropout=0.3+replace-uniform=0.4"), inputs)

    torch.manual_seed(5)
    chance = torch.rand(3, 9)
    wanted = pieces.clone()
    places = [(r, p) for r in range(3) for p in range(9)
              if pieces[r, p] >= 5 and chance[r, p] < 0.4]  # fmt: skip
    numbers = torch.randint(45, (len(places),))
    for (row, place), number in zip(places, numbers, strict=True):
        wanted[row, place] = 5 + number
    assert torch.equal(replaced, wanted)
    assert 0 < (wanted != pieces).sum() < 20
    chance = torch.rand(3, 9)
    for row in range(3):
        for place in range(9):
            dropped = pieces[row, place] >= 5 and chance[row, place] < 0.3
            kept = table[wanted[row, place]] * (0.0 if dropped else 1.0)
            assert torch.equal(given[row, place], kept)


def test_what_is_similar_is_drawn_by_the_softmax_of_products() -> None:
    model, *_ = classifier()
    table, pieces = model.get_input_embeddings().weight.detach(), torch.full((400, 30), 7)
    torch.manual_seed(1)
    inputs = {"input_ids": pieces, "attention_mask": torch.ones_like(pieces)}
    (found, _), training = given_by(model, asked("replace-similar=0.999999"), inputs)
    logits = [sum(float(a) * float(b) for a, b in zip(table[7], other, strict=True))
              for other in table]  # fmt: skip
    total = sum(math.exp(logit) for logit in logits[5:])
    counts = torch.bincount(found.flatten(), minlength=50).tolist()
    assert sum(counts[:5]) == 0
    shares = [math.exp(logit) / total for logit in logits[5:]]
    assert 0.1 < max(shares) < 0.9
    for count, share in zip(counts[5:], shares, strict=True):
        assert abs(count - 12000 * share) <= 4 * math.sqrt(12000 * share * (1 - share)) + 1
    assert training.drawn_flops == 2 * 12000 * 50 * table.shape[1]


def test_a_piece_is_replaced_in_one_way_at_most_and_as_often_as_said() -> None:
    model, *_ = classifier()
    torch.manual_seed(2)
    pieces = torch.full((500, 30), 7)
    inputs = {"input_ids": pieces, "attention_mask": torch.ones_like(pieces)}
    with torch.no_grad():
        model.get_input_embeddings().weight[7] = 30.0
        model.get_input_embeddings().weight[8] = 40.0  # so that what is similar to 7 is 8
    (found, _), _ = given_by(model, asked("replace-uniform=0.2+replace-similar=0.3"), inputs)
    share = (found == 8).double().mean()
    assert share == pytest.approx(0.3 + 0.2 / 45, abs=0.015)
    assert (found == 7).double().mean() == pytest.approx(0.5 + 0.2 / 45, abs=0.015)
    late = asked("replace-uniform=0.2+inverse-sigmoid=10")
    (found, _), _ = given_by(model, late, inputs, step=10)
    wanted = math.e / (10 + math.e) * 44 / 45
    assert (found != 7).double().mean() == pytest.approx(min(0.2, wanted), abs=0.015)


@pytest.mark.parametrize("family", CONFIGS)
def test_an_adversarial_step_is_that_of_plain_gradients(family: str) -> None:
    """Against autograd on the embeddings themselves: L(e) + L(e + ε g / ‖g‖), g of each row."""
    model, inputs, labels = classifier(family)
    twin, epsilon = copy.deepcopy(model), 0.7

    def run_pass():
        value = torch.nn.functional.cross_entropy(model(**inputs).logits, labels)
        value.backward()
        return value

    training = Training(model, None, 9)
    value = Perturber(asked(f"adversarial={epsilon}"), ORDINARY).step(training, run_pass)

    class Fixed(torch.nn.Module):
        """Gives embeddings that were looked up before."""

        def __init__(self, weight, added):
            super().__init__()
            self.weight, self.added = weight, added

        def forward(self, pieces):
            return torch.nn.functional.embedding(pieces, self.weight) + self.added

    def loss_at(added):
        twin.set_input_embeddings(Fixed(table, added))
        return torch.nn.functional.cross_entropy(twin(**inputs).logits, labels)

    table = twin.get_input_embeddings().weight
    added = torch.zeros(3, 9, table.shape[1], requires_grad=True)
    (gradient,) = torch.autograd.grad(loss_at(added), added)
    moved = torch.zeros_like(gradient)
    for row in range(3):
        may = [place for place in range(9) if inputs["input_ids"][row, place] >= 5]
        norm = math.sqrt(sum(float((gradient[row, place] ** 2).sum()) for place in may))
        for place in may:
            moved[row, place] = epsilon * gradient[row, place] / norm
    first, second = loss_at(torch.zeros_like(moved)), loss_at(moved)
    assert second > first + 0.01
    assert value.item() == pytest.approx(first.item(), rel=1e-5)
    names = [name for name, p in model.named_parameters() if "word_embeddings" not in name]
    theirs = dict(twin.named_parameters())
    parameters = [theirs[name] for name in names]
    wanted = torch.autograd.grad(first + second, [*parameters, table], allow_unused=True)
    ours = [model.get_parameter(name).grad for name in names]
    for mine, other in zip([*ours, model.get_input_embeddings().weight.grad], wanted, strict=True):
        if other is not None:
            torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
    assert (training.passes, training.cost(10)) == (2, 60)


def test_both_passes_of_an_adversarial_step_draw_the_same() -> None:
    """A step of next to no length has twice the gradient, with all kinds of noise."""
    model, inputs, labels = classifier()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5

    def run_pass():
        value = torch.nn.functional.cross_entropy(model(**inputs).logits, labels)
        value.backward()
        return value

    gradients = []
    for said in ("", "+adversarial=1e-9"):
        torch.manual_seed(3)
        perturbation = asked(f"word-dropout=0.2+replace-uniform=0.2+replace-similar=0.2{said}")
        model.zero_grad()
        Perturber(perturbation, ORDINARY).step(Training(model, None, 9), run_pass)
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for one, both in zip(*gradients, strict=True):
        torch.testing.assert_close(2 * one, both, rtol=1e-4, atol=1e-6)


def train(model, said: str, **changes):
    ordinary = torch.arange(len(SPECIAL), VOCABULARY)
    perturber = Perturber(asked(said), ordinary) if said else None
    settings = {"loss": task_loss, "params": TrainParams(), "protocol": PROTOCOL, "device": "cpu",
                "seed": (3, 1), "perturber": perturber} | changes  # fmt: skip
    return loop.train(model, toy_rows(0), **settings)


ALL = "word-dropout=0.1+replace-uniform=0.1+replace-similar=0.1+adversarial=0.5+inverse-sigmoid=3"


def test_the_same_seed_gives_the_same_and_an_interruption_changes_nothing(model) -> None:
    class Stop(Callback):
        def after_step(self, training: Training) -> None:
            if training.step == 3:
                raise KeyboardInterrupt

    whole, stopped, again, plain = (copy.deepcopy(model) for _ in range(4))
    train(whole, ALL)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, ALL, callbacks=[Stop()])
    embeddings = stopped.get_input_embeddings()
    assert not embeddings._forward_hooks and not embeddings._forward_pre_hooks
    torch.rand(5)
    train(again, ALL)
    train(plain, "")
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (whole, again, plain)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("said", [ALL, "word-dropout=0.5", "replace-uniform=0.5"])
def test_only_the_loss_and_only_in_training_sees_what_is_perturbed(model, said: str) -> None:
    """A teacher, a callback between steps, and a pass in eval mode inside the loss see the rows."""
    teacher = copy.deepcopy(model).eval()
    rows = toy_rows(0)

    def loss(student, batch):
        with torch.no_grad():
            clean = teacher(**batch.inputs).logits
            student.eval()
            twice = [student(**batch.inputs).logits for _ in range(2)]
            student.train()
        assert torch.equal(*twice)
        seen.append((batch.rows.tolist(), clean))
        pieces = [rows.pieces[rows.offsets[r] : rows.offsets[r + 1]] for r in batch.rows]
        for row, own in zip(batch.inputs["input_ids"], pieces, strict=True):
            assert row[: len(own)].tolist() == own.tolist()
        return task_loss(student, batch)

    seen: list = []
    training = train(model, said, loss=loss)
    assert len(seen) == training.step * training.passes
    plain: list = []
    seen, plain = plain, seen
    train(copy.deepcopy(model), "", loss=loss)
    by_row = {tuple(numbers): clean for numbers, clean in plain}
    assert all(torch.equal(clean, by_row[tuple(numbers)]) for numbers, clean in seen)


def test_a_frozen_table_of_embeddings_can_be_moved_too(model) -> None:
    model.get_input_embeddings().weight.requires_grad_(False)
    before = model.get_input_embeddings().weight.clone()
    training = train(model, "adversarial=0.5")
    assert training.passes == 2
    assert torch.equal(before, model.get_input_embeddings().weight)


def test_a_hash_says_what_was_perturbed_and_old_ones_stay() -> None:
    plain = Protocol(epochs=3, trials=0, precision="fp32")
    other = plain.under({"perturb": "word-dropout=0.1"})
    assert other == dataclasses.replace(plain, perturb="word-dropout=0.1")
    assert other.hash != plain.hash
    assert other.under({"perturb": "none"}) == plain.under({}) == plain
    assert plain.hash == "566d599428b1"
