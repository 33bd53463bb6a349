"""How sure a score and a difference of scores are, from few seeds and many examples.

Seeds and report examples are crossed random effects, as readers and cases are in studies of
diagnosis (Dorfman, Berbaum and Metz 1992; Hillis 2007). The variance of a mean over S seeds is

    V = T + E − R,

T the variance over seeds / S, E the sampling variance of the seed-averaged figure over examples,
and R the seed × example residual / (S·n), which T and E both contain; V is never below the larger
of T and E. Tests and intervals are Student's t with Satterthwaite's degrees of freedom.

Two things differ from the textbook, since three seeds are few. The T of all differences of a table
are moderated as in Smyth (2004): raised towards what they have in common, wholly where they are as
alike as chance makes them, which is pooling, and less the more they differ. They are never lowered:
of a method that scatters more than the others, the others know nothing. Those with a method that
predicts a constant, and so varies with no seed, are a group of their own. And Satterthwaite's
formula takes T as (1 + 2/d)·T, d its degrees of freedom: from its estimate alone too many degrees
follow when T is by chance small, and at 2 degrees up to 7.9 % of true nulls would be rejected, not
5 %. Below 2 degrees, with two seeds, that is not enough (9 %), and the factor rises to 8.
`tests/leaderboard/` holds both to planted truths, and docs/statistics.md shows how well they do.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.95
"""Of intervals; tests reject at 1 − LEVEL."""


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
        quantile = float(stats.t.ppf((1 + LEVEL) / 2, self.freedom))
        return quantile * math.sqrt(self.variance)

    @property
    def p(self) -> float:
        """Two-sided p of the hypothesis that the value is zero."""
        if self.variance == 0:
            return 0.0 if self.value else 1.0
        return 2 * float(stats.t.sf(abs(self.value) / math.sqrt(self.variance), self.freedom))


Pairs = dict[tuple[str, str], Estimate]
"""The difference of the first method to the second."""


def mean(sample: Sample) -> Estimate | None:
    """The mean over seeds; `None` below two seeds."""
    seeds = sorted(sample.seeds())
    if len(seeds) < 2:
        return None
    scores = np.array([sample.scores[seed] for seed in seeds])
    contributions = np.stack([sample.influence[seed] for seed in seeds])
    training = scores.var(ddof=1) / len(seeds)
    return _estimate(scores, contributions, float(training), len(seeds) - 1)


def pairwise(samples: Mapping[str, Sample]) -> Pairs:
    """The differences of all pairs of methods that have at least two seeds in common.

    Args:
        samples: By method, all of one task and ratio.
    """
    differences: dict[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for one, other in itertools.combinations(samples, 2):
        a, b = samples[one], samples[other]
        seeds = sorted(a.seeds() & b.seeds())
        if len(seeds) > 1:
            differences[one, other] = (
                np.array([a.scores[s] - b.scores[s] for s in seeds]),
                np.stack([a.influence[s] - b.influence[s] for s in seeds]),
            )
    if not differences:
        return {}
    # Where a method predicts a constant, only the other one varies, and where both do, neither.
    varying = {name for name, one in samples.items() if len(set(one.scores.values())) > 1}
    found: Pairs = {}
    for count in (0, 1, 2):
        group = {p: d for p, d in differences.items() if len(varying.intersection(p)) == count}
        moving = varying.intersection(itertools.chain(*group))
        own = [len(samples[name].seeds()) - 1 for name in moving]
        # Of pairs of two that vary, one method's freedom is not its own.
        found |= _moderated(group, sum(own) - (max(own) if own and count == 2 else 0))
    return {pair: found[pair] for pair in differences}


def _moderated(
    differences: Mapping[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]],
    together: int,
) -> Pairs:
    """Estimates of differences, where one of small T learns from the others that T is larger.

    Args:
        differences: Scores and contributions by pair.
        together: Degrees of freedom of all of them together.
    """
    if not differences:
        return {}
    own = [float(scores.var(ddof=1)) for scores, _ in differences.values()]
    own_freedom = [len(scores) - 1 for scores, _ in differences.values()]
    training, freedom = moderate(own, own_freedom, max(together, *own_freedom))
    return {
        pair: _estimate(
            scores,
            contributions,
            max(variance, moderated) / len(scores),
            d if variance > moderated else more,
        )
        for (pair, (scores, contributions)), variance, d, moderated, more in zip(
            differences.items(), own, own_freedom, training, freedom, strict=True
        )
    }


def difference(pairs: Pairs, one: str, other: str) -> Estimate | None:
    """How far one method is above another, `None` where they were not compared."""
    if (other, one) in pairs:
        found = pairs[other, one]
        return dataclasses.replace(found, value=-found.value)
    return pairs.get((one, other))


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
    return {pair: average([table[pair] for table in tables]) for pair in common}


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
    over all the pairs of these methods. A method without a pair has no rank.

    Args:
        pairs: Differences, perhaps of more methods.
        methods: Those that are ranked.
    """
    ranked = set(methods)
    family = {pair: e for pair, e in pairs.items() if ranked.issuperset(pair)}
    found = {name: 1 for pair in family for name in pair}
    adjusted = holm([estimate.p for estimate in family.values()])
    for ((one, other), estimate), p in zip(family.items(), adjusted, strict=True):
        if p < 1 - LEVEL:
            found[other if estimate.value > 0 else one] += 1
    above = [pair if e.value > 0 else pair[::-1] for pair, e in family.items() if e.value]
    for _ in found:
        for higher, lower in above:
            found[lower] = max(found[lower], found[higher])
    return found


def moderate(
    variances: Sequence[float], freedom: Sequence[int], most: float
) -> tuple[list[float], list[float]]:
    """Shrinks variances towards what they have in common (Smyth 2004, sections 3 and 6.2).

    The true variances are taken to follow a scaled inverse χ² with d₀ degrees of freedom, which the
    spread of the logarithms of the estimates tells: where it is no larger than chance makes it, d₀
    is infinite and all get the pooled variance.

    Args:
        variances: Estimates.
        freedom: Their degrees of freedom.
        most: Degrees of freedom of all of them together, which a moderated one has at most.

    Returns:
        Moderated variances, and their degrees of freedom.
    """
    s2, d = np.asarray(variances, float), np.asarray(freedom, float)
    pooled = float((d * s2).sum() / d.sum())
    positive = s2 > 0
    spread = 0.0
    if positive.sum() > 2:
        logs = np.log(s2[positive]) - special.digamma(d[positive] / 2) + np.log(d[positive] / 2)
        chance = special.polygamma(1, d[positive] / 2)
        spread = float(logs.var(ddof=1) - chance.mean())
    if spread <= 0:
        return [pooled] * len(s2), [most] * len(s2)
    d0 = 2 * _inverse_trigamma(spread)
    prior = math.exp(float(logs.mean()) + special.digamma(d0 / 2) - math.log(d0 / 2))
    moderated = (d0 * prior + d * s2) / (d0 + d)
    return moderated.tolist(), np.minimum(d0 + d, most).tolist()


def _inverse_trigamma(value: float) -> float:
    """The x > 0 with ψ′(x) = value, by Newton's method on 1/ψ′, which is nearly linear."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x


def _estimate(
    scores: NDArray[np.float64],
    contributions: NDArray[np.float64],
    training: float,
    freedom: float,
) -> Estimate:
    """Mean and its error; see the module for T, E and R.

    Args:
        scores: `[seeds]`.
        contributions: Influence of each example, `[seeds, examples]`.
        training: T.
        freedom: Its degrees of freedom.
    """
    seeds, examples = contributions.shape
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
