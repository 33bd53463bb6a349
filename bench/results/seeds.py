"""Report seeds: which there may be, and how a command and a page say them."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Iterable
from typing import Any

from bench.errors import BenchError

TRIAL_SEED = 1000
"""The seed of every trial: report seeds lie below it."""

FORMS = "say a number N for the seeds 0 to N−1, or seeds and ranges of them, such as 10-14 or 0-2,7"


def seeds_of(value: Any) -> tuple[int, ...]:
    """The seeds that a text, a number or a list says, in ascending order.

    Args:
        value: A number N, which means 0 … N−1, also as a text; a text of seeds and ranges
            (`10-14`, `0-2,7`, `7-7`); or a list of seeds.

    Raises:
        BenchError: It says none of these, or a seed that trials have or that lies beyond.
    """
    if isinstance(value, str) and ("," in value or "-" in value.strip()[1:]):
        found = {seed for part in value.split(",") for seed in _range(part, value)}
    elif isinstance(value, str | bytes) or not isinstance(value, Iterable):
        found = set(_first(value))
    else:
        found = {_whole(seed, value) for seed in value}
    if not found or min(found) < 0:
        raise _no_seeds(value)
    if max(found) >= TRIAL_SEED:
        raise BenchError(f"seed {max(found)}: seeds lie below {TRIAL_SEED}.")
    return tuple(sorted(found))


def said_seeds(seeds: Iterable[int]) -> str:
    """Seeds as `seeds_of` reads them back: `3`, `10-14`, `0-2,7-7`."""
    wanted = sorted(set(seeds))
    if wanted == list(range(len(wanted))):
        return str(len(wanted))
    return ",".join(f"{first}-{last}" for first, last in _runs(wanted))


def listed_seeds(seeds: Iterable[int]) -> str:
    """Seeds in words: `seed 7`, `seeds 0, 1`, `seeds 0–2, 7`."""
    wanted = sorted(set(seeds))
    parts: list[str] = []
    for first, last in _runs(wanted):
        few = range(first, last + 1) if last - first < 2 else ()
        parts += map(str, few) if few else [f"{first}–{last}"]
    return f"seed{'s' * (len(wanted) > 1)} {', '.join(parts)}"


def _runs(seeds: list[int]) -> list[tuple[int, int]]:
    """First and last of each run of neighbours."""
    runs = itertools.groupby(enumerate(seeds), key=lambda pair: pair[1] - pair[0])
    found = [[seed for _, seed in run] for _, run in runs]
    return [(run[0], run[-1]) for run in found]


def _range(part: str, said: str) -> range:
    match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part, re.ASCII)
    if not match:
        raise _no_seeds(said)
    first, last = int(match[1]), int(match[2] or match[1])
    if last >= TRIAL_SEED:  # before a range of millions is written out
        raise BenchError(f"seed {last}: seeds lie below {TRIAL_SEED}.")
    if last < first:
        raise _no_seeds(said)
    return range(first, last + 1)


def _first(value: Any) -> range:
    try:
        count = int(value) if isinstance(value, str) else _whole(value, value)
    except ValueError:
        raise _no_seeds(value) from None
    if count < 1:
        raise BenchError(f"seeds '{value}': a whole number of at least 1; {FORMS}.")
    if count > TRIAL_SEED:
        raise BenchError(f"{count} seeds: {TRIAL_SEED} at most.")
    return range(count)


def _whole(value: Any, said: Any) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise _no_seeds(said)


def _no_seeds(said: Any) -> BenchError:
    shown = " ".join(str(said).split())
    return BenchError(f"seeds '{shown if len(shown) <= 60 else shown[:59] + '…'}': {FORMS}.")
