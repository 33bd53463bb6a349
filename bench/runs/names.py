"""What the names of a command line stand for: tasks and methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bench import registry
from bench.compression.params import spelled
from bench.compression.target import Target
from bench.data.tasks.challenge_files import FolderSet
from bench.data.tasks.challenge_sets import SETS
from bench.errors import BenchError, unknown_name
from bench.models.checkpoint import read_config
from bench.protocol import NONE, SYNTHETIC
from bench.results.record import DENSE
from bench.runs.cells.cell import Variant
from bench.runs.cells.parameters import depends_on_encoder, objection, search_space
from bench.schema import Name, is_of
from bench.training.perturbation import read_perturb

if TYPE_CHECKING:
    from bench.compression.method import Method
    from bench.data.task import ChallengeSet, Task


def _read_number(name: str) -> Callable[[str], str]:
    """Reads an option that is a whole number; nothing and 0 are off."""

    def read(text: str) -> str:
        if text in ("", NONE):
            return ""
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise BenchError(f"{name}={text}: it takes a whole number.")
        return str(int(text) or "")

    return read


def select_tasks(wanted: Sequence[str]) -> dict[str, Task]:
    """The tasks that names, groups (`glue`, `demo`) and TOML files stand for, by how to find them.

    Raises:
        BenchError: A name is unknown, or two tasks have the same name.
    """
    groups: dict[str, list[str]] = {}
    if not all(name in registry.tasks.names() or name.endswith(".toml") for name in wanted):
        for name, cls in registry.tasks.usable().items():
            groups.setdefault(cls.info.group, []).append(name)
        groups.pop("", None)
    found: dict[str, Task] = {}
    for name in wanted:
        if name not in registry.tasks.names() and name not in groups and not name.endswith(".toml"):
            known = [*registry.tasks.names(), *groups]
            raise unknown_name("task", name, known, "A file FILE.toml declares one of your own.")
        for member in groups.get(name, [name]):
            key = str(_declared(Path(member))) if member.endswith(".toml") else member
            found[key] = registry.task(member)
    names = [task.name for task in found.values()]
    for key, task in found.items():
        taken = key.endswith(".toml") and task.name in registry.tasks.names()
        if taken or names.count(task.name) > 1:
            raise BenchError(f"two tasks are called '{task.name}': rename the one in {key}.")
    return found


def select_challenges(
    wanted: Sequence[str], tasks: Mapping[str, Task], folder: Path | None
) -> dict[str, list[ChallengeSet]]:
    """The challenge sets of each task that has any: its own, and those of the names that fit it.

    Args:
        wanted: Names of sets that ship, or of folders in `folder`.
        tasks: The tasks, by how to find them.
        folder: Folder of challenge sets.

    Raises:
        BenchError: A name is unknown, no task has the set, or the folder is none.
    """
    if folder is not None and not folder.is_dir():
        raise BenchError(f"--challenge-dir {folder} is no folder of challenge sets.")
    found: dict[str, list[ChallengeSet]] = {}
    for key, task in tasks.items():
        if taken := sorted(task.challenges.keys() & SETS.keys()):
            raise BenchError(f"two challenge sets are called '{taken[0]}': rename that of {key}.")
        found[key] = list(task.challenges.values())
    own = {name for task in tasks.values() for name in task.challenges}
    for one in (_challenge(name, folder) for name in dict.fromkeys(wanted) if name not in own):
        fitting = [key for key, task in tasks.items() if task.name in one.info.tasks]
        if not fitting:
            raise BenchError(
                f"challenge set {one.name} is for {', '.join(one.info.tasks) or 'no task'}, and "
                f"the run is of {', '.join(task.name for task in tasks.values())}."
            )
        for key in fitting:
            found[key].append(one)
    return {key: sets for key, sets in found.items() if sets}


def _challenge(name: str, folder: Path | None) -> ChallengeSet:
    """The set of a name.

    Raises:
        BenchError: There is none.
    """
    if name in SETS:
        return SETS[name]
    if folder is not None and is_of(name, Name) and (folder / name).is_dir():
        return FolderSet(folder / name)
    hint = "--challenge-dir may have a folder of your own."
    raise unknown_name("challenge set", name, SETS, hint)


def select_rounds(
    wanted: Sequence[str], tasks: Mapping[str, Task], folder: Path | None, asked: Sequence[str]
) -> tuple[dict[str, list[FolderSet]], str]:
    """The closed rounds that each task learns from, and how a protocol says all of them.

    Args:
        wanted: Names of folders in `folder`.
        tasks: The tasks, by how to find them.
        folder: Folder of challenge sets, as an arena writes its rounds.
        asked: Challenge sets that models are scored on.

    Raises:
        BenchError: A name is none of a closed round, or of one that no task is of, or that models
            are scored on.
    """
    found: dict[str, list[FolderSet]] = {}
    for name in sorted(set(wanted)):
        one = FolderSet(folder / name) if folder is not None and is_of(name, Name) else None
        if one is None or not one.is_round:
            raise BenchError(
                f"--train-with {name}: no closed round of an arena has this name. Say where rounds "
                "lie: --challenge-dir RUNS/arena/rounds."
            )
        if name in asked:
            raise BenchError(f"{name} is learnt by --train-with: leave it out of --challenge.")
        fitting = [key for key, task in tasks.items() if task.name in one.info.tasks]
        if not fitting:
            raise BenchError(
                f"--train-with {name}: it is of {', '.join(one.info.tasks)}, and the run is of "
                f"{', '.join(task.name for task in tasks.values())}."
            )
        for key in fitting:
            found.setdefault(key, []).append(one)
    return found, ",".join(sorted(set(wanted)))


def other_domain(wanted: str | None, tasks: Mapping[str, Task]) -> tuple[str | None, str]:
    """How to find the task that rows of another domain come from, and its name, if any do.

    Raises:
        BenchError: It is not one task, or its labels are not those of each task of the run.
    """
    if wanted is None:
        return None, ""
    found = select_tasks([wanted])
    if len(found) != 1:
        raise BenchError(f"--adapt-from {wanted}: rows come from one task.")
    ((key, other),) = found.items()
    for task in tasks.values():
        if task.name == other.name:
            raise BenchError(f"--adapt-from {wanted}: it is the task itself.")
        if task.finds_spans or other.finds_spans or task.info.labels != other.info.labels:
            raise BenchError(f"--adapt-from {wanted}: {task.name} has other labels.")
    return key, other.name


def read_intermediate(text: str) -> str:
    """How a protocol says which intermediate task a text names; nothing for `none`.

    Raises:
        BenchError: It names none, or several.
    """
    return "" if text in ("", NONE) else next(iter(find_intermediate(text)))


def find_intermediate(text: str) -> dict[str, str]:
    """An intermediate task by its name, and how to find it.

    Raises:
        BenchError: It is unknown, or a group of tasks.
    """
    if text in SYNTHETIC:
        return {text: text}
    if text not in registry.tasks.names() and not text.endswith(".toml"):
        known = [*SYNTHETIC, NONE, *registry.tasks.names()]
        hint = "A file FILE.toml declares one of your own."
        raise unknown_name("intermediate task", text, known, hint)
    ((key, task),) = select_tasks([text]).items()
    return {task.name: key}


READ_OPTION: dict[str, Callable[[str], str]] = {
    "perturb": read_perturb,
    "max_train_samples": _read_number("max_train_samples"),
    "pretrain_steps": _read_number("pretrain_steps"),
    "intermediate": read_intermediate,
}
"""From what is said of each of `bench.protocol.OPTIONS` to what a protocol holds."""


def select_intermediates(wanted: Sequence[str], own: str) -> dict[str, str]:
    """Every intermediate task that a run needs, by its name, and how to find it.

    Args:
        wanted: Names of methods, perhaps pinned to one.
        own: What the suite itself is asked for.
    """
    pinned = (Variant.parse(text).options.get("intermediate", "") for text in wanted)
    said = [text for text in (own, *pinned) if text not in ("", NONE)]
    return {name: key for text in said for name, key in find_intermediate(text).items()}


def _declared(file: Path) -> Path:
    """A task's file by a path that is found from anywhere, and still has its ending.

    A link may lead to where it has none, such as into the hub's cache; the files that it names then
    lie beside the link.
    """
    found = file.resolve()
    return found if found.suffix == ".toml" else file.parent.resolve() / file.name


def select_methods(
    wanted: Sequence[str], options: Mapping[str, str] = MappingProxyType({})
) -> tuple[dict[Variant, bool], list[str]]:
    """The variants that names and `all` stand for, with `dense` in any case, and notices.

    Args:
        wanted: Names, perhaps with pinned parameters and options.
        options: The suite's, which all have that are pinned to no other; off where not named.

    Raises:
        BenchError: A name or a pinned parameter is unknown, or a method is not installed.
    """
    variants: dict[Variant, bool] = {}
    notices = []
    for text in [DENSE, *wanted]:
        if text == "all":
            notices += [f"method {broken}" for broken in registry.methods.broken()]
        for name in registry.methods.usable() if text == "all" else [text]:
            variant = Variant.parse(name)
            method = registry.methods.get(variant.method)
            lacking = registry.missing_requirements(method.info)
            if lacking:
                missing = f"{variant.method} needs {', '.join(lacking)}: "
                line = missing + "; ".join(lacking.values())
                if text != "all":
                    raise BenchError(line)
                notices.append(f"left out: {line}")
                continue
            values = method.Params.parse(variant.params)
            method.Params(**values)
            own = {name: spelled(value) for name, value in values.items()}  # 1e-3 is 0.001
            other = _other_options(method, variant, options)
            if other:
                variants.setdefault(_variant(DENSE, other), True)
            variants[_variant(variant.method, own | other)] = method.info.kind == "reference"
    return variants, notices


def _variant(method: str, pins: Mapping[str, str]) -> Variant:
    return Variant(method, tuple(sorted(pins.items())))


def _other_options(
    method: type[Method], variant: Variant, options: Mapping[str, str]
) -> dict[str, str]:
    """The options that a variant is pinned to, but for those that are the suite's own.

    Raises:
        BenchError: A value is none, or the method trains nothing that an option could change.
    """
    said = {name: READ_OPTION[name](value) for name, value in variant.options.items()}
    if said and method.info.kind == "reference" and method.info.name != DENSE:
        raise BenchError(f"{variant}: {variant.method} trains nothing, so leave {', '.join(said)}.")
    return {name: value or NONE for name, value in said.items() if value != options.get(name, "")}


def leave_out_unable(
    variants: dict[Variant, bool],
    encoder: Path,
    wanted: Sequence[str],
    targets: Sequence[Target],
) -> list[str]:
    """Takes out what cannot serve an encoder and was not asked for by its name; returns notices.

    Raises:
        BenchError: A method was asked for by its name and cannot serve the encoder.
    """
    config, notices = read_config(encoder), []
    for variant in list(variants):
        line = objection(registry.methods.get(variant.method), config, targets)
        if not line:
            continue
        if any(Variant.parse(text).method == variant.method for text in wanted if text != "all"):
            raise BenchError(f"{line}.")
        del variants[variant]
        notices.append(f"left out: {line}")
    return notices


def check_pins(variants: Iterable[Variant], encoder: Path) -> None:
    """Checks pinned parameters whose choices depend on the encoder.

    Raises:
        BenchError: A value is none that the encoder allows.
    """
    config, uncompressed = read_config(encoder), Target("weights", 1.0)
    for variant in variants:
        if not variant.params:  # most: what can be tuned is counted out for them elsewhere
            continue
        method = registry.methods.get(variant.method)
        space, defaults = search_space(method, config, uncompressed), method.Params.defaults()
        for name, value in method.Params.parse(variant.params).items():
            if depends_on_encoder(method, space, name) and value != defaults[name]:
                space[name].check(f"{name} of {variant.method} on this encoder", value)
