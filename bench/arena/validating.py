"""Pages of a validator: label what others wrote, without seeing what they or the models say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from starlette.responses import Response

    from bench.arena.visit import Visit

UNCLEAR = "unclear"


def validate(visit: Visit) -> Response:
    """The next example that is to be labelled."""
    held = visit.arena.round()
    example, left = visit.arena.examples.next_for(held.number, visit.me)
    return visit.page("validate.html", example=example, left=left, labels=held.labels, round=held)


def vote(visit: Visit) -> Response:
    """Keeps a label."""
    visit.arena.writes.spend(visit.me.id)
    unclear = visit.form.get("label") == UNCLEAR
    label = None if unclear else visit.number("label")
    if label is not None and label >= len(visit.arena.queue.field.labels):
        raise BenchError("There is no such label.")
    visit.arena.examples.validate(visit.number("example"), visit.me, label)
    return visit.goto("/validate")
