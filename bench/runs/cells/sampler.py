"""What trials draw, and the trials that come first.

Each trial draws from a generator of its own, the same for all methods, so that the n-th trial of
one has the learning rate and warm-up of the n-th of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.files import json_hash

if TYPE_CHECKING:
    import optuna

    from bench.compression.method import Method
    from bench.compression.params import Knob


LEAST_FOR_TPE = 10
"""Below so many trials the tree-structured Parzen estimator (TPE) has nothing to learn from."""

RATE_SPAN = 4.0
"""The learning rate is searched from a quarter of the default to four times the default.

Devlin et al. (2018) search 2e-5 to 5e-5; the widest rates published for sparse students of
BERT-base reach an order of magnitude above that. At these, a seed may fail where another does well.
"""


def first_trials(
    method: type[Method], space: Mapping[str, Knob], rate: float, trials: int
) -> list[dict[str, Any]]:
    """The trials that come first: the defaults, then what knobs want tried, at most half of all.

    What a later one leaves open is drawn, so that a method with choices to try sees the same
    learning rates as any other.

    Args:
        method: The method.
        space: What is searched.
        rate: The protocol's learning rate.
        trials: How many trials there are.
    """
    defaults = {**method.Params.defaults(), "learning_rate": rate}
    start = {name: _first(knob, defaults[name]) for name, knob in space.items()}
    others = [
        {name: choice}
        for name, knob in space.items()
        if knob.first and knob.choices
        for choice in knob.choices[1:]
    ]
    return [start, *others[: trials // 2]]


def _first(knob: Knob, default: Any) -> Any:
    """What the first trial takes: the default, or of what this encoder allows the nearest."""
    if knob.choices is None:
        return knob.nearest(default)
    return knob.choices[0] if knob.first or default not in knob.choices else default


def suggest(trial: optuna.Trial, name: str, knob: Knob, default: Any, rate: float) -> Any:
    """One parameter's value in a trial, drawn unless the trial has it fixed."""
    if knob.choices is not None:
        return trial.suggest_categorical(name, knob.choices)
    low: Any = knob.low
    high: Any = knob.high
    if name == "learning_rate":
        low, high = max(low, rate / RATE_SPAN), min(high, rate * RATE_SPAN)
    if isinstance(default, int):
        return trial.suggest_int(name, low, high, log=knob.log)
    return trial.suggest_float(name, low, high, log=knob.log)


def sampler_of(trials: int, index: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial; its draws depend on the trial's place, not on who asks when."""
    from optuna import samplers

    seed = int(json_hash(["trial", index])[:8], 16)
    if trials < LEAST_FOR_TPE:
        return samplers.RandomSampler(seed=seed)
    return samplers.TPESampler(seed=seed, n_startup_trials=trials // 3, constant_liar=True)


def sampler_name(trials: int) -> str:
    """How the page calls what drew the trials of a study."""
    return "random search" if trials < LEAST_FOR_TPE else "TPE"
