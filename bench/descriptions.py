"""What a folder says of its suites: a file each, checked, compared and merged.

A run folder has them in `suites/`, published pages in `records/`.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, TypeGuard

from bench.errors import BenchError
from bench.files import NAME, read_json

RESERVED = ("readme", "published", "identity", "settings")
"""What files beside a suite's page are called: the first two where pages are published, the others
in a run folder. `<suite>-kept` is a suite's second figure."""

SUITE_KEYS = {
    "name": str,
    "model": str,
    "weights": str,
    "axis": str,
    "protocol": str,
    "settings": dict,
    "data": dict,
    "commands": list,
    "workers": int,
    "cells": dict,
}
"""What a suite's description has at least, and of what type."""
SETTINGS_KEYS = {"trials", "epochs", "batch_size", "dropout", "precision", "max_train_samples"}


def read_suites(folder: Path) -> dict[str, dict[str, Any]]:
    """The suites that a folder describes, a file each, by name.

    Raises:
        BenchError: A file does not describe a suite.
    """
    names = [path.stem for path in sorted(folder.glob("*.json"))]
    found = {name: read_suite(folder, name) for name in names}
    return {name: suite for name, suite in found.items() if suite is not None}


def read_suite(folder: Path, name: str) -> dict[str, Any] | None:
    """What a folder says of one suite; `None` where it has none of the name.

    Raises:
        BenchError: The file does not describe a suite of its name.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    suite = read_json(path)
    if not is_suite(suite) or suite["name"] != name:
        raise BenchError(
            f"{path} does not describe a suite: restore it, or remove it and run the suite again, "
            "which finds its cells."
        )
    return suite


def check_suite_name(name: str) -> None:
    """Raises `BenchError` for a name whose files would be a folder's own, or another suite's."""
    if name in RESERVED or name.endswith("-kept"):
        raise BenchError(f"a suite '{name}' would overwrite other files: give it another --name.")


def is_suite(suite: Any) -> TypeGuard[dict[str, Any]]:
    """Whether something that was read describes a suite."""
    return (
        isinstance(suite, dict)
        and all(isinstance(suite.get(key), kind) for key, kind in SUITE_KEYS.items())
        and NAME.fullmatch(suite["name"]) is not None
        and suite["settings"].keys() >= SETTINGS_KEYS
        and all(
            isinstance(cell, list)
            and list(map(type, cell)) in ([str, str, float, int], [str, str, int, int])
            for cell in suite["cells"].values()
        )
    )


def same_suite(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the records of two descriptions may stand in one table."""
    keys = ("name", "model", "weights", "axis", "protocol")
    return all(one.get(key) == other[key] for key in keys)


def tasks_of_other_data(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Tasks that two descriptions share by name, but not by their rows."""
    return [task for task, rows in other["data"].items() if one["data"].get(task, rows) != rows]


def merge_suites(known: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Two descriptions of the same suite as one; what `new` says of a cell or of a task counts.

    Nor do cells of a method stay that `new` has in another version: they would share a row.
    """
    changed = tasks_of_other_data(known, new)
    before, versions = known.get("versions", {}), new.get("versions", {})
    older = {name for name in versions if before.get(name, versions[name]) != versions[name]}
    cells = {
        key: label
        for key, label in known["cells"].items()
        if label[0] not in older and label[1] not in changed
    }
    ids = {tuple(label): key for key, label in cells.items()}
    for key, label in new["cells"].items():
        if (other := ids.get(tuple(label), key)) != key:  # the same cell of another version
            cells.pop(other, None)
        cells[key] = label
    return {
        **new,
        "cells": cells,
        "versions": {**before, **versions},
        "studies": {
            **{key: name for key, name in known.get("studies", {}).items() if name not in older},
            **new.get("studies", {}),
        },
        "data": {**known["data"], **new["data"]},
        "commands": _joined([*known["commands"], *new["commands"]], cells),
    }


def _joined(commands: list[str], cells: dict[str, Any]) -> list[str]:
    """Commands, where those that differ in methods and tasks alone have become one.

    That is, if one of them asks for all of it, or if the suite has each method on each task; else
    the one would ask for more than they.
    """
    done = {(method, task) for method, task, *_ in cells.values()}
    joined: list[dict[str, str]] = []
    for command in commands:
        said = dict(part.partition(" ")[::2] for part in re.split(r" (?=--)", command))
        for other in joined:
            if said == other:
                break
            lists = {
                name: _united(other.get(name, ""), said.get(name, ""))
                for name in ("--methods", "--tasks")
            }
            union = {name: ",".join(values) for name, values in lists.items()}
            alike = {**said, **union} == {**other, **union}
            one_asks_for_all = any({**c, **union} == c for c in (said, other))
            if alike and (one_asks_for_all or done.issuperset(itertools.product(*lists.values()))):
                other.update(union)
                break
        else:
            joined.append(said)
    return [" ".join(f"{name} {value}".strip() for name, value in c.items()) for c in joined]


def _united(one: str, other: str) -> list[str]:
    """The names of two lists; `all` stands for each that pins no parameter."""
    names = list(dict.fromkeys(f"{one},{other}".split(",")))
    return [name for name in names if name == "all" or "all" not in names or ":" in name]
