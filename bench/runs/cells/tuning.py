"""A cell's parameters: tuned, carried from elsewhere, or the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.runs.cells.cell import Cell, Variant
from bench.runs.cells.parameters import resolve_params
from bench.runs.cells.study import Study, trial_cost

if TYPE_CHECKING:
    from bench.compression.params import Params
    from bench.runs.cells.context import Context


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The parameters that a cell runs with, and how they were found.

    Attributes:
        params: The method's parameters.
        facts: What the record says of their origin.
        parts: Training FLOPs that finding them took, by part.
    """

    params: Params
    facts: dict[str, Any]
    flops: int = 0
    kept: dict[str, int] = field(default_factory=dict)


def tuned(cell: Cell, context: Context) -> Tuned | None:
    """A cell's parameters: tuned, carried from elsewhere, or the defaults.

    Returns:
        `None` where the study of it has trials to make yet.
    """
    variant = Variant.parse(cell.method)
    method = registry.methods.get(variant.method)
    pins = dict(variant.pins)
    study = Study(cell, context)
    if context.carried and study.space:
        carried = context.carried[(cell.method, cell.task, cell.ratio)]
        params = resolve_params(method, pins, context.protocol, carried.params)
        facts = {"parameters": "carried", "from": carried.source, "trials": carried.trials}
        return Tuned(params=params, facts=facts | {"found": carried.params})
    if not context.protocol.trials or not study.space:
        params = resolve_params(method, pins, context.protocol)
        return Tuned(params=params, facts={"trials": 0, "parameters": "default"})
    summary = study.summary()
    if not summary["complete"]:
        return None
    best = summary["best"]
    found = summary["trials"][best]["params"] if best is not None else {}
    facts = {
        "trials": len(summary["trials"]),
        "parameters": "default" if best is None else "tuned",
        "sampler": summary["sampler"],
        "steps": [trial.get("steps") for trial in summary["trials"]],
        "failed": sum("error" in trial for trial in summary["trials"]),
        "found": found,
    }
    if best is not None:
        facts |= {"best": best, "tune_score": summary["trials"][best]["score"]}
    params = resolve_params(method, pins, context.protocol, found)
    flops, kept = trial_cost(summary["trials"])
    return Tuned(params=params, facts=facts, flops=flops, kept=kept)
