"""The design of trials: even, crossed, shared between methods, and with a range that may move."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import qmc
from studies import cell, outcome

from bench import registry
from bench.compression.params import MOST_TUNED, Knob, TrainParams
from bench.runs.cells.design import (
    COORDINATES,
    EDGE,
    RATE_SPAN,
    Rates,
    Tried,
    _points,
    first_half,
    trial_params,
)
from bench.runs.cells.floor import tune_floor
from bench.runs.cells.study import Study

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.runs.cells.context import Context

RATE = 1e-4
KNOB = TrainParams.knobs()["learning_rate"]
WITHIN = (RATE / RATE_SPAN, RATE * RATE_SPAN)
TAUGHT = ("knowledge-aware", "magnitude", "gmp", "movement", "soft-movement", "one-shot-magnitude",
          "one-shot-wanda", "obert", "textpruner", "random-mask", "dense")  # fmt: skip


def designed(method: str, count: int, **more: Knob) -> list[dict[str, Any]]:
    """The first trials of a method, with `more` searched than it declares."""
    made = registry.methods.get(method)
    space = {**made.Params.search_space(), **more}
    return [trial_params(made, space, index, RATE, WITHIN) for index in range(count)]


@pytest.mark.parametrize("count", [3, 9, 19, 39])
@pytest.mark.parametrize("knobs", [4, 6])
def test_points_are_more_even_than_nearly_all_random_ones(count: int, knobs: int) -> None:
    """The centred discrepancy of scipy; counts are those of the named efforts, or half of them."""
    points = np.array(_points(count.bit_length()))[:count, :knobs]
    generator = np.random.default_rng(0)
    random = [qmc.discrepancy(generator.random((count, knobs))) for _ in range(200)]
    assert qmc.discrepancy(points) < np.quantile(random, 0.05)


def test_a_prefix_of_the_points_does_not_depend_on_their_number() -> None:
    assert _points(6)[:4] == _points(2)
    assert len(_points(2)[0]) == COORDINATES


def test_every_depth_meets_every_third_of_the_rates() -> None:
    trials = designed("tinybert", 17, depth=Knob(choices=(2, 1, 3)))
    low = math.log(WITHIN[0])
    thirds = [
        int(3 * (math.log(trial["learning_rate"]) - low) / math.log(RATE_SPAN**2))
        for trial in trials
    ]
    assert {(trial["depth"], third) for trial, third in zip(trials, thirds, strict=True)} == {
        (depth, third) for depth in (1, 2, 3) for third in (0, 1, 2)
    }
    # With the fewest trials there are: every depth, both kinds of decay, a low and a high rate.
    assert {trial["depth"] for trial in trials[1:4]} == {1, 2, 3}
    assert {trial["decay"] for trial in trials[1:4]} == {"linear", "constant"}
    assert {0, 2} <= set(thirds[1:3])


def test_the_first_trial_takes_the_defaults() -> None:
    for method in ("magnitude", "knowledge-aware", "movement"):
        defaults = registry.methods.get(method).Params.defaults() | {"learning_rate": RATE}
        (first,) = designed(method, 1)
        assert first == {name: defaults[name] for name in first}
    (first,) = designed("tinybert", 1, depth=Knob(choices=(2, 1)))
    assert first["depth"] == 2  # of what the encoder allows, the first


def test_what_methods_share_they_try_in_the_same_trials() -> None:
    shared = ("learning_rate", "warmup", "decay")
    every = {method: designed(method, 20) for method in TAUGHT}
    every |= {name: designed(name, 20, depth=Knob(choices=(2, 1))) for name in ("tinybert",
              "small-dense")}  # fmt: skip
    wanted = [tuple(trial[name] for name in shared) for trial in every["dense"][1:]]
    for method, trials in every.items():
        assert [tuple(trial[name] for name in shared) for trial in trials[1:]] == wanted, method
    depths = [[trial["depth"] for trial in every[name]] for name in ("tinybert", "small-dense")]
    assert depths[0] == depths[1]


def test_a_pin_and_a_further_knob_move_no_other_one() -> None:
    method = registry.methods.get("magnitude")
    space = method.Params.search_space()
    pinned = {name: knob for name, knob in space.items() if name != "final_phase"}
    for index in range(1, 9):
        whole = trial_params(method, space, index, RATE, WITHIN)
        fewer = trial_params(method, pinned, index, RATE, WITHIN)
        assert fewer == {name: whole[name] for name in pinned}
        more = {"weight_decay": Knob(0.0, 1.0), **space}
        assert trial_params(method, more, index, RATE, WITHIN).items() >= whole.items()


def test_whole_numbers_choices_and_logarithms_are_spread_evenly() -> None:
    """64 points of a scrambled sequence have exactly one in every 64th of a coordinate."""
    count = 65
    trials = designed("textpruner", count)[1:]
    iterations = [trial["iterations"] for trial in trials]
    assert [iterations.count(value) for value in range(1, 33)] == [2] * 32
    rates = sorted(trial["learning_rate"] for trial in trials)
    steps = [WITHIN[0] * RATE_SPAN ** (2 * place / 64) for place in range(65)]
    assert all(
        low <= rate <= high for low, rate, high in zip(steps[:-1], rates, steps[1:], strict=True)
    )
    decays = [trial["decay"] for trial in trials]
    assert (decays.count("linear"), decays.count("constant")) == (32, 32)
    weights = sorted(trial["hidden_weight"] for trial in designed("knowledge-aware", count)[1:])
    assert weights[31] < math.sqrt(0.01 * 10.0) < weights[32]


@pytest.mark.parametrize(
    ("trials", "wanted"), [(1, 1), (2, 2), (3, 3), (4, 3), (6, 3), (7, 4), (20, 10), (40, 20)]
)
def test_half_of_the_trials_come_first_and_three_at_least(trials: int, wanted: int) -> None:
    assert first_half(trials) == wanted


def tried(*outcomes: tuple[float, float | None]) -> list[Tried]:
    return [Tried(rate * RATE, score) for rate, score in outcomes]


@pytest.mark.parametrize(
    ("outcomes", "side"),
    [
        (tried((1, 50.0), (3.5, 60.0), (0.3, 40.0)), "high"),
        (tried((1, 50.0), (3.5, 40.0), (0.3, 60.0)), "low"),
        (tried((1, 60.0), (3.5, 40.0), (0.3, 50.0)), None),
        (tried((1, 60.0), (3.5, 60.0), (0.3, 60.0)), None),  # of equal ones the first
        (tried((1, 50.0), (2.7, 60.0), (3.9, 55.0), (0.3, 40.0)), "high"),  # the outermost sixth
        (tried((1, 50.0), (2.4, 60.0), (3.9, 55.0), (0.3, 40.0)), None),
        (tried((1, 50.0), (2.4, 60.0), (0.3, 40.0)), "high"),  # nothing was tried beyond it
        (tried((1, 50.0), (2.4, 60.0), (3.9, None), (0.3, 40.0)), None),  # it was, and failed
        (tried((1, None), (3.9, None)), None),
        (tried((1, 50.0)), None),
    ],
)
def test_the_best_rate_is_at_an_edge_where_little_or_nothing_lies_beyond(
    outcomes: Sequence[Tried], side: str | None
) -> None:
    """4 ** (2 / 3) = 2.52 is where the upper sixth of a sixteenfold range begins."""
    rates = Rates(KNOB, RATE)
    assert rates.edge(outcomes, [rates.first]) == side
    factor = {"high": RATE_SPAN, "low": 1 / RATE_SPAN, None: 1.0}[side]
    assert rates.second(outcomes) == pytest.approx([bound * factor for bound in WITHIN])


def test_the_range_moves_no_further_than_its_knob_allows() -> None:
    high = tried((1, 50.0), (3.5, 60.0), (0.3, 40.0))
    wide = Rates(dataclasses.replace(KNOB, high=5 * RATE), RATE)
    assert wide.second(high) == pytest.approx((RATE, 5 * RATE))
    narrow = Rates(dataclasses.replace(KNOB, high=2 * RATE), RATE)
    assert narrow.first == pytest.approx((RATE / 4, 2 * RATE))
    assert narrow.second(tried((1, 50.0), (1.9, 60.0), (0.3, 40.0))) == narrow.first
    apart = Rates(dataclasses.replace(KNOB, low=10 * RATE), RATE)  # the default lies below
    assert apart.first == pytest.approx((10 * RATE, 40 * RATE))


def test_the_edge_of_all_that_was_searched_is_that_of_both_ranges() -> None:
    rates = Rates(KNOB, RATE)
    outcomes = tried((1, 50.0), (3.5, 55.0), (0.3, 40.0), (3.8, 60.0), (9.0, 30.0))
    assert rates.edge(outcomes[:3], [rates.first]) == "high"
    both = [rates.first, rates.second(outcomes[:3])]
    assert rates.edge(outcomes, both) is None
    assert both[1][1] / both[0][0] == pytest.approx(64)
    assert math.isclose(64 ** (1 - EDGE) / 4, 8)  # where the upper sixth begins
    assert rates.edge([*outcomes, Tried(8.5 * RATE, 70.0)], both) == "high"
    assert rates.edge([*outcomes, Tried(7.5 * RATE, 70.0)], both) is None


def test_no_builtin_method_lacks_the_decay_in_its_search() -> None:
    spaces = {n: registry.methods.get(n).Params.search_space() for n in registry.methods.names()}
    assert len(spaces) >= 13
    for name, space in spaces.items():
        assert not space or {"learning_rate", "warmup", "decay"} <= set(space), name
        assert len({"learning_rate", "warmup", "decay", *space}) <= COORDINATES - MOST_TUNED


@pytest.mark.parametrize("side", ["high", "low"])
def test_with_four_trials_the_last_goes_beyond_the_best(context: Context, side: str) -> None:
    there = dataclasses.replace(context, protocol=dataclasses.replace(context.protocol, trials=4))
    study = Study(there.bind(cell(there, "magnitude")))
    rates: list[float] = []
    for _ in range(4):
        with study.claim() as claim:
            assert claim is not None
            rates.append(claim.params["learning_rate"])
            claim.settle(outcome(90 + (rates[-1] if side == "high" else -rates[-1])))
    assert (max if side == "high" else min)(rates) == rates[3]
    assert study.summary()["best"] == 3
    assert study.summary()["edge"] == side  # nothing lies beyond that one


def test_trials_that_are_not_above_the_text_floor_move_no_range(context: Context) -> None:
    floor = tune_floor("demo-sentiment", context)
    there = dataclasses.replace(context, protocol=dataclasses.replace(context.protocol, trials=4))
    study = Study(there.bind(cell(there, "magnitude")))
    for score in (floor - 5, floor, floor - 5, floor - 1):  # the second has the highest rate
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(score))
    summary = study.summary()
    assert summary["best"] == 1
    assert len(summary["rates"]) == 1
    assert (summary["edge"], summary["not_tuned"]) == (None, True)


def by_rate(best_at: float) -> Callable[[dict[str, Any]], float]:
    """A score that is the higher, the nearer the rate lies to some multiple of the default."""
    return lambda params: 99 - abs(math.log(params["learning_rate"] / (best_at * 4e-3)))


@pytest.mark.parametrize(
    ("best_at", "moved", "edge"),
    [(1.0, None, None), (50.0, "high", "high"), (6.0, "high", None), (0.01, "low", "low")],
)
def test_a_study_searches_where_its_first_half_points(
    context: Context, best_at: float, moved: str | None, edge: str | None
) -> None:
    protocol = dataclasses.replace(context.protocol, trials=20, learning_rate=4e-3)
    study = Study(dataclasses.replace(context, protocol=protocol).bind(cell(context, "magnitude")))
    score = by_rate(best_at)
    for _ in range(20):
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(score(claim.params)))
    summary = study.summary()
    rates = [trial["params"]["learning_rate"] for trial in summary["trials"]]
    low, high = 1e-3, 16e-3
    assert all(low <= rate <= high for rate in rates[:10])
    factor = {"high": 4, "low": 0.25, None: 1}[moved]
    assert all(factor * low <= rate <= factor * high for rate in rates[10:])
    ranges = [[low, high], [factor * low, factor * high]][: 1 + (moved is not None)]
    assert np.allclose(summary["rates"], ranges)
    assert summary["edge"] == edge
    if moved == "high":
        assert max(rates) > high
