"""Ten annotators at once in the arena: is anything lost, and how long does an answer take?

    python benchmarks/arena_load.py RUNS CELL [--people 10] [--examples 1000]

A server in a process of its own serves RUNS, whose arena keeps what is written. People send
examples as fast as they are answered. Half-way the server is killed (SIGKILL) and started again. At
the end every example that a person was shown answers for has to be in the database, and every
example in the database has to have its answers.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from bench.arena.accounts import Accounts
from bench.arena.database import FILE, Database
from bench.arena.examples import Examples
from bench.arena.limits import Limit
from bench.arena.serve import Address, opened, serve
from bench.arena.verdicts import Rule
from bench.results.rounds import ARENA
from bench.results.store import Store

if TYPE_CHECKING:
    from bench.arena.examples import Example

TEXT = """a the this that film story actor plot warm cold dull bright funny sad slow quick fine
awful great never always hardly truly not very too and but though"""
WORDS = TEXT.split()


class Person(threading.Thread):
    """Writes one example after the other, as a browser does."""

    def __init__(self, port: int, token: str, number: int, wanted: int) -> None:
        super().__init__(name=f"person {number}")
        self.port, self.token, self.number, self.wanted = port, token, number, wanted
        self.random = random.Random(number)
        self.cookie = ""
        self.seconds: list[float] = []
        self.kept: dict[int, str] = {}
        self.broken = 0

    def run(self) -> None:
        """Joins, then writes until it has seen so many answers."""
        page, _ = self.again("GET", f"/join/{self.token}")
        self.again("POST", "/join", csrf=field(page, "csrf"), token=self.token,
                   name=f"person {self.number}")  # fmt: skip
        while len(self.kept) < self.wanted:
            page, _ = self.again("GET", "/write")
            text = " ".join(self.random.choices(WORDS, k=self.random.randint(5, 25)))
            text = f"{text} {self.number} {len(self.seconds)}"
            fields = {"csrf": field(page, "csrf"), "begun": field(page, "begun"), "text": text,
                      "text_pair": text[::-1], "label": "0"}  # fmt: skip
            begun = time.perf_counter()
            try:
                _, place = self.send("POST", "/write", fields)
                shown, _ = self.send("GET", place, {})
            except OSError:
                self.broken += 1
                continue
            self.seconds.append(time.perf_counter() - begun)
            if place.startswith("/examples/") and "ms</p>" in shown:
                self.kept[int(place.rpartition("/")[2])] = text

    def again(self, method: str, address: str, **fields: str) -> tuple[str, str]:
        """Sends until a server answers."""
        while True:
            try:
                return self.send(method, address, fields)
            except OSError:
                self.broken += 1
                time.sleep(0.2)

    def send(self, method: str, address: str, fields: dict[str, str]) -> tuple[str, str]:
        """Sends a request; returns the page, and where it leads on to."""
        origin = f"http://127.0.0.1:{self.port}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Origin": origin, "Cookie": self.cookie}
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, address, urlencode(fields) if fields else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        if (said := answer.getheader("set-cookie")) is not None:
            self.cookie = said.partition(";")[0]
        return text, answer.getheader("location") or ""


def field(page: str, name: str) -> str:
    """What a page's form says in a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    return found[1] if found else ""


def serve_fast(runs: Path, cell: str, port: int) -> None:
    """Serves without a limit of rate, which people at a keyboard do not meet."""
    address = Address(port=port)
    with opened(Store(runs), [cell], address, Rule()) as arena:
        fast = dataclasses.replace(arena, writes=Limit(1e9), joins=Limit(1e9))
        serve(fast, address, lambda link: print(link, flush=True))


def start(runs: Path, cell: str, port: int) -> subprocess.Popen[str]:
    """A server that listens."""
    command = [sys.executable, __file__, str(runs), cell, "--serve", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    server.stdout.readline()  # the owner's link: it listens
    return server


def report(people: list[Person], database: Database, before: set[int], took: float) -> bool:
    """Prints what came of it; returns whether anything was lost."""
    found = {number: one for number, one in written(database).items() if number not in before}
    shown = {number: text for one in people for number, text in one.kept.items()}
    lost = [n for n, text in shown.items() if n not in found or found[n].texts[0] != text]
    bare = [one.id for one in found.values() if not one.answers]
    seconds = sorted(second for one in people for second in one.seconds)
    print(f"{len(shown)} examples shown to {len(people)} people in {took:.1f} s, {len(found)} kept")
    print(f"lost: {len(lost)}; without answers: {len(bare)}")
    print(f"requests that met no server: {sum(one.broken for one in people)}")
    median, most = statistics.median(seconds), seconds[int(0.95 * len(seconds))]
    print(f"from sending to having read the answers: median {1000 * median:.0f} ms, "
          f"95 % below {1000 * most:.0f} ms, longest {1000 * seconds[-1]:.0f} ms")  # fmt: skip
    return bool(lost or bare)


def written(database: Database) -> dict[int, Example]:
    """All examples of an arena, by number."""
    examples = Examples(database)
    return {one.id: one for held in examples.rounds() for one in examples.of_round(held.number)}


def main() -> None:
    """Runs it, or serves for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("cell")
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.serve:
        serve_fast(said.runs, said.cell, said.serve)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start(said.runs, said.cell, port)
    database = Database(said.runs / ARENA / FILE)
    accounts, before = Accounts(database), set(written(database))
    known, each = len(accounts.all()), said.examples // said.people
    people = [Person(port, accounts.invite("annotator"), known + number, each)
              for number in range(said.people)]  # fmt: skip
    begun = time.perf_counter()
    for one in people:
        one.start()
    while sum(len(one.kept) for one in people) < said.examples // 2:
        time.sleep(0.05)
    server.send_signal(signal.SIGKILL)
    server.wait()
    killed = time.perf_counter()
    server = start(said.runs, said.cell, port)
    down = time.perf_counter() - killed
    for one in people:
        one.join()
    lost = report(people, database, before, time.perf_counter() - begun - down)
    server.send_signal(signal.SIGINT)
    server.wait()
    sys.exit(lost)


if __name__ == "__main__":
    main()
