"""`bench export`: hand a compressed model on."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.output import console, examples, say
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.results.store import Store

FORMATS = {
    "hf": "a plain Hugging Face folder with a model card, a cut model padded with zeros to a stock "
    "one",
    "sparse": "fp16 values and a bitmap of them, which bench.load_compact reads",
    "onnx": "an ONNX graph for any number of rows and pieces",
    "onnx-int8": "the same with int8 matrices, and its score on the report rows",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="hand a compressed model on",
        description="Writes the model that a cell kept, with its tokenizer, in another form.",
        epilog=examples(
            "bench export 3f9a --runs runs/mine",
            "bench export 3f9a --format onnx --out my/graph --runs runs/mine",
            "bench export 3f9a --format onnx-int8 --runs runs/mine",
        ),
    )
    parser.add_argument("cell", metavar="CELL", help="id of a cell, or its beginning")
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="hf",
        help="; ".join(f"{name}: {what}" for name, what in FORMATS.items()) + "; default hf",
    )
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="folder to be written; default exports/<cell>-<format>")  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR",
                        help="run folder; default runs")  # fmt: skip
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Writes the folder, and says where it is and how large."""
    from bench.deploy.export import export
    from bench.deploy.kept import kept_model
    from bench.results.store import Store
    from bench.results.suites import find_record
    from bench.sharing.card import complete

    store = Store(arguments.runs)
    record = find_record(store, arguments.cell)
    source = kept_model(store, record)
    target = arguments.out or Path("exports") / f"{record.id}-{arguments.format}"
    try:
        carded = functools.partial(complete, store=store, record=record)
        stock = arguments.format == "hf"
        written = export(source, target, arguments.format, carded if stock else None)
    except OSError as error:
        raise BenchError(f"{target} cannot be written: {error}") from error
    sizes = [path.stat().st_size / 1e6 for path in (written, source / "model.safetensors")]
    say(
        console(),
        f"{written}: {sizes[0]:,.2f} MB, of {record.cell['method']} on {record.cell['task']} "
        f"({sizes[1]:,.2f} MB as the run keeps it)",
    )
    if arguments.format == "onnx-int8":
        say(console(), _agreement(store, record, source, written))
    return 0


def _agreement(store: Store, record: Record, source: Path, graph: Path) -> str:
    """What int8 does to the cell's answers, in a sentence."""
    from bench.deploy.agreement import compare_graph

    found = compare_graph(store, record, source, graph)
    if found is None:
        return f"{store.root} has no report rows of it any more: its answers were not compared."
    alike = (
        f"correlates {found.alike:.4f} with fp32"
        if found.is_regression
        else f"answers {100 * found.alike:.1f} % as fp32 does"
    )
    return f"on {found.rows:,} report rows it {alike}: {found.score:.1f}, not {record.score:.1f}"
