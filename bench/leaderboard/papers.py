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
from bench.leaderboard.templating import render_markdown
from bench.results.record import DENSE

DATA, PAGE = "published.toml", "published.md"

KEYS = ("id", "title", "source", "model", "split", "differs", "methods", "columns", "rows", "notes")


def make_published(path: Path, suites: Sequence[Mapping[str, Any]]) -> str:
    """The page's Markdown.

    Args:
        path: The data file: a `[[table]]` each with the keys `KEYS`.
        suites: What our own suites were asked for; a table links to those with one of its methods.

    Raises:
        BenchError: The file cannot be read, or a table lacks a key or a cell.
    """
    tables: dict[str, dict[str, Any]] = {}
    for number, table in enumerate(read_toml(path).get("table", []), 1):
        where = f"{path}: table {number}"
        if missing := [key for key in KEYS if key not in table]:
            raise BenchError(f"{where} lacks {', '.join(missing)}.")
        if table["id"] in tables:
            raise BenchError(f"{where}: the id '{table['id']}' comes twice.")
        for row in table["rows"]:
            if len(row) != len(table["columns"]):
                raise BenchError(f"{where}: {row[:1]} has not {len(table['columns'])} cells.")
        cells = [[str(cell) for cell in row] for row in table["rows"]]
        pages = _pages_with(table["methods"], suites)
        tables[table["id"]] = {**table, "cells": cells, "pages": pages}
    content = render_markdown("published.md", file=path.name, tables=[*tables.values()])
    return f"{content}\n"


def _pages_with(methods: Sequence[str], suites: Sequence[Mapping[str, Any]]) -> list[str]:
    """The pages that have one of the methods.

    The dense model does not count: every page has it, so that it tells no page from another.
    """
    wanted = set(methods) - {DENSE}
    return [
        suite["name"]
        for suite in suites
        if wanted & {cell[0].partition(":")[0] for cell in suite["cells"].values()}
    ]
