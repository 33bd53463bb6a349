"""Measured speed: what is run, against what it is checked, and where it ends up."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from harness import bench, quick, records, start
from tiny_models import tiny_classifier

from bench import engines
from bench.engines import ENGINES, Engine, Load, find_engines
from bench.errors import BenchError
from bench.families import prunable
from bench.latency import measure, without_zeros


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.latency.ROUNDS", 3)
    monkeypatch.setattr("bench.latency.SECONDS_A_ROUND", 0.002)


def sleeper(name: str, seconds: float, wrong: float = 0.0, **facts: bool) -> Engine:
    """An engine that takes so long, and whose answer is off by so much."""

    def make(subject, load):
        def answer(inputs):
            time.sleep(seconds)
            return subject.model(**inputs).logits + wrong

        return answer

    return Engine(name=name, summary="", make=make, package="torch", **facts)


def test_the_gain_is_over_the_fastest_dense_engine() -> None:
    model = tiny_classifier("bert")
    timings = measure(model, None, [sleeper("slow", 0.04), sleeper("fast", 0.01)], [Load(2, 8, 1)])
    found = {(t.model, t.engine): t for t in timings}
    assert set(found) == {(m, e) for m in ("given", "dense") for e in ("slow", "fast")}
    fast = found["dense", "fast"].median_ms
    assert fast < found["dense", "slow"].median_ms
    for timing in timings:
        assert timing.gain == pytest.approx(fast / timing.median_ms)
        first, third = timing.quartiles_ms
        assert first <= timing.median_ms <= third
        assert (timing.batch, timing.seq_len, timing.agrees) == (2, 8, True)
        assert timing.calls >= 3


def test_an_answer_that_differs_is_told() -> None:
    model = tiny_classifier("bert")
    scale = 1.0
    wrong = [
        sleeper("near", 0.0, wrong=5e-4 * scale),
        sleeper("far", 0.0, wrong=0.5),
        sleeper("rounded", 0.0, wrong=0.03, bf16=True),
    ]
    found = {t.engine: t.agrees for t in measure(model, None, wrong, [Load(1, 8, 1)])}
    assert found == {"near": True, "far": False, "rounded": True}


def test_the_dense_model_has_no_zeros_and_else_the_same_weights() -> None:
    model = tiny_classifier("bert")
    with torch.no_grad():
        for matrix in prunable(model).values():
            matrix.weight[:, ::2] = 0
    dense = without_zeros(model)
    for name, matrix in prunable(dense).items():
        own = prunable(model)[name].weight
        assert (matrix.weight != 0).all()
        assert torch.equal(matrix.weight[own != 0], own[own != 0])


def test_an_engine_that_is_not_installed_is_named_with_its_install_line(monkeypatch) -> None:
    find_spec = engines.importlib.util.find_spec
    monkeypatch.setattr(
        engines.importlib.util, "find_spec", lambda n: None if n == "openvino" else find_spec(n)
    )
    with pytest.raises(BenchError, match=r"openvino not installed: pip install 'prunebench\[eng"):
        find_engines(["torch", "openvino"])
    able, notes = find_engines()
    assert "torch" in [engine.name for engine in able]
    assert any(note.startswith("without openvino: openvino not installed") for note in notes)
    with pytest.raises(BenchError, match="Did you mean 'torch-csr'"):
        find_engines(["torch-crs"])


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_answers_as_torch_does(name: str, tmp_path: Path) -> None:
    engine = ENGINES[name]
    if obstacle := engine.obstacle():
        pytest.skip(obstacle)
    model = tiny_classifier("bert")
    with torch.no_grad():
        for matrix in prunable(model).values():
            matrix.weight.mul_(torch.rand_like(matrix.weight) < 0.1)
    if engine.package == "openvino":
        # Not in this process: it leaves behind what a later signal of other tests crashes in.
        model.save_pretrained(tmp_path)
        process = start("latency", tmp_path, "--engine", name, "--batch", "1,3",
                        "--sequence-length", "8,16", "--threads", "2", "--json")  # fmt: skip
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        rows = json.loads(out)["rows"]
        agree = [row["agrees"] for row in rows]
        sizes = {(row["batch"], row["seq_len"]) for row in rows}
    else:
        timings = measure(model, None, [engine], [Load(1, 8, 1), Load(3, 16, 2)])
        agree = [t.agrees for t in timings]
        sizes = {(t.batch, t.seq_len) for t in timings}
    assert all(agree)
    assert len(agree) == 2 * len(sizes)
    assert {(1, 8), (3, 16)} <= sizes


def test_a_cells_speed_is_kept_in_its_record_and_stands_on_the_page(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert quick(runs).status == 0
    cell = records(runs)["magnitude", 4.0, 0]
    done = bench("latency", cell.id[:10], "--runs", runs, "--engine", "torch", "--batch", "1",
                 "--sequence-length", "32", "--threads", "1", "--json")  # fmt: skip
    assert done.status == 0, done.err
    report = json.loads(done.out)
    assert [(r["model"], r["engine"], r["batch"], r["seq_len"]) for r in report["rows"]] == [
        ("given", "torch", 1, 32), ("dense", "torch", 1, 32)
    ]  # fmt: skip
    assert all(row["median_ms"] > 0 for row in report["rows"])
    kept = records(runs)["magnitude", 4.0, 0]
    assert kept.latency is not None
    assert (kept.score, len(kept.latency["rows"])) == (cell.score, 2)
    assert "measured speed" in next(runs.glob("*.md")).read_text(encoding="utf-8")


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny_classifier("bert").save_pretrained(folder)
    for words, said in (
        ([folder, "--sequence-length", "500"], "the model takes"),
        ([folder, "--engine", "tensorrt"], "unknown engine"),
        ([folder, "--batch", "0"], "at least 1"),
        (["nothing-like-it", "--runs", tmp_path / "runs"], "is no folder"),
    ):
        done = bench("latency", *words)
        assert (done.status, said in done.err, done.err.count("\n")) == (2, True, 1), done.err
