"""Suites as a folder has them: what they were asked for, read, checked, merged and opened.

A run folder has them in `suites/`, published pages in `records/`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from bench.errors import BenchError, unknown_name
from bench.files import lock, read_checked, read_json, read_lines, write_json
from bench.protocol import SEQUENCE_LENGTH
from bench.results.challenges import scored_on
from bench.results.claims import merge_claims
from bench.results.derived import checked
from bench.results.layout import SuiteFile
from bench.results.predictions import challenges_in_store, in_store, published
from bench.results.record import Record, option_of
from bench.results.store import Store
from bench.results.studies import read_studies, suite_studies
from bench.schema import is_of, parse_json

if TYPE_CHECKING:
    from bench.results.predictions import PredictionsOf


def add_to_suite(suite: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """A suite that shows the record on its page, too.

    Raises:
        BenchError: The suite has other report rows of the task.
    """
    cell = record.cell
    if suite["data"].get(cell["task"]) != record.data["fingerprint"]:
        raise BenchError(
            f"the suite '{suite['name']}' has not run {cell['task']} on these rows: the two do not "
            "compare; --name names another suite."
        )
    name = f"{cell['method']} {record.id[:8]}"  # two checkpoints may be called the same
    label = [name, cell["task"], cell["ratio"], cell["seed"]]
    return {**suite, "cells": {**suite["cells"], record.id: label}}


SUITES, RECORDS = "suites", "records"
"""Where a run folder, and a folder of pages, says what its suites were asked for."""

RESERVED = ("readme", "published", "identity", "settings")
"""What files beside a suite's page are called: the first two where pages are published, the others
in a run folder."""

FIGURES = (
    "kept", "tuning", "curves", "cd", "perturbations", "intermediate", "challenges", "budget",
)  # fmt: skip
"""What the figures of a page are called beside its first one: `<suite>-<figure>.svg`."""


def counted_length(suite: Mapping[str, Any] | None) -> int:
    """Tokens of the example that a suite's FLOPs are counted on; the usual number without one."""
    settings = {} if suite is None else suite["settings"]
    return int(settings.get("sequence_length", SEQUENCE_LENGTH))


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
    try:
        suite: dict[str, Any] = read_checked(path, SuiteFile)
        if suite["name"] != name:
            raise BenchError(f"name: it is not {name}")
    except BenchError as error:
        raise BenchError(
            f"{path} does not describe a suite ({error}): restore it, or remove it and run the "
            "suite again, which finds its cells."
        ) from None
    return suite


def check_suite_name(name: str) -> None:
    """Raises `BenchError` for a name whose files would be a folder's own, or another suite's."""
    if name in RESERVED or name.endswith(tuple(f"-{figure}" for figure in FIGURES)):
        raise BenchError(f"a suite '{name}' would overwrite other files: give it another --name.")


def is_suite(suite: Any) -> TypeGuard[dict[str, Any]]:
    """Whether something that was read describes a suite."""
    return is_of(suite, SuiteFile)


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
    learnt = known.get("intermediates", {}), new.get("intermediates", {})
    others = {task for task, rows in learnt[0].items() if learnt[1].get(task, rows) != rows}
    before, versions = known.get("versions", {}), new.get("versions", {})
    older = {name for name in versions if before.get(name, versions[name]) != versions[name]}
    cells = {
        key: label
        for key, label in known["cells"].items()
        if label[0] not in older
        and label[1] not in changed
        and option_of(label[0], "intermediate", new["settings"]) not in others
    }
    ids = {tuple(label): key for key, label in cells.items()}
    for key, label in new["cells"].items():
        if (other := ids.get(tuple(label), key)) != key:  # the same cell of another version
            cells.pop(other, None)
        cells[key] = label
    claims = merge_claims(known.get("claims", []), new.get("claims", []))
    challenges = _merged_challenges(known, new)
    return {
        **new,
        **({"claims": claims} if claims else {}),
        **({"challenges": challenges} if challenges else {}),
        "cells": cells,
        "versions": {**before, **versions},
        "studies": {
            **{key: name for key, name in known.get("studies", {}).items() if name not in older},
            **new.get("studies", {}),
        },
        "data": {**known["data"], **new["data"]},
        **({"intermediates": learnt[0] | learnt[1]} if any(learnt) else {}),
        "commands": _joined([*known["commands"], *new["commands"]], cells),
    }


def _merged_challenges(*suites: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Challenge sets by task; of one that several have, the rows of the last count."""
    found: dict[str, dict[str, str]] = {}
    for suite in suites:
        for task, sets in suite.get("challenges", {}).items():
            found[task] = {**found.get(task, {}), **sets}
    return found


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


@dataclass(frozen=True)
class OpenSuite:
    """A suite as its folder has it.

    Attributes:
        suite: What it was asked for.
        records: Its records so far.
        answers: Where their predictions are found.
        studies: How its parameters were found, as far as that is known; see `results.studies`.
        challenged: Where their answers to challenge sets are found, by `challenge_key`.
    """

    suite: dict[str, Any]
    records: list[Record]
    answers: PredictionsOf
    studies: list[dict[str, Any]] = field(default_factory=list)
    challenged: PredictionsOf = lambda key: None


def open_suite(folder: Path, name: str | None = None) -> OpenSuite:
    """Opens a suite of a run folder, or of a folder of published pages.

    Args:
        folder: Either of them.
        name: Which suite; not needed where the folder has only one.

    Raises:
        BenchError: The folder has no suite of the name, or several and no name says which; or see
            `opened`.
    """
    suites = suites_of(folder)
    if name is None and len(suites) > 1:
        raise BenchError(f"{folder} has several suites; say --name {' or '.join(suites)}.")
    if name is not None and name not in suites:
        raise unknown_name("suite", name, suites)
    return opened(folder, suites[name or next(iter(suites))])


def opened(folder: Path, suite: dict[str, Any]) -> OpenSuite:
    """A suite of a run folder, or of a folder of published pages, by its description.

    Raises:
        BenchError: A record cannot be read, or disagrees with itself; one that disagrees with its
            predictions is refused when they are asked for.
    """
    name = suite["name"]
    if (folder / RECORDS).is_dir():
        records, path = read_records(folder, name), records_path(folder, name)
        found = published(path.with_suffix(".parquet"))
        answers = checked(records, found, str(path), lambda _: "restore the file")
        scored, found = _on_challenges(records), published(challenges_path(path))
        challenged = checked(scored, found, str(path), lambda _: "restore the file")
        return OpenSuite(suite, records, answers, read_studies(folder, name), challenged)
    store = Store(folder)
    records = suite_records(store, suite)

    def remedy(record: Record) -> str:
        cell_id = record.id.partition(".")[0]
        return f"remove {store.folder(cell_id)} and run the same command again"

    answers = checked(records, in_store(store), str(folder), remedy)
    scored, found = _on_challenges(records), challenges_in_store(store)
    challenged = checked(scored, found, str(folder), remedy)
    return OpenSuite(suite, records, answers, suite_studies(store, suite), challenged)


def _on_challenges(records: Iterable[Record]) -> list[Record]:
    return [scored for record in records for scored in scored_on(record)]


def challenges_path(records: Path) -> Path:
    """Where a folder of pages has a suite's answers to challenge sets, beside its records."""
    return records.with_suffix(".challenges.parquet")


def suites_run_in(runs: Path) -> dict[str, dict[str, Any]]:
    """The suites of a run folder, by name; none where it is new.

    Raises:
        BenchError: A file does not describe a suite.
    """
    return read_suites(runs / SUITES)


def suites_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The suites of a run folder, or of a folder of published pages, by name.

    Raises:
        BenchError: There is none.
    """
    suites = suites_run_in(folder) or read_suites(folder / RECORDS)
    if not suites:
        raise BenchError(f"{folder}: no suite has been run here; --runs names another folder.")
    return suites


def find_record(store: Store, wanted: str) -> Record:
    """The record of a cell by the beginning of its id.

    Raises:
        BenchError: No id begins so, or several do.
    """
    known = {record.id: record for record in store.records()}
    found = [key for key in known if key.startswith(wanted)]
    if not found:
        raise unknown_name(f"cell of {store.root}", wanted, known)
    if len(found) > 1:
        raise BenchError(f"'{wanted}' begins the ids of {len(found)} cells: say more of it.")
    return known[found[0]]


def suite_records(store: Store, suite: dict[str, Any]) -> list[Record]:
    """The records that a suite's cells have so far."""
    found = (store.get(cell_id) for cell_id in suite["cells"])
    return [record for record in found if record is not None]


def records_path(out: Path, name: str) -> Path:
    """Where a folder of pages has the records of a suite, a line each."""
    return out / RECORDS / f"{name}.jsonl"


def read_records(out: Path, name: str) -> list[Record]:
    """The records of a suite that lie in `out`.

    Raises:
        BenchError: The file cannot be read, or a line is no record.
    """
    path = records_path(out, name)
    records = []
    for number, line in enumerate(read_lines(path), 1):  # a shard may have had none yet
        try:
            records.append(Record.from_json(parse_json(line)))
        except (ValueError, BenchError) as error:
            raise BenchError(f"{path}:{number}: no record: {error}.") from None
    return records


def keep_suite(runs: Path, suite: dict[str, Any]) -> bool:
    """Writes what a suite was asked for into a run folder.

    One of the same name, model, axis and protocol that the folder has already is extended: its page
    shows the cells of all commands. Any other is replaced; its records stay.

    Returns:
        Whether none was replaced.

    Raises:
        OSError: The folder cannot be written.
    """
    name = suite["name"]
    with lock(runs, f"suite-{name}"):
        known = read_json(_path(runs, name))
        if not is_suite(known):  # there is none, or it is damaged
            known = suite
        same = same_suite(known, suite)
        write_json(_path(runs, name), merge_suites(known, suite) if same else suite)
    return same


def show_record(runs: Path, suite: dict[str, Any], record: Record) -> None:
    """Has the page of a run folder's suite show a checkpoint that was made elsewhere, too.

    Raises:
        BenchError: See `add_to_suite`.
        OSError: The folder cannot be written.
    """
    name = suite["name"]
    with lock(runs, f"suite-{name}"):  # another may have changed it meanwhile
        known = read_json(_path(runs, name))
        write_json(_path(runs, name), add_to_suite(known if is_suite(known) else suite, record))


def _path(runs: Path, name: str) -> Path:
    return runs / SUITES / f"{name}.json"
