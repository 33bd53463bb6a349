"""What names have to look like: they become files, folders and table cells."""

from __future__ import annotations

ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,159}\Z"
"""What the name of a file or folder is that comes out of another file, such as an id."""

NAME = r"^[a-z0-9][a-z0-9_-]{0,99}\Z"
"""What a method, a task or a suite may be called."""
