"""Real GLUE files and a real pre-trained encoder, where the environment names them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness import bench, records
from transformers import AutoConfig, AutoTokenizer

from bench import registry
from bench.data.prepare import prepare
from bench.data.task import Source

GLUE, MODEL = (os.environ.get(name) for name in ("BENCH_GLUE_DIR", "BENCH_MODEL_DIR"))
pytestmark = pytest.mark.skipif(
    not (GLUE and MODEL), reason="BENCH_GLUE_DIR and BENCH_MODEL_DIR name no real input"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    result = bench(
        "run", "--methods", "magnitude,random-mask,majority", "--tasks", "wnli", "--data-dir",
        GLUE or "", "--model", MODEL or "", "--ratios", "4,20", "--seeds", "1", "--epochs", "1",
        "--trials", "0", "--workers", "1", "--runs", folder, "--name", "real",
    )  # fmt: skip
    assert result.status == 0, result.err
    return folder


@pytest.mark.slow
def test_every_cell_ends_with_a_score_and_the_wanted_ratio(runs: Path) -> None:
    found = records(runs)
    assert len(found) == 2 + 2 * 2
    for (_, ratio, _), record in found.items():
        assert record.status == "ok"
        assert record.footprint["weights"]["ratio"] == pytest.approx(ratio, rel=5e-3)
        assert record.data["train"] == 635
        assert record.data["report"] == 71
    assert found["majority", 1.0, 0].score == pytest.approx(100 * 40 / 71)


@pytest.mark.slow
def test_flops_out_of_reach_are_said_before_any_training(runs: Path) -> None:
    """Zeros leave attention products and head in place: 12.95× for 3 layers of 384 × 768."""
    config = AutoConfig.from_pretrained(MODEL or "")
    layers, width, neurons = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    fixed = 2 * 128**2 * width * layers + width**2 + 2 * width
    linear = 128 * layers * (4 * width**2 + 2 * width * neurons)
    best = (fixed + linear) / (fixed + 128 * 6 * layers)
    result = bench(
        "run", "--methods", "magnitude", "--tasks", "wnli", "--data-dir", GLUE or "", "--model",
        MODEL or "", "--ratios", str(best + 0.1), "--match", "flops", "--seeds", "1",
        "--epochs", "1", "--trials", "0", "--workers", "1", "--runs", runs, "--name", "real-flops",
    )  # fmt: skip
    assert result.status == 0
    assert f"{best:.2f}× at most" in (runs / "real-flops.md").read_text(encoding="utf-8")


def test_texts_too_long_for_the_positions_are_cut_and_counted(tmp_path: Path) -> None:
    task, source = registry.task("rte"), Source(data_dir=Path(GLUE or ""))
    encoder = Path(MODEL or "")
    facts = prepare(task, source, name="rte", encoder=encoder, cap_at=None, cache=tmp_path).facts[
        "cut_to_fit"
    ]
    rows = task.load(source).dev
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    lengths = [
        len(tokenizer.tokenize(one)) + len(tokenizer.tokenize(two)) + 3
        for one, two in zip(rows["text"], rows["text_pair"], strict=True)
    ]
    assert facts["report"] == sum(length > facts["pieces"] for length in lengths) > 0
