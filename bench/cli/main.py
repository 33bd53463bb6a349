"""The command line itself: its parser, and how every command ends."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from bench import __version__, environment
from bench.cli.output import EXAMPLES, complain
from bench.errors import BenchError, unknown_name

COMMANDS = (
    "run",
    "budget",
    "fetch",
    "methods",
    "tasks",
    "describe",
    "status",
    "leaderboard",
    "validate",
    "compare",
    "evaluate",
    "predict",
    "export",
    "push",
    "knowledge",
    "tuning",
    "track",
    "footprint",
    "latency",
    "arena",
    "doctor",
)

INTERRUPTED = 130


class Formatter(argparse.HelpFormatter):
    """Folds what a command says of itself, and leaves its examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(EXAMPLES) else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes read like all others: one line, the near name, status 2."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", Formatter)
        super().__init__(**options, allow_abbrev=False)  # a page repeats options as they were said

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Raises `BenchError` for a word that is none of the parser's."""
        found, extra = super().parse_known_args(args, namespace)
        if extra and extra[0].startswith("-"):
            raise unknown_name("option", extra[0].partition("=")[0], self._option_string_actions)
        if extra:
            raise BenchError(f"'{extra[0]}' is one word too many. See '{self.prog} --help'.")
        return found, extra

    def error(self, message: str) -> NoReturn:
        """Raises `BenchError` instead of printing the usage."""
        raise BenchError(f"{message.rstrip('.')}. See '{self.prog} --help'.")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            what = f"value of {action.option_strings[0]}" if action.option_strings else "command"
            raise unknown_name(what, str(value), map(str, action.choices))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        The exit status: 0 all done, 1 a cell failed or a check did not hold, 2 wrong usage or
        unreadable input, 130 interrupted.
    """
    environment.set_defaults()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Latin-1 has no "…"; errors are escaped anyway
    try:
        words = list(sys.argv[1:] if argv is None else argv)
        arguments = parser().parse_args(words)
        arguments.words = words[1:]
        status: int = arguments.handler(arguments)
    except BenchError as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        if argv is None:  # the process ends: one more would only meet its clean-up
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        complain("interrupted; finished cells are kept.")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1  # not everything was said
    except OSError as error:  # of a path that somebody named
        complain(str(error))
        return 2
    return status


def parser() -> Parser:
    """The parser, with every command's own."""
    made = Parser(prog="bench", description="Compare ways of compressing BERT, fairly.")
    made.add_argument("--version", action="version", version=f"prunebench {__version__}")
    subparsers = made.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    for name in COMMANDS:
        importlib.import_module(f"bench.cli.{name}").add_parser(subparsers)
    return made
