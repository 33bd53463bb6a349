"""`bench describe`."""

from __future__ import annotations

import dataclasses
import json

import pytest
from harness import bench

from bench import registry

pytestmark = pytest.mark.usefixtures("empty_place")


def test_describe_names_no_learning_rate_that_no_run_uses() -> None:
    (rate, *_) = json.loads(bench("describe", "movement", "--json").out)["parameters"]
    assert (rate["name"], rate["default"]) == ("learning_rate", None)
    assert "by width" in bench("describe", "movement").out


def test_describe_says_below_how_many_steps_a_method_has_not_been_seen_to_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = registry.methods.get("magnitude")
    for shown in (bench("describe", "magnitude").out, bench("describe", "cola").out):
        assert "seen to work" not in shown
        assert "works from" not in shown
    monkeypatch.setattr(method, "info", dataclasses.replace(method.info, works_from=1944))
    said = "Below 1,944 optimizer steps this method has not been seen to work."
    assert said in bench("describe", "magnitude").out
    assert json.loads(bench("describe", "magnitude", "--json").out)["works_from"] == 1944


def test_describe_says_after_which_tasks_a_method_was_revised() -> None:
    assert "revised after" in (shown := bench("describe", "soft-movement").out)
    assert "demo-sentiment, demo-paraphrase, demo-similarity" in " ".join(shown.split())
    assert "revised after" not in bench("describe", "one-shot-wanda").out
    assert "revised after" not in bench("describe", "magnitude").out


def test_describe_tells_of_the_options_that_a_method_may_be_pinned_to() -> None:
    shown = " ".join(bench("describe", "perturb").out.split())
    for part in ("word-dropout", "replace-uniform", "replace-similar", "adversarial"):
        assert part in shown
    assert "magnitude:perturb=word-dropout=0.1" in shown
    parts = json.loads(bench("describe", "perturb", "--json").out)["parts"]
    assert [part["part"] for part in parts][-1] == "inverse-sigmoid"
    for method, pinned in (("dense", True), ("tinybert", True), ("majority", False)):
        assert ("bench describe perturb" in bench("describe", method).out) == pinned
