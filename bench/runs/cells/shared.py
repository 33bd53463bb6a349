"""What a run lends to the making of what cells share, and what that has cost."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from bench.errors import BenchError


class SharedRun:
    """What of a run depends neither on labels nor on the cell's seed."""

    LENT = (
        "task", "target", "seed", "log", "pretrained", "pretrained_teacher", "language_model",
        "language_teacher", "train_general",
    )  # fmt: skip

    def __init__(self, run: object) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Any:
        if name not in self.LENT:
            raise BenchError(f"run.{name}: what cells share sees no labels, and so has no {name}.")
        return getattr(self._run, name)


class SharedCost(Struct, kw_only=True):
    """What `cost.json` has to say of what cells share."""

    train_flops: int
    train_s: float = 0.0
