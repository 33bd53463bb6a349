"""Small cells and what came of their trials, for tests of studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.runs.cells.cell import Cell
from bench.runs.cells.study import Outcome

if TYPE_CHECKING:
    from bench.runs.cells.context import Context

TRIALS = 3


def studies(runs: Path) -> dict[str, dict[str, Any]]:
    """The summaries of a run folder's studies, by method."""
    found = [json.loads(path.read_text()) for path in runs.glob("tuning/*/study.json")]
    return {study["cell"]["method"]: study for study in found}


def cell(context: Context, method: str, ratio: float = 4.0) -> Cell:
    wanted = 1.0 if method in ("dense", "majority") else ratio
    return Cell(method, "demo-sentiment", "weights", wanted, 0, "m", context.protocol.hash)


def outcome(score: float, ratio: float = 4.0) -> Outcome:
    return Outcome(score=score, ratio=ratio, steps=5, flops={"training": 10})
