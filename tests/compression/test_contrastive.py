"""CAP's loss: against a plain double loop, and its banks against passes of the models."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import bench
from bench import registry
from bench.compression import contrastive
from bench.compression.contrastive import bank_loss
from bench.models.families import FAMILIES
from bench.models.footprint import count_dense
from bench.testing import ROWS, Toy

if TYPE_CHECKING:
    from pathlib import Path

    from bench.runs.cells.cell_run import CellRun


def takers() -> list[str]:
    """Methods that have the parameter."""
    methods = {n: m for n, m in registry.methods.usable().items() if issubclass(m, bench.Method)}
    return [name for name, method in methods.items() if "contrastive" in method.Params.knobs()]


def toy_run(folder: Path, family: str = "bert", kind: str = "classes") -> CellRun:
    method = registry.methods.get("magnitude")
    toy = Toy(folder, method, 4.0, {}, family, epochs=3)
    return toy.run(kind=kind)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1)


def plain(own: list, known: list, labels: list | None, still: list | None = None) -> float:
    """The loss of a bank by loops over rows and candidates; τ 0.1, weights 0.1 and 10.

    `still` are the rows' vectors as candidates, where they differ from those that look for them.
    """
    means: dict[float, list[float]] = {0.1: [], 10.0: []}
    positives = {0.1: 0, 10.0: 0}
    for i, h in enumerate(own):
        # whose vector it is, and the vector; a row is no candidate of itself
        others = [(j, z) for j, z in enumerate(still or own) if j != i]
        others += [(j, z) for j, models in enumerate(known) for z in models]
        scores = [math.exp(sum(a * b for a, b in zip(h, z, strict=True)) / 0.1) for _, z in others]
        log_p = [(j, math.log(x / sum(scores))) for (j, _), x in zip(others, scores, strict=True)]
        found = {0.1: [p for j, p in log_p if j == i]}
        if labels is not None:
            found[10.0] = [p for j, p in log_p if labels[j] == labels[i]]
        for weight, some in found.items():
            means[weight].append(sum(some) / len(some))
            positives[weight] += len(some)
    return -sum(w * sum(some) / positives[w] for w, some in means.items() if some)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("models", [1, 3])
def test_the_loss_of_a_bank_is_what_a_double_loop_gives(models: int, labelled: bool) -> None:
    own, known = unit(4, 6), unit(9, models, 6, seed=1)
    labels = torch.tensor([0, 1, 1, 2, 0, 0, 1, 2, 1]) if labelled else None
    found = bank_loss(own, known, labels)
    wanted = plain(own.tolist(), known.tolist(), labels.tolist() if labelled else None)
    assert found.item() == pytest.approx(wanted, rel=1e-12)


def test_only_who_looks_learns_from_a_pair() -> None:
    """By finite differences of the loops, in which all candidates stand still."""
    own, known, labels = unit(3, 4), unit(5, 2, 4, seed=1), torch.tensor([0, 1, 0, 1, 1])
    own.requires_grad_()
    bank_loss(own, known, labels).backward()
    assert own.grad is not None
    still, step = own.tolist(), 1e-6
    for row, place in itertools.product(range(3), range(4)):
        values = []
        for moved_by in (step, -step):
            moved = own.tolist()
            moved[row][place] += moved_by
            values.append(plain(moved, known.tolist(), labels.tolist(), still))
        slope = (values[0] - values[1]) / (2 * step)
        assert own.grad[row, place].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_banks_hold_what_the_models_make_of_the_training_rows(family: str, tmp_path: Path) -> None:
    """The pooled state of BERT, the first token's last state of others; unit length, no dropout."""
    run = toy_run(tmp_path, family)
    loss = bench.contrastive_loss(run, bench.task_loss)
    for bank, model in zip(loss._teachers, (run.pretrained(), run.finetuned()), strict=True):
        vectors = bank.squeeze(1)
        assert len(vectors) == ROWS
        model.eval()
        for batch in run.sample(model, passes=0, batch_size=7):
            with torch.no_grad():
                seen = model.base_model(**batch.inputs)
            first = seen.pooler_output if family == "bert" else seen.last_hidden_state[:, 0]
            torch.testing.assert_close(vectors[batch.rows], first / first.norm(dim=1, keepdim=True))
    labels = run.data.train.labels
    np.testing.assert_array_equal(loss._labels.numpy(), labels)


def test_a_snapshot_is_taken_where_an_epoch_begins_and_every_pass_is_charged(
    tmp_path: Path,
) -> None:
    run = toy_run(tmp_path)
    loss = bench.contrastive_loss(run, bench.task_loss)
    lengths, counts = run.data.train.lengths, count_dense(run.pretrained())
    one_pass = counts.forward_flops(lengths)
    assert run.flops == {"teacher": 2 * one_pass, "importance": 0}
    states = {}

    class Watch(bench.Callback):
        def after_step(self, training: bench.Training) -> None:
            states[training.step] = {n: t.clone() for n, t in model.state_dict().items()}

    model = run.pretrained()
    run.train(model, loss=loss, params=bench.TrainParams(learning_rate=1e-3), callbacks=[Watch()])
    assert run.flops["importance"] == 2 * one_pass  # three epochs, of which two begin later
    assert run.flops["training"] == 3 * 3 * one_pass
    assert loss._snapshots.shape[1] == 2
    for epoch, vectors in enumerate(loss._snapshots.split(1, dim=1), 1):
        model.load_state_dict(states[epoch * ROWS // 8])
        wanted = contrastive._encode(model, run.sample(model, passes=0))
        torch.testing.assert_close(vectors, wanted)


def test_the_terms_come_beside_the_other_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each bank there is, with the classes of the rows; others are never of the batch itself."""
    run = toy_run(tmp_path)
    loss = bench.contrastive_loss(run, bench.task_loss)
    model = run.pretrained().eval()
    batch = run.sample(model, 8, passes=0)[0]
    asked = []
    monkeypatch.setattr(
        contrastive, "bank_loss", lambda *given: asked.append(given) or bank_loss(*given)
    )
    monkeypatch.setattr(contrastive, "OTHERS", 20)
    without = bench.task_loss(model, batch)
    assert loss(model, batch).item() == pytest.approx(
        (without + sum(bank_loss(*given) for given in asked)).item()
    )
    assert len(asked) == 2
    loss._snapshots = loss._teachers[0].repeat(1, 3, 1)
    loss(model, batch)
    assert [given[1].shape[:2] for given in asked[2:]] == [(28, 1), (28, 1), (14, 3)]
    labels = torch.from_numpy(run.data.train.labels)
    banks = [bank[:, 0] for bank in (*loss._teachers, loss._snapshots)]
    for (_, known, given_labels), bank in zip(asked, [*banks[:2], *banks], strict=True):
        rows = (known[:, 0] @ bank.T).argmax(dim=1)
        assert torch.equal(known[:, -1], bank[rows])
        assert rows[:8].tolist() == batch.rows.tolist()
        assert len(rows.unique()) == len(rows)
        assert torch.equal(given_labels, labels[rows])


@pytest.mark.parametrize("kind", ["regression", "spans"])
def test_numbers_and_spans_have_no_term_of_labels(tmp_path: Path, kind: str) -> None:
    run = toy_run(tmp_path, kind=kind)
    loss = bench.contrastive_loss(run, lambda model, batch: 0 * bench.task_loss(model, batch))
    model = run.pretrained().eval()
    batch = run.sample(model, 8, passes=0)[0]
    found = loss(model, batch)
    alone = bench.Batch(batch.inputs, batch.labels, np.arange(8))
    own = contrastive._encode(model, [alone]).squeeze(1)
    others = [row for row in range(ROWS) if row not in batch.rows]
    order = torch.tensor([*batch.rows, *others])
    wanted = sum(bank_loss(own, bank[order], None) for bank in loss._teachers)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n != "magnitude" else []) for n in takers()],
)
def test_pruners_take_it_by_a_parameter(name: str, tmp_path: Path) -> None:
    states, passes = [], []
    for contrast in (False, True):
        method = registry.methods.get(name)
        toy = Toy(tmp_path / str(contrast), method, 4.0, {"contrastive": contrast}, epochs=1)
        run, model = toy.compress()
        states.append(model.state_dict())
        passes.append(run.flops.get("teacher", 0))
    assert not all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert passes[1] - passes[0] == 2 * count_dense(run.pretrained()).forward_flops(
        run.data.train.lengths
    )
