"""The addresses of the arena."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bench.arena import joining, overview, people, validating, writing
from bench.arena.guard import Guard
from bench.arena.pages import STYLES
from bench.arena.visit import endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from bench.arena.visit import Arena, Handler, Needs

PAGES: tuple[tuple[str, str, Handler, Needs], ...] = (
    ("GET", "/", joining.home, "nothing"),
    ("GET", "/join/{token}", joining.invitation, "nothing"),
    ("POST", "/join", joining.join, "nothing"),
    ("POST", "/leave", joining.leave, "account"),
    ("GET", "/write", writing.write, "writer"),
    ("POST", "/write", writing.submit, "writer"),
    ("GET", "/examples/{number}", writing.example, "writer"),
    ("GET", "/mine", writing.mine, "writer"),
    ("POST", "/retract", writing.retract, "writer"),
    ("GET", "/validate", validating.validate, "account"),
    ("POST", "/validate", validating.vote, "account"),
    ("GET", "/figures", overview.figures, "account"),
    ("POST", "/close", overview.close, "owner"),
    ("GET", "/people", people.people, "owner"),
    ("POST", "/people/invite", people.invite, "owner"),
    ("POST", "/people/renew", people.renew, "owner"),
    ("POST", "/people/revoke", people.revoke, "owner"),
    ("POST", "/people/withdraw", people.withdraw, "owner"),
)
"""Method, address, what answers, and who may ask."""


def application(arena: Arena) -> Guard:
    """The arena as a server takes it."""
    routes = [
        Route(address, endpoint(arena, handler, needs), methods=[method])
        for method, address, handler, needs in PAGES
    ]
    return Guard(
        Starlette(
            routes=[*routes, Route("/arena.css", _style)],
            exception_handlers={404: _missing, 405: _missing, 500: _broken},
        ),
        arena.origins,
    )


def _style(request: Request) -> Response:
    return Response(b"".join(path.read_bytes() for path in STYLES), media_type="text/css")


def _missing(request: Request, error: Exception) -> Response:
    return PlainTextResponse("There is no such page.\n", 404)


def _broken(request: Request, error: Exception) -> Response:
    return PlainTextResponse("The server failed. What was sent before is kept.\n", 500)
