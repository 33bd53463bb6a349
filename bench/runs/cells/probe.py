"""What a record says of the knowledge that a delivered model keeps, beside the dense one's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.errors import DivergedError
from bench.files import read_json, write_json
from bench.results.store import Store
from bench.training.knowledge import masked_loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import PreTrainedModel

    from bench.runs.cells.cell_run import CellRun
    from bench.training.knowledge import Probe


def knowledge_of(model: PreTrainedModel, run: CellRun) -> dict[str, Any] | None:
    """What the record says of the knowledge that a delivered model keeps; charged to nobody."""
    context, probe = run.context, run.context.probe
    if probe is None or probe.objection:
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
