"""Records as the rows of a data frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.results.record import SIZES
from bench.results.suites import open_suite, suites_of

if TYPE_CHECKING:
    from bench.results.record import Record

CELL = ("method", "task", "axis", "ratio", "seed", "model")


def rows_of_folder(folder: Path, name: str | None = None) -> Iterator[dict[str, Any]]:
    """A row a cell of the suites of a run folder, or of a folder of published pages.

    Args:
        folder: Either of them.
        name: The suite; all of the folder where none is named.

    Raises:
        BenchError: The folder has no suite, or none of the name.
    """
    for suite in [name] if name is not None else suites_of(folder):
        yield from (_row(suite, record) for record in open_suite(folder, suite).records)


def _row(suite: str, record: Record) -> dict[str, Any]:
    counted, timing = record.footprint, record.timing or {}
    return {
        "suite": suite,
        **{key: record.cell.get(key) for key in CELL},
        "status": record.status,
        "score": record.score,
        **{f"score_{name}": value for name, value in record.scores.items()},
        **{f"challenge_{name}": on["score"] for name, on in (record.challenges or {}).items()},
        **{f"{axis}_ratio": counted.get(axis, {}).get("ratio") for axis in SIZES},
        "bytes": counted.get("bytes", {}).get("actual"),
        "parameter_count": counted.get("params", {}).get("actual"),
        "ms": timing.get("median_ms"),
        "ms_ratio": timing.get("gain"),
        "engine": timing.get("engine"),
        "steps": record.cost.get("steps"),
        "train_flops": record.cost.get("train_flops"),
        "train_s": record.cost.get("train_s"),
        "wall_s": record.cost.get("wall_s"),
        "params": record.params,
        "parameters": record.tuning.get("parameters"),
        "error": (record.error or {}).get("message"),
        "id": record.id,
        "created": record.created,
    }
