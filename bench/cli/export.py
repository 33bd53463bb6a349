"""`bench export`: hand a compressed model on."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.output import console, examples
from bench.errors import BenchError

FORMATS = {
    "hf": "a plain Hugging Face folder, a cut model padded with zeros to a stock one",
    "sparse": "fp16 values and a bitmap of them, which bench.load_compact reads",
    "onnx": "an ONNX graph for any number of rows and pieces",
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

    store = Store(arguments.runs)
    record = find_record(store, arguments.cell)
    source = kept_model(store, record)
    target = arguments.out or Path("exports") / f"{record.id}-{arguments.format}"
    try:
        written = export(source, target, arguments.format)
    except OSError as error:
        raise BenchError(f"{target} cannot be written: {error}") from error
    sizes = [path.stat().st_size / 1e6 for path in (written, source / "model.safetensors")]
    console().print(
        f"{written}: {sizes[0]:,.2f} MB, of {record.cell['method']} on {record.cell['task']} "
        f"({sizes[1]:,.2f} MB as the run keeps it)",
        markup=False,
        soft_wrap=True,
    )
    return 0
