"""What the names of a command line stand for: tasks, methods and their parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.compression.params import MOST_TUNED, Knob
from bench.compression.target import Target, best_ratio
from bench.errors import BenchError, kind_and_line, unknown_name
from bench.models.checkpoint import read_config
from bench.models.families import family_of
from bench.plan import ALWAYS, Variant

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from bench.compression.method import Method
    from bench.compression.params import Params
    from bench.data.task import Task
    from bench.protocol import Protocol


def select_tasks(wanted: Sequence[str]) -> dict[str, Task]:
    """The tasks that names, groups (`glue`, `demo`) and TOML files stand for, by how to find them.

    Raises:
        BenchError: A name is unknown, or two tasks have the same name.
    """
    groups: dict[str, list[str]] = {}
    if not all(name in registry.tasks.names() or name.endswith(".toml") for name in wanted):
        for name, cls in registry.tasks.usable().items():
            groups.setdefault(cls.info.suite, []).append(name)
        groups.pop("", None)
    found: dict[str, Task] = {}
    for name in wanted:
        if name not in registry.tasks.names() and name not in groups and not name.endswith(".toml"):
            known = [*registry.tasks.names(), *groups]
            raise unknown_name("task", name, known, "A file FILE.toml declares one of your own.")
        for member in groups.get(name, [name]):
            key = str(Path(member).resolve()) if member.endswith(".toml") else member
            found[key] = registry.task(member)
    names = [task.name for task in found.values()]
    for key, task in found.items():
        taken = key.endswith(".toml") and task.name in registry.tasks.names()
        if taken or names.count(task.name) > 1:
            raise BenchError(f"two tasks are called '{task.name}': rename the one in {key}.")
    return found


def select_methods(wanted: Sequence[str]) -> tuple[dict[Variant, bool], list[str]]:
    """The variants that names and `all` stand for, with `dense` in any case, and notices.

    Raises:
        BenchError: A name or a pinned parameter is unknown, or a method is not installed.
    """
    variants: dict[Variant, bool] = {}
    notices = []
    for text in [ALWAYS, *wanted]:
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
            values = method.Params.parse(dict(variant.pins))
            method.Params(**values)
            pins = tuple((name, str(value)) for name, value in sorted(values.items()))
            variant = Variant(variant.method, pins)  # 1e-3 and 0.001 are one variant
            variants[variant] = method.info.kind == "reference"
    return variants, notices


def search_space(method: type[Method], config: PretrainedConfig, target: Target) -> dict[str, Knob]:
    """What a method lets tuning move on an encoder: a plugin may fail to say.

    Raises:
        BenchError: It does, or wants what is none of its parameters or cannot be searched.
    """
    try:
        space = method.search_space(config, target)
        known, defaults = method.Params.knobs(), method.Params.defaults()
        odd = [n for n, knob in space.items() if n not in known or not isinstance(knob, Knob)]
    except Exception as error:
        reason = kind_and_line(error)
        raise BenchError(f"{method.info.name} cannot say what to tune: {reason}") from error
    if odd:
        raise BenchError(f"{method.info.name} wants to tune '{odd[0]}', no knob of its own.")
    if len(space) > MOST_TUNED:
        raise BenchError(
            f"{method.info.name} wants to tune more than {MOST_TUNED}: {', '.join(space)}."
        )
    try:
        for name, knob in space.items():
            if reason := knob.objection(name, defaults[name]):
                raise BenchError(f"{reason}.")
            for value in (knob.low, knob.high) if knob.choices is None else knob.choices:
                known[name].check(name, value)
    except BenchError as error:
        raise BenchError(f"{method.info.name} cannot be tuned: {error}") from None
    return space


def objection(
    method: type[Method],
    config: PretrainedConfig,
    targets: Sequence[Target] = (Target("weights", 1.0),),
) -> str:
    """Why a method cannot serve an encoder of this configuration, or nothing.

    Args:
        method: The method.
        config: The encoder's.
        targets: What will be asked of it.
    """
    family, served = family_of(config).model_type, method.info.families
    if family not in served:
        return f"{method.info.name} serves {', '.join(served)}, and the encoder is of type {family}"
    try:
        for target in targets:
            if target.ratio <= best_ratio(method.info.kind, config, target.axis):
                search_space(method, config, target)
    except BenchError as error:
        return str(error).rstrip(".")
    return ""


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
        if not variant.pins:  # most: what can be tuned is counted out for them elsewhere
            continue
        method = registry.methods.get(variant.method)
        space, defaults = search_space(method, config, uncompressed), method.Params.defaults()
        for name, value in method.Params.parse(dict(variant.pins)).items():
            if name in space and space[name].first and value != defaults[name]:
                space[name].check(f"{name} of {variant.method} on this encoder", value)


def resolve_params(
    method: type[Method],
    pins: dict[str, str],
    protocol: Protocol,
    found: Mapping[str, Any] = MappingProxyType({}),
) -> Params:
    """A method's parameters: its defaults, the protocol's rate, what was found, what is pinned.

    Raises:
        BenchError: A pin names no parameter, or a value that it does not allow.
    """
    values = {**found, **method.Params.parse(pins)}
    if rate := method.Params.knobs().get("learning_rate"):
        values = {"learning_rate": rate.nearest(protocol.learning_rate), **values}
    return method.Params(**values)
