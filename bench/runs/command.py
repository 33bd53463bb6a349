"""What a page repeats of a command: options by their long names, and no path of this machine."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.patterns import join_names, split_names
from bench.results.seeds import said_seeds

if TYPE_CHECKING:
    from bench.runs.request import Request

OPTIONS = {"axis": "match", "published": None, "claims": None, "budget": None}
"""Fields of a request whose option has another name, or none."""


def words_of(request: Request) -> list[str]:
    """The words of a command line that asks for the same; what has its default is not said."""
    words: list[str] = []
    for field in dataclasses.fields(request):
        value, name = getattr(request, field.name), OPTIONS.get(field.name, field.name)
        if value == field.default or name is None:
            continue
        words.append(f"--{'no-' if value is False else ''}{name.replace('_', '-')}")
        if name == "seeds":
            words.append(said_seeds(value))
        elif isinstance(value, list | tuple):
            words.append(join_names(f"{v:g}" if isinstance(v, float) else str(v) for v in value))
        elif not isinstance(value, bool):
            words.append(str(value))
    return words


def portable_command(
    words: Sequence[str], precision: str | None = None, command: str = "run"
) -> str:
    """The command that repeats a run on another machine: no path of this one is in it.

    The data folder becomes `$GLUE_DIR`, the folder that holds a local model `$MODEL_DIR`, that of a
    task's file `$TASK_DIR`, that of a text `$TEXT_DIR`, that of challenge sets `$CHALLENGE_DIR`;
    where it ran, on how many machines and
    what it kept is left out. A precision that the words leave to the hardware is said.
    """
    said: dict[str, list[str]] = {}
    option = ""
    for word in itertools.chain.from_iterable(
        word.split("=", 1) if word.startswith("--") else [word] for word in words
    ):
        if word.startswith("--"):
            option = word
            said[option] = []  # the last one said counts
        else:
            said[option].append(word)
    local = (
        "--runs",
        "--shard",
        "--max-hours",
        "--cell-hours",
        "--cell-memory-gb",
        "--config",
        "--rerun",
        "--storage",
        "--on",
        "--workers-per-gpu",
        "--keep-models",
        "--track",
    )
    for option in local:
        said.pop(option, None)
    if precision is not None:
        said["--precision"] = [precision]
    parts = ["bench", command]
    for option, values in said.items():
        parts.append(option)
        parts += [_portable(option, value) for value in values]
    return " ".join(parts)


def _portable(option: str, value: str) -> str:
    from bench.hub import local_path, repository_of

    if option == "--data-dir":
        return "$GLUE_DIR"
    if option == "--challenge-dir":
        return "$CHALLENGE_DIR"
    if (
        option in ("--model", "--generator")
        and value != "demo"
        and (folder := local_path(value)).exists()
    ):
        own = f"$MODEL_DIR/{shlex.quote(folder.resolve().name)}"
        return repository_of(folder) or own
    if option == "--probe-text" or (option == "--corpus" and local_path(value).exists()):
        return f"$TEXT_DIR/{shlex.quote(Path(value).name)}"
    if option == "--methods":
        value = re.sub(r"(?<=:intermediate=)[^:,]*/(?=[^:,/]*\.toml)", "$TASK_DIR/", value)
        return value if "$" in value else shlex.quote(value)
    if option in ("--task", "--adapt-from", "--intermediate") and value.endswith(".toml"):
        return f"$TASK_DIR/{shlex.quote(Path(value).name)}"
    if option == "--tasks":
        return ",".join(
            f"$TASK_DIR/{shlex.quote(join_names([Path(name).name]))}"
            if name.endswith(".toml")
            else name
            for name in split_names(value)
        )
    return shlex.quote(value)
