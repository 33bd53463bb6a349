"""Rounds, the examples that are written in them, what models answer, and what validators say."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from bench.arena.answers import Answer, Model
from bench.arena.verdicts import Rule, Verdict  # noqa: TC001 - msgspec reads annotations
from bench.errors import BenchError
from bench.schema import Count, Figure, check, parse_json

if TYPE_CHECKING:
    from bench.arena.accounts import Account
    from bench.arena.database import Database

T = TypeVar("T")


@dataclass(frozen=True)
class Round:
    """A round: what is written until its owner closes it.

    Attributes:
        number: From 1 on, over all tasks of the run folder.
        labels: The task's, in the order of their numbers.
        pairs: Whether an example has two texts.
        rule: When an example counts.
        closed: When it was closed; `None` while it is open.
    """

    number: int
    task: str
    labels: tuple[str, ...]
    pairs: bool
    rule: Rule
    opened: str
    closed: str | None

    @property
    def name(self) -> str:
        """What its set is called."""
        return f"round-{self.number}"


@dataclass(frozen=True)
class Example:
    """An example with all that is known of it.

    Attributes:
        id: Number in the database.
        round: Number of its round.
        author: Number of the account.
        texts: One, or two of a pair.
        label: What its author says is right.
        source: The training row that was edited, if one was.
        seconds: From the form's being shown to its coming back.
        answers: By model.
        votes: By account; `None` where one cannot tell.
    """

    id: int
    round: int
    author: int
    texts: tuple[str, ...]
    label: int
    source: str | None
    seconds: float
    created: str
    answers: dict[str, Answer]
    votes: dict[int, int | None]

    def verdict(self, rule: Rule) -> Verdict:
        """What becomes of it."""
        return rule.verdict(self.label, list(self.votes.values()))


class Examples:
    """The rounds and examples of an arena; retracted ones are never handed out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, models: Sequence[Model]) -> None:
        """Keeps what models are called: their records may vanish. Dense ones come first."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO models VALUES (?, ?, ?, ?, ?)",
                [(one.id, one.method, one.ratio, one.seed, one.dense) for one in models],
            )

    def models(self) -> dict[str, Model]:
        """Every model that has ever played, by id."""
        rows = self._database.read("SELECT * FROM models ORDER BY dense IS NOT NULL, id")
        return {row["id"]: Model(*row) for row in rows}

    def open_round(self, task: str, labels: Sequence[str], *, pairs: bool, rule: Rule) -> Round:
        """The open round of a task; a new one with this rule where there is none.

        Raises:
            BenchError: The open round knows other labels of the task.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO rounds (task, labels, pairs, votes, agreeing, opened) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (task, json.dumps(list(labels)), pairs, rule.votes, rule.agreeing, _now()),
            )
        found = next(one for one in self.rounds() if one.task == task and one.closed is None)
        if (found.labels, found.pairs) != (tuple(labels), pairs):
            raise BenchError(
                f"{found.name} is of {task} with other labels: serve the cells that it was begun "
                "with, and close it first."
            )
        return found

    def rounds(self) -> list[Round]:
        """Every round, the first one first."""
        return [_round(row) for row in self._database.read("SELECT * FROM rounds ORDER BY number")]

    def round(self, number: int) -> Round:
        """The round of a number.

        Raises:
            BenchError: There is none.
        """
        rows = self._database.read("SELECT * FROM rounds WHERE number = ?", (number,))
        if not rows:
            raise BenchError(f"there is no round {number}.")
        return _round(rows[0])

    def close(self, number: int) -> None:
        """Closes a round; nothing of it changes any more.

        Raises:
            BenchError: It is closed, or there is none.
        """
        with self._database.transaction() as connection:
            closed = connection.execute(
                "UPDATE rounds SET closed = ? WHERE number = ? AND closed IS NULL", (_now(), number)
            )
        if not closed.rowcount:
            raise BenchError(f"round {number} is not open.")

    def add(
        self,
        number: int,
        author: Account,
        texts: Sequence[str],
        label: int,
        *,
        source: str | None,
        seconds: float,
    ) -> int:
        """Keeps an example; it is on the disk when this returns.

        Args:
            number: Its round.
            author: Who wrote it.
            texts: One, or two of a pair.
            label: What the author says is right.
            source: Id of the training row that was edited, if one was.
            seconds: How long it took.

        Returns:
            Its number.

        Raises:
            BenchError: The round is closed, or has the same example.
        """
        pair = texts[1] if len(texts) > 1 else None
        with self._database.transaction() as connection:
            _check_open(connection, number)
            if connection.execute(
                "SELECT 1 FROM examples WHERE round = ? AND text = ? AND text_pair IS ? "
                "AND NOT retracted",
                (number, texts[0], pair),
            ).fetchone():
                raise BenchError("This example was written before. Change it, or write another.")
            added = connection.execute(
                "INSERT INTO examples (round, author, text, text_pair, label, source, seconds, "
                "created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (number, author.id, texts[0], pair, label, source, seconds, _now()),
            )
        return int(added.lastrowid or 0)

    def answer(self, number: int, answers: Sequence[Answer]) -> None:
        """Keeps what models say of an example."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (number, one.model, one.label, json.dumps(one.probabilities), one.milliseconds,
                     json.dumps([vars(word) for word in one.words]))
                    for one in answers
                ],
            )  # fmt: skip

    def unanswered(self, number: int) -> list[Example]:
        """Examples of a round that no model has answered, as after the server was killed."""
        return [one for one in self.of_round(number) if not one.answers]

    def get(self, number: int) -> Example | None:
        """An example by its number."""
        return next(iter(self._found("examples.id = ?", (number,), words=True)), None)

    def of_round(self, number: int) -> list[Example]:
        """All examples of a round, the first one first; answers do not say of words."""
        return self._found("examples.round = ?", (number,))

    def of_author(self, author: Account) -> list[Example]:
        """All examples of somebody, the last one first; answers do not say of words."""
        return self._found("examples.author = ?", (author.id,))[::-1]

    def next_for(self, number: int, account: Account) -> tuple[Example | None, int]:
        """What somebody may validate next in a round, and how many such examples there are.

        None of the account's own, none that it has judged, and none that is decided. Those with
        the most votes come first, so that examples are decided one after the other.
        """
        rule = self.round(number).rule
        open_to = [
            one
            for one in self._found("examples.round = ?", (number,), answers=False)
            if one.author != account.id
            and account.id not in one.votes
            and one.verdict(rule) == "open"
        ]
        return max(open_to, key=lambda one: (len(one.votes), -one.id), default=None), len(open_to)

    def validate(self, number: int, account: Account, label: int | None) -> None:
        """Keeps what a validator says; `None` where it cannot be told.

        Raises:
            BenchError: The example is the account's own, was judged by it before, is decided or
                retracted, or its round is closed.
        """
        with self._database.transaction() as connection:
            found = self._found("examples.id = ?", (number,))
            if not found:
                raise BenchError("This example was retracted.")
            example = found[0]
            _check_open(connection, example.round)
            if example.author == account.id:
                raise BenchError("Nobody validates an example of their own.")
            if account.id in example.votes:
                raise BenchError("You have validated this example.")
            if example.verdict(self.round(example.round).rule) != "open":
                raise BenchError("Others have decided this example meanwhile.")
            connection.execute(
                "INSERT INTO validations VALUES (?, ?, ?)", (number, account.id, label)
            )

    def retract(self, number: int, author: Account) -> None:
        """Takes an example out of its open round: its texts are overwritten.

        Raises:
            BenchError: It is not the account's, or its round is closed.
        """
        with self._database.transaction() as connection:
            found = self._found("examples.id = ? AND examples.author = ?", (number, author.id))
            if not found:
                raise BenchError("This is none of your examples.")
            _check_open(connection, found[0].round)
            connection.execute(
                "UPDATE examples SET retracted = 1, text = '', text_pair = NULL, source = NULL "
                "WHERE id = ?",
                (number,),
            )
            connection.execute("DELETE FROM answers WHERE example = ?", (number,))
            connection.execute("DELETE FROM validations WHERE example = ?", (number,))
        self._database.forget()

    def _found(
        self, condition: str, values: Sequence[Any], *, answers: bool = True, words: bool = False
    ) -> list[Example]:
        """Examples by a condition of ours, with their votes and, if they are asked for, answers."""
        # What is put together are words of this file; what visitors send stays a value.
        where = f"WHERE {condition} AND NOT examples.retracted"
        join = f"JOIN examples ON examples.id = example {where}"
        rows = self._database.read(f"SELECT * FROM examples {where} ORDER BY id", values)  # noqa: S608
        given: dict[int, dict[str, Answer]] = {row["id"]: {} for row in rows}
        votes: dict[int, dict[int, int | None]] = {row["id"]: {} for row in rows}
        if answers:
            query = f"SELECT answers.* FROM answers {join}"  # noqa: S608
            for row in self._database.read(query, values):
                given[row["example"]][row["model"]] = _answer(row, words)
        for row in self._database.read(f"SELECT validations.* FROM validations {join}", values):  # noqa: S608
            votes[row["example"]][row["account"]] = row["label"]
        labels = {one.number: len(one.labels) for one in self.rounds()} if rows else {}
        return [_example(row, given[row["id"]], votes[row["id"]], labels) for row in rows]


def _check_open(connection: sqlite3.Connection, number: int) -> None:
    row = connection.execute("SELECT closed FROM rounds WHERE number = ?", (number,)).fetchone()
    if row is None or row["closed"] is not None:
        raise BenchError("This round is closed: nothing of it changes any more.")


class _Row(Struct):
    """A row of the table of examples: SQLite takes values of any type, and a file from anybody."""

    id: int
    round: int
    author: int
    text: str
    text_pair: str | None
    label: Count
    source: str | None
    seconds: Figure
    created: str


def _as(kind: type[T], said: dict[str, Any]) -> T:
    try:
        return check(said, kind)
    except BenchError as error:
        raise BenchError(f"the database holds what no arena writes: {error}.") from None


def _plain(text: Any) -> Any:
    """What is stored as JSON; as it is where it is none, which no type is met by."""
    try:
        return parse_json(text)
    except (ValueError, TypeError):
        return text


def _round(row: sqlite3.Row) -> Round:
    said = {name: row[name] for name in ("number", "task", "opened", "closed")}
    rule = {"votes": row["votes"], "agreeing": row["agreeing"]}
    labels = _plain(row["labels"])
    return _as(Round, {**said, "labels": labels, "pairs": bool(row["pairs"]), "rule": rule})


def _answer(row: sqlite3.Row, words: bool) -> Answer:
    said = {name: row[name] for name in ("model", "label", "milliseconds")}
    probabilities, counted = _plain(row["probabilities"]), _plain(row["words"]) if words else ()
    return _as(Answer, {**said, "probabilities": probabilities, "words": counted})


def _example(row: sqlite3.Row, answers: Any, votes: Any, labels: Mapping[int, int]) -> Example:
    """An example, all of whose labels are among so many of its round."""
    found = _as(_Row, {name: row[name] for name in _Row.__struct_fields__})
    said = [found.label, *(one.label for one in answers.values()), *votes.values()]
    if not all(one is None or one in range(labels.get(found.round, 0)) for one in said):
        raise BenchError(f"example {found.id} has a label that its round does not have.")
    return Example(
        id=found.id,
        round=found.round,
        author=found.author,
        texts=(found.text, *([] if found.text_pair is None else [found.text_pair])),
        label=found.label,
        source=found.source,
        seconds=found.seconds,
        created=found.created,
        answers=answers,
        votes=votes,
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
