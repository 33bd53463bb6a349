"""Kept answers against those of the living teacher."""

from __future__ import annotations

import dataclasses
import errno
import gc
import os
import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.stats
import torch
from cells import execute
from harness import quick, records
from safetensors.numpy import load_file
from squad_files import write_squad

from bench import registry
from bench.compression.distillation import answer, compute_insides, look_inside
from bench.compression.losses import logits
from bench.compression.params import TrainParams
from bench.compression.target import Target
from bench.data.prepare import load, prepare
from bench.data.task import Source
from bench.data.tasks.demo import demo_encoder_path
from bench.protocol import Protocol
from bench.runs.cells.cell import Cell
from bench.runs.cells.cell_run import CellRun
from bench.runs.cells.context import Context
from bench.training.batches import batches, collate
from bench.training.loop import autocast
from bench.training.teacher_cache import KeptAnswers

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL = Protocol(epochs=2, trials=0, precision="fp32", max_train_samples=160)
TASK = "demo-paraphrase"


def context(runs: Path, gigabytes: float) -> Context:
    prepared = prepare(registry.task(TASK), Source(), name=TASK, encoder=demo_encoder_path(),
                       cap_at=160, cache=runs / "data")  # fmt: skip
    return Context(runs=runs, protocol=PROTOCOL, encoder=demo_encoder_path(), weights="demo",
                   tasks={TASK: prepared}, device="cpu", threads=1,
                   teacher_cache_gb=gigabytes)  # fmt: skip


def lent(context: Context, seed: int = 0) -> CellRun:
    return CellRun(context, "probe", registry.task(TASK), Target("weights", 4), seed,
                   load(context.tasks[TASK]), TrainParams(learning_rate=1e-3),
                   lambda line: None, lambda step, total: None)  # fmt: skip


def files(runs: Path) -> list[str]:
    return sorted(path.name for path in runs.glob("references/*/answers/*.safetensors"))


def test_a_teacher_goes_with_its_cell(tmp_path: Path) -> None:
    """At once: cycles wait for a collection that may never come, a model each."""
    run = lent(context(tmp_path, 1.0))
    teacher, data = run.teacher(), run.data.train
    answer(teacher, collate(data, np.arange(4), teacher, torch.device("cpu")))
    left = weakref.ref(teacher)
    gc.disable()
    try:
        del teacher, run
        assert left() is None
    finally:
        gc.enable()


def test_answers_are_computed_in_the_protocols_precision_whoever_asks_first(
    tmp_path: Path,
) -> None:
    kept = []
    for number, inside in enumerate((True, False)):
        lender = context(tmp_path / str(number), 1.0)
        run = lent(dataclasses.replace(lender, protocol=dataclasses.replace(
            PROTOCOL, precision="bf16")))  # fmt: skip
        teacher = run.teacher()
        batch = collate(run.data.train, np.arange(4), teacher, torch.device("cpu"))
        with autocast(teacher.device, "bf16" if inside else "fp32"):
            kept.append(answer(teacher, batch))
    assert torch.equal(*kept)


def test_kept_answers_are_those_of_the_teacher(tmp_path: Path) -> None:
    run = lent(context(tmp_path, 1.0))
    teacher, data = run.teacher(), run.data.train
    for rows in batches(data.lengths, 32, np.random.default_rng(0)):
        batch = collate(data, rows, teacher, torch.device("cpu"))
        kept, live = look_inside(teacher, batch), compute_insides(teacher, batch)
        plain = teacher(**batch.inputs).logits
        real = batch.inputs["attention_mask"].bool()
        pairs = (real[:, None, :, None] & real[:, None, None, :]).expand_as(live.scores[0])
        for one, other, where in (
            *((k, a, real) for k, a in zip(kept.hidden, live.hidden, strict=True)),
            *((k, a, pairs) for k, a in zip(kept.scores, live.scores, strict=True)),
            (kept.logits, live.logits, slice(None)),
            (answer(teacher, batch), plain, slice(None)),
        ):
            torch.testing.assert_close(one[where], other[where], rtol=0, atol=1e-5)
        assert not kept.hidden[0][~real].any()
    assert files(tmp_path) == ["insides.safetensors", "logits.safetensors"]
    path = next(tmp_path.glob("references/*/answers/insides.safetensors"))
    tokens = int(data.lengths.sum())
    states = teacher.config.num_hidden_layers + 1
    assert load_file(path)["hidden"].size == tokens * states * teacher.config.hidden_size


def test_a_batch_of_other_rows_is_answered_by_the_teacher_itself(tmp_path: Path) -> None:
    run = lent(context(tmp_path, 1.0))
    teacher, data = run.teacher(), run.data.train
    batch = collate(data, np.arange(4), teacher, torch.device("cpu"))
    other = dataclasses.replace(batch, rows=np.array([5, 6, 7, 8]))
    torch.testing.assert_close(answer(teacher, other), answer(teacher, batch))
    beyond = dataclasses.replace(batch, rows=np.arange(4) + len(data))
    torch.testing.assert_close(look_inside(teacher, beyond).logits, answer(teacher, batch))


def test_a_cell_is_charged_the_same_and_comes_out_the_same(tmp_path: Path) -> None:
    cell = Cell("knowledge-aware", TASK, "weights", 4.0, 0, "demo-encoder", PROTOCOL.hash)
    live = execute(cell, context(tmp_path / "live", 0.0))
    first = execute(cell, context(tmp_path / "kept", 1.0))
    again = execute(cell, context(tmp_path / "kept", 1.0))
    small = execute(cell, context(tmp_path / "small", 1e-6))
    assert live.status == "ok", live.error
    assert first.cost["parts"] == live.cost["parts"]
    assert first.score == pytest.approx(live.score, abs=5)
    assert (again.score, again.cost["parts"]) == (first.score, first.cost["parts"])
    assert (small.score, files(tmp_path / "small")) == (live.score, [])


def test_the_answers_that_were_not_used_for_longest_make_room(tmp_path: Path) -> None:
    def ask(seed: int, gigabytes: float) -> Path:
        run = lent(context(tmp_path, gigabytes), seed)
        teacher = run.teacher()
        look_inside(teacher, collate(run.data.train, np.arange(3), teacher, torch.device("cpu")))
        assert run.reference is not None
        return run.reference.folder / "answers" / "insides.safetensors"

    first = ask(0, 1.0)
    (first.parent / ".insides.safetensors.killed").write_text("half of it")
    room = 2.5 * first.stat().st_size / 1e9
    second = ask(1, room)
    assert first.exists()
    assert files(tmp_path) == ["insides.safetensors"] * 2  # what a kill had left is gone
    ask(0, room)
    third = ask(2, room)
    assert (first.exists(), second.exists(), third.exists()) == (True, False, True)


def test_a_full_disk_costs_the_answers_and_not_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: KeptAnswers, file: str, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cell = Cell("knowledge-aware", TASK, "weights", 4.0, 0, "demo-encoder", PROTOCOL.hash)
    live = execute(cell, context(tmp_path / "live", 0.0))
    monkeypatch.setattr(KeptAnswers, "_write", write)
    full = execute(cell, context(tmp_path / "full", 1.0))
    assert (full.status, full.score, full.cost["parts"]) == ("ok", live.score, live.cost["parts"])
    assert not list(tmp_path.glob("full/references/*/answers/*"))
    assert "No space left" in (tmp_path / "full" / full.id / "log.txt").read_text()


@pytest.mark.slow
def test_over_five_seeds_the_scores_are_not_other_ones(tmp_path: Path) -> None:
    for gigabytes in ("0", "1"):
        result = quick(tmp_path / gigabytes, "--seeds", "5", "--teacher-cache-gb", gigabytes,
                       methods="knowledge-aware,movement")  # fmt: skip
        assert result.status == 0, result.err
    live, kept = (records(tmp_path / gigabytes) for gigabytes in ("0", "1"))
    # Two files of each seed's reference, and two of the one that the trials learn from.
    assert (files(tmp_path / "0"), len(files(tmp_path / "1"))) == ([], 12)
    for method in ("dense", "knowledge-aware", "movement"):
        pairs = [(live[key].score, kept[key].score) for key in live if key[0] == method]
        apart = np.array([one - other for one, other in pairs])
        assert len(apart) == 5
        assert not apart.any() or scipy.stats.ttest_1samp(apart, 0).pvalue > 0.01
    assert all(live[key].score == kept[key].score for key in live if key[0] == "dense")


def test_a_run_folder_keeps_its_setting(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert quick(runs, "--teacher-cache-gb", "0", methods="majority").status == 0
    other = quick(runs, "--teacher-cache-gb", "2", methods="majority")
    assert (other.status, "have --teacher-cache-gb 0" in other.err) == (2, True)
    ruled = quick(runs, methods="majority")
    assert (ruled.status, "no teacher cache, and so have these" in ruled.out) == (0, True)
    assert {r.environment["teacher_cache_gb"] for r in records(runs).values()} == {0.0}
    assert quick(tmp_path / "bad", "--teacher-cache-gb", "-1").status == 2


def test_answers_of_a_teacher_that_marks_spans_are_kept(tmp_path: Path) -> None:
    """As long as each row is, and nowhere in padding."""
    task = registry.task("squad2")
    source = Source(data_dir=write_squad(tmp_path / "data", 6, 1, length=5))
    prepared = prepare(task, source, name="squad2", encoder=demo_encoder_path(), cap_at=None,
                       cache=tmp_path / "runs" / "data", length=24)  # fmt: skip
    known = dataclasses.replace(context(tmp_path / "runs", 1.0), tasks={"squad2": prepared})
    run = CellRun(known, "probe", task, Target("weights", 4), 0, load(prepared),
                  TrainParams(learning_rate=1e-3), lambda line: None,
                  lambda step, total: None)  # fmt: skip
    teacher, data = run.teacher(), run.data.train
    assert len(set(data.lengths.tolist())) > 1
    for rows in batches(data.lengths, 8, np.random.default_rng(0)):
        batch = collate(data, rows, teacher, torch.device("cpu"))
        with torch.no_grad():
            living = compute_insides(teacher, batch)
            plain = logits(teacher, batch)
        torch.testing.assert_close(answer(teacher, batch), plain)
        torch.testing.assert_close(look_inside(teacher, batch).logits, living.logits)
    assert files(tmp_path / "runs") == ["insides.safetensors", "logits.safetensors"]
