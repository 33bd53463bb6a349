"""Pages that let people in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.arena.signing import same
from bench.arena.visit import Visit, session_of
from bench.errors import BenchError

if TYPE_CHECKING:
    from starlette.responses import Response

    from bench.arena.accounts import Account, Role

LONGEST_NAME = 40


def home(visit: Visit) -> Response:
    """Leads on to where somebody has something to do."""
    if visit.account is None:
        return visit.page("home.html")
    return visit.goto("/write" if visit.account.writes else "/validate")


def invitation(visit: Visit) -> Response:
    """Asks a guest for a name; looking at a link does not use it up."""
    role, known = _guest(visit, visit.path["token"])
    response = visit.page(
        "join.html",
        token=visit.path["token"],
        role=role,
        known=known,
        passphrase=bool(visit.arena.passphrase),
    )
    # What a stranger's form is bound to. On no other page: a link of another site brings no cookie
    # along, and a new one would end the session of who follows it.
    visit.set_cookie(response, visit.session)
    return response


def join(visit: Visit) -> Response:
    """Uses an invitation up, and begins a session."""
    arena = visit.arena
    token = visit.form.get("token", "")
    _, known = _guest(visit, token)
    if arena.passphrase and not same(visit.form.get("passphrase", ""), arena.passphrase):
        raise BenchError("This is not the pass phrase.")
    name = known.name if known else visit.text("name", LONGEST_NAME)
    if "\n" in name or "\t" in name:
        raise BenchError("A name is one line.")
    account = arena.accounts.join(token, name)
    response = visit.goto("/")
    visit.set_cookie(response, session_of(arena, account))
    return response


def _guest(visit: Visit, token: str) -> tuple[Role, Account | None]:
    """The role that an invitation gives, and to whom, if they are known.

    Wrong invitations are counted together, and tries with a right one by themselves: no stranger
    keeps a guest out.
    """
    guest = visit.arena.accounts.guest(token)
    visit.arena.joins.spend(token if guest else "")
    if guest is None:
        raise BenchError("This invitation is not valid, or not any more. Ask for another.")
    return guest


def leave(visit: Visit) -> Response:
    """Ends all sessions of an account."""
    visit.arena.accounts.end_sessions(visit.me)
    response = visit.goto("/")
    visit.set_cookie(response, "")
    return response
