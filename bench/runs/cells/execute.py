"""What happens in one cell: data, method, recount, evaluation, record."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import statistics
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from transformers import PreTrainedModel

from bench import machine, process_state
from bench.compression.floor import Floor
from bench.data.prepare import load
from bench.errors import BenchError, DivergedError, UnreachableError, first_line, kind_and_line
from bench.files import is_storage_error, remove
from bench.models.checkpoint import objection_to_saving, save_model
from bench.models.footprint import footprint
from bench.protocol import meets
from bench.results.layout import ANSWERS
from bench.results.predictions import as_table
from bench.results.record import THRESHOLD, Record, is_dense
from bench.results.store import Store
from bench.runs.cells.cell import reference_cell
from bench.runs.cells.cell_run import CellRun, Progress
from bench.runs.cells.challenges import Challenged, challenge_floor, challenge_model
from bench.runs.cells.failure import LOG, UNFINISHED_LOG, Log, ended_early, message_of
from bench.runs.cells.floor import answers_of_floor
from bench.runs.cells.probe import dense_knowledge, knowledge_of
from bench.runs.cells.study import Outcome, Study, TrialFailure
from bench.runs.cells.tuning import given
from bench.training import scoring, seeds
from bench.training.evaluate import Response, respond
from bench.training.spans import threshold_of, threshold_said

if TYPE_CHECKING:
    from pyarrow import Table

    from bench.compression.method import MethodInfo
    from bench.compression.params import Params, TrainParams
    from bench.data.encoded import Encoded
    from bench.data.prepare import TaskData
    from bench.data.task import Task
    from bench.models.footprint import Footprint
    from bench.runs.cells.context import BoundCell
    from bench.runs.cells.tuning import Tuned


_rows = functools.lru_cache(maxsize=4)(load)
"""A task's rows, which many cells of a worker share."""

MADE = ".model"
"""Where a cell's model waits for its record."""

UNFINISHED = (MADE, f".{MADE}.", UNFINISHED_LOG, ".record.json.", ".predictions.parquet.")
"""How the names of what a killed cell leaves in its folder begin."""


def execute(
    bound: BoundCell,
    found: Tuned,
    dense: Tuned,
    progress: Progress = lambda step, total: None,
) -> Record:
    """Runs a cell and stores its record; a failure of the method becomes a `failed` record.

    Args:
        bound: The cell.
        found: Its parameters.
        dense: Those of the dense model of its task, which the reference is trained with.
        progress: Called with steps made and steps in all of the training at hand.

    Raises:
        OSError: The run folder cannot be written; nothing else would fare better there.
    """
    cell, context = bound.cell, bound.context
    store = Store(context.runs)
    folder = store.folder(bound.id)
    for left in folder.glob(".*"):  # by a kill
        if left.name.startswith(UNFINISHED):
            remove(left, store.root)
    # What is finished stays whole until the record that replaces it is there.
    log = Log(folder / (LOG if store.get(bound.id) is None else UNFINISHED_LOG))
    begin = time.perf_counter()
    machine.reset_peak_memory(context.device)
    predictions, challenged = None, Challenged()
    try:
        record, predictions, challenged = _made(bound, found, dense, log, progress)
    except UnreachableError as error:
        log(str(error))
        footprint_known = {cell.axis: {"ratio": error.best_ratio}}
        record = ended_early("unreachable", cell, bound.id, error, footprint=footprint_known)
    except Exception as error:
        if is_storage_error(error, context.runs):
            raise
        log(traceback.format_exc())
        record = ended_early("failed", cell, bound.id, error)
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
        record, method=_method_facts(bound), cost=cost, environment=described
    )
    log(f"{record.status} after {cost['wall_s']:.1f} s")
    remove(folder / "model", store.root)
    for made, kept in ((folder / MADE, folder / "model"), (log.path, folder / LOG)):
        if made.exists():
            made.replace(kept)
    if challenged.facts:
        record = dataclasses.replace(record, challenges=challenged.facts)
    store.put(record, predictions, challenged.tables)
    return record


def _method_facts(bound: BoundCell) -> dict[str, Any]:
    """What a page says of a method; a pinned `init` or `teacher` overrides its metadata."""
    params = {**bound.method.Params.defaults(), **bound.pins}
    info = bound.method.info
    return {
        "kind": info.kind,
        "control": info.control,
        "starts_from": _start(params, info),
        "teacher": params.get("teacher", info.teacher),
        "paper": info.paper,
        "paper_steps": info.paper_steps,
        "works_from": info.works_from,
        "version": info.version,
        "revised_after": None if info.revised_after is None else list(info.revised_after),
        **({"delivers": ANSWERS} if issubclass(bound.method, Floor) else {}),
    }


def _start(params: Mapping[str, Any], info: MethodInfo) -> str:
    """What a method starts from, where a parameter `init` or `start` may say otherwise."""
    if params.get("start") == "random":
        return "random"
    return str(params.get("init", info.starts_from))


def execute_trial(
    bound: BoundCell, dense: Tuned | None, progress: Progress = lambda step, total: None
) -> bool:
    """Makes one more trial of a cell's study, if one is left that nobody else makes.

    Args:
        bound: The cell.
        dense: The parameters of the dense model of its task; `None` in that model's own trials.
        progress: Called with steps made and steps in all of the training at hand.

    Returns:
        Whether it did.

    Raises:
        OSError: The run folder cannot be written.
    """
    with Study(bound).claim() as claim:
        if claim is None:
            return False
        claim.settle(make_trial(bound, claim.index, claim.params, dense, progress))
    return True


def make_trial(
    bound: BoundCell,
    index: int,
    tried: Mapping[str, Any],
    dense: Tuned | None,
    progress: Progress = lambda step, total: None,
) -> Outcome | TrialFailure:
    """Makes a trial, and tells its study nothing.

    Args:
        bound: The cell.
        index: The trial's place in the study.
        tried: The values of what is searched.
        dense: As `execute_trial` has it.
        progress: As `execute_trial` has it.

    Raises:
        OSError: The run folder cannot be written.
    """
    study, begin = Study(bound), time.perf_counter()
    log = Log(study.folder / f"{index}.log")
    run = _lend(study.bound, dense, log, progress, trial=True)
    try:
        params = bound.params(tried) if bound.searched else given(bound).params
        log(str(params))
        model = _compress(study.bound, run, params)
        response = respond(model, run.task.info.metric, run.data.report, run.context.device)
        score, _ = _score(run.task, run.data.report, response)
        counted = _counted(model, run)
    except Exception as error:
        if is_storage_error(error, bound.context.runs):
            raise
        log(traceback.format_exc())
        return TrialFailure(message_of(error), {"flops": run.flops, "kept": run.made_once})
    against = _against_majority(run, response) if is_dense(bound.cell.method) else None
    return Outcome(
        score=score.main,
        ratio=counted[bound.cell.axis]["ratio"],
        steps=run.steps,
        wall_s=time.perf_counter() - begin,
        flops=run.flops,
        kept=run.made_once,
        reference=run.reference.key if run.reference else None,
        curve=run.described_curve(),
        against_majority=against,
        threshold=threshold_said(response.threshold),
    )


def _counted(model: PreTrainedModel, run: CellRun) -> Footprint:
    """The footprint of a model, which is on the processor afterwards."""
    model.cpu()
    lengths = run.data.report.lengths
    return footprint(model, run.pretrained(), run.target.sequence_length, lengths)


def _lend(
    bound: BoundCell, dense: Tuned | None, log: Log, progress: Progress, *, trial: bool
) -> CellRun:
    """What a method is lent for a cell; everything random is seeded now."""
    cell, context = bound.cell, bound.context
    data = _rows(bound.prepared)
    params = context.bind(reference_cell(cell)).params() if dense is None else dense.params
    seeds.seed_everything(cell.seed)
    return CellRun(
        context=context,
        method=f"{cell.method} {bound.method.info.version}",
        task=bound.task,
        target=bound.target,
        seed=cell.seed,
        data=data.for_trials() if trial else data,
        reference_params=cast("TrainParams", params),
        log=log,
        progress=progress,
        trial=trial,
        is_plugin=bound.is_plugin,
    )


def _compress(bound: BoundCell, run: CellRun, params: Params) -> PreTrainedModel:
    """Lets the method compress; what it changes in this process is put back."""
    name = bound.cell.method
    if bound.is_plugin:
        _make_what_is_shared(run)
    try:
        with process_state.kept(), machine.limited_threads(bound.context.threads):
            model = bound.method().compress(run, params)
    except SystemExit as error:
        raise BenchError(f"{name} asked the process to exit ({first_line(error)})") from error
    except (Exception, KeyboardInterrupt):  # whose interrupt it is, the process knows
        raise
    except BaseException as error:
        raise BenchError(f"{name} raised {kind_and_line(error)}") from error
    finally:
        if (run.flops or run.made_once) and (made := run.data.facts.get("augmentation")):
            run.made_once["augmentation"] = ("augmentation", made["flops"])
    if not isinstance(model, PreTrainedModel):
        raise BenchError(f"{name} returned a {type(model).__name__}, not a model")
    if reason := objection_to_saving(model, run.task.num_labels, spans=run.task.finds_spans):
        raise BenchError(f"{name} returned a model with {reason}")
    return model


def _make_what_is_shared(run: CellRun) -> None:
    """Makes what other methods' cells read, too, before a plugin can have a hand in it."""
    with contextlib.suppress(DivergedError):  # which is said to whom it concerns
        run.obtain_reference(None)
    if not run.trial:
        dense_knowledge(run)
    seeds.seed_everything(run.seed)


def _made(
    bound: BoundCell, found: Tuned, dense: Tuned, log: Log, progress: Progress
) -> tuple[Record, Table | None, Challenged]:
    """The cell itself: record without cost and environment, predictions, and challenge sets."""
    cell, context = bound.cell, bound.context
    if issubclass(bound.method, Floor):
        return _answered(bound, found, log)
    if bound.limit < cell.ratio:
        raise UnreachableError(
            f"{cell.method} reaches {bound.limit:.4g}× on {cell.axis} at most, not {cell.ratio:g}×",
            bound.limit,
        )
    run = _lend(bound, dense, log, progress, trial=False)
    model = _compress(bound, run, found.params)
    threshold = threshold_of(run.data.facts, found.threshold)
    response = respond(
        model, run.task.info.metric, run.data.report, context.device, threshold=threshold
    )
    score, table = _score(run.task, run.data.report, response)
    challenged = challenge_model(bound, model)
    knowledge = knowledge_of(model, run)
    counted = _counted(model, run)
    reached = meets(counted[cell.axis]["ratio"], cell.ratio)
    if context.keeps_model(cell):
        save_model(model, context.runs / bound.id / MADE, context.encoder)
    parts = _parts(bound, run, found, dense)
    record = Record(
        id=bound.id,
        status="ok" if reached else "missed",
        cell=dataclasses.asdict(cell),
        params=dataclasses.asdict(found.params),
        tuning=found.facts,
        score=score.main,
        scores=score.figures,
        reference=None if run.reference is None else {"key": run.reference.key},
        footprint=counted,
        cost={
            "train_flops": sum(parts.values()),
            "parts": parts,
            "steps": run.steps,
            "train_s": run.seconds,
        },
        knowledge=knowledge,
        curve=run.described_curve(),
        data=_data_facts(run.data, score, response) | run.learnt,
    )
    return record, table, challenged


def _answered(bound: BoundCell, found: Tuned, log: Log) -> tuple[Record, Table, Challenged]:
    """The cell of a floor: its answers, and no model to be counted, probed or kept."""
    cell, data = bound.cell, _rows(bound.prepared)
    kept = answers_of_floor(bound.method.info.name, cell.task, bound.context, trial=False)
    log(", ".join(f"{name}: {value}" for name, value in kept.chosen.items()))
    response = Response(kept.answers, kept.logits)
    score, table = _score(bound.task, data.report, response)
    record = Record(
        id=bound.id,
        status="ok",
        cell=dataclasses.asdict(cell),
        params=kept.chosen,
        tuning=found.facts,
        score=score.main,
        scores=score.figures,
        cost={
            "train_flops": kept.flops,
            "parts": {"pooled states": kept.flops} if kept.flops else {},
            "steps": 0,
        },
        data=_data_facts(data, score, response),
    )
    return record, table, challenge_floor(bound)


def _data_facts(data: TaskData, score: scoring.Score, response: Response) -> dict[str, Any]:
    """What a record says of the rows, of their score, and of when there is no answer."""
    length = statistics.median_high(data.report.lengths.tolist())
    facts = {**data.facts, "notes": list(score.notes), "median_length": length}
    threshold = threshold_said(response.threshold)
    return facts if threshold is None else {**facts, THRESHOLD: threshold}


def _parts(bound: BoundCell, run: CellRun, found: Tuned, dense: Tuned) -> dict[str, int]:
    """Training FLOPs of a cell by part, where what was made for several parts counts once."""
    parts, counted = dict(run.flops), set(run.made_once)
    for part, flops in run.made_once.values():
        parts[part] = parts.get(part, 0) + flops
    studies = {found.part: found}
    if run.reference is not None and not is_dense(bound.cell.method):
        studies = {f"reference's {dense.part}": dense, **studies}
    for part, study in studies.items():
        made_once = sum(flops for key, flops in study.made_once.items() if key not in counted)
        counted |= set(study.made_once)
        if flops := study.flops + made_once:
            parts[part] = flops
    return parts


def _score(task: Task, report: Encoded, response: Response) -> tuple[scoring.Score, Table]:
    """Scores answers to the rows to be scored on, and lays the predictions out as a table."""
    given, right = response.answers, report.references
    score = scoring.score(task.info.metric, given, right, report.parts)
    return score, as_table(report.asked, right, given, report.parts, response.logits)


def _against_majority(run: CellRun, response: Response) -> dict[str, float]:
    """The best constant answer's score on the rows to be scored on, and the p of the difference."""
    metric, rows = run.task.info.metric, run.data.report
    constant = scoring.constant_answers(metric, run.labels(), len(rows.references))
    found = scoring.difference(metric, response.answers, constant, rows.references, rows.parts)
    base = scoring.score(metric, constant, rows.references, rows.parts)
    return {"score": base.main, "p": found.p}
