"""`bench arena`: people try to fool compressed models, in a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.output import console, examples, say
from bench.cli.values import positive
from bench.errors import BenchError

EXPORT = "export"
"""In place of cells: no id has an x."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "arena",
        help="people try to fool compressed models, in a browser",
        description="Serves pages on which people write examples that a compressed model gets "
        "wrong and its dense one right, and others validate them. Closed rounds become challenge "
        "sets. With `export` in place of cells, it writes every example and the figures, without "
        "accounts. It listens on this machine alone unless --host says otherwise: docs/arena.md.",
        epilog=examples(
            "bench arena 3f9a --runs runs/mine",
            "bench arena 3f9a 81c2 --runs runs/mine --votes 5 --agreeing 3",
            "bench arena export --runs runs/mine --out arena",
        ),
    )
    parser.add_argument("cells", nargs="+", metavar="CELL|export",
                        help="ids of cells of one task, or their beginnings")  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR",
                        help="run folder of the cells; default runs")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("arena"), metavar="DIR",
                        help="folder for what is exported; default arena")  # fmt: skip
    parser.add_argument("--port", type=positive, default=8321, metavar="N",
                        help="default 8321")  # fmt: skip
    rounds = parser.add_argument_group("rounds")
    rounds.add_argument("--votes", type=positive, default=3, metavar="N",
                        help="validators of an example at most; default 3")  # fmt: skip
    rounds.add_argument("--agreeing", type=positive, default=2, metavar="N",
                        help="how many of them have to give its author's label; default 2. Both "
                        "are of new rounds")  # fmt: skip
    beyond = parser.add_argument_group("beyond this machine")
    beyond.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen on; default 127.0.0.1")  # fmt: skip
    beyond.add_argument("--origin", metavar="URL",
                        help="how browsers reach it, such as https://arena.example")  # fmt: skip
    beyond.add_argument("--passphrase-file", type=Path, metavar="FILE",
                        help="holds a pass phrase that everyone has to say who joins")  # fmt: skip
    beyond.add_argument("--certificate", type=Path, metavar="FILE",
                        help="PEM file for HTTPS, with --key")  # fmt: skip
    beyond.add_argument("--key", type=Path, metavar="FILE", help="its key")
    beyond.add_argument("--behind-proxy", action="store_true",
                        help="a proxy ends HTTPS before it")  # fmt: skip
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Serves until it is interrupted, or exports."""
    from bench.errors import require
    from bench.results.store import Store

    store, out = Store(arguments.runs), console()
    if EXPORT in arguments.cells:
        if arguments.cells != [EXPORT]:
            raise BenchError("export stands alone: it is of the whole run folder.")
        require("nltk", extra="arena")
        from bench.arena.export import export

        say(out, *map(str, export(store, arguments.out)))
        return 0
    require("jinja2", "nltk", "starlette", "uvicorn", extra="arena")
    from bench.arena.serve import Address, opened, serve
    from bench.arena.verdicts import Rule

    address = Address(
        host=arguments.host,
        port=arguments.port,
        origin=arguments.origin,
        passphrase_file=arguments.passphrase_file,
        certificate=arguments.certificate,
        key=arguments.key,
        behind_proxy=arguments.behind_proxy,
    )
    rule = Rule(arguments.votes, arguments.agreeing)

    def ready(link: str) -> None:
        say(out, f"The arena is open at {address.origins[0]}; Ctrl-C ends it.")
        say(out, f"The owner comes in by this link, once and within an hour: {link}")

    with opened(store, arguments.cells, address, rule) as arena:
        serve(arena, address, ready)
    return 0
