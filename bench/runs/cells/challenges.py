"""What a cell scores on challenge sets: never trained or tuned on, and no part of its id.

So they can be added to a cell that is finished, if its model was kept.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.compression.floor import Floor
from bench.errors import first_line
from bench.files import is_storage_error
from bench.models.checkpoint import load_model
from bench.models.folder import check_model
from bench.results.predictions import as_table
from bench.results.store import Store
from bench.runs.cells.failure import LOG, append
from bench.runs.cells.floor import answers_of_floor
from bench.training import scoring
from bench.training.evaluate import respond

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from pyarrow import Table
    from transformers import PreTrainedModel

    from bench.data.challenge import PreparedChallenge
    from bench.data.encoded import Encoded
    from bench.results.record import Record
    from bench.runs.cells.context import BoundCell

    Answer = Callable[[PreparedChallenge, Encoded], NDArray[Any]]
    """Answers to a set's rows, as classes or figures of the task, `[rows]`."""


@dataclass(frozen=True)
class Challenged:
    """What came of some challenge sets, by their names.

    Attributes:
        facts: What the record says.
        tables: The predictions.
    """

    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)


def challenge_model(
    bound: BoundCell, model: PreTrainedModel, sets: Iterable[PreparedChallenge] | None = None
) -> Challenged:
    """Scores a cell's model on challenge sets: on all of its task's, or on some.

    Raises:
        DivergedError: It answers NaN or infinity.
    """
    device, metric = bound.context.device, bound.task.info.metric

    def answer(prepared: PreparedChallenge, rows: Encoded) -> NDArray[Any]:
        return respond(model, metric, rows, device).answers

    return _scored(bound, sets, answer)


def challenge_floor(
    bound: BoundCell, sets: Iterable[PreparedChallenge] | None = None
) -> Challenged:
    """The same of a floor."""
    name, task = bound.method.info.name, bound.cell.task

    def answer(prepared: PreparedChallenge, rows: Encoded) -> NDArray[Any]:
        kept = answers_of_floor(name, task, bound.context, trial=False, challenge=prepared)
        return kept.answers

    return _scored(bound, sets, answer)


def _scored(
    bound: BoundCell, sets: Iterable[PreparedChallenge] | None, answer: Answer
) -> Challenged:
    found = Challenged()
    for prepared in bound.challenges if sets is None else sets:
        rows, groups = prepared.load()
        given = answer(prepared, rows)
        if prepared.merged is not None:
            given = np.asarray(prepared.merged)[given]
        found.facts[prepared.name] = _facts(prepared, rows, groups, given)
        if bound.id in prepared.targets:
            found.facts[prepared.name]["target"] = True
        found.tables[prepared.name] = as_table(
            rows.ids, rows.labels, given, rows.parts, groups=groups
        )
    return found


def _facts(
    prepared: PreparedChallenge,
    rows: Encoded,
    groups: list[list[str]] | None,
    given: NDArray[Any],
) -> dict[str, Any]:
    """What a record says of a set."""
    score = scoring.score(prepared.metric, given, rows.labels, rows.parts)
    members: dict[str, list[int]] = {}
    for row, names in enumerate(groups or []):
        for name in names:
            members.setdefault(name, []).append(row)
    return {
        "score": score.main,
        "scores": score.figures,
        "groups": {
            name: scoring.score(prepared.metric, given[own], rows.labels[own]).main
            for name, own in sorted(members.items())
        },
        "notes": list(score.notes),
        "fingerprint": prepared.fingerprint,
        **{key: value for key, value in prepared.facts.items() if key != "skipped"},
    }


def add_challenges(bound: BoundCell, record: Record) -> Record:
    """Scores a finished cell on the sets that it lacks, and stores its record with them.

    What keeps it from that is said in its log, and the record stays as it is.

    Raises:
        OSError: The run folder cannot be written.
    """
    store, sets = Store(bound.context.runs), bound.lacking(record)
    try:
        if issubclass(bound.method, Floor):
            found = challenge_floor(bound, sets)
        else:
            check_model(folder := store.model_of(record))
            model = load_model(folder, bound.task.info.labels, dropout=0.0)
            found = challenge_model(bound, model, sets)
    except Exception as error:
        if is_storage_error(error, bound.context.runs):
            raise
        names = ", ".join(one.name for one in sets)
        append(store.folder(record.id) / LOG, f"not scored on {names}: {first_line(error)}")
        return record
    record = dataclasses.replace(record, challenges={**(record.challenges or {}), **found.facts})
    store.put(record, challenged=found.tables)
    return record
