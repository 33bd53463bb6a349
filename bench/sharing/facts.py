"""What a card says of a model that a cell kept, gathered from the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.data.texts import find_prepared, report_texts
from bench.errors import BenchError
from bench.leaderboard.ranking import rows_of, sample
from bench.leaderboard.statistics import Estimate, mean
from bench.metrics import Metric, metric_of
from bench.results.predictions import in_store
from bench.results.record import Record, dense_of
from bench.results.suites import suite_records, suites_run_in
from bench.runs.encoder import DEFAULT_MODEL

if TYPE_CHECKING:
    from bench.data.task import TaskInfo
    from bench.results.store import Store

KEYS = ("method", "task", "axis", "ratio", "model", "protocol")
"""What the seeds of one row share."""


@dataclass(frozen=True)
class Facts:
    """A cell among those that it is to be read with.

    Attributes:
        record: The cell's record.
        suite: The suite that it belongs to, as far as one is known.
        task: What the task says of itself, where it is registered.
        metric: Its metric.
        pairs: Whether its rows are pairs of texts, as far as the run folder still has them.
        scores: Scores by seed, of the same method on the same task at the same ratio.
        estimate: Their mean with its interval; `None` below two seeds.
        dense: The same of the dense model.
    """

    record: Record
    suite: dict[str, Any]
    task: TaskInfo | None
    metric: Metric
    pairs: bool
    scores: Mapping[int, float]
    estimate: Estimate | None
    dense: Mapping[int, float]

    @property
    def base(self) -> str | None:
        """The encoder's name on the hub, if it came from there."""
        for command in self.suite.get("commands", []):
            words = command.split()
            asked = words[words.index("--model") + 1] if "--model" in words[:-1] else DEFAULT_MODEL
            if "$" not in asked and asked.partition("/")[2] == self.record.cell["model"]:
                return asked
        return None

    @property
    def dataset(self) -> str | None:
        """The data set's name on the hub, if the rows came from there."""
        source = self.record.data.get("source", "")
        return source if self.record.data.get("revision") and source.count("/") == 1 else None


def facts_of(store: Store, record: Record) -> Facts:
    """Gathers what a card says.

    Raises:
        BenchError: A record or predictions of the same suite cannot be read, or it has no metric's
            figures.
    """
    suite = next((s for s in suites_run_in(store.root).values() if record.id in s["cells"]), {})
    known = suite_records(store, suite) if suite else [record]
    own = [one for one in known if _same(one, record, record.cell["method"])]
    dense = [one for one in known if _same(one, record, dense_of(record.cell["method"]))]
    task = record.cell["task"]
    if (metric := metric_of(record.scores)) is None:
        raise BenchError(f"{record.id}: {', '.join(record.scores)} are not a metric's figures.")
    (row,) = rows_of(own, [task])
    found = sample(row, task, in_store(store))
    return Facts(
        record=record,
        suite=suite,
        task=_task(task),
        metric=metric,
        pairs=_has_pairs(store, record),
        scores=dict(sorted(found.scores.items())) or {record.cell["seed"]: record.score or 0.0},
        estimate=mean(found),
        dense={r.cell["seed"]: r.score for r in dense if r.score is not None},
    )


def _same(one: Record, record: Record, method: str) -> bool:
    """Whether a record is of the same row, for a method; the dense model has no ratio."""
    keys = KEYS[1:] if method == record.cell["method"] else ("task", "model", "protocol")
    return one.cell["method"] == method and all(one.cell[k] == record.cell[k] for k in keys)


def _has_pairs(store: Store, record: Record) -> bool:
    data = store.root / "data"
    folder = find_prepared(data, record.cell["task"], record.data.get("fingerprint", ""))
    try:
        return folder is not None and any(len(row) > 1 for row in report_texts(folder))
    except BenchError:  # rows of before their texts were kept
        return False


def _task(name: str) -> TaskInfo | None:
    try:
        return registry.task(name).info
    except BenchError:  # one that a file declares, or a plugin that is gone
        return None
