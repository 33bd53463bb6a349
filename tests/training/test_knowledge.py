"""What is left of pre-training: both losses against plain computations, and their charge."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from probes import WORDS, prepare, random_weights, save_encoder
from safetensors.numpy import load_file
from tiny_models import CONFIGS, tiny_config
from torch import nn
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertForMaskedLM,
    PreTrainedModel,
)

from bench.data.probe import UNASKED, Probe, prepare_probe
from bench.data.tasks.demo import demo_encoder_path, probe_text
from bench.models.cut import cut
from bench.models.families import Shape, reshaped, shape_of
from bench.models.footprint import count_dense
from bench.training.knowledge import Losses, floor, measure

every_family = pytest.mark.parametrize("name", CONFIGS)
quickly = pytest.mark.usefixtures("few_steps")


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which it does not matter how well a head is fitted."""
    monkeypatch.setattr("bench.training.knowledge.STEPS", 3)


def classifier(name: str, seed: int) -> PreTrainedModel:
    return random_weights(AutoModelForSequenceClassification.from_config(tiny_config(name)), seed)


def losses_of(model: PreTrainedModel, probe: Probe, encoder: Path) -> Losses:
    losses = measure(model, probe, encoder, "cpu")
    assert losses is not None
    return losses


def plain_loss(model: PreTrainedModel, probe: Probe) -> float:
    """Cross-entropy of a whole masked language model, a passage at a time, without padding."""
    tensors = load_file(probe.folder / "held_out.safetensors")
    bounds = zip(tensors["offsets"][:-1], tensors["offsets"][1:], strict=True)
    total = 0.0
    for begin, end in bounds:
        ids = torch.from_numpy(tensors["pieces"][begin:end])[None]
        targets = torch.from_numpy(tensors["targets"][begin:end])[None]
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        total += nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=UNASKED, reduction="sum"
        ).item()
    return total / int((tensors["targets"] != UNASKED).sum())


# Under the pre-trained head.


@quickly
@every_family
def test_the_loss_is_that_of_the_whole_model_with_the_pretrained_head(
    name: str, tmp_path: Path
) -> None:
    probe, encoder = prepare(tmp_path, name)
    delivered = classifier(name, seed=2)
    language_model = AutoModelForMaskedLM.from_pretrained(encoder).eval()
    own = plain_loss(language_model, probe)
    # The head's matrix is that of the pre-trained embeddings, whatever became of the delivered.
    output = language_model.get_output_embeddings()
    output.weight = nn.Parameter(output.weight.detach().clone())
    language_model.base_model.load_state_dict(delivered.base_model.state_dict(), strict=False)
    expected = plain_loss(language_model, probe)
    assert abs(expected - own) > 1e-3
    assert losses_of(delivered, probe, encoder).plain == pytest.approx(expected, abs=1e-5)


@quickly
@every_family
def test_the_pretrained_encoder_has_the_loss_of_its_language_model(
    name: str, tmp_path: Path
) -> None:
    probe, encoder = prepare(tmp_path, name)
    expected = plain_loss(AutoModelForMaskedLM.from_pretrained(encoder).eval(), probe)
    pretrained = AutoModelForSequenceClassification.from_pretrained(encoder)
    for _ in range(2):  # nothing of the first model stays in the head
        assert losses_of(pretrained, probe, encoder).plain == pytest.approx(expected, abs=1e-5)
        losses_of(classifier(name, seed=3), probe, encoder)


@quickly
def test_padding_and_batches_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    model = classifier("bert", seed=2)
    grouped = losses_of(model, probe, encoder).plain
    monkeypatch.setattr(
        "bench.training.knowledge.EVALUATION_BATCH", 1000
    )  # all padded to the longest
    monkeypatch.setattr("bench.training.knowledge.PLACES", 7)
    assert losses_of(model, probe, encoder).plain == pytest.approx(grouped, abs=1e-5)


@quickly
@every_family
def test_a_cut_model_is_probed_like_one_with_zeros(name: str, tmp_path: Path) -> None:
    from bench.models.families import layers

    probe, encoder = prepare(tmp_path, name)
    model = classifier(name, seed=2)
    smaller = cut(model, [[0, 2], []], [range(10), range(3, 40)])
    first, second = layers(model)
    with torch.no_grad():
        first.attention_output.weight[:, 8:16] = 0
        second.attention_output.weight.zero_()
        first.output.weight[:, 10:] = 0
        second.output.weight[:, :3] = 0
    expected, found = (losses_of(one, probe, encoder) for one in (model, smaller))
    assert found.plain == pytest.approx(expected.plain, abs=1e-5)
    assert found.refitted == pytest.approx(expected.refitted, abs=1e-3)


@quickly
@pytest.mark.parametrize(("layers", "width", "fits"), [(1, 24, True), (2, 12, False)])
def test_a_model_of_another_width_is_measured_by_a_fitted_head_alone(
    layers: int, width: int, fits: bool, tmp_path: Path
) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    config = tiny_config("bert")
    other = reshaped(config, Shape(layers, width, shape_of(config).heads, 20))
    model = AutoModelForSequenceClassification.from_config(other)
    losses = losses_of(model, probe, encoder)
    assert (losses.plain is not None) == fits
    assert np.isfinite(losses.refitted)


def test_a_model_of_another_vocabulary_is_not_measured(tmp_path: Path) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    config = tiny_config("bert")
    config.vocab_size += 1
    model = AutoModelForSequenceClassification.from_config(config)
    assert measure(model, probe, encoder, "cpu") is None


# Under a head that is fitted.


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """Half of the demo's text, of which its encoder knows much."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "text.txt").write_text("\n".join(probe_text(200)), encoding="utf-8")
    encoder = demo_encoder_path()
    probe = prepare_probe(folder / "text.txt", encoder=encoder, cache=folder, length=128)
    assert probe is not None
    return probe


def pretrained() -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_pretrained(demo_encoder_path())


def seen_through(model: PreTrainedModel, matrix: torch.Tensor) -> PreTrainedModel:
    """A model whose hidden states are multiplied by a matrix at the end."""

    def turn(_: Any, __: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state @ matrix
        return output

    model.base_model.register_forward_hook(turn)
    return model


def states_of(model: PreTrainedModel, probe: Probe, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A model's states at masked places, a passage at a time, short ones first; the answers."""
    tensors = load_file(probe.folder / f"{part}.safetensors")
    offsets = tensors["offsets"]
    states, answers = [], []
    for row in np.argsort(np.diff(offsets), kind="stable"):
        ids, targets = (
            torch.from_numpy(tensors[key][offsets[row] : offsets[row + 1]])
            for key in ("pieces", "targets")
        )
        with torch.no_grad():
            states.append(model.base_model(ids[None]).last_hidden_state[0, targets != UNASKED])
        answers.append(targets[targets != UNASKED])
    return torch.cat(states), torch.cat(answers)


def plainly_refitted(model: PreTrainedModel, probe: Probe) -> float:
    """Ridge regression of scikit-learn, then AdamW on a whole masked language model's own head."""
    from sklearn.linear_model import Ridge

    language = BertForMaskedLM.from_pretrained(demo_encoder_path()).eval()
    known, answers = states_of(model.eval(), probe, "fit")
    wanted, _ = states_of(language, probe, "fit")
    x = known.double().numpy()
    ridge = Ridge(alpha=1e-4 * np.square(x - x.mean(0)).sum() / x.shape[1])
    ridge.fit(x, wanted.double().numpy())

    def mapped(states: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(ridge.predict(states.double().numpy())).float()

    known, head = mapped(known), language.cls.predictions
    optimizer = torch.optim.AdamW([*head.transform.parameters(), head.bias], lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 200)
    draw = np.random.default_rng(0)
    order = np.concatenate([draw.permutation(len(known)) for _ in range(50)])
    for step in range(200):
        chosen = order[128 * step : 128 * (step + 1)]
        loss = nn.functional.cross_entropy(head(known[chosen]), answers[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    held, asked = states_of(model, probe, "held_out")
    with torch.no_grad():
        return nn.functional.cross_entropy(head(mapped(held)), asked).item()


def test_a_head_is_fitted_as_a_plain_loop_would(demo: Probe) -> None:
    model = pretrained()
    for parameters in model.base_model.encoder.parameters():
        parameters.data *= 0.5
    expected = plainly_refitted(model, demo)
    assert losses_of(model, demo, demo_encoder_path()).refitted == pytest.approx(expected, abs=2e-3)


def test_fitting_a_head_touches_no_model_and_gives_the_same_twice(demo: Probe) -> None:
    model, encoder = pretrained(), demo_encoder_path()
    before = copy.deepcopy(model.state_dict())
    first = losses_of(model, demo, encoder)
    assert losses_of(model, demo, encoder) == first
    assert losses_of(pretrained(), demo, encoder) == first
    after = model.state_dict()
    assert all(torch.equal(after[key], weights) for key, weights in before.items())


def test_a_turned_output_space_hides_nothing_from_a_fitted_head(demo: Probe) -> None:
    encoder = demo_encoder_path()
    own = losses_of(pretrained(), demo, encoder)
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(64, 64, generator=generator))[0]
    turned = losses_of(seen_through(pretrained(), turn), demo, encoder)
    # A wider space that holds the same: other rows of the matrix, scaled.
    wider = losses_of(seen_through(pretrained(), 3 * torch.eye(64, 80)), demo, encoder)
    assert own.plain is not None
    assert turned.plain is not None
    assert turned.plain > demo.frequencies > own.plain + 2
    assert turned.refitted == pytest.approx(own.refitted, abs=0.02)
    assert wider.refitted == pytest.approx(own.refitted, abs=0.02)
    assert wider.plain is None
    assert own.refitted == pytest.approx(own.plain, abs=0.1)  # fitting does not hurt


def test_the_floor_is_the_fitted_head_without_context_where_that_is_lower(demo: Probe) -> None:
    encoder = demo_encoder_path()
    blind = losses_of(seen_through(pretrained(), torch.zeros(64, 64)), demo, encoder)
    for frequencies in (blind.refitted - 1, blind.refitted + 1):
        probe = dataclasses.replace(demo, frequencies=frequencies)
        lower = min(frequencies, blind.refitted)
        # The places come in another order, which moves the fit a little.
        assert floor(probe, encoder, "cpu") == pytest.approx(lower, abs=0.05)


def test_a_random_encoder_comes_out_at_the_entropy_of_words_in_no_order(tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "encoder", "bert")
    shares = 1 / np.arange(1, len(WORDS) + 1)
    shares /= shares.sum()
    language = BertForMaskedLM.from_pretrained(encoder)  # to know how frequent each word is
    with torch.no_grad():
        language.bert.embeddings.word_embeddings.weight *= 0.1
        language.cls.predictions.bias.fill_(-9)
        language.cls.predictions.bias[-len(WORDS) :] = torch.from_numpy(np.log(shares))
    language.save_pretrained(encoder)
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(WORDS, 30, p=shares)) for _ in range(600)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    probe = prepare_probe(tmp_path / "text.txt", encoder=encoder, cache=tmp_path, length=128)
    assert probe is not None
    entropy = -float((shares * np.log(shares)).sum())
    assert floor(probe, encoder, "cpu") == pytest.approx(entropy, abs=0.05)
    for seed in (2, 3):
        found = losses_of(classifier("bert", seed), probe, encoder)
        assert found.refitted == pytest.approx(entropy, abs=0.05)


# A run.


def test_who_uses_no_reference_is_not_charged_for_the_probes(tmp_path: Path) -> None:
    """The cell that happens to train the reference for the probe: the dense one comes later."""
    from cells import execute

    from bench.data.prepare import load
    from bench.data.prepare import prepare as prepare_task
    from bench.data.task import Source
    from bench.data.tasks.demo import Sentiment
    from bench.models.checkpoint import load_model
    from bench.protocol import Protocol
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import Context

    protocol = Protocol(epochs=1, trials=0, precision="fp32", max_train_samples=160)
    encoder, name = demo_encoder_path(), "demo-sentiment"
    prepared = prepare_task(
        Sentiment(), Source(), name=name, encoder=encoder, cap_at=160, cache=tmp_path
    )
    given: dict[str, Any] = {
        "runs": tmp_path, "protocol": protocol, "encoder": encoder, "weights": "demo",
        "tasks": {name: prepared}, "device": "cpu", "threads": 1,
    }  # fmt: skip
    probe = prepare_probe(None, encoder=encoder, cache=tmp_path, length=128)
    cell = Cell("random-mask", name, "weights", 4.0, 0, "demo-encoder", protocol.hash)
    probed, plain = Context(**given, probe=probe), Context(**given)
    assert probed.bind(cell).id == plain.bind(cell).id
    record = execute(cell, probed)
    assert record.knowledge is not None
    for stage in ("", "_refitted"):  # which are two models, though five steps teach little
        assert record.knowledge[f"finetuned{stage}"] != record.knowledge[f"pretrained{stage}"]
    assert list((tmp_path / "references").iterdir())
    counts = count_dense(load_model(encoder, Sentiment.info.labels, 0.1, fresh_head=True))
    lengths = load(prepared).train.lengths
    assert record.cost["parts"] == {"training": 3 * counts.forward_flops(lengths)}
    assert record.cost["steps"] == 5
    assert record.reference is None
    without = execute(cell, plain)
    assert (without.cost["parts"], without.score) == (record.cost["parts"], record.score)
    assert without.knowledge is None
