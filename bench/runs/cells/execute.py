"""What happens in one cell: data, method, recount, evaluation, record."""

from __future__ import annotations

import dataclasses
import functools
import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from transformers import PreTrainedModel

from bench import machine, registry
from bench.compression.target import SEQUENCE_LENGTH, Target, meets
from bench.data import prepare as rows
from bench.errors import BenchError, DivergedError, UnreachableError
from bench.files import is_storage_error, read_json, remove, write_json
from bench.models.checkpoint import save_model, unreadable
from bench.models.footprint import footprint
from bench.results.predictions import as_table
from bench.results.record import Record, Status
from bench.results.store import Store
from bench.runs.cells.cell import ALWAYS, Cell, Variant, reference_cell
from bench.runs.cells.cell_run import CellRun, Progress
from bench.runs.cells.parameters import resolve_params
from bench.runs.cells.study import Outcome, Study
from bench.runs.cells.tuning import Tuned, tuned
from bench.training import scoring, seeds
from bench.training.evaluate import predict
from bench.training.knowledge import masked_loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pyarrow import Table

    from bench.compression.method import MethodInfo
    from bench.compression.params import Params, TrainParams
    from bench.data.prepare import Prepared, TaskData
    from bench.data.task import Task
    from bench.models.footprint import Footprint
    from bench.runs.cells.context import Context
    from bench.training.knowledge import Probe


MADE = ".model"
"""Where a cell's model waits for its record."""

UNFINISHED = (MADE, f".{MADE}.", ".log.txt", ".record.json.", ".predictions.parquet.")
"""How the names of what a killed cell leaves in its folder begin."""


@dataclass
class Log:
    """A cell's log file, a line at a time."""

    path: Path

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("", encoding="utf-8")

    def __call__(self, line: str) -> None:
        """Appends a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line.rstrip("\n") + "\n")


def execute(cell: Cell, context: Context, progress: Progress = lambda step, total: None) -> Record:
    """Runs a cell and stores its record; a failure of the method becomes a `failed` record.

    Args:
        cell: The cell.
        context: What it shares with the others.
        progress: Called with steps made and steps in all of the training at hand.

    Raises:
        OSError: The run folder cannot be written; nothing else would fare better there.
    """
    store = Store(context.runs)
    cell_id = context.cell_id(cell)
    folder = store.folder(cell_id)
    for left in folder.glob(".*"):  # by a kill
        if left.name.startswith(UNFINISHED):
            remove(left, store.root)
    # What is finished stays whole until the record that replaces it is there.
    log = Log(folder / ("log.txt" if store.get(cell_id) is None else ".log.txt"))
    begin = time.perf_counter()
    machine.reset_peak_memory(context.device)
    try:
        record, predictions = _run(cell, cell_id, context, log, progress)
    except UnreachableError as error:
        log(str(error))
        footprint_known = {cell.axis: {"ratio": error.best_ratio}}
        record = ended_early("unreachable", cell, cell_id, error, footprint=footprint_known)
        predictions = None
    except Exception as error:
        if is_storage_error(error):
            raise
        log(traceback.format_exc())
        record, predictions = ended_early("failed", cell, cell_id, error), None
    cost = {
        **record.cost,
        "wall_s": time.perf_counter() - begin,
        "peak_memory_mb": machine.peak_memory_mb(context.device),
    }
    described = {
        **machine.describe(context.device),
        "threads": context.threads,
        "teacher_cache_gb": context.teacher_cache_gb,
        "precision": context.protocol.precision,
    }
    record = dataclasses.replace(
        record, method=_method_facts(cell), cost=cost, environment=described
    )
    log(f"{record.status} after {cost['wall_s']:.1f} s")
    remove(folder / "model", store.root)
    for made, kept in ((folder / MADE, folder / "model"), (log.path, folder / "log.txt")):
        if made.exists():
            made.replace(kept)
    store.put(record, predictions)
    return record


def _method_facts(cell: Cell) -> dict[str, Any]:
    """What a page says of a method; a pinned `init` or `teacher` overrides its metadata."""
    variant = Variant.parse(cell.method)
    method = registry.methods.get(variant.method)
    params = {**method.Params.defaults(), **dict(variant.pins)}
    info = method.info
    return {
        "kind": info.kind,
        "control": info.control,
        "starts_from": _start(params, info),
        "teacher": params.get("teacher", info.teacher),
        "paper": info.paper,
        "paper_steps": info.paper_steps,
        "version": info.version,
    }


def _start(params: Mapping[str, Any], info: MethodInfo) -> str:
    """What a method starts from, where a parameter `init` or `start` may say otherwise."""
    if params.get("start") == "random":
        return "random"
    return str(params.get("init", info.starts_from))


def ended_early(status: Status, cell: Cell, cell_id: str, error: Exception, **known: Any) -> Record:
    """The record of a cell that did not come to a score, and why; its page names no place here."""
    return Record(
        id=cell_id,
        status=status,
        cell=dataclasses.asdict(cell),
        error={
            "type": type(error).__name__,
            "message": _message(error),
            "log": f"{cell_id}/log.txt",
        },
        **known,
    )


def _message(error: Exception) -> str:
    """The first line of what an error says, without this machine's paths; a log has all of it."""
    first_line = (str(error).strip().splitlines() or ["no message"])[0]
    return re.sub(r"(?<![\w./])/(?:[^\s/'\"]+/)+", "…/", first_line)


def execute_trial(cell: Cell, context: Context, progress: Progress = lambda s, t: None) -> bool:
    """Makes one more trial of a cell's study, if one is left that nobody else makes.

    Returns:
        Whether it did.

    Raises:
        OSError: The run folder cannot be written.
    """
    study = Study(cell, context)
    with study.claim() as claim:
        if claim is None:
            return False
        begin = time.perf_counter()
        log = Log(study.folder / f"{claim.index}.log")
        pins = dict(Variant.parse(cell.method).pins)
        method = registry.methods.get(Variant.parse(cell.method).method)
        run = _lend(study.cell, context, log, progress, trial=True)
        try:
            params = resolve_params(method, pins, context.protocol, claim.params)
            log(str(params))
            model = _compress(study.cell, run, params)
            score, _ = _score(run, predict(model, run.data.report, context.device))
            counted = _counted(model, run)
        except Exception as error:
            if is_storage_error(error):
                raise
            log(traceback.format_exc())
            claim.failed(_message(error), {"flops": run.flops, "kept": run.kept})
            return True
        claim.ended(
            Outcome(
                score=score.main,
                ratio=counted[cell.axis]["ratio"],
                steps=run.steps,
                wall_s=time.perf_counter() - begin,
                flops=run.flops,
                kept=run.kept,
                reference=run.reference.key if run.reference else None,
            )
        )
    return True


def _counted(model: PreTrainedModel, run: CellRun) -> Footprint:
    """The footprint of a model, which is on the processor afterwards."""
    model.cpu()
    return footprint(model, run.pretrained(), SEQUENCE_LENGTH)


def _lend(cell: Cell, context: Context, log: Log, progress: Progress, *, trial: bool) -> CellRun:
    """What a method is lent for a cell; everything random is seeded now."""
    method = registry.methods.get(Variant.parse(cell.method).method)
    task, data = _load_task(context.tasks[cell.task])
    reference = tuned(
        reference_cell(cell), context
    )  # not yet there in the dense model's own trials
    defaults = resolve_params(registry.methods.get(ALWAYS), {}, context.protocol)
    seeds.seed_everything(cell.seed)
    return CellRun(
        context=context,
        method=f"{cell.method} {method.info.version}",
        task=task,
        target=Target(cell.axis, cell.ratio),  # type: ignore[arg-type]
        seed=cell.seed,
        data=data.for_trials() if trial else data,
        reference_params=cast("TrainParams", reference.params if reference else defaults),
        log=log,
        progress=progress,
        trial=trial,
    )


def _compress(cell: Cell, run: CellRun, params: Params) -> PreTrainedModel:
    """Lets the method compress."""
    try:
        model = registry.methods.get(Variant.parse(cell.method).method)().compress(run, params)
    except SystemExit as error:
        raise BenchError(f"{cell.method} asked the process to exit ({error.code})") from error
    finally:
        if (run.flops or run.kept) and (made := run.data.facts.get("augmentation")):
            run.kept["augmentation"] = ("augmentation", made["flops"])
    if not isinstance(model, PreTrainedModel):
        raise BenchError(f"{cell.method} returned a {type(model).__name__}, not a model")
    if reason := unreadable(model, run.task.num_labels):
        raise BenchError(f"{cell.method} returned a model with {reason}")
    return model


def _run(
    cell: Cell, cell_id: str, context: Context, log: Log, progress: Progress
) -> tuple[Record, Table | None]:
    """The cell itself: record without cost and environment, and the predictions."""
    best = context.limit(cell)
    if best < cell.ratio:
        raise UnreachableError(
            f"{cell.method} reaches {best:.4g}× on {cell.axis} at most, not {cell.ratio:g}×", best
        )
    found = tuned(cell, context)
    if found is None:
        raise BenchError(f"the study of {cell.method} on {cell.task} has trials to make yet.")
    run = _lend(cell, context, log, progress, trial=False)
    model = _compress(cell, run, found.params)
    logits = predict(model, run.data.report, context.device)
    score, table = _score(run, logits)
    knowledge = _knowledge(model, run)
    counted = _counted(model, run)
    reached = meets(counted[cell.axis]["ratio"], cell.ratio)
    if context.keep_models == "all" or (context.keep_models == "first" and cell.seed == 0):
        save_model(model, context.runs / cell_id / MADE, context.encoder)
    parts = _parts(cell, run, found)
    record = Record(
        id=cell_id,
        status="ok" if reached else "missed",
        cell=dataclasses.asdict(cell),
        params=dataclasses.asdict(found.params),
        tuning=found.facts,
        score=score.main,
        scores=score.figures,
        reference=None if run.reference is None else {"key": run.reference.key},
        footprint=counted,
        cost={"train_flops": sum(parts.values()), "parts": parts, "steps": run.steps},
        knowledge=knowledge,
        data={**run.data.facts, "notes": list(score.notes)}
        | ({"general_text": run.text} if run.text else {}),
    )
    return record, table


def _parts(cell: Cell, run: CellRun, found: Tuned) -> dict[str, int]:
    """Training FLOPs of a cell by part, where what was made for several parts counts once."""
    parts, counted = dict(run.flops), set(run.kept)
    for part, flops in run.kept.values():
        parts[part] = parts.get(part, 0) + flops
    studies = {"tuning": found}
    if run.reference is not None and cell.method != ALWAYS:
        reference = tuned(reference_cell(cell), run.context)
        if reference is not None:
            studies = {"reference's tuning": reference, **studies}
    for part, study in studies.items():
        made_once = sum(flops for key, flops in study.kept.items() if key not in counted)
        counted |= set(study.kept)
        if flops := study.flops + made_once:
            parts[part] = flops
    return parts


def _score(run: CellRun, logits: NDArray[np.float32]) -> tuple[scoring.Score, Table]:
    """Scores logits on the rows to be scored on, and lays the predictions out as a table."""
    task, report = run.task, run.data.report
    predictions = logits[:, 0] if task.is_regression else logits.argmax(axis=1)
    score = scoring.score(task.info.metric, predictions, report.labels, report.parts)
    return score, as_table(report.ids, report.labels, predictions, report.parts)


def _knowledge(model: PreTrainedModel, run: CellRun) -> dict[str, Any] | None:
    """What the record says of the knowledge that a delivered model keeps; charged to nobody."""
    context, probe = run.context, run.context.probe
    if probe is None or probe.obstacle:
        return None
    loss = masked_loss(model, probe, context.encoder, context.device)
    if loss is None:
        return None
    known = probe.folder / f"pretrained-{context.weights}.json"
    pretrained = _once(known, probe, run, run.pretrained)
    try:
        reference = run.obtain_reference(None)
        known = reference.folder / f"knowledge-{probe.hash}.json"
        finetuned = _once(known, probe, run, lambda: run.load(reference.folder))
    except DivergedError as error:  # which is no fault of this cell
        run.log(f"the fine-tuned model's knowledge is not known: {error}")
        finetuned = None
    return {
        "text": probe.name,
        "hash": probe.hash,
        "rows": probe.rows,
        "masked": probe.masked,
        "loss": loss,
        "pretrained": pretrained,
        "finetuned": finetuned,
    }


def _once(
    known: Path, probe: Probe, run: CellRun, load: Callable[[], PreTrainedModel]
) -> float | None:
    """The loss of a model that many cells ask for, computed once and kept in a file."""
    context = run.context
    with Store(context.runs).lock(f"{known.parent.name}-{known.stem}"):
        done = read_json(known)
        if done is None:
            done = {"loss": masked_loss(load(), probe, context.encoder, context.device)}
            write_json(known, done)
    return done["loss"]  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=4)
def _load_task(prepared: Prepared) -> tuple[Task, TaskData]:
    """A task and its rows."""
    return registry.task(prepared.task), rows.load(prepared)
