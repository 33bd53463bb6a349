"""The budgets at which two options are worth the same, and how sure that is.

Between two budgets that were run, each option is interpolated along the logarithm of the rows that
it buys, for each seed and each report example: learning curves are nearly straight there, and not
along the budget, of which computing takes its part first. So the difference of two options has the
same variance of seeds and examples as any other (`bench.leaderboard.statistics`), and an interval
at every budget. The budgets whose interval holds zero are those at which the options are not told
apart. They hold the budget at which the options are truly equal as often as one interval holds its
truth: 95 % of the time (Fieller 1954).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.leaderboard.statistics import Difference, Sample, crossed_estimate, pairwise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.leaderboard.statistics import Estimate

STEPS = 32
"""Points between two budgets at which the interval is asked."""


@dataclass(frozen=True)
class Curve:
    """What an option scored.

    Attributes:
        samples: By budget.
        rows: The rows that any budget buys, perhaps a part of one, at least those of the smallest.
    """

    samples: Mapping[float, Sample]
    rows: Callable[[float], float]

    def at(
        self, budget: float, low: float, high: float, seeds: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores, `[seeds]`, and what examples contribute, `[seeds, examples]`, between two."""
        logs = [math.log(self.rows(one)) for one in (low, budget, high)]
        share = (logs[1] - logs[0]) / (logs[2] - logs[0]) if logs[2] > logs[0] else 0.0
        ends = ((1 - share, self.samples[low]), (share, self.samples[high]))
        scores = sum(part * np.array([one.scores[s] for s in seeds]) for part, one in ends)
        influence = sum(part * np.stack([one.influence[s] for s in seeds]) for part, one in ends)
        return np.asarray(scores), np.asarray(influence)


@dataclass(frozen=True)
class Span:
    """Budgets from one to another.

    Attributes:
        low: The first; `None` where it is the smallest that was run, so that it may lie below.
        high: The last; `None` where it is the largest that was run, so that it may lie above.
    """

    low: float | None
    high: float | None

    def holds(self, budget: float) -> bool:
        """Whether a budget is among them."""
        above = self.low is None or self.low <= budget
        return above and (self.high is None or budget <= self.high)


@dataclass(frozen=True)
class BreakEven:
    """A budget at which the lead changes sides.

    Attributes:
        budget: Where the interpolated difference is zero.
        span: Its 95 % interval.
        rising: Whether the first option is the better one beyond it.
    """

    budget: float
    span: Span
    rising: bool


@dataclass(frozen=True)
class Comparison:
    """Two options over the budgets that were run with both.

    Attributes:
        budgets: These, in ascending order.
        leads: How far the first is above the second at each of them.
        points: All break-even budgets.
        undecided: Where the two are not told apart.
    """

    budgets: tuple[float, ...]
    leads: tuple[Difference, ...]
    points: tuple[BreakEven, ...]
    undecided: tuple[Span, ...]


def compare_options(first: Curve, second: Curve) -> Comparison | None:
    """Compares two options; `None` where no two seeds of both were run at any budget."""
    leads = {
        budget: lead
        for budget in sorted(set(first.samples) & set(second.samples))
        if (lead := _lead(first.samples[budget], second.samples[budget])) is not None
    }
    budgets = tuple(leads)
    if not budgets:
        return None
    places, estimates = _interpolated(first, second, budgets)
    inside = [abs(one.value) <= one.half_width for one in estimates]
    spans = _spans(places, estimates, inside)
    points = tuple(
        BreakEven(budget, _of(spans, budget), rising)
        for budget, rising in _zeros(places, [one.value for one in estimates])
    )
    return Comparison(budgets, tuple(leads.values()), points, tuple(spans))


def _lead(one: Sample, other: Sample) -> Difference | None:
    return pairwise({"one": one, "other": other}).get(("one", "other"))


def _interpolated(
    first: Curve, second: Curve, budgets: Sequence[float]
) -> tuple[list[float], list[Estimate]]:
    """Budgets, close to each other, and the difference at each."""
    places: list[float] = []
    estimates: list[Estimate] = []
    for low, high in zip(budgets, [*budgets[1:], budgets[-1]], strict=True):
        seeds = _seeds(first, second, (low, high))
        if len(seeds) < 2:  # cells failed: this end alone is known
            seeds, high = _seeds(first, second, (low,)), low
        for share in np.arange(STEPS if high > low else 1) / STEPS:
            place = math.exp((1 - share) * math.log(low) + share * math.log(high))
            one, other = (curve.at(place, low, high, seeds) for curve in (first, second))
            places.append(place)
            estimates.append(crossed_estimate(one[0] - other[0], one[1] - other[1]))
    return places, estimates


def _seeds(first: Curve, second: Curve, budgets: Sequence[float]) -> list[int]:
    """The seeds that both options have at all of these budgets."""
    found = [curve.samples[budget].seeds() for curve in (first, second) for budget in budgets]
    return sorted(set.intersection(*found))


def _spans(
    places: Sequence[float], estimates: Sequence[Estimate], inside: Sequence[bool]
) -> list[Span]:
    """The budgets in a row whose interval holds zero, their ends between two of the places."""
    spans: list[Span] = []
    begin: float | None = None
    for number, holds in enumerate(inside):
        if holds and (number == 0 or not inside[number - 1]):
            begin = None if number == 0 else _edge(places, estimates, number - 1)
        if holds and number == len(inside) - 1:
            spans.append(Span(begin, None))
        elif holds and not inside[number + 1]:
            spans.append(Span(begin, _edge(places, estimates, number)))
    return spans


def _edge(places: Sequence[float], estimates: Sequence[Estimate], number: int) -> float:
    """Where an end of the interval passes zero, between a place and the next one."""
    left, right = (
        abs(one.value) - one.half_width for one in (estimates[number], estimates[number + 1])
    )
    share = left / (left - right) if left != right else 0.5
    logs = math.log(places[number]), math.log(places[number + 1])
    return math.exp((1 - share) * logs[0] + share * logs[1])


def _zeros(places: Sequence[float], values: Sequence[float]) -> list[tuple[float, bool]]:
    """Where the sign changes, and whether it becomes positive."""
    signed = [(place, value) for place, value in zip(places, values, strict=True) if value]
    found = []
    for (low, before), (high, after) in itertools.pairwise(signed):
        if (before > 0) != (after > 0):
            share = before / (before - after)
            place = math.exp((1 - share) * math.log(low) + share * math.log(high))
            found.append((place, after > 0))
    return found


def _of(spans: Sequence[Span], budget: float) -> Span:
    """The interval around a break-even budget: the difference is zero there, and so in one."""
    return next((span for span in spans if span.holds(budget)), Span(budget, budget))
