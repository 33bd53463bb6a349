"""A real PostgreSQL on loopback, in a temporary folder, for as long as tests want it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "s3cret+w/rd:%"
"""With what an URL has to quote."""

STARTED_S = 300.0


@dataclass(frozen=True)
class Postgres:
    """A server.

    Attributes:
        port: Where it listens, on loopback.
    """

    port: int

    def url(self, database: str = "postgres", password: str = "s3cret%2Bw%2Frd%3A%25") -> str:
        """The URL of a database; without a password where it is empty."""
        secret = f":{password}" if password else ""
        return f"postgresql://bench{secret}@127.0.0.1:{self.port}/{database}"

    def ask(self, query: str, database: str = "postgres") -> list[Any]:
        """The rows that a query gives; nothing is left uncommitted."""
        import psycopg

        where = {"host": "127.0.0.1", "user": "bench", "dbname": database, "password": PASSWORD}
        with psycopg.connect(port=self.port, autocommit=True, **where) as connection:
            asked = connection.execute(query)
            return asked.fetchall() if asked.description else []

    def database(self, name: str) -> str:
        """The URL of a new database."""
        self.ask(f"CREATE DATABASE {name}")
        return self.url(name)


@contextlib.contextmanager
def started() -> Iterator[Postgres]:
    """Starts a server; skips the test where none is installed."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'prunebench[postgres]'")
    programs = _programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's server: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as name, _port() as port:
        folder, user = Path(name), _user()
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            if user is not None:
                shutil.chown(path, user.pw_uid, user.pw_gid)
        data = folder / "data"
        who: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL}
        if user is not None:  # initdb refuses to run as root
            who |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "bench", "-A", "scram-sha-256",
             "--pwfile", folder / "password", "-E", "UTF8", "--locale", "C", "--no-sync"],
            check=True, **who,
        )  # fmt: skip
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-k", "", "-F",
             "-c", "listen_addresses=127.0.0.1"],
            stderr=(folder / "log").open("wb"), **who,
        )  # fmt: skip
        try:
            postgres = Postgres(port)
            _wait(postgres, server)
            yield postgres
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.wait(timeout=STARTED_S)


def _programs() -> Path | None:
    """Where the server's programs lie: Debian keeps them out of the path, a folder a version."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


def _user() -> pwd.struct_passwd | None:
    """Who it runs as, where that is not whoever runs the tests."""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


@contextlib.contextmanager
def _port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        number = held.getsockname()[1]
    yield number


def _wait(postgres: Postgres, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + STARTED_S
    while True:
        try:
            postgres.ask("SELECT 1")
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
