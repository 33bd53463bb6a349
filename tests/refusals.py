"""What a refused command looks like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness import Result


def assert_refused(result: Result, *said: str) -> None:
    """One line on standard error, status 2, and nothing was run."""
    assert result.status == 2
    assert result.err.startswith("bench: ")
    assert result.err.endswith("\n")
    assert result.err.count("\n") == 1
    for text in said:
        assert text in result.err
    assert not list(Path().rglob("record.json"))
