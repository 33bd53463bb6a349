"""Pages of an owner: who takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.arena.accounts import HOURS, ROLES
from bench.errors import BenchError, unknown_name

if TYPE_CHECKING:
    from starlette.responses import Response

    from bench.arena.accounts import Account
    from bench.arena.visit import Visit


def people(visit: Visit, link: str = "", whose: str = "") -> Response:
    """Everyone, and forms to invite more."""
    return visit.page(
        "people.html",
        people=visit.arena.accounts.all(),
        roles=ROLES,
        link=link,
        whose=whose,
        hours=HOURS,
    )


def invite(visit: Visit) -> Response:
    """Shows a new link, once."""
    role = next((one for one in ROLES if one == visit.form.get("role")), None)
    if role is None:
        raise unknown_name("role", visit.form.get("role", ""), ROLES)
    token = visit.arena.accounts.invite(role)
    return people(visit, link_to(visit.arena.origins[0], token), f"a new {role}")


def renew(visit: Visit) -> Response:
    """Shows a link that lets somebody in again."""
    account = _chosen(visit)
    token = visit.arena.accounts.invite(account.role, account)
    return people(visit, link_to(visit.arena.origins[0], token), account.name)


def revoke(visit: Visit) -> Response:
    """Takes every right from somebody."""
    visit.arena.accounts.revoke(_chosen(visit))
    return visit.goto("/people")


def withdraw(visit: Visit) -> Response:
    """Ends all links that nobody has used."""
    visit.arena.accounts.withdraw_invitations()
    return visit.goto("/people")


def link_to(origin: str, token: str) -> str:
    """The address that an invitation is sent as."""
    return f"{origin}/join/{token}"


def _chosen(visit: Visit) -> Account:
    account = visit.arena.accounts.get(visit.number("account"))
    if account is None:
        raise BenchError("There is no such account.")
    return account
