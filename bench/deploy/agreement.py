"""How an exported graph answers the report rows, beside the model that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.data.encoded import Encoded
from bench.deploy.engines import answers_of_graph
from bench.files import read_json
from bench.machine import usable_cores
from bench.metrics import METRICS, figure_of
from bench.models.checkpoint import load_classifier
from bench.results.predictions import in_store
from bench.results.record import THRESHOLD
from bench.training.evaluate import respond
from bench.training.scoring import score
from bench.training.spans import ALWAYS

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.results.store import Store


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How a graph answers the report rows, beside the model in fp32.

    Attributes:
        rows: How many report rows there are.
        score: The graph's main figure.
        alike: Share of the rows that it answers as the model does; for a regression, the
            correlation of the two.
        is_regression: Which of the two it is.
    """

    rows: int
    score: float
    alike: float
    is_regression: bool


def compare_graph(store: Store, record: Record, model: Path, graph: Path) -> Agreement | None:
    """Scores a graph of a cell's model on the report rows.

    Args:
        store: The run folder.
        record: The cell's.
        model: The folder of its model.
        graph: The ONNX file.

    Returns:
        `None` where the run folder does not have the rows, or the cell's answers, any more.
    """
    rows, known = _report_rows(store, record), in_store(store)(record.id)
    if rows is None or known is None:
        return None
    figures = set(map(figure_of, record.scores))
    metric = next(name for name, one in METRICS.items() if set(one.figures) == figures)
    is_regression = METRICS[metric].regression
    classifier, _ = load_classifier(str(model))
    answers = respond(
        classifier,
        metric,
        rows,
        "cpu",
        threshold=record.data.get(THRESHOLD, ALWAYS),
        answer=answers_of_graph(graph, usable_cores()),
    ).answers
    return Agreement(
        rows=len(answers),
        score=score(metric, answers, rows.references, rows.parts).main,
        alike=float(
            np.corrcoef(answers, known.answers)[0, 1]
            if is_regression
            else np.mean(answers == known.answers)
        ),
        is_regression=is_regression,
    )


def _report_rows(store: Store, record: Record) -> Encoded | None:
    """The cell's report rows, tokenised, where one folder alone can be theirs."""
    found = []
    for folder in sorted((store.root / "data").glob(f"{record.cell['task']}-*")):
        facts = (read_json(folder / "prepared.json") or {}).get("facts", {})
        if facts and facts.items() <= record.data.items():
            found.append(folder)
    return Encoded.load(found[0] / "report.parquet") if len(found) == 1 else None
