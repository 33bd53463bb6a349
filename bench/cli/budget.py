"""`bench budget`: are the next coins better spent on labels or on pre-training?"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from bench.cli.options import add_common, add_effort, add_running
from bench.cli.output import console, examples, table
from bench.cli.run import carried_out, request_of, with_file
from bench.cli.values import names, ratios
from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.results.budgets import Budget

NEEDED = ("tasks", "budgets", "label_price", "compute_price", "methods", "ratios", "corpus",
          "pretrain_steps")  # fmt: skip
"""Options without which there is no question."""

SAID = {"tasks": "task", "ratios": "ratio"}
"""Options whose name is another one here."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "budget",
        help="spend a budget on labels or on pre-training, and compare",
        description="Spends each budget on labels alone, on continued pre-training of the encoder "
        "and labels, on general distillation of a small model and labels, and on both; runs them "
        "all, and writes a page: score against budget, the best option of each budget, and the "
        "budgets at which two options are worth the same. See docs/budget.md.",
        epilog=examples(
            "bench budget --task sst2 --data-dir GLUE --model BERT --corpus TEXT \\",
            "          --budgets 50,200,800 --label-price 0.4 --compute-price 2/hour \\",
            "          --flops-per-second 1e13 --pretrain-steps 2000 \\",
            "          --methods magnitude,tinybert --ratio 20 --seeds 5",
        ),
    )
    what = parser.add_argument_group("what is bought")
    what.add_argument("--task", dest="tasks", type=lambda text: [text], metavar="NAME|FILE.toml",
                      help="the task that labels are bought of")  # fmt: skip
    what.add_argument("--budgets", type=_amounts, metavar="B,…", help="how much money there is")
    what.add_argument("--label-price", type=_amount, metavar="P",
                      help="price of one labelled row")  # fmt: skip
    what.add_argument("--compute-price", metavar="P/EFLOP|P/hour",
                      help="price of 10^18 FLOPs, or of an hour")  # fmt: skip
    what.add_argument(
        "--flops-per-second",
        type=_amount,
        metavar="R",
        help="FLOPs that are computed in a second, where the price is one of an hour",
    )
    what.add_argument("--currency", default="EUR", metavar="WORD", help="of all prices; EUR")
    what.add_argument("--methods", type=names, metavar="NAME,…",
                      help="methods that compress; dense always runs beside them")  # fmt: skip
    what.add_argument("--ratio", dest="ratios", type=ratios, metavar="R[,…]",
                      help="compression ratios, each above 1")  # fmt: skip
    add_common(what)
    add_effort(parser)
    add_running(parser)
    parser.set_defaults(handler=handle, parser=parser)


def handle(arguments: argparse.Namespace) -> int:
    """Plans what each budget buys, runs it, and prints the tables."""
    from bench import api, hub
    from bench.files import scratch_folder
    from bench.progress import RunDisplay
    from bench.runs.budget import Question, planned

    arguments, words = with_file(arguments)
    for name in NEEDED:
        if getattr(arguments, name) is None:
            option = SAID.get(name, name).replace("_", "-")
            raise BenchError(f"--{option} is missing. See 'bench budget --help'.")
    question = Question(
        budgets=arguments.budgets,
        label_price=arguments.label_price,
        compute_price=arguments.compute_price,
        pretrain_steps=arguments.pretrain_steps,
        flops_per_second=arguments.flops_per_second,
        currency=arguments.currency,
    )
    if arguments.latency is None:
        arguments.latency = False  # where each row is timed, few wait for a budget's many
    request, out = request_of(arguments), console()
    display = RunDisplay(out)
    if request.offline:
        hub.go_offline()
    if arguments.dry_run:
        with scratch_folder() as folder:
            request = planned(question, request, folder)
        _print_plan(out, request.budget)
        api.foretell(request, display, arguments.shard, arguments.rerun)
        return 0
    request = planned(question, request, request.runs / "data")
    _print_plan(out, request.budget)
    return carried_out(request, display, words, arguments, "budget")


def _print_plan(out: Console, budget: Budget | None) -> None:
    """Prints the rows that each option leaves money for."""
    if budget is None:
        return
    budgets = sorted({one.budget for one in budget.purchases})
    rows = []
    known = {(p.method, p.ratio, p.option, p.budget): p for p in budget.purchases}
    for method, ratio, option in dict.fromkeys(key[:3] for key in known):
        bought = [known[method, ratio, option, at] for at in budgets]
        cells = ["infeasible" if one.rows is None else f"{one.rows:,}" for one in bought]
        cost = budget.price(bought[0].flops)
        rows.append([method, f"{ratio:g}×", option, f"{cost:.3g}", *cells])
    unit = budget.currency
    heads = ["method", "ratio", "option", f"computing, {unit}",
             *(f"rows for {at:g} {unit}" for at in budgets)]  # fmt: skip
    out.print(table(heads, rows))


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if math.isnan(amount):
        raise argparse.ArgumentTypeError(f"'{text}' is no amount")
    return amount


def _amounts(text: str) -> tuple[float, ...]:
    return tuple(_amount(part) for part in text.split(","))
