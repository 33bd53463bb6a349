"""Own data without code: a task declared in a TOML file.

    name = "support-tickets"
    train = "train.csv"         # relative to this file; .tsv, .csv, .jsonl or .parquet
    dev = "dev.csv"
    text = "subject"            # a column; or ["question", "answer"] for a pair
    label = "queue"             # a column
    labels = ["billing", "technical", "other"]  # in the order of their numbers
    metric = "accuracy"         # the default; pearson_spearman for a regression

    [challenge.typos]           # rows that models are scored on as well, and nothing else
    file = "typos.csv"          # with the same columns
    group = "kind"              # a column, if there is one: each of its values is scored by itself

Instead of `labels`, `regression = true` takes the label as a number. Files may write a label as its
name or as its number, from 0. `bench.data.tasks.rows` says how each format is read.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import metrics
from bench.data.task import (
    Challenge,
    ChallengeInfo,
    ChallengeSet,
    Source,
    Splits,
    Task,
    TaskInfo,
)
from bench.data.tasks.formats import FORMATS
from bench.data.tasks.groups import with_groups
from bench.data.tasks.rows import Layout, as_dataset, read_rows, read_splits
from bench.errors import BenchError, unknown_name
from bench.files import read_toml
from bench.inputs import MOST_LABELS
from bench.schema import Name, is_of


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_file(value: Any) -> bool:
    return _is_text(value) and Path(value).suffix in FORMATS and "\0" not in value


def _are_texts(value: Any, counts: range) -> bool:
    """Whether it is a list of different, non-empty texts."""
    return (
        isinstance(value, list)
        and len(value) in counts
        and all(map(_is_text, value))
        and len(set(map(str.strip, value))) == len(value)
    )


_FILE = f"a file that ends in {', '.join(FORMATS)}"
_NAMES = f"a list of different class names, {MOST_LABELS:,} at most"
_REQUIRED = ("name", "train", "dev", "text", "label")
_KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (
        lambda v: is_of(v, Name),
        "a name of lower case letters, digits, '-' and '_'",
    ),
    "train": (_is_file, _FILE),
    "dev": (_is_file, _FILE),
    "text": (lambda v: _is_text(v) or _are_texts(v, range(1, 3)), "a column or a list of two"),
    "label": (_is_text, "a column"),
    "labels": (lambda v: _are_texts(v, range(2, MOST_LABELS + 1)), _NAMES),
    "regression": (lambda v: isinstance(v, bool), "true or false"),
    "metric": (_is_text, "a metric"),
    "licence": (_is_text, "an SPDX identifier, such as CC-BY-4.0"),
    "challenge": (
        lambda v: isinstance(v, dict) and all(is_of(name, Name) for name in v),
        "tables [challenge.NAME], whose names are lower case letters, digits, '-' and '_'",
    ),
}
"""Every key, with a check of its value and what it must be."""

_CHALLENGE_KEYS = {"file": (_is_file, _FILE), "group": (_is_text, "a column")}
"""The same of a challenge set, which needs the first."""


class TableTask(Task):
    """A task declared in a TOML file; made by `table_task`."""

    def __init__(self, path: Path, declared: dict[str, Any]) -> None:
        """Takes a checked declaration."""
        text, labels = declared["text"], declared.get("labels")
        self._folder, self._file = path.parent, path.name
        self._train, self._dev = declared["train"], declared["dev"]
        self._layout = Layout(
            text=(text,) if isinstance(text, str) else tuple(text),
            label=declared["label"],
            named=True,
        )
        self.info = TaskInfo(  # type: ignore[misc]  # one class serves every declaration
            name=declared["name"],
            summary=f"declared in {path.name}",
            labels=None if labels is None else tuple(map(str.strip, labels)),  # as in the files
            metric=_metric(declared),
            licence=declared.get("licence", "").strip(),
        )
        self._challenges = {
            name: _DeclaredSet(self, name, said["file"], said.get("group", ""))
            for name, said in declared.get("challenge", {}).items()
        }

    @property
    def challenges(self) -> Mapping[str, ChallengeSet]:
        """The sets that the file declares."""
        return self._challenges

    def load(self, source: Source) -> Splits:
        """Reads the files that the declaration names; `source` is for tasks that have a choice."""
        return read_splits(
            self._folder,
            self._layout,
            self.info.labels,
            train=self._train,
            dev={"": self._dev},
            provenance={"source": self._file},
            limits=source.limits,
            remedy=self._remedy(),
        )

    def load_challenge(self, file: str, group: str, source: Source) -> Challenge:
        """Reads the file of a challenge set, which has the columns of the others, and a group."""
        layout = dataclasses.replace(self._layout, extra=(group,) if group else ())
        rows = read_rows(
            self._folder, file, layout, self.info.labels, source.limits, self._remedy()
        )
        return Challenge(
            rows=with_groups(as_dataset({"": rows}), lambda cells, label: [*filter(None, cells)]),
            metric=self.info.metric,
            provenance={"source": self._file, "files": f"{file} {rows.digest}"},
            skipped=tuple(rows.skipped),
        )

    def _remedy(self) -> str:
        return f"{self._file} names it, relative to its own folder."


class _DeclaredSet(ChallengeSet):
    """A challenge set that a task's file declares."""

    def __init__(self, task: TableTask, name: str, file: str, group: str) -> None:
        """Takes a checked declaration."""
        self._task, self._rows = task, (file, group)
        self.info = ChallengeInfo(name=name, summary=f"rows of {file}", tasks=(task.name,))

    def load(self, task: Task, source: Source) -> Challenge:
        """Reads the file; `source` is for sets that have a choice."""
        return self._task.load_challenge(*self._rows, source)


def table_task(path: Path) -> TableTask:
    """The task that a TOML file declares.

    Raises:
        BenchError: The file is missing, is no TOML, or declares something that cannot be; one line
            names every mistake in it.
    """
    declared = read_toml(path)
    mistakes = list(_objections(path.parent, declared))
    if mistakes:
        raise BenchError(f"{path}: {'; '.join(mistakes)}.")
    return TableTask(path, declared)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _metric(declared: dict[str, Any]) -> str:
    default = "pearson_spearman" if declared.get("regression") else "accuracy"
    return str(declared.get("metric", default))


def _objections(folder: Path, declared: dict[str, Any]) -> Iterator[str]:
    for key, value in declared.items():
        if key not in _KEYS:
            yield str(unknown_name("key", key, _KEYS)).rstrip(".")
            continue
        valid, wanted = _KEYS[key]
        if not valid(value):
            yield f"{key} = {_shown(value)} is not {wanted}"
    for key in _REQUIRED:
        if key not in declared:
            yield f"'{key}' is missing"
    if _KEYS["challenge"][0](declared.get("challenge")):
        yield from _objections_to_challenges(declared["challenge"])
    # Not Path.resolve, which fails at a link to itself.
    files = [
        os.path.realpath(folder / declared[key])
        for key in ("train", "dev")
        if _is_file(declared.get(key))
    ]
    if len(files) == 2 and files[0] == files[1]:
        yield "train and dev are the same file"
    texts = declared.get("text")
    if "label" in declared and declared["label"] in (texts if isinstance(texts, list) else [texts]):
        yield f"'{declared['label']}' is both text and label"
    regression, labels = declared.get("regression") is True, declared.get("labels")
    if regression == (labels is not None):
        given = "both" if regression else "neither"
        yield f'it needs labels = ["...", "..."] or regression = true, and has {given}'
    if wrong := metrics.objection(_metric(declared), None if regression else labels or ("", "")):
        yield wrong


def _objections_to_challenges(declared: Mapping[str, Any]) -> Iterator[str]:
    for name, said in declared.items():
        place = f"challenge.{name}"
        if not isinstance(said, dict):
            yield f"{place} = {_shown(said)} is no table with a file"
            continue
        for key, value in said.items():
            if key not in _CHALLENGE_KEYS:
                yield f"{place}: {unknown_name('key', key, _CHALLENGE_KEYS)}".rstrip(".")
            elif not _CHALLENGE_KEYS[key][0](value):
                yield f"{place}: {key} = {_shown(value)} is not {_CHALLENGE_KEYS[key][1]}"
        if "file" not in said:
            yield f"{place}: 'file' is missing"
