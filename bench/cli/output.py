"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.shown import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


EXAMPLES = "examples:"


def examples(*commands: str) -> str:
    """What a command's help ends with: a command a line."""
    return "\n".join([EXAMPLES, *(f"  {command}" for command in commands)])


def console() -> Console:
    """The console on standard output."""
    from rich.console import Console

    plain = Console(highlight=False, emoji=False)
    return plain if plain.is_terminal else Console(highlight=False, emoji=False, width=160)


def say(out: Console, *lines: str) -> None:
    """Prints lines: no markup, no breaks but those of the terminal, and nothing that it obeys."""
    for line in lines:
        out.print(shown(line), markup=False, soft_wrap=True, highlight=False)


def complain(line: str) -> None:
    """Writes a line to standard error."""
    sys.stderr.write(f"bench: {shown(' '.join(line.split()))}\n")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table of texts, in which nothing is taken for markup."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(heads))
    for head in heads:
        grid.add_column(escape(shown(head)), overflow="fold")
    for row in rows:
        grid.add_row(*(escape(shown(cell)) for cell in row))
    return grid


def emit_json(value: dict[str, Any]) -> None:
    """Writes one JSON object to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
