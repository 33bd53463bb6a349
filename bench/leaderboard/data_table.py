"""Where a page's rows came from, how many were used, and which were not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.leaderboard.markdown import escape, pipe

if TYPE_CHECKING:
    from bench.results.record import Record


TWINS = "rows to train on with a report row's text"


def data_table(records: Sequence[Record]) -> str:
    """Where each task's rows came from, and how many were used."""
    facts = {record.cell["task"]: record.data for record in records if record.data}
    rows = [_row(task, known) for task, known in facts.items()]
    heads = list(rows[0]) if rows else []
    if not any("overlap" in known for known in facts.values()):  # before they were counted
        heads = [head for head in heads if head != TWINS]
    notes = [f"\n\n{escape(task)}: {_shared_texts(known)}" for task, known in facts.items()
             if known.get("tune_shared")]  # fmt: skip
    notes += [f"\n\n{escape(task)}: {_windows(known)}" for task, known in facts.items()
              if "windows" in known]  # fmt: skip
    notes += [f"\n\n{escape(task)}: {_learnt(name, found)}" for task, known in facts.items()
              for name, found in known.get("train_with", {}).items()]  # fmt: skip
    return pipe(heads, [[row[head] for head in heads] for row in rows]) + "".join(notes)


def _row(task: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """A task's cells under their heads."""
    cut = facts["cut_to_fit"]
    own = facts["train"] - sum(found["rows"] for found in facts.get("train_with", {}).values())
    return {
        "task": task,
        "source": " ".join(str(facts[k]) for k in ("source", "revision") if k in facts),
        "training rows": f"{own:,} of {facts['train_available']:,}{_added(facts)}",
        TWINS: _twins(facts["overlap"]) if "overlap" in facts else "–",
        "report split, rows": f"{facts['report']:,}",
        "cut to fit, training and report": f"{cut['train']} and {cut['report']} rows at "
        f"{cut['pieces']} tokens",
        "unreadable rows": str(facts["skipped_rows"]),
    }


def _twins(twins: Mapping[str, Any]) -> str:
    """How many training rows are report rows, and what became of them."""
    if not twins["rows"]:
        return "none"
    return f"{twins['rows']:,} ({twins['exact']:,} to the letter): {twins['are']}"


def _shared_texts(facts: Mapping[str, Any]) -> str:
    """That fit and tune rows share texts, which they do where no cut could keep them apart."""
    return (
        f"{facts['tune_shared']:,} of {facts['tune']:,} tune rows share a text with fit rows, "
        "since nearly all rows hang together by one."
    )


def _windows(facts: Mapping[str, Any]) -> str:
    """How questions became rows, and when one has no answer."""
    windows, pieces = facts["windows"], facts["cut_to_fit"]["pieces"]
    said = (
        f"rows are questions, which a model reads in windows of {pieces} tokens that share "
        f"{windows['overlap']}: {windows['train']:,} for training and {windows['report']:,} of the "
        "report split."
    )
    if not facts.get("no_answer"):
        return f"{said} Every question is answered."
    return (
        f"{said} {facts['no_answer']:,} training questions have no answer. A model gives none "
        "where that is above its best span by more than a threshold, which its best trial found on "
        "tune rows."
    )


def _added(facts: Mapping[str, Any]) -> str:
    made = facts.get("augmentation")
    return f", {made['rows']:,} variants of them" if made else ""


def _learnt(name: str, found: Mapping[str, int]) -> str:
    """What became of the examples of a closed round."""
    return (
        f"of {escape(name)}, {found['rows']:,} examples are learnt. Left out: {found['near']:,} "
        f"with a report row's text, {found['stem']:,} made from a row that has one."
    )
