"""Measured speed: what is run, against what it is checked, and where it ends up."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import torch
from harness import bench, quick, records, start
from tiny_models import sparse_classifier, tiny_classifier

from bench.deploy import engines
from bench.deploy.engines import ENGINES, Engine, Load, find_engines
from bench.deploy.export import inputs_of
from bench.deploy.latency import measure, without_zeros
from bench.errors import BenchError
from bench.models.families import prunable
from bench.results.store import Store


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.deploy.latency.ROUNDS", 3)
    monkeypatch.setattr("bench.deploy.latency.SECONDS_A_ROUND", 0.002)


def sleeper(name: str, seconds: float, wrong: float = 0.0, **facts: bool) -> Engine:
    """An engine that takes so long, and whose answer is off by so much."""

    def make(subject, load):
        def answer(inputs):
            time.sleep(seconds)
            return subject.model(**inputs).logits + wrong

        return answer

    return Engine(name=name, make=make, package="torch", **facts)


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
    model = sparse_classifier("bert")
    largest = float(model(**inputs_of(model, 1, 8)).logits.detach().abs().max())
    wrong = [
        sleeper("near", 0.0, wrong=5e-4 * largest),
        sleeper("far", 0.0, wrong=2e-3 * largest),
        sleeper("rounded", 0.0, wrong=0.03 * largest, bf16=True),
        sleeper("too rounded", 0.0, wrong=0.07 * largest, bf16=True),
        sleeper("broken", 0.0, wrong=float("nan")),
    ]
    timings = measure(model, None, wrong, [Load(1, 8, 1)])
    found = {t.engine: t.agrees for t in timings if t.model == "given"}
    assert found == {
        "near": True, "far": False, "rounded": True, "too rounded": False, "broken": False,
    }  # fmt: skip
    assert [t.difference for t in timings if t.engine == "broken"] == [None, None]


def test_the_dense_model_runs_on_engines_that_the_given_one_does_not() -> None:
    model = tiny_classifier("bert")
    slow, fast = sleeper("slow", 0.04), sleeper("fast", 0.01)
    timings = measure(model, None, [slow], [Load(1, 8, 1)], denominators=[slow, fast])
    found = {(t.model, t.engine): t for t in timings}
    assert set(found) == {("given", "slow"), ("dense", "slow"), ("dense", "fast")}
    gain = found["dense", "fast"].median_ms / found["given", "slow"].median_ms
    assert found["given", "slow"].gain == pytest.approx(gain)


def test_a_dense_answer_that_is_wrong_is_no_measure_of_speed() -> None:
    model = tiny_classifier("bert")
    right, wrong = sleeper("right", 0.01), sleeper("wrong", 0.0, wrong=100.0)
    timings = measure(model, None, [right], [Load(1, 8, 1)], denominators=[right, wrong])
    found = {(t.model, t.engine): t for t in timings}
    assert found["dense", "right"].gain == 1
    with pytest.raises(BenchError, match="no engine runs the dense model with the right answers"):
        measure(model, None, [wrong], [Load(1, 8, 1)])


def test_an_engine_that_cannot_run_a_model_leaves_the_others_alone() -> None:
    def make(subject, load):
        raise RuntimeError("no locator available\nfor this file")

    engines = [sleeper("able", 0.0), Engine(name="unable", make=make, package="torch")]
    model, said = tiny_classifier("bert"), []
    timings = measure(
        model, None, engines, [Load(1, 8, 1)], failed=lambda engine, why: said.append(why)
    )
    assert {timing.engine for timing in timings} == {"able"}
    assert said == ["no locator available"] * 2
    with pytest.raises(BenchError, match="unable cannot run this model: no locator available"):
        measure(model, None, engines, [Load(1, 8, 1)])


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
    pytest.importorskip("onnxscript", reason="prunebench[engines] is not installed")
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


@pytest.mark.parametrize("name", [name for name in ENGINES if "openvino" not in name])
def test_every_engine_answers_as_torch_does(name: str) -> None:
    engine = ENGINES[name]
    if obstacle := engine.obstacle():
        pytest.skip(obstacle)
    timings = measure(sparse_classifier("bert", 0.1), None, [engine],
                      [Load(1, 8, 1), Load(3, 16, 2)])  # fmt: skip
    assert len(timings) == 4
    assert all(timing.agrees for timing in timings)


def test_openvino_answers_as_torch_does(tmp_path: Path) -> None:
    """Not in this process: it leaves behind what a later signal of other tests crashes in."""
    names = [n for n in ("openvino", "openvino-bf16") if not ENGINES[n].obstacle()]
    if not names:
        pytest.skip(ENGINES["openvino"].obstacle())
    sparse_classifier("bert", 0.1).save_pretrained(tmp_path)
    process = start("latency", tmp_path, "--engine", ",".join(names), "--batch", "3",
                    "--sequence-length", "16", "--threads", "2", "--json")  # fmt: skip
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    rows = [row for row in json.loads(out)["rows"] if row["engine"] in names]
    assert len(rows) == 2 * len(names)
    assert all(row["agrees"] for row in rows)


def test_a_cells_speed_is_kept_in_its_record_and_stands_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    assert quick(runs).status == 0
    cell = records(runs)["magnitude", 4.0, 0]
    monkeypatch.setattr("bench.leaderboard.table.TIMED", (1, 32))  # the demo's encoder takes 64
    plain = {name: ENGINES[name] for name in ("torch", "torch-csr")}
    monkeypatch.setattr("bench.deploy.engines.ENGINES", plain)
    done = bench("latency", cell.id[:10], "--runs", runs, "--engine", "torch-csr", "--batch", "1",
                 "--sequence-length", "32", "--threads", "1", "--json")  # fmt: skip
    assert done.status == 0, done.err
    report = json.loads(done.out)
    rows = {(r["model"], r["engine"]): r for r in report["rows"]}
    assert list(rows) == [("given", "torch-csr"), ("dense", "torch"), ("dense", "torch-csr")]
    assert {(r["batch"], r["seq_len"]) for r in report["rows"]} == {(1, 32)}
    best = min(r["median_ms"] for (model, _), r in rows.items() if model == "dense")
    gain = best / rows["given", "torch-csr"]["median_ms"]
    assert report["dense"] == "reference"
    kept = records(runs)["magnitude", 4.0, 0]
    assert kept.latency is not None
    assert (kept.score, len(kept.latency["rows"])) == (cell.score, 3)
    page = next(runs.glob("*.md")).read_text(encoding="utf-8")
    assert f"| {gain:.2f} torch-csr |" in re.sub(" +", " ", page)
    # A measurement against something else is printed, but is none of the record's.
    other = bench("latency", cell.id[:10], "--runs", runs, "--batch", "1", "--dense",
                  Store(runs).folder(cell.id) / "model", "--sequence-length", "32", "--threads",
                  "1", "--json")  # fmt: skip
    assert other.status == 0, other.err
    assert records(runs)["magnitude", 4.0, 0] == kept
    # The table for people names each engine's version once, though two of torch's ran.
    said = bench("latency", cell.id[:10], "--runs", runs, "--engine", "torch-csr", "--batch", "1",
                 "--sequence-length", "32", "--threads", "1")  # fmt: skip
    assert said.out.count(f"torch {torch.__version__}") == 1, said.out


def test_a_cells_folder_can_be_named_from_inside_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "record.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    done = bench("latency", "abc", "--runs", ".")
    assert (done.status, "as a cell: unknown cell" in done.err) == (2, True), done.err


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
