"""`bench track`: tell trackers of what a run folder holds."""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from pathlib import Path

from bench.cli.output import complain, console, examples, say
from bench.cli.values import names
from bench.errors import BenchError, unknown_name


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "track",
        help="tell a tracker of stored records",
        description="Tells trackers of the cells of a run folder, a run each: parameters, score, "
        "ratios, cost and curves. What a tracker knows already is not told again.",
        epilog=examples(
            "bench track tensorboard --runs runs/mine", "bench track mlflow,wandb --runs runs/mine"
        ),
    )
    parser.add_argument(
        "trackers", type=names, metavar="TRACKER,…", help="tensorboard, mlflow, wandb or trackio"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR",
                        help="run folder; default runs")  # fmt: skip
    parser.add_argument("--name", metavar="SUITE", help="one suite; default: all of the folder")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Tells, and says how many cells each tracker was told of; 1 where one has failed."""
    from bench.files import refuse_outward_links
    from bench.results.store import Store
    from bench.results.suites import suites_run_in
    from bench.runs.tracking import Trackers, replay

    refuse_outward_links(arguments.runs)
    store = Store(arguments.runs)
    trackers = Trackers(arguments.trackers, store, complain)
    suites = suites_run_in(store.root)
    if not suites:
        raise BenchError(f"{store.root}: no suite has been run here; --runs names another folder.")
    if arguments.name not in (None, *suites):
        raise unknown_name(f"suite of {store.root}", arguments.name, suites)
    wanted = [suite for name, suite in suites.items() if arguments.name in (None, name)]
    heard = list(replay(trackers, store, wanted))
    told = Counter(itertools.chain.from_iterable(heard))
    for name in dict.fromkeys(arguments.trackers):
        rest = (
            "" if name in trackers.failed or told[name] == len(heard) else "; it knows the others"
        )
        say(console(), f"{name}: told of {told[name]} of {len(heard)} cells{rest}")
    return int(bool(trackers.failed))
