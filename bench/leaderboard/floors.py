"""What a page says of floors, the controls that answer without any training of the encoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bench.leaderboard.markdown import escape, p_words, rounded
from bench.leaderboard.statistics import difference
from bench.results.record import DENSE, ENCODER_FLOOR, TEXT_FLOOR

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

FLOORS = {TEXT_FLOOR: "text floor", ENCODER_FLOOR: "encoder floor"}
"""What a page calls them."""


def dense_below_floors(results: Mapping[float, Standings]) -> str:
    """On which tasks the dense model itself is below a floor, as Markdown; nothing without any.

    Args:
        results: Standings by ratio; the references are the same in all.
    """
    result = next(iter(results.values()))
    lines = [line for task in result.tasks for line in _below(result, task)]
    if not lines:
        return ""
    said = "**The dense model is below a floor**, which is what answers without training reach:"
    return "\n".join([said, "", *(f"- {line}" for line in lines)])


def floor_notes(result: Standings) -> str:
    """Each task's floors, and the rows of a ratio below them, as Markdown; nothing without any."""
    lines = []
    for task in result.tasks:
        known = [_floor_note(result, row, task) for row in _floors(result) if row.scores[task]]
        if known:
            lines.append(f"- {escape(task)}: {'; '.join(known)}.")
    if not lines:
        return ""
    said = "**Floors**: answers without any training of the encoder. To be below one takes no rank."
    return "\n".join([said, "", *lines])


def _floors(result: Standings) -> list[Row]:
    return [row for name in FLOORS if (row := result.row(name)) is not None]


def _below(result: Standings, task: str) -> Iterator[str]:
    """The floors that the dense model is below on a task, and whether a test says so."""
    dense = result.row(DENSE)
    score = dense.mean(task) if dense else None
    for row in _floors(result):
        floor = row.mean(task)
        if score is not None and floor is not None and score < floor:
            yield (
                f"{escape(task)}: dense {rounded(score, 1)}, {_named(row, task)} "
                f"{rounded(floor, 1)}; {_tested(result, row.method, task)}"
            )


def _tested(result: Standings, floor: str, task: str) -> str:
    """Whether the dense model and a floor are told apart on a task."""
    pairs = result.pairs.get(task, {})
    found = difference(pairs, DENSE, floor)
    if found is None:
        return "not tested"
    p = result.adjusted(pairs, DENSE, floor)
    shown = f"p {p_words(p)}"
    if result.told_apart(pairs, DENSE, floor):
        return f"told apart ({shown})"
    least = math.isclose(p, found.least_p)
    why = f", the smallest that {found.seeds} seeds can give" if least else ""
    return f"not told apart ({shown}{why})"


def _floor_note(result: Standings, floor: Row, task: str) -> str:
    """A floor on a task, and the compressed rows below it."""
    height = floor.mean(task) or 0.0
    compressed = {
        row.method: mean
        for row in result.rows
        if row.facts["kind"] != "reference" and (mean := row.mean(task)) is not None
    }
    named = f"{_named(floor, task)} {rounded(height, 1)}"
    below = [escape(name) for name, mean in compressed.items() if mean < height]
    if not compressed:
        return named
    count = f"{len(below)} of {len(compressed)} rows below it"
    return f"{named}, {count}{' (' + ', '.join(below) + ')' if below else ''}"


def _named(floor: Row, task: str) -> str:
    """What a floor is called, and which predictor it chose on a task."""
    chosen = [
        record.params["predictor"]
        for record in floor.records
        if record.cell["task"] == task and "predictor" in record.params
    ]
    listed = f" ({', '.join(dict.fromkeys(map(escape, map(str, chosen))))})" if chosen else ""
    return f"{FLOORS[floor.method]}{listed}"
