"""How parameters were found: what each study and each trial came to, as tables and points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, unknown_name
from bench.leaderboard.markdown import escape, folded, listed, pipe, rounded
from bench.leaderboard.plots import TrialPoint, trials_svg
from bench.leaderboard.table import UNTUNED
from bench.results.studies import AT_EDGE, NOT_TUNED, marks

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

STUDY_HEADS = ("method", "task", "ratio", "best trial", "tune score", "text floor", "failed",
               "rates searched", "parameters of the best", "marks")  # fmt: skip
TRIAL_HEADS = ("method", "task", "ratio", "trial", "tune score", "parameters", "mark")

RATE = "learning_rate"


def chosen_studies(
    studies: Sequence[dict[str, Any]], method: str | None, task: str | None
) -> list[dict[str, Any]]:
    """The studies of a method, of a task, or of both.

    Args:
        studies: Those of a suite.
        method: The method; `None` for all.
        task: The task; `None` for all.

    Raises:
        BenchError: The suite knows no study of the kind.
    """
    studies = _searched(studies)
    if not studies:
        raise BenchError(
            "the suite has no studies: nothing was tuned in it, or its pages are from before "
            "studies were published."
        )
    for key, wanted in {"method": method, "task": task}.items():
        known = dict.fromkeys(study["cell"][key] for study in studies)
        if wanted is not None and wanted not in known:
            raise unknown_name(f"tuned {key}", wanted, known)
        studies = [study for study in studies if wanted in (None, study["cell"][key])]
    return list(studies)


def tuning_notes(result: Standings) -> list[str]:
    """What stands under a table of rows that were not tuned, or not to the end; or nothing."""
    lost, at_edge = [], []
    for row in result.rows:
        if tasks := row.not_tuned(result.tasks):
            lost.append(f"{row.method} on {', '.join(tasks)}")
        if tasks := _tasks_at_edge(row, result.tasks):
            at_edge.append(f"{row.method} on {', '.join(tasks)}")
    notes = []
    if lost:
        notes.append(
            f"{UNTUNED.strip()} {NOT_TUNED[0].upper()}{NOT_TUNED[1:]}: {escape('; '.join(lost))}. "
            "Its best trial is not above the text floor on the tune split, or none met the ratio. "
            "So the score says that tuning failed, not that the method does. Where such a task is "
            "part of the average, the row has no rank and stands after the others."
        )
    if at_edge:
        notes.append(
            f"{AT_EDGE[0].upper()}{AT_EDGE[1:]}, so that a better one may lie beyond: "
            f"{escape('; '.join(at_edge))}."
        )
    return notes


def _tasks_at_edge(row: Row, tasks: Sequence[str]) -> list[str]:
    found = {record.cell["task"] for record in row.records if record.tuning.get("edge")}
    return [task for task in tasks if task in found]


def study_row(study: Mapping[str, Any]) -> list[str]:
    """A study under `STUDY_HEADS`."""
    trials, best = study["trials"], study["best"]
    won = {} if best is None else trials[best]
    return [
        *_of(study),
        f"{'–' if best is None else _place(best, won)} of {len(trials)}"
        + ("" if study["complete"] else " so far"),
        rounded(won.get("score"), 1),
        rounded(study.get("floor"), 1),
        str(sum("error" in trial for trial in trials)),
        rates_text(study),
        listed(won.get("params", {})),
        "; ".join(marks(study)),
    ]


def trial_rows(study: Mapping[str, Any]) -> list[list[str]]:
    """The trials of a study under `TRIAL_HEADS`."""
    return [
        [
            *_of(study),
            str(_place(place, trial)),
            rounded(trial.get("score"), 1),
            listed(trial["params"]),
            _mark(trial, place == study["best"]),
        ]
        for place, trial in enumerate(study["trials"])
    ]


def rates_text(study: Mapping[str, Any]) -> str:
    """The range of the learning rate, and the one that it moved to, if it did."""
    ranges = [f"{low:g} … {high:g}" for low, high in study.get("rates") or []]
    return ", then ".join(ranges) or "–"


def tuning_section(studies: Sequence[dict[str, Any]]) -> str:
    """The page's tables: a row a study and, folded, a row a trial; nothing without studies."""
    studies = _searched(studies)
    rows = [study_row(study) for study in studies]
    trials = [row for study in studies for row in trial_rows(study)]
    said = (
        "Trials are counted from 1. Scores are those on the tune split. The text floor is what "
        "words alone score there. Where the best of the first half lay at an edge of the rates, "
        "the range moved."
    )
    parts = [
        pipe(STUDY_HEADS, rows),
        folded(f"All {len(trials)} trials", pipe(TRIAL_HEADS, trials)),
    ]
    return "\n\n".join([said, *parts]) if rows else ""


def tuning_svg(studies: Sequence[dict[str, Any]]) -> str:
    """Tune score against learning rate, a point a trial; empty without any.

    A panel is a task at a ratio. Trials of the dense model stand in every panel of their task.
    """
    tried = {(study["cell"]["task"], study["cell"]["ratio"]) for study in studies}
    compressed = {task for task, ratio in tried if ratio != 1}
    panels: dict[str, dict[str, list[TrialPoint]]] = {}
    floors: dict[str, float] = {}
    for task, ratio in sorted(tried):
        if ratio == 1 and task in compressed:
            continue
        title = task if ratio == 1 else f"{task} {ratio:g}×"
        for study in studies:
            cell = study["cell"]
            if cell["task"] != task or cell["ratio"] not in (1, ratio):
                continue
            if points := _points(study):
                panels.setdefault(title, {})[cell["method"]] = points
            if (floor := study.get("floor")) is not None:
                floors[title] = floor
    return trials_svg(panels, floors)


def trial_points(studies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every trial with a learning rate: its method, task, ratio, `rate`, `score` and `kind`.

    The kind is `best`, `counts`, or that it could not have been chosen: `failed` or `missed`.
    """
    return [
        {
            **{key: study["cell"][key] for key in ("method", "task", "ratio")},
            "rate": trial["params"][RATE],
            "score": None if "error" in trial else trial["score"],
            "kind": _kind(trial, is_best=place == study["best"]),
        }
        for study in _searched(studies)
        for place, trial in enumerate(study["trials"])
        if isinstance(trial["params"].get(RATE), int | float)
    ]


def _kind(trial: Mapping[str, Any], *, is_best: bool) -> str:
    if "error" in trial:
        return "failed"
    return "missed" if trial.get("missed") else "best" if is_best else "counts"


def _searched(studies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that looked for parameters; the others show convergence alone."""
    return [study for study in studies if study.get("searched", True)]


def _points(study: Mapping[str, Any]) -> list[TrialPoint]:
    return [
        TrialPoint(
            trial["params"][RATE],
            None if "error" in trial else trial["score"],
            counts="error" not in trial and not trial.get("missed"),
            best=place == study["best"],
        )
        for place, trial in enumerate(study["trials"])
        if isinstance(trial["params"].get(RATE), int | float)
    ]


def _of(study: Mapping[str, Any]) -> list[str]:
    cell = study["cell"]
    return [cell["method"], cell["task"], f"{cell['ratio']:g}×"]


def _place(place: int, trial: Mapping[str, Any]) -> int:
    """A trial's place from 1; while others are being made, not that in the list."""
    return int(trial.get("index", place)) + 1


def _mark(trial: Mapping[str, Any], is_best: bool) -> str:
    if "error" in trial:
        return f"failed: {trial['error']}"
    if trial.get("missed"):
        return f"missed the ratio: {trial['ratio']:.2f}×"
    return "best" if is_best else ""
