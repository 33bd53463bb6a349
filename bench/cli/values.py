"""What options of the command line may be: from a word to a value, or one clear line."""

from __future__ import annotations

import argparse
import re

from bench.errors import BenchError
from bench.patterns import split_names
from bench.results.seeds import seeds_of


def names(text: str) -> list[str]:
    """A list of names that commas separate; a comma within one stands behind a backslash."""
    found = split_names(text)
    if not found:
        raise argparse.ArgumentTypeError("it names nothing")
    return found


def ratios(text: str) -> list[float]:
    """Ratios that commas separate, each above 1."""
    from bench.compression.target import parse_ratio

    return [parse_ratio(part) for part in text.split(",")]


def positive(text: str, least: int = 1) -> int:
    """A whole number of at least `least`."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least {least}")
    return number


def seeds(text: str) -> tuple[int, ...]:
    """Report seeds: a number of them, or seeds and ranges."""
    try:
        return seeds_of(text)
    except BenchError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """A whole number of at least 0."""
    return positive(text, least=0)


def hours(text: str) -> float:
    """A positive number of hours."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number of hours")
    return number


def gigabytes(text: str) -> float:
    """A number of gigabytes of at least 0."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of gigabytes (0 for none)")
    return number


def memory(text: str) -> float:
    """A positive number of gigabytes."""
    if (number := gigabytes(text)) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number of gigabytes")
    return number


def shard(text: str) -> tuple[int, int]:
    """A part of a plan, and of how many: `I/N`."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form I/N with I from 1 to N")
    return int(match[1]), int(match[2])
