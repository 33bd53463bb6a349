"""Where the rows of a saved model come from, for the commands that score one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import add_limit
from bench.inputs import Limits

if TYPE_CHECKING:
    from bench.data.task import Source


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Adds where a saved model's rows come from, its run folder, and what it runs on."""
    parser.add_argument("--data-dir", type=Path, metavar="DIR",
                        help="folder in the original GLUE layout; default: the hub")  # fmt: skip
    parser.add_argument(
        "--revision",
        metavar="REV",
        help="revision of the hub's data set; default: the one that the run folder was begun with",
    )
    add_limit(parser)
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR",
                        help="run folder; default runs")  # fmt: skip
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                        help="default auto: a GPU where there is one")  # fmt: skip
    parser.add_argument("--offline", action="store_true", help="never ask the network")


def source_of(arguments: argparse.Namespace) -> Source:
    """Where `add_rows` says that rows come from; `--offline` holds for every library."""
    from bench import hub
    from bench.data.task import Source

    if arguments.offline:
        hub.go_offline()
    return Source(
        data_dir=arguments.data_dir,
        revision=arguments.revision,
        offline=arguments.offline,
        limits=Limits(arguments.max_data_gb),
    )
