"""The design of a study: which parameters its n-th trial takes, whoever asks and whenever.

The first trial takes the defaults. The others take the points of a scrambled Sobol sequence (Sobol
1967; Owen 1998), which fill the space evenly however many of them there are, so that every knob is
crossed with every other. A point has a coordinate for each knob. What all trained methods share has
the first ones: the n-th trial of one has the rate, warm-up and decay of the n-th of any other.

The range of the learning rate may move once, after the first half of the trials, by what they came
to; see `Rates`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bench.compression.method import Method
    from bench.compression.params import Knob

SAMPLER = "Sobol design"
"""How a page calls what chose the trials of a study."""

RATE = "learning_rate"

SHARED = (RATE, "warmup", "decay")
"""The knobs of `TrainParams` that have the first coordinates, also where a method lacks one."""

COORDINATES = 16
"""Of a point: more than a method may search. All are always drawn, since each depends on their
number."""

SCRAMBLE = 1236
"""The seed of the scrambling: the one below 4,000 whose points are the most even.

That is by the centred discrepancy of the first 3, 9, 19 and 39 points in 4 and in 6 coordinates,
among those whose first two points try a low and a high rate, and whose first three both kinds of
decay and each third of the fourth coordinate, which is the depth of small models.
"""

RATE_SPAN = 4.0
"""The learning rate is searched from a quarter of the default to four times the default.

Devlin et al. (2018) search 2e-5 to 5e-5; the widest rates published for sparse students of
BERT-base reach an order of magnitude above that. At these, a seed may fail where another does well.
"""

EDGE = 1 / 6
"""Share of a range, on either side, that counts as its edge."""

LEAST_FIRST = 3
"""Trials before the range may move, at least: the default, a lower and a higher rate."""

Side = Literal["low", "high"]
Range = tuple[float, float]


def first_half(trials: int) -> int:
    """How many trials of a study end before any of the others begins."""
    return min(trials, max(LEAST_FIRST, trials - trials // 2))


def trial_params(
    method: type[Method],
    space: Mapping[str, Knob],
    index: int,
    rate: float,
    rates: Range | None,
) -> dict[str, Any]:
    """What the trial of a place takes.

    Args:
        method: The method.
        space: What is searched.
        index: The trial's place, from 0.
        rate: The protocol's learning rate.
        rates: The range of the learning rate, if that is searched in one; see `Rates.walked`.
    """
    defaults = {**method.Params.defaults(), RATE: rate}
    if index == 0:
        return {name: _nearest(knob, defaults[name]) for name, knob in space.items()}
    # Pinned knobs keep their coordinate, so that a pin moves no other one.
    names = list(dict.fromkeys([*SHARED, *method.Params.search_space(), *space]))
    point = _points(index.bit_length())[index - 1]
    return {
        name: _value(
            knob,
            point[names.index(name)],
            rates if name == RATE else None,
            whole=isinstance(defaults[name], int),
        )
        for name, knob in space.items()
    }


def _nearest(knob: Knob, default: Any) -> Any:
    """What the first trial takes: the default, or of what this encoder allows the nearest."""
    if knob.choices is None:
        return knob.nearest(default)
    return default if default in knob.choices else knob.choices[0]


def _value(knob: Knob, share: float, within: Range | None, *, whole: bool) -> Any:
    """The value at a share of a knob's range, or of a part of it; of choices the one there."""
    if knob.choices is not None:
        return knob.choices[int(share * len(knob.choices))]
    if whole:
        low, high = _bounds(knob)
        return min(int(_at(knob, share, low, high + 1)), int(high))
    first, last = within or _bounds(knob)
    return min(max(_at(knob, share, first, last), min(first, last)), max(first, last))


def _bounds(knob: Knob) -> Range:
    low: Any = knob.low  # a knob that is searched has both; see `Knob.objection`
    high: Any = knob.high
    return low, high


def _at(knob: Knob, share: float, first: float, last: float) -> float:
    if knob.log:
        return math.exp(math.log(first) + share * (math.log(last) - math.log(first)))
    return first + share * (last - first)


@functools.cache
def _points(power: int) -> list[list[float]]:
    """The first `2 ** power` points of the sequence."""
    from scipy.stats.qmc import Sobol

    points: list[list[float]] = (
        Sobol(COORDINATES, scramble=True, rng=SCRAMBLE).random_base2(power).tolist()
    )
    return points


@dataclass(frozen=True)
class Tried:
    """A trial that has ended, as far as the range of the rate depends on it.

    Attributes:
        rate: Its learning rate.
        score: On the tune rows; `None` where it failed, missed the ratio or is not above the text
            floor: at a rate that is far too high, a model often gives one answer to all.
    """

    rate: float
    score: float | None


class Rates:
    """The ranges that a study searches the learning rate in.

    It begins with the one around the default. Where the best of the first half of the trials lies
    at an edge, the range moves to that side by `RATE_SPAN` for the others, as far as the knob
    allows: half of it is new.

    Args:
        knob: The learning rate's; its range, not its choices.
        rate: The protocol's learning rate.
    """

    def __init__(self, knob: Knob, rate: float) -> None:
        self._knob = knob
        low, high = _bounds(knob)
        rate = knob.nearest(rate)
        self.first: Range = (max(low, rate / RATE_SPAN), min(high, rate * RATE_SPAN))

    def second(self, tried: Sequence[Tried]) -> Range:
        """The range of the trials that follow the first half, whose outcomes are `tried`."""
        side = self.edge(tried, [self.first])
        if side is None:
            return self.first
        factor = RATE_SPAN if side == "high" else 1 / RATE_SPAN
        low, high = (self._knob.nearest(bound * factor) for bound in self.first)
        beyond = high > self.first[1] or low < self.first[0]
        return (low, high) if beyond else self.first

    def walked(self, ranges: Sequence[Range]) -> Range:
        """The last of the ranges, the wrong way round where it has moved up.

        The third point of the sequence lies below the middle. With four trials it is the one that
        the range moves for, so that it has to fall into the new half, on whichever side that is.
        """
        low, high = ranges[-1]
        return (high, low) if high > self.first[1] else (low, high)

    def edge(self, tried: Sequence[Tried], ranges: Sequence[Range]) -> Side | None:
        """On which side the best rate lies at the edge of what was searched, if on any.

        It does in the outermost sixth of all ranges together, and where no trial had a rate beyond
        it, however wide they are.

        Args:
            tried: The trials, in their order.
            ranges: The ranges of their rates.
        """
        best = max((one for one in tried if one.score is not None), key=_score, default=None)
        rates = {one.rate for one in tried}
        if best is None or len(rates) < 2:
            return None
        scale = math.log if self._knob.log else float
        low, high = scale(min(low for low, _ in ranges)), scale(max(high for _, high in ranges))
        place = (scale(best.rate) - low) / (high - low) if high > low else 0.5
        if best.rate == max(rates) or place >= 1 - EDGE:
            return "high"
        if best.rate == min(rates) or place <= EDGE:
            return "low"
        return None


def _score(tried: Tried) -> float:
    return -math.inf if tried.score is None else tried.score
