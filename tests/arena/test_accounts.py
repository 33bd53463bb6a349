"""Accounts and invitations."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from arena_tables import member

from bench.arena.accounts import Accounts
from bench.arena.database import Database
from bench.errors import BenchError


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(Database(tmp_path / "arena" / "arena.sqlite3"))


def test_an_invitation_lets_one_person_in_once(accounts: Accounts) -> None:
    token = accounts.invite("validator")
    assert accounts.guest(token) == ("validator", None)
    ada = accounts.join(token, "Ada")
    assert (ada.name, ada.role, ada.writes) == ("Ada", "validator", False)
    assert accounts.get(ada.id) == ada
    assert accounts.guest(token) is None
    with pytest.raises(BenchError, match="not valid"):
        accounts.join(token, "Eve")
    assert accounts.all() == [ada]


@pytest.mark.parametrize("token", ["", "unknown", "' OR 1=1 --"])
def test_an_unknown_token_lets_nobody_in(accounts: Accounts, token: str) -> None:
    accounts.invite("owner")
    assert accounts.guest(token) is None
    with pytest.raises(BenchError, match="not valid"):
        accounts.join(token, "Eve")


def test_an_invitation_expires_and_can_be_withdrawn(accounts: Accounts) -> None:
    assert accounts.guest(accounts.invite("annotator", hours=-1)) is None
    token = accounts.invite("annotator")
    assert accounts.withdraw_invitations() == 1
    assert accounts.guest(token) is None


def test_a_name_that_is_taken_uses_no_invitation_up(accounts: Accounts) -> None:
    accounts.join(accounts.invite("annotator"), "Ada")
    token = accounts.invite("annotator")
    with pytest.raises(BenchError, match="taken"):
        accounts.join(token, "Ada")
    assert accounts.join(token, "Bea").name == "Bea"


def test_a_link_lets_an_account_in_again(accounts: Accounts) -> None:
    ada = accounts.join(accounts.invite("annotator"), "Ada")
    accounts.end_sessions(ada)
    again = accounts.join(accounts.invite(ada.role, ada), "whatever was said")
    assert (again.id, again.name, again.epoch) == (ada.id, "Ada", ada.epoch + 1)


def test_who_is_revoked_does_not_come_back(accounts: Accounts) -> None:
    accounts.join(accounts.invite("owner"), "Olga")
    ada = accounts.join(accounts.invite("annotator"), "Ada")
    token = accounts.invite(ada.role, ada)
    accounts.revoke(ada)
    assert accounts.guest(token) is None
    found = accounts.get(ada.id)
    assert found is not None
    assert (found.revoked, found.epoch) == (True, 1)
    with pytest.raises(BenchError, match="revoked"):
        accounts.join(accounts.invite(ada.role, ada), "")


def test_the_last_owner_stays(accounts: Accounts) -> None:
    first = accounts.join(accounts.invite("owner"), "Olga")
    with pytest.raises(BenchError, match="last owner"):
        accounts.revoke(first)
    accounts.join(accounts.invite("owner"), "Otto")
    accounts.revoke(first)
    assert [one.name for one in accounts.all() if not one.revoked] == ["Otto"]


def test_no_token_lies_in_the_file_and_nobody_else_reads_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        database = Database(tmp_path / "arena" / "arena.sqlite3")
    finally:
        os.umask(old)
    token = Accounts(database).invite("owner")
    files = list((tmp_path / "arena").iterdir())
    assert {path.stat().st_mode & 0o077 for path in [tmp_path / "arena", *files]} == {0}
    assert not any(token.encode() in path.read_bytes() for path in files)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arena" / "arena.sqlite3"
    path.parent.mkdir()
    path.write_bytes(b"something else that is longer than a header of a hundred bytes. " * 9)
    with pytest.raises(BenchError, match="no arena's database"):
        Database(path)


def test_a_damaged_database_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "arena" / "arena.sqlite3"
    database = Database(path)
    member(database, "Ada")
    database.read("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    pages = path.read_bytes()
    path.write_bytes(pages[:4096] + b"\xff" * (len(pages) - 4096))  # the schema is whole
    damaged = Database(path)
    with pytest.raises(BenchError, match=r"the arena's database fails: .*malformed"):
        Accounts(damaged).all()
    with pytest.raises(BenchError, match=r"the arena's database fails: .*malformed"):
        member(damaged, "Bea")


def test_a_database_that_another_program_holds_is_said_to_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "arena" / "arena.sqlite3"
    Database(path).close()
    connect = sqlite3.connect
    other = connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(
        sqlite3, "connect", lambda *at, **how: connect(*at, **{**how, "timeout": 0})
    )
    with pytest.raises(BenchError, match="cannot be opened: database is locked"):
        Database(path)


def test_names_are_people(tmp_path: Path) -> None:
    database = Database(tmp_path / "arena" / "arena.sqlite3")
    hostile = "'); DROP TABLE accounts; --"
    assert member(database, hostile).name == hostile
    assert Accounts(database).all()[0].pseudonym.startswith("person-")
