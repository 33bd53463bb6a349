"""`bench leaderboard`: pages from records."""

from __future__ import annotations

import argparse
import contextlib
import gc
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.output import complain, console, examples, say
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.data.texts import Texts
    from bench.results.record import Record

FOLDER = Path()
"""What `--html` is without a file."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "leaderboard",
        help="make pages from records, or check them",
        description="Takes the suites of run folders into --out (records, predictions, pages), or, "
        "without --runs, makes the pages of --out anew from the records that lie there.",
        epilog=examples(
            "bench leaderboard --runs runs/mine --out leaderboards",
            "bench leaderboard --check",
            "bench leaderboard --runs runs/mine --html mine.html",
        ),
    )
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="run folders; records of the same suite are merged",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("leaderboards"),
        metavar="DIR",
        help="folder of the pages; default leaderboards",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; status 1 where a page is not what its records give",
    )
    parser.add_argument(
        "--html",
        type=Path,
        nargs="?",
        const=FOLDER,
        metavar="FILE",
        help="make HTML pages beside those in Markdown, with their assets in one folder; with "
        "FILE, make that alone: a suite of --runs, or of --out, on one page with all in it",
    )
    parser.add_argument(
        "--with-texts",
        action="store_true",
        help="show the texts of rows that a model answers otherwise than dense in FILE, where the "
        "licence of a task's data is known to allow that, and the run folder has them",
    )
    parser.add_argument("--name", help="the suite that FILE shows, where there are several")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Writes or checks pages."""
    with _nothing_collected():
        return _handle(arguments)


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Sets Python's garbage collector aside: it would go through all records again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _handle(arguments: argparse.Namespace) -> int:
    from bench.leaderboard import publish

    if arguments.check and (arguments.runs or arguments.html):
        raise BenchError(
            "--check compares the pages in --out with their records: leave --runs and --html."
        )
    if arguments.html not in (None, FOLDER):
        return _one_file(arguments)
    if arguments.name is not None:
        raise BenchError("--name says which suite --html FILE shows: name a file.")
    if arguments.with_texts:
        raise BenchError("--with-texts says what --html FILE shows: name a file.")
    if arguments.check:
        wrong = publish.check(arguments.out)
        for path in wrong:
            complain(f"{path} is not what its records give.")
        if any(path.suffix == ".svg" for path in wrong):
            complain(
                f"matplotlib {version('matplotlib')} is installed; another release may draw the "
                "same figures in other bytes."
            )
        if not wrong:
            say(console(), f"{arguments.out}: every page is what its records give.")
        return int(bool(wrong))
    try:
        publish.add_suites(arguments.runs, arguments.out)
        written = publish.write(arguments.out, html=arguments.html is not None)
    except OSError as error:
        raise BenchError(f"{arguments.out} cannot be written: {error}") from error
    say(console(), *map(str, written))
    return 0


def _one_file(arguments: argparse.Namespace) -> int:
    """Writes a suite's page with everything in it."""
    from bench.files import write_text
    from bench.leaderboard.html.page import one_file
    from bench.leaderboard.page import page_of
    from bench.results.rounds import read_rounds
    from bench.results.suites import open_suite

    if len(arguments.runs) > 1:
        raise BenchError("--html FILE shows a suite of one folder: name one with --runs.")
    (folder,) = arguments.runs or [arguments.out]
    found = open_suite(folder, arguments.name)
    rounds = read_rounds(folder, found.suite["cells"])
    texts = _texts(folder, found.records) if arguments.with_texts else {}
    text = one_file(page_of(found, folder), rounds, texts)
    try:
        write_text(arguments.html, text)
    except OSError as error:
        raise BenchError(f"{arguments.html} cannot be written: {error}") from error
    say(console(), str(arguments.html))
    return 0


def _texts(folder: Path, records: list[Record]) -> dict[str, list[Texts]]:
    """The texts of report rows that may be shown; a line for each task whose may not."""
    from bench.data.licences import texts_to_show

    known = {record.cell["task"]: record.data for record in records if record.data}
    texts, lacking = texts_to_show(folder / "data", known)
    for line in lacking:
        complain(line)
    return texts
