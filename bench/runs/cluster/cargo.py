"""What a cell or trial reads and makes, as files of the run folder or of a node's own folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import Timeout

from bench.checksums import SUMS
from bench.compression.floor import Floor
from bench.data.passages import Passages
from bench.data.prepare import Prepared
from bench.files import inside, read_json, remove, short_hash
from bench.models.folder import MODEL_FILES
from bench.results.record import Record
from bench.results.store import PREDICTIONS, Store, challenge_file
from bench.runs.cells.execute import MADE
from bench.runs.cells.failure import LOG
from bench.runs.cells.start import intermediate_identity
from bench.runs.cells.study import Study
from bench.runs.cluster.freight import Arrival, Item, items_of
from bench.training.reference import reference_key
from bench.training.teacher_cache import FOLDER as ANSWERS

if TYPE_CHECKING:
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Assignment
    from bench.runs.cells.context import BoundCell, Context
    from bench.runs.cells.study import Outcome, TrialFailure

Rows = TypeVar("Rows", Prepared, Passages, Prepared | Passages)

ENCODER, GENERATOR, DATA, TASKS = "encoder", "generator", "data", "tasks"
"""Folders of a node's own folder that the run folder has elsewhere."""

MARKS = {"encoders": "pretraining.json", "intermediates": "intermediate.json",
         "references": "reference.json", "shared": "cost.json", "floors": "floor.json"}  # fmt: skip
"""Folders of what is made once for several cells, and the file that is written last in each."""

LOCKS = {"encoders": "encoder", "intermediates": "intermediate", "references": "reference",
         "shared": "shared", "floors": "floor"}  # fmt: skip
"""How the names of their locks begin."""


def needed(assignment: Assignment, context: Context) -> list[Item]:
    """What a cell or trial reads, as the run folder and its surroundings have it."""
    bound = context.bind(assignment.cell)
    items = list(items_of(context.encoder, ENCODER, MODEL_FILES))
    for rows in (bound.prepared, context.intermediates.get(bound.context.protocol.intermediate)):
        if rows is not None:
            items += items_of(rows.folder, f"{DATA}/{rows.folder.name}")
        if isinstance(rows, Prepared) and rows.task.endswith(".toml"):
            file = Path(rows.task)
            items += items_of(file.parent, _task_place(file), (file.name,))
        if isinstance(rows, Passages) and context.generator is not None:
            items += items_of(context.generator.folder, GENERATOR, MODEL_FILES)
    for challenge in bound.challenges:
        items += items_of(challenge.folder, f"{DATA}/{challenge.folder.name}")
    if context.corpus is not None:
        text = context.corpus.path.parent
        items += items_of(text, f"{DATA}/{text.name}")
    if context.probe is not None and not context.probe.objection:
        items += items_of(context.probe.folder, f"{DATA}/{context.probe.folder.name}")
    return items + list(_made_once(assignment, context))


def on_node(context: Context, cell: Cell, folder: Path) -> Context:
    """The context of a cell, with the paths that it has in a node's folder."""
    bound = context.bind(cell)
    prepared = bound.prepared
    corpus, probe, generator = context.corpus, context.probe, context.generator
    if generator is not None:
        generator = dataclasses.replace(generator, folder=folder / GENERATOR)
    if corpus is not None:
        where = folder / DATA / corpus.path.parent.name / corpus.path.name
        corpus = dataclasses.replace(corpus, path=where)
    if probe is not None and not probe.objection:
        probe = dataclasses.replace(probe, folder=folder / DATA / probe.folder.name)
    return dataclasses.replace(
        context,
        runs=folder,
        encoder=folder / ENCODER,
        tasks={cell.task: _rows_on_node(prepared, folder)},
        capped={},
        intermediates={
            name: _rows_on_node(rows, folder) for name, rows in context.intermediates.items()
        },
        generator=generator,
        corpus=corpus,
        probe=probe,
        challenges={
            cell.task: tuple(
                dataclasses.replace(one, folder=folder / DATA / one.folder.name)
                for one in bound.challenges
            )
        },
        storage=None,
    )


def _rows_on_node(rows: Rows, folder: Path) -> Rows:
    """Rows as they lie in a node's folder."""
    changes: dict[str, Any] = {"folder": folder / DATA / rows.folder.name}
    if isinstance(rows, Prepared) and rows.task.endswith(".toml"):
        file = Path(rows.task)
        changes["task"] = str(folder / _task_place(file) / file.name)
    return dataclasses.replace(rows, **changes)


def _task_place(file: Path) -> str:
    return f"{TASKS}/{short_hash(str(file.resolve()))}"


def made(
    assignment: Assignment, context: Context, result: Record | Outcome | TrialFailure
) -> list[Item]:
    """What a cell or trial has left in a node's folder for the run folder."""
    bound, runs = context.bind(assignment.cell), context.runs
    if isinstance(result, Record):
        own = list(items_of(runs / bound.id, bound.id))
    else:
        folder = Study(bound).folder
        place = folder.relative_to(runs).as_posix()
        own = list(items_of(folder, place, (f"{assignment.index}.log",)))
    if context.probe is not None and not context.probe.objection:
        probe = context.probe.folder
        own += items_of(probe, f"{DATA}/{probe.name}", ("pretrained-*.json",))
    return own + list(_made_once(assignment, context, result))


def clear(assignment: Assignment, context: Context) -> None:
    """Removes from a node's folder what is of one cell alone."""
    if assignment.index is None:
        remove(context.runs / context.bind(assignment.cell).id, context.runs)


def _made_once(assignment: Assignment, context: Context, result: object = None) -> Iterator[Item]:
    """What of the things that are made once for several cells belongs to one of them."""
    bound, runs = context.bind(assignment.cell), context.runs
    for kind, names in (
        ("encoders", _named(runs / "encoders", _encoder_marks(bound))),
        ("intermediates", _named(runs / "intermediates", _intermediate_marks(bound))),
        ("references", _references(assignment, bound, result)),
        ("shared", _named(runs / "shared", _shared_marks(assignment, bound))),
        ("floors", _named(runs / "floors", _floor_marks(bound))),
    ):
        for name in names:
            folder = inside(runs / kind, name)
            if (folder / MARKS[kind]).exists():
                yield from items_of(folder, f"{kind}/{name}")


def _references(assignment: Assignment, bound: BoundCell, result: object) -> list[str]:
    """The reference that the cell starts or learns from, and the one that came of it."""
    trial = assignment.index is not None
    named = bound.context.reference_identity(bound.cell.task, trial=trial)
    keys: list[Any] = []
    if assignment.dense is not None:
        seed = bound.trial().cell.seed if trial else bound.cell.seed
        params: Any = assignment.dense.params
        keys.append(reference_key(named, params, bound.context.protocol, seed))
    if isinstance(result, Record):
        keys.append((result.reference or {}).get("key"))
    else:
        keys.append(getattr(result, "reference", None))
    return list(dict.fromkeys(str(key) for key in keys if key))


def _encoder_marks(bound: BoundCell) -> dict[str, Any] | None:
    """What `pretraining.json` says of an encoder that has gone on learning, if the cell has one."""
    context, steps = bound.context, bound.context.protocol.pretrain_steps
    if not steps or context.corpus is None:
        return None
    return {"weights": context.weights, "corpus": context.corpus.hash, "pretrain_steps": steps}


def _intermediate_marks(bound: BoundCell) -> dict[str, Any] | None:
    """What `intermediate.json` says of what the cell starts from, if it has learnt a task first."""
    context = bound.context
    return intermediate_identity(context) if context.protocol.intermediate else None


def _shared_marks(assignment: Assignment, bound: BoundCell) -> dict[str, Any]:
    """What `cost.json` says of tensors that the cell's method shares on its text."""
    method = f"{bound.cell.method} {bound.method.info.version}"
    trial = assignment.index is not None
    return bound.context.text_identity(method, bound.cell.task, trial=trial)


def _floor_marks(bound: BoundCell) -> dict[str, Any] | None:
    """What `floor.json` says of a floor's answers; `None` where the cell is of none."""
    if not issubclass(bound.method, Floor):
        return None
    info = bound.method.info
    return {"method": [info.name, info.version], "rows": bound.prepared.folder.name}


def _named(folder: Path, marks: Mapping[str, Any] | None) -> Iterator[str]:
    """The folders in a folder whose description says what it should."""
    if marks is None or not folder.is_dir():
        return
    for one in sorted(folder.iterdir()):
        said = read_json(one / MARKS[folder.name], dict)
        if said is not None and all(said.get(key) == value for key, value in marks.items()):
            yield one.name


def install(
    arrival: Arrival, assignment: Assignment, context: Context, result: Record | object
) -> None:
    """Gives files that have all come their places in the run folder, a cell's record last.

    What is there already stays: it was made by another node, or another command, meanwhile.

    Raises:
        OSError: The run folder cannot be written.
    """
    store, bound = Store(context.runs), context.bind(assignment.cell)
    for kind in MARKS:
        for name in {path.split("/")[1] for path in arrival.items if path.startswith(f"{kind}/")}:
            _install_once(arrival, kind, name, context)
    if context.probe is not None:
        probe = context.probe.folder
        for inner in arrival.under(f"{DATA}/{probe.name}"):
            if not (probe / inner).exists():
                arrival.put(f"{DATA}/{probe.name}/{inner}", probe / inner)
    if isinstance(result, Record):
        _install_cell(arrival, bound.id, store, result)
        return
    folder = Study(bound).folder
    place = folder.relative_to(context.runs).as_posix()
    for inner in arrival.under(place):
        arrival.put(f"{place}/{inner}", folder / inner)


def _install_once(arrival: Arrival, kind: str, name: str, context: Context) -> None:
    folder = inside(context.runs / kind, name)
    try:
        with Store(context.runs).lock(f"{LOCKS[kind]}-{name}").acquire(timeout=0):
            found = arrival.under(f"{kind}/{name}")
            # What is written last is what tells that the folder is whole.
            for inner in sorted(found, key=lambda inner: (inner == MARKS[kind], inner)):
                if _is_unwanted(folder / inner, found[inner].size, context):
                    continue
                arrival.put(f"{kind}/{name}/{inner}", folder / inner)
    except Timeout:  # another command of this folder makes it
        return


def _is_unwanted(target: Path, size: int, context: Context) -> bool:
    """Whether a file is there, is a list of sums, or exceeds the room for teachers' answers."""
    if target.name == SUMS or target.exists():
        return True
    if ANSWERS not in target.parts[len(context.runs.parts) :]:
        return False
    kept = context.runs.glob(f"references/*/{ANSWERS}/**/*.safetensors")
    return sum(path.stat().st_size for path in kept) + size > 1e9 * context.teacher_cache_gb


def _install_cell(arrival: Arrival, cell_id: str, store: Store, record: Record) -> None:
    """What is finished stays until what replaces it is there."""
    folder, found = store.folder(cell_id), arrival.under(cell_id)
    remove(folder / MADE, store.root)
    for inner in found:
        if inner.startswith("model/"):
            arrival.put(f"{cell_id}/{inner}", folder / MADE / inner.removeprefix("model/"))
    remove(folder / "model", store.root)
    if (folder / MADE).exists():
        (folder / MADE).replace(folder / "model")
    for name in (LOG, PREDICTIONS, *map(challenge_file, record.challenges or {})):
        if name in found:
            arrival.put(f"{cell_id}/{name}", folder / name)
    store.put(record)
