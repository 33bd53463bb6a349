"""`--pretrain-steps`, and rows that are pinned to a number of them or of training rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import harness
import pytest
from probes import write_demo_text

from bench.runs.names import select_methods

if TYPE_CHECKING:
    from pathlib import Path

    from bench.results.record import Record


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty passages of words that the demo's encoder knows."""
    return write_demo_text(tmp_path_factory.mktemp("text") / "text.txt", rows=80, words=12)


def test_numbers_are_spelled_in_one_way() -> None:
    variants, _ = select_methods(["magnitude:max_train_samples=0200:pretrain_steps=none"])
    names = ["dense", "dense:max_train_samples=200", "magnitude:max_train_samples=200"]
    assert list(map(str, variants)) == names


@pytest.mark.parametrize(("words", "wrong"), [
    (["--pretrain-steps", "5"], "name one with --corpus"),
    (["--methods", "magnitude:pretrain_steps=5"], "name one with --corpus"),
    (["--methods", "magnitude:pretrain_steps=many"], "it takes a whole number"),
    (["--methods", "majority:max_train_samples=50"], "majority trains nothing"),
])  # fmt: skip
def test_what_is_not_possible_is_one_line(words: list[str], wrong: str, tmp_path: Path) -> None:
    result = harness.quick(tmp_path, *words)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert wrong in result.err
    assert not list(tmp_path.iterdir())


def test_rows_begin_with_the_encoder_that_went_on_learning(tmp_path: Path, text: Path) -> None:
    pins = ("max_train_samples=200", "max_train_samples=200:pretrain_steps=5")
    methods = ",".join(["magnitude", *(f"magnitude:{pin}" for pin in pins)])
    result = harness.quick(tmp_path, "--corpus", text, methods=methods)
    assert result.status == 0, result.err
    found = harness.records(tmp_path)

    def of(method: str, ratio: float = 4.0) -> Record:
        return found[method, ratio, 0]

    assert of("magnitude").data["train"] == 600
    for pin in pins:
        assert of(f"magnitude:{pin}").data["train"] == of(f"dense:{pin}", 1.0).data["train"] == 200
    plain, more = (of(f"dense:{pin}", 1.0) for pin in pins)
    assert plain.reference != more.reference
    assert plain.cost["parts"].keys() == more.cost["parts"].keys() - {"continued pre-training"}
    stage = [path.parent for path in tmp_path.glob("encoders/*/pretraining.json")]
    assert len(stage) == 1
    said = json.loads((stage[0] / "pretraining.json").read_text())
    for record in (more, of(f"magnitude:{pins[1]}")):  # each is charged as if it had made it
        assert record.cost["parts"]["continued pre-training"] == said["train_flops"]
        assert record.data["general_text"] == "text.txt"
    assert "5 to run" not in harness.quick(tmp_path, "--corpus", text, methods=methods).out


@pytest.mark.slow
def test_the_suites_own_holds_for_all_and_two_runs_make_the_same(
    tmp_path: Path, text: Path
) -> None:
    words = ("--corpus", text, "--pretrain-steps", "4")
    for name in ("one", "other"):
        result = harness.quick(tmp_path / name, *words, methods="magnitude,tinybert")
        assert result.status == 0, result.err
    one, other = (harness.outcomes(tmp_path / name) for name in ("one", "other"))
    assert one == other
    for record in harness.records(tmp_path / "one").values():
        assert record.cost["parts"]["continued pre-training"] > 0
    page = (tmp_path / "one" / "demo.md").read_text(encoding="utf-8")
    assert "goes on learning to name hidden pieces of the text, 4 steps" in page
