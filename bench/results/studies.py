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
from bench.files import inside, read_checked, read_lines
from bench.results.layout import StudyFile
from bench.schema import Id, check, is_of, parse_json

if TYPE_CHECKING:
    from bench.results.store import Store


class PublishedStudy(StudyFile, kw_only=True):
    """A study of many in a file."""

    id: Id


KEPT_APART = ("wall_s", "flops", "kept", "reference")
"""What only the run folder knows of a trial: records say what tuning cost in all."""

NOT_TUNED = "not tuned: no trial worked"
AT_EDGE = "best rate at the edge of the range"

SAID_LATER = ("rates", "edge", "floor", "not_tuned")
"""What a study may say of itself: the ranges of the learning rate, the side on which the best lies
at their edge, the text floor, and whether no trial was above that."""


def marks(found: Mapping[str, Any]) -> list[str]:
    """What a reader has to know of a study, by its summary or by what a record says of it."""
    said = {NOT_TUNED: found.get("not_tuned"), AT_EDGE: found.get("edge")}
    return [mark for mark, holds in said.items() if holds]


def summary_path(store: Store, study: str) -> Path:
    """Where a run folder has the summary of a study."""
    return inside(store.root / "tuning", study) / "study.json"


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
        try:
            summary: dict[str, Any] = read_checked(path, StudyFile)
        except BenchError as error:
            raise BenchError(f"{path} sums up no study ({error}): restore or remove it.") from None
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
            check(study, PublishedStudy)
        except (ValueError, BenchError) as error:
            raise BenchError(f"{path}:{number}: no study: {error}.") from None
        found.append(study)
    return sorted(found, key=_order)


def study_lines(studies: Iterable[Mapping[str, Any]]) -> str:
    """Studies as they are published."""
    lines = (json.dumps(_slim(study), ensure_ascii=False) for study in sorted(studies, key=_order))
    return "".join(f"{line}\n" for line in lines)


def is_study(summary: Any) -> TypeGuard[dict[str, Any]]:
    """Whether something that was read sums up a study; it may say more than is asked for here."""
    return is_of(summary, StudyFile)


def _slim(study: Mapping[str, Any]) -> dict[str, Any]:
    trials = [
        {key: value for key, value in trial.items() if key not in KEPT_APART}
        for trial in study["trials"]
    ]
    return {**study, "trials": trials}


def _order(study: Mapping[str, Any]) -> tuple[Any, ...]:
    cell = study["cell"]
    return cell["ratio"], cell["method"], cell["task"], study["id"]
