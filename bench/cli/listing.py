"""What `bench methods` and `bench tasks` have in common: a listing of what is registered."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bench.cli.output import console, emit_json, say, table

if TYPE_CHECKING:
    from bench.registry import Registry


def show(
    arguments: argparse.Namespace,
    registered: Registry[Any],
    *,
    heads: Sequence[str],
    row: Callable[[Any], list[str]],
    facts: Callable[[Any], dict[str, Any]] = lambda one: {},
    notes: Callable[[Any], Sequence[str]] = lambda one: (),
) -> int:
    """Prints everything that is registered, and every plugin that could not be loaded.

    Args:
        arguments: Whether JSON is wanted.
        registered: Methods or tasks.
        heads: Of the columns behind the name.
        row: The columns of one.
        facts: What JSON says beside its metadata.
        notes: What there is to say of one below the table.
    """
    usable, broken = registered.usable(), registered.broken()
    if arguments.json:
        listed = [
            {
                **dataclasses.asdict(one.info),
                "distribution": registered.distribution(name),
                **facts(one),
            }
            for name, one in usable.items()
        ]
        emit_json(
            {
                f"{registered.what}s": listed,
                "broken": [dataclasses.asdict(entry) for entry in broken],
            }
        )
        return 0
    out = console()
    out.print(table([registered.what, *heads], [[name, *row(one)] for name, one in usable.items()]))
    for one in usable.values():
        for note in notes(one):
            say(out, note)
    for entry in broken:
        say(out, f"broken: {entry}")
    return 0
