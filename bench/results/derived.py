"""What of a record follows from what is stored beside it: its figures, its score, its ratios.

Records come from anybody. So whoever makes a page of some takes none that disagree with themselves:
figures are computed anew from predictions, and ratios from the two counts that they are of.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.metrics import FIGURES, metric_of
from bench.protocol import meets
from bench.results.challenges import groups_of

if TYPE_CHECKING:
    from bench.metrics import Column, Metric
    from bench.results.predictions import Predictions, PredictionsOf
    from bench.results.record import Record

EXACT = 1e-9
"""Share by which a figure may differ that follows from whole numbers."""

ROUNDED, MOST_ROUNDED = 1e-3, 1.0
"""Points by which a correlation may differ that was computed in 64 bits, and at most.

Published labels are rounded to 32 bits, and old records were computed in as many. Where a model
collapsed, its answers differ in their last bits alone, and so do the correlations.
"""

LARGEST = 1e100
"""Of an answer or a logit: of larger ones no mean can be had."""


def checked(
    records: Iterable[Record], answers: PredictionsOf, place: str, remedy: Callable[[Record], str]
) -> PredictionsOf:
    """Gives the predictions of records, each of which agrees with its own.

    Args:
        records: Records of a folder.
        answers: Where their predictions are found.
        place: Their file or folder, as a message names it.
        remedy: Says what to do about a record that disagrees.

    Raises:
        BenchError: A record disagrees with itself: at once, or when its predictions are asked for.
    """
    known = {record.id: record for record in records}
    rows: dict[tuple[str, Any], tuple[str, Predictions]] = {}

    def refuse(record: Record, wrong: Iterator[str]) -> None:
        if (first := next(wrong, None)) is not None:
            raise BenchError(f"{place}: cell {name_of(record)}: {first}: {remedy(record)}.")

    for record in known.values():
        refuse(record, own_disagreements(record))

    @functools.cache
    def find(cell_id: str) -> Predictions | None:
        found = answers(cell_id)
        if found is not None and (record := known.get(cell_id)) is not None:
            refuse(record, disagreements_with(record, found))
            same = record.cell["task"], record.data.get("fingerprint")
            first, theirs = rows.setdefault(same, (cell_id, found))
            if not same_rows(found, theirs):
                other = f"its labels are not those of cell {first}, which has the same rows"
                refuse(record, iter([other]))
        return found

    return find


def name_of(record: Record) -> str:
    """A cell's id, and what it is of."""
    cell = record.cell
    return f"{record.id} ({cell['method']} on {cell['task']}, seed {cell['seed']})"


def own_disagreements(record: Record) -> Iterator[str]:
    """What a record says that cannot be, by what else it says; a few words each."""
    for axis, size in record.footprint.items():
        if "dense" in size and "actual" in size:
            ratio = size["dense"] / max(size["actual"], 1)
            if not math.isclose(size["ratio"], ratio, rel_tol=EXACT):
                yield (
                    f"footprint.{axis}.ratio is {size['ratio']:.6g}, dense / actual is {ratio:.6g}"
                )
    reached = record.footprint.get(record.cell["axis"], {}).get("ratio")
    counts = record.status in ("ok", "missed") and reached is not None
    if counts and meets(reached or 0.0, record.cell["ratio"]) != (record.status == "ok"):
        wanted = f"{reached:.4g}× of {record.cell['ratio']:g}× on {record.cell['axis']}"
        yield f"status is '{record.status}', the ratio is {wanted}"
    if record.score is not None and abs(record.score) > 100 + ROUNDED:
        yield f"score is {record.score:.6g}, of 100 points"
    if record.score is None or not record.scores:
        return
    if None in record.scores.values():
        yield "scores: a figure is missing"
    elif not math.isclose(
        mean := statistics.fmean(record.scores.values()), record.score, rel_tol=EXACT, abs_tol=EXACT
    ):
        yield f"score is {record.score:.6f}, the mean of its figures is {mean:.6f}"
    if _metric(record) is None:
        yield f"scores: {', '.join(record.scores)} are not the figures of a metric"


def disagreements_with(record: Record, found: Predictions) -> Iterator[str]:
    """What a record says that its predictions do not, a few words each."""
    import numpy as np

    rows = len(found.labels)
    if record.data.get("report", rows) != rows:
        yield f"data.report is {record.data['report']}, there are predictions of {rows} rows"
    columns = [] if found.are_texts else [found.labels, found.answers]
    columns += [] if found.logits is None else [found.logits]
    most = np.float64(LARGEST)  # compared in 64 bits: it is infinite in 32
    if not rows or not all((np.abs(column) <= most).all() for column in columns):
        yield "its predictions are empty, NaN or infinite, or too large"
        return
    if found.logits is not None:
        others = int((found.logits.argmax(axis=1) != found.answers).sum())
        if others:
            yield f"{others} of its answers are not what their logits give"
    metric = _metric(record)
    if record.score is None:
        return
    if metric is None:
        yield "it has a score, and no figures that the score is the mean of"
        return
    if metric.spans != found.are_texts:
        yield "its predictions are not of what its figures are of"
        return
    figures = dict(_figures(metric, found))
    if figures.keys() != record.scores.keys():
        yield f"scores has {', '.join(record.scores)}, its predictions give {', '.join(figures)}"
        return
    for name, (figure, room) in figures.items():
        said = record.scores[name]
        if said is not None and abs(said - figure) > room:
            yield f"scores.{name} is {said:.6f}, its predictions give {figure:.6f}"
    if found.groups is not None:
        yield from _wrong_groups(record, metric, found)


def _wrong_groups(record: Record, metric: Metric, found: Predictions) -> Iterator[str]:
    """Scores of groups of challenge rows that the predictions do not give."""
    import numpy as np

    said, whole = groups_of(record), found.groups or []
    rows: dict[str, list[int]] = {}
    for row, names in enumerate(whole):
        for name in names:
            rows.setdefault(name, []).append(row)
    if said.keys() != rows.keys():
        yield "its groups are not those of its predictions"
        return
    labels, answers = np.asarray(found.labels, float), np.asarray(found.answers, float)
    for name, own in rows.items():
        figures = [100 * FIGURES[one].score(answers[own], labels[own]) for one in metric.figures]
        room = _room(answers[own], labels[own]) if metric.regression else 100 * EXACT
        if abs(said[name] - statistics.fmean(figures)) > room:
            yield f"groups: {name} is {said[name]:.6f}, not what its predictions give"


def same_rows(one: Predictions, other: Predictions) -> bool:
    """Whether two have the same labels, parts and groups."""
    import numpy as np

    same = one.parts == other.parts and one.groups == other.groups
    return same and np.array_equal(one.labels, other.labels)


def _metric(record: Record) -> Metric | None:
    try:
        return metric_of(record.scores)
    except KeyError:
        return None


def _figures(metric: Metric, found: Predictions) -> Iterator[tuple[str, tuple[float, float]]]:
    """Every figure by its name, and by how much another may differ, in points."""
    import numpy as np

    kind = object if metric.spans else np.float64
    labels, answers = (np.asarray(c, kind) for c in (found.labels, found.answers))
    parts = None if found.parts is None else np.asarray(found.parts)
    for part in [""] if parts is None else dict.fromkeys(found.parts or ()):
        rows: Any = slice(None) if parts is None else parts == part
        room = _room(answers[rows], labels[rows]) if metric.regression else 100 * EXACT
        for figure in metric.figures:
            value = 100 * FIGURES[figure].score(answers[rows], labels[rows])
            yield f"{figure}_{part}" if part else figure, (value, room)


def _room(*columns: Column) -> float:
    """By how many points a correlation may differ if its columns were rounded to 32 bits."""
    import numpy as np

    bits = float(np.finfo(np.float32).eps)
    shares = [np.abs(column).max() / max(column.std(), bits) for column in columns]
    return min(MOST_ROUNDED, ROUNDED + 100 * bits * float(sum(shares)))
