"""The revision of the hub's data that a folder was begun with: what it finds once, it keeps.

Otherwise a run that goes on after the hub's copy has changed would have other rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import lock, read_json, write_json

if TYPE_CHECKING:
    from bench.data.task import Source

FILE = "revisions.json"


def pinned(source: Source, name: str, folder: Path) -> Source:
    """The source with the revision that a folder keeps for some rows, unless it names its own.

    Args:
        source: Where rows may come from.
        name: The task whose rows they are, or a name of other rows.
        folder: Where tokenised rows are kept.
    """
    if source.data_dir is not None or source.revision is not None:
        return source
    revision = _read(folder).get(name)
    return dataclasses.replace(source, revision=revision)


def pin(provenance: Mapping[str, Any], name: str, folder: Path) -> None:
    """Keeps the revision that rows came from, if they came from the hub; `name` as for `pinned`.

    Raises:
        OSError: The folder cannot be written.
    """
    revision = provenance.get("revision")
    if isinstance(revision, str) and _read(folder).get(name) != revision:
        with lock(folder, FILE):
            write_json(folder / FILE, {**_read(folder), name: revision})


def _read(folder: Path) -> dict[str, str]:
    known = read_json(folder / FILE)
    if not isinstance(known, dict):
        return {}
    return {task: revision for task, revision in known.items() if isinstance(revision, str)}
