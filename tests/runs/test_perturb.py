"""`--perturb`, and options that a method is pinned to, from the command line to the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import harness
import pytest

from bench.results.record import dense_of, is_dense
from bench.runs.names import select_methods

if TYPE_CHECKING:
    from pathlib import Path

DROP = "perturb=word-dropout=0.1+replace-uniform=0.05"
MOVE = "perturb=adversarial=1"


def test_a_row_is_read_against_the_dense_model_under_its_options() -> None:
    assert dense_of(f"magnitude:{DROP}:scope=global") == f"dense:{DROP}"
    assert dense_of("magnitude:scope=global") == "dense"
    assert is_dense("dense") and is_dense(f"dense:{DROP}")
    assert not is_dense("dense:warmup=0.2")


def test_pins_are_spelled_in_one_way_and_bring_a_dense_model() -> None:
    said = "magnitude:perturb=replace-uniform=5e-2+word-dropout=.1:scope=global"
    variants, _ = select_methods([said, "magnitude:perturb=none"])
    names = ["dense", f"dense:{DROP}", f"magnitude:{DROP}:scope=global", "magnitude"]
    assert list(map(str, variants)) == names
    assert list(variants.values()) == [True, True, False, False]
    suite = {"perturb": DROP.partition("=")[2]}
    variants, _ = select_methods([said, "magnitude:perturb=none"], suite)
    names = ["dense", "magnitude:scope=global", "dense:perturb=none", "magnitude:perturb=none"]
    assert list(map(str, variants)) == names


@pytest.mark.parametrize(("words", "wrong"), [
    (["--perturb", "dropout=0.1"], "unknown perturbation 'dropout'"),
    (["--perturb", "word-dropout=2"], "word-dropout=2 is not above 0 and below 1"),
    (["--methods", "magnitude:perturb=adversarial"], "it takes a positive number"),
    (["--methods", "majority:perturb=word-dropout=0.1"], "majority trains nothing"),
    (["--methods", "text-floor:perturb=word-dropout=0.1"], "text-floor trains nothing"),
])  # fmt: skip
def test_what_is_not_possible_is_one_line(words: list[str], wrong: str, tmp_path: Path) -> None:
    result = harness.quick(tmp_path, *words)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert wrong in result.err
    assert not list(tmp_path.iterdir())


def test_variants_have_dense_models_of_their_own_and_change_no_other_row(tmp_path: Path) -> None:
    methods = f"magnitude:teacher=finetuned,magnitude:{DROP}:teacher=finetuned,dense:{MOVE}"
    plain = harness.quick(tmp_path / "plain", methods="magnitude:teacher=finetuned")
    assert plain.status == 0, plain.err
    runs = tmp_path / "runs"
    result = harness.quick(runs, methods=methods)
    assert result.status == 0, result.err
    found, known = harness.outcomes(runs), harness.outcomes(tmp_path / "plain")
    assert {key: found[key] for key in known} == known
    assert sorted({method for method, *_ in found.keys() - known.keys()}) == [
        f"dense:{MOVE}", f"dense:{DROP}", f"magnitude:{DROP}:teacher=finetuned",
    ]  # fmt: skip
    taught = found[f"magnitude:{DROP}:teacher=finetuned", 4.0, 0]
    dense = found[f"dense:{DROP}", 1.0, 0]
    assert taught["reference"] == dense["reference"] != found["dense", 1.0, 0]["reference"]
    assert taught["cell"]["protocol"] == dense["cell"]["protocol"]
    assert taught["score"] != found["magnitude:teacher=finetuned", 4.0, 0]["score"]
    # One more forward and backward pass of each row, and of nothing else.
    flops = {name: found[name, 1.0, 0]["cost"]["parts"]["reference"]
             for name in ("dense", f"dense:{DROP}", f"dense:{MOVE}")}  # fmt: skip
    assert flops[f"dense:{MOVE}"] == 2 * flops["dense"]
    assert flops[f"dense:{DROP}"] == flops["dense"]
    for record in harness.records(runs).values():
        assert record.cost["train_s"] > 0
    suite = json.loads((runs / "suites" / "demo.json").read_text())
    assert suite["settings"]["perturb"] == ""
    rows = json.loads((runs / "demo.json").read_text())["rows"]
    loyal = {row["method"]: row["loyalty"] for row in rows}
    assert loyal[f"dense:{DROP}"] == {}  # one seed has no other
    assert loyal[f"magnitude:{DROP}:teacher=finetuned"]["demo-sentiment"][0] > 50
    assert "0 to run" in harness.quick(runs, methods=methods).out


@pytest.mark.slow
def test_the_suites_own_holds_for_all_and_two_runs_make_the_same(tmp_path: Path) -> None:
    words = ("--perturb", "replace-similar=0.1,word-dropout=0.1,inverse-sigmoid=5")
    for name in ("one", "other"):
        assert harness.quick(tmp_path / name, *words).status == 0
    assert harness.quick(tmp_path / "plain").status == 0
    one, other, plain = (harness.outcomes(tmp_path / n) for n in ("one", "other", "plain"))
    assert one == other
    for key in (("dense", 1.0, 0), ("magnitude", 4.0, 0)):
        assert one[key]["id"] != plain[key]["id"]
        assert one[key]["curve"] != plain[key]["curve"]
        assert one[key]["cost"]["train_flops"] > plain[key]["cost"]["train_flops"]
    page = (tmp_path / "one" / "demo.md").read_text(encoding="utf-8")
    command = "--perturb replace-similar=0.1,word-dropout=0.1,inverse-sigmoid=5"
    assert command in " ".join(page.replace("\\\n", " ").split())
    plan = harness.quick(tmp_path / "one", *words, "--dry-run")
    assert "0 to run" in plan.out
