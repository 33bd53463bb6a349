"""Records to what is left of pre-training, beside the task's score."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.leaderboard.markdown import rounded
from bench.leaderboard.ranking import OUTSIDE_AVERAGE, is_uninformative
from bench.results.record import DENSE, dense_of

if TYPE_CHECKING:
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record

AVERAGE = "average"
PRETRAINED, FINETUNED = "pre-trained", "fine-tuned"
"""The rows of the dense encoder, before and after it was fine-tuned."""

FREQUENCIES = "word frequencies"
"""The row of the floor."""

HEADS = (
    "method", "ratio", "MLM loss, pre-trained head", "MLM loss, re-fitted head",
    "above frequencies, %", "score",
)  # fmt: skip
"""Of a table of lines; see `knowledge_row`."""

AT_FLOOR = " (floor)"
"""Behind a re-fitted loss that is not below that of word frequencies."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A model on a task, or on the average of all; means over seeds, `None` where not known.

    Attributes:
        task: The task, or `AVERAGE`.
        method: The variant's name, `PRETRAINED`, `FINETUNED` or `FREQUENCIES`.
        ratio: Wanted compression; `None` for `FREQUENCIES`.
        loss: Masked-language-model loss under the pre-trained head, in nats per masked token.
        refitted: The same under the head that was fitted on the model.
        above_floor: The re-fitted loss between `FREQUENCIES`, 0, and `PRETRAINED`, 100.
        score: The task's main figure, 0–100.
    """

    task: str
    method: str
    ratio: float | None = 1.0
    loss: float | None = None
    refitted: float | None = None
    above_floor: float | None = None
    score: float | None = None

    @property
    def is_at_floor(self) -> bool:
        """Whether a model knows no more than word frequencies, by its re-fitted loss."""
        measured = self.above_floor is not None and self.method != FREQUENCIES
        return measured and (self.above_floor or 0.0) <= 0


def knowledge_lines(records: Sequence[Record], answers: PredictionsOf) -> list[Line]:
    """The dense encoder, every method by ratio, the floor: on each task, then on the average.

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
        f"masked-language-model (MLM) loss in nats on {text['masked']:,} masked tokens of "
        f"{text['rows']:,} passages ({text['name']}), mean over seeds. The lower it is, the more "
        "is left"
    )


def knowledge_notes(lines: Sequence[Line]) -> list[str]:
    """What the columns of a table say, a sentence or two each."""
    notes = []
    if any(line.refitted is not None for line in lines):
        notes = [
            "The pre-trained head asks whether a model still speaks as the pre-trained encoder "
            "does. The re-fitted head is trained on each frozen model, and asks what it holds.",
            "Above frequencies: the re-fitted loss between word frequencies, 0 %, and the "
            "pre-trained encoder, 100 %.",
        ]
    if any(line.is_at_floor for line in lines):
        notes.append(f"{AT_FLOOR.strip()}: not better than word frequencies.")
    models = [line for line in lines if line.method != FREQUENCIES]
    if any(line.loss is None or line.refitted is None for line in models):
        notes.append("–: not measured, or the model has no place for the pre-trained head.")
    return notes


def knowledge_row(line: Line) -> list[str]:
    """A row under `HEADS`."""
    refitted = rounded(line.refitted, 3) + (AT_FLOOR if line.is_at_floor else "")
    ratio = "–" if line.ratio is None else f"{line.ratio:g}"
    above, score = rounded(line.above_floor, 1), rounded(line.score, 1)
    return [line.method, ratio, rounded(line.loss, 3), refitted, above, score]


def _on_task(task: str, records: Sequence[Record]) -> list[Line]:
    rows: dict[tuple[float, str], list[Record]] = {}
    for record in records:
        if record.cell["task"] == task:
            rows.setdefault((record.cell["ratio"], record.cell["method"]), []).append(record)
    measured = [record for row in rows.values() for record in row if record.knowledge]

    def of_encoder(stage: str) -> float | None:
        # A seed's reference is the same for all methods under the suite's options: it counts once.
        own = [record for record in measured if dense_of(record.cell["method"]) == DENSE]
        seeds = {r.cell["seed"]: (r.knowledge or {}).get(stage) for r in own}
        return _mean(seeds.values())

    dense = rows.pop((1.0, DENSE), [])
    floor = Line(task=task, method=FREQUENCIES, ratio=None, refitted=of_encoder("floor"))
    return [
        Line(
            task=task,
            method=PRETRAINED,
            loss=of_encoder("pretrained"),
            refitted=of_encoder("pretrained_refitted"),
        ),
        Line(
            task=task,
            method=FINETUNED,
            loss=of_encoder("finetuned"),
            refitted=of_encoder("finetuned_refitted"),
            score=_mean(record.score for record in dense),
        ),
        *(
            Line(
                task=task,
                method=method,
                ratio=ratio,
                loss=_mean((record.knowledge or {}).get("loss") for record in row),
                refitted=_mean((record.knowledge or {}).get("refitted") for record in row),
                score=_mean(record.score for record in row),
            )
            for (ratio, method), row in sorted(rows.items())
        ),
        *([] if floor.refitted is None else [floor]),
    ]


def _on_average(lines: Sequence[Line], tasks: Sequence[str]) -> list[Line]:
    """Means over tasks: none where a task is missing."""
    found = {(line.method, line.ratio, line.task): line for line in lines}

    def mean(figure: str, method: str, ratio: float | None) -> float | None:
        values = [getattr(found.get((method, ratio, task)), figure, None) for task in tasks]
        return None if None in values else _mean(values)

    rows = dict.fromkeys((line.method, line.ratio) for line in lines)
    return [
        Line(
            task=AVERAGE,
            method=method,
            ratio=ratio,
            loss=mean("loss", method, ratio),
            refitted=mean("refitted", method, ratio),
            score=mean("score", method, ratio),
        )
        for method, ratio in sorted(rows, key=lambda row: row[1] or math.inf)
    ]


def _with_shares(lines: Sequence[Line]) -> list[Line]:
    """With what lies above the floor; not known where the pre-trained encoder does not."""
    found = {
        line.method: line.refitted for line in lines if line.method in (PRETRAINED, FREQUENCIES)
    }
    best, floor = found.get(PRETRAINED), found.get(FREQUENCIES)
    if best is None or floor is None or best >= floor:
        return list(lines)

    def share(loss: float | None) -> float | None:
        return None if loss is None else 100 * (floor - loss) / (floor - best)

    return [dataclasses.replace(line, above_floor=share(line.refitted)) for line in lines]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
