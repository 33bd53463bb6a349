"""What a record says of the knowledge that a delivered model keeps, beside the dense one's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bench.errors import DivergedError
from bench.files import read_json, write_json
from bench.results.store import Store
from bench.training.knowledge import floor, measure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import PreTrainedModel

    from bench.runs.cells.cell_run import CellRun


def knowledge_of(model: PreTrainedModel, run: CellRun) -> dict[str, Any] | None:
    """What the record says of the knowledge that a delivered model keeps; charged to nobody."""
    context, probe = run.context, run.context.probe
    if probe is None or probe.objection:
        return None
    losses = measure(model, probe, run.encoder, context.device)
    if losses is None:
        return None
    pretrained, finetuned = dense_knowledge(run)
    return {
        "text": probe.name,
        "hash": probe.hash,
        "rows": probe.rows,
        "masked": probe.masked,
        "floor": pretrained["floor"],
        "loss": losses.plain,
        "pretrained": pretrained.get("plain"),
        "finetuned": finetuned.get("plain"),
        "refitted": losses.refitted,
        "pretrained_refitted": pretrained.get("refitted"),
        "finetuned_refitted": finetuned.get("refitted"),
    }


def dense_knowledge(run: CellRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the encoder keeps before and after fine-tuning; nothing where nobody asks for it.

    It is measured once a run folder.
    """
    context, probe = run.context, run.context.probe
    if probe is None or probe.objection:
        return {}, {}
    how = (probe, run.encoder, context.device)

    def known_of(load: Callable[[], PreTrainedModel]) -> dict[str, Any]:
        found = measure(load(), *how)
        return {} if found is None else dataclasses.asdict(found)

    name = context.weights if run.encoder == context.encoder else run.encoder.name
    known = probe.folder / f"pretrained-{name}.json"
    pretrained = _once(known, run, lambda: known_of(run.pretrained) | {"floor": floor(*how)})
    try:
        reference = run.obtain_reference(None)
        known = reference.folder / f"knowledge-{probe.hash}.json"
        finetuned = _once(known, run, lambda: known_of(lambda: run.load(reference.folder)))
    except DivergedError as error:  # which is no fault of this cell
        run.log(f"the fine-tuned model's knowledge is not known: {error}")
        finetuned = {}
    return pretrained, finetuned


def _once(known: Path, run: CellRun, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What many cells ask for, computed once and kept in a file."""
    with Store(run.context.runs).lock(f"{known.parent.name}-{known.stem}"):
        done = read_json(known)
        if done is None:
            done = make()
            write_json(known, done)
    return done
