"""What the arena keeps: one SQLite file in a run folder, which its owner alone can read."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError, first_line
from bench.inputs import check_regular

FILE = "arena.sqlite3"

VERSION = 1
"""Of the tables."""

TABLES = """
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('owner', 'annotator', 'validator')),
  pseudonym TEXT NOT NULL UNIQUE,
  epoch INTEGER NOT NULL DEFAULT 0,   -- sessions of an earlier one have ended
  revoked INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE invitations (
  hash TEXT PRIMARY KEY,              -- SHA-256 of the token, which is kept nowhere
  role TEXT NOT NULL CHECK (role IN ('owner', 'annotator', 'validator')),
  account INTEGER REFERENCES accounts,  -- whom it lets in again; nobody yet where it is NULL
  expires REAL NOT NULL,
  used INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE models (
  id TEXT PRIMARY KEY,                -- of the cell
  method TEXT NOT NULL,
  ratio REAL NOT NULL,
  seed INTEGER NOT NULL,
  dense TEXT REFERENCES models        -- what it was compressed from; NULL of a dense one
);
CREATE TABLE rounds (
  number INTEGER PRIMARY KEY,
  task TEXT NOT NULL,
  labels TEXT NOT NULL,               -- JSON, in the order of their numbers
  pairs INTEGER NOT NULL,
  votes INTEGER NOT NULL,
  agreeing INTEGER NOT NULL,
  opened TEXT NOT NULL,
  closed TEXT
);
CREATE UNIQUE INDEX one_open_round_a_task ON rounds (task) WHERE closed IS NULL;
CREATE TABLE examples (
  id INTEGER PRIMARY KEY,
  round INTEGER NOT NULL REFERENCES rounds,
  author INTEGER NOT NULL REFERENCES accounts,
  text TEXT NOT NULL,
  text_pair TEXT,
  label INTEGER NOT NULL,             -- what its author says is right
  source TEXT,                        -- id of the training row that was edited
  seconds REAL NOT NULL,              -- from the form's being shown to its coming back
  created TEXT NOT NULL,
  retracted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX examples_of_rounds ON examples (round, author);
CREATE TABLE answers (
  example INTEGER NOT NULL REFERENCES examples,
  model TEXT NOT NULL REFERENCES models,
  label INTEGER NOT NULL,
  probabilities TEXT NOT NULL,        -- JSON
  milliseconds REAL NOT NULL,
  words TEXT NOT NULL,                -- JSON: text, begin, end, influence
  PRIMARY KEY (example, model)
) WITHOUT ROWID;
CREATE TABLE validations (
  example INTEGER NOT NULL REFERENCES examples,
  account INTEGER NOT NULL REFERENCES accounts,
  label INTEGER,                      -- NULL: it cannot be told
  PRIMARY KEY (example, account)
) WITHOUT ROWID;
"""


class Database:
    """A connection that all threads of a server share, one at a time.

    Nothing of a statement is ever put together from what a visitor sends.

    Args:
        path: The file; it and its folder are made where they are missing.

    Raises:
        BenchError: It is no arena's database, or one of a later version.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)  # the log that SQLite writes beside the file is in it, too
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        check_regular(path)
        path.chmod(0o600)
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=10
            )
            self._connection.row_factory = sqlite3.Row
            self._prepare()
        except sqlite3.OperationalError as error:  # it is locked, or cannot be written
            raise BenchError(f"{path} cannot be opened: {first_line(error)}.") from None
        except sqlite3.Error as error:
            raise BenchError(f"{path} is no arena's database: {first_line(error)}.") from None

    def _prepare(self) -> None:
        for pragma in (
            "foreign_keys = ON",
            "journal_mode = WAL",
            "synchronous = FULL",  # what is committed outlives a loss of power, too
            "secure_delete = ON",  # a text that is retracted is overwritten
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise BenchError(f"{self.path} is of a later version of this package.")
        if version == 0:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
            )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is done in the block is on the disk when it ends well, and undone otherwise.

        Raises:
            BenchError: The file is damaged, or cannot be written.
        """
        with self._lock, _one_line():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """The rows that a query finds.

        Raises:
            BenchError: The file is damaged, or has no such tables.
        """
        with self._lock, _one_line():
            return self._connection.execute(query, values).fetchall()

    def forget(self) -> None:
        """Takes what was overwritten out of the log beside the file, too."""
        self.read("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Ends the connection."""
        with self._lock:
            self._connection.close()


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Says what SQLite cannot do as all else is said."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise BenchError(f"the arena's database fails: {first_line(error)}.") from None
