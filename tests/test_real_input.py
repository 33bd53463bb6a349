"""Real GLUE files and a real pre-trained encoder, where the environment names them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from harness import bench, records
from scipy.stats import pearsonr, spearmanr
from transformers import AutoConfig, AutoModel, AutoTokenizer

from bench import registry
from bench.data.prepare import load, prepare
from bench.data.task import Source
from bench.protocol import Protocol
from bench.results.record import ENCODER_FLOOR
from bench.runs.cells.context import Context
from bench.runs.cells.floor import answers_of_floor
from bench.training import scoring

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


@pytest.mark.slow
def test_the_encoder_floor_of_sts_b_is_the_cosine_of_mean_states(tmp_path: Path) -> None:
    """Against transformers, text by text without padding: no training, no fitting."""
    task, source = registry.task("stsb"), Source(data_dir=Path(GLUE or ""))
    encoder = Path(MODEL or "")
    prepared = prepare(task, source, name="stsb", encoder=encoder, cap_at=None, cache=tmp_path)
    context = Context(
        runs=tmp_path, protocol=Protocol(epochs=1, trials=0, precision="fp32"), encoder=encoder,
        weights="real", tasks={"stsb": prepared}, device="cpu", threads=1,
    )  # fmt: skip
    kept = answers_of_floor(ENCODER_FLOOR, "stsb", context, trial=False)
    rows = load(prepared).report
    found = scoring.score("pearson_spearman", kept.logits[:, 0], rows.labels)

    tokenizer, model = AutoTokenizer.from_pretrained(MODEL), AutoModel.from_pretrained(MODEL)
    dev = task.load(source).dev
    cosines = []
    with torch.inference_mode():
        for pair in zip(dev["text"], dev["text_pair"], strict=True):
            u, v = (
                model.eval()(
                    **tokenizer(side, return_tensors="pt", truncation=True, max_length=128)
                )
                .last_hidden_state[0]
                .mean(dim=0)
                for side in pair
            )
            cosines.append(torch.cosine_similarity(u, v, dim=0).item())
    own = pearsonr(cosines, dev["label"]).statistic, spearmanr(cosines, dev["label"]).statistic
    assert found.figures["pearson"] == pytest.approx(100 * own[0], abs=0.01)
    assert found.figures["spearman"] == pytest.approx(100 * own[1], abs=0.01)
    if encoder.name == "bert-mini-house":
        assert found.main == pytest.approx(78.48, abs=0.05)
