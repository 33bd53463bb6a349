"""What a page repeats of a command, and what a file says of one."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from bench.errors import BenchError, unknown_name


def portable_command(words: Sequence[str], precision: str | None = None) -> str:
    """The command that repeats a run on another machine: no path of this one is in it.

    The data folder becomes `$GLUE_DIR`, the folder that holds a local model `$MODEL_DIR`, that of a
    task's file `$TASK_DIR`, that of a text `$TEXT_DIR`; where it ran, on how many machines and
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
        "--config",
        "--rerun",
        "--storage",
        "--keep-models",
    )
    for option in local:
        said.pop(option, None)
    if precision is not None:
        said["--precision"] = [precision]
    parts = ["bench", "run"]
    for option, values in said.items():
        parts.append(option)
        parts += [_portable(option, value) for value in values]
    return " ".join(parts)


def _portable(option: str, value: str) -> str:
    from bench.hub import local_path

    if option == "--data-dir":
        return "$GLUE_DIR"
    if option == "--model" and value != "demo" and local_path(value).exists():
        return f"$MODEL_DIR/{shlex.quote(Path(value).resolve().name)}"
    if option == "--probe-text" or (option == "--corpus" and local_path(value).exists()):
        return f"$TEXT_DIR/{shlex.quote(Path(value).name)}"
    if option == "--tasks":
        names = value.split(",")
        return ",".join(
            f"$TASK_DIR/{shlex.quote(Path(name).name)}" if name.endswith(".toml") else name
            for name in names
        )
    return shlex.quote(value)


def config_words(path: Path, options: Collection[str]) -> list[str]:
    """Turns a file of options into the words that would say the same on the command line.

    Args:
        path: A TOML file; its keys are long options without their dashes.
        options: The long options that there are, with their dashes.

    Raises:
        BenchError: The file cannot be read, or has a key that is no option, or a NUL.
    """
    from bench.files import read_toml

    words: list[str] = []
    for key, value in read_toml(path).items():
        option = f"--{key.replace('_', '-')}"
        if option not in options or option in ("--config", "--help"):
            known = {name.lstrip("-") for name in options if name.startswith("--")}
            raise unknown_name(f"option in {path}", key, known - {"help", "config"})
        if value is True:
            words.append(option)
        elif isinstance(value, list):
            words += [option, ",".join(map(str, value))]
        elif value is not False:
            words += [option, str(value)]
        if any("\0" in word for word in words):
            raise BenchError(f"'{key}' in {path} holds a NUL character.")
    return words
