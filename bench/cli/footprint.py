"""`bench footprint`: what a saved model holds and costs, against its uncompressed shape."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bench.cli.output import console, emit_json, examples, say

if TYPE_CHECKING:
    from rich.table import Table

PARTS = {
    "linear": "matrices of layers",
    "attention": "attention products",
    "embedding_projection": "embedding projection",
    "head": "pooler and classifier",
}
"""The parts of `Counts.macs`, as the table calls them."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "footprint",
        help="count a saved model: weights, parameters, FLOPs, bytes",
        description="Counts a saved model, dense or compressed, with the counter that fills the "
        "leaderboards: prunable weights, parameters, FLOPs and bytes.",
        epilog=examples(
            "bench footprint my/model",
            "bench footprint my/model --dense google-bert/bert-base-uncased --json",
        ),
    )
    parser.add_argument(
        "model", metavar="MODEL", help="folder or hub name of a saved model; a sparse export too"
    )
    parser.add_argument(
        "--sequence-length",
        type=int,
        metavar="S",
        help="tokens (default: 128, or as many as the model takes)",
    )
    parser.add_argument(
        "--dense",
        metavar="MODEL",
        help="the uncompressed model (default: MODEL's own shapes without zeros)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Counts and prints.

    Raises:
        BenchError: A model cannot be read, is of no supported family, or has fewer positions than
            the sequence length.
    """
    from bench.deploy.counted import count_saved

    counted = count_saved(args.model, args.dense, args.sequence_length)
    before, after, length = counted.dense, counted.actual, counted.sequence_length
    report: dict[str, Any] = {
        "model": args.model,
        "dense": args.dense,
        "model_type": counted.model_type,
        "sequence_length": length,
        "footprint": counted.footprint,
        "macs": {"dense": before.macs(length), "actual": after.macs(length)},
        "embedding_parameters": {
            "dense": before.embedding_parameters,
            "actual": after.embedding_parameters,
        },
        "notes": counted.notes,
    }
    if args.json:
        emit_json(report)
        return 0
    out = console()
    out.print(_table(report))
    for note in (*_explanations(report), *counted.notes):
        say(out, f"· {note}")
    return 0


def _table(report: dict[str, Any]) -> Table:
    """One row a count: dense, actual, ratio."""
    from rich.markup import escape
    from rich.table import Table

    title = escape(f"{report['model']} ({report['model_type']})")
    table = Table(title=title, title_style="bold")
    table.add_column("count")
    for column in ("dense", "actual", "ratio"):
        table.add_column(column, justify="right", no_wrap=True)

    def add(label: str, dense: int, actual: int) -> None:
        ratio = f"{dense / actual:,.3f}×" if actual else "–"
        table.add_row(label, f"{dense:,}", f"{actual:,}", ratio)

    counts, macs = report["footprint"], report["macs"]
    add("prunable weights", counts["weights"]["dense"], counts["weights"]["actual"])
    add("parameters", counts["params"]["dense"], counts["params"]["actual"])
    add("  of embeddings", *report["embedding_parameters"].values())
    add(f"FLOPs, S = {report['sequence_length']}", *list(counts["flops"].values())[:2])
    for part, label in PARTS.items():
        if macs["dense"][part]:
            add(f"  {label}", 2 * macs["dense"][part], 2 * macs["actual"][part])
    add("bytes, 16 bit", counts["bytes"]["dense"], counts["bytes"]["actual"])
    add("bytes, 32 bit", counts["bytes"]["dense_fp32"], counts["bytes"]["actual_fp32"])
    return table


def _explanations(report: dict[str, Any]) -> list[str]:
    """What each count is, with its unit."""
    dense = report["dense"] or "the same shapes without zeros"
    return [
        f"dense: {dense}; actual: what is not zero.",
        "prunable weights: query, key, value, attention output and both feed-forward matrices of "
        "each layer, and those of its mask attention; no embeddings, no biases, no head.",
        "parameters: all, embeddings included, tied ones once.",
        f"FLOPs: 2 × multiply-accumulates of one example of {report['sequence_length']} tokens "
        "without padding; embedding look-ups count nothing.",
        "bytes, 16 bit: of a file written with 16-bit values, embeddings included, zeros left out "
        "of a matrix where a bitmap of them saves; 32 bit: of an ordinary file, zeros and all.",
    ]
