"""What trials draw: the defaults, then every choice, then the same for every method."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import optuna
from studies import TRIALS, cell, outcome

from bench import registry
from bench.compression.params import Knob
from bench.runs.cells.sampler import LEAST_FOR_TPE, first_trials, sampler_of
from bench.runs.cells.study import Study

if TYPE_CHECKING:
    from bench.runs.cells.context import Context


def test_the_first_trial_takes_the_defaults_and_the_next_every_depth(context: Context) -> None:
    study = Study(context.bind(cell(context, "tinybert")))
    tinybert = registry.methods.get("tinybert")
    assert study.space["depth"].choices == (2, 1)  # the demo's encoder has two layers
    first, second = first_trials(tinybert, study.space, 4e-3, TRIALS)
    assert first == {"learning_rate": 4e-3, "warmup": 0.1, "intermediate_share": 0.5, "depth": 2}
    assert second == {"depth": 1}  # and what every other method's second trial draws


def test_at_most_half_of_the_trials_are_given(context: Context) -> None:
    space = {"depth": Knob(choices=tuple(range(8)), first=True)}
    given = first_trials(registry.methods.get("tinybert"), space, 1e-4, 6)
    assert [trial["depth"] for trial in given] == [0, 1, 2, 3]


def test_every_method_draws_the_same_rates_around_the_default(context: Context) -> None:
    rates = []
    for method in ("magnitude", "dense", "tinybert"):
        study = Study(context.bind(cell(context, method)))
        for number in range(TRIALS):
            with study.claim() as claim:
                assert claim is not None
                claim.ended(outcome(number, 1.0 if method == "dense" else 4.0))
        trials = study.summary()["trials"]
        rates.append([trial["params"]["learning_rate"] for trial in trials])
    assert rates[0] == rates[1] == rates[2]
    assert [trial["params"]["depth"] for trial in trials][:2] == [2, 1]
    default = context.protocol.learning_rate
    assert rates[0][0] == default
    assert all(default / 4 <= rate <= default * 4 for rate in rates[0])
    assert len(set(rates[0])) == TRIALS


def test_the_parzen_estimator_begins_at_ten_trials(context: Context) -> None:
    many = dataclasses.replace(context.protocol, trials=LEAST_FOR_TPE)
    for protocol, sampler in ((context.protocol, "random search"), (many, "TPE")):
        there = dataclasses.replace(context, protocol=protocol)
        study = Study(there.bind(cell(there, "dense")))
        for number in range(protocol.trials):
            with study.claim() as claim:
                assert claim is not None
                claim.ended(outcome(number, ratio=1.0))
        assert study.summary()["sampler"] == sampler
        made = sampler_of(protocol.trials, protocol.trials - 1)
        assert isinstance(made, optuna.samplers.TPESampler) == (sampler == "TPE")
        assert study.summary()["best"] == protocol.trials - 1
