"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bench.leaderboard.page import Page


def console() -> Console:
    """The console on standard output."""
    from rich.console import Console

    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=160)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table of texts, in which nothing is taken for markup."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(heads))
    for head in heads:
        grid.add_column(escape(head), overflow="fold")
    for row in rows:
        grid.add_row(*map(escape, row))
    return grid


def emit_json(value: dict[str, Any]) -> None:
    """Writes one JSON object to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def for_terminal(page: Page) -> str:
    """The page's tables for a terminal, without the columns that only the page has room for."""
    from tabulate import tabulate

    parts = []
    for title, (heads, rows) in page.tables.items():
        last = heads.index("weights ×")
        shown = [i for i in range(last + 1) if heads[i] not in ("starts from", "teacher")]
        short = [re.sub(r" \(.*", "", heads[i]) for i in shown]
        cells = [[re.sub(r"<sup>.*?</sup>", "", row[i]) for i in shown] for row in rows]
        grid = tabulate(cells, headers=short, tablefmt="simple", disable_numparse=True)
        parts.append(f"{title}\n\n{grid}")
    if any(head.startswith("average,") for heads, _ in page.tables.values() for head in heads):
        parts.append("tasks: mean ± standard deviation over seeds; average: ± half its interval")
    return "\n\n".join(parts)
