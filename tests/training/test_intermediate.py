"""An encoder after an intermediate task: its losses, what is saved, what it costs, made once."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from made_once import check_made_once
from probes import save_encoder
from safetensors.torch import load_file
from tiny_models import CONFIGS

from bench.data.endings import ENDINGS
from bench.models.checkpoint import load_model
from bench.models.footprint import TRAINED_PASS, count_dense
from bench.models.masked_lm import load_head
from bench.protocol import Protocol
from bench.toys import TOYS, ToyKind, toy_rows
from bench.training import intermediate
from bench.training.batches import collate
from bench.training.intermediate import (
    Lesson,
    Start,
    choice_loss,
    lesson_of_endings,
    lesson_of_task,
    obtain_start,
)

if TYPE_CHECKING:
    from bench.data.encoded import Encoded

PROTOCOL = Protocol(epochs=2, trials=4, precision="fp32", batch_size=16, learning_rate=1e-2)


def known(rows: Encoded) -> Encoded:
    """Rows of pieces that the tiny encoders know."""
    return dataclasses.replace(rows, pieces=rows.pieces % 45 + 5)


def endings(prompts: int = 12) -> Encoded:
    """Four rows a prompt, the real one first."""
    rows = known(toy_rows(3)).select(list(range(ENDINGS * prompts)))
    return dataclasses.replace(rows, labels=np.tile([1, 0, 0, 0], prompts))


def task_lesson(kind: ToyKind = "classes") -> Lesson:
    rows = known(toy_rows(1, kind))
    return lesson_of_task(TOYS[kind](), rows.select(list(range(40))), rows.select([41, 42, 43, 44]))


def learn(
    runs: Path, encoder: Path, lesson: Lesson, protocol: Protocol = PROTOCOL, **how: Any
) -> Start:
    said = {"identity": {"name": "toy", "rows": "r"}, "device": "cpu",
            "progress": lambda step, total: None}  # fmt: skip
    return obtain_start(runs, lambda: lesson, encoder=encoder, protocol=protocol, **said | how)


def test_the_choice_is_of_the_real_ending_among_all_of_its_prompt(tmp_path: Path) -> None:
    rows = endings()
    model = load_model(save_encoder(tmp_path, "bert"), None, 0.0, fresh_head=True)
    firsts = np.array([8, 0, 20])
    batch = collate(rows, firsts, model, torch.device("cpu"))
    with torch.no_grad():
        found = choice_loss(rows)(model, batch).item()
        losses = []
        for first in firsts:
            scores = []
            for row in range(first, first + ENDINGS):
                pieces = rows.pieces[rows.offsets[row] : rows.offsets[row + 1]].tolist()
                scores.append(model(input_ids=torch.tensor([pieces])).logits.item())
            whole = sum(math.exp(score) for score in scores)
            losses.append(-math.log(math.exp(scores[0]) / whole))
    assert found == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_rows_of_a_synthetic_task_are_cut_by_prompts() -> None:
    rows = endings(12)
    choice = lesson_of_endings(rows, 5, "text", binary=False)
    assert len(choice.rows) == ENDINGS * 11 and choice.each == ENDINGS and choice.labels is None
    assert choice.rows.ids == rows.ids[ENDINGS:]
    binary = lesson_of_endings(rows, 5, "text", binary=True)
    assert binary.rows.ids == [rows.ids[n] for n in range(ENDINGS, len(rows)) if n % ENDINGS < 2]
    assert binary.rows.labels.tolist() == [1, 0] * 11 and binary.labels == ("fake", "real")
    assert choice.facts == {"rows": 44, "held_out": 4, "endings": "text", "metric": "accuracy"}


@pytest.mark.parametrize("binary", [False, True])
def test_the_score_is_the_share_of_held_out_prompts(
    binary: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of 10 prompts: the first row is ahead in 7; of two rows each, 13 of 20 are called right."""
    lesson = lesson_of_endings(endings(12), 0, "text", binary=binary)
    monkeypatch.setattr(intermediate, "HELD_OUT", 10 / 12)
    lesson = lesson_of_endings(endings(12), 0, "text", binary=binary)
    ahead = [1.0, 0.0, 0.5, 0.2] * 7 + [0.0, 1.0, 0.5, 0.2] * 3
    calls = [[0.0, 1.0], [1.0, 0.0]] * 6 + [[0.0, 1.0], [0.0, 1.0]] + [[1.0, 0.0], [0.0, 1.0]] * 3
    said = np.array(calls if binary else [[figure] for figure in ahead])
    monkeypatch.setattr(intermediate, "predict", lambda model, rows, device: said)
    model = load_model(save_encoder(tmp_path, "bert"), None, 0.0, fresh_head=True)
    assert lesson.score(model) == pytest.approx(65.0 if binary else 70.0)


def test_a_training_starts_from_all_but_the_head(tmp_path: Path) -> None:
    """The language model's head is the checkpoint's own; what answered the task is gone."""
    for family in CONFIGS:
        encoder = save_encoder(tmp_path / family, family)
        folder = learn(tmp_path / "runs" / family, encoder, task_lesson()).folder
        before, after = (load_file(one / "model.safetensors") for one in (encoder, folder))
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        layers = {name for name in before if ".layer." in name}
        heads = {name for name in before if "cls." in name or "lm_head." in name or "vocab_" in name
                 or "generator_" in name}  # fmt: skip
        assert heads and layers <= moved and not heads & moved
        assert not any("classifier" in name for name in after)
        assert {name for name in after if name not in before} <= {
            "bert.pooler.dense.weight", "bert.pooler.dense.bias"
        }  # fmt: skip
        load_head.cache_clear()
        load_head(folder)
        model = load_model(folder, ("a", "b", "c"), 0.1, fresh_head=True)
        state = model.base_model.state_dict()
        for name, tensor in state.items():
            assert torch.equal(tensor, after[f"{model.base_model_prefix}.{name}"])


def test_without_a_language_models_head_and_of_spans(tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "bare", "bert", head=False)
    folder = learn(tmp_path / "runs", encoder, task_lesson("spans")).folder
    before, after = (load_file(one / "model.safetensors") for one in (encoder, folder))
    assert before.keys() == after.keys()
    pooler = [name for name in before if "pooler" in name]  # which no span has asked
    assert pooler and all(torch.equal(before[name], after[name]) for name in pooler)
    assert not torch.equal(*(s["encoder.layer.0.output.dense.weight"] for s in (before, after)))


@pytest.mark.parametrize("kind", ["task", "choice"])
def test_the_cost_is_that_of_the_rows_that_were_visited(kind: str, tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "bert", "bert")
    if kind == "task":
        lesson = task_lesson()
    else:
        lesson = lesson_of_endings(endings(11), 1234, "text", binary=False)
    found = learn(tmp_path / "runs", encoder, lesson)
    model = load_model(encoder, lesson.labels, 0.1, fresh_head=True)
    once = count_dense(model).forward_flops(lesson.rows.lengths)
    assert found.train_flops == lesson.flops + TRAINED_PASS * PROTOCOL.epochs * once
    assert found.facts["name"] == "toy" and 0 <= found.facts["score"] <= 100


def test_it_is_made_once_by_two_at_the_same_time_and_again_where_it_is_damaged(
    tmp_path: Path,
) -> None:
    encoder, runs = save_encoder(tmp_path / "bert", "bert"), tmp_path / "runs"
    made: list[int] = []

    def lesson() -> Lesson:
        made.append(1)
        return task_lesson()

    def ask() -> Start:
        return obtain_start(
            runs, lesson, encoder=encoder, identity={"name": "toy", "rows": "r"}, protocol=PROTOCOL,
            device="cpu", progress=lambda step, total: None,
        )  # fmt: skip

    check_made_once(ask, made)


@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_half_way_leaves_nothing_that_is_taken_for_whole(step: int, tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "bert", "bert")
    lesson = lesson_of_endings(endings(), 0, "text", binary=False)
    whole = learn(tmp_path / "whole", encoder, lesson)

    def killed(at: int, _: int) -> None:
        if at == step:
            raise KeyboardInterrupt

    torch.manual_seed(5)  # what a process has drawn before makes no difference
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "runs", encoder, lesson, progress=killed)
    assert not list((tmp_path / "runs" / "intermediates").glob("*/*"))
    again = learn(tmp_path / "runs", encoder, lesson)
    names = ["model.safetensors", "config.json"]
    assert all((whole.folder / n).read_bytes() == (again.folder / n).read_bytes() for n in names)


def test_what_a_training_does_not_depend_on_makes_no_other_encoder(tmp_path: Path) -> None:
    encoder, runs = save_encoder(tmp_path / "bert", "bert"), tmp_path / "runs"
    lesson = task_lesson()
    same = [
        PROTOCOL,
        dataclasses.replace(PROTOCOL, perturb="word-dropout=0.1", trials=0),
        dataclasses.replace(PROTOCOL, intermediate="toy", corpus="c", generator="g"),
        dataclasses.replace(PROTOCOL, train_with="round-1"),
    ]
    assert len({learn(runs, encoder, lesson, one).key for one in same}) == 1
    keys = [
        learn(runs, encoder, lesson).key,
        learn(runs, encoder, lesson, dataclasses.replace(PROTOCOL, epochs=1)).key,
        learn(runs, encoder, lesson, identity={"name": "toy", "rows": "other"}).key,
        learn(runs, encoder, lesson, identity={"name": "other", "rows": "r"}).key,
    ]
    assert len(set(keys)) == 4
    said = json.loads(next(runs.glob("intermediates/*/intermediate.json")).read_text())
    assert said["facts"]["rows"] == 40 and said["facts"]["held_out"] == 4


def test_without_rows_to_ask_there_is_no_score(tmp_path: Path) -> None:
    rows = known(toy_rows(1))
    lesson = lesson_of_task(TOYS["classes"](), rows, rows.select([]))
    assert learn(tmp_path, save_encoder(tmp_path / "bert", "bert"), lesson).facts["score"] is None
