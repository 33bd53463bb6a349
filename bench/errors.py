"""What can go wrong by the user's hand: one clear line each, printed without a traceback."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable

from bench.shown import shown

MOST_NAMES = 50
"""Known names that an error lists: a run folder knows thousands of cells."""

MOST_CHARACTERS = 500
"""Of a message of somebody else's code that is stored and shown."""


class BenchError(Exception):
    """Wrong usage or unreadable input; the command line prints the message and exits with 2."""

    def __str__(self) -> str:
        """One line, whatever names it quotes, with nothing that a terminal obeys."""
        return shown(" ".join(super().__str__().splitlines()))


class DivergedError(BenchError):
    """Computing met a NaN, an infinite value or a singular matrix; ends one cell, not the run."""


class UnreachableError(BenchError):
    """A compression target that a method cannot meet on this model.

    Attributes:
        best_ratio: The largest ratio that it could have met.
    """

    def __init__(self, message: str, best_ratio: float) -> None:
        super().__init__(message)
        self.best_ratio = best_ratio


def unknown_name(what: str, name: str, known: Iterable[str], hint: str = "") -> BenchError:
    """The error for a name that nobody registered, with the nearest known one.

    Args:
        what: The kind of thing, as the user calls it ("method", "task").
        name: What was asked for.
        known: All valid names.
        hint: A last sentence that says what to do.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    parts = [f"unknown {what} '{name}'."]
    if near:
        parts.append(f"Did you mean '{near[0]}'?")
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    parts.append(f"Known: {', '.join(names[:MOST_NAMES]) or 'none'}{more}.")
    if hint:
        parts.append(hint)
    return BenchError(" ".join(parts))


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    """Text of any origin as it can be stored and shown: cut, and what does not print escaped.

    Lines and tabs stay.
    """
    kept = shown(text[:most], keep="\n\t")
    return kept if len(text) <= most else f"{kept}… and {len(text) - most:,} characters more"


def text_of(error: BaseException) -> str:
    """What an error says, where it can say it."""
    try:
        return str(error)
    except Exception as another:
        return f"an error whose text cannot be had ({type(another).__name__})"


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its kind where it says nothing; fit to be shown."""
    first, *others = text_of(error).strip().splitlines() or [type(error).__name__]
    return printable(f"{first} {others[0].strip()}" if first.endswith(":") and others else first)


def kind_and_line(error: BaseException) -> str:
    """An error's kind and first line, for what comes out of code that is not ours."""
    kind, line = printable(type(error).__name__), first_line(error)
    return kind if line == kind else f"{kind}: {line}"


def require(*packages: str, extra: str = "engines") -> None:
    """Checks that packages of an optional extra are installed.

    Args:
        packages: The packages.
        extra: The extra that brings them.

    Raises:
        BenchError: One is missing; it names the line that installs it.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise BenchError(
            f"not installed: {', '.join(missing)}; pip install 'prunebench[{extra}]' brings it."
        )
