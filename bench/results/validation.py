"""Whether records that somebody sends agree: with themselves, each other, their suite and studies.

What is wrong is an error. What this installation cannot know, such as a method of a plugin that it
does not have, is a note.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.protocol import UNSAID, Protocol, meets
from bench.results.challenges import scored_on
from bench.results.derived import (
    EXACT,
    disagreements_with,
    name_of,
    own_disagreements,
    same_rows,
)
from bench.results.layout import SCORED
from bench.results.predictions import Predictions, predictions_hash
from bench.results.received import Finding
from bench.results.record import cell_id, option_of, record_hash, start_hash
from bench.results.seeds import TRIAL_SEED
from bench.results.suites import check_suite_name

if TYPE_CHECKING:
    from bench.results.received import Received
    from bench.results.record import Record


def findings(
    received: Received, methods: Collection[str], tasks: Collection[str]
) -> Iterator[Finding]:
    """All that is wrong with a suite that was sent, and what cannot be checked of it.

    Args:
        received: The suite.
        methods: Names of the methods that are known here.
        tasks: Names of the tasks that are known here.
    """
    yield from received.findings
    if received.suite is not None:
        yield from _of_suite(received, received.suite, methods, tasks)
        for where, record in received.records.values():
            for wrong in _beside_suite(record, received.suite):
                yield Finding(f"{where}: cell {name_of(record)}", wrong)
        for key, (where, study) in received.studies.items():
            for wrong in _of_study(key, study, received.suite):
                yield Finding(f"{where}: study of {_listed(_study_key(study['cell']))}", wrong)
    yield from _of_records(received)
    yield from _of_predictions(received)
    yield from _beside_page(received)


def _of_suite(
    received: Received, suite: dict[str, Any], methods: Collection[str], tasks: Collection[str]
) -> Iterator[Finding]:
    """The suite's own: name, protocol, cells, and what of it is not known here."""
    where = f"{received.place}: suite {suite['name']}"
    try:
        check_suite_name(suite["name"])
    except BenchError as error:
        yield Finding(where, str(error))
    yield from (Finding(where, *said) for said in _protocol(suite))
    twice = Counter(map(tuple, suite["cells"].values()))
    for (method, task, ratio, seed), count in twice.items():
        if count > 1:
            what = f"{method} on {task} at {ratio:g}×, seed {seed}"
            yield Finding(where, f"{count} cells are {what}")
    if undone := len(suite["cells"].keys() - received.records.keys()):
        yield Finding(where, f"{undone} of {len(suite['cells'])} cells have no record", False)
    external = {r.id for _, r in received.records.values() if r.status == "external"}
    labels = [label for key, label in suite["cells"].items() if key not in external]
    for kind, place, known in (("method", 0, methods), ("task", 1, tasks)):
        names = {label[place].partition(":")[0] for label in labels}
        if unknown := sorted(names - set(known)):
            listed = ", ".join(unknown)
            yield Finding(where, f"no {kind} of this installation: {listed}", False)
    if lacking := sorted({label[1] for label in labels} - suite["data"].keys()):
        yield Finding(where, f"data: no fingerprint of the rows of {', '.join(lacking)}")


def _protocol(suite: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Whether the protocol's hash is that of the settings."""
    known = {field.name for field in dataclasses.fields(Protocol)}
    settings = {**UNSAID, **suite["settings"]}
    if unknown := sorted(settings.keys() - known):
        yield f"settings of a later version: {', '.join(unknown)}; the hash is not checked", False
        return
    if (hashed := Protocol(**settings).hash) != suite["protocol"]:
        yield f"protocol is {suite['protocol']}, its settings give {hashed}", True
    if settings["version"] != Protocol.version:
        made, now = settings["version"], Protocol.version
        yield f"made under version {made} of the protocol, today's is {now}", False


def _beside_suite(record: Record, suite: dict[str, Any]) -> Iterator[str]:
    """What a record says otherwise than its suite, or than its own id."""
    cell, task = record.cell, record.cell["task"]
    label = suite["cells"].get(record.id)
    if label is None:
        yield "the suite has no such cell"
        return
    rows = suite["data"].get(task)
    if record.data and rows is not None and record.data.get("fingerprint") != rows:
        yield f"data.fingerprint is {record.data.get('fingerprint')}, the suite's is {rows}"
    if record.status == "external":
        return
    said = [cell[key] for key in ("method", "task", "ratio", "seed")]
    if said != list(label):
        yield f"it is of {_listed(said)}, the suite says {_listed(label)}"
    for key in ("protocol", "model"):
        if cell.get(key) != suite[key]:
            yield f"cell.{key} is {cell.get(key)}, the suite's is {suite[key]}"
    if cell["axis"] != suite["axis"] and cell["ratio"] != 1:
        yield f"cell.axis is {cell['axis']}, the suite's is {suite['axis']}"
    if cell["seed"] >= TRIAL_SEED:
        yield f"seed {cell['seed']} is none of a report"
    method, version = cell["method"], record.method.get("version")
    wanted = suite.get("versions", {}).get(method, version)
    if record.method and version != wanted:
        yield f"method.version is {version}, the suite's is {wanted}"
    derived = _derived_id(cell, version, suite)
    if derived not in (record.id, None):
        yield f"its id is that of another cell: cell, version and rows give {derived}"


def _derived_id(cell: dict[str, Any], version: int | None, suite: dict[str, Any]) -> str | None:
    """The id that follows from a cell, the method's version and the rows, where these are known.

    Carried parameters are part of an id, and no record has all of them.
    """
    rows = suite["data"].get(cell["task"])
    if version is None or rows is None or suite["settings"].get("carried"):
        return None
    task = option_of(cell["method"], "intermediate", suite["settings"])
    before = suite.get("intermediates", {}).get(task, "")
    if task and not before:
        return None
    weights = start_hash(suite["weights"], before)
    return cell_id(cell, version=version, data=rows, weights=weights)


def _of_records(received: Received) -> Iterator[Finding]:
    """What records say that cannot be, each for itself and beside its study."""
    made: dict[tuple[Any, ...], str] = {}
    studies = {_study_key(study["cell"]): study for _, study in received.studies.values()}
    for where, record in received.records.values():
        place = f"{where}: cell {name_of(record)}"
        yield from (Finding(place, wrong) for wrong in own_disagreements(record))
        sizes = record.footprint.items()
        bare = [name for name, size in sizes if not {"dense", "actual"} <= size.keys()]
        yield from (Finding(place, f"footprint.{name}: a ratio of no counts") for name in bare)
        parts = record.cost.get("parts")
        whole = record.cost.get("train_flops", 0.0)
        if parts and not math.isclose(sum(parts.values()), whole, rel_tol=EXACT):
            yield Finding(place, f"cost.train_flops is {whole:.6g}, not the sum of cost.parts")
        if record.more:
            later = ", ".join(record.more)
            yield Finding(place, f"not known here, and not checked: {later}", False)
        key = tuple(record.cell[name] for name in ("method", "task", "axis", "ratio", "seed"))
        if record.status != "external" and made.setdefault(key, record.id) != record.id:
            yield Finding(place, f"cell {made[key]} is the same, with another id")
        study = studies.get(_study_key(record.cell))
        if study is not None and "best" in record.tuning:
            yield from (Finding(place, wrong) for wrong in _beside_study(record, study))


def _beside_study(record: Record, study: dict[str, Any]) -> Iterator[str]:
    """What a record says of its tuning that its study does not."""
    best = study["best"]
    if record.tuning["best"] != best:
        yield f"tuning.best is {record.tuning['best']}, the study's is {best}"
        return
    trial = study["trials"][best]
    for key, value in {"tune_score": trial["score"], "found": trial["params"]}.items():
        if record.tuning.get(key, value) != value:
            yield f"tuning.{key} is not that of the study's best trial"
    for name, value in trial["params"].items():
        if record.params.get(name, value) != value:
            yield f"params.{name} is not what the study found"


def _of_study(key: str, study: dict[str, Any], suite: dict[str, Any]) -> Iterator[str]:
    """What a study says otherwise than its trials, its suite or its id."""
    cell, trials = study["cell"], study["trials"]
    if suite.get("studies", {}).get(key) != cell["method"]:
        yield f"the suite has no such study of {cell['method']}"
    derived = _derived_id(cell, suite.get("versions", {}).get(cell["method"]), suite)
    if derived not in (key, None):
        yield f"its id is that of another study: cell, version and rows give {derived}"
    scores = {}
    for place, trial in enumerate(trials):
        if "error" in trial:
            continue
        met = meets(trial["ratio"], cell["ratio"])
        if bool(trial.get("missed")) == met:
            yield f"trial {place}: missed is {bool(trial.get('missed'))} at {trial['ratio']:.4g}×"
        if met:
            scores[place] = trial["score"]
    best = max(scores, key=lambda place: (scores[place], -place)) if scores else None
    if study["best"] != best:
        yield f"best is {study['best']}, its trials give {best}"
    wanted = suite["settings"]["trials"] if study.get("searched", True) else 1
    if study["complete"] and len(trials) < wanted:
        yield f"it is complete with {len(trials)} of {wanted} trials"


def _of_predictions(received: Received) -> Iterator[Finding]:
    """Predictions beside records: figures, rows, and what is missing."""
    missing = []
    first: dict[tuple[Any, ...], tuple[str, Predictions]] = {}
    read = [*received.records.values()]
    read += [(where, on_set) for where, record in read for on_set in scored_on(record)]
    for where, record in read:
        place = f"{where}: cell {name_of(record)}"
        found = received.predictions.get(record.id)
        if isinstance(found, BenchError):
            yield Finding(place, str(found).rstrip("."))
        elif found is None:
            missing += [place] if record.status in SCORED else []
        else:
            yield from (Finding(place, wrong) for wrong in disagreements_with(record, found))
            key = record.cell["task"], record.data.get("fingerprint")
            cell, other = first.setdefault(key, (record.id, found))
            if not same_rows(found, other):
                yield Finding(place, f"its labels are not those of cell {cell}, of the same rows")
    if missing:
        what = f"no predictions of {len(missing)} scored cells: their scores are not checked"
        yield Finding(missing[0], what, False)
    for cell in sorted(received.predictions.keys() - {record.id for _, record in read}):
        yield Finding(f"{received.place}: cell {cell}", "it has predictions, and no record", False)


def _beside_page(received: Received) -> Iterator[Finding]:
    """Whether the page was made of these records."""
    page = received.page or {}
    predictions = page.get("predictions")
    for where, record in received.records.values() if page else ():
        place = f"{where}: cell {name_of(record)}"
        if page["records"].get(record.id) != record_hash(record):
            yield Finding(place, "the page was made of another record: its hash differs")
        found = received.predictions.get(record.id)
        if (
            isinstance(found, Predictions)
            and isinstance(predictions, dict)
            and predictions.get(record.id) != predictions_hash(found)
        ):
            yield Finding(place, "the page was made of other predictions: their hash differs")
        for one in scored_on(record):
            answers = received.predictions.get(one.id)
            known = page.get("challenged", {}).get(one.id)
            if isinstance(answers, Predictions) and known != predictions_hash(answers):
                what = f"the page was made of other answers to {one.cell['task']}"
                yield Finding(place, f"{what}: their hash differs")


def _study_key(cell: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(cell[name] for name in ("method", "task", "axis", "ratio"))


def _listed(label: Any) -> str:
    return " ".join(map(str, label))
