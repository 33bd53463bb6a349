"""The server: what has to be right before it listens, and that there is one a run folder."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import registry
from bench.arena.accounts import Accounts
from bench.arena.closing import write_missing
from bench.arena.database import FILE, Database
from bench.arena.examples import Examples
from bench.arena.people import link_to
from bench.arena.players import find_players
from bench.arena.queue import Queue
from bench.arena.rows import training_rows
from bench.arena.signing import Signer, read_secret
from bench.arena.visit import Arena
from bench.arena.writing import answer_left
from bench.errors import BenchError
from bench.files import refuse_outward_links
from bench.inputs import read_text
from bench.results.rounds import ARENA

if TYPE_CHECKING:
    from bench.arena.verdicts import Rule
    from bench.results.store import Store

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ORIGIN = re.compile(r"https://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(:[1-9]\d{0,4})?")
SHORTEST_PASSPHRASE = 12
SECRET = "secret"  # noqa: S105 - the file's name


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a server listens, and how browsers reach it.

    Attributes:
        host: Its own address.
        port: Its port.
        origin: How browsers reach it, if that is not by the two.
        passphrase_file: Holds what everyone has to say who joins.
        certificate: PEM file of HTTPS.
        key: PEM file of its key.
        behind_proxy: Whether a proxy ends HTTPS before it.

    Raises:
        BenchError: Others could reach it, and something that protects it is missing; or it is no
            address.
    """

    host: str = LOOPBACK[0]
    port: int = 8321
    origin: str | None = None
    passphrase_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise BenchError("--certificate and --key go together.")
        if not 1 <= self.port <= 65535:
            raise BenchError(f"--port is from 1 to 65535, not {self.port}.")
        if self.origin is not None and not ORIGIN.fullmatch(self.origin):
            raise BenchError(
                f"--origin is such as https://arena.example, in small letters, not {self.origin}."
            )
        if self.is_local and self.origin is None:
            return
        needed = {
            "--origin https://NAME": self.origin is not None,
            "--passphrase-file FILE": self.passphrase_file is not None,
            "--certificate and --key, or --behind-proxy": (
                self.certificate is not None or self.behind_proxy
            ),
        }
        missing = [option for option, said in needed.items() if not said]
        if missing:
            raise BenchError(f"others can reach {self.host}: this needs {'; '.join(missing)}, too.")

    @property
    def is_local(self) -> bool:
        """Whether no other machine reaches it."""
        return self.host in LOOPBACK

    @property
    def origins(self) -> tuple[str, ...]:
        """How browsers may name it, the one for links first; they leave out the usual port."""
        if self.origin is not None:
            return (self.origin.removesuffix(":443"),)
        scheme, usual = ("http", 80) if self.certificate is None else ("https", 443)
        port = "" if self.port == usual else f":{self.port}"
        return tuple(f"{scheme}://{host}{port}" for host in ("127.0.0.1", "localhost", "[::1]"))

    def passphrase(self) -> str:
        """What everyone has to say who joins; empty for nothing.

        Raises:
            BenchError: The file cannot be read, or what it holds is too short.
        """
        if self.passphrase_file is None:
            return ""
        try:
            said = read_text(self.passphrase_file).strip()
        except (OSError, UnicodeDecodeError):
            raise BenchError(f"cannot read {self.passphrase_file}.") from None
        if len(said) < SHORTEST_PASSPHRASE:
            raise BenchError(f"a pass phrase has {SHORTEST_PASSPHRASE} characters at least.")
        return said


@contextlib.contextmanager
def opened(store: Store, cells: Sequence[str], address: Address, rule: Rule) -> Iterator[Arena]:
    """An arena in a run folder, for as long as the block lasts.

    Args:
        store: The run folder.
        cells: Ids of compressed cells, or their beginnings.
        address: Where it will listen.
        rule: When an example of a new round counts.

    Raises:
        BenchError: Another serves this run folder, or a cell cannot be played against.
    """
    from filelock import Timeout

    refuse_outward_links(store.root)
    passphrase = address.passphrase()
    lock = store.lock(ARENA)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BenchError(f"another bench arena serves {store.root}: end it first.") from None
    try:
        field = find_players(store, cells)
        rows = training_rows(store.root, field.task, field.fingerprint)
        folder = store.root / ARENA
        database = Database(folder / FILE)
        arena = Arena(
            store=store,
            folder=folder,
            accounts=Accounts(database),
            examples=Examples(database),
            queue=Queue(field),
            rows=rows,
            summary=_summary(field.task),
            rule=rule,
            signer=Signer(read_secret(folder / SECRET)),
            origins=address.origins,
            passphrase=passphrase,
        )
        with contextlib.closing(database):
            arena.examples.register([player.model for player in field.players])
            write_missing(store, arena.examples, arena.accounts)
            answer_left(arena)
            yield arena
    finally:
        lock.release()


def owners_link(arena: Arena) -> str:
    """A link that makes the first owner, or lets the owner in again."""
    owner = arena.accounts.owner()
    return link_to(arena.origins[0], arena.accounts.invite("owner", owner, hours=1))


def serve(arena: Arena, address: Address, ready: Callable[[str], None]) -> None:
    """Answers browsers until it is interrupted.

    Args:
        arena: What is served.
        address: Where.
        ready: Told of the owner's link.
    """
    import socket

    import uvicorn

    from bench.arena.application import application

    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family)
    with contextlib.closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, address.port))
        except OSError as error:
            raise BenchError(
                f"cannot listen on {address.host}:{address.port} ({error.strerror}): --port names "
                "another."
            ) from None
        config = uvicorn.Config(
            application(arena),
            access_log=False,  # it would hold invitations
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=200,
            timeout_keep_alive=5,
            ssl_certfile=address.certificate,
            ssl_keyfile=address.key,
        )
        # What agreement is counted with takes seconds to be imported; no visitor waits for it.
        threading.Thread(target=_import_agreement, daemon=True).start()
        ready(owners_link(arena))
        with contextlib.suppress(KeyboardInterrupt):  # how a server is meant to end
            uvicorn.Server(config).run(sockets=[listener])


def _import_agreement() -> None:
    from bench.arena.figures import agreement

    agreement([])


def _summary(task: str) -> str:
    """What is to be told, where the task is still registered."""
    return registry.task(task).info.summary if task in registry.tasks.names() else ""
