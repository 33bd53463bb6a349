"""An arena's tables with somebody in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.arena.accounts import Account, Accounts, Role
from bench.arena.answers import Answer, Model
from bench.arena.examples import Examples, Round
from bench.arena.verdicts import Rule

if TYPE_CHECKING:
    from bench.arena.database import Database

DENSE = Model("d" * 16, "dense", 1.0, 0, None)
SMALL = Model("a" * 16, "magnitude", 4.0, 0, DENSE.id)


def member(database: Database, name: str, role: Role = "annotator") -> Account:
    accounts = Accounts(database)
    return accounts.join(accounts.invite(role), name)


def begun(database: Database, *, pairs: bool = False, rule: Rule | None = None) -> Round:
    """A round of two labels with a model and its dense one."""
    examples = Examples(database)
    examples.register([DENSE, SMALL])
    return examples.open_round("toy", ("negative", "positive"), pairs=pairs, rule=rule or Rule())


def written(
    database: Database, author: Account, text: str, label: int, *, dense: int, small: int,
    number: int = 1, seconds: float = 10.0,
) -> int:  # fmt: skip
    """An example and what the two models say of it."""
    examples = Examples(database)
    found = examples.add(number, author, [text], label, source=None, seconds=seconds)
    answers = [_answer(DENSE.id, dense), _answer(SMALL.id, small)]
    examples.answer(found, answers)
    return found


def _answer(model: str, label: int) -> Answer:
    probabilities = (0.25, 0.75) if label else (0.75, 0.25)
    return Answer(model, label, probabilities, 1.0)
