"""Records to rows: what stands in one table, how sure it is, and in which order it stands."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.leaderboard import statistics as inference
from bench.leaderboard.statistics import Estimate, Pairs, Sample
from bench.metrics import figure_of, influence
from bench.results.record import AGAINST_MAJORITY, DENSE, dense_of

if TYPE_CHECKING:
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record


LEAST_ROWS = 10
"""Report rows below which a task cannot tell a model from a guess."""

OUTSIDE_AVERAGE = ("wnli",)
"""Tasks whose dev set says nothing: shown, but no part of an average."""

ON_FIT_ROWS = ("tuning", "convergence")
"""How parts of a cost end that are trials, not the final run."""

MAJORITY, RANDOM_MASK = "majority", "random-mask"
"""The controls that always give the most frequent answer, and that leave weights by chance."""


@dataclass(frozen=True)
class Row:
    """One method at one ratio.

    Attributes:
        method: The variant's name.
        facts: What its records say of the method: kind, control, what it starts from, teacher.
        scores: Scores by task, one a seed, in the order of seeds; `ok` cells only.
        records: All its records at this ratio.
    """

    method: str
    facts: dict[str, Any]
    scores: dict[str, list[float]]
    records: list[Record]

    def mean(self, task: str) -> float | None:
        """Mean over seeds, `None` where there is no score."""
        values = self.scores.get(task)
        return statistics.fmean(values) if values else None

    def average(self, tasks: Sequence[str]) -> float | None:
        """Mean over tasks, `None` where one is missing."""
        means = [self.mean(task) for task in tasks]
        known = [value for value in means if value is not None]
        return statistics.fmean(known) if known and len(known) == len(means) else None

    @property
    def label(self) -> str:
        """Its name, as a table shows it."""
        return f"{self.method} (control)" if self.facts["control"] else self.method

    def not_tuned(self, tasks: Sequence[str]) -> list[str]:
        """The tasks for which no trial worked, so that a score there says nothing of the method."""
        lost = {r.cell["task"] for r in self.records if r.tuning.get("not_tuned")}
        return [task for task in tasks if task in lost]

    def ratio(self, axis: str, tasks: Sequence[str]) -> float | None:
        """Mean achieved ratio on an axis of the footprint, over some tasks' models."""
        return self._mean_count(axis, "ratio", tasks)

    def size(self, axis: str, tasks: Sequence[str]) -> float | None:
        """Mean count on an axis of the footprint, over some tasks' models."""
        return self._mean_count(axis, "actual", tasks)

    @functools.cached_property
    def _footprints(self) -> dict[str, list[dict[str, dict[str, float]]]]:
        """Those of its models, by task."""
        found: dict[str, list[dict[str, dict[str, float]]]] = {}
        for record in self.records:
            if record.status == "ok" and record.has_model:
                found.setdefault(record.cell["task"], []).append(record.footprint)
        return found

    def _mean_count(self, axis: str, key: str, tasks: Sequence[str]) -> float | None:
        """A mean over models; `None` where there is none, or where one's count is not known."""
        of_tasks = [found for task, found in self._footprints.items() if task in tasks]
        counted = [one.get(axis, {}) for one in itertools.chain.from_iterable(of_tasks)]
        known = [found[key] for found in counted if key in found]
        return statistics.fmean(known) if known and len(known) == len(counted) else None

    def train_flops(self, *, tuning: bool) -> float | None:
        """Training FLOPs of one seed on all tasks: the mean over seeds, summed over tasks.

        Args:
            tuning: Whether what the parameters took to find is counted.

        Returns:
            `None` where a task is missing, or where parameters were found by another suite, whose
            tuning these records do not know.
        """
        if tuning and any(r.tuning.get("parameters") == "carried" for r in self.records):
            return None

        def flops(cost: dict[str, Any]) -> float:
            parts = {} if tuning else cost.get("parts", {})
            trials = sum(value for part, value in parts.items() if part.endswith(ON_FIT_ROWS))
            return float(cost["train_flops"] - trials)

        return self._over_tasks("train_flops", flops)

    def train_seconds(self) -> float | None:
        """Seconds that the final run's trainings took, as `train_flops` has their FLOPs."""
        return self._over_tasks("train_s", lambda cost: float(cost["train_s"]))

    def _over_tasks(self, key: str, figure: Callable[[dict[str, Any]], float]) -> float | None:
        """What a cost that has a key comes to: the mean over seeds, summed over tasks."""
        by_task: dict[str, list[float]] = {}
        for record in self.records:
            if key in record.cost:
                by_task.setdefault(record.cell["task"], []).append(figure(record.cost))
        if by_task.keys() < self.scores.keys():
            return None
        return sum(map(statistics.fmean, by_task.values()))


@dataclass(frozen=True)
class Power:
    """What tests between competitors could have seen.

    Attributes:
        pairs: How many pairs were tested.
        least_p: The smallest p that so many seeds and tasks can give, after Holm's correction.
        smallest: The smallest difference, in points, that Student's t would have passed as the
            first of all pairs; the median over pairs.
    """

    pairs: int
    least_p: float
    smallest: float


@dataclass(frozen=True)
class Standings:
    """The rows of one ratio, the references among them, and what the statistics say of them.

    Attributes:
        rows: Competitors from the best to the worst, those that were not tuned last, then the
            controls.
        tasks: All tasks.
        averaged: The tasks that the average is taken over.
        uninformative: Tasks on which the dense model is not surely above the majority class.
        means: Mean over seeds by (method, task).
        averages: Average over the averaged tasks by method.
        pairs: Differences by task.
        average_pairs: Differences of averages.
        overall: Shared ranks by average, of those with enough seeds.
    """

    rows: list[Row]
    tasks: Sequence[str]
    averaged: list[str]
    uninformative: list[str]
    means: dict[tuple[str, str], Estimate] = field(default_factory=dict)
    averages: dict[str, Estimate] = field(default_factory=dict)
    pairs: dict[str, Pairs] = field(default_factory=dict)
    average_pairs: Pairs = field(default_factory=dict)
    overall: dict[str, int] = field(default_factory=dict)

    @property
    def sized(self) -> Sequence[str]:
        """The tasks whose models' sizes a row shows: those of its average, if it has one."""
        return self.averaged or self.tasks

    def row(self, method: str) -> Row | None:
        """The row of a method."""
        return next((row for row in self.rows if row.method == method), None)

    def competitors(self) -> list[str]:
        """The names of what is ranked: no control, and nothing that was not tuned."""
        return [row.method for row in self.rows if is_ranked(row, self.averaged)]

    def above_dense(self) -> list[str]:
        """Competitors that are significantly above their dense model on average."""
        return [
            name
            for name in self.competitors()
            if (lead := inference.difference(self.average_pairs, name, dense_of(name))) is not None
            and lead.value > 0
            and self.told_apart(self.average_pairs, name, dense_of(name))
        ]

    def family(self, one: str, other: str) -> tuple[str, list[tuple[str, str]]]:
        """What Holm's correction of a pair's p runs over, in words and as pairs.

        Between competitors these are all pairs of competitors, which the ranks are made from; with
        a control, that control's with every competitor; between controls, the pair alone.
        """
        competitors = self.competitors()
        controls = [name for name in (one, other) if name not in competitors]
        if len(controls) == 2:
            return "this pair alone", [(one, other)]
        if controls:
            against = [(controls[0], competitor) for competitor in competitors]
            return f"every competitor against {controls[0]}", against
        all_pairs = list(itertools.combinations(competitors, 2))
        return "all pairs of competitors, as the page ranks", all_pairs

    def power(self) -> Power | None:
        """What the tests between competitors could have seen; `None` where there are none."""
        competitors = self.competitors()
        found = [
            lead
            for pair in itertools.combinations(competitors, 2)
            if (lead := inference.difference(self.average_pairs, *pair)) is not None
        ]
        if not found:
            return None
        level = (1 - inference.LEVEL) / len(found)
        return Power(
            pairs=len(found),
            least_p=min(1.0, len(found) * min(lead.least_p for lead in found)),
            smallest=statistics.median(lead.smallest_seen(level) for lead in found),
        )

    def told_apart(self, pairs: Pairs, one: str, other: str) -> bool:
        """Whether two methods differ by both tests, after Holm's correction."""
        tested = inference.difference(pairs, one, other) is not None
        return tested and self.adjusted(pairs, one, other) < 1 - inference.LEVEL

    def adjusted(self, pairs: Pairs, one: str, other: str) -> float:
        """A pair's p after Holm's correction over its family."""
        found = {
            frozenset(pair): lead.p
            for pair in self.family(one, other)[1]
            if (lead := inference.between(pairs, *pair)) is not None
        }
        ps = inference.holm(list(found.values()))
        return dict(zip(found, ps, strict=True))[frozenset((one, other))]


def standings(
    records: Sequence[Record],
    references: Sequence[Record],
    tasks: Sequence[str],
    answers: PredictionsOf,
) -> Standings:
    """Rows, intervals and ranks of one ratio.

    Args:
        records: Those of the ratio.
        references: Those of ratio 1, which every table shows.
        tasks: In the order of the columns.
        answers: Where predictions are found.
    """
    rows = rows_of([*references, *records], tasks)
    samples = {
        task: {row.method: sample(row, task, answers) for row in rows if row.scores[task]}
        for task in tasks
    }
    pairs = {task: inference.pairwise(samples[task]) for task in tasks}
    uninformative = [task for task in tasks if is_uninformative(references, task, answers)]
    averaged = [t for t in tasks if t not in uninformative and t not in OUTSIDE_AVERAGE]
    means = {
        (method, task): estimate
        for task, by_method in samples.items()
        for method, one in by_method.items()
        if (estimate := inference.mean(one)) is not None
    }
    averages = {
        row.method: inference.average([means[row.method, task] for task in averaged])
        for row in rows
        if averaged and all((row.method, task) in means for task in averaged)
    }
    average_pairs = inference.average_pairs([pairs[task] for task in averaged])
    ranked = [row.method for row in rows if is_ranked(row, averaged)]
    overall = inference.ranks(average_pairs, ranked)

    def key(row: Row) -> tuple[bool, bool, float, float, str]:
        average = row.average(averaged)
        return (
            row.facts["control"],
            bool(row.not_tuned(averaged)),
            overall.get(row.method, float("inf")),
            -average if average is not None else float("inf"),
            row.method,
        )

    return Standings(
        rows=sorted(rows, key=key),
        tasks=tasks,
        averaged=averaged,
        uninformative=uninformative,
        means=means,
        averages=averages,
        pairs=pairs,
        average_pairs=average_pairs,
        overall=overall,
    )


def is_ranked(row: Row, averaged: Sequence[str]) -> bool:
    """Whether a row is a competitor's, and tuned on every task of the average."""
    return not row.facts["control"] and not row.not_tuned(averaged)


def rows_of(records: Iterable[Record], tasks: Sequence[str]) -> list[Row]:
    """A row a method, in the order in which the records name them."""
    by_method: dict[str, list[Record]] = {}
    for record in records:
        by_method.setdefault(record.cell["method"], []).append(record)
    rows = []
    for method, mine in by_method.items():
        scores: dict[str, list[float]] = {task: [] for task in tasks}
        for record in mine:
            if record.status == "ok" and record.score is not None and record.cell["task"] in scores:
                scores[record.cell["task"]].append(record.score)
        facts = next((record.method for record in mine if record.method), {})
        known = {"kind": "?", "control": False, "starts_from": "?", "teacher": "?", **facts}
        rows.append(Row(method, known, scores, mine))
    return rows


def sample(row: Row, task: str, answers: PredictionsOf) -> Sample:
    """What the statistics take of a row: scores, and each example's part where it is known."""
    done = [r for r in row.records if r.cell["task"] == task and r.status == "ok"]
    scores = {r.cell["seed"]: r.score for r in done if r.score is not None}
    parts = {}
    for record in done:
        predictions = answers(record.id)
        if predictions is not None:
            figures = list(dict.fromkeys(map(figure_of, record.scores)))
            parts[record.cell["seed"]] = influence(
                figures, predictions.answers, predictions.labels, predictions.parts
            )
    return Sample(scores, parts)


def decided_before(references: Sequence[Record], task: str) -> dict[str, float] | None:
    """The dense model's test against the majority class on tune rows; `None` in old records."""
    found = (
        record.tuning.get(AGAINST_MAJORITY)
        for record in references
        if record.cell["method"] == DENSE and record.cell["task"] == task
    )
    return next(filter(None, found), None)


def is_uninformative(references: Sequence[Record], task: str, answers: PredictionsOf) -> bool:
    """Whether a test finds the dense model not above the majority class; false without a test.

    It is made on the tune rows, before any result is known. Where none was, as in old records, one
    on the report rows stands in, of the two alone, so that what stands beside them decides nothing,
    and for other examples: few seeds pass no permutation. A task of fewer than `LEAST_ROWS` report
    rows tells nothing in any case.

    Args:
        references: Records of ratio 1.
        task: The task.
        answers: Where predictions are found.
    """
    known = [r.data.get("report") for r in references if r.cell["task"] == task]
    if any(rows is not None and rows < LEAST_ROWS for rows in known):
        return True
    if (known_before := decided_before(references, task)) is not None:
        above = known_before["dense"] > known_before["score"]
        return not above or known_before["p"] >= 1 - inference.LEVEL
    two = [row for row in rows_of(references, [task]) if row.method in (DENSE, MAJORITY)]
    pairs = inference.pairwise({row.method: sample(row, task, answers) for row in two})
    lead = inference.difference(pairs, DENSE, MAJORITY)
    return lead is not None and (lead.value <= 0 or lead.p_examples >= 1 - inference.LEVEL)
