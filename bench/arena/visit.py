"""A request as a page sees it: who asks, what was sent, and what the arena holds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse

from bench.arena.limits import Limit, TooOftenError
from bench.arena.pages import render
from bench.arena.queue import BusyError
from bench.arena.signing import same
from bench.errors import BenchError
from bench.shown import shown

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from bench.arena.accounts import Account, Accounts
    from bench.arena.examples import Examples, Round
    from bench.arena.queue import Queue
    from bench.arena.rows import Row
    from bench.arena.signing import Signer
    from bench.arena.verdicts import Rule
    from bench.results.store import Store

DAYS = 30
"""How long a session lasts."""

MOST_FIELDS = 20
MOST_CHARACTERS = 2000
"""Of a text."""

Needs = Literal["nothing", "account", "writer", "owner"]


@dataclass(frozen=True, kw_only=True)
class Arena:
    """What a server holds.

    Attributes:
        store: The run folder.
        folder: Where the arena's files lie in it.
        queue: The models.
        rows: Training rows to begin an example with.
        rule: Of new rounds.
        origins: How browsers reach it.
        passphrase: What everyone has to say who joins; empty for nothing.
        writes: Examples and validations of an account.
        joins: Attempts to join, of all together.
    """

    store: Store
    folder: Path
    accounts: Accounts
    examples: Examples
    queue: Queue
    rows: Sequence[Row]
    summary: str
    rule: Rule
    signer: Signer
    origins: tuple[str, ...]
    passphrase: str = ""
    writes: Limit = field(default_factory=lambda: Limit(30))
    joins: Limit = field(default_factory=lambda: Limit(30))

    @property
    def https(self) -> bool:
        """Whether browsers come by HTTPS alone."""
        return all(origin.startswith("https://") for origin in self.origins)

    @property
    def cookie(self) -> str:
        """The session cookie's name: those of a machine are not told apart by their ports."""
        port = self.origins[0].rpartition(":")[2].strip("/")
        return "__Host-bench-arena" if self.https else f"bench-arena-{port}"

    @property
    def pairs(self) -> bool:
        """Whether an example has two texts."""
        return bool(self.rows) and len(self.rows[0].texts) > 1

    def round(self) -> Round:
        """The open round."""
        found = self.queue.field
        return self.examples.open_round(found.task, found.labels, pairs=self.pairs, rule=self.rule)

    def letters(self, number: int) -> dict[str, str]:
        """What models are called while a round is open: in an order that nobody can foretell."""
        models = self.examples.models()
        drawn = sorted(models, key=lambda one: self.signer.mark(f"round {number}", one))
        order = [one for one in drawn if models[one].dense is not None]
        dense = [one for one in drawn if models[one].dense is None]
        letters = {one: f"Model {_letter(place)}" for place, one in enumerate(order)}
        several = len(dense) > 1
        return letters | {
            one: f"Dense {place + 1}" if several else "Dense" for place, one in enumerate(dense)
        }


def _letter(place: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place] if place < 26 else str(place + 1)


@dataclass(frozen=True)
class Visit:
    """A request.

    Attributes:
        arena: What the server holds.
        account: Who asks; `None` of a stranger.
        form: What was sent.
        query: What stands in the address behind `?`.
        path: The parts of the address that change.
        session: What the browser's cookie says, which its forms are bound to.
    """

    arena: Arena
    account: Account | None
    form: Mapping[str, str]
    query: Mapping[str, str]
    path: Mapping[str, Any]
    session: str

    @property
    def me(self) -> Account:
        """Who asks, where that is known."""
        if self.account is None:
            raise BenchError("Nobody is logged in.")
        return self.account

    @property
    def csrf(self) -> str:
        """What a form of ours says that another site's cannot."""
        return self.arena.signer.mark("form", self.session)

    def number(self, name: str) -> int:
        """A whole number that was sent.

        Raises:
            BenchError: It is none.
        """
        said = self.form.get(name, "")
        if not (said.isascii() and said.isdigit() and len(said) < 16):
            raise BenchError(f"The form says no {name}.")
        return int(said)

    def text(self, name: str, most: int = MOST_CHARACTERS) -> str:
        """A text that was sent, without white space at its ends.

        Raises:
            BenchError: It is empty, too long, or holds what is no text.
        """
        said = self.form.get(name, "").replace("\r\n", "\n").strip()
        if not said:
            raise BenchError("Nothing was written.")
        if len(said) > most:
            raise BenchError(f"That is longer than {most:,} characters.")
        if shown(said, keep="\n\t") != said:
            raise BenchError("The text holds characters that nobody can see.")
        return said

    def page(self, template: str, *, status: int = 200, **content: Any) -> Response:
        """A page."""
        text = render(
            template,
            account=self.account,
            csrf=self.csrf,
            task=self.arena.queue.field.task,
            summary=self.arena.summary,
            **content,
        )
        return HTMLResponse(text, status)

    def goto(self, address: str) -> Response:
        """Leads on to a page of ours after something was done."""
        return RedirectResponse(address, 303)

    def set_cookie(self, response: Response, value: str) -> None:
        """Has the browser keep a session; an empty one ends it."""
        response.set_cookie(
            self.arena.cookie,
            value,
            max_age=DAYS * 86_400 if value else 0,
            path="/",
            secure=self.arena.https,
            httponly=True,
            samesite="strict",
        )


Handler = Callable[[Visit], "Response"]


def endpoint(arena: Arena, handler: Handler, needs: Needs) -> Callable[[Request], Any]:
    """What the server calls for a page: who asks is looked at first, then what was sent."""

    async def answer(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_answer, arena, handler, needs, request, body)

    return answer


def _answer(
    arena: Arena, handler: Handler, needs: Needs, request: Request, body: bytes
) -> Response:
    cookie = request.cookies.get(arena.cookie, "")
    account = session_account(arena, cookie)
    session = cookie or secrets.token_urlsafe(16)
    empty = Visit(arena, account, {}, {}, request.path_params, session)
    try:
        visit = Visit(arena, account, _fields(body), dict(request.query_params),
                      request.path_params, session)  # fmt: skip
        if refusal := _refusal(visit, request.method, needs):
            status, reason = refusal
            return visit.page("message.html", status=status, title="Not allowed", message=reason)
        response = handler(visit)
    except BenchError as error:
        status = {BusyError: 503, TooOftenError: 429}.get(type(error), 400)
        response = empty.page(
            "message.html", status=status, title="That did not work", message=str(error)
        )
    return response


def _refusal(visit: Visit, method: str, needs: Needs) -> tuple[int, str] | None:
    if method == "POST" and not same(visit.form.get("csrf", ""), visit.csrf):
        return 403, "This form is not one of this server's, or is too old. Load the page again."
    if needs == "nothing":
        return None
    if visit.account is None:
        return 401, (
            "You need a link to come in. Ask the owner of this arena for one. If you are in "
            "already and another site led you here, go to the start."
        )
    if needs == "owner" and visit.account.role != "owner":
        return 403, "This is for owners."
    if needs == "writer" and not visit.account.writes:
        return 403, "You were invited to validate. Annotators write."
    return None


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form.

    Raises:
        BenchError: It is none.
    """
    try:
        return dict(
            parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MOST_FIELDS,
            )
        )
    except ValueError:
        raise BenchError("The form cannot be read.") from None


def session_of(arena: Arena, account: Account) -> str:
    """The cookie of a session that begins now."""
    return arena.signer.sign("session", f"{account.id}-{account.epoch}-{int(time.time())}")


def session_account(arena: Arena, cookie: str) -> Account | None:
    """Whose session a cookie is of; `None` of one that has ended, or that we never gave."""
    said = arena.signer.read("session", cookie)
    if said is None:
        return None
    number, epoch, begun = map(int, said.split("-"))
    account = arena.accounts.get(number)
    good = account is not None and not account.revoked and account.epoch == epoch
    return account if good and time.time() - begun < DAYS * 86_400 else None
