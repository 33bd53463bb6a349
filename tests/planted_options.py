"""Simulated results of two options at several budgets, whose curves and break-even are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from planted import draw, quality_of

from bench.leaderboard.break_even import Comparison, Curve, compare_options

if TYPE_CHECKING:
    from bench.leaderboard.statistics import Sample

METRIC = "accuracy"


@dataclass(frozen=True)
class Learning:
    """What an option is worth: best − span · (n + 20)^−slope after n rows, in points.

    Attributes:
        cost: What its computing costs, at a price of 1 a label.
        best: Where its curve ends.
        span: How far below that it begins.
        slope: How soon it rises.
    """

    cost: float
    best: float
    span: float
    slope: float

    def score(self, budget: float) -> float:
        """The expected score of what a budget buys."""
        return self.best - self.span * (math.floor(budget - self.cost) + 20) ** -self.slope


@dataclass(frozen=True)
class PlantedOptions:
    """Two options, and the budgets that are run.

    Attributes:
        first: The one, such as labels alone.
        second: The other, which computes first.
        budgets: Each of them can be had at all of these.
        seeds: How many.
        name: What is planted, in words.
    """

    first: Learning
    second: Learning
    budgets: tuple[float, ...]
    seeds: int
    name: str

    def lead(self, budget: float) -> float:
        """How far the first is above the second in truth."""
        return self.first.score(budget) - self.second.score(budget)

    @property
    def truths(self) -> list[float]:
        """The budgets at which the curves meet, smooth between whole rows."""
        grid = np.geomspace(self.budgets[0], self.budgets[-1], 2000)
        leads = [self.lead(float(budget)) for budget in grid]
        found = []
        for number in range(len(grid) - 1):
            if leads[number] * leads[number + 1] < 0:
                found.append(float(np.sqrt(grid[number] * grid[number + 1])))
        return found

    def draw(self, rng: np.random.Generator) -> Comparison:
        """One table, compared."""
        options = (self.first, self.second)
        cells = [(option, budget) for option in options for budget in self.budgets]
        qualities = [quality_of(METRIC, round(one.score(budget), 6)) for one, budget in cells]
        samples = draw(rng, METRIC, qualities, self.seeds)
        scored: list[dict[float, Sample]] = [{}, {}]
        for number, (option, budget) in enumerate(cells):
            scored[options.index(option)][budget] = samples[f"m{number}"]
        found = compare_options(*(
            Curve(known, lambda budget, cost=option.cost: budget - cost)
            for known, option in zip(scored, options, strict=True)
        ))  # fmt: skip
        assert found is not None
        return found


BUDGETS = (80.0, 160.0, 320.0, 640.0, 1280.0)

PLANTED = [
    PlantedOptions(Learning(0, 82, 120, 0.45), Learning(60, 88, 130, 0.45), BUDGETS, seeds, name)
    for seeds, name in ((3, "pre-training wins later"), (5, "pre-training wins later"))
] + [
    PlantedOptions(Learning(0, 90, 150, 0.4), Learning(50, 83, 60, 0.4), BUDGETS, 5,
                   "labels win later"),
    PlantedOptions(Learning(0, 84, 100, 0.5), Learning(60, 85, 100, 0.5), BUDGETS, 5,
                   "curves nearly alike"),
    PlantedOptions(Learning(0, 80, 160, 0.5), Learning(80, 84, 160, 0.5), (100.0, 300.0, 1200.0),
                   10, "three budgets, ten seeds"),
    PlantedOptions(Learning(0, 80, 50, 0.5), Learning(20, 90, 50, 0.5), BUDGETS, 5,
                   "no break-even: pre-training always"),
]  # fmt: skip


def counted(planted: PlantedOptions, draws: int, seed: int = 0) -> dict[str, int]:
    """What is counted over so many tables; coverage is that of the first truth, where it is one."""
    rng = np.random.default_rng([seed, planted.seeds, draws])
    names = ("draws", "found", "several", "held", "around", "wrong")
    counts = dict.fromkeys(names, 0)
    counts["draws"] = draws
    truths = planted.truths
    for _ in range(draws):
        found = planted.draw(rng)
        counts["found"] += len(found.points) > 0
        counts["several"] += len(found.points) > 1
        if truths:
            counts["held"] += any(span.holds(truths[0]) for span in found.undecided)
            counts["around"] += any(point.span.holds(truths[0]) for point in found.points)
        # A verdict where the truth is the other way round.
        counts["wrong"] += any(
            abs(lead.value) > lead.half_width and lead.value * planted.lead(budget) < 0
            for budget, lead in zip(found.budgets, found.leads, strict=True)
        )
    return counts
