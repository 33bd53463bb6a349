"""Published figures of the same methods: a page of their own, made from a data file.

They were measured under other protocols and stand in no table of ours; each table says where its
digits were read, and what is known to keep them from being compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import read_toml
from bench.leaderboard.markdown import escape, pipe

DATA, PAGE = "published.toml", "published.md"

KEYS = ("id", "title", "source", "model", "split", "differs", "methods", "columns", "rows", "notes")


def make_published(path: Path, suites: Sequence[Mapping[str, Any]]) -> str:
    """The page's Markdown.

    Args:
        path: The data file: a `[[table]]` each with the keys `KEYS`.
        suites: What our own suites were asked for; those with a table's method are linked to.

    Raises:
        BenchError: The file cannot be read, or a table lacks a key or a cell.
    """
    parts = [
        "# Published figures",
        "Read from the papers and their authors' files, as each table says; none of them was "
        f"measured here. Made by `bench leaderboard` from `{path.name}`.",
    ]
    seen: set[str] = set()
    for number, table in enumerate(read_toml(path).get("table", []), 1):
        where = f"{path}: table {number}"
        if missing := [key for key in KEYS if key not in table]:
            raise BenchError(f"{where} lacks {', '.join(missing)}.")
        if table["id"] in seen:
            raise BenchError(f"{where}: the id '{table['id']}' comes twice.")
        seen.add(table["id"])
        for row in table["rows"]:
            if len(row) != len(table["columns"]):
                raise BenchError(f"{where}: {row[:1]} has not {len(table['columns'])} cells.")
        parts += [
            f"## {escape(table['title'])}",
            f"{escape(table['model'])}, {escape(table['split'])}. Source: "
            f"{escape(table['source'])}. What differs: {escape(table['differs'])}",
            pipe([escape(c) for c in table["columns"]],
                 [[escape(str(cell)) for cell in row] for row in table["rows"]]),
            "\n".join(f"- {escape(note)}" for note in table["notes"]),
            _ours(table, suites),
        ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _ours(table: Mapping[str, Any], suites: Sequence[Mapping[str, Any]]) -> str:
    """Links to our own suites that have one of the table's methods, and what differs there."""
    links = []
    for suite in suites:
        cells = suite["cells"].values()
        methods = [
            m for m in table["methods"] if m in {cell[0].partition(":")[0] for cell in cells}
        ]
        if not methods:
            continue
        tasks = ", ".join(dict.fromkeys(cell[1] for cell in cells))
        ratios = ", ".join(f"{ratio:g}×" for ratio in sorted({cell[2] for cell in cells}))
        settings = suite["settings"]
        cap = settings["max_train_samples"]
        rows = f"at most {cap:,} training rows" if cap else "all training rows"
        links.append(
            f"[{suite['name']}]({suite['name']}.md) has {', '.join(methods)} on {tasks}: there the "
            f"encoder is {escape(suite['model'])}, ratios {ratios} counted on {suite['axis']}, "
            f"{settings['epochs']} epochs, {rows}, "
            f"{settings['trials'] or 'no'} trials"
        )
    return f"Here: {'; '.join(links)}." if links else ""
