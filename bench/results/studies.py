"""The studies of a suite: what each trial took and scored, in a run folder and beside records.

A study is plain data: the summary that the run folder has in `tuning/<id>/study.json`. Published
ones lie in `records/<suite>.studies.jsonl`, one a line, without what no page shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from bench.errors import BenchError
from bench.files import parse_json, read_json, read_lines
from bench.results.record import FIELDS, has

if TYPE_CHECKING:
    from bench.results.store import Store

KEPT_APART = ("wall_s", "flops", "kept", "reference")
"""What only the run folder knows of a trial: records say what tuning cost in all."""

NOT_TUNED = "not tuned: no trial worked"
AT_EDGE = "best rate at the edge of the range"

SAID_LATER = {"rates": list, "edge": str, "floor": int | float, "not_tuned": bool}
"""What a study says of itself, of which type, where it does: the ranges of the learning rate, the
side on which the best lies at their edge, the text floor, and whether no trial was above that."""


def marks(found: Mapping[str, Any]) -> list[str]:
    """What a reader has to know of a study, by its summary or by what a record says of it."""
    said = {NOT_TUNED: found.get("not_tuned"), AT_EDGE: found.get("edge")}
    return [mark for mark, holds in said.items() if holds]


def summary_path(store: Store, study: str) -> Path:
    """Where a run folder has the summary of a study."""
    return store.root / "tuning" / study / "study.json"


def suite_studies(store: Store, suite: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The studies that a suite of a run folder has so far, in a fixed order.

    Raises:
        BenchError: A file is no summary of a study.
    """
    found = []
    for study in suite.get("studies", {}):
        path = summary_path(store, study)
        if not path.exists():  # none of its trials has ended
            continue
        if not is_study(summary := read_json(path)):
            raise BenchError(f"{path} sums up no study: restore it, or remove it.")
        found.append({"id": study, **summary})
    return sorted(found, key=_order)


def published_path(folder: Path, name: str) -> Path:
    """Where a folder of pages has the studies of a suite."""
    return folder / "records" / f"{name}.studies.jsonl"


def read_studies(folder: Path, name: str) -> list[dict[str, Any]]:
    """The studies of a published suite, in a fixed order; none where none were published.

    Raises:
        BenchError: The file cannot be read, or a line is no study.
    """
    path = published_path(folder, name)
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(read_lines(path) or [""], 1):  # an empty file was cut off
        try:
            study = parse_json(line)
        except ValueError as error:
            raise BenchError(f"{path}:{number}: no study: {error}.") from None
        if not is_study(study) or not has(study, "id", str):
            raise BenchError(f"{path}:{number}: no study.")
        found.append(study)
    return sorted(found, key=_order)


def study_lines(studies: Iterable[Mapping[str, Any]]) -> str:
    """Studies as they are published."""
    lines = (json.dumps(_slim(study), ensure_ascii=False) for study in sorted(studies, key=_order))
    return "".join(f"{line}\n" for line in lines)


def is_study(summary: Any) -> TypeGuard[dict[str, Any]]:
    """Whether something that was read sums up a study; it may say more than is asked for here."""
    return (
        isinstance(summary, dict)
        and all(has(summary.get("cell"), key, kind) for key, kind in FIELDS["cell"].items())
        and has(summary, "complete", bool)
        and has(summary, "sampler", str)
        and isinstance(summary.get("trials"), list)
        and all(map(_is_trial, summary["trials"]))
        and _is_best(summary)
        and all(summary.get(k) is None or has(summary, k, kind) for k, kind in SAID_LATER.items())
        and all(map(_is_range, summary.get("rates") or []))
    )


def _is_trial(trial: Any) -> bool:
    """A trial has its parameters, and either an error or its score and ratio."""
    if not has(trial, "params", dict) or not _is_curve(trial.get("curve")):
        return False
    return has(trial, "error", str) or (has(trial, "score") and has(trial, "ratio"))


def _is_curve(curve: Any) -> bool:
    """A curve has a loss and a score at each step, and perhaps a gain; there may be no curve."""
    if curve is None:
        return True
    if not all(has(curve, key, list) for key in ("steps", "loss", "score")):
        return False
    points, gain = [curve["steps"], curve["loss"], curve["score"]], curve.get("gain")
    return (
        len(curve["steps"]) > 0
        and len(set(map(len, points))) == 1
        and all(isinstance(value, int | float) for figures in points for value in figures)
        and (gain is None or (has(gain, "points") and has(gain, "half_width")))
    )


def _is_range(rates: Any) -> bool:
    """A range is a low and a high rate above 0."""
    return (
        isinstance(rates, list)
        and len(rates) == 2
        and all(isinstance(rate, int | float) and rate > 0 for rate in rates)
    )


def _is_best(summary: Mapping[str, Any]) -> bool:
    """Whether the best is none, or the place of a trial that has a score."""
    best, trials = summary.get("best"), summary["trials"]
    if best is None:
        return True
    return has(summary, "best", int) and 0 <= best < len(trials) and "score" in trials[best]


def _slim(study: Mapping[str, Any]) -> dict[str, Any]:
    trials = [
        {key: value for key, value in trial.items() if key not in KEPT_APART}
        for trial in study["trials"]
    ]
    return {**study, "trials": trials}


def _order(study: Mapping[str, Any]) -> tuple[Any, ...]:
    cell = study["cell"]
    return cell["ratio"], cell["method"], cell["task"], study["id"]
