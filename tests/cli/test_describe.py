"""`bench describe`."""

from __future__ import annotations

import json

import pytest
from harness import bench

pytestmark = pytest.mark.usefixtures("empty_place")


def test_describe_names_no_learning_rate_that_no_run_uses() -> None:
    (rate, *_) = json.loads(bench("describe", "movement", "--json").out)["parameters"]
    assert (rate["name"], rate["default"]) == ("learning_rate", None)
    assert "by width" in bench("describe", "movement").out


def test_describe_says_after_which_tasks_a_method_was_revised() -> None:
    assert "revised after" in (shown := bench("describe", "soft-movement").out)
    assert "demo-sentiment, demo-paraphrase, demo-similarity" in " ".join(shown.split())
    assert "revised after" not in bench("describe", "one-shot-wanda").out
    assert "revised after" not in bench("describe", "magnitude").out
