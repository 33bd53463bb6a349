"""`bench run --augment`, from the command line to the page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import harness
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from bench.data.tasks.demo import demo_encoder_path
from bench.protocol import Protocol

AUGMENTED = ("--augment", "2", "--max-train-samples", "120")


def test_an_encoder_without_a_head_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "classifier"
    AutoModelForSequenceClassification.from_pretrained(demo_encoder_path()).save_pretrained(folder)
    AutoTokenizer.from_pretrained(demo_encoder_path()).save_pretrained(folder)
    for dry in ((), ("--dry-run",)):
        result = harness.quick(tmp_path / "runs", "--augment", "2", "--model", folder, *dry)
        assert result.status == 2
        assert result.err.count("\n") == 1
        assert "no masked-language-model head" in result.err
        assert "cls.predictions.transform.dense.weight" in result.err
    assert not list((tmp_path / "runs").glob("*/record.json"))
    assert harness.quick(tmp_path / "runs", "--augment", "0", "--model", folder).status == 0


@pytest.mark.parametrize("number", ["-1", "two", "1.5", ""])
def test_what_is_no_number_of_variants_is_wrong_usage(number: str, tmp_path: Path) -> None:
    result = harness.quick(tmp_path, f"--augment={number}")
    assert result.status == 2
    assert "is not a whole number of at least 0" in result.err


def test_from_the_command_line_to_the_page(tmp_path: Path) -> None:
    plan = harness.quick(tmp_path, *AUGMENTED, "--dry-run")
    assert plan.status == 0
    assert not list(tmp_path.iterdir())
    # Of each of two methods a training on all rows, and one on fit rows that shows convergence.
    assert f"{2 * (-(-120 * 3 // 32) + -(-96 * 3 // 32))} optimizer steps" in plan.out
    result = harness.quick(tmp_path, *AUGMENTED)
    assert result.status == 0, result.err
    record = harness.records(tmp_path)["magnitude", 4.0, 0]
    made = record.data["augmentation"]
    assert made["variants"] == 2
    assert 120 < made["rows"] <= 240
    assert record.cost["steps"] == -(-(120 + made["rows"]) // 32)
    page = (tmp_path / "demo.md").read_text(encoding="utf-8")
    assert "Training rows augmented: up to 2 variants of each by word replacement." in page
    assert f"120 of 1,200, {made['rows']:,} variants of them" in page
    assert "0 to run" in harness.quick(tmp_path, *AUGMENTED).out


def test_without_variants_nothing_is_different(tmp_path: Path) -> None:
    assert harness.quick(tmp_path).status == 0
    assert "0 to run" in harness.quick(tmp_path, "--augment", "0").out
    assert "augment" not in (tmp_path / "demo.md").read_text(encoding="utf-8").partition("```")[0]
    assert "augmentation" not in harness.records(tmp_path)["magnitude", 4.0, 0].data
    assert Protocol(epochs=1, trials=0, precision="fp32") == dataclasses.replace(
        Protocol(epochs=1, trials=0, precision="fp32", augment=3), augment=0
    )


def test_two_runs_make_the_same(tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert harness.quick(tmp_path / name, *AUGMENTED).status == 0
    assert harness.outcomes(tmp_path / "one") == harness.outcomes(tmp_path / "other")
