"""What can be tuned on an encoder, and the parameters that hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench import process_state
from bench.compression.params import MOST_TUNED, Knob
from bench.compression.target import Target, best_ratio
from bench.errors import BenchError, kind_and_line
from bench.models.families import family_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from bench.compression.method import Method
    from bench.compression.params import Params
    from bench.protocol import Protocol


def search_space(method: type[Method], config: PretrainedConfig, target: Target) -> dict[str, Knob]:
    """What a method lets tuning move on an encoder: a plugin may fail to say.

    Raises:
        BenchError: It does, or wants what is none of its parameters or cannot be searched.
    """
    try:
        with process_state.kept():
            space = method.search_space(config, target)
        known, defaults = method.Params.knobs(), method.Params.defaults()
        odd = [n for n, knob in space.items() if n not in known or not isinstance(knob, Knob)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:
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


def depends_on_encoder(method: type[Method], space: Mapping[str, Knob], name: str) -> bool:
    """Whether the choices of a parameter are those of an encoder, not what the method declares."""
    return name in space and space[name].choices != method.Params.knobs()[name].choices


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
            best = best_ratio(
                method.info.kind,
                config,
                target.axis,
                target.sequence_length,
                cuts_width=method.info.cuts_width,
                mask_attention=method.info.mask_attention,
            )
            if target.ratio <= best:
                search_space(method, config, target)
    except BenchError as error:
        return str(error).rstrip(".")
    return ""


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
