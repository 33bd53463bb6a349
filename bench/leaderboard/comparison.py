"""Two methods on one task, example by example, or on the average, with a test."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, unknown_name
from bench.metrics import worth_of_each
from bench.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bench.leaderboard.ranking import Row, Standings
    from bench.results.predictions import Predictions
    from bench.results.suites import OpenSuite


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What tells two methods apart.

    Attributes:
        suite: The suite.
        task: The task; `None` for the average that the page ranks by.
        tasks: The tasks that the scores are averaged over.
        ratio: Wanted compression.
        methods: Both names.
        scores: Both scores, means over seeds.
        seeds: How many seeds each has.
        difference: The first score less the second.
        half_width_95: Half the 95 % interval of the difference; `None` without a test.
        p: Of the difference, two-sided: the larger of the next two.
        p_examples: For other examples, by Student's t.
        p_seeds: For other seeds, by an exact permutation.
        least_p: The smallest p that so many seeds can give.
        smallest_seen: The smallest difference that would have passed at 5 %, without correction.
        p_holm: The same after Holm's correction.
        holm_over: What the correction runs over, in words.
        freedom: Degrees of freedom.
        examples: Report examples that the two answer differently, the largest lead first; `None`
            without a task or where predictions are missing.
    """

    suite: str
    task: str | None
    tasks: list[str]
    ratio: float
    methods: list[str]
    scores: list[float]
    seeds: list[int]
    difference: float
    half_width_95: float | None
    p: float | None
    p_examples: float | None
    p_seeds: float | None
    least_p: float | None
    smallest_seen: float | None
    p_holm: float | None
    holm_over: str
    freedom: float | None
    examples: list[dict[str, Any]] | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return "\n".join(map(shown, self.lines()))

    def lines(self) -> Iterator[str]:
        """What there is to say, but for the examples themselves."""
        what = self.task or f"average of {', '.join(self.tasks)}"
        yield f"{self.suite}, {what}, {self.ratio:g}×"
        for method, score, seeds in zip(self.methods, self.scores, self.seeds, strict=True):
            yield f"{method}: {score:.2f}, mean of {seeds} seed{'s' * (seeds > 1)}"
        lead = f"{round(self.difference, 2) + 0.0:+.2f}"  # adding 0 makes -0 one
        if self.half_width_95 is None:
            yield (
                f"difference: {lead}; no interval and no test: it takes two seeds of both, and "
                "their predictions"
            )
        else:
            yield f"difference: {lead} ± {self.half_width_95:.2f} (95 %)"
            yield (
                f"p = {self.p:.2g}: the larger of {self.p_examples:.2g} for other examples "
                f"(Student's t, {self.freedom:.1f} degrees of freedom) and {self.p_seeds:.2g} for "
                f"other seeds (exact permutation, {self.least_p:.2g} at the least)"
            )
            yield f"p = {self.p_holm:.2g} after Holm over {self.holm_over}"
            yield f"smallest difference that could have been seen: {self.smallest_seen:.2f}"
        if self.task is None:
            return
        if self.examples is None:
            yield "predictions are missing: which examples are answered differently is not known"
            return
        each = ", an answer a seed:" if max(self.seeds) > 1 else ":"
        end = each if self.examples else "."
        yield f"{len(self.examples)} report examples are answered differently{end}"


def compare_methods(
    opened: OpenSuite, one: str, other: str, task: str | None, ratio: float | None
) -> Comparison:
    """Compares two methods of a suite.

    Args:
        opened: The suite.
        one: A method, as the page names it.
        other: Another, or a control.
        task: The task; `None` for the average.
        ratio: Needed where the suite has several.

    Raises:
        BenchError: There is no such method, task or ratio, or both methods are the same.
    """
    from bench.leaderboard import statistics

    result = _standings(opened, task, ratio)
    over = result.averaged if task is None else [task]
    first, first_score = _row(result, one, over)
    second, second_score = _row(result, other, over)
    rows, names = (first, second), (first.method, second.method)
    if first is second:
        raise BenchError(f"both are {one}; compare takes two different methods.")
    pairs = result.average_pairs if task is None else result.pairs[task]
    found = statistics.difference(pairs, *names)
    return Comparison(
        suite=opened.suite["name"],
        task=task,
        tasks=list(over),
        ratio=max(r.cell["ratio"] for row in rows for r in row.records),
        methods=list(names),
        scores=[first_score, second_score],
        seeds=[min(len(row.scores[t]) for t in over) for row in rows],
        difference=first_score - second_score if found is None else found.value,
        half_width_95=None if found is None else found.half_width,
        p=None if found is None else found.p,
        p_examples=None if found is None else found.p_examples,
        p_seeds=None if found is None else found.p_seeds,
        least_p=None if found is None else found.least_p,
        smallest_seen=None if found is None else found.smallest_seen(),
        p_holm=None if found is None else result.adjusted(pairs, *names),
        holm_over=result.family(*names)[0],
        freedom=None if found is None else found.estimate.freedom,
        examples=None if task is None else _differing_examples(opened, first, second, task),
    )


def _standings(opened: OpenSuite, task: str | None, ratio: float | None) -> Standings:
    """The table that the two stand in, of one task or of all."""
    from bench.leaderboard.ranking import standings

    done = [record for record in opened.records if record.status != "external"]
    tasks = list(dict.fromkeys(cell[1] for cell in opened.suite["cells"].values()))
    if task is not None and task not in tasks:
        raise unknown_name("task", task, tasks)
    tasks = tasks if task is None else [task]
    ratios = sorted({record.cell["ratio"] for record in done} - {1.0})
    if ratio is None and len(ratios) > 1:
        listed = " or ".join(f"{known:g}" for known in ratios)
        raise BenchError(f"the suite has several ratios; say --ratio {listed}.")
    if ratio is None:
        ratio = (ratios or [1.0])[0]
    if ratio not in [*ratios, 1.0]:
        listed = ", ".join(f"{known:g}" for known in ratios)
        raise BenchError(f"the suite has no ratio {ratio:g}; it has {listed}.")
    at = {
        wanted: [r for r in done if r.cell["ratio"] == wanted and r.cell["task"] in tasks]
        for wanted in (ratio, 1.0)
    }
    return standings(at[ratio] if ratio != 1 else [], at[1.0], tasks, opened.answers)


def _row(result: Standings, method: str, tasks: Sequence[str]) -> tuple[Row, float]:
    """The row of a method that has a score on each of the tasks, and their average.

    Raises:
        BenchError: There is none, or no task at all.
    """
    if not tasks:
        raise BenchError("no task of the suite counts towards an average; --task names one.")
    averages = {row.method: row.average(tasks) for row in result.rows}
    row, average = result.row(method), averages.get(method)
    if row is None or average is None:
        known = [name for name, value in averages.items() if value is not None]
        raise unknown_name(f"method with a score on {' and '.join(tasks)}", method, known)
    return row, average


NO_ANSWER = "(no answer)"


def _differing_texts(
    answers: Sequence[Sequence[Predictions]], labels: NDArray[Any]
) -> list[dict[str, Any]]:
    """The same of texts, each as good as the mean of its exact match and its token F1."""
    import numpy as np

    good = [
        np.mean([worth_of_each("squad", p.answers, labels) for p in known], axis=0)
        for known in answers
    ]
    lead = good[0] - good[1]
    return [
        {
            "row": int(row),
            "label": " | ".join(labels[row]) or NO_ANSWER,
            "answers": [
                " | ".join(p.answers[row] or NO_ANSWER for p in known) for known in answers
            ],
            "lead": float(lead[row]),
        }
        for row in np.argsort(-np.abs(lead), kind="stable")
        if lead[row]
    ]


def _differing_examples(
    opened: OpenSuite, one: Row, other: Row, task: str
) -> list[dict[str, Any]] | None:
    """Examples by how differently the two do on them; `None` where a cell has no predictions.

    How good an answer is: 1 where it is right, for a regression the distance to the label, negated.
    """
    import numpy as np

    answers = []
    for row in (one, other):
        found = [opened.answers(r.id) for r in row.records
                 if r.cell["task"] == task and r.status == "ok"]  # fmt: skip
        known = [predictions for predictions in found if predictions is not None]
        if len(known) < len(found):
            return None
        answers.append(known)
    labels = answers[0][0].labels
    if answers[0][0].are_texts:
        return _differing_texts(answers, labels)
    regression = any(r.scores.get("pearson") is not None for r in one.records)
    given = [np.stack([p.answers for p in known]) for known in answers]
    good = [
        -np.abs(g - labels).mean(axis=0) if regression else (g == labels).mean(axis=0)
        for g in given
    ]
    lead = good[0] - good[1]
    differ = np.flatnonzero((given[0].mean(axis=0) != given[1].mean(axis=0)) | (lead != 0))
    order = differ[np.argsort(-np.abs(lead[differ]), kind="stable")]

    def shown(matrix: Any, row: int) -> str:
        return " ".join(f"{value:.3g}" for value in matrix[:, row].tolist())

    return [
        {
            "row": int(row),
            "label": float(labels[row]),
            "answers": [shown(matrix, row) for matrix in given],
            "lead": float(lead[row]),
        }
        for row in order
    ]
