"""Pages that say where rounds stand, and the owner's form that closes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.arena.closing import CARD, close_round
from bench.arena.standings import as_plain, megabytes_of, standings
from bench.errors import BenchError
from bench.results.rounds import ROUNDS
from bench.shown import shown

if TYPE_CHECKING:
    from starlette.responses import Response

    from bench.arena.visit import Visit


def figures(visit: Visit) -> Response:
    """The figures of a round: the last one that may be seen where none is named.

    Those of the open round are the owner's alone: while examples are few, they would tell a
    validator what the models said of one.
    """
    arena = visit.arena
    owns = visit.me.role == "owner"
    arena.round()  # which begins, if the last one is closed
    rounds = [one for one in arena.examples.rounds() if owns or one.closed is not None]
    if not rounds:
        return visit.page("no_figures.html")
    wanted = visit.query.get("round", str(rounds[-1].number))
    held = next((one for one in rounds if str(one.number) == wanted), None)
    if held is None:
        raise BenchError("There is no such round, or it is not closed yet.")
    models = arena.examples.models()
    sizes = megabytes_of(arena.store, models)
    made = standings(held, arena.examples.of_round(held.number), models, sizes)
    letters = arena.letters(held.number)
    if held.closed is not None:
        letters = {number: str(model) for number, model in models.items()}
    played = [line.model for line in made.models]
    made.models.sort(key=lambda line: (line.model.dense is not None, letters[line.model.id]))
    return visit.page(
        "figures.html",
        made=made,
        figures=as_plain(made, {one.id: shown(one.name) for one in arena.accounts.all()}),
        rounds=rounds,
        letters=letters,
        gone=[one for one in played if sizes.get(one.id) is None],
        set_folder=f"{arena.folder.name}/{ROUNDS}/{held.name}",
        card=CARD,
    )


def close(visit: Visit) -> Response:
    """Closes the open round, if it still is the one that the owner saw."""
    arena = visit.arena
    number = visit.number("round")
    if number != arena.round().number:
        raise BenchError("This round is closed.")
    close_round(arena.store, arena.examples, arena.accounts, number)
    return visit.goto(f"/figures?round={number}")
