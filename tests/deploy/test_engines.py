"""What runs a classifier: which engines there are, and that each answers as torch does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import start
from tiny_models import masked_classifier, sparse_classifier

import bench
from bench import registry
from bench.deploy import engines
from bench.deploy.engines import ENGINES, Load, find_engines
from bench.deploy.latency import measure
from bench.errors import BenchError
from bench.runs.cells.parameters import resolve_params
from bench.testing import Toy

pytestmark = pytest.mark.usefixtures("short_measurements")


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
    if objection := engine.objection():
        pytest.skip(objection)
    timings = measure(sparse_classifier("bert", 0.1), None, [engine],
                      [Load(1, 8, 1), Load(3, 16, 2)])  # fmt: skip
    assert len(timings) == 4
    assert all(timing.agrees for timing in timings)


def test_every_engine_but_one_runs_mask_attention_and_that_one_says_so() -> None:
    able = [e for key, e in ENGINES.items() if "openvino" not in key and not e.objection()]
    refused = {}
    timings = measure(masked_classifier("bert"), None, able, [Load(1, 8, 1), Load(3, 16, 2)],
                      failed=lambda engine, why: refused.update({engine.name: why}))  # fmt: skip
    assert {timing.engine for timing in timings} == {engine.name for engine in able} - {"sparse"}
    assert all(timing.agrees for timing in timings)
    assert refused == {"sparse": "its kernels do not compute mask attention"}
    said = "the engine sparse cannot run this model: its kernels do not compute mask attention\\."
    with pytest.raises(BenchError, match=said):
        measure(masked_classifier("bert"), None, [ENGINES["sparse"]], [Load(1, 8, 1)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cofi", "block-movement"])
@pytest.mark.parametrize(("axis", "ratio"), [("weights", 8.0), ("bytes", 1.2)])
def test_every_engine_answers_as_what_a_structured_method_delivers(
    name: str, axis: str, ratio: float, tmp_path: Path
) -> None:
    toy = Toy(tmp_path, registry.methods.get(name), ratio, {})
    run = toy.run()
    run.target = bench.Target(axis, ratio, 16)
    model = toy.method().compress(run, resolve_params(toy.method, {}, run.context.protocol))
    able = [e for key, e in ENGINES.items() if "openvino" not in key and not e.objection()]
    timings = measure(model.eval(), None, able, [Load(1, 8, 1), Load(3, 10, 1)])
    assert {timing.engine for timing in timings} == {engine.name for engine in able}
    assert all(timing.agrees for timing in timings)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stock", "narrow", "masked"])
def test_openvino_answers_as_torch_does(kind: str, tmp_path: Path) -> None:
    """Not in this process: it leaves behind what a later signal of other tests crashes in."""
    names = [n for n in ("openvino", "openvino-bf16") if not ENGINES[n].objection()]
    if not names:
        pytest.skip(ENGINES["openvino"].objection())
    model = masked_classifier("bert") if kind == "masked" else sparse_classifier("bert", 0.1)
    if kind == "narrow":
        model = bench.cut(model, [[0]], [[]], stay=[1], dimensions=range(12))
    model.save_pretrained(tmp_path)
    process = start("latency", tmp_path, "--engine", ",".join(names), "--batch", "3",
                    "--sequence-length", "16", "--threads", "2", "--json")  # fmt: skip
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    rows = [row for row in json.loads(out)["rows"] if row["engine"] in names]
    assert len(rows) == 2 * len(names)
    assert all(row["agrees"] for row in rows)
