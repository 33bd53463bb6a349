"""A page's claims and tables as plain text or HTML, for a terminal or a notebook."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from bench.shown import shown

if TYPE_CHECKING:
    from bench.leaderboard.page import Page

LEFT_OUT = ("starts from", "teacher", "TFLOP per seed, final run", "TFLOP per seed, with tuning")
"""Columns that only the page has room for."""


def tables_of(page: Page, form: str = "simple") -> str:
    """The verdicts of its claims, and its tables without what only the page has room for.

    Args:
        page: The page.
        form: `simple` for a terminal, `html` for a notebook.
    """
    from tabulate import tabulate

    claims = [*map(shown, page.claims)]
    lines = claims if form != "html" else [f"<p>{escape(line)}</p>" for line in claims]
    parts = ["\n".join(lines)] if lines else []
    for title, (heads, rows) in page.tables.items():
        kept = [i for i, head in enumerate(heads) if head not in LEFT_OUT]
        short = [shown(re.sub(r" \(.*", "", heads[i])) for i in kept]
        cells = [[shown(row[i]) for i in kept] for row in rows]
        grid = tabulate(cells, headers=short, tablefmt=form, disable_numparse=True)
        parts += [f"<h4>{escape(title)}</h4>" if form == "html" else title, grid]
    if any(head.startswith("average,") for heads, _ in page.tables.values() for head in heads):
        parts.append("tasks: mean ± standard deviation over seeds; average: ± half its interval")
    return "\n\n".join(parts)
