"""TOML files: tasks that a user declares, and options of a run."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

from bench.errors import BenchError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_LEVELS = 20
"""How deep a file may be nested; ours need three."""


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        BenchError: The file cannot be read, or is no TOML.
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise BenchError(f"{path} is no TOML: {error}.") from None
    except RecursionError:
        raise BenchError(f"{path} is nested too deep.") from None
    level: list[Any] = [content]
    for _ in range(MOST_LEVELS):
        inner = [held.values() if isinstance(held, dict) else held for held in level
                 if isinstance(held, dict | list)]  # fmt: skip
        level = list(itertools.chain.from_iterable(inner))
    if level:  # dotted keys are read to any depth, but no message could show their value
        raise BenchError(f"{path} is nested too deep.")
    return content
