"""`bench predict`: files for the GLUE server, and for SQuAD's scripts."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.output import console, examples, say
from bench.cli.rows import add_rows, source_of
from bench.errors import BenchError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "predict",
        help="files for the GLUE server, and for SQuAD's scripts",
        description="Predicts GLUE's test rows with the models of cells, one a task, and writes "
        "the files that the GLUE server takes, with a zip of them. Of a cell of SQuAD it writes "
        "the answers to the dev questions, in the file that the official script scores.",
        epilog=examples("bench predict 3f9a 81c2 --data-dir GLUE --runs runs/mine"),
    )
    parser.add_argument("cells", nargs="+", metavar="CELL", help="id of a cell, or its beginning")
    parser.add_argument("--out", type=Path, default=Path("submission"), metavar="DIR",
                        help="folder for the files; default submission")  # fmt: skip
    add_rows(parser)
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Writes the files, and says which the server still lacks."""
    from bench.deploy import submission
    from bench.deploy.squad_answers import has_spans, write_answers
    from bench.machine import resolve_device
    from bench.results.store import Store
    from bench.results.suites import find_record

    store = Store(arguments.runs)
    chosen = [find_record(store, wanted) for wanted in arguments.cells]
    of_spans = [record for record in chosen if has_spans(record)]
    of_glue = [record for record in chosen if record not in of_spans]
    source, files = source_of(arguments), []
    try:
        answers = write_answers(store, of_spans, arguments.out)
        if of_glue:
            files = submission.write_submission(
                store, of_glue, source, arguments.out, resolve_device(arguments.device)
            )
    except OSError as error:
        raise BenchError(f"{arguments.out} cannot be written: {error}") from error
    out = console()
    for path in [*answers, *files]:
        say(out, str(path))
    names = {path.stem for path in files}
    if files and (lacking := [name for name in submission.EVERY_FILE if name not in names]):
        missing = ", ".join(lacking)
        say(out, f"The server takes a zip of all its tasks; missing: {missing}.")
    return 0
