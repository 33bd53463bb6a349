"""What a caller from Python may say, as what a request holds: one clear line where it is neither.

Numbers of numpy are numbers, a path is a text, and one thing is a list of it.
"""

from __future__ import annotations

import numbers
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.compression.target import check_ratio, parse_ratio
from bench.errors import BenchError
from bench.patterns import split_names


def text(name: str, value: Any) -> str | None:
    """A text or a path; `None` where nothing is said."""
    if value is None:
        return None
    found = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if isinstance(found, str) and found and "\0" not in found:
        return found
    raise BenchError(f"{name} is a text, not {_shown(value)}.")


def path(name: str, value: Any) -> Path | None:
    """A path; `None` where nothing is said."""
    found = text(name, value)
    return None if found is None else Path(found)


def names(name: str, value: Any) -> tuple[str, ...]:
    """Names; one text may hold several, which commas separate, and paths are names, too."""
    said = [value] if isinstance(value, str | os.PathLike) else value
    if not isinstance(said, Iterable) or isinstance(said, bytes):
        raise BenchError(f"{name} are names, not {_shown(value)}.")
    found: list[str] = []
    for one in said:
        whole = text(name, one)
        found += [whole or ""] if isinstance(one, os.PathLike) else split_names(whole or "")
    if not found:
        raise BenchError(f"{name}: {_shown(value)} names nothing.")
    return tuple(found)


def whole(name: str, value: Any) -> int | None:
    """A whole number; `None` where nothing is said."""
    if value is None:
        return None
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise BenchError(f"{name} is a whole number, not {_shown(value)}.")


def number(name: str, value: Any) -> float | None:
    """A number; `None` where nothing is said."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise BenchError(f"{name} is a number, not {_shown(value)}.")
    return float(value)


def ratios(value: Any) -> tuple[float, ...] | None:
    """Wanted ratios: one or several, as numbers or as texts; `None` where nothing is said."""
    if value is None:
        return None
    said = value.split(",") if isinstance(value, str) else value
    several = isinstance(said, Iterable) and not isinstance(said, bytes)
    found = tuple(_ratio(one) for one in said) if several else (_ratio(said),)
    if not found:
        raise BenchError("ratios: none is named.")
    return found


def part(value: Any) -> tuple[int, int]:
    """The I-th of N parts of a plan."""
    try:
        first, parts = (whole("shard", one) for one in value)
    except (TypeError, ValueError):
        first = parts = None
    if first is None or parts is None or not 1 <= first <= parts:
        raise BenchError(f"shard is (I, N), the I-th of N parts, not {_shown(value)}.")
    return first, parts


def _ratio(value: Any) -> float:
    if isinstance(value, str):
        return parse_ratio(value)
    known = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return check_ratio(float(value) if known else value)


def _shown(value: Any) -> str:
    """A value in a message of one line."""
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 60 else f"{shown[:59]}…"
