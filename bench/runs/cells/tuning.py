"""A cell's parameters: tuned, carried from elsewhere, or the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.results.record import AGAINST_MAJORITY
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
        part: What trials are charged as.
        threshold: Of no answer, as the best trial found it on tune rows, where spans are looked
            for and some questions have none.
    """

    params: Params
    facts: dict[str, Any]
    flops: int = 0
    made_once: dict[str, int] = field(default_factory=dict)
    part: str = "tuning"
    threshold: float | None = None


def given(bound: BoundCell) -> Tuned:
    """A cell's parameters where none are searched: carried from elsewhere, or the defaults."""
    cell, context = bound.cell, bound.context
    if context.carried and bound.space:
        carried = context.carried[(cell.method, cell.task, cell.ratio)]
        facts = {"parameters": "carried", "from": carried.source, "trials": carried.trials}
        return Tuned(params=bound.params(carried.params), facts=facts | {"found": carried.params})
    return Tuned(params=bound.params(), facts={"trials": 0, "parameters": "default"})


def tuned(bound: BoundCell) -> Tuned | None:
    """A cell's parameters: tuned, carried from elsewhere, or the defaults.

    Returns:
        `None` where there are trials to make yet.
    """
    if not bound.trials:
        return given(bound)
    summary = Study(bound).summary()
    if not summary["complete"]:
        return None
    flops, made_once = trial_cost(summary["trials"])
    best = summary["best"]
    threshold = None if best is None else summary["trials"][best].get("threshold")
    if not bound.searched:
        known, steps = given(bound), [trial.get("steps") for trial in summary["trials"]]
        return Tuned(
            params=known.params,
            facts={**known.facts, "steps": steps, **_informative(summary)},
            flops=flops,
            made_once=made_once,
            part="convergence",
            threshold=threshold,
        )
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
    facts |= _informative(summary)
    if best is not None:
        facts |= {"best": best, "tune_score": summary["trials"][best]["score"]}
    return Tuned(
        params=bound.params(found),
        facts=facts,
        flops=flops,
        made_once=made_once,
        threshold=threshold,
    )


def _informative(summary: dict[str, Any]) -> dict[str, Any]:
    """Of a dense model's study: what says whether its task tells anything, on the tune rows."""
    best = summary["best"]
    against = None if best is None else summary["trials"][best].get("against_majority")
    if against is None:
        return {}
    return {AGAINST_MAJORITY: {"dense": summary["trials"][best]["score"], **against}}
