"""A cell's parameters: tuned, carried from elsewhere, or the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.results.studies import SAID_LATER
from bench.runs.cells.study import Study, trial_cost

if TYPE_CHECKING:
    from bench.compression.params import Params
    from bench.runs.cells.context import BoundCell


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The parameters that a cell runs with, and how they were found.

    Attributes:
        params: The method's parameters.
        facts: What the record says of their origin.
        flops: Training FLOPs that trials made for themselves.
        made_once: FLOPs of what was made once for several trials, by its key.
    """

    params: Params
    facts: dict[str, Any]
    flops: int = 0
    made_once: dict[str, int] = field(default_factory=dict)


def tuned(bound: BoundCell) -> Tuned | None:
    """A cell's parameters: tuned, carried from elsewhere, or the defaults.

    Returns:
        `None` where the study of it has trials to make yet.
    """
    cell, context = bound.cell, bound.context
    if context.carried and bound.space:
        carried = context.carried[(cell.method, cell.task, cell.ratio)]
        facts = {"parameters": "carried", "from": carried.source, "trials": carried.trials}
        return Tuned(params=bound.params(carried.params), facts=facts | {"found": carried.params})
    if not context.protocol.trials or not bound.space:
        return Tuned(params=bound.params(), facts={"trials": 0, "parameters": "default"})
    summary = Study(bound).summary()
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
    facts |= {key: summary[key] for key in SAID_LATER if summary.get(key) is not None}
    if best is not None:
        facts |= {"best": best, "tune_score": summary["trials"][best]["score"]}
    flops, made_once = trial_cost(summary["trials"])
    return Tuned(params=bound.params(found), facts=facts, flops=flops, made_once=made_once)
