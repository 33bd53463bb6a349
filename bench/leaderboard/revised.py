"""Which methods were revised after their scores had been seen, and so what a page may promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.leaderboard.markdown import escape
from bench.leaderboard.ranking import rows_of

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row
    from bench.results.record import Record


def report_split_sentence(records: Sequence[Record], tasks: Sequence[str]) -> str:
    """What was chosen on the rows that scores are reported on."""
    revised = [escape(row.method) for row in rows_of(records, tasks) if revision_note(row)]
    if not revised:
        return "Scores are those on the report split. Nothing was chosen on it."
    return (
        "Scores are those on the report split. Nothing was chosen on it in this run, but before it "
        f"methods were revised: {', '.join(revised)} (notes under the tables)."
    )


def revision_note(row: Row) -> str:
    """After which of the page's tasks a method's default settings were revised, or nothing."""
    version, seen = row.facts.get("version", 1), row.facts.get("revised_after")
    if seen is None and version > 1:
        often = {2: "once", 3: "twice"}.get(version, f"{version - 1} times")
        return (
            f"{escape(row.method)}: the version of this method was raised {often}. Which tasks "
            "had been seen by then is not recorded"
        )
    known = [task for task, scores in row.scores.items() if scores and task in (seen or ())]
    if not known:
        return ""
    tasks = f"this task: {known[0]}" if len(known) == 1 else f"these tasks: {', '.join(known)}"
    return (
        f"{escape(row.method)}: default settings of this method were revised after seeing "
        f"{escape(tasks)}"
    )
