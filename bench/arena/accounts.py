"""Who takes part: accounts, and the invitations that make them and let them in again.

There are no passwords. Whoever has logged out, or comes with another browser, gets a new link from
the owner; the owner gets one whenever the server starts.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.arena.database import Database

Role = Literal["owner", "annotator", "validator"]
ROLES: tuple[Role, ...] = get_args(Role)

HOURS = 48.0
"""How long an invitation lasts."""


@dataclass(frozen=True)
class Account:
    """Somebody who takes part.

    Attributes:
        id: Number in the database.
        name: What the others of the arena read.
        role: An owner may do all; an annotator writes and validates; a validator validates.
        pseudonym: What stands in sets and exports.
        epoch: Sessions of an earlier one have ended.
        revoked: Whether the account may do nothing any more.
    """

    id: int
    name: str
    role: Role
    pseudonym: str
    epoch: int
    revoked: bool

    @property
    def writes(self) -> bool:
        """Whether it may write examples."""
        return self.role != "validator"


class Accounts:
    """The accounts of an arena."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Account]:
        """Every account, in the order of joining."""
        return [_account(row) for row in self._database.read("SELECT * FROM accounts ORDER BY id")]

    def get(self, number: int) -> Account | None:
        """The account of a number."""
        rows = self._database.read("SELECT * FROM accounts WHERE id = ?", (number,))
        return _account(rows[0]) if rows else None

    def owner(self) -> Account | None:
        """The first owner that is not revoked."""
        return next((one for one in self.all() if one.role == "owner" and not one.revoked), None)

    def invite(self, role: Role, account: Account | None = None, *, hours: float = HOURS) -> str:
        """Makes an invitation.

        Args:
            role: What its guest may do.
            account: Whom it lets in again; it makes a new account where none is named.
            hours: How long it lasts.

        Returns:
            The token, of which the database keeps a hash alone.
        """
        token = secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO invitations (hash, role, account, expires) VALUES (?, ?, ?, ?)",
                (_hash(token), role, account and account.id, time.time() + 3600 * hours),
            )
        return token

    def guest(self, token: str) -> tuple[Role, Account | None] | None:
        """What an invitation that is still good lets somebody be; `None` of any other."""
        rows = self._database.read(
            "SELECT role, account FROM invitations WHERE hash = ? AND used = 0 AND expires > ?",
            (_hash(token), time.time()),
        )
        if not rows:
            return None
        number = rows[0]["account"]
        return rows[0]["role"], None if number is None else self.get(number)

    def join(self, token: str, name: str) -> Account:
        """Uses an invitation up.

        Args:
            token: Its token.
            name: What a new account is to be called.

        Raises:
            BenchError: It is none, or was used or has expired; the name is taken; or the account
                that it lets in is revoked.
        """
        with self._database.transaction() as connection:
            found = connection.execute(
                "UPDATE invitations SET used = 1 WHERE hash = ? AND used = 0 AND expires > ? "
                "RETURNING role, account",
                (_hash(token), time.time()),
            ).fetchall()
            if not found:
                raise BenchError("This invitation is not valid, or not any more. Ask for another.")
            number = found[0]["account"]
            if number is None:
                number = _added(connection, name, found[0]["role"])
            row = connection.execute("SELECT * FROM accounts WHERE id = ?", (number,)).fetchone()
            if row["revoked"]:
                raise BenchError("This account was revoked.")
        return _account(row)

    def end_sessions(self, account: Account) -> None:
        """Logs an account out, in every browser."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE accounts SET epoch = epoch + 1 WHERE id = ?", (account.id,))

    def revoke(self, account: Account) -> None:
        """Takes every right from an account, and its open invitations.

        Raises:
            BenchError: No owner would be left.
        """
        owner = self.owner()
        if account == owner and not any(
            one.role == "owner" and not one.revoked and one != owner for one in self.all()
        ):
            raise BenchError("The last owner cannot be revoked.")
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE accounts SET revoked = 1, epoch = epoch + 1 WHERE id = ?", (account.id,)
            )
            connection.execute("UPDATE invitations SET used = 1 WHERE account = ?", (account.id,))

    def withdraw_invitations(self) -> int:
        """Ends all invitations that nobody has used; returns how many there were."""
        with self._database.transaction() as connection:
            ended = connection.execute(
                "UPDATE invitations SET used = 1 WHERE used = 0 AND expires > ?", (time.time(),)
            )
        return ended.rowcount


def _added(connection: sqlite3.Connection, name: str, role: str) -> int:
    try:
        added = connection.execute(
            "INSERT INTO accounts (name, role, pseudonym) VALUES (?, ?, ?)",
            (name, role, f"person-{secrets.token_hex(4)}"),
        )
    except sqlite3.IntegrityError:
        raise BenchError("This name is taken. Choose another.") from None
    return int(added.lastrowid or 0)


def _account(row: sqlite3.Row) -> Account:
    held = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a row iterates over values
    return Account(**{**held, "revoked": bool(held["revoked"])})


def _hash(token: str) -> str:
    """Plain SHA-256: a token is 32 random bytes, which nobody can try out."""
    return hashlib.sha256(token.encode()).hexdigest()
