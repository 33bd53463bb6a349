"""`bench describe NAME`: everything that is declared about a method or a task."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.cli.output import console, emit_json, examples, say, table
from bench.compression.params import spelled
from bench.data.tasks.challenge_sets import SETS
from bench.errors import unknown_name
from bench.protocol import NONE, OPTIONS, SYNTHETIC
from bench.results.record import DENSE
from bench.training import perturbation

if TYPE_CHECKING:
    from bench.compression.method import Method
    from bench.compression.params import Knob


PARTS = {
    "perturb": perturbation.described(),
    "intermediate": [
        ("TASK", "any task, or FILE.toml: the encoder is fine-tuned on its fit rows, and its head "
                 "is dropped"),
        (SYNTHETIC[0], "made from --corpus: which of four endings is the real one of a passage"),
        (SYNTHETIC[1], "the same, one ending at a time: real or fake"),
        (NONE, "no intermediate task"),
    ],
}  # fmt: skip
"""What an option of a run, to which methods may be pinned, is made of."""

EXAMPLES = {
    "perturb": ("word-dropout=0.1+replace-uniform=0.1", "word-dropout=0.1"),
    "intermediate": ("mnli", "synthetic"),
}
"""What each may be for all methods, and for one."""

HEADS = ("part", "what it is")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "describe",
        help="tell what is known of a method, a task, a challenge set, or an option of a run",
        epilog=examples(
            "bench describe magnitude", "bench describe cola", "bench describe intermediate"
        ),
    )
    what = f"a method, a task, FILE.toml, a challenge set, {' or '.join(OPTIONS)}"
    parser.add_argument("name", metavar="NAME", help=what)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Prints a method's metadata and parameters, a task's metadata, or an option's parts."""
    name: str = arguments.name
    if name in PARTS:
        return _describe_option(name, as_json=arguments.json)
    parameters: list[dict[str, Any]] = []
    trains = False
    if name in registry.methods.names():
        method = registry.methods.get(name)
        facts = {"method": method.info.name, **dataclasses.asdict(method.info)}
        facts["distribution"] = registry.methods.distribution(name)
        parameters = _parameters(method)
        trains = method.info.kind != "reference" or name == DENSE
    elif name in registry.tasks.names() or name.endswith(".toml"):
        info = registry.task(name).info
        facts = {"task": info.name, **dataclasses.asdict(info)}
    elif name in SETS:
        about = SETS[name].info
        facts = {"challenge set": about.name, **dataclasses.asdict(about)}
    else:
        known = [*registry.methods.names(), *registry.tasks.names(), *SETS, *PARTS]
        raise unknown_name("method, task, challenge set or option", name, known)
    del facts["name"]
    if arguments.json:
        emit_json({**facts, **({"parameters": parameters} if parameters else {})})
        return 0
    out = console()
    least = facts.pop("works_from", 0)
    shown = {head: value for head, value in facts.items() if value not in ("", {}, None, ())}
    out.print(table(["", ""], [[head.replace("_", " "), _text(v)] for head, v in shown.items()]))
    if least:
        say(out, f"Below {least:,} optimizer steps this method has not been seen to work.")
    if parameters:
        heads = ["parameter", "default", "range", "tuned", "what it is"]
        for row in parameters:
            row["default"] = "by width" if row["default"] is None else spelled(row["default"])
        out.print(table(heads, [[_text(value) for value in row.values()] for row in parameters]))
    if trains:
        say(out, f"It can also be pinned to {', '.join(OPTIONS)}: bench describe {OPTIONS[0]}.")
    return 0


def _describe_option(name: str, *, as_json: bool) -> int:
    """Prints the parts of an option of `bench run`, and an example."""
    if as_json:
        emit_json(
            {"option": name, "parts": [dict(zip(HEADS, p, strict=True)) for p in PARTS[name]]}
        )
        return 0
    out = console()
    out.print(table([*HEADS], [list(part) for part in PARTS[name]]))
    for_all, for_one = EXAMPLES[name]
    say(out, f"For all methods: --{name} {for_all}")
    say(out, f"For one, a row of its own: --methods magnitude:{name}={for_one}")
    return 0


def _parameters(method: type[Method]) -> list[dict[str, Any]]:
    defaults = method.Params.defaults()
    return [
        {
            "name": name,
            # what is declared for the rate holds nowhere: a run's default is its encoder's
            "default": None if name == "learning_rate" else defaults[name],
            "range": _range(knob),
            "tuned": knob.tuned,
            "help": knob.help,
        }
        for name, knob in method.Params.knobs().items()
    ]


def _range(knob: Knob) -> str:
    if knob.choices is not None:
        return " | ".join(map(spelled, knob.choices))
    low, high = ("" if bound is None else f"{bound:g}" for bound in (knob.low, knob.high))
    return f"{low} … {high}{' (log)' if knob.log else ''}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {line}" for key, line in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
