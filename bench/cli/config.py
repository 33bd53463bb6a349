"""A file of options: what it says, as the words of a command line, and the claims in it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from bench.errors import BenchError, unknown_name
from bench.patterns import join_names
from bench.results.seeds import said_seeds, seeds_of

CLAIMS = "claims"
"""What a file says beside options."""


def config_claims(path: Path) -> Any:
    """The claims of a file of options, as they stand there.

    Raises:
        BenchError: The file cannot be read.
    """
    from bench.files import read_toml

    return read_toml(path).get(CLAIMS, ())


def config_words(path: Path, options: Collection[str]) -> list[str]:
    """Turns a file of options into the words that would say the same on the command line.

    Args:
        path: A TOML file; its keys are long options without their dashes, and `claims`.
        options: The long options that there are, with their dashes.

    Raises:
        BenchError: The file cannot be read, or has a key that is no option, or a NUL.
    """
    from bench.files import read_toml

    words: list[str] = []
    for key, value in read_toml(path).items():
        if key == CLAIMS:
            continue
        option = f"--{key.replace('_', '-')}"
        if option not in options or option in ("--config", "--help"):
            known = {name.lstrip("-") for name in options if name.startswith("--")}
            raise unknown_name(f"option in {path}", key, known - {"help", "config"})
        if value is True:
            words.append(option)
        elif isinstance(value, list):
            listed = said_seeds(seeds_of(value)) if key == "seeds" else _listed(value)
            words += [option, listed]
        elif value is not False:
            words += [option, str(value)]
        if any("\0" in word for word in words):
            raise BenchError(f"'{key}' in {path} holds a NUL character.")
    return words


def _listed(values: list[Any]) -> str:
    """A list of a file as the command line says it; a path in it may hold commas."""
    return ",".join(
        join_names([str(value)]) if str(value).endswith(".toml") else str(value) for value in values
    )
