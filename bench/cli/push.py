"""`bench push`: hand a model, or records and pages, on through the hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.output import console, examples, say
from bench.errors import BenchError, first_line


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "push",
        help="push a model, or records and pages, to the hub",
        description="Pushes the model that a cell kept, with its card; or a folder of pages: its "
        "records as a data set and its HTML pages as a static Space. Needs a token (HF_TOKEN, or "
        "'hf auth login').",
        epilog=examples(
            "bench push 3f9a --runs runs/mine --to my-lab/bert-magnitude-4x --dry-run",
            "bench push --leaderboards leaderboards --to my-lab/compression --private",
        ),
    )
    parser.add_argument("cell", nargs="?", metavar="CELL", help="id of a cell, or its beginning")
    parser.add_argument(
        "--leaderboards",
        type=Path,
        nargs="?",
        const=Path("leaderboards"),
        metavar="DIR",
        help="a folder of pages instead of a model; default leaderboards",
    )
    parser.add_argument("--to", type=_repository, required=True, metavar="ORG/NAME",
                        help="the repository, made if it is not there")  # fmt: skip
    parser.add_argument("--private", action="store_true", help="make it for its owners alone")
    parser.add_argument("--dry-run", action="store_true", help="list what would be pushed")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR",
                        help="run folder; default runs")  # fmt: skip
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Makes what is to be pushed, lists it, and pushes it."""
    from bench.files import scratch_folder
    from bench.results.store import Store
    from bench.results.suites import find_record
    from bench.sharing import push

    if (arguments.cell is None) == (arguments.leaderboards is None):
        raise BenchError("name either a cell or --leaderboards.")
    if not arguments.dry_run:
        push.check_hub()
    out = console()
    with scratch_folder() as scratch:
        if arguments.leaderboards is not None:
            uploads = push.leaderboard_uploads(arguments.leaderboards, scratch)
        else:
            store = Store(arguments.runs)
            record = find_record(store, arguments.cell)
            uploads = [push.model_upload(store, record, arguments.to, scratch)]
        for upload in uploads:
            say(
                out,
                f"{upload.kind} {arguments.to}: {len(upload.files)} files, "
                f"{upload.megabytes:,.2f} MB",
                *(f"  {name}" for name in sorted(upload.files)),
            )
        if "space" not in (kinds := {upload.kind for upload in uploads}) and "dataset" in kinds:
            say(out, "no Space: there are no HTML pages ('bench leaderboard --html' makes them).")
        if arguments.dry_run:
            say(out, "nothing was pushed.")
            return 0
        say(out, *push.push(uploads, arguments.to, private=arguments.private))
    return 0


def _repository(text: str) -> str:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # no `as`

    if text.count("/") != 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form ORG/NAME")
    try:
        validate_repo_id(text)
    except HFValidationError as error:
        raise argparse.ArgumentTypeError(first_line(error).rstrip(".")) from None
    return text
