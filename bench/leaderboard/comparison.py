"""Two methods on one task, example by example, or on the average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.leaderboard.ranking import Row, Standings
    from bench.results.suites import OpenSuite


def standings_of(opened: OpenSuite, task: str | None, ratio: float | None) -> Standings:
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


def row_of(result: Standings, method: str, tasks: Sequence[str]) -> tuple[Row, float]:
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


def differing_examples(
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
