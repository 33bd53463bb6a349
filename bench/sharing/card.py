"""The card of a compressed model: what it is, how it was measured, what it is not for.

Its metadata follows huggingface_hub: `model-index`, which the hub calls legacy, and its successor
`.eval_results/*.yaml`. Its text comes out of a template in which every name is escaped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import hub
from bench.checksums import seal
from bench.data.tasks.demo import demo_encoder_path
from bench.errors import BenchError
from bench.files import atomic_path, write_text
from bench.leaderboard.markdown import Markdown, rounded, significant
from bench.leaderboard.templating import render_markdown
from bench.metrics import figure_of
from bench.models.folder import MODEL_FILES, weight_hash
from bench.results.record import record_hash, slim
from bench.sharing.facts import facts_of

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry, ModelCardData

    from bench.results.record import Record
    from bench.results.store import Store
    from bench.sharing.facts import Facts

CARD, EVALUATED = "README.md", ".eval_results"
METADATA = "bench"
"""The key of the record among the metadata of a file of weights."""

FEW = 2
"""Seeds that leave one degree of freedom to their spread: Student's t is 12.7 then, not 1.96."""

GLUE = "nyu-mll/glue"
"""The data set whose configurations have the names of its tasks."""

ENGLISH = ("glue", "demo")
"""Groups of tasks that are in English."""

TAGS = {"unstructured": ("pruning", "sparse"), "structured": ("pruning",)}
"""What the hub calls a method of a kind."""

HUB_METRICS = {"matthews": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr",
               "token_f1": "f1", "macro_f1": "f1"}  # fmt: skip
"""What the hub calls figures that have another name there."""

MEASURES = {"weights": "prunable weights", "params": "parameters", "flops": "FLOPs of an example",
            "flops_task": "FLOPs at the task's lengths",
            "bytes": "bytes, 16-bit values"}  # fmt: skip


def complete(folder: Path, store: Store, record: Record, repository: str = "") -> None:
    """Makes of an exported folder one to be handed on: a card, and the record beside the weights.

    Args:
        folder: A Hugging Face folder that nobody sees yet.
        store: The run folder that the model comes from.
        record: Its record.
        repository: The hub's name of what the folder becomes, if it is known.

    Raises:
        BenchError: A record or predictions of the suite cannot be read.
    """
    import yaml
    from huggingface_hub import ModelCard, eval_result_entries_to_yaml

    facts = facts_of(store, record)
    found = licence(facts)
    frame = "---\n{{ card_data }}\n---\n\n{{ text }}\n"
    card = ModelCard.from_template(
        _metadata(facts, found), template_str=frame, text=_text(facts, repository, found)
    )
    write_text(folder / CARD, str(card))
    if entry := _evaluated(facts):
        held = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False)
        write_text(folder / EVALUATED / f"{record.cell['task']}.yaml", held)
    _embed(folder / "model.safetensors", record)
    seal(folder)


def embedded(path: Path) -> dict[str, Any]:
    """The record that a file of weights carries, as plain data; empty where it carries none."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        held = (file.metadata() or {}).get(METADATA)
    found: dict[str, Any] = json.loads(held) if held else {}
    return found


def _embed(path: Path, record: Record) -> None:
    """Writes a file of weights again, with the record among its metadata."""
    from safetensors.torch import load_file, save_file

    held = json.dumps({**slim(record), "created": record.created}, ensure_ascii=False)
    tensors = load_file(path)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"format": "pt", METADATA: held})


def _metadata(facts: Facts, base_licence: str | None) -> ModelCardData:
    from huggingface_hub import EvalResult, ModelCardData

    record, cell, data = facts.record, facts.record.cell, facts.record.data
    results = [
        EvalResult(
            task_type=_pipeline(facts),
            dataset_type=facts.dataset or cell["task"],
            dataset_name=cell["task"],
            dataset_config=cell["task"] if facts.dataset == GLUE else None,
            dataset_split=_split(facts, name),
            dataset_revision=data.get("revision"),
            metric_type=_metric(figure_of(name)),
            metric_value=value,
            metric_name=f"{name}, dev set, seed {cell['seed']}",
        )
        for name, value in record.scores.items()
        if value is not None
    ]
    group = facts.task.group if facts.task else None
    return ModelCardData(
        model_name=title(record),
        base_model=facts.base,
        base_model_relation="finetune" if facts.base else None,
        datasets=[facts.dataset] if facts.dataset else None,
        eval_results=results,
        language="en" if group in ENGLISH else None,
        library_name="transformers",
        license=base_licence,
        metrics=list(dict.fromkeys(map(_metric, facts.metric.figures))),
        pipeline_tag=_pipeline(facts),
        tags=[*_tags(record), "model-compression", "bench"],
        bench={"record": record.id, "hash": record_hash(record), "protocol": cell["protocol"]},
    )


def _metric(figure: str) -> str:
    return HUB_METRICS.get(figure, figure)


def _split(facts: Facts, score: str) -> str:
    """The split that a score is of; MNLI has two."""
    part = score.removeprefix(figure_of(score))
    return f"validation{part}" if facts.dataset else f"dev{part}"


def _tags(record: Record) -> list[str]:
    teacher = record.params.get("teacher", record.method["teacher"])
    taught = ["distillation"] if teacher != "none" else []
    return [*TAGS.get(record.method["kind"], ()), *taught]


def _evaluated(facts: Facts) -> EvalResultEntry | None:
    """What `.eval_results` says; nothing where the data set is none of the hub's."""
    from huggingface_hub import EvalResultEntry

    if facts.dataset is None:
        return None
    record = facts.record
    ratio = f"{record.cell['ratio']:g}× by {record.cell['axis']}"
    seeds = _mean(facts)
    return EvalResultEntry(
        dataset_id=facts.dataset,
        task_id=record.cell["task"],
        value=record.score,
        dataset_revision=record.data.get("revision"),
        date=record.created,
        notes=f"dev set, seed {record.cell['seed']}, {ratio}; {seeds}",
    )


def _text(facts: Facts, repository: str, base_licence: str | None) -> str:
    record = facts.record
    sizes = [
        [what, significant(size.get("dense")), significant(size.get("actual")),
         f"{size['ratio']:.2f}×"]
        for axis, what in MEASURES.items()
        if (size := record.footprint.get(axis))
    ]  # fmt: skip
    figures = [[name, rounded(value, 2)] for name, value in record.scores.items()]
    settings = facts.suite.get("settings", {})
    held = {name: value for name, value in settings.items() if value not in ("", None, 0, [])}
    return render_markdown(
        "model_card.md",
        title=title(record),
        repository=Markdown(repository),  # in code, where nothing is escaped
        record=record,
        hash=record_hash(record),
        task=facts.task,
        base=facts.base or record.cell["model"],
        dataset=facts.dataset,
        figures=figures,
        mean=_mean(facts),
        dense=_mean_of(facts.dense),
        seeds=len(facts.scores),
        sizes=sizes,
        timing=record.timing,
        latency=record.latency,
        params=[[name, f"{value}"] for name, value in record.params.items()],
        held=[[name, f"{value}"] for name, value in held.items()],
        commands=facts.suite.get("commands", []),
        licence=base_licence,
        spans=facts.metric.spans,
        pairs=facts.pairs,
        regression=facts.metric.regression,
    )


def title(record: Record) -> str:
    """What a card calls a model."""
    cell = record.cell
    return f"{cell['model']} on {cell['task']}, {cell['method']} at {cell['ratio']:g}×"


def licence(facts: Facts) -> str | None:
    """The licence of the base model: what its own card says, if that was fetched with it.

    It goes by the weights: any model may have another one's name.
    """
    from huggingface_hub import ModelCard

    weights = facts.suite.get("weights")
    if weights == weight_hash(demo_encoder_path()):
        return "apache-2.0"
    if facts.base is None:
        return None
    try:
        folder = hub.snapshot(facts.base, "model", files=MODEL_FILES, offline=True, remedy="")
        if weight_hash(folder) != weights:
            return None
        said = ModelCard.load(folder / CARD, ignore_metadata_errors=True).data.license
    except (BenchError, OSError, ValueError):
        return None
    return said if isinstance(said, str) else None


def _pipeline(facts: Facts) -> str:
    return "question-answering" if facts.metric.spans else "text-classification"


def _mean(facts: Facts) -> str:
    """The mean over seeds in words."""
    if facts.estimate is None:
        return _mean_of(facts.scores)
    value, half, seeds = facts.estimate.value, facts.estimate.half_width, len(facts.scores)
    few = ", which says next to nothing with two seeds" if seeds == FEW else ""
    return f"{value:.2f} ± {half:.2f} (mean of {seeds} seeds, 95 % interval{few})"


def _mean_of(scores: Any) -> str:
    values = list(scores.values())
    if not values:
        return "–"
    few = "one seed, which has no interval" if len(values) == 1 else f"mean of {len(values)} seeds"
    return f"{sum(values) / len(values):.2f} ({few})"
