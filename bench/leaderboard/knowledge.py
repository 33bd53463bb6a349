"""Records to what is left of pre-training, beside what is left of the task's score."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.leaderboard.markdown import rounded
from bench.leaderboard.ranking import OUTSIDE_AVERAGE, is_uninformative
from bench.results.record import DENSE

if TYPE_CHECKING:
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record

AVERAGE = "average"
PRETRAINED, FINETUNED = "pre-trained", "fine-tuned"
"""The rows of the dense encoder, before and after it was fine-tuned."""


HEADS = ("method", "ratio", "MLM loss, nats", "% of fine-tuned", "score", "% of fine-tuned")
"""Of a table of lines; see `knowledge_row`."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A model on a task, or on the average of all; means over seeds, `None` where not known.

    Attributes:
        task: The task, or `AVERAGE`.
        method: The variant's name, `PRETRAINED` or `FINETUNED`.
        ratio: Wanted compression.
        loss: Masked-language-model loss, in nats per masked token.
        score: The task's main figure, 0–100.
        loss_share: Loss in % of the fine-tuned model's.
        score_share: Score in % of the fine-tuned model's.
    """

    task: str
    method: str
    ratio: float = 1.0
    loss: float | None = None
    score: float | None = None
    loss_share: float | None = None
    score_share: float | None = None


def knowledge_lines(records: Sequence[Record], answers: PredictionsOf) -> list[Line]:
    """Pre-trained, fine-tuned, then every method by ratio: on each task, then on the average.

    Args:
        records: The records of a suite; those whose cells are not `ok` are left out.
        answers: Where predictions are found, by which tasks stand outside the average.
    """
    done = [record for record in records if record.status == "ok"]
    tasks = sorted({record.cell["task"] for record in done})
    by_task = [_on_task(task, done) for task in tasks]
    if len(tasks) > 1:
        references = [record for record in done if record.cell["ratio"] == 1]
        averaged = [
            task
            for task in tasks
            if task not in OUTSIDE_AVERAGE and not is_uninformative(references, task, answers)
        ]
        by_task.append(_on_average([line for lines in by_task for line in lines], averaged))
    return [line for lines in by_task for line in _with_shares(lines)]


def knowledge_text(suite: str, records: Iterable[Record]) -> dict[str, Any]:
    """The one text that the losses of all records were measured on: its name, hash and counts.

    Raises:
        BenchError: No loss was measured, or they were on different texts.
    """
    known = [r.knowledge for r in records if r.knowledge and r.status == "ok"]
    texts = {one["hash"]: f"{one['text']} ({one['hash']})" for one in known}
    remedy = "run its command again with --probe-text FILE and --rerun all"
    if not texts:
        raise BenchError(
            f"no record of '{suite}' says what is left of pre-training: {remedy}. It takes an "
            "encoder that comes with the masked-language-model head of its pre-training."
        )
    if len(texts) > 1:
        raise BenchError(
            f"the losses of '{suite}' were measured on different texts: "
            f"{' and '.join(texts.values())}. They do not compare: {remedy}."
        )
    return {"name": known[0]["text"], **{key: known[0][key] for key in ("hash", "rows", "masked")}}


def knowledge_caption(text: dict[str, Any]) -> str:
    """What the losses of a table are, in a phrase; `text` as `knowledge_text` gives it."""
    return (
        f"masked-language-model (MLM) loss on {text['masked']:,} masked tokens of "
        f"{text['rows']:,} passages ({text['name']}), mean over seeds. The lower it is, the more "
        "is left"
    )


def knowledge_row(line: Line) -> list[str]:
    """A row under `HEADS`."""
    figures = ((line.loss, 3), (line.loss_share, 1), (line.score, 1), (line.score_share, 1))
    return [line.method, f"{line.ratio:g}", *(rounded(value, digits) for value, digits in figures)]


def _on_task(task: str, records: Sequence[Record]) -> list[Line]:
    rows: dict[tuple[float, str], list[Record]] = {}
    for record in records:
        if record.cell["task"] == task:
            rows.setdefault((record.cell["ratio"], record.cell["method"]), []).append(record)
    measured = [record for row in rows.values() for record in row if record.knowledge]
    # A seed's reference is the same for all methods, so it counts once.
    before, after = (
        {record.cell["seed"]: (record.knowledge or {})[stage] for record in measured}
        for stage in ("pretrained", "finetuned")
    )
    dense = rows.pop((1.0, DENSE), [])
    return [
        Line(task=task, method=PRETRAINED, loss=_mean(before.values())),
        Line(
            task=task,
            method=FINETUNED,
            loss=_mean(after.values()),
            score=_mean(record.score for record in dense),
        ),
        *(
            Line(
                task=task,
                method=method,
                ratio=ratio,
                loss=_mean((record.knowledge or {}).get("loss") for record in row),
                score=_mean(record.score for record in row),
            )
            for (ratio, method), row in sorted(rows.items())
        ),
    ]


def _on_average(lines: Sequence[Line], tasks: Sequence[str]) -> list[Line]:
    """Means over tasks: none where a task is missing."""
    found = {(line.method, line.ratio, line.task): line for line in lines}

    def mean(figure: str, method: str, ratio: float) -> float | None:
        values = [getattr(found.get((method, ratio, task)), figure, None) for task in tasks]
        return None if None in values else _mean(values)

    rows = dict.fromkeys((line.method, line.ratio) for line in lines)
    return [
        Line(
            task=AVERAGE,
            method=method,
            ratio=ratio,
            loss=mean("loss", method, ratio),
            score=mean("score", method, ratio),
        )
        for method, ratio in sorted(rows, key=lambda row: row[1])
    ]


def _with_shares(lines: Sequence[Line]) -> list[Line]:
    dense = next(line for line in lines if line.method == FINETUNED)

    def share(value: float | None, of: float | None) -> float | None:
        return 100 * value / of if value is not None and of else None

    return [
        dataclasses.replace(
            line,
            loss_share=share(line.loss, dense.loss),
            score_share=share(line.score, dense.score),
        )
        for line in lines
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
