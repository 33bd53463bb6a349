"""Pages of an annotator: write, see what the models say, look at one's own."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from starlette.responses import Response

    from bench.arena.answers import Answer
    from bench.arena.examples import Example
    from bench.arena.visit import Arena, Visit

LONGEST_SECONDS = 24 * 3600


def write(visit: Visit) -> Response:
    """A form: empty, with a training row, or with an example of one's own to change."""
    arena = visit.arena
    texts: tuple[str, ...] = ("",) * (1 + arena.pairs)
    label, source = random.randrange(len(arena.queue.field.labels)), ""  # noqa: S311 - no secret
    if visit.query.get("from") == "row" and arena.rows:
        row = random.choice(arena.rows)  # noqa: S311
        texts, label, source = row.texts, row.label, row.id
    elif (example := _own(visit, visit.query.get("from", ""))) is not None:
        texts, label, source = example.texts, example.label, example.source or ""
    # Signed, so that neither a time nor a lineage can be made up.
    begun = arena.signer.sign("begun", f"{visit.me.id} {time.time():.3f} {source}")
    return visit.page(
        "write.html",
        labels=arena.queue.field.labels,
        texts=texts,
        label=label,
        source=source,
        begun=begun,
        round=arena.round(),
    )


def submit(visit: Visit) -> Response:
    """Keeps an example, then asks the models, then shows what they say."""
    arena = visit.arena
    arena.writes.spend(visit.me.id)
    texts = [visit.text("text")] + ([visit.text("text_pair")] if arena.pairs else [])
    label = visit.number("label")
    if label >= len(arena.queue.field.labels):
        raise BenchError("There is no such label.")
    seconds, source = _begun(visit)
    with arena.queue.place():
        pieces, most = arena.queue.pieces(texts), arena.queue.field.length
        if pieces > most:
            raise BenchError(
                f"That is {pieces} word pieces, and the models read {most}: shorten it."
            )
        number = arena.examples.add(
            arena.round().number, visit.me, texts, label, source=source, seconds=seconds
        )
        arena.examples.answer(number, arena.queue.answers(texts))
    return visit.goto(f"/examples/{number}")


def answer_left(arena: Arena) -> int:
    """Has the models answer what was kept before a server ended; returns how many there were."""
    left = arena.examples.unanswered(arena.round().number)
    for example in left:
        arena.examples.answer(example.id, arena.queue.answers(example.texts))
    return len(left)


def _begun(visit: Visit) -> tuple[float, str | None]:
    said = visit.arena.signer.read("begun", visit.form.get("begun", ""))
    who, then, source = said.split(" ", 2) if said else ("", "0", "")
    if who != str(visit.me.id):
        raise BenchError("This form is not one of this server's, or is too old.")
    return min(max(time.time() - float(then), 0.0), LONGEST_SECONDS), source or None


@dataclass(frozen=True)
class Shown:
    """What a model says, as a page shows it.

    Attributes:
        name: What the model is called here.
        dense: Whether it is a dense model.
        fooled: Whether it says other than the author.
        broken: Whether it is fooled where its dense model is not.
    """

    name: str
    dense: bool
    answer: Answer
    fooled: bool
    broken: bool


def shown_answers(arena: Arena, example: Example) -> list[Shown]:
    """What the models say of an example, dense ones first; by letters while its round is open."""
    models = arena.examples.models()
    letters = arena.letters(example.round)
    if arena.examples.round(example.round).closed is not None:
        letters = {number: str(model) for number, model in models.items()}
    found = []
    for number, answer in example.answers.items():
        dense = example.answers.get(models[number].dense or "")
        fooled = answer.label != example.label
        broken = fooled and dense is not None and dense.label == example.label
        is_dense = models[number].dense is None
        found.append(Shown(letters[number], is_dense, answer, fooled, broken))
    return sorted(found, key=lambda one: (not one.dense, one.name))


def example(visit: Visit) -> Response:
    """What the models say of an example: for its author, since who validates must not know."""
    found = _own(visit, visit.path["number"])
    if found is None:
        raise BenchError("This is none of your examples.")
    held = visit.arena.examples.round(found.round)
    return visit.page(
        "example.html",
        example=found,
        round=held,
        answers=shown_answers(visit.arena, found),
        verdict=found.verdict(held.rule),
        task_labels=held.labels,
    )


def mine(visit: Visit) -> Response:
    """All of one's own examples."""
    rounds = {one.number: one for one in visit.arena.examples.rounds()}
    rows = [
        (one, rounds[one.round], one.verdict(rounds[one.round].rule),
         [said for said in shown_answers(visit.arena, one) if said.fooled])
        for one in visit.arena.examples.of_author(visit.me)
    ]  # fmt: skip
    return visit.page("mine.html", rows=rows)


def retract(visit: Visit) -> Response:
    """Takes an example back."""
    visit.arena.examples.retract(visit.number("example"), visit.me)
    return visit.goto("/mine")


def _own(visit: Visit, said: str) -> Example | None:
    if not (said.isascii() and said.isdigit() and len(said) < 16):
        return None
    found = visit.arena.examples.get(int(said))
    return found if found is not None and found.author == visit.me.id else None
