"""Which methods had fewer steps than they are known to need, or far fewer than their papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.leaderboard.markdown import escape

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row
    from bench.results.record import Record


FAR_FEWER = 10
"""A run is said to be short where its paper's has at least so many times its steps."""


def works_from_note(row: Row) -> str:
    """That a method had fewer optimizer steps than it has been seen to work with, or nothing."""
    least = row.facts.get("works_from", 0)
    short = [record for record in _trained(row) if record.cost["steps"] < least]
    if not short:
        return ""
    tasks = ", ".join(dict.fromkeys(record.cell["task"] for record in short))
    return (
        f"{escape(row.method)}: {_steps(short)} optimizer steps on {escape(tasks)}. Below "
        f"{least:,} steps this method has not been seen to work"
    )


def short_run_note(row: Row) -> str:
    """That a method ran with far fewer optimizer steps than in its paper, or nothing."""
    published, trained = row.facts.get("paper_steps", 0), _trained(row)
    if not trained or min(r.cost["steps"] for r in trained) * FAR_FEWER > published:
        return ""
    return (
        f"{escape(row.method)}: {_steps(trained)} optimizer steps here, about {published:,} in a "
        "main GLUE run of its paper"
    )


def _trained(row: Row) -> list[Record]:
    """The records of models that were trained."""
    return [r for r in row.records if r.status == "ok" and r.cost.get("steps")]


def _steps(records: Sequence[Record]) -> str:
    """The optimizer steps of some trainings, from the fewest to the most."""
    steps = [record.cost["steps"] for record in records]
    least, most = f"{min(steps):,}", f"{max(steps):,}"
    return least if least == most else f"{least} to {most}"
