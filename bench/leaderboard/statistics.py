"""How sure a score and a difference of scores are, from few seeds and many examples.

Seeds and report examples are crossed random effects, as readers and cases are in studies of
diagnosis (Dorfman, Berbaum and Metz 1992; Hillis 2007). The variance of a mean over S seeds is

    V = T + E − R,

T the variance over seeds / S, E the sampling variance of the seed-averaged figure over examples,
and R the seed × example residual / (S·n), which T and E both contain; V is never below the larger
of T and E. Intervals are Student's t with Satterthwaite's degrees of freedom, whose formula takes T
as (1 + 2/d)·T, d its degrees of freedom: from its estimate alone too many degrees follow when T is
by chance small, and at 2 degrees up to 7.9 % of true nulls would be rejected, not 5 %. Below 2
degrees, with two seeds, that is not enough (9 %), and the factor rises to 8.

Student's t takes seeds for normal. Where a seed either learns a task or does not, it is wrong by
orders of magnitude. So the interval of a mean whose seeds fall into two groups is widened, and a
difference counts only if it passes twice: by Student's t, for other examples, and by an exact
permutation of seeds (`bench.leaderboard.permutation`), for other seeds. Its p is the larger one.
`tests/leaderboard/` holds all of that to planted truths; docs/statistics.md shows how well it does.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bench.leaderboard.permutation import Stratum, least_p, permutation_p, permutation_ps

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.95
"""Of intervals; tests reject at 1 − LEVEL."""

LEAST_SEEDS = 5
"""Seeds that two methods have in common on every task, at least, to be ranked."""


@dataclass(frozen=True)
class Sample:
    """The results of one method on one task.

    Attributes:
        scores: Score by seed.
        influence: What each report example contributes to it, `[examples]`, by seed.
    """

    scores: Mapping[int, float]
    influence: Mapping[int, NDArray[np.float64]]

    def seeds(self) -> set[int]:
        """The seeds that have both, of at least two examples: one tells nothing of its spread."""
        return {seed for seed in self.scores if len(self.influence.get(seed, ())) > 1}


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, with what is known of its error.

    Attributes:
        value: In points.
        variance: Of the value.
        freedom: Degrees of freedom of the variance.
        weighed: The variance as Satterthwaite's formula takes it, see the module.
    """

    value: float
    variance: float
    freedom: float
    weighed: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval at `LEVEL`."""
        quantile = float(special.stdtrit(self.freedom, (1 + LEVEL) / 2))
        return quantile * math.sqrt(self.variance)

    @property
    def p(self) -> float:
        """Two-sided p of the hypothesis that the value is zero."""
        if self.variance == 0:
            return 0.0 if self.value else 1.0
        distance = abs(self.value) / math.sqrt(self.variance)
        return 2 * float(special.stdtr(self.freedom, -distance))


@dataclass(frozen=True)
class Difference:
    """How far one method is above another, and whether that may be chance.

    Attributes:
        estimate: The difference of the means, over the seeds that both have.
        strata: The scores of both, a task each.
    """

    estimate: Estimate
    strata: tuple[Stratum, ...]

    @property
    def value(self) -> float:
        """In points."""
        return self.estimate.value

    @property
    def half_width(self) -> float:
        """Half the width of the interval at `LEVEL`."""
        return self.estimate.half_width

    @property
    def p_examples(self) -> float:
        """Two-sided p by Student's t, the variance being that of examples and seeds together."""
        return self.estimate.p

    @functools.cached_property
    def p_seeds(self) -> float:
        """Two-sided p by an exact permutation of seeds within tasks."""
        return permutation_p(self.strata)

    @property
    def p(self) -> float:
        """The larger of the two: a difference has to pass both."""
        return max(self.p_examples, self.p_seeds)

    @property
    def seeds(self) -> int:
        """Seeds that both methods have, on the task with the fewest."""
        return min(len(first) for first, _ in self.strata)

    @property
    def least_p(self) -> float:
        """The smallest p that so many seeds and tasks can give."""
        return least_p([len(first) for first, _ in self.strata])

    def smallest_seen(self, level: float = 1 - LEVEL) -> float:
        """The smallest difference that would have passed Student's t, in points.

        Args:
            level: Of the test, perhaps divided by how many tests there are.
        """
        quantile = float(special.stdtrit(self.estimate.freedom, 1 - level / 2))
        return quantile * math.sqrt(self.estimate.variance)

    def beyond(self, points: float) -> Difference:
        """The same, less so many points: what is tested where a lead has to be larger than 0."""
        moved = dataclasses.replace(self.estimate, value=self.value - points)
        strata = tuple((first - points, second) for first, second in self.strata)
        return Difference(moved, strata)

    def turned(self) -> Difference:
        """How far the second method is above the first."""
        turned = dataclasses.replace(self.estimate, value=-self.value)
        strata = tuple((second, first) for first, second in self.strata)
        return Difference(turned, strata)


Pairs = dict[tuple[str, str], Difference]
"""The difference of the first method to the second."""

LEAST_GAP = 5.0
"""Points between two groups of seeds, at least."""


def upper_group(scores: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """The seeds that learnt a task, where seeds fall into those that did and those that did not.

    The largest gap between neighbours is then at least `LEAST_GAP` points, and twice as wide as
    either of the groups that it parts.

    Args:
        scores: `[seeds]`.

    Returns:
        Which seeds are in the upper group, `[seeds]`; `None` where there is one group.
    """
    ordered = np.sort(scores)
    gaps = np.diff(ordered)
    if not len(gaps):
        return None
    place = int(gaps.argmax())
    widest = max(ordered[place] - ordered[0], ordered[-1] - ordered[place + 1])
    if gaps[place] < max(LEAST_GAP, 2 * widest):
        return None
    return np.asarray(scores > ordered[place])


def share_interval(count: int, of: int) -> tuple[float, float]:
    """The exact interval at `LEVEL` of a share (Clopper and Pearson 1934).

    Args:
        count: How many seeds are above a threshold that no method of the table has set.
        of: How many there are.
    """
    tail = (1 - LEVEL) / 2
    low = special.betaincinv(count, of - count + 1, tail) if count else 0.0
    high = special.betaincinv(count + 1, of - count, 1 - tail) if count < of else 1.0
    return float(low), float(high)


def mean(sample: Sample) -> Estimate | None:
    """The mean over seeds; `None` below two seeds.

    Where seeds fall into two groups, the interval is at least as wide as that of the share of seeds
    in the upper group makes it.
    """
    seeds = sorted(sample.seeds())
    if len(seeds) < 2:
        return None
    scores = np.array([sample.scores[seed] for seed in seeds])
    found = crossed_estimate(scores, np.stack([sample.influence[seed] for seed in seeds]))
    if (upper := upper_group(scores)) is None:
        return found
    gap = float(scores[upper].mean() - scores[~upper].mean())
    low, high = share_interval(int(upper.sum()), len(seeds))
    share = float(upper.mean())
    wider = max(1.0, gap * max(high - share, share - low) / found.half_width) ** 2
    return Estimate(found.value, wider * found.variance, found.freedom, wider * found.weighed)


def pairwise(samples: Mapping[str, Sample]) -> Pairs:
    """The differences of all pairs of methods that have at least two seeds in common.

    Args:
        samples: By method, all of one task and ratio.
    """
    found: Pairs = {}
    for one, other in itertools.combinations(samples, 2):
        a, b = samples[one], samples[other]
        seeds = sorted(a.seeds() & b.seeds())
        if len(seeds) < 2:
            continue
        first, second = (np.array([x.scores[seed] for seed in seeds]) for x in (a, b))
        contributions = np.stack([a.influence[seed] - b.influence[seed] for seed in seeds])
        found[one, other] = Difference(
            crossed_estimate(first - second, contributions),
            ((first, second),),
        )
    return found


def difference(pairs: Pairs, one: str, other: str) -> Difference | None:
    """How far one method is above another, `None` where they were not compared."""
    found = between(pairs, one, other)
    return found.turned() if found and (one, other) not in pairs else found


def between(pairs: Pairs, one: str, other: str) -> Difference | None:
    """The difference of two methods, whichever is the first: its p, once found, stays known."""
    return pairs.get((one, other)) or pairs.get((other, one))


def average(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over tasks, whose results are independent of each other."""
    count = len(estimates)
    value = sum(estimate.value for estimate in estimates) / count
    variance, weighed = (
        sum(figures) / count**2
        for figures in zip(*((e.variance, e.weighed) for e in estimates), strict=True)
    )
    squares = sum((e.weighed / count**2) ** 2 / e.freedom for e in estimates)
    return Estimate(value, variance, weighed**2 / squares if squares else 1.0, weighed)


def average_pairs(tables: Sequence[Pairs]) -> Pairs:
    """The differences of averages over tasks, of pairs that every task has."""
    if not tables:
        return {}
    common = [pair for pair in tables[0] if all(pair in table for table in tables)]
    found = {pair: [table[pair] for table in tables] for pair in common}
    return {
        pair: Difference(
            average([each.estimate for each in differences]),
            tuple(itertools.chain.from_iterable(each.strata for each in differences)),
        )
        for pair, differences in found.items()
    }


def find_ps(differences: Iterable[Difference]) -> None:
    """Finds the p of seeds of many differences together; each knows its own afterwards."""
    alike: dict[tuple[int, ...], list[Difference]] = {}
    for each in differences:
        if "p_seeds" not in vars(each):
            alike.setdefault(tuple(len(first) for first, _ in each.strata), []).append(each)
    for group in alike.values():
        for each, p in zip(group, permutation_ps([d.strata for d in group]), strict=True):
            vars(each)["p_seeds"] = p  # where a cached property keeps its value


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p values, in the given order."""
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for place, number in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[number]))
        adjusted[number] = largest
    return adjusted


def ranks(pairs: Pairs, methods: Iterable[str]) -> dict[str, int]:
    """Each method's rank: 1 + the number of methods that are significantly better than it.

    But none ranks before a method that scores higher: one whose seeds scatter so widely that
    nothing is significantly above it takes the rank of the next one above. Holm's correction runs
    over all the pairs of these methods with at least `LEAST_SEEDS` seeds in common. A method
    without such a pair has no rank.

    Args:
        pairs: Differences, perhaps of more methods.
        methods: Those that are ranked.
    """
    ranked = set(methods)
    family = {
        pair: d for pair, d in pairs.items() if ranked.issuperset(pair) and d.seeds >= LEAST_SEEDS
    }
    found = {name: 1 for pair in family for name in pair}
    find_ps(family.values())
    adjusted = holm([lead.p for lead in family.values()])
    for ((one, other), lead), p in zip(family.items(), adjusted, strict=True):
        if p < 1 - LEVEL:
            found[other if lead.value > 0 else one] += 1
    above = [pair if d.value > 0 else pair[::-1] for pair, d in family.items() if d.value]
    for _ in found:
        for higher, lower in above:
            found[lower] = max(found[lower], found[higher])
    return found


def crossed_estimate(scores: NDArray[np.float64], contributions: NDArray[np.float64]) -> Estimate:
    """Mean and its error; see the module for T, E and R.

    Args:
        scores: `[seeds]`.
        contributions: Influence of each example, `[seeds, examples]`.
    """
    seeds, examples = contributions.shape
    training, freedom = float(scores.var(ddof=1)) / seeds, seeds - 1
    common = contributions.mean(axis=0)
    sampling = float((common**2).sum()) / (examples * (examples - 1))
    left = float(((contributions - common) ** 2).sum()) / ((seeds - 1) * (examples - 1))
    residual = left / (seeds * examples)

    def total(part: float) -> float:
        return float(max(part + sampling - residual, part, sampling))

    variance = total(training)
    weighed = (1 + 2 / freedom + 5 * max(0.0, 2 / freedom - 1)) * training
    squares = (
        weighed**2 / freedom
        + sampling**2 / (examples - 1)
        + residual**2 / ((seeds - 1) * (examples - 1))
    )
    satterthwaite = total(weighed) ** 2 / squares if squares else 1.0
    return Estimate(float(scores.mean()), variance, max(1.0, satterthwaite), total(weighed))
