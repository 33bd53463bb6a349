"""Records that somebody sends, read piece by piece: what cannot be read hides nothing beside it.

Nothing is written, and no code of others is run.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.checksums import read_sums, sum_of
from bench.errors import BenchError
from bench.files import read_checked, read_lines
from bench.results.layout import PageFile, StudyFile, SuiteFile
from bench.results.predictions import (
    FILE,
    challenge_key,
    challenges_in_store,
    in_store,
    predictions_of,
    read_published,
)
from bench.results.record import Record
from bench.results.settings import SETTINGS, read_settings
from bench.results.store import Store, challenge_file
from bench.results.studies import PublishedStudy, summary_path
from bench.results.suites import RECORDS, SUITES, challenges_path
from bench.schema import check, parse_json

if TYPE_CHECKING:
    from bench.results.predictions import Predictions


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that cannot be checked.

    Attributes:
        where: File, perhaps with its line, and cell or study.
        what: What is wrong with it, in a few words.
        is_error: Whether it is wrong; otherwise it is a note.
    """

    where: str
    what: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'note'}: {self.where}: {self.what}"


@dataclass
class Received:
    """A suite as it was sent, as far as it can be read.

    Attributes:
        place: The file or folder that its records lie in.
        suite: What it was asked for; `None` where that cannot be read.
        records: By id: where each was read, and the record.
        studies: By id: the same of studies.
        predictions: By id: predictions, or why they cannot be read.
        page: What the page's JSON says, where there is one.
        findings: What could not be read.
    """

    place: Path
    suite: dict[str, Any] | None = None
    records: dict[str, tuple[str, Record]] = field(default_factory=dict)
    studies: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    predictions: dict[str, Predictions | BenchError] = field(default_factory=dict)
    page: dict[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)

    def error(self, where: object, what: object) -> None:
        """Adds that something is wrong."""
        self.findings.append(Finding(str(where), str(what).rstrip(".")))


def receive(path: Path) -> Iterator[Received]:
    """Reads a run folder, a folder of pages, or one suite's `records/<suite>.jsonl`.

    Raises:
        BenchError: It is none of them.
    """
    if path.is_file() and path.suffix == ".jsonl" and not path.stem.endswith(".studies"):
        yield _published(path)
    elif (path / RECORDS).is_dir():
        files = (path / RECORDS).iterdir()
        names = {file.name.partition(".")[0] for file in files if not file.name.startswith(".")}
        for name in sorted(names):
            yield _published(path / RECORDS / f"{name}.jsonl")
    elif (path / SUITES).is_dir() and (described := sorted((path / SUITES).glob("*.json"))):
        yield from (_of_run(path, file) for file in described)
    else:
        raise BenchError(
            f"{path} is neither a run folder, nor a folder of pages, nor one of its "
            "records/<suite>.jsonl."
        )


def _published(path: Path) -> Received:
    """A suite of published pages, by the file of its records."""
    found = Received(path)
    found.suite = _suite(found, path.with_suffix(".json"))
    for where, plain in _lines(found, path):
        try:
            record = Record.from_json(plain)
        except BenchError as error:
            found.error(where, f"no record: {error}")
            continue
        _add(found, found.records, record.id, where, record)
    tried = path.with_suffix(".studies.jsonl")
    for where, plain in _lines(found, tried) if tried.exists() else ():
        try:
            check(plain, PublishedStudy)
        except BenchError as error:
            found.error(where, f"no study: {error}")
            continue
        _add(found, found.studies, plain["id"], where, plain)
    for predicted in (path.with_suffix(".parquet"), challenges_path(path)):
        try:
            tables = read_published(predicted)
        except BenchError as error:
            found.error(predicted, error)
            tables = {}
        for cell, table in tables.items():
            find = functools.partial(predictions_of, table, f"{predicted}: cell {cell}")
            found.predictions[cell] = _or_error(find)
    if path.parent.name == RECORDS:
        with contextlib.suppress(BenchError):  # it may not be made yet, or be an older one
            found.page = read_checked(path.parent.parent / f"{path.stem}.json", PageFile)
    return found


def _of_run(runs: Path, described: Path) -> Received:
    """A suite of a run folder."""
    found, store = Received(runs), Store(runs)
    found.suite = _suite(found, described)
    if found.suite is None:
        return found
    try:
        read_settings(runs)
    except BenchError as error:
        found.error(runs / SETTINGS, error)
    find = in_store(store, sealed=False)  # which would write the sums that lack
    challenged = challenges_in_store(store, sealed=False)
    for cell in found.suite["cells"]:
        folder = store.folder(cell)
        where = folder / "record.json"
        if where.exists():
            try:
                record = Record.from_json(read_checked(where, object))
            except BenchError as error:
                found.error(where, f"no record: {error}")
                continue
            if record.id != cell:
                found.error(where, f"it is the record of cell {record.id}")
                continue
            found.records[cell] = (str(where), record)
            for name in record.challenges or {}:
                key, file = challenge_key(cell, name), folder / challenge_file(name)
                _add_answers(found, key, file, functools.partial(challenged, key))
        _add_answers(found, cell, folder / FILE, functools.partial(find, cell))
    for study in found.suite.get("studies", {}):
        if (where := summary_path(store, study)).exists():
            try:
                found.studies[study] = (str(where), read_checked(where, StudyFile))
            except BenchError as error:
                found.error(where, f"no study: {error}")
    return found


def _add_answers(
    found: Received, key: str, file: Path, find: Callable[[], Predictions | None]
) -> None:
    """Adds the predictions of a file of a run folder, if it is there."""
    if not file.exists():
        return
    found.predictions[key] = _or_error(find)
    wanted = read_sums(file.parent).get(file.name)
    if wanted is not None and file.is_file() and wanted != sum_of(file):
        found.error(file, "it does not match its checksum")


def _suite(found: Received, path: Path) -> dict[str, Any] | None:
    try:
        suite: dict[str, Any] = read_checked(path, SuiteFile)
    except BenchError as error:
        found.error(path, f"it does not describe a suite: {error}")
        return None
    if suite["name"] != path.stem:
        found.error(path, f"its name is {suite['name']}")
        return None
    return suite


def _lines(found: Received, path: Path) -> Iterator[tuple[str, Any]]:
    """What each line of a file says, with its place; what is no JSON is a finding."""
    try:
        lines = read_lines(path)
    except BenchError as error:
        found.error(path, error)
        return
    for number, line in enumerate(lines, 1):
        try:
            plain = parse_json(line)
        except ValueError as error:
            found.error(f"{path}:{number}", f"no JSON: {error}")
            continue
        yield f"{path}:{number}", plain


def _add(
    found: Received, known: dict[str, tuple[str, Any]], key: str, where: str, one: Any
) -> None:
    if key in known:
        found.error(where, f"{key} comes twice: it is in {known[key][0]}, too")
    else:
        known[key] = (where, one)


def _or_error(find: Callable[[], Predictions | None]) -> Predictions | BenchError:
    try:
        return find() or BenchError("there are none")
    except BenchError as error:
        return error
