"""What names have to look like: they become files, folders and table cells."""

from __future__ import annotations

import re
from collections.abc import Iterable

ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,159}\Z"
"""What the name of a file or folder is that comes out of another file, such as an id."""

NAME = r"^[a-z0-9][a-z0-9_-]{0,99}\Z"
"""What a method, a task or a suite may be called."""


def split_names(text: str) -> list[str]:
    """The names of a list that commas separate; behind a backslash one is part of a name."""
    parts = re.split(r"(?<!\\),", text)
    return [name for part in parts if (name := part.replace("\\,", ",").strip())]


def join_names(names: Iterable[str]) -> str:
    """A list that `split_names` reads as these names."""
    return ",".join(name.replace(",", "\\,") for name in names)
