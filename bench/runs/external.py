"""Checkpoints that were made elsewhere: scored on a task's report rows and counted, as records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import hub, machine
from bench.data import prepare as data
from bench.errors import BenchError, unknown_name
from bench.files import json_hash, refuse_outward_links
from bench.models.checkpoint import load_classifier, read_config
from bench.models.folder import model_folder, model_name, weight_hash
from bench.models.footprint import footprint
from bench.models.heads import has_head, marks_spans
from bench.protocol import SEQUENCE_LENGTH
from bench.results.predictions import as_table
from bench.results.record import THRESHOLD, Record
from bench.results.suites import add_to_suite, show_record
from bench.training import scoring
from bench.training.evaluate import respond
from bench.training.spans import threshold_of, threshold_said

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyarrow import Table
    from transformers import PreTrainedModel

    from bench.data.task import Source, Task
    from bench.results.store import Store


def evaluate(
    name: str,
    task: Task,
    source: Source,
    *,
    task_name: str,
    store: Store,
    device: str,
    label_map: Mapping[str, str],
    dense: str | None = None,
    length: int | None = None,
) -> tuple[Record, Table]:
    """Scores and counts a fine-tuned classifier.

    Args:
        name: Folder or hub name of a saved sequence classifier and its tokenizer.
        task: The task.
        source: Where its rows may come from.
        task_name: Its name, or the file that declares it.
        store: The run folder, which keeps the tokenised rows.
        device: `cpu` or `cuda`.
        label_map: The checkpoint's labels (name or number) → the task's, where names leave doubt.
        dense: The uncompressed model to count against; the model's own shapes otherwise.
        length: Tokens that rows are cut at and FLOPs are counted on, as the suite's that shows it;
            without one, rows are cut where the checkpoint takes no more.

    Raises:
        BenchError: It is no classifier for the task, or which of its labels is which is in doubt.
    """
    folder = model_folder(name, offline=source.offline)
    config = read_config(folder)
    if not has_head(config):
        raise BenchError(f"{name} is no fine-tuned classifier: it has no classification head.")
    if marks_spans(config) != task.finds_spans:
        which = ("classes", "spans") if task.finds_spans else ("spans", "classes")
        raise BenchError(f"{name} has a head for {which[0]}, and {task.name} asks for {which[1]}.")
    names = {int(number): str(label) for number, label in (config.id2label or {}).items()}
    order = None if task.finds_spans else match_labels(names, task, label_map, name)
    prepared = data.prepare(
        task,
        source,
        name=task_name,
        encoder=folder,
        cap_at=None,
        cache=store.root / "data",
        length=length,
        overlap="kept",  # it was trained elsewhere, on whatever it was
    )
    rows = data.load(prepared).report
    model, _ = load_classifier(name)
    threshold = threshold_of(prepared.facts, None)  # what it was tuned on, nobody knows
    response = respond(model, task.info.metric, rows, device, threshold=threshold, order=order)
    score = scoring.score(task.info.metric, response.answers, rows.references, rows.parts)
    counted = footprint(model.cpu(), _dense(dense, model), length or SEQUENCE_LENGTH, rows.lengths)
    identity: list[Any] = [
        "external",
        weight_hash(folder),
        prepared.fingerprint,
        sorted(label_map.items()),
        length,
    ]
    against = "its own shapes"
    if dense is not None:
        against = model_name(dense, hub.local_path(dense))
        identity.append([against, counted])
    known = threshold_said(response.threshold)
    said = {} if known is None else {THRESHOLD: known}
    record = Record(
        id=json_hash(identity)[:16],
        status="external",
        cell={
            "method": model_name(name, folder),
            "task": task.name,
            "axis": "weights",
            "ratio": counted["weights"]["ratio"],
            "seed": 0,
            "model": against,
            "protocol": "",
        },
        method={"kind": "external", "control": False, "starts_from": "?", "teacher": "?"},
        score=score.main,
        scores=score.figures,
        footprint=counted,
        data={**prepared.facts, "notes": list(score.notes), **said},
        environment={**machine.describe(device), "threads": 0, "precision": "fp32"},
    )
    return record, as_table(
        rows.asked, rows.references, response.answers, rows.parts, response.logits
    )


def enter(store: Store, record: Record, predictions: Table, suite: dict[str, Any] | None) -> None:
    """Stores the record of a checkpoint, and has a suite's page show it.

    Raises:
        BenchError: The suite has other report rows of the task, or a link leads out of the folder;
            nothing is written then.
        OSError: The run folder cannot be written.
    """
    refuse_outward_links(store.root)
    if suite is not None:
        add_to_suite(suite, record)
    store.put(record, predictions)
    if suite is not None:
        show_record(store.root, suite, record)


def match_labels(
    names: Mapping[int, str], task: Task, label_map: Mapping[str, str], model: str
) -> NDArray[Any] | None:
    """Which of a checkpoint's outputs is each of a task's classes; `None` for a regression.

    Args:
        names: The checkpoint's `id2label`.
        task: The task.
        label_map: What the user says of them.
        model: How to call the checkpoint.

    Raises:
        BenchError: The number of outputs does not fit, or no name says which is which.
    """
    wanted = task.info.labels
    if len(names) != task.num_labels:
        what = "a regression has 1" if wanted is None else f"{task.name} has {task.num_labels}"
        raise BenchError(f"{model} has {len(names)} outputs, {what}.")
    if wanted is None:
        return None
    alike = len({_plain(label) for label in wanted}) < len(wanted)  # as C and C++ are
    plain_name = str if alike else _plain
    plain = {plain_name(label): number for number, label in enumerate(wanted)}
    if sorted(names) != list(range(len(names))):
        numbers = ", ".join(map(str, sorted(names)))
        raise BenchError(f"{model} numbers its labels {numbers}, not 0 to {len(names) - 1}.")
    given = {str(number): names[number] for number in sorted(names)}  # outputs have this order
    for key, label in label_map.items():
        if key not in given and key not in given.values():
            raise unknown_name(f"label of {model}", key, [*given, *given.values()])
        if key in given and key in given.values() and given[key] != key:
            raise BenchError(
                f"--label-map {key}={label}: {model} has an output of the number {key} and another "
                "one of that name; say it for the others, or rename the labels in its config.json."
            )
        if plain_name(label) not in plain:
            raise unknown_name(f"label of {task.name}", label, wanted)
    chosen = [
        plain_name(label_map.get(number, label_map.get(text, text)))
        for number, text in given.items()
    ]
    if sorted(chosen) != sorted(plain):
        example = ",".join(f"{number}={label}" for number, label in enumerate(wanted))
        raise BenchError(
            f"{model} calls its labels {', '.join(given.values())}, {task.name} calls them "
            f"{', '.join(wanted)}: which is which must be said, such as --label-map {example}."
        )
    return np.array([chosen.index(label) for label in plain])


def _plain(label: str) -> str:
    """A label's name without case and punctuation."""
    return re.sub(r"[\W_]", "", label.casefold())


def _dense(name: str | None, model: PreTrainedModel) -> PreTrainedModel:
    """The uncompressed model to count against."""
    if name is None:
        return model
    return load_classifier(name, like=model)[0]
