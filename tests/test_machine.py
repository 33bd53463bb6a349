"""The hardware that a cell runs on."""

from __future__ import annotations

from bench.machine import multiplies_in_bf16, resolve_precision


def test_precision_follows_the_hardware_unless_told() -> None:
    assert resolve_precision("fp32", "cpu") == "fp32"
    assert resolve_precision("bf16", "cpu") == "bf16"
    assert resolve_precision("auto", "cpu") == ("bf16" if multiplies_in_bf16("cpu") else "fp32")
