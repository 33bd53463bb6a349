"""Licences under which the texts of a task's rows may be shown to others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data.texts import Texts, find_prepared, report_texts

OPEN = (
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-2.0", "CC-BY-2.5",
    "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-2.0", "CC-BY-SA-2.5", "CC-BY-SA-3.0", "CC-BY-SA-4.0",
    "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "MIT", "ODC-By-1.0", "PDDL-1.0",
)  # fmt: skip
"""SPDX identifiers of those that let anyone pass texts on, if their source and licence are named.
Any other is taken for one that does not."""


def objection(licence: str) -> str:
    """Why texts under a licence are not shown; empty where they may be.

    Args:
        licence: What a task says of its rows; empty where nobody knows.
    """
    if not licence:
        return "nobody has said under which licence its rows are"
    return "" if licence in OPEN else f"its rows are under {licence}, which may not allow it"


def texts_to_show(
    data: Path, facts: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, list[Texts]], list[str]]:
    """The texts of report rows that may be shown, and a line for each task whose may not.

    Args:
        data: Where a run folder has its rows.
        facts: By task, what records say of them.
    """
    found: dict[str, list[Texts]] = {}
    lacking = []
    for task, said in facts.items():
        why = objection(said.get("licence", ""))
        folder = None if why else find_prepared(data, task, said["fingerprint"])
        if folder is None:
            lacking.append(
                f"no texts of {task}: {why or f'{data} does not have its rows any more'}."
            )
        else:
            found[task] = report_texts(folder)
    return found, lacking
