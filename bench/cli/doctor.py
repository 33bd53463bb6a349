"""`bench doctor`: versions, devices, plugins, and the line that mends what is missing."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench import registry
from bench.cli.output import console, emit_json, examples, say, table
from bench.errors import BenchError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "prunebench"
NOBODYS = {"all", "dev"}
"""Extras that are of no use by themselves: the others together, and what tests need."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the installation",
        epilog=examples("bench doctor", "bench doctor --fix"),
    )
    parser.add_argument("--fix", action="store_true",
                        help="install what methods lack, by the lines that are shown, with this "
                        "Python's pip")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Prints what is installed; 1 where something is broken or missing."""
    from bench import hub, machine
    from bench.deploy.engines import find_engines

    missing = _missing()
    if arguments.fix:
        for line in missing.values():
            _install(line)
        missing = _missing()
    device = machine.resolve_device("auto")
    facts = {
        "python": platform.python_version(),
        **machine.package_versions(),
        "processor": machine.describe(device)["processor"],
        "vector extensions": ", ".join(machine.vector_extensions()) or "none known",
        "device": machine.describe(device)["device"],
        "bf16": "real" if machine.multiplies_in_bf16(device) else "emulated: fp32 is faster",
        "hub": "reachable" if hub.reachable() else "not reachable: use --data-dir and --model DIR",
    }
    able, unable = find_engines()  # an optional extra: what lacks is said, and is no fault
    facts["engines"] = ", ".join(engine.name for engine in able)
    extras = _extras()
    broken = [*registry.methods.broken(), *_unable(), *registry.tasks.broken()]
    if arguments.json:
        said = [str(entry) for entry in broken]
        emit_json({"facts": facts, "extras": extras, "missing": missing, "broken": said})
        return int(bool(missing or broken))
    out = console()
    out.print(table(["", ""], [[name, value] for name, value in facts.items()]))
    out.print(table(["extra", ""], [[name, line or "installed"] for name, line in extras.items()]))
    for line in unable:
        say(out, f"· {line}")
    for module, line in missing.items():
        say(out, f"missing: {module}. Install it with: {line}")
    for entry in broken:
        say(out, f"broken plugin: {entry}")
    if not missing and not broken:
        say(out, "nothing is missing, no plugin is broken.")
    return int(bool(missing or broken))


def _missing() -> dict[str, str]:
    """Modules that methods lack, and the line that installs each."""
    missing: dict[str, str] = {}
    for method in registry.methods.usable().values():
        missing |= registry.missing_requirements(method.info)
    return missing


def _extras() -> dict[str, str]:
    """The optional extras, and the line that installs each; empty where all of it is there."""
    from packaging.requirements import Requirement

    known = importlib.metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    wanted = list(map(Requirement, importlib.metadata.requires(DISTRIBUTION) or []))
    lines = {}
    for extra in sorted(set(known) - NOBODYS):
        own = [one for one in wanted if one.marker and one.marker.evaluate({"extra": extra})]
        lacking = [one for one in own if not _has(one)]
        lines[extra] = f"pip install '{DISTRIBUTION}[{extra}]'" if lacking else ""
    return lines


def _has(requirement: Requirement) -> bool:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def _install(line: str) -> None:
    """Runs a line that a method says, if it is pip's; what pip says goes to the error output.

    Raises:
        BenchError: It is another command, or pip ends with an error.
    """
    program, *words = shlex.split(line)
    if program != "pip" or words[:1] != ["install"]:
        raise BenchError(f"run this yourself, since it is not a line of pip: {line}")
    done = subprocess.run([sys.executable, "-m", "pip", *words], stdout=2, check=False)
    importlib.invalidate_caches()
    if done.returncode != 0:
        raise BenchError(f"pip has failed; its messages are above. The line was: {line}")


def _unable() -> Iterator[registry.Broken]:
    """Methods that serve the family of the demo's encoder and fail on it all the same."""
    from bench.data.tasks.demo import demo_encoder_path
    from bench.models.checkpoint import read_config
    from bench.models.families import family_of
    from bench.runs.cells.parameters import objection

    config = read_config(demo_encoder_path())
    for name, method in registry.methods.usable().items():
        if family_of(config).model_type in method.info.families and (
            reason := objection(method, config)
        ):
            yield registry.Broken(name, registry.methods.distribution(name), reason)
