"""An arena without a model behind it, and people who use it as a browser does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arena_tables import DENSE, SMALL
from starlette.testclient import TestClient

from bench.arena.accounts import Accounts, Role
from bench.arena.answers import Answer, Word
from bench.arena.application import application
from bench.arena.database import Database
from bench.arena.examples import Examples
from bench.arena.queue import Queue
from bench.arena.rows import Row
from bench.arena.signing import Signer
from bench.arena.verdicts import Rule
from bench.arena.visit import Arena
from bench.results.store import Store

ORIGIN = "http://127.0.0.1:8321"


@dataclass
class Words:
    """Models that read one word each: dense knows `fine`, the small one does not."""

    task: str = "toy"
    labels: tuple[str, ...] = ("negative", "positive")
    length: int = 50
    asked: list[Sequence[str]] = field(default_factory=list)

    def begin(self) -> None:
        pass

    def pieces(self, texts: Sequence[str]) -> int:
        return sum(len(text.split()) for text in texts)

    def answers(self, texts: Sequence[str]) -> list[Answer]:
        self.asked.append(texts)
        whole = " ".join(texts)
        knows = {DENSE.id: ("good", "fine"), SMALL.id: ("good",)}
        return [
            Answer(model, int(any(word in whole for word in words)), (0.25, 0.75), 1.5,
                   (Word(0, 0, len(texts[0].split()[0]), 0.5),))
            for model, words in knows.items()
        ]  # fmt: skip


def arena(folder: Path, *, pairs: bool = False, places: int = 8, **changes: Any) -> Arena:
    """An arena in a run folder without records."""
    database = Database(folder / "arena" / "arena.sqlite3")
    examples = Examples(database)
    examples.register([DENSE, SMALL])
    texts = ("a row of training", "and its other text")[: 1 + pairs]
    options: dict[str, Any] = {
        "store": Store(folder),
        "folder": folder / "arena",
        "accounts": Accounts(database),
        "examples": examples,
        "queue": Queue(changes.pop("field", None) or Words(), places),  # type: ignore[arg-type]
        "rows": [Row("t7", texts, 1)],
        "summary": "is it good",
        "rule": Rule(),
        "signer": Signer(b"s" * 32),
        "origins": (ORIGIN, "http://localhost:8321"),
    }
    return Arena(**options | changes)


class Person:
    """Somebody with a browser of their own."""

    def __init__(self, held: Arena) -> None:
        self.arena = held
        self.browser = TestClient(application(held), ORIGIN, follow_redirects=False)

    def get(self, address: str, **headers: str) -> Any:
        return self.browser.get(address, headers=_named(headers))

    def post(self, address: str, *, csrf: str | None = None, **fields: Any) -> Any:
        """Sends a form of the page that `csrf` was seen on; by default any page of one's own."""
        token = self.token() if csrf is None else csrf
        return self.browser.post(
            address, data={"csrf": token, **fields}, headers={"origin": ORIGIN}
        )

    def token(self) -> str:
        return field_of(self.get("/validate").text, "csrf")

    def join(self, role: Role, name: str, **fields: str) -> Any:
        """Comes in by a new invitation."""
        token = self.arena.accounts.invite(role)
        page = self.get(f"/join/{token}")
        return self.post(
            "/join", csrf=field_of(page.text, "csrf"), token=token, name=name, **fields
        )

    def write(self, text: str, label: int, **fields: str) -> Any:
        page = self.get("/write").text
        return self.post(
            "/write", csrf=field_of(page, "csrf"), begun=field_of(page, "begun"), text=text,
            label=label, **fields,
        )  # fmt: skip

    def vote(self, label: int | str) -> Any:
        """Labels whatever comes next."""
        page = self.get("/validate").text
        return self.post("/validate", example=field_of(page, "example"), label=label)


def field_of(page: str, name: str) -> str:
    """What a page's form says in a hidden field; nothing where it has none."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    return found[1] if found else ""


def person(held: Arena, role: Role, name: str) -> Person:
    """Somebody who has come in."""
    one = Person(held)
    assert one.join(role, name).status_code == 303
    return one


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def refused(answer: Any, status: int) -> None:
    assert (answer.status_code, answer.headers.get("location")) == (status, None), answer.text
